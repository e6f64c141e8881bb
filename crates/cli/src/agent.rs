//! `enmesh agent`: steers a BEAM node that runs beside us, until a signal.

use std::net::IpAddr;

use clap::Args;
use enmesh::{EpmdMode, NodeName, Steering};
use enmesh_agent::{Agent, AgentBuilder};

use crate::config::{
    ConfigError, ConfigErrors, CookieSource, Environment, Flags, Layer, NameFlags, Origin,
    ReachFlags, RunConfig, WatchFlags, load_cookie,
};
use crate::exit::Failure;
use crate::http::Http;
use crate::reload::{Reloads, Seen};
use crate::service;

/// What `agent` takes. Values stay texts here: flags, environment and file are parsed on one road.
#[derive(Args, Debug)]
#[command(
    mut_arg("name", |arg| arg.long("node").visible_alias("name").help(
        "The full name of the node that is steered, as in web@10.1.2.3 [default: RELEASE_NODE]"
    )),
    mut_arg("name_mode", |arg| arg.help(
        "Make the part of the name after the @ of what the pod knows of itself: ip, dns, srv, \
         hostname or pod; --node is the part before it then [default: whole]"
    )),
    mut_arg("cookie_file", |arg| arg.help("The file that holds the node's cookie")),
    mut_arg("epmd", |arg| arg.help(
        "none: the node listens on --dist-port and epmd knows nothing of it; else epmd is asked"
    )),
    mut_arg("epmd_port", |arg| arg.help("The port of epmd [default: 4369]")),
    mut_arg("dist_port", |arg| arg.help(
        "The port that the node listens on, where there is no epmd"
    )),
    mut_arg("net_ticktime", |arg| arg.help(
        "After how many seconds a silent node is taken for dead [default: 60]"
    )),
    mut_arg("tls_cert_file", |arg| arg.help(
        "Our certificate: we talk to the node over TLS then, as with -proto_dist inet_tls"
    )),
    mut_arg("tls_ca_file", |arg| arg.help(
        "The certificates of the authorities that sign the node's"
    )),
)]
#[command(after_help = "\
The node needs no code for it: the agent is a hidden neighbour, which listens nowhere and is in no
epmd. It looks for the node on loopback, then at --pod-ip, then where its name says, and waits for
it without limit. Settings come from the same places as those of `enmesh run`; those about listening
do not count. Every key of the file is in enmesh.example.toml.

The node's name is the first of: --node, ENMESH_NAME, the file's name, RELEASE_NODE. The cookie is
read from the first of: --cookie-file, ENMESH_COOKIE_FILE, the file's cookie_file, the variable
RELEASE_COOKIE, ~/.erlang.cookie. A file is read again and again, and the node's cookie follows it.

SIGTERM and SIGINT end the agent and touch no link. When the node itself is about to end (its pod
terminates, or its process enmesh_agent is sent `leave`), nobody is connected any more; with
--on-leave disconnect its links are closed, all together.

Examples:
  enmesh agent --node web@10.1.2.3 --topology 'strategy=epmd hosts=web@10.1.2.4'
  enmesh agent --config /etc/enmesh/enmesh.toml --log-format json

Exit codes: 0 ended by a signal, 64 wrong usage, 78 wrong configuration, 1 anything else.")]
pub(crate) struct AgentOptions {
    #[command(flatten)]
    name: NameFlags,
    /// The address of the pod, where the node is if not on loopback [default: POD_IP].
    #[arg(long, value_name = "ADDR")]
    pod_ip: Option<IpAddr>,
    #[command(flatten)]
    reach: ReachFlags,
    #[command(flatten)]
    watch: WatchFlags,
    /// What becomes of the node's links when it is about to end: stay or disconnect
    /// [default: stay].
    #[arg(long, value_name = "WHAT")]
    on_leave: Option<String>,
}

impl AgentOptions {
    /// The configuration, of all roads, as they are now.
    fn read(&self, environment: &Environment) -> Result<RunConfig, ConfigErrors> {
        let flags = Flags {
            settings: self.layer(),
            topologies: self.watch.topologies(),
            cookies: &[],
        };
        let with_address = self
            .pod_ip
            .map(|address| environment.clone().with("POD_IP", address.to_string()));
        let environment = with_address.as_ref().unwrap_or(environment);
        flags.read(self.name.config(), environment)
    }

    fn layer(&self) -> Layer {
        let mut layer = self.name.layer();
        layer.extend(self.reach.layer());
        layer.extend(self.watch.layer());
        layer.extend(Flags::layer([("on_leave", &self.on_leave)]));
        layer
    }
}

