//! Which object told which pods, so that a change of one object becomes a change of pods.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::seen::{PodId, Seen};
use crate::source::MAX_PEERS_PER_UPDATE;

/// What a list or a watch of one namespace says, with objects already read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A list begins.
    ListBegins,
    /// An object of the list, by its name.
    Listed(Arc<str>, Vec<Seen>),
    /// The list is complete.
    ListEnds,
    /// An object came or changed.
    Applied(Arc<str>, Vec<Seen>),
    /// An object was deleted.
    Deleted(Arc<str>),
}

/// What the events of objects come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// All pods there are.
    Whole(Vec<Arc<Seen>>),
    /// Some came or changed, some are gone.
    Part {
        present: Vec<Arc<Seen>>,
        gone: Vec<PodId>,
    },
}

/// The objects of all namespaces and their pods. Holds at most [`MAX_PEERS_PER_UPDATE`] pods and
/// as many objects; what comes above that is left out and counted.
#[derive(Debug)]
pub(super) struct Tracker {
    spaces: Vec<Space>,
    pods: BTreeMap<PodId, Parts>,
    left_out: usize,
}

/// What one namespace's objects tell.
#[derive(Debug, Default)]
struct Space {
    objects: BTreeMap<Arc<str>, Pods>,
    listing: Option<BTreeMap<Arc<str>, Pods>>,
    listed: bool,
}

/// The pods of one object.
type Pods = BTreeMap<PodId, Arc<Seen>>;

/// The number of a namespace and the name of an object in it.
type Key = (usize, Arc<str>);

/// The pods that an event may concern, with what was known of them before it.
type Touched = BTreeMap<PodId, Option<Arc<Seen>>>;

/// What the objects say of one pod, one part an object; hardly ever more than two.
#[derive(Debug, Default)]
struct Parts(Vec<(Key, Arc<Seen>)>);

impl Parts {
    /// The pod as all its parts together tell it.
    fn whole(&self) -> Option<Arc<Seen>> {
        let ((_, first), others) = self.0.split_first()?;
        if others.is_empty() {
            return Some(first.clone());
        }
        let mut whole = Seen::clone(first);
        for (_, other) in others {
            whole.merge(other);
        }
        Some(Arc::new(whole))
    }

    /// Puts a part in; the parts are in the order of their objects.
    fn put(&mut self, key: Key, seen: Arc<Seen>) {
        match self.0.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(place) => self.0[place].1 = seen,
            Err(place) => self.0.insert(place, (key, seen)),
        }
    }

    fn remove(&mut self, key: &Key) {
        self.0.retain(|(known, _)| known != key);
    }
}

impl Tracker {
    /// A tracker for so many namespaces.
    pub(super) fn new(spaces: usize) -> Self {
        Self {
            spaces: std::iter::repeat_with(Space::default)
                .take(spaces)
                .collect(),
            pods: BTreeMap::new(),
            left_out: 0,
        }
    }

    /// Takes an event of namespace number `space` and says what it comes to.
    pub(super) fn handle(&mut self, space: usize, event: Event) -> Option<Change> {
        match event {
            Event::ListBegins => {
                self.spaces[space].listing = Some(BTreeMap::new());
                None
            }
            Event::Listed(name, seen) => {
                let seen = folded(seen, &mut self.left_out);
                let listing = self.spaces[space].listing.get_or_insert_default();
                if listing.len() < MAX_PEERS_PER_UPDATE {
                    listing.insert(name, seen);
                } else {
                    self.left_out += 1;
                }
                None
            }
            Event::ListEnds => self.end_list(space),
            Event::Applied(name, seen) => {
                let objects = &self.spaces[space].objects;
                if objects.len() >= MAX_PEERS_PER_UPDATE && !objects.contains_key(&name) {
                    self.left_out += 1;
                    return None;
                }
                let seen = folded(seen, &mut self.left_out);
                self.replace(space, name, Some(seen))
            }
            Event::Deleted(name) => self.replace(space, name, None),
        }
    }

    /// How many objects and pods were left out since this was last asked.
    pub(super) fn take_left_out(&mut self) -> usize {
        std::mem::take(&mut self.left_out)
    }

