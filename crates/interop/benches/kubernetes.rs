//! How fast members in pods of a real Kubernetes find and miss each other, and what they cost its API.
//!
//! `cargo xtask bench --kubernetes`; needs root, for a cluster. With each lookup and at each size a pod is deleted, several
//! times: its peers miss it, and the pod that the Deployment makes in its place joins them. Beside it some members idle, and what
//! they ask is counted by the API server's audit log and in the pods' own networks.

#[path = "discovery/arguments.rs"]
mod arguments;
#[path = "discovery/client.rs"]
mod client;
#[path = "kubernetes/idle.rs"]
mod idle;
#[path = "kubernetes/joins.rs"]
mod joins;
#[path = "kubernetes/pod_log.rs"]
mod pod_log;
#[path = "kubernetes/table.rs"]
mod table;
#[path = "kubernetes/watch.rs"]
mod watch;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use enmesh_interop::{Cluster, Names};

use crate::idle::Idle;
use crate::joins::Joins;
use crate::watch::Watch;

/// Set in the process that watches the API from inside of the cluster's network: the administrator's kubeconfig.
const INSIDE: &str = "ENMESH_BENCH_KUBERNETES";
/// What all of it may take; what was not measured by then is left out of the tables, which is said.
const BUDGET: Duration = Duration::from_secs(660);
/// The shortest time that idle members are watched, by default: a watch lives for 290 to 295 s, and its end is to be seen.
const IDLE: u64 = 330;

/// One way to find the pods: its name, and how nodes are named with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    pub(crate) word: &'static str,
    pub(crate) names: Names,
}

/// Every lookup that is measured.
const LOOKUPS: [Lookup; 5] = [
    Lookup {
        word: "endpointslices",
        names: Names::Ip,
    },
    Lookup {
        word: "endpoints",
        names: Names::Ip,
    },
    Lookup {
        word: "pods",
        names: Names::Ip,
    },
    Lookup {
        word: "dns",
        names: Names::Ip,
    },
    Lookup {
        word: "srv",
        names: Names::Srv,
    },
];

/// What the user asked for.
#[derive(Debug)]
struct Settings {
    rounds: usize,
    sizes: Vec<u32>,
    lookups: Vec<Lookup>,
    idle: Duration,
}

fn main() -> Result<()> {
    if let Ok(kubeconfig) = std::env::var(INSIDE) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        return runtime.block_on(watch::tell(Path::new(&kubeconfig)));
    }
    let settings = Settings::parse()?;
    let deadline = Instant::now() + BUDGET;
    let cluster = Cluster::start()?;
    // SRV records then name what `Names::Srv` calls the nodes.
    cluster.name_pods_by_address()?;
    let idle = Idle::start(&cluster, &settings.lookups)?;
    let watch = Watch::start(&cluster)?;
    let mut joins = Joins::new(&cluster, &watch, settings.rounds);
    let rest = deadline - Duration::from_secs(60);
    for lookup in &settings.lookups {
        if let Err(error) = joins.measure(*lookup, &settings.sizes, rest) {
            eprintln!("{}: {error:#}", lookup.word);
        }
    }
    println!("\n{}", joins.table());
    let left = settings.idle.saturating_sub(idle.since().elapsed());
    let left = left.min(deadline.saturating_duration_since(Instant::now()));
    eprintln!("idle members are watched for {} s more", left.as_secs());
    std::thread::sleep(left);
    println!("{}", idle.table()?);
    Ok(())
}

impl Settings {
    fn parse() -> Result<Self> {
        let mut settings = Self {
            rounds: 5,
            sizes: vec![3, 10, 30],
            lookups: LOOKUPS.to_vec(),
            idle: Duration::from_secs(IDLE),
        };
        arguments::each(|flag, value| {
            match flag {
                "--rounds" => settings.rounds = value.parse()?,
                "--sizes" => {
                    let sizes = value.split(',').map(str::parse);
                    settings.sizes = sizes.collect::<Result<_, _>>()?;
                }
                "--rows" => {
                    let words: Vec<&str> = value.split(',').collect();
                    let is_wanted = |lookup: &Lookup| words.contains(&lookup.word);
                    settings.lookups.retain(is_wanted);
                    ensure!(settings.lookups.len() == words.len(), "a lookup is unknown");
                }
                "--idle" => settings.idle = Duration::from_secs(value.parse()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        ensure!((1..=20).contains(&settings.rounds), "1 to 20 rounds");
        ensure!(
            settings.sizes.iter().all(|size| (2..=50).contains(size)),
            "2 to 50 members"
        );
        Ok(settings)
    }
}
