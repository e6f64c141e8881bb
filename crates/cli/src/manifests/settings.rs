//! What a set of manifests is made of, checked once.

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::container::{CONTAINER, EPMD_CONTAINER};
use super::names::{domain, host_name, image};
use super::workload::INSTALLER;

/// The port of epmd.
pub(crate) const EPMD_PORT: u16 = 4369;
/// The fixed port of the distribution: a NetworkPolicy can name it.
pub(crate) const DIST_PORT: u16 = 9100;
/// The last port of the distribution where a BEAM listens: a second VM in the pod (`bin/app rpc`) takes the next one.
pub(crate) const LAST_DIST_PORT: u16 = 9109;
/// The port of the API server behind its Service, where nobody says another.
pub(crate) const API_PORT: u16 = 6443;
/// The port of the probes.
pub(crate) const HTTP_PORT: u16 = 9369;
/// The user and group of the image.
pub(crate) const USER: u32 = 65532;
/// The longest name: the host names of a StatefulSet's pods and the names of what belongs to them are longer than it.
const MAX_NAME: usize = 40;
/// The longest name of a namespace (RFC 1123, a label).
const MAX_LABEL: usize = 63;

/// What the nodes are called behind the `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// web@10.1.2.3
    Ip,
    /// web@10-1-2-3.prod.pod.cluster.local
    Dns,
    /// web@10-1-2-3.web.prod.svc.cluster.local
    Srv,
    /// web@web-0.web.prod.svc.cluster.local, of a StatefulSet
    Hostname,
    /// web@web-6c97-6lxfk.web.prod.svc.cluster.local
    Pod,
}

impl Mode {
    /// Whether the names hold the Service's.
    pub(crate) fn has_service(self) -> bool {
        matches!(self, Self::Srv | Self::Hostname | Self::Pod)
    }
}

/// The word for a value, as flags, topologies and the API have it.
pub(crate) fn word(value: &impl ValueEnum) -> String {
    let possible = value.to_possible_value();
    let possible = possible.expect("no value is left out of the flags");
    possible.get_name().to_owned()
}

/// What runs in the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `enmesh run`: a Rust member.
    Member,
    /// A BEAM of the user's, steered by `enmesh agent` as a native sidecar.
    Agent,
}

/// How peers are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lookup {
    /// The Service's EndpointSlices, watched.
    Endpointslices,
    /// The Service's Endpoints, watched.
    Endpoints,
    /// The pods themselves, watched.
    Pods,
    /// The first of these three that may be read and tells somebody.
    Auto,
    /// The Service's addresses, asked of DNS: no Role.
    Dns,
    /// The Service's SRV records, asked of DNS: no Role.
    Srv,
}

impl Lookup {
    /// Whether the Kubernetes API is read, and a Role needed.
    pub(crate) fn asks_api(self) -> bool {
        !matches!(self, Self::Dns | Self::Srv)
    }
}

/// How nodes learn each other's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Epmd {
    /// The node's own: the one inside of a member, or the BEAM's.
    Own,
    /// `enmesh epmd` beside the node, as a native sidecar.
    Sidecar,
    /// No epmd: every node listens on [`DIST_PORT`].
    None,
}

impl Epmd {
    /// Whether somebody listens on [`EPMD_PORT`].
    pub(crate) fn listens(self) -> bool {
        self != Self::None
    }
}

/// Where certificates come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Certificates {
    /// The Secret NAME-tls with tls.crt, tls.key and ca.crt.
    Secret,
    /// cert-manager's CSI driver: one for each pod.
    CertManager,
}

/// The user's own container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct App {
    /// Its image.
    pub(crate) image: String,
    /// Its command, or none for that of the image.
    pub(crate) command: Vec<String>,
    /// Who it runs as, or none for whom the image names.
    pub(crate) user: Option<u32>,
    /// The ports that it serves.
    pub(crate) ports: Vec<u16>,
}

