//! Node names out of what Kubernetes knows of a pod; byte for byte as libcluster makes them, where
//! it makes them.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use enmesh_identity::{NameForm, NodeName, PeerAddr};

use super::config::KubernetesConfig;
use super::host_form::{HostForm, HostLack, dashed, hostname, undashed};
use super::name_mode::{NameMode, PortSource};
use super::seen::{NamedPort, Seen};
use super::template::{NameTemplate, TemplateField, Unfilled};

/// The most nodes that one pod is taken for; what is over is left out.
pub(super) const MAX_NODES_PER_POD: usize = 64;

/// How remote shells call themselves, which come and go and are nobody's peers.
const REMOTE_SHELL: &str = "rem-";

/// How pods become peers.
#[derive(Debug)]
pub(super) struct Naming {
    basename: String,
    way: Way,
    port: PortSource,
    service: Option<String>,
    domain: String,
    own: NodeName,
    /// Whether somebody was told of a pod of which no name can be made.
    told: AtomicBool,
}

/// Who knows the names.
#[derive(Clone, Debug)]
enum Way {
    /// We do: one base name, and hosts of this form.
    Host(HostForm),
    /// We do, by this pattern.
    Template(NameTemplate),
    /// Each node does.
    Ask,
    /// Each pod's epmd knows what stands before the `@`; the hosts are of this form.
    Epmd(HostForm),
}

/// One node of a pod, as far as its place is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place<'s> {
    pub(super) port: Option<u16>,
    /// The port's name, of which what is the same in all is left out.
    name: Option<&'s str>,
    container: Option<&'s str>,
}

/// Why no name is made of a pod.
#[derive(Debug)]
pub(super) enum Lack<'a> {
    /// It has no such port.
    Port(&'a PortSource),
    /// Its host part lacks something.
    Host(HostLack),
    /// The template asks for more than there is.
    Template(Unfilled<'a>),
    /// What comes of it is no node name.
    Name(String),
    /// The name is short and ours is long, or the other way round.
    Form(NodeName),
}

impl From<HostLack> for Lack<'_> {
    fn from(lack: HostLack) -> Self {
        Self::Host(lack)
    }
}

impl fmt::Display for Lack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "it has no port `{port}`"),
            Self::Host(HostLack::Hostname) => f.write_str(
                "it has neither spec.hostname nor spec.subdomain, or the lookup does not tell them; \
                 with mode=pod its own name would do",
            ),
            Self::Host(HostLack::Pod) => f.write_str("the name of the pod is not told"),
            Self::Host(HostLack::Service) => f.write_str(
                "nobody says which Service it belongs to; name it with kubernetes_service_name",
            ),
            Self::Template(unfilled) => unfilled.fmt(f),
            Self::Name(name) => write!(f, "`{}` is no node name", name.escape_debug()),
            Self::Form(name) => write!(
                f,
                "{name} and our own name are not both long or both short, and Erlang nodes \
                 connect their like alone"
            ),
        }
    }
}

impl Naming {
    /// How `config` makes names for the node `own`, in a cluster of this domain.
    pub(super) fn new(config: &KubernetesConfig, own: &NodeName, domain: &str) -> Self {
        Self {
            basename: config
                .node_basename
                .clone()
                .unwrap_or_else(|| own.alive().to_owned()),
            way: Way::new(config, own),
            port: config.port.clone(),
            service: config.service_name.clone(),
            domain: domain.to_owned(),
            own: own.clone(),
            told: AtomicBool::new(false),
        }
    }

    /// Whether names stand in the cluster's domain.
    pub(super) fn needs_domain(config: &KubernetesConfig, own: &NodeName) -> bool {
        match Way::new(config, own) {
            Way::Host(form) | Way::Epmd(form) => form.needs_domain(),
            Way::Template(template) => template.needs_domain(),
            Way::Ask => false,
        }
    }

    /// Whether the pods themselves must be asked.
    pub(super) fn asks(&self) -> bool {
        matches!(self.way, Way::Ask | Way::Epmd(_))
    }

    /// Whether it is epmd that must be asked for the names.
    pub(super) fn asks_epmd_for_names(&self) -> bool {
        matches!(self.way, Way::Epmd(_))
    }

    /// The peers that the pod is: none where it makes no node name, or where it must be asked.
    pub(super) fn peers(&self, seen: &Seen) -> Vec<PeerAddr> {
        let Some(address) = self.address(seen) else {
            return Vec::new();
        };
        let made = match &self.way {
            Way::Host(form) => self.one_name(*form, seen, address),
            Way::Template(template) => self.by_template(template, seen, address),
            Way::Ask | Way::Epmd(_) => Ok(Vec::new()),
        };
        made.unwrap_or_else(|lack| {
            self.tell(seen, &lack);
            Vec::new()
        })
    }

