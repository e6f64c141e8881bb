//! What two connected nodes say to each other.

mod decode;
mod encode;
mod names;
mod op;

use bytes::Bytes;
use enmesh_term::{Atom, Pid, Reference, Term};

pub use decode::ControlError;

/// A control message with what follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The control message.
    pub control: Control,
    /// The external term that follows, without the version byte 131; there is one exactly if
    /// [`Control::has_payload`]. It is not decoded: one that cannot be is to fail alone.
    pub payload: Option<Bytes>,
}

/// A process, by identifier or by registered name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProcId {
    /// By identifier.
    Pid(Pid),
    /// By the name that it is registered under.
    Name(Atom),
}

/// What came of a request to spawn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SpawnResult {
    /// The process runs.
    Started(Pid),
    /// It was not started, and why, as a BEAM says it: `badarg`, `notsup`, `system_limit`.
    Refused(Atom),
}

/// What is to be spawned, and for whom.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The fields are those of the protocol's own tables.
pub struct SpawnRequest {
    pub id: Reference,
    pub from: Pid,
    pub group_leader: Pid,
    pub module: Atom,
    pub function: Atom,
    pub arity: u8,
    pub options: Term,
    pub token: Option<Box<Term>>,
}

/// What an [`Control::Altact`] message is, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct AltactFlags(u32);

impl AltactFlags {
    /// Delivered ahead of ordinary messages.
    pub const PRIORITY: AltactFlags = AltactFlags(1);
    /// A trace token is there.
    pub const TOKEN: AltactFlags = AltactFlags(2);
    /// Addressed to an alias.
    pub const ALIAS: AltactFlags = AltactFlags(4);
    /// Addressed to a registered name.
    pub const NAME: AltactFlags = AltactFlags(8);
    /// The payload is an exit reason and not a message.
    pub const EXIT: AltactFlags = AltactFlags(16);

    /// The bits as they travel.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The bits that travel as `bits`.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: AltactFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: AltactFlags) -> Self {
        Self(self.0 | other.0)
    }

    /// `flags` with the bits put right that follow from the target and the token.
    fn of(flags: AltactFlags, to: &AltactTarget, token: bool) -> Self {
        let target = match to {
            AltactTarget::Pid(_) => AltactFlags(0),
            AltactTarget::Alias(_) => AltactFlags::ALIAS,
            AltactTarget::Name(_) => AltactFlags::NAME,
        };
        let token = if token {
            AltactFlags::TOKEN
        } else {
            AltactFlags(0)
        };
        let follow = AltactFlags::ALIAS
            .with(AltactFlags::NAME)
            .with(AltactFlags::TOKEN);
        AltactFlags(flags.0 & !follow.0).with(target).with(token)
    }
}

/// Whom an [`Control::Altact`] message is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AltactTarget {
    /// A process.
    Pid(Pid),
    /// An alias of a process.
    Alias(Reference),
    /// A registered name.
    Name(Atom),
}