/// What a set of manifests is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The name of every object, and of the nodes before the `@`.
    pub(crate) name: String,
    /// The headless Service.
    pub(crate) service: String,
    /// Where it is deployed.
    pub(crate) namespace: String,
    /// The labels by which the pods are found, all of them.
    pub(crate) selector: BTreeMap<String, String>,
    /// What the nodes are called.
    pub(crate) mode: Mode,
    /// What runs in the pods.
    pub(crate) kind: Kind,
    /// How peers are looked for.
    pub(crate) lookup: Lookup,
    /// How ports are learned.
    pub(crate) epmd: Epmd,
    /// Whether links run over TLS, and with whose certificates.
    pub(crate) tls: Option<Certificates>,
    /// The image of enmesh.
    pub(crate) image: String,
    /// When it is pulled, or none for the default of Kubernetes.
    pub(crate) pull_policy: Option<PullPolicy>,
    /// The user's container, of kind `agent`.
    pub(crate) app: App,
    /// Whether the pods are those of somebody else's workload, so that only what it needs around it is made.
    pub(crate) around_only: bool,
    /// The port of the API server behind its Service.
    pub(crate) api_port: u16,
    /// How many pods.
    pub(crate) replicas: u32,
    /// How many peers a ready pod has at least.
    pub(crate) min_peers: Option<u32>,
    /// The cluster's domain, where it is not found in the pod.
    pub(crate) cluster_domain: Option<String>,
    /// Whether the log is JSON.
    pub(crate) json_log: bool,
    /// The cookie of a Secret that is part of the manifests.
    pub(crate) cookie: Option<String>,
}

/// When the kubelet pulls an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum PullPolicy {
    /// Each time.
    Always,
    /// Where the node has none.
    IfNotPresent,
    /// The node has it, or the pod does not start.
    Never,
}

/// What cannot be deployed as it was asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// Kubernetes would refuse the name.
    #[error(
        "--{flag} {value:?} cannot be a name: allowed are 1 to {longest} of a-z, 0-9 and -, with a letter \
         first and no - at the end"
    )]
    Name {
        /// Which one.
        flag: &'static str,
        /// What was given.
        value: String,
        /// How long it may be.
        longest: usize,
    },
    /// Kubernetes would refuse the name of an account or a Secret.
    #[error(
        "--{flag} {value:?} cannot be the name of an object: allowed are 1 to 253 of a-z, 0-9, - and ., with a letter \
         or digit at both ends"
    )]
    ObjectName {
        /// Which one.
        flag: &'static str,
        /// What was given.
        value: String,
    },
    /// Kubernetes would refuse the key.
    #[error(
        "--secret-key {value:?} cannot be a key of a Secret: allowed are letters, digits, -, _ and ."
    )]
    SecretKey {
        /// What was given.
        value: String,
    },
    /// No host can be in such a domain.
    #[error(
        "--cluster-domain {value:?} cannot be a domain: allowed are parts of a-z, 0-9 and - with dots between them, as \
         in cluster.local"
    )]
    Domain {
        /// What was given.
        value: String,
    },
    /// Two containers of a pod would be called the same.
    #[error(
        "--name {name} is what enmesh's own container is called, in the same pod; take another"
    )]
    ContainerTaken {
        /// What was given.
        name: String,
    },
    /// No registry has an image of this name.
    #[error(
        "--{flag} {value:?} cannot be an image: allowed is REGISTRY/PATH:TAG@DIGEST, of which PATH is enough, with a-z \
         and 0-9, and ., _ or - between them, as in registry.example.org/web:1"
    )]
    NotAnImage {
        /// Which one.
        flag: &'static str,
        /// What was given.
        value: String,
    },
    /// A command begins with a program.
    #[error(
        "--app-command names no program: its first word is empty; leave it out where the image's own command is meant"
    )]
    NoProgram,
    /// A label can have one value.
    #[error("--selector has two values for {key}; a label has one")]
    LabelTwice {
        /// The label.
        key: String,
    },
    /// There is no image of this name.
    #[error("--image is empty: give the name that your registry has for the image of enmesh")]
    NoImage,
    /// The port is one that enmesh or the distribution listens on.
    #[error("--app-port {port} is {whose} already; let your program serve another")]
    PortTaken {
        /// The port.
        port: u16,
        /// Who listens there.
        whose: &'static str,
    },
    /// The lookup finds nodes by other names than they have.
    #[error(
        "{what} never finds nodes of --mode {}: it names them otherwise; {next}",
        word(mode)
    )]
    LookupOfOtherNames {
        /// The lookup.
        what: &'static str,
        /// The mode.
        mode: Mode,
        /// What would do.
        next: &'static str,
    },
    /// No certificate can be for the names of all pods.
    #[error(
        "--tls needs names that a certificate can be for, and --mode {} makes names of addresses that nobody knows \
         beforehand; take {next}",
        word(mode)
    )]
    NoCertificate {
        /// The mode.
        mode: Mode,
        /// What would do.
        next: &'static str,
    },
    /// There is nothing to steer.
    #[error("--kind agent steers a node of yours: give its image with --app-image")]
    NoApp,
    /// A member is all there is.
    #[error(
        "--app-image, --app-command, --app-user and --app-port are for --kind agent: a member is the program \
         itself"
    )]
    AppOfMember,
}

