//! Which incarnation of a name a node is.

use std::fmt;

/// The incarnation of a node's name: a 32-bit number that changes at every restart, so that
/// process identifiers of an earlier life never alias those of a later one.
///
/// Our own are at least 4 ([`Creation::from_seed`]): 0 marks nodes without one and 1 to 3 are
/// those of epmd before OTP 23. A peer's may be any number ([`Creation::from_wire`]).
///
/// ```
/// use enmesh_identity::Creation;
///
/// assert_eq!(Creation::from_wire(1_000_000).get(), 1_000_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Creation(u32);

impl Creation {
    /// A creation for ourselves from any number: 0 to 3 are moved up by 4.
    pub fn from_seed(seed: u32) -> Self {
        Self(if seed < 4 { seed + 4 } else { seed })
    }

    /// The creation that a peer or epmd told, whatever it is.
    pub fn from_wire(value: u32) -> Self {
        Self(value)
    }

    /// The number itself.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Creation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_creations_are_at_least_four() {
        for seed in [0, 1, 2, 3, 4, u32::MAX] {
            assert!(Creation::from_seed(seed).get() >= 4);
        }
    }
}
