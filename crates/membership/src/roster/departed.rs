//! Whom a source has told to be gone.

use std::collections::BTreeMap;

use enmesh_identity::NodeName;

use crate::TopologyName;

/// How many are remembered; above that the one that left first is forgotten.
const MAX_DEPARTED: usize = 10_000;

/// Peers that have left every topology with a source of its own, or that a source has told to be gone before it named them.
/// What neighbours still say of them is older news: they notice a pod that died silently later than Kubernetes does, and
/// one that is about to end only when it has ended.
#[derive(Debug, Default)]
pub(super) struct Departed {
    when: BTreeMap<NodeName, u64>,
    who: BTreeMap<u64, Departure>,
    next: u64,
}

#[derive(Debug)]
struct Departure {
    name: NodeName,
    /// Whose source told it.
    by: TopologyName,
}

impl Departed {
    pub(super) fn contains(&self, name: &NodeName) -> bool {
        self.when.contains_key(name)
    }

    /// The topology whose source told it last.
    pub(super) fn told_by(&self, name: &NodeName) -> Option<&TopologyName> {
        let departure = self.who.get(self.when.get(name)?)?;
        Some(&departure.by)
    }

    pub(super) fn insert(&mut self, name: &NodeName, by: &TopologyName) {
        self.remove(name);
        let departure = Departure {
            name: name.clone(),
            by: by.clone(),
        };
        self.when.insert(name.clone(), self.next);
        self.who.insert(self.next, departure);
        self.next += 1;
        if self.who.len() > MAX_DEPARTED
            && let Some((_, oldest)) = self.who.pop_first()
        {
            self.when.remove(&oldest.name);
        }
    }

    pub(super) fn remove(&mut self, name: &NodeName) {
        if let Some(when) = self.when.remove(name) {
            self.who.remove(&when);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_left_first_is_forgotten_at_the_bound() {
        let name = |number: usize| format!("a{number}@h").parse::<NodeName>().unwrap();
        let (one, other) = ("one".parse().unwrap(), "other".parse().unwrap());
        let mut departed = Departed::default();
        departed.insert(&name(1), &one);
        departed.insert(&name(2), &one);
        departed.insert(&name(1), &other);
        for number in 3..=MAX_DEPARTED + 1 {
            departed.insert(&name(number), &one);
        }
        assert!(departed.contains(&name(1)) && !departed.contains(&name(2)));
        assert_eq!(departed.told_by(&name(1)), Some(&other));
        departed.remove(&name(1));
        assert!(!departed.contains(&name(1)));
        assert_eq!(departed.when.len(), departed.who.len());
    }
}
