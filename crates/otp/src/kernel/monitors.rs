//! Monitors and aliases.

use std::fmt::Debug;
use std::time::Instant;

use enmesh_proto::{Control, ProcId};
use enmesh_term::{Atom, Pid, Reference, Term};

use crate::kernel::outgoing::{flow, payload};
use crate::processes::{Owner, Watcher};
use crate::requests::{Asker, Kind, Spawn};
use crate::{Action, Address, Kernel, Mail};

impl<H: Clone + Debug> Kernel<H> {
    /// Monitors a process or a name: [`Mail::Down`] comes once, unless taken back before. An alias
    /// cannot be monitored: its monitor fires at once with `noproc`.
    pub fn monitor(&mut self, now: Instant, from: &Pid, target: &Address) -> Reference {
        self.now = now;
        let reference = self.add_request(from, Kind::Monitor, Some(target.clone()));
        self.begin_monitor(&reference);
        self.settle();
        reference
    }

    /// Takes a monitor back; `false` if it has fired, or never was one of `from`.
    pub fn demonitor(&mut self, now: Instant, from: &Pid, reference: &Reference) -> bool {
        self.now = now;
        let number = self.requests.find(reference).filter(|&number| {
            let request = self.requests.get(number);
            request.is_some_and(|request| {
                request.by == *from && matches!(request.kind, Kind::Monitor | Kind::Groups { .. })
            })
        });
        if let Some(number) = number {
            self.release(number);
            self.settle();
        }
        number.is_some()
    }

    /// A reference to which messages for `from` can be sent until it is taken back.
    ///
    /// At the bound of references in use, 4,194,304, what is sent to it is lost.
    pub fn alias(&mut self, from: &Pid) -> Reference {
        if self.requests.is_full() {
            return self.requests.unused();
        }
        self.add_request(from, Kind::Alias, None)
    }

    /// Takes an alias back; `false` if it was none of `from`.
    pub fn unalias(&mut self, from: &Pid, alias: &Reference) -> bool {
        let number = self.requests.find(alias).filter(|&number| {
            let request = self.requests.get(number);
            request
                .is_some_and(|request| request.by == *from && matches!(request.kind, Kind::Alias))
        });
        if let Some(number) = number {
            self.release(number);
        }
        number.is_some()
    }

    /// A new reference of a process that lives; one that stands for nothing if it does not.
    pub(super) fn add_request(
        &mut self,
        by: &Pid,
        kind: Kind<H>,
        target: Option<Address>,
    ) -> Reference {
        let Some(process) = self.processes.lookup_mut(by) else {
            return self.requests.unused();
        };
        let (number, reference) = self.requests.insert(by.clone(), kind, target);
        process.requests.insert(number);
        self.note_service_request(number);
        reference
    }

    /// Sets the monitor up that a request of ours is; it may fire at once.
    pub(super) fn begin_monitor(&mut self, reference: &Reference) {
        let Some(number) = self.requests.find(reference) else {
            return;
        };
        let Some(request) = self.requests.get(number) else {
            return;
        };
        let (by, target) = (request.by.clone(), request.target.clone());
        let Some(target) = target else {
            return;
        };
        if self.requests.is_full() {
            self.fire(number, Term::atom("system_limit"));
        } else if target.node() == self.node() {
            self.watch_ours(number, by, &target);
        } else {
            self.watch_theirs(number, by, target);
        }
    }

    fn watch_ours(&mut self, number: u64, by: Pid, target: &Address) {
        let (watched, name) = match target {
            Address::Pid(pid) => (self.processes.find(pid), None),
            Address::Name { name, .. } => (self.processes.named(name), Some(name.clone())),
            Address::Alias(_) => (None, None),
        };
        let reference = self.requests.reference(number);
        let process = watched.and_then(|watched| self.processes.get_mut(watched));
        match (process, self.requests.get_mut(number)) {
            (Some(process), Some(request)) => {
                process.watchers.insert(Watcher(by, reference), name);
                request.watched = watched;
            }
            _ => self.fire(number, Term::atom("noproc")),
        }
    }

    fn watch_theirs(&mut self, number: u64, by: Pid, target: Address) {
        let node = target.node().clone();
        if !self.reach(&node) {
            self.fire(number, Term::atom("noconnection"));
            return;
        }
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        let to = match target {
            Address::Pid(pid) if !peer.is_stale(&pid) => ProcId::Pid(pid),
            Address::Name { name, .. } => ProcId::Name(name),
            Address::Pid(_) | Address::Alias(_) => {
                self.fire(number, Term::atom("noproc"));
                return;
            }
        };
        peer.requests.insert(number);
        let reference = self.requests.reference(number);
        let (from, flow) = (by.clone(), flow(&by));
        let control = Control::Monitor {
            from,
            to,
            reference,
        };
        self.emit(&node, flow, control, None);
    }

