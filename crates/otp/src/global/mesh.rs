//! The nodes that others told us of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use enmesh_term::Atom;

use crate::action::Acquaintance;

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
    learned: BTreeMap<Atom, Learned>,
    awaited: BTreeMap<Atom, Instant>,
    greetings: BTreeSet<Atom>,
    has_changed: bool,
    /// Not after the next time at which there is something to forget.
    next: Option<Instant>,
}

/// What is remembered of a node.
#[derive(Clone, Copy, Debug, Default)]
struct Learned {
    /// `None` as long as the node is connected.
    until: Option<Instant>,
    /// How often it was told of while it was not connected.
    told: u64,
}

impl Mesh {
    /// Somebody has told us of a node.
    pub(super) fn learn(&mut self, now: Instant, node: &Atom, is_connected: bool) {
        let is_new = !self.learned.contains_key(node);
        if is_new && self.learned.len() >= MAX_LEARNED {
            return;
        }
        self.has_changed |= is_new || !is_connected;
        let learned = self.learned.entry(node.clone()).or_default();
        learned.until = (!is_connected).then(|| now + REMEMBERED);
        if !is_connected {
            learned.told += 1;
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
            self.learned.insert(node.clone(), Learned::default());
            self.has_changed = true;
        }
    }

    /// The node is connected; whether it still is to be greeted.
    pub(super) fn nodeup(&mut self, node: &Atom) -> bool {
        if let Some(learned) = self.learned.get_mut(node) {
            learned.until = None;
        }
        self.awaited.remove(node);
        self.greetings.remove(node)
    }

    pub(super) fn nodedown(&mut self, now: Instant, node: &Atom) {
        if let Some(learned) = self.learned.get_mut(node) {
            let until = *learned.until.get_or_insert(now + REMEMBERED);
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
            .retain(|_, learned| learned.until.is_none_or(|until| until > now));
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
        let forget = self.learned.values().filter_map(|learned| learned.until);
        self.next = forget.chain(self.awaited.values().copied()).min();
        late
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    fn wake(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// The whole set, if there is anything new of it since this was last asked.
    pub(super) fn changed(&mut self) -> Option<Vec<Acquaintance>> {
        if !std::mem::take(&mut self.has_changed) {
            return None;
        }
        let parse = |(node, learned): (&Atom, &Learned)| {
            Some(Acquaintance {
                node: node.as_str().parse().ok()?,
                told: learned.told,
            })
        };
        Some(self.learned.iter().filter_map(parse).collect())
    }
}
