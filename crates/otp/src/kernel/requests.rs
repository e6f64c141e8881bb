//! Calls and requests to spawn that our processes make.

use std::fmt::Debug;
use std::time::Instant;

use enmesh_proto::{Control, Flags, SpawnRequest, SpawnResult};
use enmesh_term::{Atom, Pid, Reference, Term};

use crate::effect::CallFailed;
use crate::kernel::Payload;
use crate::kernel::outgoing::{MAX_PAYLOAD, flow, payload};
use crate::processes::Owner;
use crate::requests::{Asker, Kind, Request, Spawn};
use crate::{Action, Address, Kernel, Mail};

impl<H: Clone + Debug> Kernel<H> {
    /// Calls a `gen_server`. [`Mail::Reply`] or [`Mail::Down`] goes to `slot`, and with that the
    /// request has ended, unless it is forgotten before. If `from` itself has ended, that is
    /// `noproc` at once; if no link takes a message of this length, `system_limit`.
    pub fn call(
        &mut self,
        now: Instant,
        from: &Pid,
        to: &Address,
        request: &Term,
        slot: H,
    ) -> Reference {
        self.now = now;
        if self.processes.find(from).is_none() {
            let reference = self.requests.unused();
            let mail = Mail::Down {
                reference: reference.clone(),
                from: to.clone(),
                reason: Term::atom("noproc"),
            };
            self.actions.push_back(Action::Deliver { to: slot, mail });
            return reference;
        }
        let reference = self.begin_call(from, to, request, Asker::Slot(slot));
        self.settle();
        reference
    }

    /// As [`Kernel::call`], for anybody.
    ///
    /// gen.erl: one reference is monitor, alias and tag in one. A peer without aliases answers to
    /// a process; it is given one that stands in for the caller, so that the reply is told from
    /// the caller's other messages.
    pub(super) fn begin_call(
        &mut self,
        from: &Pid,
        to: &Address,
        request: &Term,
        asker: Asker<H>,
    ) -> Reference {
        let reference = self.add_request(from, Kind::Call(asker), Some(to.clone()));
        let Some(number) = self.requests.find(&reference) else {
            return reference;
        };
        let lacks_aliases = self
            .peers
            .get(to.node())
            .and_then(|peer| peer.up())
            .is_some_and(|up| !up.flags.contains(Flags::ALIAS));
        let stand_in = match lacks_aliases {
            true => self.processes.insert(Owner::Request(number), false).ok(),
            false => None,
        };
        let (caller, tag) = match stand_in {
            Some((stand_in, pid)) => {
                if let Some(request) = self.requests.get_mut(number) {
                    request.stand_in = Some(stand_in);
                }
                (pid, reference.clone().into())
            }
            None => {
                let tag = Term::improper(vec![Term::atom("alias")], reference.clone().into());
                (from.clone(), tag)
            }
        };
        let caller = Term::tuple([caller.into(), tag]);
        let message = Term::tuple([Term::atom("$gen_call"), caller, request.clone()]);
        let message = payload(&message);
        if message.len() > MAX_PAYLOAD && to.node() != self.node() {
            self.fire(number, Term::atom("system_limit"));
            return reference;
        }
        self.begin_monitor(&reference);
        if self.requests.find(&reference).is_some() {
            self.dispatch(from, to, message);
        }
        reference
    }

    /// The reply to a call: `{Tag, Reply}`. It ends the call.
    pub(super) fn reply(&mut self, number: u64, payload: &mut Payload) {
        let outcome = match self.decode(payload).map(pair) {
            Some(Some((_tag, reply))) => Ok(reply),
            // Some other message that was sent to the alias.
            Some(None) => {
                self.counters.dropped += 1;
                return;
            }
            None => Err(Term::atom("undecodable")),
        };
        let request = self.requests.get(number).cloned();
        let Some(Request {
            kind: Kind::Call(asker),
            target,
            by,
            ..
        }) = request
        else {
            return;
        };
        self.release(number);
        let to = match asker {
            Asker::Slot(to) => to,
            Asker::Service(service, id) => {
                let outcome = outcome.map_err(|reason| CallFailed { reason });
                self.service_reply(&service, id, outcome);
                return;
            }
        };
        let mail = match outcome {
            Ok(reply) => Mail::Reply(reply),
            Err(reason) => Mail::Down {
                reference: self.requests.reference(number),
                from: target.unwrap_or(Address::Pid(by)),
                reason,
            },
        };
        self.actions.push_back(Action::Deliver { to, mail });
    }

    /// Asks `node` to start a process that applies a function to a list of arguments.
    /// [`Mail::Spawned`] or [`Mail::Refused`] goes to `slot`, and then, if it is monitored,
    /// [`Mail::Down`]. The link is that of `from`; if that has ended itself, the request is refused
    /// with `noproc`.
    #[allow(clippy::too_many_arguments)]
    pub fn spawn_request(
        &mut self,
        now: Instant,
        from: &Pid,
        node: &Atom,
        mfa: (Atom, Atom, Term),
        monitor: bool,
        link: bool,
        slot: H,
    ) -> Reference {
        self.now = now;
        if self.processes.find(from).is_none() {
            let mail = Mail::Refused(Atom::from_static("noproc"));
            self.actions.push_back(Action::Deliver { to: slot, mail });
            return self.requests.unused();
        }
        let stage = Spawn::Asked;
        let kind = Kind::Spawn { slot, stage };
        // Until the answer names a process, the target stands for the node alone.
        let target = Address::Name {
            name: Atom::from_static(""),
            node: node.clone(),
        };
        let reference = self.add_request(from, kind, Some(target));
        if let Some(number) = self.requests.find(&reference) {
            self.ask_to_spawn(number, from, node, mfa, (monitor, link));
        }
        self.settle();
        reference
    }

