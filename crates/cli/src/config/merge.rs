//! The three roads become one configuration.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use enmesh::{Allowed, AutoConnect, EpmdMode, OnLeave, Prune, TlsConfig};
use enmesh_discovery::{PodFact, PodNameError, TopologyConfig};
use enmesh_identity::NodeName;
use tracing_subscriber::filter::LevelFilter;

use super::cookie::CookieSource;
use super::environment::Environment;
use super::error::{ConfigError, ConfigErrors, Origin};
use super::file::{FileLayer, read_file};
use super::peer_cookie::{self, PeerCookie};
use super::pod_name::{self, PodName};
use super::setting::{self, KEYS, Key, LogFormat, TOPOLOGY_VARIABLE};
use super::topology;

/// A setting as it was written, with where that was.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

impl Raw {
    pub(crate) fn new(text: String, origin: Origin) -> Self {
        Self { text, origin }
    }
}

/// The settings that one road gave, by key.
pub(crate) type Layer = BTreeMap<&'static str, Raw>;

/// What a member is to do: everything parsed, defaults filled in.
#[derive(Debug)]
pub(crate) struct RunConfig {
    /// Our full name; only `run` cannot do without it.
    pub(crate) name: Option<NodeName>,
    /// What the name was made of, where it was not given whole.
    pub(crate) pod_name: Option<PodName>,
    pub(crate) cookie: CookieSource,
    pub(crate) cookies: Vec<PeerCookie>,
    /// Who may have a link with us, with the entries as they were written; `None` for everybody.
    pub(crate) allow: Option<(Allowed, Vec<String>)>,
    pub(crate) visible: bool,
    pub(crate) listen: IpAddr,
    pub(crate) dist_port: u16,
    pub(crate) epmd: EpmdMode,
    pub(crate) epmd_port: u16,
    pub(crate) net_ticktime: Duration,
    pub(crate) net_tickintensity: u32,
    pub(crate) dist_auto_connect: AutoConnect,
    pub(crate) echo: bool,
    pub(crate) tls: Option<TlsConfig>,
    /// Where `/livez` and `/readyz` are served, if anywhere.
    pub(crate) http_listen: Option<SocketAddr>,
    /// How many peers must be connected for us to be ready.
    pub(crate) min_peers: u32,
    pub(crate) prune: Prune,
    /// What an agent does with its node's links when the node is about to end.
    pub(crate) on_leave: OnLeave,
    /// The command that is run for each nodeup and nodedown, with its arguments.
    pub(crate) on_event: Option<Vec<String>>,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: LevelFilter,
    pub(crate) topologies: Vec<TopologyConfig>,
}

/// The settings of all roads, the strongest first, not parsed yet.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    settings: Layer,
    topologies: Vec<TopologyConfig>,
    cookies: Vec<PeerCookie>,
    errors: Vec<ConfigError>,
}

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Flags<'a> {
    /// The settings with one value.
    pub(crate) settings: Layer,
    /// Topology strings.
    pub(crate) topologies: &'a [String],
    /// Cookies for single peers, as `NODE=FILE`.
    pub(crate) cookies: &'a [String],
}

