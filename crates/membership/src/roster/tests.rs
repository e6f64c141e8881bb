// A test has no driver to take the time from.
#![allow(clippy::disallowed_methods)]

mod hearsay;
mod sources;
mod window;

use std::time::{Duration, Instant};

use enmesh_identity::{NodeName, PeerAddr};
use proptest::prelude::*;

use super::*;
use crate::{FailureKind, Sighting, SourceFailure};

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn peer(text: &str) -> PeerAddr {
    PeerAddr::new(name(text))
}

fn topology(text: &str) -> TopologyName {
    text.parse().unwrap()
}

fn snapshot(names: &[&str]) -> Update {
    Update::snapshot(names.iter().copied().map(peer))
}

fn failed() -> Update {
    Update::Failed(SourceFailure::new(FailureKind::Forbidden, "no"))
}

struct World {
    now: Instant,
    roster: Roster,
}

impl World {
    fn new(prune: Prune, topologies: &[&str]) -> Self {
        let config = RosterConfig {
            prune,
            ..RosterConfig::new(name("me@h"))
        };
        let mut roster = Roster::new(config);
        for &text in topologies {
            roster.add_topology(topology(text)).unwrap();
        }
        Self {
            now: Instant::now(),
            roster,
        }
    }

    fn update(&mut self, text: &str, update: Update) -> SourceNews {
        self.roster.handle_update(self.now, &topology(text), update)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.roster.handle_timeout(self.now);
    }

    /// Everything there is to poll, one word each.
    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.roster.poll_action())
            .map(|intent| match intent {
                Intent::Want(peer) => format!("+{peer}"),
                Intent::Leave(name) => format!("-{name}"),
                Intent::Drain(draining) => format!("drain {draining}"),
                Intent::Prune(name) => format!("x{name}"),
            })
            .collect()
    }
}

