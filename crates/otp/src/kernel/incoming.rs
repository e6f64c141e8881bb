//! Messages of peers.

use std::fmt::Debug;
use std::time::Instant;

use enmesh_proto::{AltactFlags, AltactTarget, Control, Message};
use enmesh_term::{Atom, Pid, Term};

use crate::Kernel;
use crate::kernel::Payload;
use crate::kernel::ending::{ExitKind, ExitSignal};

impl<H: Clone + Debug> Kernel<H> {
    /// Takes one message of a connected peer.
    pub fn handle_message(&mut self, now: Instant, peer: &Atom, message: Message) {
        let Message { control, payload } = message;
        let mut payload = payload.map(Payload::from);
        self.handle(now, peer, control, payload.as_mut());
    }

    /// Takes one message whose payload was perhaps decoded ahead.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        peer: &Atom,
        control: Control,
        payload: Option<&mut Payload>,
    ) {
        self.now = now;
        let follows = match (control, payload) {
            (Control::Send { to, .. } | Control::SendSender { to, .. }, Some(payload)) => {
                self.deliver_pid(peer, &to, payload, false)
            }
            (Control::RegSend { to, .. }, Some(payload)) => {
                self.deliver_name(peer, &to, payload, false)
            }
            (Control::AliasSend { alias, .. }, Some(payload)) => {
                self.deliver_alias(&alias, payload, false)
            }
            (
                Control::Altact {
                    flags, from, to, ..
                },
                Some(payload),
            ) => self.handle_altact(peer, flags, from, to, payload),
            (control, payload) => {
                self.handle_signal(peer, control, payload);
                true
            }
        };
        if follows {
            self.settle();
        }
    }

    /// Everything but messages. One in the name of a process that the peer does not have is
    /// dropped: an answer to it could cost us the link.
    fn handle_signal(&mut self, peer: &Atom, control: Control, payload: Option<&mut Payload>) {
        let known = self.peers.get(peer).is_some_and(|entry| {
            entry.up().is_some()
                && control
                    .remote()
                    .is_none_or(|from| from.node() == peer && !entry.is_stale(from))
        });
        if !known {
            self.counters.dropped += 1;
            return;
        }
        match control {
            Control::Link { from, to } if self.processes.is_ours(&to) => {
                self.handle_link(from, to);
            }
            Control::UnlinkId { id, from, to } if self.processes.is_ours(&to) => {
                self.handle_unlink(id, from, to);
            }
            Control::UnlinkIdAck { id, from, to } => self.handle_unlink_ack(id, &from, &to),
            Control::Exit {
                from, to, reason, ..
            } => self.take_exit(ExitKind::Linked, from, to, *reason),
            Control::Exit2 {
                from, to, reason, ..
            } => self.take_exit(ExitKind::Sent, from, to, *reason),
            Control::PayloadExit { from, to, .. } => {
                let reason = self.reason(payload);
                self.take_exit(ExitKind::Linked, from, to, reason);
            }
            Control::PayloadExit2 { from, to, .. } => {
                let reason = self.reason(payload);
                self.take_exit(ExitKind::Sent, from, to, reason);
            }
            Control::Monitor {
                from,
                to,
                reference,
            } => self.handle_monitor(from, to, reference),
            Control::Demonitor {
                from, reference, ..
            } => self.handle_demonitor(from, reference),
            Control::MonitorExit {
                reference, reason, ..
            } => self.handle_down(peer, &reference, *reason),
            Control::PayloadMonitorExit { reference, .. } => {
                let reason = self.reason(payload);
                self.handle_down(peer, &reference, reason);
            }
            Control::SpawnRequest(request) => self.handle_spawn_request(*request, payload),
            Control::SpawnReply {
                id, flags, result, ..
            } => self.handle_spawn_reply(peer, &id, flags, *result),
            // Group leaders mean nothing here, and the rest is obsolete or not for us.
            _ => self.counters.dropped += 1,
        }
    }

    fn handle_altact(
        &mut self,
        peer: &Atom,
        flags: AltactFlags,
        from: Pid,
        to: AltactTarget,
        payload: &mut Payload,
    ) -> bool {
        if flags.contains(AltactFlags::EXIT) {
            let to = match to {
                AltactTarget::Pid(to) => Some(to),
                AltactTarget::Alias(alias) => self.holder(&alias),
                AltactTarget::Name(name) => self.whereis(&name),
            };
            let spoofed = from.node() != peer;
            if let (Some(to), false) = (to, spoofed) {
                let reason = self.reason(Some(payload));
                self.take_exit(ExitKind::Sent, from, to, reason);
            }
            return true;
        }
        let priority = flags.contains(AltactFlags::PRIORITY);
        match to {
            AltactTarget::Pid(to) => self.deliver_pid(peer, &to, payload, priority),
            AltactTarget::Alias(alias) => self.deliver_alias(&alias, payload, priority),
            AltactTarget::Name(name) => self.deliver_name(peer, &name, payload, priority),
        }
    }

    /// The process of an alias.
    fn holder(&self, alias: &enmesh_term::Reference) -> Option<Pid> {
        let request = self.requests.get(self.requests.find(alias)?)?;
        matches!(request.kind, crate::requests::Kind::Alias).then(|| request.by.clone())
    }

    fn take_exit(&mut self, kind: ExitKind, from: Pid, to: Pid, reason: Term) {
        self.signals.push_back(ExitSignal {
            kind,
            from,
            to,
            reason,
        });
    }

    /// The reason in a payload. A death whose reason cannot be read is still a death.
    fn reason(&mut self, payload: Option<&mut Payload>) -> Term {
        let reason = payload.and_then(|payload| self.decode(payload));
        reason.unwrap_or_else(|| Term::atom("undecodable"))
    }
}
