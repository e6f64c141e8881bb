//! The name of the node in this pod, made in the way in which those of its peers are.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use enmesh_identity::{NameForm, NodeName};

use super::domain::Origin;
use super::host_form::{HostForm, HostLack};
use super::name_mode::NameMode;
use super::pod_facts::PodFacts;
use super::seen::Seen;

/// Something that a pod must be told to know its node's name.
///
/// ```
/// use enmesh_discovery::PodFact;
///
/// assert_eq!(PodFact::Address.variable(), "POD_IP");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PodFact {
    /// Its address.
    Address,
    /// Its own name.
    Pod,
    /// Its namespace.
    Namespace,
    /// Its host name, which every container has.
    Hostname,
    /// The headless Service that it belongs to.
    Service,
}

impl PodFact {
    /// The environment variable that tells it.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Address => "POD_IP",
            Self::Pod => "POD_NAME",
            Self::Namespace => "POD_NAMESPACE",
            Self::Hostname => "HOSTNAME",
            Self::Service => "SERVICE_NAME",
        }
    }

    /// The entry of a container's `env` that sets the variable.
    fn manifest(self) -> &'static str {
        match self {
            Self::Address => "- {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}",
            Self::Pod => "- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}",
            Self::Namespace => {
                "- {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}"
            }
            Self::Hostname => {
                "- {name: HOSTNAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}"
            }
            Self::Service => "- {name: SERVICE_NAME, value: the name of the headless Service}",
        }
    }
}

/// Why a pod has no node name.
///
/// ```
/// use enmesh_discovery::{NameMode, PodFact, PodNameError};
///
/// let error = PodNameError::Missing { mode: NameMode::Ip, fact: PodFact::Address };
/// assert!(error.to_string().contains("fieldPath: status.podIP"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PodNameError {
    /// A variable is not set. The text has the manifest's line that sets it.
    #[error(
        "{} is not set, and names of mode {mode} need it; add to the env of the container: {}",
        .fact.variable(),
        .fact.manifest()
    )]
    Missing {
        /// The mode.
        mode: NameMode,
        /// What is missing.
        fact: PodFact,
    },
    /// A variable holds what no pod has: a reference that was not replaced, for example.
    #[error(
        "{} holds {value:?}, which cannot be; right is: {}",
        .fact.variable(),
        .fact.manifest()
    )]
    Malformed {
        /// What it should tell.
        fact: PodFact,
        /// What it holds.
        value: String,
    },
    /// The mode says how names of others are found, and makes none of our own.
    #[error("{mode} makes no name of our own; allowed: {OWN_MODES}")]
    NoOwnName {
        /// The mode.
        mode: NameMode,
    },
    /// No BEAM allows this before the `@`.
    #[error(
        "{basename:?} cannot stand before the @ of a node name; allowed: letters, digits, _ and -"
    )]
    Basename {
        /// The part before the `@`.
        basename: String,
    },
    /// What comes of it has more than 255 characters.
    #[error("{name:?} is too long for a node name, which has at most 255 characters")]
    TooLong {
        /// What came of it.
        name: String,
    },
    /// The pod's name has a dot and there is no Service: neither a short name nor one that DNS
    /// knows.
    #[error(
        "the pod is called {pod}, and a dot makes no short node name; give the Service \
         (SERVICE_NAME) for a long one, or take mode ip"
    )]
    Dotted {
        /// The pod.
        pod: String,
    },
}

/// The modes that make a name of our own.
const OWN_MODES: &str = "ip, dns, srv, hostname or pod";

/// Something about a pod's name that is most likely wrong, though the name can be used.
///
/// ```
/// use enmesh_discovery::PodDoubt;
///
/// let doubt = PodDoubt::NotHere { address: [10, 0, 0, 7].into() };
/// assert!(doubt.to_string().contains("10.0.0.7"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PodDoubt {
    /// `POD_IP` is no address of this machine.
    #[error(
        "POD_IP is {address}, which is no address of this machine; nobody will find the node there"
    )]
    NotHere {
        /// What `POD_IP` holds.
        address: IpAddr,
    },
    /// Nobody says what the cluster's domain is.
    #[error(
        "nobody says what the cluster's domain is, so {domain} is taken; CLUSTER_DOMAIN can say it"
    )]
    GuessedDomain {
        /// The usual one.
        domain: String,
    },
    /// `POD_NAMESPACE` and resolv.conf disagree.
    #[error(
        "POD_NAMESPACE is {said}, and the search list in resolv.conf is that of namespace {searched}"
    )]
    OtherNamespace {
        /// What is taken.
        said: String,
        /// What resolv.conf says.
        searched: String,
    },
    /// DNS knows the pod under no name of its own.
    #[error(
        "DNS knows no pod {host}: the pod has no spec.subdomain; a StatefulSet with serviceName: \
         {service} gives its pods one, and so does subdomain: {service} in a pod's spec"
    )]
    NoSubdomain {
        /// The host part.
        host: String,
        /// The Service in it.
        service: String,
    },
    /// DNS knows the pod below another Service.
    #[error(
        "DNS knows no pod {host}: the pod's subdomain is {subdomain}; the Service of its name must \
         be the same"
    )]
    OtherSubdomain {
        /// The host part.
        host: String,
        /// The pod's subdomain.
        subdomain: String,
    },
}

impl fmt::Display for PodFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.variable())
    }
}

impl NameMode {
    /// The mode of this name, if it makes a name of our own: `ip`, `dns`, `srv`, `hostname` or
    /// `pod`.
    ///
    /// # Errors
    /// For every other text.
    pub fn of_own(text: &str) -> Result<Self, crate::ConfigError> {
        let mode = text.parse::<Self>();
        mode.ok()
            .filter(|mode| mode.makes_own())
            .ok_or_else(|| crate::ConfigError::BadValue {
                key: "name_mode",
                value: text.to_owned(),
                allowed: OWN_MODES,
            })
    }

