//! The nodes that others told us of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use enmesh_identity::NodeName;
use enmesh_term::Atom;

/// The most nodes that are remembered; further ones are not dialled.
const MAX_LEARNED: usize = 65_536;

/// How long a learned node that is not connected goes on being dialled: longer than the longest
/// time away, so that a rejoin dials it too.
const REMEMBERED: Duration = Duration::from_secs(600);

/// How long a node that shall be in our partition may take to be connected.
const AWAITED: Duration = Duration::from_secs(30);

/// Who was learned, until when it is remembered, and who still is to be greeted with `in_sync`.
#[derive(Debug, Default)]
pub(super) struct Mesh {
    /// `None` as long as the node is connected.
    learned: BTreeMap<Atom, Option<Instant>>,
    awaited: BTreeMap<Atom, Instant>,
    greetings: BTreeSet<Atom>,
    has_changed: bool,
    /// Not after the next time at which there is something to forget.
    next: Option<Instant>,
}

impl Mesh {
    /// Somebody has told us of a node.
    pub(super) fn learn(&mut self, now: Instant, node: &Atom, is_connected: bool) {
        if !self.learned.contains_key(node) {
            if self.learned.len() >= MAX_LEARNED {
                return;
            }
            self.has_changed = true;
        }
        let until = (!is_connected).then(|| now + REMEMBERED);
        self.learned.insert(node.clone(), until);
        if !is_connected {
            self.awaited.entry(node.clone()).or_insert(now + AWAITED);
            self.wake(now + AWAITED);
        }
    }

    /// The node is to be greeted when it is connected.
    pub(super) fn owe_greeting(&mut self, node: &Atom) {
        if self.awaited.contains_key(node) {
            self.greetings.insert(node.clone());
        }
    }

    /// A connected node is to be dialled when it is not any more, though nobody told us of it.
    pub(super) fn remember(&mut self, node: &Atom) {
        if !self.learned.contains_key(node) && self.learned.len() < MAX_LEARNED {
            self.learned.insert(node.clone(), None);
            self.has_changed = true;
        }
    }

    /// The node is connected; whether it still is to be greeted.
    pub(super) fn nodeup(&mut self, node: &Atom) -> bool {
        if let Some(until) = self.learned.get_mut(node) {
            *until = None;
        }
        self.awaited.remove(node);
        self.greetings.remove(node)
    }

    pub(super) fn nodedown(&mut self, now: Instant, node: &Atom) {
        if let Some(until) = self.learned.get_mut(node) {
            let until = *until.get_or_insert(now + REMEMBERED);
            self.wake(until);
        }
        self.awaited.remove(node);
        self.greetings.remove(node);
    }

    /// Nobody is waited for any more; those learned are still dialled.
    pub(super) fn leave(&mut self) -> Vec<Atom> {
        self.greetings.clear();
        std::mem::take(&mut self.awaited).into_keys().collect()
    }

    /// Forgets whom it is time to forget; returns who was awaited for too long.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Atom> {
        let before = self.learned.len();
        self.learned
            .retain(|_, until| until.is_none_or(|until| until > now));
        self.has_changed |= self.learned.len() != before;
        let late: Vec<Atom> = self
            .awaited
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(node, _)| node.clone())
            .collect();
        for node in &late {
            self.awaited.remove(node);
            self.greetings.remove(node);
        }
        let forget = self.learned.values().flatten();
        self.next = forget.chain(self.awaited.values()).min().copied();
        late
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    fn wake(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// The whole set, if it is another one than when this was last asked.
    pub(super) fn changed(&mut self) -> Option<Vec<NodeName>> {
        if !std::mem::take(&mut self.has_changed) {
            return None;
        }
        let parse = |node: &Atom| node.as_str().parse().ok();
        Some(self.learned.keys().filter_map(parse).collect())
    }
}
