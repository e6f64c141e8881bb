//! `pg`: process groups of one scope, known to all nodes that serve the scope.

use std::collections::VecDeque;

use enmesh_term::{Atom, Pid, Term};

use crate::PgEvent;
use crate::effect::Effect;

/// The machine of one scope.
///
/// Calling order: any `handle_*` or other method, then [`Pg::poll_effect`] and [`Pg::poll_event`]
/// until both give `None`.
#[derive(Debug)]
pub(crate) struct Pg {
    scope: Atom,
    pid: Pid,
    effects: VecDeque<Effect>,
    events: VecDeque<(PgEvent, Term, Vec<Pid>)>,
}

impl Pg {
    /// A scope without groups. `pid` is that of its process, registered as `scope`.
    pub(crate) fn new(scope: Atom, pid: Pid) -> Self {
        let (effects, events) = Default::default();
        Self {
            scope,
            pid,
            effects,
            events,
        }
    }

    /// A visible node is connected.
    pub(crate) fn handle_nodeup(&mut self, _node: &Atom) {}

    /// A node is gone.
    pub(crate) fn handle_nodedown(&mut self, _node: &Atom) {}

    /// Takes what arrived for the scope's process, by name or by pid.
    pub(crate) fn handle_message(&mut self, _from_node: &Atom, _message: &Term) {}

    /// What [`Effect::Monitor`] watched has died.
    pub(crate) fn handle_down(&mut self, _id: u64) {}

    /// A process of ours joins, once more if it is in already.
    pub(crate) fn join(&mut self, _group: Term, _pid: Pid) {}

    /// Takes one membership back; `false` if there was none.
    pub(crate) fn leave(&mut self, _group: &Term, _pid: &Pid) -> bool {
        false
    }

    /// A process of ours has ended: it leaves all its groups.
    pub(crate) fn process_ended(&mut self, _pid: &Pid) {}

    /// The members on all nodes; one that joined twice stands twice.
    pub(crate) fn members(&self, _group: &Term) -> Vec<Pid> {
        Vec::new()
    }

    /// The members on our node.
    pub(crate) fn local_members(&self, _group: &Term) -> Vec<Pid> {
        Vec::new()
    }

    /// The groups with members, sorted.
    pub(crate) fn groups(&self) -> Vec<Term> {
        Vec::new()
    }

    /// What the kernel is to do next.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What to tell those who monitor groups.
    pub(crate) fn poll_event(&mut self) -> Option<(PgEvent, Term, Vec<Pid>)> {
        self.events.pop_front()
    }
}
