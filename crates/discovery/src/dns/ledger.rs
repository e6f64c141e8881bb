//! What several questions say together, and who may be removed for it. No socket is touched here.

use std::collections::{BTreeMap, BTreeSet};

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::{SourceFailure, Update};

use super::answer::{Reading, Why};
use crate::source::MAX_PEERS_PER_UPDATE;

/// Whom each question has named so far.
///
/// Only a question whose answer is whole removes somebody, and only whom no other question names,
/// by its last word where it has failed since.
#[derive(Debug)]
pub(super) struct Ledger {
    known: Vec<BTreeSet<NodeName>>,
}

impl Ledger {
    /// A ledger for so many questions that have not been asked yet.
    pub(super) fn new(questions: usize) -> Self {
        Self {
            known: vec![BTreeSet::new(); questions],
        }
    }

    /// Takes in a round: one reading for each question, in their order. With the update comes
    /// what the update hides: why the answer of some question was not whole.
    pub(super) fn update(&mut self, readings: Vec<Reading>) -> (Update, Option<Why>) {
        let nobody = readings.iter().all(|reading| reading.peers.is_empty());
        let missing = readings.iter().find_map(|reading| reading.missing.clone());
        let mut dropped = BTreeSet::new();
        let mut present: BTreeMap<NodeName, PeerAddr> = BTreeMap::new();
        for (known, reading) in self.known.iter_mut().zip(readings) {
            let names = reading.peers.iter().map(|peer| peer.name().clone());
            if reading.missing.is_none() {
                let names: BTreeSet<_> = names.collect();
                dropped.extend(known.difference(&names).cloned());
                *known = names;
            } else {
                let room = MAX_PEERS_PER_UPDATE.saturating_sub(known.len());
                known.extend(names.take(room));
            }
            for peer in reading.peers {
                if present.len() < MAX_PEERS_PER_UPDATE || present.contains_key(peer.name()) {
                    let port = peer.port();
                    let earlier = present.entry(peer.name().clone()).or_insert(peer);
                    if let (None, Some(port)) = (earlier.port(), port) {
                        *earlier = earlier.clone().with_port(port);
                    }
                }
            }
        }
        let present: Vec<_> = present.into_values().collect();
        match missing {
            None => (Update::snapshot(present), None),
            Some(why) if nobody => {
                let failure = SourceFailure::new(why.kind, why.text);
                (Update::Failed(failure), None)
            }
            Some(why) => {
                let named = |name: &NodeName| self.known.iter().any(|known| known.contains(name));
                let update = Update::Changed {
                    present: present.into_iter().map(Into::into).collect(),
                    gone: dropped.into_iter().filter(|name| !named(name)).collect(),
                };
                (update, Some(why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use enmesh_membership::{FailureKind, Sighting};

    use super::*;

    fn reading(peers: &[&str], missing: Option<&str>) -> Reading {
        Reading {
            peers: peers
                .iter()
                .map(|name| PeerAddr::new(name.parse().unwrap()))
                .collect(),
            ttl: None,
            missing: missing.map(|text| Why::new(FailureKind::TimedOut, text)),
        }
    }

    fn names(peers: &[Sighting]) -> Vec<&str> {
        peers.iter().map(|peer| peer.name().as_str()).collect()
    }

    #[track_caller]
    fn check_all(update: &(Update, Option<Why>), expected: &[&str]) {
        match update {
            (Update::Snapshot(peers), None) => assert_eq!(names(peers), expected),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check_change(update: &(Update, Option<Why>), came: &[&str], went: &[&str]) {
        match update {
            (Update::Changed { present, gone }, Some(_)) => {
                assert_eq!(names(present), came);
                let gone: Vec<_> = gone.iter().map(NodeName::as_str).collect();
                assert_eq!(gone, went);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whole_answers_are_the_whole_set() {
        let mut ledger = Ledger::new(2);
        let update = ledger.update(vec![
            reading(&["a@x", "b@x"], None),
            reading(&["b@x"], None),
        ]);
        check_all(&update, &["a@x", "b@x"]);
    }

    #[test]
    fn a_question_that_fails_keeps_its_own_and_the_others_may_remove_theirs() {
        let mut ledger = Ledger::new(2);
        let first = vec![
            reading(&["a@x", "b@x", "both@x"], None),
            reading(&["both@x", "c@x"], None),
        ];
        check_all(&ledger.update(first), &["a@x", "b@x", "both@x", "c@x"]);
        let update = ledger.update(vec![reading(&["a@x"], None), reading(&[], Some("late"))]);
        check_change(&update, &["a@x"], &["b@x"]);
        let update = ledger.update(vec![reading(&["a@x"], None), reading(&["d@x"], None)]);
        check_all(&update, &["a@x", "d@x"]);
    }

    #[test]
    fn a_part_of_an_answer_adds_and_removes_nobody() {
        let mut ledger = Ledger::new(1);
        ledger.update(vec![reading(&["a@x", "b@x"], None)]);
        check_change(
            &ledger.update(vec![reading(&["c@x"], Some("part"))]),
            &["c@x"],
            &[],
        );
        check_all(&ledger.update(vec![reading(&["b@x"], None)]), &["b@x"]);
    }

    #[test]
    fn no_answer_at_all_is_a_failure() {
        let mut ledger = Ledger::new(2);
        let update = ledger.update(vec![
            reading(&[], Some("first")),
            reading(&[], Some("second")),
        ]);
        match update {
            (Update::Failed(failure), None) => assert_eq!(failure.detail(), "first"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_port_that_one_question_knows_is_kept() {
        let mut ledger = Ledger::new(2);
        let mut second = reading(&["a@x"], None);
        second.peers[0] = second.peers[0].clone().with_port(9_000);
        match ledger.update(vec![reading(&["a@x"], None), second]) {
            (Update::Snapshot(peers), None) => assert_eq!(peers[0].peer.port(), Some(9_000)),
            other => panic!("{other:?}"),
        }
    }
}