    /// The nodes of the pod whose epmd listed these names.
    pub(super) fn listed(&self, seen: &Seen, names: &[(String, u16)]) -> Vec<PeerAddr> {
        let (Some(address), Way::Epmd(form)) = (self.address(seen), &self.way) else {
            return Vec::new();
        };
        let host = match self.host(*form, seen, address) {
            Ok(host) => host,
            Err(lack) => {
                self.tell(seen, &lack);
                return Vec::new();
            }
        };
        let nodes = nodes(names).filter_map(|(alive, port)| {
            let name = NodeName::new(alive, &host).ok()?;
            Some(PeerAddr::new(name).with_address(address).with_port(port))
        });
        nodes.take(MAX_NODES_PER_POD).collect()
    }

    /// Where the pod's nodes listen, as far as Kubernetes knows; a place without a port is one of
    /// which epmd must be asked.
    pub(super) fn places<'s>(&'s self, seen: &'s Seen) -> Result<Vec<Place<'s>>, Lack<'s>> {
        let lack = || Lack::Port(&self.port);
        let named = |begin: &str, whole: bool| {
            let fits = |port: &&NamedPort| match whole {
                true => port.name == begin,
                false => port.name.starts_with(begin),
            };
            let part = if whole { 0 } else { begin.len() };
            let place = |port: &'s NamedPort| Place {
                port: Some(port.port),
                name: Some(&port.name[part..]),
                container: port.container.as_deref(),
            };
            let places = seen.ports.iter().filter(fits).map(place);
            places.take(MAX_NODES_PER_POD).collect::<Vec<_>>()
        };
        let numbered = |port| {
            vec![Place {
                port,
                ..Place::default()
            }]
        };
        let places = match &self.port {
            PortSource::Epmd => numbered(None),
            PortSource::Fixed(port) => numbered(Some(*port)),
            PortSource::Named(name) => named(name, true),
            PortSource::NamedLike(begin) => named(begin, false),
            PortSource::Annotation(key) => {
                let text = seen.annotations.get(key).ok_or_else(lack)?;
                let port = text.trim().parse().ok().filter(|port| *port > 0);
                numbered(Some(port.ok_or_else(lack)?))
            }
        };
        if places.is_empty() {
            Err(lack())
        } else {
            Ok(places)
        }
    }

    /// A dual-stack pod is one peer: at its address of the family that our own name has. Where our
    /// name does not tell, it is the pod's primary one, which slices and Endpoints do not know;
    /// of theirs it is the IPv4 one, so that all nodes choose alike.
    pub(super) fn address(&self, seen: &Seen) -> Option<IpAddr> {
        let own = self.own.host();
        let own = own.as_ip().or_else(|| undashed(own.as_str()));
        let is_v4 = match (own, &seen.service) {
            (Some(own), _) => Some(own.is_ipv4()),
            (None, Some(_)) => Some(true),
            (None, None) => None,
        };
        let wanted = |ip: &&IpAddr| is_v4.is_some_and(|is_v4| is_v4 == ip.is_ipv4());
        let mut addresses = seen.addresses.iter();
        addresses.find(wanted).or(seen.addresses.first()).copied()
    }

    /// Says of the first pod without a name what it lacks; the others most likely lack it as well.
    pub(super) fn tell(&self, seen: &Seen, lack: &Lack<'_>) {
        if self.told.swap(true, Ordering::Relaxed) {
            tracing::debug!(pod = %seen, %lack, "no node name can be made of a pod");
        } else {
            tracing::warn!(
                pod = %seen,
                %lack,
                "no node name can be made of a pod, so it is left out; of others nothing is said",
            );
        }
    }

    /// Of several ports that fit, one name has the first.
    fn one_name<'a>(
        &'a self,
        form: HostForm,
        seen: &'a Seen,
        address: IpAddr,
    ) -> Result<Vec<PeerAddr>, Lack<'a>> {
        let places = self.places(seen)?;
        let host = self.host(form, seen, address)?;
        let name = self.name(&format!("{}@{host}", self.basename))?;
        if form == HostForm::ShortPod && name.form() != self.own.form() {
            return Err(Lack::Form(name));
        }
        let place = places.first().copied().unwrap_or_default();
        Ok(vec![at(name, address, place)])
    }

    fn by_template<'a>(
        &'a self,
        template: &'a NameTemplate,
        seen: &'a Seen,
        address: IpAddr,
    ) -> Result<Vec<PeerAddr>, Lack<'a>> {
        let mut places = self.places(seen)?;
        if template.has_container() && places.iter().all(|place| place.container.is_none()) {
            let each = |place: &Place<'a>| {
                let place = *place;
                let containers = seen.containers.iter();
                containers.map(move |container| Place {
                    container: Some(container),
                    ..place
                })
            };
            places = places
                .iter()
                .flat_map(each)
                .take(MAX_NODES_PER_POD)
                .collect();
        }
        let mut peers: Vec<PeerAddr> = Vec::new();
        for place in places {
            let field = |field: &TemplateField| self.field(field, seen, address, place);
            let text = template.expand(field).map_err(Lack::Template)?;
            let name = self.name(&text)?;
            if name.form() != self.own.form() {
                return Err(Lack::Form(name));
            }
            if peers.iter().all(|peer| *peer.name() != name) {
                peers.push(at(name, address, place));
            }
        }
        Ok(peers)
    }

    fn name<'a>(&self, text: &str) -> Result<NodeName, Lack<'a>> {
        text.parse().map_err(|_| {
            let shown = text.chars().take(100).collect();
            Lack::Name(shown)
        })
    }

    fn field(
        &self,
        field: &TemplateField,
        seen: &Seen,
        address: IpAddr,
        place: Place<'_>,
    ) -> Option<String> {
        let owned = |text: &str| Some(text.to_owned());
        match field {
            TemplateField::Basename => owned(&self.basename),
            TemplateField::Ip => Some(address.to_string()),
            TemplateField::DashedIp => Some(dashed(address)),
            TemplateField::Pod => seen.pod.clone(),
            TemplateField::Namespace => owned(&seen.namespace),
            TemplateField::Hostname => hostname(seen).and_then(owned),
            TemplateField::Subdomain => seen.subdomain.clone(),
            TemplateField::Service => self.service(seen).and_then(owned),
            TemplateField::Domain => owned(&self.domain),
            TemplateField::Container => place.container.and_then(owned),
            TemplateField::Port => place.port.map(|port| port.to_string()),
            TemplateField::PortName => place.name.and_then(owned),
            TemplateField::PortNamed(name) => {
                let port = seen.ports.iter().find(|port| port.name == *name)?;
                Some(port.port.to_string())
            }
            TemplateField::Label(key) => seen.labels.get(key).cloned(),
            TemplateField::Annotation(key) => {
                let value = seen.annotations.get(key)?.trim();
                (!value.is_empty()).then(|| value.to_owned())
            }
        }
    }

    fn host<'a>(
        &'a self,
        form: HostForm,
        seen: &'a Seen,
        address: IpAddr,
    ) -> Result<String, Lack<'a>> {
        Ok(form.host(seen, address, self.service(seen), &self.domain)?)
    }

    /// The Service in the pod's name: the configured one, else the one whose endpoint it is, else
    /// the one that its subdomain names, under which alone DNS knows it, else that of our name.
    fn service<'a>(&'a self, seen: &'a Seen) -> Option<&'a str> {
        let configured = self.service.as_deref();
        let told = configured.or(seen.service.as_deref());
        let told = told.or(seen.subdomain.as_deref());
        told.or_else(|| own_service(&self.own))
    }
}

