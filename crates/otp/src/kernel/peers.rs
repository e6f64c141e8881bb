//! Nodes that come and go.

use std::fmt::Debug;
use std::time::Instant;

use enmesh_proto::{Control, Flags, PeerInfo};
use enmesh_term::{Atom, Pid, Term};

use crate::kernel::ending::{ExitKind, ExitSignal};
use crate::kernel::peer::{Peer, Pending, State, Up, lower, target};
use crate::processes::{LinkState, Watcher};
use crate::{Action, Kernel, Mail};

/// The most nodes that are remembered as having been connected; beyond, nodes count as if they
/// had been.
pub(super) const MAX_SEEN: usize = 1 << 16;

impl<H: Clone + Debug> Kernel<H> {
    /// A connection with `peer` is up; no message of it was handled yet.
    ///
    /// Processes that monitor nodes are told first; then the signals that waited leave, in their
    /// order.
    pub fn handle_nodeup(&mut self, now: Instant, peer: &PeerInfo, connection_id: u64) {
        self.now = now;
        let Ok(node) = Atom::new(peer.name.as_str()) else {
            return;
        };
        if self
            .peers
            .get(&node)
            .is_some_and(|peer| peer.up().is_some())
        {
            self.handle_nodedown(now, &node, Term::atom("connection_closed"));
        }
        if self.seen.len() < MAX_SEEN {
            self.seen.insert(node.clone());
        }
        let up = Up {
            flags: peer.flags,
            creation: peer.creation.get(),
            visible: peer.visible,
            connection_id,
        };
        let entry = self.peers.entry(node.clone());
        let entry = entry.or_insert_with(|| Peer::connecting(now));
        let before = std::mem::replace(&mut entry.state, State::Up(up));
        let list = if up.visible {
            &mut self.visible
        } else {
            &mut self.hidden
        };
        if let Err(at) = list.binary_search(&node) {
            list.insert(at, node.clone());
        }
        self.tell_watchers(up.visible, || Mail::Nodeup {
            node: node.clone(),
            visible: up.visible,
            connection_id,
        });
        if let State::Connecting(pending) = before {
            self.connecting.remove(&(pending.until, node.clone()));
            self.flush(&node, up, pending);
        }
        if up.flags.contains(Flags::PUBLISHED) {
            self.services_nodeup(&node);
        }
        self.settle();
    }

    /// Sends what waited. What is for a process of an earlier incarnation ends here instead.
    fn flush(&mut self, node: &Atom, up: Up, pending: Pending) {
        self.waiting -= pending.bytes();
        for (flow, message) in pending.into_messages() {
            let stale = target(&message.control).is_some_and(|pid| pid.creation() != up.creation);
            match (&message.control, stale) {
                (Control::Link { from, to }, true) => {
                    self.break_link(&from.clone(), &to.clone(), "noproc");
                }
                (Control::Monitor { reference, .. }, true) => {
                    if let Some(number) = self.requests.find(reference) {
                        self.fire(number, Term::atom("noproc"));
                    }
                }
                (Control::UnlinkId { from, to, .. }, true) => self.drop_link(from, to),
                (_, true) => self.counters.dropped += 1,
                (Control::SpawnRequest(request), false) if !up.flags.contains(Flags::SPAWN) => {
                    if let Some(number) = self.requests.find(&request.id) {
                        self.fire(number, Term::atom("notsup"));
                    }
                }
                (_, false) => match lower(up.flags, message) {
                    Some(message) => self.actions.push_back(Action::Send {
                        node: node.clone(),
                        flow,
                        message,
                    }),
                    None => self.counters.dropped += 1,
                },
            }
        }
    }

    /// Forgets a link whose end can be told to nobody.
    fn drop_link(&mut self, from: &Pid, to: &Pid) {
        if let Some(number) = self.processes.find(from) {
            if let Some(process) = self.processes.get_mut(number) {
                process.links.remove(to);
            }
            self.forget_link(number, to);
        }
    }

    /// The connection with `peer` has ended; no message of it comes any more.
    ///
    /// Everything that hung on the connection is told first, and then the processes that monitor
    /// nodes.
    pub fn handle_nodedown(&mut self, now: Instant, peer: &Atom, reason: Term) {
        self.now = now;
        let Some(up) = self.peers.get(peer).and_then(|peer| peer.up()).copied() else {
            return;
        };
        let list = if up.visible {
            &mut self.visible
        } else {
            &mut self.hidden
        };
        list.retain(|node| node != peer);
        if up.flags.contains(Flags::PUBLISHED) {
            // Before its calls fail: one that goes on then must not count on that node's names.
            self.global.handle_nodedown(now, peer);
        }
        self.fail(peer);
        self.settle();
        self.tell_watchers(up.visible, || Mail::Nodedown {
            node: peer.clone(),
            visible: up.visible,
            connection_id: up.connection_id,
            reason: reason.clone(),
        });
        if up.flags.contains(Flags::PUBLISHED) {
            self.services_nodedown(peer);
        }
        self.settle();
    }

    /// [`Action::Connect`] came to nothing: what waited for that node ends with `noconnection`.
    pub fn handle_connect_failed(&mut self, now: Instant, peer: &Atom) {
        self.now = now;
        if self.peers.get(peer).is_some_and(|peer| peer.up().is_none()) {
            self.fail(peer);
        }
        self.settle();
    }

    /// Nodes that nobody has told us anything of for too long are not connected any more.
    pub(super) fn give_up_connecting(&mut self) {
        while let Some((until, node)) = self.connecting.first()
            && *until <= self.now
        {
            let node = node.clone();
            self.connecting.pop_first();
            self.fail(&node);
        }
    }

    /// Ends everything that hangs on a peer, which is not known after this.
    pub(super) fn fail(&mut self, node: &Atom) {
        let Some(peer) = self.peers.remove(node) else {
            return;
        };
        if let State::Connecting(pending) = &peer.state {
            self.connecting.remove(&(pending.until, node.clone()));
            self.waiting -= pending.bytes();
        }
        for (Watcher(by, reference), number) in peer.watched {
            if let Some(process) = self.processes.get_mut(number) {
                process
                    .watchers
                    .remove(&Watcher(by.clone(), reference.clone()));
            }
            self.cancel_job(number, &by, &reference);
        }
        for (number, other) in peer.links {
            let Some(process) = self.processes.get_mut(number) else {
                continue;
            };
            if process.links.get(&other) == Some(&LinkState::Active) {
                let to = process.pid.clone();
                self.signals.push_back(ExitSignal {
                    kind: ExitKind::Linked,
                    from: other,
                    to,
                    reason: Term::atom("noconnection"),
                });
            } else {
                process.links.remove(&other);
            }
        }
        for number in peer.requests {
            self.fire(number, Term::atom("noconnection"));
        }
    }

    fn tell_watchers(&mut self, visible: bool, mail: impl Fn() -> Mail) {
        let numbers = self.node_watchers.iter();
        let numbers = numbers.filter(|(_, types)| types.include(visible));
        for number in numbers.map(|(&number, _)| number).collect::<Vec<u32>>() {
            if let Some(process) = self.processes.get(number) {
                let pid = process.pid.clone();
                self.post(&pid, mail());
            }
        }
    }
}