impl Flags<'_> {
    /// The layer of these flags; those that were not given are not in it.
    pub(crate) fn layer<const N: usize>(flags: [(&'static str, &Option<String>); N]) -> Layer {
        flags
            .into_iter()
            .filter_map(|(key, text)| Some((key, Raw::new(text.clone()?, Origin::Flag))))
            .collect()
    }

    /// What they, the environment and the file, if there is one, come to now.
    pub(crate) fn read(
        self,
        file: Option<&Path>,
        environment: &Environment,
    ) -> Result<RunConfig, ConfigErrors> {
        self.merge(file, environment)?.read(environment)
    }

    /// The same, not parsed yet.
    pub(crate) fn merge(
        self,
        file: Option<&Path>,
        environment: &Environment,
    ) -> Result<Merged, ConfigErrors> {
        let file = file.map(|path| read_file(path, environment)).transpose()?;
        Ok(Merged::new(self, environment, file))
    }
}

impl Merged {
    /// Flags over environment over file. Topologies are replaced as a whole: those of the
    /// command line, else those of the environment, else the file's.
    pub(crate) fn new(
        flags: Flags<'_>,
        environment: &Environment,
        file: Option<FileLayer>,
    ) -> Self {
        let file = file.unwrap_or_default();
        let mut errors = file.errors;
        let mut settings = file.settings;
        settings.extend(environment_layer(environment));
        settings.extend(flags.settings);
        let cookies = peer_cookie::merge(file.cookies, flags.cookies, environment, &mut errors);
        let mut topologies = Vec::new();
        let from_strings = strings_of(flags.topologies, environment);
        if from_strings.is_empty() {
            topologies = file.topologies;
        }
        for (text, origin) in from_strings {
            match topology::of_string(&text, &origin, &topologies) {
                Ok(topology) => topologies.push(topology),
                Err(error) => errors.push(error),
            }
        }
        Self {
            settings,
            topologies,
            cookies,
            errors,
        }
    }

    /// A setting as it was written, if it was given.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(|raw| raw.text.as_str())
    }

    /// Parses every setting.
    ///
    /// # Errors
    /// With everything that is wrong, not only the first.
    pub(crate) fn read(self, environment: &Environment) -> Result<RunConfig, ConfigErrors> {
        let mut reader = Reader {
            settings: self.settings,
            errors: self.errors,
        };
        let (name, pod_name) = reader.name(environment);
        let address = pod_name.as_ref().and_then(|it| it.facts.address());
        let listen = reader.optional("listen", setting::address);
        let cookie_file = reader.optional("cookie_file", setting::path);
        let cookie_origin = reader.settings.get("cookie_file").map(|raw| &raw.origin);
        let cookie = CookieSource::choose(cookie_file.zip(cookie_origin), environment);
        let config = RunConfig {
            listen: listen.unwrap_or_else(|| any_address(name.as_ref(), address)),
            name,
            pod_name,
            cookie,
            cookies: self.cookies,
            allow: reader.optional("allow", setting::allow),
            visible: reader.or("visible", true, setting::switch),
            dist_port: reader.or("dist_port", 0, setting::port_or_any),
            epmd: reader.or("epmd", EpmdMode::default(), str::parse),
            epmd_port: reader.or("epmd_port", enmesh_epmd::DEFAULT_PORT, setting::port),
            net_ticktime: reader.or(
                "net_ticktime",
                Duration::from_secs(60),
                setting::net_ticktime,
            ),
            net_tickintensity: reader.or("net_tickintensity", 4, setting::net_tickintensity),
            dist_auto_connect: reader.or(
                "dist_auto_connect",
                AutoConnect::default(),
                setting::auto_connect,
            ),
            echo: reader.or("echo", false, setting::switch),
            tls: reader.tls(),
            http_listen: reader.optional("http.listen", setting::socket_address),
            min_peers: reader.or("min_peers", 0, setting::min_peers),
            prune: reader.or("prune", Prune::default(), str::parse),
            on_leave: reader.or("on_leave", OnLeave::default(), str::parse),
            on_event: reader.optional("on_event", setting::command),
            log_format: reader.or("log_format", LogFormat::Text, str::parse),
            log_level: reader.or("log_level", LevelFilter::INFO, setting::log_level),
            topologies: self.topologies,
        };
        if config.epmd == EpmdMode::None {
            reader.check_shared_port();
        }
        if reader.errors.is_empty() {
            Ok(config)
        } else {
            Err(ConfigErrors(reader.errors))
        }
    }
}

struct Reader {
    settings: Layer,
    errors: Vec<ConfigError>,
}

impl Reader {
    /// The certificates, if there are any: then all three files are needed.
    fn tls(&mut self) -> Option<TlsConfig> {
        const FILES: [&str; 3] = ["tls.cert_file", "tls.key_file", "tls.ca_file"];
        let [cert, key, ca] = FILES.map(|name| self.optional(name, setting::path));
        let verify_client = self.optional("tls.verify_client", setting::switch);
        if let (Some(cert), Some(key), Some(ca)) = (cert, key, ca) {
            let config = TlsConfig::new(cert, key, ca);
            return Some(config.verify_client(verify_client.unwrap_or(true)));
        }
        let is_given = |name: &&str| self.settings.contains_key(name);
        let given = FILES
            .iter()
            .chain(&["tls.verify_client"])
            .copied()
            .find(|name| is_given(name));
        let missing = FILES.iter().copied().find(|name| !is_given(name));
        if let (Some(given), Some(missing)) = (given, missing) {
            let reason = format!("{missing} is not set");
            self.refuse(given, &reason, key_of(given).allowed);
        }
        None
    }

