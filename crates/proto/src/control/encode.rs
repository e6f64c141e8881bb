//! Control messages to bytes.

use bytes::BytesMut;
use enmesh_term::{Atom, Encoder, Term};

use super::{AltactFlags, AltactTarget, Control, ProcId, SpawnResult, op};

/// What stands in the unused field of a send.
const UNUSED: Atom = Atom::from_static("");

type Writer<'b> = Encoder<'b, BytesMut>;

impl Control {
    /// Puts the message at the end of `output` as an external term, 131 included.
    pub fn encode_into(&self, output: &mut BytesMut) {
        self.encode(&mut Encoder::new(output));
    }

    /// Does the same without the version byte.
    pub(crate) fn encode_bare_into(&self, output: &mut BytesMut) {
        self.encode(&mut Encoder::without_version(output));
    }

    fn encode(&self, to: &mut Writer<'_>) {
        match self {
            Control::Send { .. }
            | Control::RegSend { .. }
            | Control::SendSender { .. }
            | Control::AliasSend { .. }
            | Control::Altact { .. } => self.encode_send(to),
            Control::SpawnRequest(_) | Control::SpawnReply { .. } => self.encode_spawn(to),
            Control::Monitor { .. }
            | Control::Demonitor { .. }
            | Control::MonitorExit { .. }
            | Control::PayloadMonitorExit { .. } => self.encode_monitor(to),
            _ => self.encode_pair(to),
        }
    }

    fn encode_send(&self, to: &mut Writer<'_>) {
        match self {
            Control::Send { to: pid, token } => {
                begin(to, 3, token, op::SEND, op::SEND_TT)
                    .atom(&UNUSED)
                    .pid(pid);
                end(to, token);
            }
            Control::RegSend {
                from,
                to: name,
                token,
            } => {
                begin(to, 4, token, op::REG_SEND, op::REG_SEND_TT);
                to.pid(from).atom(&UNUSED).atom(name);
                end(to, token);
            }
            Control::SendSender {
                from,
                to: pid,
                token,
            } => {
                begin(to, 3, token, op::SEND_SENDER, op::SEND_SENDER_TT)
                    .pid(from)
                    .pid(pid);
                end(to, token);
            }
            Control::AliasSend { from, alias, token } => {
                begin(to, 3, token, op::ALIAS_SEND, op::ALIAS_SEND_TT)
                    .pid(from)
                    .reference(alias);
                end(to, token);
            }
            Control::Altact {
                flags,
                from,
                to: target,
                token,
            } => {
                let flags = AltactFlags::of(*flags, target, token.is_some());
                begin(to, 4, token, op::ALTACT_SIG_SEND, op::ALTACT_SIG_SEND);
                to.int(i64::from(flags.bits())).pid(from);
                match target {
                    AltactTarget::Pid(pid) => to.pid(pid),
                    AltactTarget::Alias(alias) => to.reference(alias),
                    AltactTarget::Name(name) => to.atom(name),
                };
                end(to, token);
            }
            _ => unreachable!("only sends come here"),
        }
    }

    fn encode_spawn(&self, to: &mut Writer<'_>) {
        match self {
            Control::SpawnRequest(request) => {
                let token = &request.token;
                begin(to, 6, token, op::SPAWN_REQUEST, op::SPAWN_REQUEST_TT);
                to.reference(&request.id)
                    .pid(&request.from)
                    .pid(&request.group_leader);
                to.tuple(3)
                    .atom(&request.module)
                    .atom(&request.function)
                    .int(i64::from(request.arity));
                to.term(&request.options);
                end(to, token);
            }
            Control::SpawnReply {
                id,
                to: pid,
                flags,
                result,
                token,
            } => {
                begin(to, 5, token, op::SPAWN_REPLY, op::SPAWN_REPLY_TT);
                to.reference(id).pid(pid).int(i64::from(*flags));
                match &**result {
                    SpawnResult::Started(pid) => to.pid(pid),
                    SpawnResult::Refused(why) => to.atom(why),
                };
                end(to, token);
            }
            _ => unreachable!("only spawns come here"),
        }
    }

