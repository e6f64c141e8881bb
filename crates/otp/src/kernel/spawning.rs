//! Processes that are asked for: each applies a served function.

use std::fmt::Debug;
use std::time::Instant;

use enmesh_proto::{Control, SpawnRequest, SpawnResult};
use enmesh_term::{Atom, Pid, Reference, Term};

use crate::kernel::Payload;
use crate::kernel::outgoing::{flow, payload as payload_of};
use crate::processes::{LinkState, Owner, Watcher};
use crate::services::{Admission, Cluster, Life, ties};
use crate::{Address, JobId, JobOutcome, Kernel};

impl<H: Clone + Debug> Kernel<H> {
    /// A process is asked for, by a peer or by ourselves.
    pub(super) fn handle_spawn_request(
        &mut self,
        request: SpawnRequest,
        payload: Option<&mut Payload>,
    ) {
        let SpawnRequest {
            id,
            from,
            module,
            function,
            options,
            ..
        } = request;
        let Some(ties) = ties(&options) else {
            self.refuse(id, from, Atom::from_static("badopt"));
            return;
        };
        let caller = from.node().clone();
        let args = payload.and_then(|payload| self.decode(payload));
        let admission = match args {
            Some(args) => self.admit(&module, &function, args, &caller),
            // A process finds its arguments unreadable, not the node.
            None => Admission::Admitted(Life::Ends(Term::atom("badarg"))),
        };
        let life = match admission {
            Admission::Refused(reason) => return self.refuse(id, from, reason),
            Admission::Admitted(life) => life,
        };
        let Some((number, pid)) = self.begin_life(&life) else {
            self.refuse(id, from, Atom::from_static("system_limit"));
            return;
        };
        self.tie_requester(number, &id, &from, ties.linked, ties.monitored);
        self.answer(id, from, ties.bits(), SpawnResult::Started(pid));
        self.live(number, life);
    }

    fn admit(&mut self, module: &Atom, function: &Atom, args: Term, caller: &Atom) -> Admission {
        let cluster = Cluster {
            node: self.processes.node(),
            visible: &self.visible,
            hidden: &self.hidden,
            net_ticktime: self.config.net_ticktime,
        };
        self.services
            .admit(&cluster, module, function, args, caller)
    }

    /// A process for somebody who was let in; `None` if there is no room.
    fn begin_life(&mut self, life: &Life) -> Option<(u32, Pid)> {
        let owner = match life {
            Life::Ends(_) => Owner::Nobody,
            Life::Runs(job) => Owner::Job(*job),
        };
        let begun = self.processes.insert(owner, false).ok();
        match (&begun, life) {
            (Some((number, _)), Life::Runs(job)) => {
                self.jobs.insert(*job, *number);
            }
            (None, Life::Runs(job)) => self.services.forget_job(*job),
            (_, Life::Ends(_)) => {}
        }
        begun
    }

    /// Lets a process that has all its ties live, or end.
    fn live(&mut self, number: u32, life: Life) {
        if let Life::Ends(reason) = life {
            self.end(number, &reason, false);
        }
    }

    /// The old way to spawn: the answer goes where that of a call goes.
    pub(super) fn spawn_by_call(
        &mut self,
        requester: &Pid,
        link: bool,
        reply_to: &Address,
        tag: Term,
        life: Life,
    ) {
        let Some((number, pid)) = self.begin_life(&life) else {
            let reason = Term::tuple([Term::atom("system_limit"), Term::nil()]);
            let exit = Term::tuple([Term::atom("EXIT"), reason]);
            let from = self.group_leader();
            self.dispatch(&from, reply_to, payload_of(&Term::tuple([tag, exit])));
            return;
        };
        if link {
            self.add_link(&pid, requester);
        }
        let reply = Term::tuple([tag, pid.clone().into()]);
        self.dispatch(&pid, reply_to, payload_of(&reply));
        self.live(number, life);
    }

    /// Sets up the link and the monitor that the requester asked for.
    fn tie_requester(
        &mut self,
        number: u32,
        id: &Reference,
        from: &Pid,
        linked: bool,
        monitored: bool,
    ) {
        let Some(process) = self.processes.get_mut(number) else {
            return;
        };
        let key = Watcher(from.clone(), id.clone());
        if linked {
            process.links.insert(from.clone(), LinkState::Active);
        }
        if monitored {
            process.watchers.insert(key.clone(), None);
            process.requester = Some(key.clone());
        }
        if let Some(peer) = self.peers.get_mut(from.node()) {
            if linked {
                peer.links.insert((number, from.clone()));
            }
            if monitored {
                peer.watched.insert(key, number);
            }
        }
    }

    fn refuse(&mut self, id: Reference, to: Pid, reason: Atom) {
        self.answer(id, to, 0, SpawnResult::Refused(reason));
    }

    fn answer(&mut self, id: Reference, to: Pid, flags: u32, result: SpawnResult) {
        if self.processes.is_ours(&to) {
            let node = self.node().clone();
            self.handle_spawn_reply(&node, &id, flags, result);
            return;
        }
        let flow = match &result {
            SpawnResult::Started(pid) => flow(pid),
            SpawnResult::Refused(_) => 0,
        };
        let node = to.node().clone();
        let control = Control::SpawnReply {
            id,
            to,
            flags,
            result: Box::new(result),
            token: None,
        };
        self.emit(&node, flow, control, None);
    }

    /// A monitor has gone. If it was that of the requester of a served function, nobody waits for
    /// the outcome any more, and the work is ended.
    pub(super) fn cancel_job(&mut self, number: u32, by: &Pid, reference: &Reference) {
        let Some(process) = self.processes.get(number) else {
            return;
        };
        let requester = process.requester.as_ref();
        let theirs = requester.is_some_and(|Watcher(from, id)| from == by && id == reference);
        if theirs && matches!(process.owner, Owner::Job(_)) {
            self.end(number, &Term::atom("killed"), true);
        }
    }

    /// Serves a function of any arity; the driver runs it on
    /// [`Action::Start`](crate::Action::Start).
    pub fn define(&mut self, module: Atom, function: Atom) {
        self.services.define(module, function);
    }

    /// A function that was started has ended.
    pub fn handle_job(&mut self, now: Instant, job: JobId, outcome: JobOutcome) {
        self.now = now;
        let reason = self.services.handle_job(job, outcome);
        if let Some(number) = self.jobs.remove(&job) {
            self.end(number, &reason, false);
        }
        self.settle();
    }
}