    /// Whether there is the port that all nodes listen on where there is no epmd. One that could not be
    /// read is told already.
    fn check_shared_port(&mut self) {
        let given = self.settings.get("dist_port");
        let reason = match given.map(|raw| setting::port_or_any(&raw.text)) {
            None => {
                "dist_port is not set, and without epmd every node of the cluster listens on it"
            }
            Some(Ok(0)) => {
                "dist_port is 0, any free one, and without epmd every node of the cluster listens on the same"
            }
            Some(_) => return,
        };
        let allowed = "none with --dist-port PORT, ERL_DIST_PORT or dist_port, from 1 to 65535; system or embedded";
        self.refuse("epmd", reason, allowed);
    }

    /// Our full name, with what it was made of if it was not given whole.
    fn name(&mut self, environment: &Environment) -> (Option<NodeName>, Option<PodName>) {
        let mode = match self.optional("name_mode", setting::name_mode) {
            Some(Some(mode)) => mode,
            // What the name should be is not known then.
            None if self.settings.contains_key("name_mode") => return (None, None),
            Some(None) | None => return (self.optional("name", str::parse::<NodeName>), None),
        };
        let text = |key: &str| self.settings.get(key).map(|raw| raw.text.as_str());
        if text("name").is_some_and(|name| name.contains('@')) {
            let reason = "this is a whole name, and name_mode makes the part after the @";
            self.refuse("name", reason, pod_name::BASENAME_ALLOWED);
            return (None, None);
        }
        match PodName::make(mode, text("name"), text("service"), environment) {
            Ok(made) => (Some(made.name.clone()), Some(made)),
            Err(ConfigError::PodName(PodNameError::Malformed {
                fact: PodFact::Service,
                ..
            })) => {
                self.refuse(
                    "service",
                    "no Service is called so",
                    key_of("service").allowed,
                );
                (None, None)
            }
            Err(error) => {
                self.errors.push(error);
                (None, None)
            }
        }
    }

    fn optional<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(&self.settings.get(name)?.text) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.refuse(name, &reason.to_string(), key_of(name).allowed);
                None
            }
        }
    }

    /// Says what is wrong with a setting that was given.
    fn refuse(&mut self, name: &'static str, reason: &str, allowed: &str) {
        let raw = &self.settings[name];
        self.errors.push(ConfigError::BadValue {
            origin: raw.origin.clone(),
            key: name.to_owned(),
            value: format!("{:?}", raw.text),
            reason: reason.to_owned(),
            allowed: allowed.to_owned(),
        });
    }

    fn or<T, E: Display>(
        &mut self,
        name: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> T {
        self.optional(name, parse).unwrap_or(default)
    }
}

fn key_of(name: &str) -> &'static Key {
    KEYS.iter()
        .find(|key| key.name == name)
        .expect("every setting that is read has its key")
}

/// Every address of the family that the host part spells, or of the pod's `address` where the name
/// was made of that; IPv4 otherwise, as a BEAM does.
fn any_address(name: Option<&NodeName>, address: Option<IpAddr>) -> IpAddr {
    match name.and_then(|name| name.host().as_ip()).or(address) {
        Some(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}

fn environment_layer(environment: &Environment) -> Layer {
    let mut layer = Layer::new();
    for key in &KEYS {
        let found = key
            .variables
            .iter()
            .find_map(|&variable| Some((variable, environment.get_filled(variable)?)))
            .filter(|(variable, text)| !is_service_link(variable, text));
        if let Some((variable, text)) = found {
            layer.insert(
                key.name,
                Raw {
                    text: text.to_owned(),
                    origin: Origin::Variable(variable),
                },
            );
        }
    }
    layer
}

/// Kubernetes sets `ENMESH_EPMD_PORT=tcp://10.0.0.1:4369` in every pod beside a Service called
/// `enmesh-epmd`; that is no setting of ours.
fn is_service_link(variable: &str, text: &str) -> bool {
    variable.ends_with("_PORT") && text.contains("://")
}

fn strings_of(flags: &[String], environment: &Environment) -> Vec<(String, Origin)> {
    if !flags.is_empty() {
        return flags
            .iter()
            .map(|text| (text.clone(), Origin::Flag))
            .collect();
    }
    environment
        .get_filled(TOPOLOGY_VARIABLE)
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| !line.trim().is_empty())
        .map(|line| (line.to_owned(), Origin::Variable(TOPOLOGY_VARIABLE)))
        .collect()
}
