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
        let own: NodeName = "a@127.0.0.1".parse().unwrap();
        let tasks = TaskTracker::new();
        tasks.close();
        let stop = CancellationToken::new();
        let (sources, said) = Sources::new(SourceContext::new(own.clone()), tasks.clone(), stop);
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
        self.sources.take_in(&mut self.roster, Instant::now(), said);
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
