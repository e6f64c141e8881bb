//! What neighbours say of a peer, against what sources say.

use super::*;

/// A source `t`, and hearsay `global`.
fn world(prune: Prune) -> World {
    let mut world = World::new(prune, &["t"]);
    world.roster.add_hearsay(topology("global")).unwrap();
    world
}

/// All that the neighbours know, each told of so many times.
fn heard(names: &[(&str, u64)]) -> Update {
    let sighting = |&(name, told): &(&str, u64)| Sighting::from(peer(name)).with_life(told);
    Update::Snapshot(names.iter().map(sighting).collect())
}

#[test]
fn who_is_known_by_hearsay_alone_is_wanted() {
    let mut world = world(Prune::Never);
    world.update("global", heard(&[("b@h", 0), ("c@h", 1)]));
    assert_eq!(world.told(), ["+b@h", "+c@h"]);
}

#[test]
fn a_sources_word_that_a_peer_is_gone_outweighs_older_hearsay() {
    let mut world = world(Prune::Never);
    world.update("t", snapshot(&["b@h", "c@h"]));
    world.update("global", heard(&[("b@h", 1), ("c@h", 0)]));
    world.told();
    world.update("t", snapshot(&["c@h"]));
    assert_eq!(world.told(), ["-b@h"]);
    // Others of whom something is heard make it no newer.
    world.update("global", heard(&[("b@h", 1), ("c@h", 1), ("d@h", 1)]));
    assert_eq!(world.told(), ["+d@h"]);
}

#[test]
fn hearsay_that_comes_after_the_departure_counts_when_it_is_news() {
    let mut world = world(Prune::Never);
    world.update("t", snapshot(&["b@h", "c@h"]));
    world.told();
    world.update("t", snapshot(&[]));
    assert_eq!(world.told(), ["-b@h", "-c@h"]);
    // A live link is remembered (0); somebody tells of the other one (1).
    world.update("global", heard(&[("b@h", 0), ("c@h", 1)]));
    assert_eq!(world.told(), ["+c@h"]);
    world.update("global", heard(&[("b@h", 1), ("c@h", 1)]));
    assert_eq!(world.told(), ["+b@h"]);
}

#[test]
fn a_peer_that_a_source_names_again_is_wanted_again() {
    let mut world = world(Prune::Never);
    world.update("t", snapshot(&["b@h"]));
    world.update("global", heard(&[("b@h", 0)]));
    world.update("t", snapshot(&[]));
    world.told();
    world.update("t", snapshot(&["b@h"]));
    assert_eq!(world.told(), ["+b@h"]);
}

#[test]
fn a_topology_that_is_taken_away_says_nothing_of_its_peers() {
    let mut world = world(Prune::Never);
    world.update("t", snapshot(&["b@h"]));
    world.update("global", heard(&[("b@h", 0)]));
    world.told();
    world.roster.remove_topology(world.now, &topology("t"));
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn the_link_of_a_peer_that_neighbours_know_is_not_pruned() {
    let mut world = world(Prune::Immediate);
    world.update("t", snapshot(&["b@h"]));
    world.update("global", heard(&[("b@h", 0)]));
    world.told();
    world.update("t", snapshot(&[]));
    assert_eq!(world.told(), ["-b@h"]);
    world.update("global", heard(&[]));
    assert_eq!(world.told(), ["xb@h"]);
}

#[test]
fn a_window_holds_a_departure_up() {
    let mut world = world(Prune::Never);
    let window = Duration::from_secs(1);
    let (now, t) = (world.now, topology("t"));
    world.update("t", snapshot(&["b@h"]));
    world.update("global", heard(&[("b@h", 0)]));
    world.told();
    world.roster.set_stabilisation_window(now, &t, window);
    world.update("t", snapshot(&[]));
    assert_eq!(world.told(), [""; 0]);
    world.pass(window);
    assert_eq!(world.told(), ["-b@h"]);
}
