//! Global names and pg groups of our processes.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Instant;

use enmesh_term::{Atom, Pid, Reference, Term};

use crate::pg::Pg;
use crate::processes::{Owner, ServiceName};
use crate::requests::Kind;
use crate::{Action, Kernel, Mail, PgEvent};

/// The most pg scopes that are served; one more is not.
const MAX_SCOPES: usize = 1_024;

/// A pg scope that is served.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) pg: Pg,
    /// The monitors of our processes on it.
    pub(super) watchers: BTreeSet<u64>,
}

impl<H: Clone + Debug> Kernel<H> {
    /// Registers a global name. [`Mail::Global`] goes to `slot`. Returns what the registration
    /// is withdrawn by.
    pub fn register_global(&mut self, now: Instant, name: Term, pid: &Pid, slot: H) -> u64 {
        self.now = now;
        let token = self.registration(slot);
        self.global.register(now, name, pid.clone(), token);
        self.settle();
        token
    }

    /// Takes a global name back. [`Mail::Global`] goes to `slot`. Returns what this is withdrawn
    /// by.
    pub fn unregister_global(&mut self, now: Instant, name: &Term, slot: H) -> u64 {
        self.now = now;
        let token = self.registration(slot);
        self.global.unregister(now, name, token);
        self.settle();
        token
    }

    /// Gives up a change of a global name that still waits for the cluster's lock: nothing has
    /// changed then, and nothing comes to its slot. `false` if nodes are being told already, or
    /// it is over; the first takes at most 20 s.
    pub fn withdraw_global(&mut self, now: Instant, registration: u64) -> bool {
        self.now = now;
        let is_withdrawn = self.global.withdraw(now, registration);
        if is_withdrawn {
            self.registrations.remove(&registration);
        }
        self.settle();
        is_withdrawn
    }

    fn registration(&mut self, slot: H) -> u64 {
        self.last_registration += 1;
        self.registrations.insert(self.last_registration, slot);
        self.last_registration
    }

    /// How a registration went.
    pub(super) fn tell_registration(&mut self, token: u64, done: bool) {
        if let Some(to) = self.registrations.remove(&token) {
            let mail = Mail::Global(done);
            self.actions.push_back(Action::Deliver { to, mail });
        }
    }

    /// The echo process has a name on all nodes, too.
    pub(super) fn register_echo(&mut self) {
        let echo = Atom::from_static("echo");
        if let (true, Some(pid)) = (self.config.echo, self.whereis(&echo)) {
            let name = Term::tuple([Term::Atom(echo), Term::Atom(self.node().clone())]);
            self.last_registration += 1;
            let token = self.last_registration;
            self.global.register(self.now, name, pid, token);
        }
    }

    /// The process that has a global name.
    pub fn whereis_global(&self, name: &Term) -> Option<Pid> {
        self.global.whereis(name).cloned()
    }

    /// All global names.
    pub fn global_names(&self) -> Vec<Term> {
        self.global.names().cloned().collect()
    }

    /// Serves a pg scope, if it is not served yet. `pg` is from the beginning. A scope whose name
    /// a process has registered is not served, nor one beyond 1,024: then it is `false`.
    pub fn pg_start(&mut self, now: Instant, scope: Atom) -> bool {
        self.now = now;
        if self.scopes.contains_key(&scope) {
            return true;
        }
        if self.scopes.len() >= MAX_SCOPES || self.processes.named(&scope).is_some() {
            return false;
        }
        let owner = Owner::Service(ServiceName::Groups(scope.clone()));
        let Ok((number, pid)) = self.processes.insert(owner, true) else {
            return false;
        };
        if self.processes.register(number, scope.clone()).is_err() {
            self.processes.remove(number);
            return false;
        }
        let mut pg = Pg::new(scope.clone(), pid);
        for (node, peer) in &self.peers {
            let published = enmesh_proto::Flags::PUBLISHED;
            if peer.up().is_some_and(|up| up.flags.contains(published)) {
                pg.handle_nodeup(node);
            }
        }
        let watchers = BTreeSet::new();
        self.scopes.insert(scope, Scope { pg, watchers });
        self.settle();
        true
    }

