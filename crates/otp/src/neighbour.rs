//! The answers of one link.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use enmesh_proto::{Control, Flags, Message, PeerInfo, ProcId, SpawnResult};
use enmesh_term::{Atom, Limits, Pid, Reference, Term};

use crate::Pids;
use crate::call::{Answer, Destination, Served};
use crate::spawn::{Ties, exit_reason, ties};

/// The longest message that a served name takes, in bytes; a longer one is dropped and counted.
/// Nothing that a BEAM asks `net_kernel` or `rex` comes near it.
const MAX_REQUEST: usize = 1 << 20;

/// What one neighbour was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighbourCounters {
    /// Messages that got an answer.
    pub answered: u64,
    /// Messages for processes or names that do not exist, and signals that need no answer.
    pub dropped: u64,
    /// Messages whose payload could not be decoded or was over a limit. They were dropped; the
    /// link lives.
    pub undecodable: u64,
}

/// The machine that answers what one BEAM node asks of us.
#[derive(Debug)]
pub struct Neighbour {
    pids: Arc<Pids>,
    flags: Flags,
    /// Whom our messages come from: control messages must carry a process of our node.
    sender: Pid,
    replies: VecDeque<Message>,
    counters: NeighbourCounters,
}

impl Neighbour {
    /// The answers for `peer`, whose link has just come up.
    pub fn new(pids: Arc<Pids>, peer: &PeerInfo) -> Self {
        let sender = pids.fresh();
        let (flags, replies) = (peer.flags, VecDeque::new());
        Self {
            pids,
            flags,
            sender,
            replies,
            counters: NeighbourCounters::default(),
        }
    }

    /// Takes one message of the peer. Its answers, if any, come out of [`Neighbour::poll_reply`]
    /// in the order in which they must be sent.
    pub fn handle_message(&mut self, message: &Message) {
        let before = self.replies.len();
        let payload = message.payload.as_ref();
        match &message.control {
            Control::Monitor {
                from,
                to,
                reference,
            } => self.monitor(from, to, reference),
            Control::Link { from, to } if self.is_ours(to) => {
                self.exit(to, from, Term::atom("noproc"));
            }
            Control::UnlinkId { id, from, to } if self.is_ours(to) => {
                // Before any later signal between the two, which holds as this is a queue.
                let ack = Control::UnlinkIdAck {
                    id: *id,
                    from: to.clone(),
                    to: from.clone(),
                };
                self.reply(ack, None);
            }
            Control::RegSend { to, .. } => self.registered(to, payload),
            Control::SpawnRequest {
                id,
                from,
                module,
                function,
                options,
                ..
            } => {
                let requester = Requester { id, from };
                match ties(options) {
                    Some(ties) => self.spawn(&requester, ties, (module, function), payload),
                    None => self.refuse_options(&requester),
                }
            }
            // Everything else is for processes, and none lives here: sends, exits and
            // demonitors to nothing are dropped, as a BEAM drops them. So is what names a process
            // of another node as ours: an answer in its name would cost us the link.
            _ => {}
        }
        if self.replies.len() > before {
            self.counters.answered += 1;
        } else {
            self.counters.dropped += 1;
        }
    }

    /// The next message to send to the peer.
    pub fn poll_reply(&mut self) -> Option<Message> {
        self.replies.pop_front()
    }

    /// What was answered so far.
    pub fn counters(&self) -> NeighbourCounters {
        self.counters
    }

    /// A served name lives as long as the node does, so that its monitor never fires; everything
    /// else is dead already.
    fn monitor(&mut self, from: &Pid, to: &ProcId, reference: &Reference) {
        if matches!(to, ProcId::Name(name) if Served::named(name).is_some()) {
            return;
        }
        if matches!(to, ProcId::Pid(pid) if !self.is_ours(pid)) {
            return;
        }
        self.down(to.clone(), from, reference, Term::atom("noproc"));
    }

    /// Whether a process is of our node, of whichever incarnation.
    fn is_ours(&self, pid: &Pid) -> bool {
        pid.node() == self.pids.node()
    }