/// Steers the node until a signal has ended us.
pub(crate) fn run(options: &AgentOptions, environment: &Environment) -> Result<(), Failure> {
    let seen = Seen::look(options.name.config());
    let config = options.read(environment)?;
    let say = |failure: &Failure| tracing::error!(error = %failure, "agent failed");
    service::serve(config, say, async |config| {
        let read = || options.read(environment);
        let reloads = Reloads::listen(seen, &config, read)?;
        let http = Http::of(&config, false);
        let node = node_name(&config, environment)?;
        let agent = agent(&config, node.clone(), options, environment)?;
        tracing::info!(%node, "agent started");
        let starting = async {
            let steering = Steering::builder(node)
                .epmd_port(config.epmd_port)
                .prune(config.prune)
                .on_leave(config.on_leave);
            let steering = config
                .topologies
                .into_iter()
                .fold(steering, enmesh::SteeringBuilder::topology);
            let started = steering.start(agent.start());
            started.map_err(|error| Failure::Start { error })
        };
        service::attend(starting, reloads, http, false).await
    })
}

fn agent(
    config: &RunConfig,
    node: NodeName,
    options: &AgentOptions,
    environment: &Environment,
) -> Result<AgentBuilder, ConfigErrors> {
    let cookie = load_cookie(&config.cookie, environment)?;
    let mut agent = Agent::builder(node, cookie)
        .epmd_port(config.epmd_port)
        .net_ticktime(config.net_ticktime);
    if let CookieSource::File { path, .. } = &config.cookie {
        agent = agent.cookie_file(path);
    }
    let pod_ip = match options.pod_ip {
        Some(address) => Some(address),
        None => pod_ip(environment)?,
    };
    if let Some(address) = pod_ip {
        agent = agent.pod_ip(address);
    }
    if config.epmd == EpmdMode::None {
        agent = agent.fixed_port(config.dist_port);
    }
    if let Some(tls) = &config.tls {
        agent = agent.tls(tls.clone());
    }
    Ok(agent)
}

/// The pod's address, as Kubernetes tells it.
pub(crate) fn pod_ip(environment: &Environment) -> Result<Option<IpAddr>, ConfigErrors> {
    let Some(text) = environment.get_filled("POD_IP") else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        ConfigError::BadValue {
            origin: Origin::Variable("POD_IP"),
            key: "pod_ip".to_owned(),
            value: format!("{text:?}"),
            reason: "it is no IP address".to_owned(),
            allowed: "an address, as in 10.1.2.3: status.podIP of the pod".to_owned(),
        }
        .into()
    })
}

/// The name of the node that is meant, as the settings or the release's own variable have it.
pub(crate) fn node_name(
    config: &RunConfig,
    environment: &Environment,
) -> Result<NodeName, ConfigErrors> {
    if let Some(name) = &config.name {
        return Ok(name.clone());
    }
    let missing = ConfigError::Missing {
        what: "the node's name",
        next: "give --name or --node app@10.0.0.1, ENMESH_NAME, RELEASE_NODE or name in the file",
    };
    let Some(text) = environment.get_filled("RELEASE_NODE") else {
        return Err(missing.into());
    };
    let parsed = if text.contains('@') {
        text.parse()
    } else {
        // A release with short names adds the host by itself.
        NodeName::new(text, &short_host())
    };
    parsed.map_err(|error| {
        ConfigError::BadValue {
            origin: Origin::Variable("RELEASE_NODE"),
            key: "name".to_owned(),
            value: format!("{text:?}"),
            reason: error.to_string(),
            allowed: "alive@host, as in web@10.1.2.3".to_owned(),
        }
        .into()
    })
}

/// The name of this machine up to its first dot.
fn short_host() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    name.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(node: Option<&str>, release_node: &str, wanted: Result<&str, &str>) {
        let flags = Flags {
            settings: Flags::layer([("name", &node.map(str::to_owned))]),
            ..Flags::default()
        };
        let environment: Environment = [("RELEASE_NODE".to_owned(), release_node.to_owned())]
            .into_iter()
            .collect();
        let config = flags.read(None, &environment);
        match (node_name(&config.unwrap(), &environment), wanted) {
            (Ok(name), Ok(wanted)) => assert_eq!(name.as_str(), wanted),
            (Err(error), Err(wanted)) => {
                let text = error.to_string();
                assert!(text.contains(wanted), "{text}");
            }
            (found, wanted) => panic!("{found:?}, wanted {wanted:?}"),
        }
    }

    #[test]
    fn a_pods_address_that_is_none_is_said() {
        let with = |text: &str| {
            let variable = ("POD_IP".to_owned(), text.to_owned());
            pod_ip(&[variable].into_iter().collect())
        };
        assert_eq!(with("10.1.2.3").unwrap(), "10.1.2.3".parse().ok());
        assert_eq!(with("").unwrap(), None);
        let error = with("$(POD_IP)").unwrap_err().to_string();
        assert!(error.contains("POD_IP"), "{error}");
    }

    #[test]
    fn the_node_is_the_one_named_or_the_releases_own() {
        check(Some("a@10.0.0.1"), "b@10.0.0.2", Ok("a@10.0.0.1"));
        check(None, "b@10.0.0.2", Ok("b@10.0.0.2"));
        check(None, "web", Ok(&format!("web@{}", short_host())));
        check(None, "", Err("RELEASE_NODE"));
        check(None, "a@b@c", Err("RELEASE_NODE"));
    }
}