    /// A process of ours joins a group, once more if it is in already. `false` if there is no such
    /// process or scope, or our node has its full number of memberships.
    pub fn pg_join(&mut self, now: Instant, scope: &Atom, group: Term, pid: &Pid) -> bool {
        self.now = now;
        let lives = self.processes.find(pid).is_some();
        let scope = self.scopes.get_mut(scope).filter(|_| lives);
        let joined = scope.is_some_and(|scope| scope.pg.join(group, pid.clone()));
        self.settle();
        joined
    }

    /// Takes one membership back; `false` if there was none.
    pub fn pg_leave(&mut self, now: Instant, scope: &Atom, group: &Term, pid: &Pid) -> bool {
        self.now = now;
        let scope = self.scopes.get_mut(scope);
        let left = scope.is_some_and(|scope| scope.pg.leave(group, pid));
        self.settle();
        left
    }

    /// The members of a group on all nodes.
    pub fn pg_members(&self, scope: &Atom, group: &Term) -> Vec<Pid> {
        let scope = self.scopes.get(scope);
        scope.map_or_else(Vec::new, |scope| scope.pg.members(group))
    }

    /// The members of a group on our node.
    pub fn pg_local_members(&self, scope: &Atom, group: &Term) -> Vec<Pid> {
        let scope = self.scopes.get(scope);
        scope.map_or_else(Vec::new, |scope| scope.pg.local_members(group))
    }

    /// The groups of a scope that have members.
    pub fn pg_groups(&self, scope: &Atom) -> Vec<Term> {
        let scope = self.scopes.get(scope);
        scope.map_or_else(Vec::new, |scope| scope.pg.groups())
    }

    /// [`Mail::Pg`] comes to `pid` for every change of a group, or of the whole scope, until
    /// [`Kernel::demonitor`].
    pub fn pg_monitor(&mut self, pid: &Pid, scope: &Atom, group: Option<Term>) -> Reference {
        let kind = Kind::Groups {
            scope: scope.clone(),
            group,
        };
        let reference = self.add_request(pid, kind, None);
        if let Some(number) = self.requests.find(&reference)
            && let Some(scope) = self.scopes.get_mut(scope)
        {
            scope.watchers.insert(number);
        }
        reference
    }

    /// A process has ended: it is in no group any more.
    pub(super) fn leave_groups(&mut self, pid: &Pid) {
        for scope in self.scopes.values_mut() {
            scope.pg.process_ended(pid);
        }
    }

    /// Does one thing that a scope asks for; `false` if there is none.
    pub(super) fn serve_groups(&mut self) -> bool {
        let mut next = None;
        for (name, scope) in &mut self.scopes {
            if let Some(effect) = scope.pg.poll_effect() {
                next = Some((name.clone(), effect));
                break;
            }
            if let Some(event) = scope.pg.poll_event() {
                let watchers = scope.watchers.iter().copied().collect::<Vec<u64>>();
                self.tell_groups(&watchers, event);
                return true;
            }
        }
        let Some((scope, effect)) = next else {
            return false;
        };
        self.obey(&ServiceName::Groups(scope), effect);
        true
    }

    fn tell_groups(&mut self, watchers: &[u64], (event, group, pids): (PgEvent, Term, Vec<Pid>)) {
        for &number in watchers {
            let Some(request) = self.requests.get(number) else {
                continue;
            };
            let Kind::Groups { group: wanted, .. } = &request.kind else {
                continue;
            };
            if wanted.as_ref().is_none_or(|wanted| *wanted == group) {
                let by = request.by.clone();
                let mail = Mail::Pg {
                    reference: self.requests.reference(number),
                    event,
                    group: group.clone(),
                    pids: pids.clone(),
                };
                self.post(&by, mail);
            }
        }
    }
}