    /// The list takes the place of what was known of its namespace. As soon as every namespace
    /// was listed once, all pods are known.
    fn end_list(&mut self, space: usize) -> Option<Change> {
        let listing = self.spaces[space].listing.take()?;
        let mut touched = BTreeMap::new();
        for (name, seen) in std::mem::take(&mut self.spaces[space].objects) {
            let key = (space, name);
            for id in seen.into_keys() {
                self.note(&id, &mut touched);
                self.remove_part(&id, &key);
            }
        }
        for (name, seen) in &listing {
            for (id, seen) in seen {
                self.note(id, &mut touched);
                self.put_part(id, (space, name.clone()), seen);
            }
        }
        self.spaces[space].objects = listing;
        self.spaces[space].listed = true;
        if self.spaces.iter().all(|space| space.listed) {
            let pods = self.pods.values().filter_map(Parts::whole);
            return Some(Change::Whole(pods.collect()));
        }
        self.changed(touched)
    }

    /// What an object says takes the place of what it said before. Only pods of which it says
    /// something else are looked at.
    fn replace(&mut self, space: usize, name: Arc<str>, seen: Option<Pods>) -> Option<Change> {
        let objects = &mut self.spaces[space].objects;
        let before = objects.remove(&name).unwrap_or_default();
        let key = (space, name.clone());
        let mut touched = BTreeMap::new();
        for id in before.keys() {
            if seen.as_ref().is_none_or(|seen| !seen.contains_key(id)) {
                self.note(id, &mut touched);
                self.remove_part(id, &key);
            }
        }
        for (id, seen) in seen.iter().flatten() {
            if before.get(id) != Some(seen) {
                self.note(id, &mut touched);
                self.put_part(id, key.clone(), seen);
            }
        }
        if let Some(seen) = seen {
            self.spaces[space].objects.insert(name, seen);
        }
        self.changed(touched)
    }

    /// Of the pods that were touched, with what was known of them before, those that are now
    /// different.
    fn changed(&self, touched: Touched) -> Option<Change> {
        let (mut present, mut gone) = (Vec::new(), Vec::new());
        for (id, before) in touched {
            match (before, self.pods.get(&id).and_then(Parts::whole)) {
                (before, Some(after)) if before.as_ref() != Some(&after) => present.push(after),
                (Some(_), None) => gone.push(id),
                _ => {}
            }
        }
        let something = !present.is_empty() || !gone.is_empty();
        something.then_some(Change::Part { present, gone })
    }

    fn note(&self, id: &PodId, touched: &mut Touched) {
        if !touched.contains_key(id) {
            touched.insert(id.clone(), self.pods.get(id).and_then(Parts::whole));
        }
    }

    fn remove_part(&mut self, id: &PodId, key: &Key) {
        if let Some(parts) = self.pods.get_mut(id) {
            parts.remove(key);
            if parts.0.is_empty() {
                self.pods.remove(id);
            }
        }
    }

    fn put_part(&mut self, id: &PodId, key: Key, seen: &Arc<Seen>) {
        if self.pods.len() >= MAX_PEERS_PER_UPDATE && !self.pods.contains_key(id) {
            self.left_out += 1;
            return;
        }
        let parts = self.pods.entry(id.clone()).or_default();
        parts.put(key, seen.clone());
    }
}

/// The pods of one object, each once: Endpoints name a pod again for each set of ports.
fn folded(seen: Vec<Seen>, left_out: &mut usize) -> Pods {
    let mut folded: Pods = BTreeMap::new();
    for seen in seen {
        let Some(id) = seen.id() else {
            continue;
        };
        let room = folded.len() < MAX_PEERS_PER_UPDATE;
        match folded.entry(id) {
            Entry::Occupied(mut known) => Arc::make_mut(known.get_mut()).merge(&seen),
            Entry::Vacant(place) if room => {
                place.insert(Arc::new(seen));
            }
            Entry::Vacant(_) => *left_out += 1,
        }
    }
    folded
}

#[cfg(test)]
mod tests;
