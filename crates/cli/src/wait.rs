//! `enmesh wait`: until a node has so many peers.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use enmesh::{FromTerm, NodeName, Term};
use tokio::time::{Instant, MissedTickBehavior};

use crate::arguments::patience;
use crate::config::{Environment, RunConfig};
use crate::exit::Failure;
use crate::runtime;
use crate::visit::{self, Visit, VisitError, VisitOptions};

/// How often the node is asked.
const EVERY: Duration = Duration::from_millis(250);

/// The longest pause before a node that cannot be reached is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// What `wait` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Without --join, the node --name is asked whom it is connected to, until it runs and has that many
peers: a member or a BEAM, reached on this machine, at POD_IP, or at its own address.

With --join, no node need run here: a hidden node joins the topologies' peers for a moment, with the
cookie of the cluster, until it is connected to that many. That is for init containers of those who
need a cluster to be there. Nodes that all wait for each other in this way never start.

Examples:
  enmesh wait --name web@10.0.0.7 --min-peers 2 --timeout 60s
  enmesh wait --join --config /etc/enmesh/enmesh.toml --min-peers 1
  enmesh wait --join --name job@$POD_IP --topology 'strategy=dns_poll query=db node_basename=db' \\
    --min-peers 3

Exit codes: 0 they are there, 64 wrong usage, 78 wrong configuration, 1 not in time.")]
pub(crate) struct WaitOptions {
    #[command(flatten)]
    visit: VisitOptions,
    /// How many peers there must be.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    min_peers: u32,
    /// How long to wait for them.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = patience)]
    timeout: Duration,
    /// Do not ask the node, but join its topologies' peers for a moment.
    #[arg(long)]
    join: bool,
    /// Where peers come from, with --join; may be repeated, and replaces the file's.
    #[arg(long, value_name = "'strategy=… key=value …'", requires = "join")]
    topology: Vec<String>,
}

/// Waits, and says on stderr who has come.
pub(crate) fn run(options: &WaitOptions, environment: &Environment) -> Result<(), Failure> {
    let config = options.visit.read(environment, &options.topology)?;
    let seen = Seen::new(options.min_peers as usize);
    runtime::start()?.block_on(async {
        let deadline = Instant::now() + options.timeout;
        if options.join {
            join(config, environment, seen, deadline).await
        } else {
            ask(options, environment, seen, deadline).await
        }
    })
}

/// Whom we know of, and how many there must be.
#[derive(Debug)]
struct Seen {
    wanted: usize,
    peers: BTreeSet<String>,
}

impl Seen {
    fn new(wanted: usize) -> Self {
        Self {
            wanted,
            peers: BTreeSet::new(),
        }
    }

    /// Says what is news; whether there are enough.
    fn is_enough(&mut self, peers: BTreeSet<String>) -> bool {
        if peers != self.peers {
            self.peers = peers;
            eprintln!("enmesh: {self}");
        }
        self.peers.len() >= self.wanted
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} peers", self.peers.len(), self.wanted)?;
        for (at, peer) in self.peers.iter().enumerate() {
            write!(f, "{} {peer}", if at == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

async fn join(
    config: RunConfig,
    environment: &Environment,
    mut seen: Seen,
    deadline: Instant,
) -> Result<(), Failure> {
    if config.topologies.is_empty() {
        return Err(VisitError::NoTopology.into());
    }
    let node = visit::join(config, environment).await?;
    let coming = async {
        let mut events = node.events();
        loop {
            let peers = node.nodes().iter().map(NodeName::to_string).collect();
            if seen.is_enough(peers) || events.next().await.is_none() {
                return;
            }
        }
    };
    let outcome = tokio::time::timeout_at(deadline, coming).await;
    let statuses = node.topologies().await;
    node.shutdown().await;
    outcome.map_err(|_| {
        let failures: Vec<_> = statuses
            .into_iter()
            .filter_map(|status| Some(format!("{}: {}", status.name, status.failure?)))
            .collect();
        VisitError::TooFew {
            seen: seen.to_string(),
            why: match failures.is_empty() {
                true => "the topologies name no more that let us in".to_owned(),
                false => failures.join("; "),
            },
        }
        .into()
    })
}

/// Asks the node again and again, from before it runs.
async fn ask(
    options: &WaitOptions,
    environment: &Environment,
    mut seen: Seen,
    deadline: Instant,
) -> Result<(), Failure> {
    let mut why = "the node was not asked yet".to_owned();
    let mut pause = EVERY;
    let asking = async {
        loop {
            let config = options.visit.read(environment, &[])?;
            match Visit::begin(config, environment).await {
                Ok(visit) => {
                    pause = EVERY;
                    why = format!("{} is connected to no more", visit.host());
                    let enough = follow(&visit, &mut seen).await;
                    visit.end().await;
                    match enough {
                        Ok(()) => return Ok(()),
                        Err(error) => why = error.to_string(),
                    }
                }
                Err(Failure::Visit(error)) => why = error.to_string(),
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep(pause).await;
            // A BEAM says in its log that it refused a wrong cookie, each time.
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    match tokio::time::timeout_at(deadline, asking).await {
        Ok(outcome) => outcome,
        Err(_) => Err(VisitError::TooFew {
            seen: seen.to_string(),
            why,
        }
        .into()),
    }
}

/// Until there are enough, or the node is gone.
async fn follow(visit: &Visit, seen: &mut Seen) -> Result<(), VisitError> {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let connected = visit.call("erlang", "nodes", vec![Term::atom("connected")]);
        let connected = connected.await.map_err(|error| VisitError::NoAnswer {
            node: visit.host().clone(),
            error,
        })?;
        let names = Vec::<enmesh::Atom>::from_term(&connected).unwrap_or_default();
        let peers = names
            .iter()
            .map(|name| name.as_str().to_owned())
            .filter(|name| !is_tool(name))
            .collect();
        if seen.is_enough(peers) {
            return Ok(());
        }
    }
}

/// Whether the node is one of ours that only looks on: a visit, an agent, a probe.
fn is_tool(name: &str) -> bool {
    name.starts_with("enmesh-")
}
