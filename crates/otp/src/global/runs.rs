//! Taking one lock on many nodes, and freeing it again.

use std::collections::{BTreeMap, BTreeSet};

use enmesh_term::{Atom, Pid, Term};

use super::Global;
use super::locks::{LockId, Taken};
use super::wire::server_of;
use crate::effect::{CallFailed, Effect};

/// Which of our processes takes the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Locker,
    Registrar,
}

/// A lock that is being taken: on the boss, then on ourselves and the node to merge with, then on
/// all whom we know. The boss, the greatest name, is the first for everybody, so that of two who
/// want the lock one is refused before either holds it anywhere else.
#[derive(Debug)]
pub(super) struct LockRun {
    pub(super) id: LockId,
    who: Who,
    extra: Option<Atom>,
    stage: u8,
    locked: BTreeSet<Atom>,
    /// Did not answer; as OTP does, we go on without them.
    lost: BTreeSet<Atom>,
    asked: BTreeMap<u64, Atom>,
    is_refused: bool,
}

/// How a [`LockRun`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Waiting,
    Taken,
    Refused,
}

impl LockRun {
    pub(super) fn new(id: LockId, who: Who, extra: Option<Atom>) -> Self {
        Self {
            id,
            who,
            extra,
            stage: 0,
            locked: BTreeSet::new(),
            lost: BTreeSet::new(),
            asked: BTreeMap::new(),
            is_refused: false,
        }
    }

    /// Takes in the answer to a call of this run; `false` if it is none of it.
    pub(super) fn answered(&mut self, call: u64, outcome: &Result<Term, CallFailed>) -> bool {
        let Some(node) = self.asked.remove(&call) else {
            return false;
        };
        match outcome {
            Ok(reply) if reply.is_atom("true") => drop(self.locked.insert(node)),
            Ok(reply) if reply.is_atom("false") => self.is_refused = true,
            Ok(_) | Err(_) => drop(self.lost.insert(node)),
        }
        true
    }

    /// Where the lock is held.
    pub(super) fn locked(&self) -> &BTreeSet<Atom> {
        &self.locked
    }

    /// Whether a node was asked, whatever it answered.
    pub(super) fn has_asked(&self, node: &Atom) -> bool {
        self.locked.contains(node) || self.lost.contains(node)
    }
}

/// A lock that is being freed: everywhere, and last on the boss.
#[derive(Debug)]
pub(super) struct Release {
    id: LockId,
    who: Who,
    boss: Option<Atom>,
    asked: BTreeSet<u64>,
}

impl Release {
    /// Whether the call was one of this release.
    pub(super) fn answered(&mut self, call: u64) -> bool {
        self.asked.remove(&call)
    }
}

impl Global {
    /// Goes on with a run as far as it can without an answer.
    pub(super) fn advance(&mut self, run: &mut LockRun) -> Progress {
        loop {
            if !run.asked.is_empty() {
                return Progress::Waiting;
            }
            if run.is_refused {
                return Progress::Refused;
            }
            let own = self.config.node.clone();
            let stage: Vec<Atom> = match run.stage {
                0 => vec![self.boss().clone()],
                1 => [own.clone()].into_iter().chain(run.extra.clone()).collect(),
                2 => self.known.keys().cloned().collect(),
                _ => return Progress::Taken,
            };
            run.stage += 1;
            let targets: Vec<Atom> = stage
                .into_iter()
                .filter(|node| !run.has_asked(node))
                .collect();
            let has_own = targets.contains(&own);
            // Nobody else is bothered with a lock that we ourselves cannot give.
            if !self.locks.may_take(&run.id) || (has_own && !self.lock_own(run)) {
                run.is_refused = true;
                continue;
            }
            for node in targets.into_iter().filter(|node| *node != own) {
                let call = self.call_lock("set_lock", run.who, &run.id, &node);
                run.asked.insert(call, node);
            }
        }
    }

    /// Gives up a run: what was taken, or may be taken by a call that is under way, is freed.
    pub(super) fn abort(&mut self, run: LockRun) -> Release {
        let mut nodes = run.locked;
        for (call, node) in run.asked {
            self.cancel_call(call);
            nodes.insert(node);
        }
        self.release(run.who, run.id, nodes)
    }

    pub(super) fn release(&mut self, who: Who, id: LockId, mut nodes: BTreeSet<Atom>) -> Release {
        let boss = nodes.pop_last();
        let mut release = Release {
            id,
            who,
            boss,
            asked: BTreeSet::new(),
        };
        for node in nodes {
            self.free_on(&mut release, &node);
        }
        release
    }

    /// Goes on with a release; whether it is done.
    pub(super) fn advance_release(&mut self, release: &mut Release) -> bool {
        while release.asked.is_empty() {
            let Some(boss) = release.boss.take() else {
                return true;
            };
            self.free_on(release, &boss);
        }
        false
    }

    /// Waits for no answer any more: it is enough to have asked.
    pub(super) fn hurry_release(&mut self, mut release: Release) {
        if let Some(boss) = release.boss.take() {
            self.free_on(&mut release, &boss);
        }
        for call in release.asked {
            self.cancel_call(call);
        }
    }

    /// The greatest name among us and whom we know.
    pub(super) fn boss(&self) -> &Atom {
        let greatest = self.known.last_key_value().map(|(node, _)| node);
        greatest.map_or(&self.config.node, |node| node.max(&self.config.node))
    }

    fn lock_own(&mut self, run: &mut LockRun) -> bool {
        let pid = self.pid_of(run.who).clone();
        if self.locks.take(&run.id, &pid, None) == Taken::Refused {
            return false;
        }
        run.locked.insert(self.config.node.clone());
        true
    }

    fn free_on(&mut self, release: &mut Release, node: &Atom) {
        if *node == self.config.node {
            let pid = self.pid_of(release.who).clone();
            self.locks.free(&release.id, &pid);
        } else if self.connected.contains(node) || self.known.contains_key(node) {
            // Who is gone has freed it by that, and is not to be dialled only to be told so.
            let call = self.call_lock("del_lock", release.who, &release.id, node);
            release.asked.insert(call);
        }
    }

    fn call_lock(&mut self, word: &'static str, who: Who, id: &LockId, node: &Atom) -> u64 {
        let request = Term::tuple([Term::atom(word), id.to_term()]);
        self.call(who, node, request)
    }

    /// Calls the server of another node.
    pub(super) fn call(&mut self, who: Who, node: &Atom, request: Term) -> u64 {
        let id = self.next_id();
        let from = self.pid_of(who).clone();
        let to = server_of(node);
        self.calls.insert(id, node.clone());
        self.effects.push_back(Effect::Call {
            id,
            from,
            to,
            request,
        });
        id
    }

    pub(super) fn cancel_call(&mut self, id: u64) {
        self.calls.remove(&id);
        self.effects.push_back(Effect::CancelCall { id });
    }

    fn pid_of(&self, who: Who) -> &Pid {
        match who {
            Who::Locker => &self.config.locker,
            Who::Registrar => &self.config.registrar,
        }
    }
}