impl Way {
    fn new(config: &KubernetesConfig, own: &NodeName) -> Self {
        match config.mode {
            NameMode::Auto => Self::Host(HostForm::like(own)),
            NameMode::Ip => Self::Host(HostForm::Ip),
            NameMode::Dns => Self::Host(HostForm::Dns),
            NameMode::Srv => Self::Host(HostForm::Srv),
            NameMode::Hostname => Self::Host(HostForm::Hostname),
            NameMode::Pod => Self::Host(match own.form() {
                NameForm::Short => HostForm::ShortPod,
                NameForm::Long => HostForm::LongPod,
            }),
            NameMode::Template => match &config.name_template {
                Some(template) => Self::Template(template.clone()),
                // Validation refuses it; what our own name is like is as good as anything.
                None => Self::Host(HostForm::like(own)),
            },
            NameMode::Ask => Self::Ask,
            NameMode::Epmd => Self::Epmd(HostForm::like(own)),
        }
    }
}

/// The Service in our own host part.
fn own_service(own: &NodeName) -> Option<&str> {
    let mut labels = own.host().as_str().split('.').skip(1);
    let (service, _, zone) = (labels.next()?, labels.next()?, labels.next()?);
    (zone == "svc").then_some(service)
}

fn at(name: NodeName, address: IpAddr, place: Place<'_>) -> PeerAddr {
    let peer = PeerAddr::new(name).with_address(address);
    match place.port {
        Some(port) => peer.with_port(port),
        None => peer,
    }
}

/// The names of an epmd's list that are nodes' which stay.
pub(super) fn nodes(names: &[(String, u16)]) -> impl Iterator<Item = (&str, u16)> {
    let stays = |(alive, port): &&(String, u16)| !alive.starts_with(REMOTE_SHELL) && *port != 0;
    names
        .iter()
        .filter(stays)
        .map(|(alive, port)| (alive.as_str(), *port))
}

#[cfg(test)]
mod tests;
