//! The end of processes.

use std::fmt::Debug;
use std::time::Instant;

use enmesh_proto::{Control, ProcId};
use enmesh_term::{Pid, Term};

use crate::kernel::outgoing::{flow, payload};
use crate::processes::{LinkState, Owner, Watcher};
use crate::{Action, Kernel, Mail};

/// Where an exit signal comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitKind {
    /// A link: a process ended, or it is out of reach.
    Linked,
    /// `exit/2`.
    Sent,
}

/// An exit signal to a process of ours.
#[derive(Clone, Debug)]
pub(super) struct ExitSignal {
    pub(super) kind: ExitKind,
    pub(super) from: Pid,
    pub(super) to: Pid,
    pub(super) reason: Term,
}

impl<H: Clone + Debug> Kernel<H> {
    /// `exit/2`: sends an exit signal.
    pub fn exit_signal(&mut self, now: Instant, from: &Pid, to: &Pid, reason: Term) {
        self.now = now;
        self.send_exit(from.clone(), to.clone(), reason);
        self.settle();
    }

    /// As [`Kernel::exit_signal`], without what follows from it.
    pub(super) fn send_exit(&mut self, from: Pid, to: Pid, reason: Term) {
        if self.processes.is_ours(&to) {
            self.signals.push_back(ExitSignal {
                kind: ExitKind::Sent,
                from,
                to,
                reason,
            });
            return;
        }
        let (node, flow) = (to.node().clone(), flow(&from));
        if self.peers.get(&node).is_some_and(|peer| peer.is_stale(&to)) {
            return;
        }
        let token = None;
        let control = Control::PayloadExit2 { from, to, token };
        self.emit(&node, flow, control, Some(payload(&reason)));
    }

    /// An exit signal arrives: it ends the process, becomes mail, or is ignored.
    pub(super) fn deliver_exit(&mut self, signal: ExitSignal) {
        let ExitSignal {
            kind,
            from,
            to,
            reason,
        } = signal;
        let Some(number) = self.processes.find(&to) else {
            return;
        };
        if kind == ExitKind::Linked && !self.take_link(number, &from) {
            return;
        }
        let Some(process) = self.processes.get(number) else {
            return;
        };
        // A service lives as long as the node, and so does who asks for users; a request ends with
        // its reply.
        if matches!(
            process.owner,
            Owner::Service(_) | Owner::Asker | Owner::Request(_)
        ) {
            return;
        }
        if kind == ExitKind::Sent && reason.is_atom("kill") {
            self.end(number, &Term::atom("killed"), true);
        } else if process.trap_exit {
            self.post(&to, Mail::Exit { from, reason });
        } else if !reason.is_atom("normal") || (kind == ExitKind::Sent && from == to) {
            self.end(number, &reason, true);
        }
    }

    /// Takes the link out over which an exit came; `false` if there is none that counts.
    fn take_link(&mut self, number: u32, other: &Pid) -> bool {
        let Some(process) = self.processes.get_mut(number) else {
            return false;
        };
        if process.links.get(other) != Some(&LinkState::Active) {
            return false;
        }
        process.links.remove(other);
        self.forget_link(number, other);
        true
    }

    /// Takes a process out of the table and tells everybody. `told` says whether its driver must
    /// hear of it too.
    pub(super) fn end(&mut self, number: u32, reason: &Term, told: bool) {
        let Some(mut process) = self.processes.remove(number) else {
            return;
        };
        self.node_watchers.remove(&number);
        let flow = flow(&process.pid);
        for request in std::mem::take(&mut process.requests) {
            self.release(request);
        }
        let encoded = payload(reason);
        for (other, state) in process.links {
            self.forget_link(number, &other);
            if state != LinkState::Active {
                continue;
            }
            if self.processes.is_ours(&other) {
                self.signals.push_back(ExitSignal {
                    kind: ExitKind::Linked,
                    from: process.pid.clone(),
                    to: other,
                    reason: reason.clone(),
                });
            } else if !self.is_gone(&other) {
                self.emit_exit(process.pid.clone(), other, encoded.clone());
            }
        }
        for (Watcher(by, reference), name) in process.watchers {
            if self.processes.is_ours(&by) {
                if let Some(request) = self.requests.find(&reference) {
                    self.fire(request, reason.clone());
                }
                continue;
            }
            if let Some(peer) = self.peers.get_mut(by.node()) {
                peer.watched.remove(&Watcher(by.clone(), reference.clone()));
            }
            if !self.is_gone(&by) {
                let from = name.map_or_else(|| ProcId::Pid(process.pid.clone()), ProcId::Name);
                self.emit_down(flow, from, by, reference, encoded.clone());
            }
        }
        match process.owner {
            Owner::Mailbox(handle) if told => {
                let reason = reason.clone();
                self.actions.push_back(Action::Ended { handle, reason });
            }
            Owner::Job(job) => {
                self.jobs.remove(&job);
                self.services.forget_job(job);
            }
            _ => {}
        }
        self.leave_groups(&process.pid);
    }

    /// Whether a process of another node is not to be told anything: its node is not connected,
    /// or is a later incarnation.
    pub(super) fn is_gone(&self, pid: &Pid) -> bool {
        self.peers
            .get(pid.node())
            .is_none_or(|peer| peer.is_stale(pid))
    }
}
