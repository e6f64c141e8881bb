//! `global`: names, locks and the mesh of the visible nodes.

use std::time::Instant;

use enmesh_term::{Atom, Pid, Term};

use crate::effect::{CallFailed, Effect};

/// How a [`Global`] is set up.
#[derive(Clone, Debug)]
pub(crate) struct GlobalConfig {
    /// Our node.
    pub(crate) node: Atom,
    /// The process registered as `global_name_server`.
    pub(crate) server: Pid,
    /// The process that takes locks to merge partitions.
    pub(crate) locker: Pid,
    /// The process that takes locks to register names.
    pub(crate) registrar: Pid,
    /// Where chance comes from.
    pub(crate) seed: u64,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Global {
    config: GlobalConfig,
    effects: std::collections::VecDeque<Effect>,
    outcomes: std::collections::VecDeque<(u64, bool)>,
}

impl Global {
    pub(crate) fn new(config: GlobalConfig) -> Self {
        let (effects, outcomes) = Default::default();
        Self {
            config,
            effects,
            outcomes,
        }
    }

    /// A visible peer is connected.
    pub(crate) fn handle_nodeup(&mut self, _now: Instant, _peer: &Atom) {}

    /// A peer is not connected any more.
    pub(crate) fn handle_nodedown(&mut self, _now: Instant, _peer: &Atom) {}

    /// Takes what arrived for one of the three processes: calls, casts and plain messages.
    pub(crate) fn handle_message(&mut self, _now: Instant, _from: &Atom, _message: &Term) {}

    /// The outcome of [`Effect::Call`].
    pub(crate) fn handle_reply(
        &mut self,
        _now: Instant,
        _id: u64,
        _outcome: Result<Term, CallFailed>,
    ) {
    }

    /// What [`Effect::Monitor`] watched has died.
    pub(crate) fn handle_down(&mut self, _now: Instant, _id: u64, _reason: &Term) {}

    pub(crate) fn handle_timeout(&mut self, _now: Instant) {}

    pub(crate) fn deadline(&self) -> Option<Instant> {
        None
    }

    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Registers a name; how it went comes out of [`Global::poll_outcome`] under `token`.
    pub(crate) fn register(&mut self, _now: Instant, _name: Term, _pid: Pid, token: u64) {
        self.outcomes.push_back((token, false));
    }

    pub(crate) fn unregister(&mut self, _now: Instant, _name: &Term, token: u64) {
        self.outcomes.push_back((token, false));
    }

    pub(crate) fn poll_outcome(&mut self) -> Option<(u64, bool)> {
        self.outcomes.pop_front()
    }

    pub(crate) fn whereis(&self, _name: &Term) -> Option<&Pid> {
        None
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Term> {
        std::iter::empty()
    }

    pub(crate) fn is_synced(&self, node: &Atom) -> bool {
        *node == self.config.node
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = &Atom> {
        std::iter::empty()
    }
}

/// `global:resolve_it/4`, which another node asks of the node of one of two processes with the
/// same name: `args` are the method, the name and the two. The answer, and what it needs done
/// before; `None` if the arguments or the method are not ones that we can run.
pub(crate) fn resolve_it(_from: &Pid, _args: &[Term]) -> Option<(Term, Vec<Effect>)> {
    None
}
