//! The stabilisation window.

use std::collections::BTreeSet;

use super::*;
use crate::Standing;

const WINDOW: Duration = Duration::from_secs(2);

fn windowed(prune: Prune) -> World {
    let mut world = World::new(prune, &["t"]);
    let (now, t) = (world.now, topology("t"));
    world.roster.set_stabilisation_window(now, &t, WINDOW);
    world
}

/// One whose set is `names` and has settled.
fn settled(prune: Prune, names: &[&str]) -> World {
    let mut world = windowed(prune);
    world.update("t", snapshot(names));
    assert_eq!(world.told(), [""; 0]);
    world.pass(WINDOW);
    assert_eq!(world.told().len(), names.len());
    world
}

#[test]
fn who_comes_and_who_goes_counts_when_the_set_has_been_at_rest() {
    let mut world = settled(Prune::Immediate, &["a@h", "b@h"]);
    world.update("t", snapshot(&["b@h", "c@h"]));
    assert_eq!(world.roster.deadline(), Some(world.now + WINDOW));
    world.pass(WINDOW / 2);
    // The same set again does not begin the window anew.
    world.update("t", snapshot(&["b@h", "c@h"]));
    assert_eq!(world.told(), [""; 0]);
    world.pass(WINDOW / 2);
    assert_eq!(world.told(), ["-a@h", "+c@h", "xa@h"]);
    assert_eq!(world.roster.deadline(), None);
}

#[test]
fn a_peer_that_is_missing_for_a_moment_never_left() {
    let mut world = settled(Prune::Immediate, &["a@h", "b@h"]);
    world.update("t", snapshot(&["b@h"]));
    world.pass(WINDOW / 2);
    world.update("t", snapshot(&["a@h", "b@h"]));
    world.pass(WINDOW);
    assert_eq!(world.told(), [""; 0]);
    assert_eq!(world.roster.deadline(), None);
}

#[test]
fn a_set_that_never_rests_counts_after_ten_windows() {
    let mut world = settled(Prune::Never, &["a@h"]);
    let mut passed = Duration::ZERO;
    for i in 0.. {
        let other = format!("n{i}@h");
        world.update("t", snapshot(&["a@h", other.as_str()]));
        world.pass(WINDOW / 2);
        passed += WINDOW / 2;
        let told = world.told();
        if !told.is_empty() {
            assert_eq!(told, [format!("+{other}")]);
            break;
        }
        assert!(passed < WINDOW * 10, "not after {passed:?}");
    }
    assert_eq!(passed, WINDOW * 10);
}

#[test]
fn what_is_new_of_those_who_stay_counts_at_once() {
    let mut world = settled(Prune::Never, &["a@h", "b@h"]);
    let silent = Sighting::from(peer("a@h")).with_standing(Standing::Silent);
    let moved = Sighting::from(peer("b@h").with_port(9));
    let new = Sighting::from(peer("c@h"));
    world.update("t", Update::Snapshot(vec![silent, moved, new]));
    assert_eq!(
        world.told(),
        ["+a@h, not heard of for long", "+b@h at port 9"]
    );
    world.update("t", Update::Draining(true));
    assert_eq!(world.told(), ["drain true"]);
    world.pass(WINDOW);
    assert_eq!(world.told(), ["+c@h"]);
}

#[test]
fn single_changes_settle_together() {
    let mut world = settled(Prune::Immediate, &["a@h"]);
    let change = |present: Vec<&str>, gone: Vec<&str>| Update::Changed {
        present: present.into_iter().map(|text| peer(text).into()).collect(),
        gone: gone.into_iter().map(name).collect(),
    };
    world.update("t", change(vec!["b@h"], vec![]));
    world.pass(WINDOW / 2);
    world.update("t", change(vec!["c@h"], vec!["a@h"]));
    world.update("t", failed());
    world.pass(WINDOW / 2);
    assert_eq!(world.told(), [""; 0]);
    world.pass(WINDOW / 2);
    assert_eq!(world.told(), ["-a@h", "+b@h", "+c@h", "xa@h"]);
}

#[test]
fn a_window_that_is_taken_away_lets_the_last_word_count() {
    let mut world = windowed(Prune::Never);
    world.update("t", snapshot(&["a@h"]));
    let (now, t) = (world.now, topology("t"));
    world
        .roster
        .set_stabilisation_window(now, &t, Duration::ZERO);
    assert_eq!(world.told(), ["+a@h"]);
    world.update("t", snapshot(&["a@h", "b@h"]));
    assert_eq!(world.told(), ["+b@h"]);
}