    /// Ends a request of ours, and tells of it the one whom it monitors.
    pub(super) fn release(&mut self, number: u64) {
        let Some(request) = self.requests.get_mut(number) else {
            return;
        };
        if let Kind::Spawn { stage, .. } = &mut request.kind
            && *stage != Spawn::Running
        {
            // Nothing can be taken back before the answer names a process.
            *stage = Spawn::Abandoned;
            return;
        }
        let by = request.by.clone();
        let monitors = match &request.kind {
            Kind::Spawn { stage, .. } => *stage == Spawn::Running,
            Kind::Alias | Kind::Groups { .. } => false,
            _ => true,
        };
        let target = request.target.clone().filter(|_| monitors);
        let watched = request.watched;
        let reference = request.reference.clone();
        self.detach(number);
        if let Some(watched) = watched {
            if let Some(process) = self.processes.get_mut(watched) {
                process
                    .watchers
                    .remove(&Watcher(by.clone(), reference.clone()));
                self.cancel_job(watched, &by, &reference);
            }
            return;
        }
        let Some(target) = target else {
            return;
        };
        if target.node() == self.node() || !self.peers.contains_key(target.node()) {
            return;
        }
        let node = target.node().clone();
        let to = match target {
            Address::Pid(pid) if self.is_gone(&pid) => return,
            Address::Pid(pid) => ProcId::Pid(pid),
            Address::Name { name, .. } => ProcId::Name(name),
            Address::Alias(_) => return,
        };
        let flow = flow(&by);
        let control = Control::Demonitor {
            from: by,
            to,
            reference,
        };
        self.emit(&node, flow, control, None);
    }

    /// Takes a request out of every table.
    pub(super) fn detach(&mut self, number: u64) -> Option<crate::requests::Request<H>> {
        let request = self.requests.remove(number)?;
        if let Some(process) = self.processes.lookup_mut(&request.by) {
            process.requests.remove(&number);
        }
        if let Some(target) = &request.target
            && let Some(peer) = self.peers.get_mut(target.node())
        {
            peer.requests.remove(&number);
        }
        if let Some(stand_in) = request.stand_in {
            self.processes.remove(stand_in);
        }
        self.forget_service_request(number, &request.kind);
        Some(request)
    }

    /// What a request of ours monitors has ended, or is out of reach.
    pub(super) fn fire(&mut self, number: u64, reason: Term) {
        let reference = self.requests.reference(number);
        let Some(request) = self.detach(number) else {
            return;
        };
        let down = |from: Address, reason: Term| Mail::Down {
            reference,
            from,
            reason,
        };
        let target = request.target.unwrap_or(Address::Pid(request.by.clone()));
        match request.kind {
            Kind::Monitor => self.post(&request.by, down(target, reason)),
            Kind::Watch(service, id) => self.service_down(&service, id, &reason),
            Kind::Call(Asker::Slot(to)) => {
                let mail = down(target, reason);
                self.actions.push_back(Action::Deliver { to, mail });
            }
            Kind::Call(Asker::Service(service, id)) => {
                self.service_reply(&service, id, Err(crate::effect::CallFailed { reason }));
            }
            Kind::Spawn { slot, stage, .. } => {
                let mail = match stage {
                    Spawn::Abandoned => return,
                    Spawn::Running => down(target, reason),
                    Spawn::Asked => Mail::Refused(match reason {
                        Term::Atom(reason) => reason,
                        _ => Atom::from_static("noconnection"),
                    }),
                };
                self.actions.push_back(Action::Deliver { to: slot, mail });
            }
            Kind::Alias | Kind::Groups { .. } => {}
        }
    }

    /// A peer's process monitors one of ours.
    pub(super) fn handle_monitor(&mut self, from: Pid, to: ProcId, reference: Reference) {
        let (found, name) = match &to {
            ProcId::Pid(pid) if !self.processes.is_ours(pid) => {
                self.counters.dropped += 1;
                return;
            }
            ProcId::Pid(pid) => (self.processes.find(pid), None),
            ProcId::Name(name) => (self.processes.named(name), Some(name.clone())),
        };
        let Some(peer) = self.peers.get_mut(from.node()) else {
            return;
        };
        let key = Watcher(from, reference);
        if peer.watched.contains_key(&key) {
            self.counters.dropped += 1;
            return;
        }
        let room = peer.has_room();
        let process = found.and_then(|number| Some((number, self.processes.get_mut(number)?)));
        let process = process.filter(|(_, process)| !matches!(process.owner, Owner::Nobody));
        match process {
            Some((number, process)) if room => {
                peer.watched.insert(key.clone(), number);
                process.watchers.insert(key, name);
            }
            found => {
                let reason = if found.is_some() {
                    "system_limit"
                } else {
                    "noproc"
                };
                let flow = match &to {
                    ProcId::Pid(pid) => flow(pid),
                    ProcId::Name(_) => 0,
                };
                let reason = payload(&Term::atom(reason));
                self.emit_down(flow, to, key.0, key.1, reason);
            }
        }
    }

    /// A peer's process takes its monitor back.
    pub(super) fn handle_demonitor(&mut self, from: Pid, reference: Reference) {
        let key = Watcher(from, reference);
        let peer = self.peers.get_mut(key.0.node());
        let Some(number) = peer.and_then(|peer| peer.watched.remove(&key)) else {
            return;
        };
        if let Some(process) = self.processes.get_mut(number) {
            process.watchers.remove(&key);
        }
        self.cancel_job(number, &key.0, &key.1);
    }

    /// What a process of ours monitors on `peer` has ended there.
    pub(super) fn handle_down(&mut self, peer: &Atom, reference: &Reference, reason: Term) {
        let Some(number) = self.requests.find(reference) else {
            self.counters.dropped += 1;
            return;
        };
        let request = self.requests.get(number);
        let target = request.and_then(|request| request.target.as_ref());
        // Nobody but the node of the monitored process can say this.
        if target.is_some_and(|target| target.node() == peer) {
            self.fire(number, reason);
        }
    }
}
