//! How long a control message is apart from what is in every one of its kind.

use enmesh_term::{Atom, Pid, Reference, Term};

use super::{AltactTarget, Control, ProcId, SpawnRequest, SpawnResult};

impl Control {
    /// How many bytes the names in it may take as they travel, those of nodes included, and what it
    /// has of terms by their weight; all the rest is less than 100 bytes.
    pub fn names(&self) -> usize {
        match self {
            Control::Send { to, token } => pid(to) + extra(token),
            Control::RegSend { from, to, token } => pid(from) + atom(to) + extra(token),
            Control::Link { from, to }
            | Control::Unlink { from, to }
            | Control::GroupLeader { from, to }
            | Control::UnlinkId { from, to, .. }
            | Control::UnlinkIdAck { from, to, .. } => pid(from) + pid(to),
            Control::NodeLink => 0,
            Control::SendSender { from, to, token }
            | Control::PayloadExit { from, to, token }
            | Control::PayloadExit2 { from, to, token } => pid(from) + pid(to) + extra(token),
            Control::Exit {
                from,
                to,
                reason,
                token,
            }
            | Control::Exit2 {
                from,
                to,
                reason,
                token,
            } => pid(from) + pid(to) + reason.weight() + extra(token),
            Control::Monitor {
                from,
                to,
                reference: id,
            }
            | Control::Demonitor {
                from,
                to,
                reference: id,
            } => pid(from) + process(to) + reference(id),
            Control::MonitorExit {
                from,
                to,
                reference: id,
                reason,
            } => process(from) + pid(to) + reference(id) + reason.weight(),
            Control::PayloadMonitorExit {
                from,
                to,
                reference: id,
            } => process(from) + pid(to) + reference(id),
            Control::SpawnRequest(request) => request.names(),
            Control::SpawnReply {
                id,
                to,
                result,
                token,
                ..
            } => reference(id) + pid(to) + result.names() + extra(token),
            Control::AliasSend { from, alias, token } => {
                pid(from) + reference(alias) + extra(token)
            }
            Control::Altact {
                from, to, token, ..
            } => pid(from) + to.names() + extra(token),
        }
    }
}

impl SpawnResult {
    fn names(&self) -> usize {
        match self {
            SpawnResult::Started(started) => pid(started),
            SpawnResult::Refused(why) => atom(why),
        }
    }
}

impl AltactTarget {
    fn names(&self) -> usize {
        match self {
            AltactTarget::Pid(to) => pid(to),
            AltactTarget::Alias(alias) => reference(alias),
            AltactTarget::Name(name) => atom(name),
        }
    }
}

impl SpawnRequest {
    fn names(&self) -> usize {
        let pids = pid(&self.from) + pid(&self.group_leader) + reference(&self.id);
        let names = atom(&self.module) + atom(&self.function);
        pids + names + self.options.weight() + extra(&self.token)
    }
}

fn atom(atom: &Atom) -> usize {
    atom.as_bytes().len()
}

fn pid(pid: &Pid) -> usize {
    atom(pid.node())
}

fn reference(reference: &Reference) -> usize {
    atom(reference.node())
}

fn process(process: &ProcId) -> usize {
    match process {
        ProcId::Pid(process) => pid(process),
        ProcId::Name(name) => atom(name),
    }
}

fn extra(token: &Option<Box<Term>>) -> usize {
    token.as_ref().map_or(0, |token| token.weight())
}