#[test]
fn a_snapshot_says_who_came_and_who_left() {
    let mut world = World::new(Prune::Never, &["t"]);
    world.update("t", snapshot(&["b@h", "c@h"]));
    assert_eq!(world.told(), ["+b@h", "+c@h"]);
    world.update("t", snapshot(&["c@h", "d@h"]));
    assert_eq!(world.told(), ["-b@h", "+d@h"]);
    world.update("t", snapshot(&["c@h", "d@h"]));
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn a_failed_look_up_removes_nobody_and_is_news_once() {
    let mut world = World::new(Prune::Immediate, &["t"]);
    assert_eq!(world.update("t", snapshot(&["b@h"])), SourceNews::Nothing);
    world.told();
    assert_eq!(world.update("t", failed()), SourceNews::Failed);
    assert_eq!(world.update("t", failed()), SourceNews::Nothing);
    assert_eq!(world.told(), [""; 0]);
    assert!(world.roster.contains(&name("b@h")));
    let status = world.roster.topology(&topology("t")).unwrap();
    assert_eq!(status.failure.unwrap().kind(), FailureKind::Forbidden);
    assert_eq!(world.update("t", snapshot(&["b@h"])), SourceNews::Recovered);
    assert!(
        world
            .roster
            .topology(&topology("t"))
            .unwrap()
            .failure
            .is_none()
    );
}

#[test]
fn a_topology_that_never_answered_says_so() {
    let mut world = World::new(Prune::Never, &["t"]);
    world.update("t", failed());
    assert!(!world.roster.topology(&topology("t")).unwrap().answered);
    world.update("t", snapshot(&[]));
    assert!(world.roster.topology(&topology("t")).unwrap().answered);
}

#[test]
fn a_change_speaks_only_of_those_it_names() {
    let mut world = World::new(Prune::Never, &["t"]);
    world.update("t", snapshot(&["b@h", "c@h"]));
    world.told();
    let gone = vec![name("b@h"), name("unknown@h")];
    world.update(
        "t",
        Update::Changed {
            present: vec![peer("d@h").into()],
            gone,
        },
    );
    assert_eq!(world.told(), ["-b@h", "+d@h"]);
}

#[test]
fn a_peer_stays_while_one_topology_names_it() {
    let mut world = World::new(Prune::Immediate, &["z", "a"]);
    world.update("z", snapshot(&["b@h"]));
    world.update("a", snapshot(&["b@h"]));
    assert_eq!(world.told(), ["+b@h"]);
    assert_eq!(
        world.roster.topologies_of(&name("b@h")),
        [topology("a"), topology("z")]
    );
    world.update("z", snapshot(&[]));
    assert_eq!(world.told(), [""; 0]);
    world.roster.remove_topology(world.now, &topology("a"));
    assert_eq!(world.told(), ["-b@h", "xb@h"]);
}

#[test]
fn the_first_topology_that_knows_an_address_or_port_wins() {
    let mut world = World::new(Prune::Never, &["one", "two"]);
    let address = |text: &str| peer("b@10.0.0.1").with_address(text.parse().unwrap());
    world.update(
        "two",
        Update::snapshot(vec![address("10.0.0.9").with_port(2)]),
    );
    assert_eq!(world.told(), ["+b@10.0.0.1 at 10.0.0.9:2"]);
    // The address in the name is not the source's word, so the second one's stays.
    world.update(
        "one",
        Update::snapshot(vec![peer("b@10.0.0.1").with_port(1)]),
    );
    assert_eq!(world.told(), ["+b@10.0.0.1 at 10.0.0.9:1"]);
    world.update("one", Update::snapshot(vec![address("10.0.0.8")]));
    assert_eq!(world.told(), ["+b@10.0.0.1 at 10.0.0.8:2"]);
    world.update("one", Update::Snapshot(vec![]));
    assert_eq!(world.told(), ["+b@10.0.0.1 at 10.0.0.9:2"]);
}

#[test]
fn our_own_name_never_enters() {
    let mut world = World::new(Prune::Never, &["t"]);
    world.update("t", snapshot(&["me@h"]));
    world.update(
        "t",
        Update::Changed {
            present: vec![peer("me@h").into()],
            gone: vec![],
        },
    );
    assert_eq!(world.told(), [""; 0]);
    assert_eq!(world.roster.peers().count(), 0);
}

#[test]
fn who_is_over_the_limit_is_dropped_and_counted_and_who_is_known_stays() {
    let mut world = World::new(Prune::Never, &["t"]);
    world.update("t", snapshot(&["z@h"]));
    let mut many: Vec<_> = (0..MAX_PEERS + 4)
        .map(|i| peer(&format!("n{i}@h")))
        .collect();
    many.push(peer("z@h"));
    world.update("t", Update::snapshot(many));
    let status = world.roster.topology(&topology("t")).unwrap();
    assert_eq!((status.peers, status.dropped), (MAX_PEERS, 5));
    assert!(world.roster.contains(&name("z@h")));
}

#[test]
fn grace_closes_late_and_not_who_came_back() {
    let mut world = World::new(Prune::Grace, &["t"]);
    world.update("t", snapshot(&["b@h", "c@h"]));
    world.told();
    world.update("t", snapshot(&[]));
    assert_eq!(world.told(), ["-b@h", "-c@h"]);
    assert_eq!(
        world.roster.deadline(),
        Some(world.now + Duration::from_secs(15))
    );
    world.pass(Duration::from_secs(14));
    world.update("t", snapshot(&["c@h"]));
    assert_eq!(world.told(), ["+c@h"]);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.told(), ["xb@h"]);
    assert_eq!(world.roster.deadline(), None);
}

#[test]
fn who_left_and_came_back_between_two_polls_is_not_mentioned() {
    for prune in [Prune::Never, Prune::Grace, Prune::Immediate] {
        let mut world = World::new(prune, &["t"]);
        world.update("t", snapshot(&["b@h"]));
        world.told();
        world.update("t", snapshot(&[]));
        world.update("t", snapshot(&["b@h"]));
        assert_eq!(world.told(), [""; 0]);
        assert_eq!(world.roster.deadline(), None);
    }
}

