//! Which object told which peers, so that a change of one object becomes an update.

use std::collections::{BTreeMap, BTreeSet};

use enmesh_identity::NodeName;
use enmesh_membership::{Sighting, Update};

use crate::source::MAX_PEERS_PER_UPDATE;

/// What a list or a watch says, with objects already turned into peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A list begins.
    ListBegins,
    /// An object of the list.
    Listed(Key, Vec<Sighting>),
    /// The list is complete.
    ListEnds,
    /// An object came or changed.
    Applied(Key, Vec<Sighting>),
    /// An object was deleted.
    Deleted(Key),
}

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The objects and their peers. Holds at most [`MAX_PEERS_PER_UPDATE`] objects; what comes above
/// that is left out and counted.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    objects: BTreeMap<Key, Vec<Sighting>>,
    listed: Option<BTreeMap<Key, Vec<Sighting>>>,
    left_out: usize,
}

impl Tracker {
    /// Takes `event` and says what the roster should know of it.
    pub(super) fn handle(&mut self, event: Event) -> Option<Update> {
        match event {
            Event::ListBegins => {
                self.listed = Some(BTreeMap::new());
                None
            }
            Event::Listed(key, peers) => {
                let listed = self.listed.get_or_insert_default();
                if listed.len() < MAX_PEERS_PER_UPDATE {
                    listed.insert(key, bounded(peers, &mut self.left_out));
                } else {
                    self.left_out += 1;
                }
                None
            }
            Event::ListEnds => {
                self.objects = self.listed.take()?;
                Some(Update::Snapshot(self.snapshot()))
            }
            Event::Applied(key, peers) => self.change(key, peers),
            Event::Deleted(key) => {
                let before = self.objects.remove(&key)?;
                self.changed(&before, Vec::new())
            }
        }
    }

    /// Whether no object is known, which is something else than objects without peers.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// How many objects and peers were left out since this was last asked.
    pub(super) fn take_left_out(&mut self) -> usize {
        std::mem::take(&mut self.left_out)
    }

    fn change(&mut self, key: Key, peers: Vec<Sighting>) -> Option<Update> {
        if self.objects.len() >= MAX_PEERS_PER_UPDATE && !self.objects.contains_key(&key) {
            self.left_out += 1;
            return None;
        }
        let peers = bounded(peers, &mut self.left_out);
        let before = self.objects.insert(key, peers.clone()).unwrap_or_default();
        let news: Vec<_> = peers
            .into_iter()
            .filter(|peer| !before.contains(peer))
            .collect();
        self.changed(&before, news)
    }

    fn changed(&self, before: &[Sighting], present: Vec<Sighting>) -> Option<Update> {
        // Pods on the host's network share an address, so a name may still be somebody else's.
        let left: BTreeSet<&NodeName> = before.iter().map(|seen| seen.name()).collect();
        let still: BTreeSet<&NodeName> = self
            .objects
            .values()
            .flatten()
            .map(|seen| seen.name())
            .filter(|name| left.contains(name))
            .collect();
        let gone: Vec<_> = left
            .difference(&still)
            .map(|name| (*name).clone())
            .collect();
        if present.is_empty() && gone.is_empty() {
            return None;
        }
        Some(Update::Changed { present, gone })
    }

    fn snapshot(&mut self) -> Vec<Sighting> {
        let mut names = BTreeSet::new();
        let peers = self.objects.values().flatten();
        let peers = peers
            .filter(|peer| names.insert(peer.name()))
            .cloned()
            .collect();
        bounded(peers, &mut self.left_out)
    }
}

fn bounded(mut peers: Vec<Sighting>, left_out: &mut usize) -> Vec<Sighting> {
    *left_out += peers.len().saturating_sub(MAX_PEERS_PER_UPDATE);
    peers.truncate(MAX_PEERS_PER_UPDATE);
    peers
}

#[cfg(test)]
mod tests;
