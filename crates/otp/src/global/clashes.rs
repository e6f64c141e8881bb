//! The names of the other partition, and what becomes of those that ours has too.

use std::collections::VecDeque;
use std::time::Instant;

use enmesh_term::{Atom, Pid, Term};

use super::Global;
use super::names::{Entry, Op};
use super::resolve::{Settled, runnable, settle};
use super::session::{Exchange, Session};
use crate::effect::{Address, CallFailed};

/// His names, on their way into our table.
#[derive(Debug)]
pub(super) struct Resolver {
    todo: VecDeque<Entry>,
    /// What changes on our side, and on his.
    ours: Vec<Op>,
    his: Vec<Op>,
    /// The clash that another node decides on.
    pub(super) asked: Option<(u64, Entry, Entry)>,
}

impl Global {
    pub(super) fn resolve(&mut self, now: Instant, peer: &Atom, names: Vec<Entry>) {
        if let Some(session) = self.sessions.get_mut(peer) {
            session.exchange = Exchange::Nothing;
            session.resolver = Some(Resolver {
                todo: names.into(),
                ours: Vec::new(),
                his: Vec::new(),
                asked: None,
            });
            self.resolve_on(now, peer);
        }
    }

    /// Goes through his names until one has to be decided on elsewhere. Of the two nodes, the one
    /// with the smaller name settles the clashes.
    fn resolve_on(&mut self, now: Instant, peer: &Atom) {
        let is_mine_to_settle = self.config.node < *peer;
        let session = self.sessions.get_mut(peer);
        let Some(mut resolver) = session.and_then(|session| session.resolver.take()) else {
            return;
        };
        while let Some(theirs) = resolver.todo.pop_front() {
            let Some(ours) = self.names.entry(&theirs.name) else {
                resolver.ours.push(Op::Insert(theirs));
                continue;
            };
            if ours.pid == theirs.pid || !is_mine_to_settle {
                continue;
            }
            if let Some(call) = self.settle_clash(&mut resolver, &theirs, &ours) {
                resolver.asked = Some((call, theirs, ours));
                break;
            }
        }
        let is_done = resolver.asked.is_none();
        if let Some(session) = self.sessions.get_mut(peer) {
            if is_done {
                self.resolved_ours(now, peer, resolver.ours, resolver.his);
            } else {
                session.resolver = Some(resolver);
            }
        }
    }

    /// Settles a clash here, or asks the node of our process; gives the call then.
    fn settle_clash(
        &mut self,
        resolver: &mut Resolver,
        theirs: &Entry,
        ours: &Entry,
    ) -> Option<u64> {
        let is_here = *ours.pid.node() == self.config.node;
        let method = if is_here {
            runnable(&ours.method)
        } else {
            ours.method.clone()
        };
        let pids = (&theirs.pid, &ours.pid);
        if let Some((settled, effects)) = settle(&self.config.server, &method, &ours.name, pids) {
            self.effects.extend(effects);
            resolver.settle(&settled, theirs, ours);
            return None;
        }
        if is_here {
            // A function of the user's that only a BEAM could run: as OTP does when it cannot.
            resolver.settle(&Settled::Keep(theirs.pid.clone()), theirs, ours);
            return None;
        }
        let args = Term::List(vec![
            ours.method.clone(),
            ours.name.clone(),
            theirs.pid.clone().into(),
            ours.pid.clone().into(),
        ]);
        Some(self.ask_rex(ours.pid.node(), ("global", "resolve_it"), args))
    }

    /// Has a BEAM apply a function.
    pub(super) fn ask_rex(
        &mut self,
        node: &Atom,
        (module, function): (&'static str, &'static str),
        args: Term,
    ) -> u64 {
        let request = Term::tuple([
            Term::atom("call"),
            Term::atom(module),
            Term::atom(function),
            args,
            self.config.server.clone().into(),
        ]);
        let name = Atom::from_static("rex");
        let node = node.clone();
        self.ask(Address::Name { name, node }, request)
    }

    /// Takes in what another node decided about a clash.
    pub(super) fn resolver_answered(
        &mut self,
        now: Instant,
        call: u64,
        outcome: &Result<Term, CallFailed>,
    ) {
        let is_asked = |session: &Session| {
            let asked = session.resolver.as_ref().and_then(|it| it.asked.as_ref());
            asked.is_some_and(|(id, ..)| *id == call)
        };
        let mut sessions = self.sessions.iter_mut();
        let Some((peer, session)) = sessions.find(|(_, session)| is_asked(session)) else {
            return;
        };
        let peer = peer.clone();
        if let Some(resolver) = session.resolver.as_mut()
            && let Some((_, theirs, ours)) = resolver.asked.take()
        {
            let settled = match outcome {
                Ok(Term::Pid(pid)) if **pid == theirs.pid || **pid == ours.pid => {
                    Settled::Keep(Pid::clone(pid))
                }
                Ok(Term::Tuple(parts)) if parts.first().is_some_and(|it| it.is_atom("badrpc")) => {
                    Settled::Keep(theirs.pid.clone())
                }
                Ok(_) => Settled::Nobody,
                Err(_) => Settled::Keep(theirs.pid.clone()),
            };
            resolver.settle(&settled, &theirs, &ours);
        }
        self.resolve_on(now, &peer);
    }
}

impl Resolver {
    fn settle(&mut self, settled: &Settled, theirs: &Entry, ours: &Entry) {
        match settled {
            Settled::Keep(pid) if *pid == theirs.pid => {
                self.ours.push(Op::Insert(theirs.clone()));
            }
            Settled::Keep(_) => self.his.push(Op::Insert(ours.clone())),
            Settled::Nobody => {
                self.ours.push(Op::Delete(ours.name.clone()));
                self.his.push(Op::Delete(ours.name.clone()));
            }
        }
    }
}