#[test]
fn updates_of_a_removed_topology_are_ignored() {
    let mut world = World::new(Prune::Never, &["t"]);
    world.roster.remove_topology(world.now, &topology("t"));
    world.update("t", snapshot(&["b@h"]));
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn topologies_have_one_name_each_and_are_bounded() {
    let mut world = World::new(Prune::Never, &["t0"]);
    let duplicate = AddTopologyError::Duplicate {
        name: topology("t0"),
    };
    assert_eq!(world.roster.add_topology(topology("t0")), Err(duplicate));
    for i in 1..MAX_TOPOLOGIES {
        world
            .roster
            .add_topology(topology(&format!("t{i}")))
            .unwrap();
    }
    assert_eq!(
        world.roster.add_topology(topology("more")),
        Err(AddTopologyError::TooMany)
    );
}

#[test]
fn a_grace_without_end_prunes_nobody() {
    let config = RosterConfig {
        prune: Prune::Grace,
        grace: Duration::MAX,
        ..RosterConfig::new(name("me@h"))
    };
    let mut world = World::new(Prune::Grace, &[]);
    world.roster = Roster::new(config);
    world.roster.add_topology(topology("t")).unwrap();
    world.update("t", snapshot(&["b@h"]));
    world.update("t", snapshot(&[]));
    assert_eq!(world.roster.deadline(), None);
}

#[test]
fn who_comes_back_in_the_moment_that_grace_ends_is_not_pruned() {
    let mut world = World::new(Prune::Grace, &["t", "u"]);
    world.update("t", snapshot(&["b@h"]));
    world.told();
    world.update("t", snapshot(&[]));
    world.told();
    // Its time has come, and nobody was told yet.
    world.pass(Duration::from_secs(15));
    world.update("u", snapshot(&["b@h"]));
    assert_eq!(world.told(), ["+b@h"]);
    assert_eq!(world.roster.deadline(), None);
}

#[test]
fn who_leaves_again_within_grace_has_the_whole_grace_again() {
    let mut world = World::new(Prune::Grace, &["t"]);
    for _ in 0..2 {
        world.update("t", snapshot(&["b@h"]));
        world.pass(Duration::from_secs(10));
        world.update("t", snapshot(&[]));
        world.told();
        world.pass(Duration::from_secs(14));
        assert_eq!(world.told(), [""; 0]);
    }
    world.pass(Duration::from_secs(1));
    assert_eq!(world.told(), ["xb@h"]);
}

proptest! {
    /// Whatever is said in whatever order, what the plan was told in total is who the roster
    /// holds in the end, and nobody is told to leave or to be pruned while a topology names it.
    #[test]
    fn what_was_told_adds_up(steps in proptest::collection::vec((0..2_usize, 0..4_u8, 0..16_u8), 0..60)) {
        let mut world = World::new(Prune::Immediate, &["a", "b"]);
        let mut wanted = std::collections::BTreeSet::new();
        for (which, kind, mask) in steps {
            let members = (0..4).filter(|i| mask & (1 << i) != 0);
            let names: Vec<_> = members.map(|i| name(&format!("n{i}@h"))).collect();
            let peers = names.iter().cloned().map(Sighting::from).collect();
            let update = match kind {
                0 => Update::Snapshot(peers),
                1 => Update::Changed { present: peers, gone: vec![] },
                2 => Update::Changed { present: vec![], gone: names },
                _ => failed(),
            };
            world.update(["a", "b"][which], update);
            while let Some(intent) = world.roster.poll_action() {
                match intent {
                    Intent::Want(peer) => prop_assert!(wanted.insert(peer.name().clone())),
                    Intent::Leave(name) => prop_assert!(wanted.remove(&name)),
                    Intent::Prune(name) => prop_assert!(!world.roster.contains(&name)),
                    Intent::Drain(_) => prop_assert!(false, "nobody is draining"),
                }
            }
            let held: std::collections::BTreeSet<_> =
                world.roster.peers().map(|(peer, _)| peer.name().clone()).collect();
            prop_assert_eq!(&held, &wanted);
        }
    }
}

/// After a restart of the API server a source may meet closed doors of several kinds in turn, and
/// of one kind in several words.
#[test]
fn each_kind_of_failure_is_news_once_until_the_source_answers() {
    let mut world = World::new(Prune::Never, &["t"]);
    let failed = |kind, text| Update::Failed(SourceFailure::new(kind, text));
    let forbidden = |verb| failed(FailureKind::Forbidden, verb);
    let unreachable = || failed(FailureKind::Unreachable, "nobody answers");
    assert_eq!(
        world.update("t", forbidden("cannot watch")),
        SourceNews::Failed
    );
    assert_eq!(
        world.update("t", forbidden("cannot list")),
        SourceNews::Nothing
    );
    assert_eq!(world.update("t", unreachable()), SourceNews::Failed);
    assert_eq!(
        world.update("t", forbidden("cannot list")),
        SourceNews::Nothing
    );
    assert_eq!(world.update("t", snapshot(&["b@h"])), SourceNews::Recovered);
    assert_eq!(
        world.update("t", forbidden("cannot list")),
        SourceNews::Failed
    );
}