    fn encode_monitor(&self, to: &mut Writer<'_>) {
        match self {
            Control::Monitor {
                from,
                to: whom,
                reference,
            } => {
                process(to.tuple(4).int(op::MONITOR_P).pid(from), whom).reference(reference);
            }
            Control::Demonitor {
                from,
                to: whom,
                reference,
            } => {
                process(to.tuple(4).int(op::DEMONITOR_P).pid(from), whom).reference(reference);
            }
            Control::MonitorExit {
                from,
                to: pid,
                reference,
                reason,
            } => {
                process(to.tuple(5).int(op::MONITOR_P_EXIT), from);
                to.pid(pid).reference(reference).term(reason);
            }
            Control::PayloadMonitorExit {
                from,
                to: pid,
                reference,
            } => {
                process(to.tuple(4).int(op::PAYLOAD_MONITOR_P_EXIT), from);
                to.pid(pid).reference(reference);
            }
            _ => unreachable!("only monitors come here"),
        }
    }

    fn encode_pair(&self, to: &mut Writer<'_>) {
        match self {
            Control::Link { from, to: pid } => {
                to.tuple(3).int(op::LINK).pid(from).pid(pid);
            }
            Control::Unlink { from, to: pid } => {
                to.tuple(3).int(op::UNLINK).pid(from).pid(pid);
            }
            Control::NodeLink => {
                to.tuple(1).int(op::NODE_LINK);
            }
            Control::GroupLeader { from, to: pid } => {
                to.tuple(3).int(op::GROUP_LEADER).pid(from).pid(pid);
            }
            Control::UnlinkId { id, from, to: pid } => {
                unsigned(to.tuple(4).int(op::UNLINK_ID), *id)
                    .pid(from)
                    .pid(pid);
            }
            Control::UnlinkIdAck { id, from, to: pid } => {
                unsigned(to.tuple(4).int(op::UNLINK_ID_ACK), *id)
                    .pid(from)
                    .pid(pid);
            }
            Control::Exit {
                from,
                to: pid,
                reason,
                token,
            } => {
                begin(to, 4, token, op::EXIT, op::EXIT_TT)
                    .pid(from)
                    .pid(pid);
                end(to, token).term(reason);
            }
            Control::Exit2 {
                from,
                to: pid,
                reason,
                token,
            } => {
                begin(to, 4, token, op::EXIT2, op::EXIT2_TT)
                    .pid(from)
                    .pid(pid);
                end(to, token).term(reason);
            }
            Control::PayloadExit {
                from,
                to: pid,
                token,
            } => {
                begin(to, 3, token, op::PAYLOAD_EXIT, op::PAYLOAD_EXIT_TT)
                    .pid(from)
                    .pid(pid);
                end(to, token);
            }
            Control::PayloadExit2 {
                from,
                to: pid,
                token,
            } => {
                begin(to, 3, token, op::PAYLOAD_EXIT2, op::PAYLOAD_EXIT2_TT)
                    .pid(from)
                    .pid(pid);
                end(to, token);
            }
            _ => unreachable!("everything else has a place of its own"),
        }
    }
}

/// Begins a tuple of `len` elements, or one more with a token, and puts the operation down.
fn begin<'a, 'b>(
    to: &'a mut Writer<'b>,
    len: usize,
    token: &Option<Box<Term>>,
    plain: i64,
    traced: i64,
) -> &'a mut Writer<'b> {
    match token {
        None => to.tuple(len).int(plain),
        Some(_) => to.tuple(len + 1).int(traced),
    }
}

fn end<'a, 'b>(to: &'a mut Writer<'b>, token: &Option<Box<Term>>) -> &'a mut Writer<'b> {
    match token {
        None => to,
        Some(token) => to.term(token),
    }
}

fn process<'a, 'b>(to: &'a mut Writer<'b>, id: &ProcId) -> &'a mut Writer<'b> {
    match id {
        ProcId::Pid(pid) => to.pid(pid),
        ProcId::Name(name) => to.atom(name),
    }
}

fn unsigned<'a, 'b>(to: &'a mut Writer<'b>, number: u64) -> &'a mut Writer<'b> {
    match i64::try_from(number) {
        Ok(number) => to.int(number),
        Err(_) => to.term(&Term::from(number)),
    }
}
