//! What the kernel knows of one other node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::processes::Watcher;
use bytes::Bytes;
use enmesh_proto::{AltactFlags, AltactTarget, Control, Flags, Message};
use enmesh_term::{Limits, Pid, Reference, Term};

/// The most signals that wait for a node that is being connected; with one more it counts as
/// unreachable.
pub(super) const MAX_PENDING: usize = 4_096;
/// The bytes of payload that wait for a node that is being connected, to which one more message of
/// any length may come; with a further one it counts as unreachable.
pub(super) const MAX_PENDING_BYTES: usize = 16 << 20;
/// The bytes of payload that wait for all such nodes together, to which one more message may come;
/// the node that a further one is for counts as unreachable.
pub(super) const MAX_WAITING_BYTES: usize = 64 << 20;
/// How long signals wait for a node that is being connected; then it counts as unreachable. The
/// driver answers long before, unless it lost the order: a dial with all its handshakes and pauses
/// takes less at the usual `setup_time`.
pub(super) const MAX_CONNECT_TIME: Duration = Duration::from_secs(120);
/// The most links and monitors that one peer holds on us; it is answered `system_limit` beyond.
pub(super) const MAX_TIES: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };

/// One other node, connected or about to be.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) state: State,
    /// The links between a process of ours and one of its.
    pub(super) links: BTreeSet<(u32, Pid)>,
    /// Our monitors, calls and requests there.
    pub(super) requests: BTreeSet<u64>,
    /// Its monitors of ours.
    pub(super) watched: BTreeMap<Watcher, u32>,
}

/// Whether signals reach a node.
#[derive(Debug)]
pub(super) enum State {
    /// The driver was asked to connect; signals wait.
    Connecting(Pending),
    /// It is connected.
    Up(Up),
}

/// A connection that is up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Up {
    pub(super) flags: Flags,
    pub(super) creation: u32,
    pub(super) visible: bool,
    pub(super) connection_id: u64,
}

/// Signals that wait for a connection, with the flow of each.
#[derive(Debug)]
pub(super) struct Pending {
    /// How long they wait at most.
    pub(super) until: Instant,
    messages: VecDeque<(u64, Message)>,
    bytes: usize,
}

impl Pending {
    /// Whether one more signal may wait. One long message alone may, as on a link: what others
    /// say to the same node must not be lost for it.
    pub(super) fn has_room(&self) -> bool {
        self.messages.len() < MAX_PENDING && self.bytes < MAX_PENDING_BYTES
    }

    pub(super) fn push(&mut self, flow: u64, message: Message) {
        self.bytes += message.payload.as_ref().map_or(0, Bytes::len);
        self.messages.push_back((flow, message));
    }

    /// How many bytes of payload wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn into_messages(self) -> VecDeque<(u64, Message)> {
        self.messages
    }
}

impl Peer {
    /// A node that the driver is asked to connect.
    pub(super) fn connecting(until: Instant) -> Self {
        let pending = Pending {
            until,
            messages: VecDeque::new(),
            bytes: 0,
        };
        Self {
            state: State::Connecting(pending),
            links: BTreeSet::new(),
            requests: BTreeSet::new(),
            watched: BTreeMap::new(),
        }
    }

    /// Its connection, if it is up.
    pub(super) fn up(&self) -> Option<&Up> {
        match &self.state {
            State::Up(up) => Some(up),
            State::Connecting(_) => None,
        }
    }

    /// Whether a pid is one of an incarnation other than the connected one. Signals to such a pid
    /// are lost, and unlinks of it cost the connection.
    pub(super) fn is_stale(&self, pid: &Pid) -> bool {
        self.up().is_some_and(|up| up.creation != pid.creation())
    }

    /// Whether it may hold one link or monitor more.
    pub(super) fn has_room(&self) -> bool {
        self.links.len() + self.watched.len() < MAX_TIES
    }
}

/// The process there that a signal is for.
pub(super) fn target(control: &Control) -> Option<&Pid> {
    match control {
        Control::Send { to, .. }
        | Control::SendSender { to, .. }
        | Control::Link { to, .. }
        | Control::PayloadExit { to, .. }
        | Control::PayloadExit2 { to, .. }
        | Control::PayloadMonitorExit { to, .. }
        | Control::UnlinkId { to, .. }
        | Control::UnlinkIdAck { to, .. }
        | Control::SpawnReply { to, .. }
        | Control::Monitor {
            to: enmesh_proto::ProcId::Pid(to),
            ..
        }
        | Control::Demonitor {
            to: enmesh_proto::ProcId::Pid(to),
            ..
        } => Some(to),
        _ => None,
    }
}

/// A message to an alias as a peer of these flags takes it; `None` if it takes none.
pub fn alias_send(
    flags: Flags,
    from: Pid,
    alias: Reference,
    token: Option<Box<Term>>,
) -> Option<Control> {
    if flags.contains(Flags::ALTACT_SIG) {
        let flags = AltactFlags::ALIAS;
        let to = AltactTarget::Alias(alias);
        Some(Control::Altact {
            flags,
            from,
            to,
            token,
        })
    } else if flags.contains(Flags::ALIAS) {
        Some(Control::AliasSend { from, alias, token })
    } else {
        None
    }
}

/// A signal as a peer of these flags takes it; `None` if it can take it in no form.
///
/// The kernel makes every signal in its newest form but for alias messages, which are made as
/// operation 33.
pub(super) fn lower(flags: Flags, message: Message) -> Option<Message> {
    let Message { control, payload } = message;
    let control = match control {
        Control::AliasSend { from, alias, token } => alias_send(flags, from, alias, token)?,
        Control::PayloadExit { .. }
        | Control::PayloadExit2 { .. }
        | Control::PayloadMonitorExit { .. }
            if !flags.contains(Flags::EXIT_PAYLOAD) =>
        {
            return Some(Message {
                control: without_payload(control, payload.as_ref()),
                payload: None,
            });
        }
        control => control,
    };
    Some(Message { control, payload })
}

/// An exit with its reason in the control message.
fn without_payload(control: Control, payload: Option<&Bytes>) -> Control {
    let reason = payload.and_then(|bytes| enmesh_term::decode_bare(bytes, &Limits::default()).ok());
    let reason = Box::new(reason.unwrap_or_else(Term::nil));
    match control {
        Control::PayloadExit { from, to, token } => Control::Exit {
            from,
            to,
            reason,
            token,
        },
        Control::PayloadExit2 { from, to, token } => Control::Exit2 {
            from,
            to,
            reason,
            token,
        },
        Control::PayloadMonitorExit {
            from,
            to,
            reference,
        } => Control::MonitorExit {
            from,
            to,
            reference,
            reason,
        },
        other => other,
    }
}
