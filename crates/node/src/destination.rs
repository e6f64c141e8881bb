//! Whom a message is for.

use enmesh_identity::NodeName;
use enmesh_otp::Address;
use enmesh_term::{Atom, Pid, Reference};

use crate::kernel_driver::atom_of;

/// A process: by pid, by a name registered on our node or on another, or by an alias.
///
/// ```
/// use enmesh::{Atom, Destination, NodeName};
///
/// let here = Destination::from("counter");
/// let node: NodeName = "web@10.0.0.7".parse()?;
/// let there = Destination::from(("counter", &node));
/// let by_text = Destination::Name(Atom::new(&String::from("counter"))?);
/// assert_eq!(here, by_text);
/// # let _ = there;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The process of this pid.
    Pid(Pid),
    /// The process registered under this name on our own node.
    Name(Atom),
    /// The process registered under this name on that node.
    Remote {
        /// The name.
        name: Atom,
        /// The node.
        node: Atom,
    },
    /// The process that made this alias, as long as it holds it.
    Alias(Reference),
}

impl Destination {
    /// The same for the kernel of the node `own`.
    pub(crate) fn address(&self, own: &Atom) -> Address {
        match self {
            Self::Pid(pid) => Address::Pid(pid.clone()),
            Self::Name(name) => Address::Name {
                name: name.clone(),
                node: own.clone(),
            },
            Self::Remote { name, node } => Address::Name {
                name: name.clone(),
                node: node.clone(),
            },
            Self::Alias(alias) => Address::Alias(alias.clone()),
        }
    }
}

impl From<Pid> for Destination {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl From<&Pid> for Destination {
    fn from(pid: &Pid) -> Self {
        Self::Pid(pid.clone())
    }
}

impl From<Reference> for Destination {
    fn from(alias: Reference) -> Self {
        Self::Alias(alias)
    }
}

impl From<Atom> for Destination {
    fn from(name: Atom) -> Self {
        Self::Name(name)
    }
}

/// A name on our own node, written in the program. Panics over 255 characters.
impl From<&'static str> for Destination {
    fn from(name: &'static str) -> Self {
        Self::Name(Atom::from_static(name))
    }
}

/// A name on another node, written in the program. Panics over 255 characters.
impl From<(&'static str, &NodeName)> for Destination {
    fn from((name, node): (&'static str, &NodeName)) -> Self {
        Self::Remote {
            name: Atom::from_static(name),
            node: atom_of(node),
        }
    }
}

impl From<(Atom, &NodeName)> for Destination {
    fn from((name, node): (Atom, &NodeName)) -> Self {
        (name, atom_of(node)).into()
    }
}

impl From<(Atom, Atom)> for Destination {
    fn from((name, node): (Atom, Atom)) -> Self {
        Self::Remote { name, node }
    }
}

impl From<&Destination> for Destination {
    fn from(destination: &Destination) -> Self {
        destination.clone()
    }
}

impl From<Address> for Destination {
    fn from(address: Address) -> Self {
        match address {
            Address::Pid(pid) => Self::Pid(pid),
            Address::Name { name, node } => Self::Remote { name, node },
            Address::Alias(alias) => Self::Alias(alias),
        }
    }
}
