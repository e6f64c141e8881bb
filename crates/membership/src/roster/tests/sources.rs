//! Standing, life and our own end as sources tell them; sources that are replaced.

use super::*;
use crate::Standing;

fn sighted(text: &str, standing: Standing, life: u64) -> Sighting {
    Sighting::from(peer(text))
        .with_standing(standing)
        .with_life(life)
}

fn changed(present: &[&str], gone: &[&str]) -> Update {
    Update::Changed {
        present: present.iter().map(|text| peer(text).into()).collect(),
        gone: gone.iter().copied().map(name).collect(),
    }
}

/// The standing and life that the plan is told, if it is told anything.
fn told_of_it(world: &mut World) -> Option<(Standing, u64)> {
    match world.roster.poll_action()? {
        Intent::Want(sighting) => Some((sighting.standing, sighting.life)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_best_standing_counts() {
    let mut world = World::new(Prune::Never, &["a", "b"]);
    let mut say = |which, standing| {
        let sighting = sighted("p@h", standing, 0);
        world.update(which, Update::Snapshot(vec![sighting]));
        told_of_it(&mut world).map(|(standing, _)| standing)
    };
    assert_eq!(say("a", Standing::Silent), Some(Standing::Silent));
    assert_eq!(say("b", Standing::Unready), Some(Standing::Unready));
    assert_eq!(say("a", Standing::Ready), Some(Standing::Ready));
    assert_eq!(say("b", Standing::Silent), None);
    assert_eq!(say("a", Standing::Unready), Some(Standing::Unready));
    assert_eq!(say("b", Standing::Silent), None);
}

#[test]
fn who_stops_naming_a_peer_takes_its_standing_along() {
    let mut world = World::new(Prune::Never, &["a", "b"]);
    world.update(
        "a",
        Update::Snapshot(vec![sighted("p@h", Standing::Ready, 0)]),
    );
    world.update(
        "b",
        Update::Snapshot(vec![sighted("p@h", Standing::Silent, 0)]),
    );
    assert_eq!(told_of_it(&mut world), Some((Standing::Ready, 0)));
    world.update("a", snapshot(&[]));
    assert_eq!(told_of_it(&mut world), Some((Standing::Silent, 0)));
}

#[test]
fn another_life_in_any_topology_is_another_life() {
    let mut world = World::new(Prune::Never, &["a", "b"]);
    let mut last = 0;
    let steps = [
        ("a", 1),
        ("b", u64::MAX),
        ("a", 2),
        ("b", 7),
        ("a", u64::MAX),
    ];
    for (which, life) in steps {
        let sighting = sighted("p@h", Standing::Ready, life);
        world.update(which, Update::Snapshot(vec![sighting.clone()]));
        let (_, merged) = told_of_it(&mut world).expect("another life is told");
        assert_ne!(merged, last, "{which} {life}");
        last = merged;
        world.update(which, Update::Snapshot(vec![sighting]));
        assert_eq!(told_of_it(&mut world), None, "the same life is no news");
    }
}

#[test]
fn we_are_being_ended_as_long_as_one_topology_says_so() {
    let mut world = World::new(Prune::Never, &["a", "b"]);
    world.update("a", Update::Draining(true));
    assert_eq!(world.told(), ["drain true"]);
    world.update("b", Update::Draining(true));
    world.update("a", Update::Draining(false));
    assert_eq!(world.told(), [""; 0]);
    world.update("b", failed());
    world.update("b", snapshot(&["p@h"]));
    assert_eq!(world.told(), ["+p@h"]);
    world.update("b", Update::Draining(false));
    assert_eq!(world.told(), ["drain false"]);
}

#[test]
fn our_end_is_told_before_all_else_and_called_off_after_all_else() {
    let mut world = World::new(Prune::Immediate, &["a"]);
    world.update("a", snapshot(&["p@h"]));
    world.update("a", Update::Draining(true));
    assert_eq!(world.told(), ["drain true", "+p@h"]);
    world.update("a", snapshot(&["q@h"]));
    world.update("a", Update::Draining(false));
    assert_eq!(world.told(), ["-p@h", "+q@h", "xp@h", "drain false"]);
}

#[test]
fn a_topology_that_is_removed_takes_its_word_of_our_end_along() {
    let mut world = World::new(Prune::Never, &["a", "b"]);
    world.update("a", snapshot(&["p@h"]));
    world.update("a", Update::Draining(true));
    world.told();
    world.roster.remove_topology(world.now, &topology("a"));
    assert_eq!(world.told(), ["-p@h", "drain false"]);
}

#[test]
fn a_source_that_is_replaced_loses_nobody_whom_the_next_one_names_too() {
    let mut world = World::new(Prune::Immediate, &["t"]);
    world.update("t", snapshot(&["p@h", "q@h"]));
    world.told();
    world.roster.replace_source(&topology("t"));
    let status = world.roster.topology(&topology("t")).unwrap();
    assert_eq!((status.peers, status.answered), (2, false));
    world.update("t", failed());
    world.pass(Duration::from_secs(600));
    assert_eq!(world.told(), [""; 0], "until it answers nobody leaves");
    world.update("t", snapshot(&["q@h", "r@h"]));
    assert_eq!(world.told(), ["-p@h", "+r@h", "xp@h"]);
}

#[test]
fn whom_a_source_of_single_peers_does_not_name_within_a_minute_leaves() {
    let mut world = World::new(Prune::Immediate, &["t"]);
    world.update("t", snapshot(&["p@h", "q@h", "r@h", "s@h"]));
    world.told();
    world.roster.replace_source(&topology("t"));
    world.update("t", changed(&["p@h"], &[]));
    world.pass(Duration::from_secs(30));
    world.update("t", changed(&["q@h"], &["r@h"]));
    assert_eq!(world.told(), ["-r@h", "xr@h"]);
    world.pass(Duration::from_secs(29));
    assert_eq!(world.told(), [""; 0]);
    assert_eq!(
        world.roster.deadline(),
        Some(world.now + Duration::from_secs(1))
    );
    world.pass(Duration::from_secs(1));
    assert_eq!(world.told(), ["-s@h", "xs@h"]);
    assert_eq!(world.roster.deadline(), None);
}

#[test]
fn the_word_of_our_end_outlives_its_source_until_the_next_one_answers() {
    let mut world = World::new(Prune::Never, &["t"]);
    world.update("t", Update::Draining(true));
    world.told();
    world.roster.replace_source(&topology("t"));
    world.update("t", failed());
    assert_eq!(world.told(), [""; 0]);
    world.update("t", snapshot(&[]));
    assert_eq!(world.told(), ["drain false"]);
    world.update("t", Update::Draining(true));
    world.told();
    world.roster.replace_source(&topology("t"));
    world.update("t", Update::Draining(true));
    world.update("t", snapshot(&["p@h"]));
    assert_eq!(world.told(), ["+p@h"]);
}

#[test]
fn another_order_lets_another_address_win() {
    let mut world = World::new(Prune::Immediate, &["a", "b", "c"]);
    let at = |port| Update::snapshot([peer("p@h").with_port(port)]);
    for (which, port) in [("a", 1), ("b", 2), ("c", 3)] {
        world.update(which, at(port));
    }
    assert_eq!(world.told(), ["+p@h at port 1"]);
    let order = ["c", "a"].map(topology);
    world.roster.sort_topologies(&order);
    assert_eq!(world.told(), ["+p@h at port 3"]);
    let names: Vec<_> = world
        .roster
        .topologies()
        .map(|it| it.name.to_string())
        .collect();
    assert_eq!(names, ["c", "a", "b"]);
    world.roster.sort_topologies(&order);
    assert_eq!(world.told(), [""; 0]);
}