impl Settings {
    /// Whether all of it fits together.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        host_name("name", &self.name, MAX_NAME)?;
        host_name("service", &self.service, MAX_LABEL)?;
        host_name("namespace", &self.namespace, MAX_LABEL)?;
        self.cluster_domain.as_deref().map_or(Ok(()), domain)?;
        self.check_lookup()?;
        self.check_certificates()?;
        if self.kind == Kind::Member && self.app != App::default() {
            return Err(SettingsError::AppOfMember);
        }
        if self.image.trim().is_empty() {
            return Err(SettingsError::NoImage);
        }
        image("image", &self.image)?;
        if !self.app.image.is_empty() {
            image("app-image", &self.app.image)?;
        }
        let program = self.app.command.first();
        if program.is_some_and(|program| program.trim().is_empty()) {
            return Err(SettingsError::NoProgram);
        }
        self.check_container()?;
        self.check_ports()
    }

    /// The user's container, where we make it, is called as the nodes are, and the others of the pod must not be.
    fn check_container(&self) -> Result<(), SettingsError> {
        let name = self.name.as_str();
        let is_taken = match name {
            CONTAINER | INSTALLER => true,
            EPMD_CONTAINER => self.epmd == Epmd::Sidecar,
            _ => false,
        };
        if is_taken && !self.app.image.is_empty() {
            let name = name.to_owned();
            return Err(SettingsError::ContainerTaken { name });
        }
        Ok(())
    }

    fn check_ports(&self) -> Result<(), SettingsError> {
        let whose = |port| match port {
            HTTP_PORT => Some("the port of enmesh's probes"),
            EPMD_PORT if self.epmd.listens() => Some("the port of epmd"),
            DIST_PORT => Some("the port of the distribution"),
            DIST_PORT..=LAST_DIST_PORT if self.epmd.listens() => {
                Some("a port of the distribution (9100 to 9109)")
            }
            _ => None,
        };
        let mut ports = self.app.ports.iter();
        let taken = ports.find_map(|&port| Some((port, whose(port)?)));
        match taken {
            Some((port, whose)) => Err(SettingsError::PortTaken { port, whose }),
            None => Ok(()),
        }
    }

    fn check_lookup(&self) -> Result<(), SettingsError> {
        let (what, next) = match (self.lookup, self.mode) {
            (Lookup::Dns, mode) if mode != Mode::Ip => (
                "--lookup dns",
                "take --mode ip, or --lookup srv with --mode srv",
            ),
            (Lookup::Srv, Mode::Ip | Mode::Dns) => (
                "--lookup srv",
                "take --mode srv, hostname or pod, or --lookup dns with --mode ip",
            ),
            _ => return Ok(()),
        };
        let mode = self.mode;
        Err(SettingsError::LookupOfOtherNames { what, mode, next })
    }

    fn check_certificates(&self) -> Result<(), SettingsError> {
        let next = match (self.tls, self.mode) {
            (Some(_), Mode::Ip) => "--mode hostname",
            (Some(Certificates::CertManager), Mode::Dns | Mode::Srv) => "--mode hostname or pod",
            _ => return Ok(()),
        };
        let mode = self.mode;
        Err(SettingsError::NoCertificate { mode, next })
    }

    /// Whether the pods are those of a StatefulSet.
    pub(crate) fn is_stateful(&self) -> bool {
        self.mode == Mode::Hostname
    }

    /// Whether a NetworkPolicy is made. Around pods of somebody else's it would cut off whom they serve, unless their ports are
    /// said, and of a member's pods there is none to say.
    pub(crate) fn has_policy(&self) -> bool {
        !self.around_only || !self.app.ports.is_empty()
    }

    /// What of a BEAM's name and flags no manifest can hold, so that its node must ask `enmesh env`.
    pub(crate) fn left_to_env(&self) -> Option<String> {
        let names = format!("names of --mode {}", word(&self.mode));
        let has_names = matches!(self.mode, Mode::Dns | Mode::Srv);
        match (has_names, self.epmd) {
            (true, Epmd::None) => Some(format!("{names} and the flags of --epmd none")),
            (true, _) => Some(names),
            (false, Epmd::None) => Some("the flags of --epmd none".to_owned()),
            (false, _) => None,
        }
    }

    /// Why no pod of so many would ever be ready, if there is nobody else in the cluster.
    pub(crate) fn too_few(&self, replicas: u32) -> Option<String> {
        let peers = self.min_peers.unwrap_or_default();
        let are_few = replicas > 0 && replicas <= peers;
        are_few.then(|| {
            format!(
                "each of {replicas} pods has {} of the --min-peers {peers} that it waits for, so none is ready before others are in \
                 the cluster; take more replicas, or a smaller --min-peers",
                replicas - 1
            )
        })
    }

    /// The cluster's domain, where the text must spell it.
    pub(crate) fn domain(&self) -> &str {
        self.cluster_domain.as_deref().unwrap_or("cluster.local")
    }

    /// The name of the Secret that holds the cookie.
    pub(crate) fn cookie_secret(&self) -> String {
        format!("{}-cookie", self.name)
    }

    /// The name of the Secret that holds the certificates; cert-manager's Issuer is called as the nodes are.
    pub(crate) fn certificates_secret(&self) -> String {
        format!("{}-tls", self.name)
    }

    /// The topology by which peers are found. `$(POD_NAMESPACE)` is put in by the kubelet.
    pub(crate) fn topology(&self) -> String {
        let (name, service, mode) = (&self.name, &self.service, word(&self.mode));
        let epmd_less = self.epmd == Epmd::None;
        match self.lookup {
            Lookup::Dns => {
                format!("strategy=kubernetes_dns service={service} application_name={name}")
            }
            Lookup::Srv => {
                let port = if epmd_less { " port=srv" } else { "" };
                format!(
                    "strategy=kubernetes_dns_srv service=_dist._tcp.{service} namespace=$(POD_NAMESPACE) \
                     application_name={name}{port}"
                )
            }
            lookup => {
                let selector = match lookup {
                    Lookup::Pods | Lookup::Auto => {
                        format!(" kubernetes_selector={}", self.labels())
                    }
                    _ => String::new(),
                };
                let service = match lookup {
                    Lookup::Pods if !self.mode.has_service() => String::new(),
                    _ => format!(" kubernetes_service_name={service}"),
                };
                let port = match epmd_less {
                    true => format!(" port={DIST_PORT}"),
                    false => String::new(),
                };
                format!(
                    "strategy=kubernetes kubernetes_ip_lookup_mode={}{selector}{service} mode={mode}{port}",
                    word(&lookup)
                )
            }
        }
    }

    fn labels(&self) -> String {
        let labels: Vec<String> = self
            .selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        labels.join(",")
    }
}

impl Lookup {
    /// What is taken where nobody says.
    pub(crate) fn of_mode(mode: Mode) -> Self {
        match mode {
            Mode::Srv => Self::Srv,
            _ => Self::Endpointslices,
        }
    }
}
