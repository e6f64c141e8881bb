//! Links of our processes, here and elsewhere (erl_dist_protocol, "Link Protocol").

use std::fmt::Debug;
use std::time::Instant;

use enmesh_proto::Control;
use enmesh_term::{Pid, Term};

use crate::Kernel;
use crate::kernel::ending::{ExitKind, ExitSignal};
use crate::kernel::outgoing::{flow, payload};
use crate::processes::{LinkState, Owner};

impl<H: Clone + Debug> Kernel<H> {
    /// Links two processes, of which `from` is ours. If there is no `to`, an exit signal `noproc`
    /// comes.
    pub fn link(&mut self, now: Instant, from: &Pid, to: &Pid) {
        self.now = now;
        if from != to {
            self.add_link(from, to);
        }
        self.settle();
    }

    /// As [`Kernel::link`], without what follows from it.
    pub(super) fn add_link(&mut self, from: &Pid, to: &Pid) {
        let Some(process) = self.processes.lookup_mut(from) else {
            return;
        };
        // A link that is being taken back begins anew: the acknowledgement still under way will
        // not match.
        if process.links.insert(to.clone(), LinkState::Active) == Some(LinkState::Active) {
            return;
        }
        let number = self.processes.find(from).expect("it was just found");
        if self.processes.is_ours(to) {
            match self.processes.lookup_mut(to) {
                Some(other) if can_be_linked(&other.owner) => {
                    other.links.insert(from.clone(), LinkState::Active);
                }
                _ => self.break_link(from, to, "noproc"),
            }
            return;
        }
        if !self.reach(to.node()) {
            self.break_link(from, to, "noconnection");
            return;
        }
        let Some(peer) = self.peers.get_mut(to.node()) else {
            return;
        };
        if peer.is_stale(to) {
            self.break_link(from, to, "noproc");
            return;
        }
        peer.links.insert((number, to.clone()));
        let (from, to) = (from.clone(), to.clone());
        let (node, flow) = (to.node().clone(), flow(&from));
        self.emit(&node, flow, Control::Link { from, to }, None);
    }

    /// An exit comes over the link of `from`, as if `to` had ended.
    pub(super) fn break_link(&mut self, from: &Pid, to: &Pid, reason: &'static str) {
        self.signals.push_back(ExitSignal {
            kind: ExitKind::Linked,
            from: to.clone(),
            to: from.clone(),
            reason: Term::atom(reason),
        });
    }

    /// Takes a link back: no exit signal of it reaches `from` after this.
    pub fn unlink(&mut self, now: Instant, from: &Pid, to: &Pid) {
        self.now = now;
        let Some(number) = self.processes.find(from) else {
            return;
        };
        let Some(process) = self.processes.get_mut(number) else {
            return;
        };
        if process.links.get(to) != Some(&LinkState::Active) {
            return;
        }
        process.links.remove(to);
        if self.processes.is_ours(to) {
            if let Some(other) = self.processes.lookup_mut(to) {
                other.links.remove(from);
            }
        } else if self.is_gone(to) {
            self.forget_link(number, to);
        } else {
            self.last_unlink += 1;
            let id = self.last_unlink;
            if let Some(process) = self.processes.get_mut(number) {
                process.links.insert(to.clone(), LinkState::Unlinking(id));
            }
            let (from, to) = (from.clone(), to.clone());
            let (node, flow) = (to.node().clone(), flow(&from));
            self.emit(&node, flow, Control::UnlinkId { id, from, to }, None);
        }
        self.settle();
    }

    /// A peer's process links to one of ours.
    pub(super) fn handle_link(&mut self, from: Pid, to: Pid) {
        let found = self.processes.find(&to);
        let process = found.and_then(|number| Some((number, self.processes.get_mut(number)?)));
        let Some((number, process)) = process.filter(|(_, process)| can_be_linked(&process.owner))
        else {
            self.emit_exit(to, from, payload(&Term::atom("noproc")));
            return;
        };
        // One that we are taking back stays so: its sender has yet to hear of that.
        if process.links.contains_key(&from) {
            return;
        }
        let Some(peer) = self.peers.get_mut(from.node()) else {
            return;
        };
        if !peer.has_room() {
            self.emit_exit(to, from, payload(&Term::atom("system_limit")));
            return;
        }
        peer.links.insert((number, from.clone()));
        process.links.insert(from, LinkState::Active);
    }

    /// A peer's process takes a link back. The answer goes before any later signal to it, as
    /// actions are obeyed in order.
    pub(super) fn handle_unlink(&mut self, id: u64, from: Pid, to: Pid) {
        if let Some(number) = self.processes.find(&to)
            && let Some(process) = self.processes.get_mut(number)
            && process.links.get(&from) == Some(&LinkState::Active)
        {
            process.links.remove(&from);
            self.forget_link(number, &from);
        }
        let (from, to) = (to, from);
        let (node, flow) = (to.node().clone(), flow(&from));
        self.emit(&node, flow, Control::UnlinkIdAck { id, from, to }, None);
    }

    /// A peer's process has taken notice that we took a link back.
    pub(super) fn handle_unlink_ack(&mut self, id: u64, from: &Pid, to: &Pid) {
        if let Some(number) = self.processes.find(to)
            && let Some(process) = self.processes.get_mut(number)
            && process.links.get(from) == Some(&LinkState::Unlinking(id))
        {
            process.links.remove(from);
            self.forget_link(number, from);
        }
    }

    /// Drops what is recorded with the peer of a link.
    pub(super) fn forget_link(&mut self, number: u32, other: &Pid) {
        if let Some(peer) = self.peers.get_mut(other.node()) {
            peer.links.remove(&(number, other.clone()));
        }
    }
}

/// Whether there is a process that lives on beyond this moment.
fn can_be_linked<H>(owner: &Owner<H>) -> bool {
    !matches!(owner, Owner::Nobody | Owner::Request(_))
}