    fn registered(&mut self, to: &Atom, payload: Option<&Bytes>) {
        let Some(served) = Served::named(to) else {
            return;
        };
        let Some(message) = self.decode(payload) else {
            return;
        };
        if let Some(Answer { to, message }) = served.answer(self.pids.node(), &message) {
            let payload = Some(Bytes::from(enmesh_term::encode_bare(&message)));
            let from = self.sender.clone();
            match to {
                Destination::Alias(alias) => self.reply(
                    Control::AliasSend {
                        from,
                        alias,
                        token: None,
                    },
                    payload,
                ),
                Destination::Pid(to) => self.reply(Control::Send { to, token: None }, payload),
            }
        }
    }

    fn refuse_options(&mut self, requester: &Requester<'_>) {
        let refused = SpawnResult::Refused(Atom::from_static("badopt"));
        self.reply(requester.answer(0, refused), None);
    }

    /// Answers as if a process had been started and had found no such function.
    fn spawn(
        &mut self,
        requester: &Requester<'_>,
        ties: Ties,
        (module, function): (&Atom, &Atom),
        payload: Option<&Bytes>,
    ) {
        // Arguments that cannot be decoded are as good as none: the function is unknown anyway.
        let args = self.decode(payload).unwrap_or_else(Term::nil);
        let reason = exit_reason(module, function, args);
        let pid = self.pids.fresh();
        let started = SpawnResult::Started(pid.clone());
        self.reply(requester.answer(ties.bits(), started), None);
        if ties.linked {
            self.exit(&pid, requester.from, reason.clone());
        }
        if ties.monitored {
            self.down(ProcId::Pid(pid), requester.from, requester.id, reason);
        }
    }

    /// Tells `to` that `from`, linked to it, has ended.
    fn exit(&mut self, from: &Pid, to: &Pid, reason: Term) {
        let (from, to) = (from.clone(), to.clone());
        if self.flags.contains(Flags::EXIT_PAYLOAD) {
            let payload = Bytes::from(enmesh_term::encode_bare(&reason));
            self.reply(
                Control::PayloadExit {
                    from,
                    to,
                    token: None,
                },
                Some(payload),
            );
        } else {
            self.reply(
                Control::Exit {
                    from,
                    to,
                    reason,
                    token: None,
                },
                None,
            );
        }
    }

    /// Tells `to` that `from`, which it monitored by `reference`, has ended.
    fn down(&mut self, from: ProcId, to: &Pid, reference: &Reference, reason: Term) {
        let (to, reference) = (to.clone(), reference.clone());
        if self.flags.contains(Flags::EXIT_PAYLOAD) {
            let payload = Bytes::from(enmesh_term::encode_bare(&reason));
            self.reply(
                Control::PayloadMonitorExit {
                    from,
                    to,
                    reference,
                },
                Some(payload),
            );
        } else {
            self.reply(
                Control::MonitorExit {
                    from,
                    to,
                    reference,
                    reason,
                },
                None,
            );
        }
    }

    fn reply(&mut self, control: Control, payload: Option<Bytes>) {
        self.replies.push_back(Message { control, payload });
    }

    fn decode(&mut self, payload: Option<&Bytes>) -> Option<Term> {
        let limits = Limits::default()
            .with_max_bytes(MAX_REQUEST)
            .with_max_terms(MAX_REQUEST / 16);
        let decoded = payload
            .filter(|bytes| bytes.len() <= MAX_REQUEST)
            .and_then(|bytes| enmesh_term::decode_bare(bytes, &limits).ok());
        if decoded.is_none() {
            self.counters.undecodable += 1;
        }
        decoded
    }
}

/// Who asked for a process, and by which request.
struct Requester<'a> {
    id: &'a Reference,
    from: &'a Pid,
}

impl Requester<'_> {
    fn answer(&self, flags: u32, result: SpawnResult) -> Control {
        let (id, to) = (self.id.clone(), self.from.clone());
        Control::SpawnReply {
            id,
            to,
            flags,
            result,
            token: None,
        }
    }
}

#[cfg(test)]
mod tests;
