//! What a service asks of the kernel of its node.

use std::time::Duration;

use enmesh_term::{Atom, Pid, Reference, Term};

use crate::action::Acquaintance;

/// Whom a message or a monitor is for.
///
/// ```
/// use enmesh_otp::Address;
/// use enmesh_term::Atom;
///
/// let (name, node) = (Atom::from_static("counter"), Atom::from_static("web@10.0.0.7"));
/// assert_eq!(Address::Name { name, node: node.clone() }.node(), &node);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A process.
    Pid(Pid),
    /// A registered name of a node.
    Name {
        /// The name.
        name: Atom,
        /// The node.
        node: Atom,
    },
    /// An alias of a process.
    Alias(Reference),
}

impl Address {
    /// The node that it is on.
    #[must_use]
    pub fn node(&self) -> &Atom {
        match self {
            Address::Pid(pid) => pid.node(),
            Address::Name { node, .. } => node,
            Address::Alias(alias) => alias.node(),
        }
    }
}

impl From<Pid> for Address {
    fn from(pid: Pid) -> Self {
        Address::Pid(pid)
    }
}

/// A call that ended without a reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CallFailed {
    /// The reason of the DOWN: `noproc`, `noconnection`, or that of the process's end.
    pub(crate) reason: Term,
}

/// What a service (global, pg, `net_kernel`…) asks of the kernel, which obeys in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// A message.
    Send {
        from: Pid,
        to: Address,
        message: Term,
    },
    /// A `gen:call` with a monitor beneath; the outcome comes by `handle_reply(id, …)`.
    Call {
        id: u64,
        from: Pid,
        to: Address,
        request: Term,
    },
    /// Ends a call whose outcome nobody wants.
    CancelCall { id: u64 },
    /// A monitor; a death, `noconnection` included, comes by `handle_down(id, …)`.
    Monitor { id: u64, by: Pid, target: Pid },
    /// Takes a monitor back.
    Demonitor { id: u64 },
    /// `exit/2`.
    Exit { from: Pid, to: Pid, reason: Term },
    /// The whole present set of nodes that were learned.
    Connect(Vec<Acquaintance>),
    /// Cuts all links, stays away, then dials all at once.
    Leave { rejoin_after: Duration },
}
