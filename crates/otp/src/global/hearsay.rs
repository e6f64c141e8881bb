//! Nodes that are of our partition by the word of one node alone.
//!
//! When two partitions merge, each of the two nodes that do so learns the other partition from the
//! other one, and tells its own. If one dies between the two, we have nodes in our partition that
//! never heard of us: they would tell us of no change of names, and what we have of them would be
//! brought back to them by the next merge as if it were news. So a node that we know by hearsay
//! is greeted only when it has greeted us; if the one who told us of it is lost before, we forget
//! it, and merge with it ourselves.

use std::collections::BTreeMap;
use std::time::Instant;

use enmesh_term::Atom;

use super::Global;

/// Who has not greeted us yet, and by whom we know it.
#[derive(Debug, Default)]
pub(super) struct Hearsay {
    told_by: BTreeMap<Atom, Atom>,
}

impl Hearsay {
    pub(super) fn add(&mut self, node: &Atom, from: &Atom) {
        self.told_by.insert(node.clone(), from.clone());
    }

    /// The node has greeted us, or is not of our partition any more. Whether it was hearsay.
    pub(super) fn settle(&mut self, node: &Atom) -> bool {
        self.told_by.remove(node).is_some()
    }

    /// Whether the node is yet to greet us.
    pub(super) fn contains(&self, node: &Atom) -> bool {
        self.told_by.contains_key(node)
    }

    fn told_by(&self, from: &Atom) -> Vec<Atom> {
        let mine = self.told_by.iter().filter(|(_, by)| *by == from);
        mine.map(|(node, _)| node.clone()).collect()
    }
}

impl Global {
    /// The node is lost, and with it the proof of what it told us.
    pub(super) fn doubt_what_was_heard_of(&mut self, now: Instant, from: &Atom) {
        for node in self.hearsay.told_by(from) {
            self.disown(now, &node);
        }
    }

    /// A node is not of our partition after all: its names are forgotten, and we merge with it.
    pub(super) fn disown(&mut self, now: Instant, node: &Atom) {
        self.hearsay.settle(node);
        self.known.remove(node);
        self.synced.remove(node);
        self.forget_names_of(node);
        if self.sessions.contains_key(node) {
            self.resume_session(now, node);
        } else {
            self.begin_session(now, node);
        }
    }
}