#[test]
fn whoever_is_inherited_leaves_in_time_even_while_others_settle() {
    let mut world = settled(Prune::Immediate, &["a@h", "b@h"]);
    world.roster.replace_source(&topology("t"));
    let present = vec![Sighting::from(peer("b@h")), Sighting::from(peer("c@h"))];
    let gone = Vec::new();
    world.update("t", Update::Changed { present, gone });
    world.pass(WINDOW);
    assert_eq!(world.told(), ["+c@h"]);
    world.pass(Duration::from_secs(57));
    world.update(
        "t",
        Update::Changed {
            present: vec![peer("d@h").into()],
            gone: vec![name("b@h")],
        },
    );
    world.pass(Duration::from_secs(1));
    assert_eq!(world.told(), ["-a@h", "xa@h"]);
    world.pass(WINDOW);
    assert_eq!(world.told(), ["-b@h", "+d@h", "xb@h"]);
}

proptest! {
    /// Whatever a source says and however the window changes: what it said last counts ten windows
    /// later, nothing is told twice, and who was named all the time is never told to leave.
    #[test]
    fn the_last_word_counts_in_the_end(
        steps in proptest::collection::vec((0..5_u8, 0..8_u8, 0..3_000_u64), 0..40),
    ) {
        let mut world = windowed(Prune::Immediate);
        let mut said = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        for (kind, mask, millis) in steps {
            let members = (0..3).filter(|i| mask & (1 << i) != 0);
            let names: BTreeSet<_> = members.map(|i| name(&format!("n{i}@h"))).collect();
            // This one is always there.
            let present = names.iter().cloned().chain([name("x@h")]);
            let present: Vec<_> = present.map(Sighting::from).collect();
            let update = match kind {
                0 | 1 => {
                    said = names;
                    Update::Snapshot(present)
                }
                2 => {
                    said.extend(names);
                    Update::Changed { present, gone: vec![] }
                }
                3 => {
                    said.retain(|it| !names.contains(it));
                    Update::Changed { present: vec![], gone: names.into_iter().collect() }
                }
                _ => failed(),
            };
            world.update("t", update);
            world.pass(Duration::from_millis(millis));
            while let Some(intent) = world.roster.poll_action() {
                match intent {
                    Intent::Want(peer) => prop_assert!(wanted.insert(peer.name().clone())),
                    Intent::Leave(name) => prop_assert!(wanted.remove(&name)),
                    Intent::Prune(name) => prop_assert!(!world.roster.contains(&name)),
                    Intent::Drain(_) => prop_assert!(false, "nobody is draining"),
                }
            }
            let counts: BTreeSet<_> =
                world.roster.peers().map(|(peer, _)| peer.name().clone()).collect();
            prop_assert_eq!(&counts, &wanted);
        }
        world.pass(WINDOW);
        while let Some(intent) = world.roster.poll_action() {
            match intent {
                Intent::Want(peer) => { wanted.insert(peer.name().clone()); }
                Intent::Leave(name) => {
                    prop_assert!(name.as_str() != "x@h");
                    wanted.remove(&name);
                }
                _ => {}
            }
        }
        wanted.remove(&name("x@h"));
        prop_assert_eq!(wanted, said);
        prop_assert_eq!(world.roster.deadline(), None);
    }
}

#[test]
fn who_is_named_again_and_only_has_to_settle_is_not_cut_off_meanwhile() {
    let mut world = settled(Prune::Grace, &["a@h", "b@h"]);
    world.update("t", snapshot(&["b@h"]));
    world.pass(WINDOW);
    assert_eq!(world.told(), ["-a@h"]);
    // It is back a moment before its grace is over.
    world.pass(Duration::from_secs(15) - WINDOW / 2);
    world.update("t", snapshot(&["a@h", "b@h"]));
    world.pass(WINDOW / 2);
    assert_eq!(world.told(), [""; 0]);
    world.pass(WINDOW / 2);
    assert_eq!(world.told(), ["+a@h"]);
    assert_eq!(world.roster.deadline(), None);
}

#[test]
fn who_is_gone_again_before_it_has_settled_is_cut_off() {
    let mut world = settled(Prune::Immediate, &["a@h", "b@h"]);
    world.roster.add_topology(topology("u")).unwrap();
    let now = world.now;
    world
        .roster
        .set_stabilisation_window(now, &topology("u"), WINDOW * 2);
    world.update("t", snapshot(&["b@h"]));
    world.pass(WINDOW / 2);
    world.update("u", snapshot(&["a@h"]));
    world.pass(WINDOW / 2);
    assert_eq!(world.told(), ["-a@h"], "another one names it, not for long");
    world.update("u", snapshot(&[]));
    world.pass(WINDOW * 2);
    assert_eq!(world.told(), ["xa@h"]);
    assert_eq!(world.roster.deadline(), None);
}
