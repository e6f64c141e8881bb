//! Process identifiers.

use std::cmp::Ordering;
use std::fmt;

use crate::Atom;

/// A process of some node, of one incarnation (creation) of that node.
///
/// ```
/// use enmesh_term::{Atom, Pid};
///
/// let pid = Pid::new(Atom::from_static("a@h"), 7, 0, 9);
/// assert_eq!(pid.node(), "a@h");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pid {
    node: Atom,
    id: u32,
    serial: u32,
    creation: u32,
}

impl Pid {
    /// The pid of these parts.
    #[must_use]
    pub const fn new(node: Atom, id: u32, serial: u32, creation: u32) -> Self {
        Self {
            node,
            id,
            serial,
            creation,
        }
    }

    /// The name of its node.
    #[must_use]
    pub const fn node(&self) -> &Atom {
        &self.node
    }

    /// Its number on that node.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// How often the number was used up before.
    #[must_use]
    pub const fn serial(&self) -> u32 {
        self.serial
    }

    /// The creation of its node.
    #[must_use]
    pub const fn creation(&self) -> u32 {
        self.creation
    }
}

impl PartialOrd for Pid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pid {
    /// Erlang's order: by serial, number, node and creation.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.serial, self.id, &self.node, self.creation).cmp(&(
            other.serial,
            other.id,
            &other.node,
            other.creation,
        ))
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}.{}.{}>", self.node.as_str(), self.id, self.serial)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<{}.{}.{}/{}>",
            self.node.as_str(),
            self.id,
            self.serial,
            self.creation
        )
    }
}