/// A control message (erl_dist_protocol, "Protocol between Connected Nodes"): operations 1 to 37.
///
/// Operations that exist with and without a trace token are one variant with `token`; the number
/// on the wire follows from it. `from` is on the sending node and `to` on the receiving one.
///
/// It is moved several times on its way, so what is big and not in every message is boxed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields are those of the protocol's own tables.
pub enum Control {
    /// 1: a link is set up.
    Link { from: Pid, to: Pid },
    /// 2 and 12: a message to a process. Has a payload.
    Send { to: Pid, token: Option<Box<Term>> },
    /// 3 and 13: a linked process died.
    Exit {
        from: Pid,
        to: Pid,
        reason: Box<Term>,
        token: Option<Box<Term>>,
    },
    /// 4: a link is taken back. Obsolete: never to be sent, OTP 26 cuts the connection for it.
    Unlink { from: Pid, to: Pid },
    /// 5: obsolete.
    NodeLink,
    /// 6 and 16: a message to a registered name. Has a payload.
    RegSend {
        from: Pid,
        to: Atom,
        token: Option<Box<Term>>,
    },
    /// 7: `from`, of any node, becomes the group leader of `to`.
    GroupLeader { from: Pid, to: Pid },
    /// 8 and 18: `exit/2`.
    Exit2 {
        from: Pid,
        to: Pid,
        reason: Box<Term>,
        token: Option<Box<Term>>,
    },
    /// 19: a process is monitored.
    Monitor {
        from: Pid,
        to: ProcId,
        reference: Reference,
    },
    /// 20: a monitor is taken back.
    Demonitor {
        from: Pid,
        to: ProcId,
        reference: Reference,
    },
    /// 21: a monitored process died; `from` is what the monitor named.
    MonitorExit {
        from: ProcId,
        to: Pid,
        reference: Reference,
        reason: Box<Term>,
    },
    /// 22 and 23: a message to a process, with its sender. Has a payload.
    SendSender {
        from: Pid,
        to: Pid,
        token: Option<Box<Term>>,
    },
    /// 24 and 25: a linked process died. The payload is the reason.
    PayloadExit {
        from: Pid,
        to: Pid,
        token: Option<Box<Term>>,
    },
    /// 26 and 27: `exit/2`. The payload is the reason.
    PayloadExit2 {
        from: Pid,
        to: Pid,
        token: Option<Box<Term>>,
    },
    /// 28: a monitored process died. The payload is the reason.
    PayloadMonitorExit {
        from: ProcId,
        to: Pid,
        reference: Reference,
    },
    /// 29 and 30: a process is to be spawned. The payload is the list of arguments.
    SpawnRequest(Box<SpawnRequest>),
    /// 31 and 32: the answer to it. `flags`: 1 a link is set up, 2 a monitor is.
    SpawnReply {
        id: Reference,
        to: Pid,
        flags: u32,
        result: Box<SpawnResult>,
        token: Option<Box<Term>>,
    },
    /// 33 and 34: a message to an alias. Has a payload.
    AliasSend {
        from: Pid,
        alias: Reference,
        token: Option<Box<Term>>,
    },
    /// 35: a link is taken back; to be acknowledged with the same `id`.
    UnlinkId { id: u64, from: Pid, to: Pid },
    /// 36: the acknowledgement, with `from` and `to` swapped.
    UnlinkIdAck { id: u64, from: Pid, to: Pid },
    /// 37: a message or an exit, perhaps with priority, perhaps to an alias or a name (OTP 28). Has
    /// a payload. Of `flags` those that follow from `to` and `token` are set by encoding.
    Altact {
        flags: AltactFlags,
        from: Pid,
        to: AltactTarget,
        token: Option<Box<Term>>,
    },
}

impl Control {
    /// The process that this operation says is on the sending node. Those are the operations that
    /// change what the receiver keeps about processes there; that of a send only informs, and a
    /// group leader may be anywhere.
    pub fn remote(&self) -> Option<&Pid> {
        match self {
            Control::Link { from, .. }
            | Control::Exit { from, .. }
            | Control::Unlink { from, .. }
            | Control::Exit2 { from, .. }
            | Control::Monitor { from, .. }
            | Control::Demonitor { from, .. }
            | Control::MonitorExit {
                from: ProcId::Pid(from),
                ..
            }
            | Control::PayloadExit { from, .. }
            | Control::PayloadExit2 { from, .. }
            | Control::PayloadMonitorExit {
                from: ProcId::Pid(from),
                ..
            }
            | Control::UnlinkId { from, .. }
            | Control::UnlinkIdAck { from, .. } => Some(from),
            Control::SpawnRequest(request) => Some(&request.from),
            _ => None,
        }
    }

    /// Whether a payload follows this control message.
    pub fn has_payload(&self) -> bool {
        match self {
            Control::Send { .. }
            | Control::RegSend { .. }
            | Control::SendSender { .. }
            | Control::PayloadExit { .. }
            | Control::PayloadExit2 { .. }
            | Control::PayloadMonitorExit { .. }
            | Control::SpawnRequest(_)
            | Control::AliasSend { .. }
            | Control::Altact { .. } => true,
            Control::Link { .. }
            | Control::Exit { .. }
            | Control::Unlink { .. }
            | Control::NodeLink
            | Control::GroupLeader { .. }
            | Control::Exit2 { .. }
            | Control::Monitor { .. }
            | Control::Demonitor { .. }
            | Control::MonitorExit { .. }
            | Control::SpawnReply { .. }
            | Control::UnlinkId { .. }
            | Control::UnlinkIdAck { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
