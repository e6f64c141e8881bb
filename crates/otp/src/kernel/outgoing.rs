//! Signals to other nodes.

use std::fmt::Debug;
use std::time::Instant;

use bytes::Bytes;
use enmesh_identity::NodeName;
use enmesh_proto::{Control, Message, ProcId};
use enmesh_term::{Atom, Pid, Reference, Term};

use crate::kernel::peer::{MAX_CONNECT_TIME, MAX_WAITING_BYTES, Peer, State, lower};
use crate::kernel::peers::MAX_SEEN;
use crate::kernel::serve::{FIRST_OF_GLOBAL, LAST_SERVICE};
use crate::{Action, Address, AutoConnect, Kernel, Pids};

/// The most nodes that are being connected at once because signals wait for them; one more counts
/// as unreachable.
const MAX_CONNECTING: usize = 1_024;

/// The longest payload of a signal, in bytes: what every link takes. The reason of an end that is
/// longer is told as `system_limit`, so that who waits for it does not wait for ever; a longer
/// message is dropped.
pub(crate) const MAX_PAYLOAD: usize = (128 << 20) - (4 << 10);

impl<H: Clone + Debug> Kernel<H> {
    /// Sends a message, here or elsewhere; one to nobody is dropped. `payload` is a bare term.
    pub fn send(&mut self, now: Instant, from: &Pid, to: &Address, payload: Bytes) {
        self.now = now;
        if to.node() == self.node() {
            if self.deliver(to, payload) {
                self.settle();
            }
            return;
        }
        self.dispatch(from, to, payload);
        self.settle();
    }

    /// As [`Kernel::send`], without what follows from it.
    pub(super) fn dispatch(&mut self, from: &Pid, to: &Address, payload: Bytes) {
        if to.node() == self.node() {
            self.deliver(to, payload);
            return;
        }
        let from = from.clone();
        let flow = flow(&from);
        let control = match to {
            Address::Pid(to) => Control::Send {
                to: to.clone(),
                token: None,
            },
            Address::Name { name, .. } => Control::RegSend {
                from,
                to: name.clone(),
                token: None,
            },
            Address::Alias(alias) => Control::AliasSend {
                from,
                alias: alias.clone(),
                token: None,
            },
        };
        self.emit(to.node(), flow, control, Some(payload));
    }

    /// Whether signals reach a node, or wait for it from now on.
    pub(super) fn reach(&mut self, node: &Atom) -> bool {
        if self.peers.contains_key(node) {
            return true;
        }
        let allowed = match self.config.auto_connect {
            AutoConnect::Always => true,
            AutoConnect::Once => self.seen.len() < MAX_SEEN && !self.seen.contains(node),
            AutoConnect::Never => false,
        };
        if !allowed || node == self.node() {
            return false;
        }
        if self.connecting.len() >= MAX_CONNECTING {
            return false;
        }
        let Ok(name) = node.as_str().parse::<NodeName>() else {
            return false;
        };
        let until = self.now + MAX_CONNECT_TIME;
        self.peers.insert(node.clone(), Peer::connecting(until));
        self.connecting.insert((until, node.clone()));
        self.actions.push_back(Action::Connect {
            node: name,
            for_names: self.is_global_at_work,
        });
        true
    }

    /// Sends a signal, or keeps it until the node is connected. One that does not reach the node
    /// is dropped: what must be told of that was recorded with the peer, and is told as if the
    /// connection had ended.
    pub(super) fn emit(
        &mut self,
        node: &Atom,
        flow: u64,
        control: Control,
        payload: Option<Bytes>,
    ) {
        if !self.reach(node) {
            self.counters.dropped += 1;
            return;
        }
        let too_long = payload.as_ref().is_some_and(|p| p.len() > MAX_PAYLOAD);
        let payload = match control {
            Control::PayloadExit { .. }
            | Control::PayloadExit2 { .. }
            | Control::PayloadMonitorExit { .. }
                if too_long =>
            {
                Some(self::payload(&Term::atom("system_limit")))
            }
            _ if too_long => {
                self.counters.dropped += 1;
                return;
            }
            _ => payload,
        };
        let message = Message { control, payload };
        let kept = match self.peers.get_mut(node).map(|peer| &mut peer.state) {
            Some(State::Up(up)) => {
                match lower(up.flags, message) {
                    Some(message) => self.actions.push_back(Action::Send {
                        node: node.clone(),
                        flow,
                        message,
                    }),
                    None => self.counters.dropped += 1,
                }
                true
            }
            Some(State::Connecting(pending)) => {
                let has_room = pending.has_room() && self.waiting < MAX_WAITING_BYTES;
                if has_room {
                    self.waiting += message.payload.as_ref().map_or(0, Bytes::len);
                    pending.push(flow, message);
                }
                has_room
            }
            None => true,
        };
        if !kept {
            self.fail(node);
        }
    }

    /// Tells `to` that `from`, linked to it, has ended.
    pub(super) fn emit_exit(&mut self, from: Pid, to: Pid, reason: Bytes) {
        let (node, flow) = (to.node().clone(), flow(&from));
        let token = None;
        let control = Control::PayloadExit { from, to, token };
        self.emit(&node, flow, control, Some(reason));
    }

    /// Tells `to` that what it monitored by `reference` has ended. `by` is the process of ours
    /// that did, if there was one.
    pub(super) fn emit_down(
        &mut self,
        flow: u64,
        from: ProcId,
        to: Pid,
        reference: Reference,
        reason: Bytes,
    ) {
        let node = to.node().clone();
        let control = Control::PayloadMonitorExit {
            from,
            to,
            reference,
        };
        self.emit(&node, flow, control, Some(reason));
    }
}

/// The flow of what a process of ours sends. Those of `global` share one: what one of them says
/// must not overtake what another has said before. Nobody else's large message may hold up theirs,
/// which sit inside a lock of the whole cluster.
pub(super) fn flow(from: &Pid) -> u64 {
    match Pids::number(from) {
        FIRST_OF_GLOBAL..=LAST_SERVICE => 0,
        number => u64::from(number),
    }
}

/// A term as a payload.
pub(super) fn payload(term: &Term) -> Bytes {
    Bytes::from(enmesh_term::encode_bare(term))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_answer_of_another_service_holds_up_nothing_of_global() {
        let pids = Pids::new(
            &"a@h".parse().unwrap(),
            enmesh_identity::Creation::from_seed(9),
        );
        let flows: Vec<u64> = (1..=LAST_SERVICE + 1)
            .map(|_| flow(&pids.fresh()))
            .collect();
        assert_eq!(flows, [1, 2, 3, 4, 5, 0, 0, 0, 9]);
    }
}