    fn makes_own(self) -> bool {
        matches!(
            self,
            Self::Ip | Self::Dns | Self::Srv | Self::Hostname | Self::Pod
        )
    }
}

impl PodFacts {
    /// The name of the node `basename` in this pod, as peers make it with the same `mode`.
    ///
    /// Mode `pod` makes a long name where the Service is known, else a short one.
    ///
    /// # Errors
    /// With what is missing, and the line of the manifest that gives it.
    pub fn name(&self, mode: NameMode, basename: &str) -> Result<NodeName, PodNameError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if basename.is_empty() || !basename.bytes().all(fits) {
            let basename = basename.to_owned();
            return Err(PodNameError::Basename { basename });
        }
        let form = self.form(mode)?;
        let missing = |fact| PodNameError::Missing { mode, fact };
        if form.needs_address() && self.address.is_none() {
            return Err(missing(PodFact::Address));
        }
        if form.needs_domain() && self.namespace.is_none() {
            return Err(missing(PodFact::Namespace));
        }
        let seen = self.seen(form);
        let address = self.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let host = form.host(&seen, address, self.service(form), &self.domain.name);
        let host = host.map_err(|lack| {
            missing(match lack {
                HostLack::Hostname => PodFact::Hostname,
                HostLack::Pod => PodFact::Pod,
                HostLack::Service => PodFact::Service,
            })
        })?;
        let name = format!("{basename}@{host}");
        let name: NodeName = name.parse().map_err(|_| PodNameError::TooLong { name })?;
        if form == HostForm::ShortPod && name.form() == NameForm::Long {
            return Err(PodNameError::Dotted { pod: host });
        }
        Ok(name)
    }

    /// What is most likely wrong with the name that [`PodFacts::name`] made.
    pub fn doubts(&self, mode: NameMode, name: &NodeName) -> Vec<PodDoubt> {
        let Ok(form) = self.form(mode) else {
            return Vec::new();
        };
        let mut doubts = Vec::new();
        if let Some(address) = self.address.filter(|_| !self.is_here) {
            doubts.push(PodDoubt::NotHere { address });
        }
        if !form.needs_domain() {
            return doubts;
        }
        if self.domain.origin == Origin::Default {
            let domain = self.domain.name.clone();
            doubts.push(PodDoubt::GuessedDomain { domain });
        }
        if let (Some(said), Some((searched, _))) = (&self.namespace, &self.searched)
            && said != searched
        {
            let (said, searched) = (said.clone(), searched.clone());
            doubts.push(PodDoubt::OtherNamespace { said, searched });
        }
        let host = name.host().to_string();
        match (&self.in_hosts, self.service(form)) {
            (None, Some(service)) if form == HostForm::Hostname => {
                let service = service.to_owned();
                doubts.push(PodDoubt::NoSubdomain { host, service });
            }
            (Some(it), Some(service)) if form != HostForm::Dns && service != it.subdomain => {
                let subdomain = it.subdomain.clone();
                doubts.push(PodDoubt::OtherSubdomain { host, subdomain });
            }
            _ => {}
        }
        doubts
    }

    fn form(&self, mode: NameMode) -> Result<HostForm, PodNameError> {
        Ok(match mode {
            NameMode::Ip => HostForm::Ip,
            NameMode::Dns => HostForm::Dns,
            NameMode::Srv => HostForm::Srv,
            NameMode::Hostname => HostForm::Hostname,
            NameMode::Pod if self.service.is_some() => HostForm::LongPod,
            NameMode::Pod => HostForm::ShortPod,
            NameMode::Template | NameMode::Ask | NameMode::Epmd | NameMode::Auto => {
                return Err(PodNameError::NoOwnName { mode });
            }
        })
    }

    /// The Service that was named, else the one whose subdomain the pod stands in.
    fn service(&self, form: HostForm) -> Option<&str> {
        let subdomain = || {
            let in_hosts = self.in_hosts.as_ref()?;
            (form != HostForm::LongPod).then_some(in_hosts.subdomain.as_str())
        };
        self.service.as_deref().or_else(subdomain)
    }

    /// Ourselves, as a peer sees us.
    fn seen(&self, form: HostForm) -> Seen {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        let hostname = match form {
            HostForm::Srv => self.own_record(),
            _ => self.hostname.clone(),
        };
        Seen {
            pod: self.pod.clone().or_else(|| self.hostname.clone()),
            hostname,
            subdomain: self.in_hosts.as_ref().map(|it| it.subdomain.clone()),
            ..Seen::at(self.address.into_iter().collect(), namespace)
        }
    }

    /// The host name that our endpoint has. Only a pod with both `spec.hostname` and
    /// `spec.subdomain` has one; kubelet tells us of the latter. The former is set where it
    /// is not the pod's name, and in pods of a StatefulSet, whose names end with their number.
    fn own_record(&self) -> Option<String> {
        let (hostname, in_hosts) = (self.hostname.as_ref()?, self.in_hosts.as_ref()?);
        let of_service = self
            .service
            .as_ref()
            .is_none_or(|it| *it == in_hosts.subdomain);
        let is_set = self.pod.as_ref().is_some_and(|pod| pod != hostname);
        let number = hostname.rsplit_once('-').map_or("", |(_, number)| number);
        let is_numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        (of_service && (is_set || is_numbered)).then(|| hostname.clone())
    }
}

#[cfg(test)]
mod tests;
