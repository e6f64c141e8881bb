//! Which pod is which peers, so that a change of pods becomes an update.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use enmesh_identity::NodeName;
use enmesh_membership::{Sighting, Update};

use super::seen::{PodId, Seen};

/// The peers of all pods. A name that two pods have, as on the host's network, or while one takes
/// the other's place, stays as long as one of them has it.
#[derive(Debug)]
pub(super) struct Book {
    own: NodeName,
    own_addresses: Vec<IpAddr>,
    pods: BTreeMap<PodId, Vec<Sighting>>,
    /// The names of pods that are being ended. That they are gone is told of those whom nobody knew before as well: neighbours
    /// may still know them.
    ending: BTreeMap<PodId, Vec<NodeName>>,
    /// Who has a name; whoever came last is where it is dialled.
    holders: BTreeMap<NodeName, Vec<(PodId, Sighting)>>,
    ourselves: BTreeMap<PodId, Ourselves>,
    draining: bool,
    updates: VecDeque<Update>,
}

/// An entry that may be our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ourselves {
    by_name: bool,
    terminating: bool,
}

/// The names that a change may concern, with what they were before it.
type Touched = BTreeMap<NodeName, Option<Sighting>>;

/// A pod and the peers that it is, by whichever way its names are made.
pub(super) type Entry = (Arc<Seen>, Vec<Sighting>);

impl Book {
    /// An empty book of the node `own`, which is at its host part and at `own_address`.
    pub(super) fn new(own: NodeName, own_address: Option<IpAddr>) -> Self {
        let own_addresses = own.host().as_ip().into_iter().chain(own_address).collect();
        Self {
            own,
            own_addresses,
            pods: BTreeMap::new(),
            ending: BTreeMap::new(),
            holders: BTreeMap::new(),
            ourselves: BTreeMap::new(),
            draining: false,
            updates: VecDeque::new(),
        }
    }

    /// What is to be said next.
    pub(super) fn next(&mut self) -> Option<Update> {
        self.updates.pop_front()
    }

    /// All pods there are.
    pub(super) fn set(&mut self, entries: Vec<Entry>) {
        self.pods.clear();
        self.ending.clear();
        self.holders.clear();
        self.ourselves.clear();
        for (seen, peers) in entries {
            let Some(id) = seen.id() else {
                continue;
            };
            self.look_for_ourselves(&id, &seen, &peers);
            let (peers, _) = self.sort_out(&id, &seen, peers);
            self.hold(id, peers);
        }
        self.tell_of_draining();
        self.tell_all();
    }

    /// Says all peers that there are, so that whoever is not among them is known to be gone.
    pub(super) fn tell_all(&mut self) {
        let last = |holders: &Vec<(PodId, Sighting)>| holders.last().map(|(_, peer)| peer.clone());
        let peers = self.holders.values().filter_map(last).collect();
        self.updates.push_back(Update::Snapshot(peers));
        let names = self.ending.values().flatten();
        let gone: BTreeSet<_> = names.filter(|name| self.last(name).is_none()).collect();
        if !gone.is_empty() {
            let gone = gone.into_iter().cloned().collect();
            let present = Vec::new();
            self.updates.push_back(Update::Changed { present, gone });
        }
    }

    /// Some pods came or changed, some are gone.
    pub(super) fn change(&mut self, present: Vec<Entry>, gone: Vec<PodId>) {
        let mut touched = BTreeMap::new();
        let mut told_gone = BTreeSet::new();
        for id in gone {
            self.ourselves.remove(&id);
            self.ending.remove(&id);
            self.release(&id, &mut touched);
        }
        for (seen, peers) in present {
            let Some(id) = seen.id() else {
                continue;
            };
            self.look_for_ourselves(&id, &seen, &peers);
            let (peers, ending) = self.sort_out(&id, &seen, peers);
            told_gone.extend(ending);
            self.release(&id, &mut touched);
            for peer in &peers {
                self.note(peer.name(), &mut touched);
            }
            self.hold(id, peers);
        }
        self.tell_of_draining();
        let mut present = Vec::new();
        for (name, before) in touched {
            match (before, self.last(&name)) {
                (before, Some(after)) if before.as_ref() != Some(&after) => present.push(after),
                (Some(_), None) => drop(told_gone.insert(name)),
                _ => {}
            }
        }
        let is_gone = |name: &NodeName| self.last(name).is_none();
        let gone: Vec<_> = told_gone.into_iter().filter(is_gone).collect();
        if !present.is_empty() || !gone.is_empty() {
            self.updates.push_back(Update::Changed { present, gone });
        }
    }

    /// The names by which the pod is to be dialled, and those that it had until it was to be ended. Nobody is to dial a pod that
    /// is being ended.
    fn sort_out(
        &mut self,
        id: &PodId,
        seen: &Seen,
        peers: Vec<Sighting>,
    ) -> (Vec<Sighting>, Vec<NodeName>) {
        if !seen.terminating {
            self.ending.remove(id);
            return (peers, Vec::new());
        }
        let names: Vec<_> = peers.iter().map(|peer| peer.name().clone()).collect();
        let before = self.ending.insert(id.clone(), names.clone());
        let news = before.as_ref() != Some(&names);
        (Vec::new(), if news { names } else { Vec::new() })
    }

    /// Gives the pod its names.
    fn hold(&mut self, id: PodId, peers: Vec<Sighting>) {
        for peer in &peers {
            let holders = self.holders.entry(peer.name().clone()).or_default();
            holders.retain(|(holder, _)| *holder != id);
            holders.push((id.clone(), peer.clone()));
        }
        self.pods.insert(id, peers);
    }

    /// Takes the pod's names away, and notes in `touched` what each was before.
    fn release(&mut self, id: &PodId, touched: &mut Touched) {
        for peer in self.pods.remove(id).unwrap_or_default() {
            self.note(peer.name(), touched);
            if let Some(holders) = self.holders.get_mut(peer.name()) {
                holders.retain(|(holder, _)| holder != id);
                if holders.is_empty() {
                    self.holders.remove(peer.name());
                }
            }
        }
    }

    fn note(&self, name: &NodeName, touched: &mut Touched) {
        if !touched.contains_key(name) {
            touched.insert(name.clone(), self.last(name));
        }
    }

    /// Where the name is now.
    fn last(&self, name: &NodeName) -> Option<Sighting> {
        let (_, peer) = self.holders.get(name)?.last()?;
        Some(peer.clone())
    }

    fn look_for_ourselves(&mut self, id: &PodId, seen: &Seen, peers: &[Sighting]) {
        let by_name = peers.iter().any(|peer| *peer.name() == self.own);
        let ours = |address| self.own_addresses.contains(address);
        if by_name || seen.addresses.iter().any(ours) {
            let terminating = seen.terminating;
            let ourselves = Ourselves {
                by_name,
                terminating,
            };
            self.ourselves.insert(id.clone(), ourselves);
        } else {
            self.ourselves.remove(id);
        }
    }

    /// We are being ended where every entry that is ours says so. Others on the host's network
    /// have our address too, so an entry with our name counts for more. When our entry is gone we
    /// are what we were.
    fn tell_of_draining(&mut self) {
        let named = self.ourselves.values().any(|entry| entry.by_name);
        let mut entries = self.ourselves.values();
        let draining = match self.ourselves.is_empty() {
            true => self.draining,
            false => entries.all(|entry| entry.terminating || (named && !entry.by_name)),
        };
        if draining != std::mem::replace(&mut self.draining, draining) {
            self.updates.push_back(Update::Draining(draining));
        }
    }
}

#[cfg(test)]
mod tests;
