//! What neighbours say of a peer, against what sources say.

use std::collections::BTreeSet;

use super::*;
use crate::Standing;

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
    world.update("t", snapshot(&[]));
    world.update("global", heard(&[("b@h", 0), ("c@h", 1)]));
    assert_eq!(world.told(), ["+b@h, by hearsay", "+c@h, by hearsay"]);
}

/// A node that has just been started is met by neighbours before its own look-up is answered.
#[test]
fn hearsay_waits_for_the_first_word_of_each_source_and_not_for_ever() {
    let gone = || Update::Changed {
        present: Vec::new(),
        gone: vec![name("b@h")],
    };
    for (word, wanted) in [
        (gone(), &["+c@h, by hearsay"][..]),
        (failed(), &["+b@h, by hearsay", "+c@h, by hearsay"]),
    ] {
        let mut world = world(Prune::Never);
        world.update("global", heard(&[("b@h", 1), ("c@h", 1)]));
        assert_eq!(world.told(), [""; 0]);
        world.update("t", word);
        assert_eq!(world.told(), wanted);
        assert_eq!(world.roster.deadline(), None);
    }
    let mut world = world(Prune::Never);
    world.update("global", heard(&[("b@h", 1)]));
    let wait = world.roster.deadline().unwrap() - world.now;
    world.pass(wait);
    assert_eq!(world.told(), ["+b@h, by hearsay"]);
    // Who is followed later is not waited for: what counts stays.
    world.roster.add_topology(topology("late")).unwrap();
    world.update("global", heard(&[("b@h", 1), ("c@h", 1)]));
    assert_eq!(world.told(), ["+c@h, by hearsay"]);
}

#[test]
fn a_sources_word_that_a_peer_is_gone_outweighs_older_hearsay() {
    let mut world = world(Prune::Never);
    world.update("t", snapshot(&["b@h", "c@h"]));
    world.update("global", heard(&[("b@h", 1), ("c@h", 0)]));
    world.told();
    world.update("t", snapshot(&["c@h"]));
    assert_eq!(world.told(), ["-b@h"]);
    // Nor does hearsay that comes later: a neighbour may notice a departure long after the source does.
    for told in 1..4 {
        world.update("global", heard(&[("b@h", told), ("c@h", 1), ("d@h", 1)]));
    }
    assert_eq!(world.told(), ["+d@h, by hearsay"]);
}

#[test]
fn hearsay_that_comes_after_the_departure_counts_when_it_is_news_and_the_source_cannot_know() {
    let mut world = world(Prune::Never);
    world.roster.add_topology(topology("other")).unwrap();
    world.update("other", snapshot(&[]));
    world.update("t", snapshot(&["b@h", "c@h"]));
    world.told();
    world.update("t", snapshot(&[]));
    assert_eq!(world.told(), ["-b@h", "-c@h"]);
    // Another one that answers has not said that they are gone.
    world.update("t", failed());
    // A live link is remembered (0); somebody tells of the other one (1).
    world.update("global", heard(&[("b@h", 0), ("c@h", 1)]));
    assert_eq!(world.told(), ["+c@h, by hearsay"]);
    world.update("t", snapshot(&["d@h"]));
    world.told();
    world.update("global", heard(&[("b@h", 1), ("c@h", 1)]));
    assert_eq!(world.told(), [""; 0]);
    world.roster.remove_topology(world.now, &topology("t"));
    world.told();
    world.update("global", heard(&[("b@h", 2), ("c@h", 1)]));
    assert_eq!(world.told(), ["+b@h, by hearsay"]);
}

/// It is about to end when the source first looks, and neighbours know it for as long as it runs.
#[test]
fn who_is_told_to_be_gone_and_was_never_named_is_not_wanted_by_hearsay() {
    let mut world = world(Prune::Immediate);
    world.update("t", snapshot(&[]));
    world.update("global", heard(&[("b@h", 1)]));
    assert_eq!(world.told(), ["+b@h, by hearsay"]);
    let gone = |names: &[&str]| Update::Changed {
        present: Vec::new(),
        gone: names.iter().copied().map(name).collect(),
    };
    world.update("t", gone(&["b@h", "c@h"]));
    assert_eq!(world.told(), ["-b@h"]);
    world.update("global", heard(&[("b@h", 2), ("c@h", 1)]));
    assert_eq!(world.told(), [""; 0]);
    // The next one of that name.
    world.update("t", snapshot(&["c@h"]));
    assert_eq!(world.told(), ["+c@h"]);
}

#[test]
fn a_sources_word_of_life_and_place_outweighs_hearsay_and_its_silence_does_not() {
    let mut world = world(Prune::Never);
    world.update("global", heard(&[("b@h", 3)]));
    world.told();
    let sighting = |standing| {
        Sighting::from(peer("b@h"))
            .with_standing(standing)
            .with_life(9)
    };
    let roster = |world: &mut World, standing| {
        world.update("t", Update::snapshot([sighting(standing)]));
        world.roster.poll_action()
    };
    for (said, wanted) in [
        (Standing::Unready, Standing::Unready),
        (Standing::Silent, Standing::Heard),
    ] {
        let told = roster(&mut world, said);
        assert_eq!(told, Some(Intent::Want(sighting(wanted))));
    }
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
    assert_eq!(world.told(), ["+b@h, by hearsay"]);
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

proptest! {
    /// Whatever neighbours say and when: nobody is wanted whom the source has told to be gone, as long as it answers and has
    /// not named it again.
    #[test]
    fn nobody_is_wanted_whom_a_source_that_answers_has_told_to_be_gone(
        steps in proptest::collection::vec((0..6_u8, 0..16_u8, 0..3_u64), 0..60),
    ) {
        let mut world = world(Prune::Never);
        let (mut wanted, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for (kind, mask, told) in steps {
            let members = (0..4).filter(|i| mask & (1 << i) != 0);
            let names: Vec<_> = members.map(|i| name(&format!("n{i}@h"))).collect();
            let update = match kind {
                0 => Update::snapshot(names.clone()),
                1 => Update::Changed { present: vec![], gone: names.clone() },
                2 => Update::Changed { present: names.iter().cloned().map(Sighting::from).collect(), gone: vec![] },
                3 => failed(),
                _ => Update::snapshot(names.iter().cloned().map(|name| Sighting::from(name).with_life(told))),
            };
            let there = |world: &World, name: &NodeName| world.roster.topologies_of(name).contains(&topology("t"));
            let before: Vec<_> = (0..4).map(|i| name(&format!("n{i}@h"))).filter(|name| there(&world, name)).collect();
            world.update(if kind < 4 { "t" } else { "global" }, update);
            match kind {
                0 | 1 => {
                    gone.extend(before.into_iter().filter(|name| !there(&world, name)));
                    if kind == 1 {
                        gone.extend(names);
                    }
                }
                // While it does not answer, neighbours may know better.
                3 => gone.clear(),
                _ => {}
            }
            gone.retain(|name| !there(&world, name));
            while let Some(intent) = world.roster.poll_action() {
                match intent {
                    Intent::Want(peer) => drop(wanted.insert(peer.name().clone())),
                    Intent::Leave(name) => drop(wanted.remove(&name)),
                    intent => prop_assert!(false, "{intent:?}"),
                }
            }
            prop_assert!(wanted.is_disjoint(&gone), "{wanted:?} {gone:?}");
        }
    }
}
