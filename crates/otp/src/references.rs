//! References of our own node.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use enmesh_identity::Creation;
use enmesh_term::{Atom, Reference};

/// The bits of the first word that every release takes: 18, as references had before `V4_NC`.
const FIRST_BITS: u32 = 18;

/// Gives out references of our node, each once, and knows them again.
#[derive(Debug)]
pub(crate) struct References {
    node: Atom,
    creation: u32,
    /// The third word of each: references of another incarnation with the same creation differ.
    seed: u32,
    last: u64,
}

impl References {
    pub(crate) fn new(node: Atom, creation: Creation, seed: u64) -> Self {
        Self {
            node,
            creation: creation.get(),
            seed: (seed ^ (seed >> 32)) as u32,
            last: 0,
        }
    }

    /// The number of a reference that was not given before.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The reference of a number.
    pub(crate) fn reference(&self, number: u64) -> Reference {
        let first = number as u32 & ((1 << FIRST_BITS) - 1);
        let words = [first, (number >> FIRST_BITS) as u32, self.seed];
        Reference::new(self.node.clone(), self.creation, &words).expect("three words are allowed")
    }

    /// The number of a reference, if it is one of ours.
    pub(crate) fn number(&self, reference: &Reference) -> Option<u64> {
        let &[first, second, seed] = reference.ids() else {
            return None;
        };
        let ours = first >> FIRST_BITS == 0
            && seed == self.seed
            && reference.creation() == self.creation
            && *reference.node() == self.node;
        ours.then(|| u64::from(first) | u64::from(second) << FIRST_BITS)
    }
}

/// A table keyed by numbers that we gave out ourselves, so that nobody can choose keys that
/// collide.
pub(crate) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// A table keyed by names of nodes and processes. They come from nodes that hold the cookie, and of
/// those nobody gains by making it slow: so the fast hash will do that resists only a little.
pub type AtomMap<V> = HashMap<Atom, V, foldhash::fast::FixedState>;

/// Spreads a number over 64 bits with one multiplication.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio: consecutive numbers land far apart in the upper bits, and the rotation
        // brings those down to where the table looks.
        self.0 = (self.0 ^ number)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(seed: u64) -> References {
        References::new(Atom::from_static("r@h"), Creation::from_seed(9), seed)
    }

    #[test]
    fn a_reference_is_known_again_by_its_number() {
        let mut ours = references(7);
        ours.last = (1 << FIRST_BITS) - 2;
        for _ in 0..4 {
            let number = ours.fresh();
            let reference = ours.reference(number);
            assert_eq!(ours.number(&reference), Some(number));
            assert!(reference.ids()[0] < 1 << 18 && reference.ids().len() == 3);
        }
    }

    #[test]
    fn a_reference_of_another_node_or_incarnation_is_none_of_ours() {
        let ours = references(7);
        assert_eq!(ours.number(&references(8).reference(1)), None);
        let node = Atom::from_static("q@h");
        let other = Reference::new(node, 9, &[1, 0, 7]).unwrap();
        assert_eq!(ours.number(&other), None);
        let wide = Reference::new(Atom::from_static("r@h"), 9, &[1 << 18, 0, 7]).unwrap();
        assert_eq!(ours.number(&wide), None);
    }
}
