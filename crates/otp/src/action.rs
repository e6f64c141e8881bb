//! What the kernel asks of its driver.

use std::time::Duration;

use bytes::Bytes;
use enmesh_identity::NodeName;
use enmesh_proto::Message;
use enmesh_term::{Atom, Pid, Reference, Term};

use crate::{Address, LogLine};

/// A served function that runs, by a number that is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// How a served function ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JobOutcome {
    /// It returned.
    Returned(Term),
    /// It threw, as `throw/1` does.
    Threw(Term),
    /// It ended its process, as `exit/1` does.
    Exited(Term),
    /// It failed, as `error/1` does.
    Failed {
        /// Why.
        reason: Term,
        /// Where: a list of `{M, F, Args or Arity, Location}`, or the empty one.
        stack: Term,
    },
    /// It panicked, with this message.
    Panicked(String),
}

/// A node that `global` has learned of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquaintance {
    /// Its name.
    pub node: NodeName,
    /// How often others told of it while it was not connected; more than before is news of it.
    pub told: u64,
}

/// What changed in a group of a pg scope.
///
/// ```
/// use enmesh_otp::PgEvent;
///
/// let verb = |event| match event {
///     PgEvent::Join => "joined",
///     PgEvent::Leave => "left",
/// };
/// assert_eq!(verb(PgEvent::Join), "joined");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PgEvent {
    /// Processes joined.
    Join,
    /// Processes left.
    Leave,
}

/// What comes for a mailbox or for the reply slot of a request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Mail {
    /// A message: a bare external term, without the leading 131.
    Message(Bytes),
    /// A message that goes before all ordinary ones.
    Priority(Bytes),
    /// A linked process ended, or `exit/2` was called; only processes that trap exits get it.
    Exit {
        /// Who ended, or who called.
        from: Pid,
        /// The reason.
        reason: Term,
    },
    /// A monitored process ended, or there is none, or its node is gone.
    Down {
        /// The monitor.
        reference: Reference,
        /// What the monitor named.
        from: Address,
        /// The reason.
        reason: Term,
    },
    /// The reply to a call.
    Reply(Term),
    /// The requested process was started.
    Spawned(Pid),
    /// The requested process was not started, and why: `badopt`, `notsup`, `system_limit`,
    /// `noconnection`.
    Refused(Atom),
    /// Whether a global name was registered or taken back.
    Global(bool),
    /// A node is connected.
    Nodeup {
        /// Its name.
        node: Atom,
        /// Whether it is a visible node.
        visible: bool,
        /// Which of the connections with that node.
        connection_id: u64,
    },
    /// A node is no longer connected; nothing of that connection comes after this.
    Nodedown {
        /// Its name.
        node: Atom,
        /// Whether it was a visible node.
        visible: bool,
        /// Which of the connections with that node.
        connection_id: u64,
        /// Why, in the words of `net_kernel`.
        reason: Term,
    },
    /// A group of a pg scope changed.
    Pg {
        /// The monitor of the group or scope.
        reference: Reference,
        /// What changed.
        event: PgEvent,
        /// The group.
        group: Term,
        /// The processes.
        pids: Vec<Pid>,
    },
}

/// What the driver of a [`Kernel`](crate::Kernel) is to do next, in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action<H> {
    /// Send to a node that is connected.
    Send {
        /// The node.
        node: Atom,
        /// The number of the local process that sends; 0 for services.
        flow: u64,
        /// What to send.
        message: Message,
    },
    /// Put mail into a mailbox or a reply slot.
    Deliver {
        /// Which.
        to: H,
        /// The mail.
        mail: Mail,
    },
    /// A signal ended this process: its mailbox closes.
    Ended {
        /// Its mailbox.
        handle: H,
        /// The reason.
        reason: Term,
    },
    /// Run a served function; its outcome goes to
    /// [`Kernel::handle_job`](crate::Kernel::handle_job).
    Start {
        /// The number under which its outcome is told.
        job: JobId,
        /// The module that the function was defined under.
        module: Atom,
        /// The function.
        function: Atom,
        /// Its arguments.
        args: Vec<Term>,
        /// The node that asked.
        caller: Atom,
    },
    /// Nobody waits for this function any longer. To be answered by
    /// [`Kernel::handle_job`](crate::Kernel::handle_job) with any outcome once it has ended: until
    /// then it counts among those that run.
    Abort(JobId),
    /// Connect: somebody of ours needs that node. To be answered by
    /// [`Kernel::handle_nodeup`](crate::Kernel::handle_nodeup) or
    /// [`Kernel::handle_connect_failed`](crate::Kernel::handle_connect_failed).
    Connect {
        /// The node.
        node: NodeName,
        /// Whether nobody needs it but `global`, for the names of a cluster to which it may belong no more.
        for_names: bool,
    },
    /// The whole set of nodes that `global` has learned of.
    Learned(Vec<Acquaintance>),
    /// Cut all links, dial nobody for this long, then dial all at once.
    Leave {
        /// How long to stay away.
        rejoin_after: Duration,
    },
    /// Log what a process on another node printed or logged to us.
    Log(LogLine),
}
