//! Whom a source has told to be gone.

use std::collections::BTreeMap;

use enmesh_identity::NodeName;

/// How many are remembered; above that the one that left first is forgotten.
const MAX_DEPARTED: usize = 10_000;

/// Peers that have left every topology with a source of its own. What neighbours still say of them is older news, until they
/// say it anew: they notice a pod that died silently later than Kubernetes does.
#[derive(Debug, Default)]
pub(super) struct Departed {
    when: BTreeMap<NodeName, u64>,
    who: BTreeMap<u64, NodeName>,
    next: u64,
}

impl Departed {
    pub(super) fn contains(&self, name: &NodeName) -> bool {
        self.when.contains_key(name)
    }

    pub(super) fn insert(&mut self, name: &NodeName) {
        self.remove(name);
        self.when.insert(name.clone(), self.next);
        self.who.insert(self.next, name.clone());
        self.next += 1;
        if self.who.len() > MAX_DEPARTED
            && let Some((_, oldest)) = self.who.pop_first()
        {
            self.when.remove(&oldest);
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
        let mut departed = Departed::default();
        departed.insert(&name(1));
        departed.insert(&name(2));
        departed.insert(&name(1));
        for number in 3..=MAX_DEPARTED + 1 {
            departed.insert(&name(number));
        }
        assert!(departed.contains(&name(1)) && !departed.contains(&name(2)));
        departed.remove(&name(1));
        assert!(!departed.contains(&name(1)));
        assert_eq!(departed.when.len(), departed.who.len());
    }
}
