//! What no test of a whole node can bring about.

use enmesh_identity::NodeName;
use enmesh_membership::RosterConfig;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    roster: Roster,
    sources: Sources,
    said: mpsc::Receiver<Said>,
    tasks: TaskTracker,
}

impl World {
    fn new() -> Self {
        Self::looking(|context| context)
    }

    /// One whose sources may speak, and not only listen.
    fn with_creation() -> Self {
        let creation = enmesh_identity::Creation::from_seed(8);
        Self::looking(|context| context.with_creation(creation))
    }

    fn looking(as_whom: impl FnOnce(SourceContext) -> SourceContext) -> Self {
        let own: NodeName = "a@127.0.0.1".parse().unwrap();
        let tasks = TaskTracker::new();
        tasks.close();
        let stop = CancellationToken::new();
        let context = as_whom(SourceContext::new(own.clone()));
        let (sources, said) = Sources::new(context, tasks.clone(), stop);
        Self {
            roster: Roster::new(RosterConfig::new(own)),
            sources,
            said,
            tasks,
        }
    }

    fn set(&mut self, topologies: &[&str]) -> TopologyChanges {
        let topologies = topologies
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let now = Instant::now();
        self.sources.set(&mut self.roster, now, topologies).unwrap()
    }

    async fn next(&mut self) -> Said {
        let said = tokio::time::timeout(PATIENCE, self.said.recv()).await;
        said.unwrap().unwrap()
    }

    fn take_in(&mut self, said: Said) -> Vec<String> {
        let records = Records::default();
        self.sources
            .take_in(&mut self.roster, &records, Instant::now(), said);
        self.roster
            .peers()
            .map(|(peer, _)| peer.name().to_string())
            .collect()
    }
}

#[tokio::test]
async fn what_a_source_said_before_it_was_replaced_counts_no_more() {
    let mut world = World::new();
    world.set(&["strategy=epmd name=web hosts=old@h"]);
    let old = world.next().await;
    world.set(&["strategy=epmd name=web hosts=new@h"]);
    assert_eq!(world.take_in(old), [""; 0]);
    let new = world.next().await;
    assert_eq!(world.take_in(new), ["new@h"]);
}

#[tokio::test]
async fn what_a_removed_source_said_does_not_count_for_another_of_its_name() {
    let mut world = World::new();
    world.set(&["strategy=epmd name=web hosts=old@h"]);
    let old = world.next().await;
    world.set(&[]);
    world.set(&["strategy=epmd name=web hosts=new@h"]);
    assert_eq!(world.take_in(old), [""; 0]);
}

#[tokio::test]
async fn a_source_that_is_replaced_or_removed_ends() {
    let mut world = World::new();
    for hosts in ["b@h", "c@h", "d@h"] {
        // More than there is room for, so that some wait for it.
        let many: Vec<_> = (0..UPDATE_QUEUE)
            .map(|at| format!("strategy=epmd name=t{at} hosts={hosts} timeout=100ms"))
            .collect();
        world.set(&many.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert!(!world.tasks.is_empty());
    world.set(&[]);
    tokio::time::timeout(PATIENCE, world.tasks.wait())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_window_alone_needs_no_other_source() {
    let mut world = World::new();
    world.set(&["strategy=epmd name=web hosts=b@h"]);
    let said = world.next().await;
    let changes = world.set(&["strategy=epmd name=web hosts=b@h stabilisation_window=1s"]);
    assert_eq!(changes.changed.len(), 1);
    assert_eq!(world.take_in(said), [""; 0], "it settles first");
    assert!(world.roster.deadline().is_some());
    let same = world.set(&["strategy=epmd name=web hosts=b@h stabilisation_window=1s"]);
    assert_eq!((same.kept.len(), same.changed.len()), (1, 0));
    assert!(world.said.try_recv().is_err(), "nobody was asked anew");
}

/// Whoever listens to the same group hears it, as another node would.
#[tokio::test]
async fn a_source_that_is_removed_says_farewell_and_one_that_is_replaced_does_not() {
    let free = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let gossip = format!("strategy=gossip name=web port={port} multicast_if=127.0.0.1 secret=s");
    let mut other = listener(&gossip);
    let mut world = World::with_creation();
    world.set(&[&gossip]);
    assert_eq!(other.next().await, ["a@127.0.0.1 is there"]);
    world.set(&[&format!("{gossip} jitter=0.5")]);
    // The new one says hello before it hears anybody.
    let hears = |said: &Said| matches!(&said.update, Update::Changed { present, .. } if !present.is_empty());
    let mut said = world.next().await;
    while said.source == 1 || !hears(&said) {
        said = world.next().await;
    }
    world.set(&[]);
    tokio::time::timeout(PATIENCE, world.tasks.wait())
        .await
        .unwrap();
    assert_eq!(other.next().await, ["a@127.0.0.1 is gone"]);
    let more = tokio::time::timeout(Duration::from_millis(300), other.next());
    assert!(more.await.is_err(), "it was said once");
}

/// What another node hears of who comes and goes.
struct Listener(mpsc::Receiver<Vec<String>>);

impl Listener {
    async fn next(&mut self) -> Vec<String> {
        let next = tokio::time::timeout(PATIENCE, self.0.recv()).await;
        next.expect("heard in time").unwrap()
    }
}

/// A node of another name that follows the topology; it ends with the test's runtime.
fn listener(topology: &str) -> Listener {
    let topology: TopologyConfig = topology.parse().unwrap();
    let context = SourceContext::new("b@127.0.0.1".parse().unwrap());
    let context = context.with_creation(enmesh_identity::Creation::from_seed(7));
    let mut source = topology.source(&context).unwrap();
    let (sender, heard) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            if let Update::Changed { present, gone } = source.next().await {
                let present = present
                    .iter()
                    .map(|seen| format!("{} is there", seen.name()));
                let gone = gone.iter().map(|name| format!("{name} is gone"));
                let told: Vec<_> = present.chain(gone).collect();
                if !told.is_empty() && sender.send(told).await.is_err() {
                    return;
                }
            }
        }
    });
    Listener(heard)
}
