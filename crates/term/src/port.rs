//! Port identifiers.

use std::cmp::Ordering;
use std::fmt;

use crate::Atom;

/// A port of some node, of one incarnation (creation) of that node.
///
/// ```
/// use enmesh_term::{Atom, Port};
///
/// let port = Port::new(Atom::from_static("web@10.0.0.7"), 5, 1);
/// assert_eq!((port.node().as_str(), port.id()), ("web@10.0.0.7", 5));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Port {
    parts: Box<Parts>,
}

/// Boxed, because ports are rare and a term should be small.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Parts {
    node: Atom,
    id: u64,
    creation: u32,
}

impl Port {
    /// The port of these parts.
    #[must_use]
    pub fn new(node: Atom, id: u64, creation: u32) -> Self {
        Self {
            parts: Box::new(Parts { node, id, creation }),
        }
    }

    /// The name of its node.
    #[must_use]
    pub fn node(&self) -> &Atom {
        &self.parts.node
    }

    /// Its number on that node.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.parts.id
    }

    /// The creation of its node.
    #[must_use]
    pub fn creation(&self) -> u32 {
        self.parts.creation
    }
}

impl PartialOrd for Port {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Port {
    /// Erlang's order: by number, node and creation.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.id(), self.node(), self.creation()).cmp(&(other.id(), other.node(), other.creation()))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Port<{}.{}>", self.node().as_str(), self.id())
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "#Port<{}.{}/{}>",
            self.node().as_str(),
            self.id(),
            self.creation()
        )
    }
}
