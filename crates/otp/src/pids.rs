//! Process identifiers of our own node.

use std::sync::atomic::{AtomicU32, Ordering};

use enmesh_identity::{Creation, NodeName};
use enmesh_term::{Atom, Pid};

/// The bits of a process number that every release takes: 15, as pids had before OTP 26.
const NUMBER_BITS: u32 = 15;

/// The bits of the serial that follows: 13.
const SERIAL_BITS: u32 = 13;

/// Gives out process identifiers of our node; shared by all links, each identifier once until
/// 2^28 were given.
#[derive(Debug)]
pub struct Pids {
    node: Atom,
    creation: Creation,
    next: AtomicU32,
}

impl Pids {
    /// Identifiers of the node `name` in its incarnation `creation`.
    pub fn new(name: &NodeName, creation: Creation) -> Self {
        let node = Atom::new(name.as_str()).expect("a node name has at most 255 characters");
        Self {
            node,
            creation,
            next: AtomicU32::new(1),
        }
    }

    /// The name of our node as an atom.
    pub fn node(&self) -> &Atom {
        &self.node
    }

    /// The count behind an identifier of ours; that of any other pid means nothing.
    pub(crate) fn number(pid: &Pid) -> u32 {
        pid.id() & ((1 << NUMBER_BITS) - 1) | pid.serial() << NUMBER_BITS
    }

    /// An identifier that no process has had.
    pub fn fresh(&self) -> Pid {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let number = count & ((1 << NUMBER_BITS) - 1);
        let serial = (count >> NUMBER_BITS) & ((1 << SERIAL_BITS) - 1);
        Pid::new(self.node.clone(), number, serial, self.creation.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_identifier_is_given_twice() {
        let pids = Pids::new(&"a@h".parse().unwrap(), Creation::from_seed(9));
        let given: HashSet<Pid> = (0..100_000).map(|_| pids.fresh()).collect();
        assert_eq!(given.len(), 100_000);
        assert!(
            given
                .iter()
                .all(|pid| pid.creation() == 9 && pid.node() == "a@h")
        );
    }
}
