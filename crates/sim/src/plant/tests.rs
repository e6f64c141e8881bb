//! Each checker is shown to catch a bug.

use std::time::Duration;

use super::Plant;
use crate::world::run_with;
use crate::{Promise, SimConfig};

/// Some seed of a few must show the planted bug as this broken promise, and none as another one.
/// Without the bug the same seeds are fine, or the checker would prove nothing.
fn check(plant: Plant, promise: Promise) {
    let config = |seed| SimConfig {
        seed,
        nodes: 6,
        duration: Duration::from_secs(100),
        is_calm: false,
    };
    let broken: Vec<_> = (1..=6)
        .filter_map(|seed| {
            run_with(&config(seed), None).expect("no bug, no violation");
            run_with(&config(seed), Some(plant)).err()
        })
        .collect();
    assert!(!broken.is_empty(), "{plant:?} is not found");
    for violation in broken {
        assert_eq!(violation.promise, promise, "{violation}");
        assert!(!violation.story.is_empty(), "{violation}");
        let told = violation.to_string();
        assert!(
            told.contains(&format!("--seed {}", violation.run.seed)),
            "{told}"
        );
    }
}

#[test]
fn a_lost_nodedown_is_found() {
    check(Plant::LostNodedown, Promise::OneLivePerPeer);
}

#[test]
fn a_double_nodedown_is_found() {
    check(Plant::DoubleNodedown, Promise::OneNodeupOneNodedown);
}

#[test]
fn a_double_nodeup_is_found() {
    check(Plant::DoubleNodeup, Promise::OneNodeupOneNodedown);
}

#[test]
fn a_missing_nodeup_is_found() {
    check(Plant::MissingNodeup, Promise::MessagesWhileUp);
}

#[test]
fn a_late_message_is_found() {
    check(Plant::LateMessage, Promise::MessagesWhileUp);
}

#[test]
fn a_double_message_is_found() {
    check(Plant::DoubleMessage, Promise::MessagesWhileUp);
}

#[test]
fn a_failure_that_removes_somebody_is_found() {
    check(Plant::FailureEmptiesRoster, Promise::FailureRemovesNobody);
}

#[test]
fn a_replacement_that_forgets_is_found() {
    check(Plant::ReplacingForgets, Promise::FailureRemovesNobody);
}

#[test]
fn a_window_that_is_not_kept_is_found() {
    check(Plant::NoWindows, Promise::FailureRemovesNobody);
}

#[test]
fn a_link_closed_for_leaving_is_found() {
    check(Plant::LeaveClosesLink, Promise::LeavingIsNotClosing);
}

#[test]
fn a_grace_cut_short_is_found() {
    check(Plant::GraceIsCutShort, Promise::LeavingIsNotClosing);
}

#[test]
fn a_dial_to_ourselves_is_found() {
    check(Plant::DialsOwnName, Promise::NeverDialsItself);
    check(Plant::DialsOwnAddress, Promise::NeverDialsItself);
}

#[test]
fn a_peer_that_is_not_dialled_is_found() {
    check(Plant::LostWants, Promise::NobodyDelaysAnother);
}

#[test]
fn a_dial_given_up_for_a_claim_is_found() {
    check(Plant::ClaimEndsDial, Promise::ClaimsEndNothing);
}

#[test]
fn a_link_closed_for_a_claim_is_found() {
    check(Plant::ClaimEndsLink, Promise::ClaimsEndNothing);
}

#[test]
fn a_dial_of_who_is_being_ended_is_found() {
    check(Plant::LostDrains, Promise::DialsOnlyWhomItShould);
}

#[test]
fn a_dial_of_who_is_silent_is_found() {
    check(Plant::LostStandings, Promise::DialsOnlyWhomItShould);
}

#[test]
fn a_timer_that_stays_due_is_found() {
    check(Plant::StuckTimer, Promise::NoBusyLoop);
}

#[test]
fn a_dial_storm_is_found() {
    check(Plant::DialStorm, Promise::NoDialStorm);
}

#[test]
fn leaked_links_are_found() {
    check(Plant::LeakedLinks, Promise::Bounded);
}

#[test]
fn nodes_that_stay_apart_are_found() {
    check(Plant::NoDials, Promise::WholeAfterHeal);
}

#[test]
fn a_link_that_falls_in_quiet_is_found() {
    check(Plant::FallsInQuiet, Promise::QuietStaysQuiet);
}

#[test]
fn a_shutdown_that_leaves_something_is_found() {
    check(Plant::ShutdownLeavesLink, Promise::ShutdownLeavesNothing);
}

#[test]
fn a_neighbour_that_does_not_answer_is_found() {
    check(Plant::SilentNeighbour, Promise::NeverSilent);
}
