//! A short visit to one node: what a command asks of a member or a BEAM that runs already.

mod absent;

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use enmesh::{Builder, ConnectError, Node, NodeName, RpcError, Term};
use enmesh_identity::PeerAddr;

use crate::agent;
use crate::config::{Environment, Flags, NameFlags, ReachFlags, RunConfig, load_cookie};
use crate::exit::Failure;
use crate::run::secured;

pub(crate) use absent::Absent;

/// How long a node may take to answer what it is asked.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Which node is visited, and how it is reached.
#[derive(Args, Debug)]
#[command(
    mut_arg("config", |arg| arg.help(
        "The configuration file that the node, or its agent, runs with"
    )),
    mut_arg("name", |arg| arg.visible_alias("node").help(
        "The node's full name [default: ENMESH_NAME, RELEASE_NODE or the file's name]"
    )),
    mut_arg("epmd", |arg| arg.help(
        "system or embedded: ask epmd for the node's port; none: it listens on --dist-port \
         [default: embedded]"
    )),
    mut_arg("epmd_port", |arg| arg.help("The port of epmd [default: 4369]")),
    mut_arg("dist_port", |arg| arg.help("The port that the node listens on, without epmd")),
)]
pub(crate) struct VisitOptions {
    #[command(flatten)]
    name: NameFlags,
    #[command(flatten)]
    reach: ReachFlags,
}

impl VisitOptions {
    /// Flag over environment over file, as for the node itself.
    pub(crate) fn read(
        &self,
        environment: &Environment,
        topologies: &[String],
    ) -> Result<RunConfig, Failure> {
        let mut settings = self.name.layer();
        settings.extend(self.reach.layer());
        let flags = Flags {
            settings,
            topologies,
            ..Flags::default()
        };
        Ok(flags.read(self.name.config(), environment)?)
    }
}

/// Why a node could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VisitError {
    /// It cannot be reached at any of its addresses.
    #[error("cannot reach {node}: {tried}; does it run, and is the cookie its own?")]
    Unreachable {
        /// The node.
        node: NodeName,
        /// Where it was tried, and what came of it.
        tried: String,
        /// What that says of it.
        state: Absent,
    },
    /// Its host part leaves no room for a name of ours.
    #[error("the host part of {node} is too long for a visit")]
    LongHost {
        /// The node.
        node: NodeName,
    },
    /// Nobody can be found.
    #[error("there is no topology to join; give --topology, or [[topology]] in the file")]
    NoTopology,
    /// There are not so many peers in time.
    #[error("{seen}; {why}")]
    TooFew {
        /// Who is there.
        seen: String,
        /// What is in the way, as far as that is known.
        why: String,
    },
    /// It was reached and did not answer.
    #[error("{node} does not answer: {error}")]
    NoAnswer {
        /// The node.
        node: NodeName,
        /// What came instead.
        error: RpcError,
    },
    /// It was told to leave and is still there.
    #[error("{node} was told to leave and is still there after {after:?}; its log says more")]
    StillThere {
        /// The node.
        node: NodeName,
        /// How long it was waited for.
        after: Duration,
    },
    /// It is neither a member nor steered by an agent.
    #[error(
        "{node} cannot be told to leave: it is no enmesh member, and no agent steers it; stop it \
         by its own means"
    )]
    NotOurs {
        /// The node.
        node: NodeName,
    },
}

/// A hidden node that nobody can dial, with the cookies and the transport of `config`.
async fn start(
    host: &NodeName,
    config: RunConfig,
    environment: &Environment,
    topologies: bool,
) -> Result<Node, Failure> {
    let cookie = load_cookie(&config.cookie, environment)?;
    // A BEAM keeps every name that it ever heard, so there is a bounded number of them.
    let alive = format!("enmesh-visit-{}", std::process::id() % 1024);
    let own = NodeName::new(&alive, host.host().as_str())
        .map_err(|_| VisitError::LongHost { node: host.clone() })?;
    let mut builder = Node::builder(own, cookie)
        .visible(false)
        .listener(false)
        .epmd(config.epmd)
        .epmd_port(config.epmd_port)
        .dist_port(config.dist_port);
    builder = secured(builder, config.cookies, config.tls)?;
    if topologies {
        builder = builder.looks_as(host.clone());
        builder = config
            .topologies
            .into_iter()
            .fold(builder, Builder::topology);
    }
    let started = builder.start().await;
    started.map_err(|error| Failure::Start { error })
}

/// A hidden node that joins whom the topologies find for the node that `config` names.
pub(crate) async fn join(config: RunConfig, environment: &Environment) -> Result<Node, Failure> {
    let host = name(&config, environment)?;
    start(&host, config, environment, true).await
}

/// A hidden node that has dialled one other.
#[derive(Debug)]
pub(crate) struct Visit {
    node: Node,
    host: NodeName,
}

impl Visit {
    /// Dials the node that `config` names: on this machine, at the pod's address, and last at the
    /// address that its name says.
    pub(crate) async fn begin(
        config: RunConfig,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let host = name(&config, environment)?;
        let pod = agent::pod_ip(environment)?;
        let addresses = addresses(&host, pod);
        let node = start(&host, config, environment, false).await?;
        let visit = Self { node, host };
        // A name that spells another address is not of this pod.
        let own = |pod| visit.host.host().as_ip().is_none_or(|ip| ip == pod);
        match visit.reach(&addresses, pod.is_some_and(own)).await {
            Ok(()) => Ok(visit),
            Err(error) => {
                visit.end().await;
                Err(error.into())
            }
        }
    }

    /// The visited node.
    pub(crate) fn host(&self) -> &NodeName {
        &self.host
    }

    /// Our own node.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Calls a function there.
    pub(crate) async fn call(
        &self,
        module: &'static str,
        function: &'static str,
        arguments: Vec<Term>,
    ) -> Result<Term, RpcError> {
        self.node
            .rpc(&self.host, module, function, arguments, ANSWER_TIME)
            .await
    }

    /// Closes the link.
    pub(crate) async fn end(self) {
        self.node.shutdown().await;
    }

    async fn reach(&self, addresses: &[Option<IpAddr>], in_pod: bool) -> Result<(), VisitError> {
        let mut tried = Vec::new();
        let mut failures = Vec::new();
        for address in addresses {
            let peer = PeerAddr::new(self.host.clone());
            let (peer, place) = match address {
                Some(address) => (peer.with_address(*address), address.to_string()),
                None => (peer, self.host.host().to_string()),
            };
            match self.node.connect(peer).await {
                Ok(()) => return Ok(()),
                Err(ConnectError::Failed { failure, .. }) => {
                    tried.push(format!("{} at {place}", failure.label()));
                    failures.push(failure);
                }
                Err(error) => {
                    tried.push(error.to_string());
                    failures.push(enmesh::Failure::GivenUp);
                }
            }
        }
        Err(VisitError::Unreachable {
            node: self.host.clone(),
            tried: tried.join(", "),
            state: Absent::of(&failures, in_pod),
        })
    }
}

/// The node that is meant, as an agent of it has it.
fn name(config: &RunConfig, environment: &Environment) -> Result<NodeName, Failure> {
    Ok(agent::node_name(config, environment)?)
}

/// Where a node of this pod or machine can be, as its agent looks for it. What its name says is
/// left out where it is among the rest.
fn addresses(host: &NodeName, pod: Option<IpAddr>) -> Vec<Option<IpAddr>> {
    let mut addresses = enmesh_agent::addresses(host, pod);
    let spelt = host.host().as_ip();
    if spelt.is_some() && addresses.contains(&spelt) {
        addresses.retain(Option::is_some);
    }
    addresses
}