    fn ask_to_spawn(
        &mut self,
        number: u64,
        from: &Pid,
        node: &Atom,
        (module, function, args): (Atom, Atom, Term),
        (monitor, link): (bool, bool),
    ) {
        let Some(arity) = args
            .as_list()
            .and_then(|args| u8::try_from(args.len()).ok())
        else {
            self.fire(number, Term::atom("badarg"));
            return;
        };
        let ours = node == self.node();
        if self.requests.is_full() {
            self.fire(number, Term::atom("system_limit"));
            return;
        }
        if !ours && !self.reach(node) {
            self.fire(number, Term::atom("noconnection"));
            return;
        }
        let mut options = Vec::new();
        if link {
            options.push(Term::atom("link"));
        }
        if monitor {
            options.push(Term::atom("monitor"));
        }
        let request = SpawnRequest {
            id: self.requests.reference(number),
            from: from.clone(),
            group_leader: self.group_leader(),
            module,
            function,
            arity,
            options: Term::List(options),
            token: None,
        };
        if ours {
            let mut args = Payload::from(payload(&args));
            self.handle_spawn_request(request, Some(&mut args));
            return;
        }
        if let Some(peer) = self.peers.get_mut(node) {
            let lacks_spawn = peer.up().is_some_and(|up| !up.flags.contains(Flags::SPAWN));
            if lacks_spawn {
                self.fire(number, Term::atom("notsup"));
                return;
            }
            peer.requests.insert(number);
        }
        let control = Control::SpawnRequest(Box::new(request));
        self.emit(node, flow(from), control, Some(payload(&args)));
    }

    /// The answer to a request to spawn.
    pub(super) fn handle_spawn_reply(
        &mut self,
        peer: &Atom,
        id: &Reference,
        ties: u32,
        result: SpawnResult,
    ) {
        let Some(number) = self.requests.find(id) else {
            return;
        };
        let Some(request) = self.requests.get_mut(number) else {
            return;
        };
        if request
            .target
            .as_ref()
            .is_none_or(|target| target.node() != peer)
        {
            return;
        }
        let by = request.by.clone();
        let Kind::Spawn { slot, stage } = &mut request.kind else {
            return;
        };
        let before = *stage;
        let slot = slot.clone();
        let pid = match result {
            SpawnResult::Refused(reason) => {
                self.fire(number, Term::Atom(reason));
                return;
            }
            // It answers once.
            SpawnResult::Started(_) if before == Spawn::Running => return,
            SpawnResult::Started(pid) if pid.node() == peer => pid,
            // Nothing that is tied to such a process would ever end, for its node knows of nothing.
            SpawnResult::Started(_) => {
                self.fire(number, Term::atom("foreign_process"));
                return;
            }
        };
        let (linked, monitored) = (ties & 1 != 0, ties & 2 != 0);
        *stage = Spawn::Running;
        request.watched = self.processes.find(&pid).filter(|_| monitored);
        request.target = Some(Address::Pid(pid.clone()));
        if before == Spawn::Abandoned {
            self.undo_spawn(number, by, pid, linked, monitored);
            return;
        }
        if linked {
            self.tie(&by, &pid);
        }
        let mail = Mail::Spawned(pid);
        self.actions.push_back(Action::Deliver { to: slot, mail });
        if !monitored {
            self.detach(number);
        }
    }

    /// A link that the other side has set up already.
    fn tie(&mut self, by: &Pid, pid: &Pid) {
        let Some(number) = self.processes.find(by) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(pid.node()) {
            peer.links.insert((number, pid.clone()));
        }
        if let Some(process) = self.processes.get_mut(number) {
            let active = crate::processes::LinkState::Active;
            process.links.insert(pid.clone(), active);
        }
    }

    /// A process was started that nobody waits for any more: it is told so as a BEAM tells it
    /// (erlang.erl, `spawn_request_abandon/1`).
    fn undo_spawn(&mut self, number: u64, by: Pid, pid: Pid, linked: bool, monitored: bool) {
        if monitored {
            self.release(number);
        } else {
            self.detach(number);
        }
        if linked {
            let lives = self.processes.find(&by).is_some();
            let reason = Term::atom(if lives { "abandoned" } else { "noproc" });
            if self.processes.is_ours(&pid) {
                self.break_link(&pid, &by, if lives { "abandoned" } else { "noproc" });
            } else {
                self.emit_exit(by, pid, payload(&reason));
            }
        }
    }

    /// Ends a call or a request to spawn: nothing more goes to its slot. What runs already is
    /// told so by the end of its monitor.
    pub fn forget(&mut self, now: Instant, reference: &Reference) {
        self.now = now;
        if let Some(number) = self.requests.find(reference) {
            self.release(number);
        }
        self.settle();
    }
}

/// The two elements of a tuple.
fn pair(term: Term) -> Option<(Term, Term)> {
    let Term::Tuple(parts) = term else {
        return None;
    };
    let [first, second] = <[Term; 2]>::try_from(parts).ok()?;
    Some((first, second))
}
