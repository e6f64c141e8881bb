//! The registrar: registers and unregisters our own names, one at a time, under the lock.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use enmesh_term::{Atom, Pid, Term};
use rand::RngExt;

use super::Global;
use super::audit::{Listing, MAX_TOLD, Mend};
use super::locks::{LockId, Writer};
use super::names::Entry;
use super::resolve::default_method;
use super::runs::{LockRun, Progress, Release, Who};
use crate::effect::{CallFailed, Effect};

/// The most changes that wait; one more fails at once.
const MAX_JOBS: usize = 65_536;

/// How long a phase may take before it is given up and tried again.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest wait after the lock was refused, for each node of the cluster: if 400 of them wait,
/// the boss is asked a hundred times a second.
const SLEEP_PER_NODE_MS: u64 = 20;

/// The least and the most of that. OTP waits for up to 8 s in any cluster, and is overtaken all that
/// time by whoever has waited less; with much less than a second, BEAM nodes would be overtaken by us.
const SHORT_SLEEP_MS: u64 = 1000;
const LONGEST_SLEEP_MS: u64 = 8000;

/// One change of a name.
#[derive(Debug)]
enum Job {
    Register {
        name: Term,
        pid: Pid,
        token: u64,
    },
    Unregister {
        name: Term,
        token: u64,
    },
    /// What differs between a peer and us.
    Mend {
        peer: Atom,
    },
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    /// The lock was refused.
    Sleeping,
    Locking(LockRun),
    /// A peer is being asked what it has.
    Asking {
        nodes: BTreeSet<Atom>,
        peer: Atom,
        call: u64,
    },
    /// All nodes are being told.
    Writing {
        nodes: BTreeSet<Atom>,
        asked: BTreeSet<u64>,
        is_changed: bool,
    },
    Releasing(Release),
}

#[derive(Debug, Default)]
pub(super) struct Registrar {
    jobs: VecDeque<Job>,
    phase: Phase,
    /// How often the lock was refused for the first job.
    refusals: u32,
    due: Option<Instant>,
}

impl Registrar {
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl Global {
    /// Registers a name in the whole cluster; how it went comes out of [`Global::poll_outcome`]
    /// under `token`: `false` if the name is taken, or the process has one already.
    pub(crate) fn register(&mut self, now: Instant, name: Term, pid: Pid, token: u64) {
        self.registrar_take(now, Job::Register { name, pid, token }, token);
    }

    /// Frees a name in the whole cluster, whoever has it; `true` when it is done.
    pub(crate) fn unregister(&mut self, now: Instant, name: &Term, token: u64) {
        let name = name.clone();
        self.registrar_take(now, Job::Unregister { name, token }, token);
    }

    /// Gives up a change that still waits for the lock; `false` if there is no such.
    pub(crate) fn withdraw(&mut self, now: Instant, token: u64) -> bool {
        let is_it = |job: &Job| match job {
            Job::Register { token: other, .. } | Job::Unregister { token: other, .. } => {
                *other == token
            }
            Job::Mend { .. } => false,
        };
        let Some(at) = self.registrar.jobs.iter().position(is_it) else {
            return false;
        };
        if at == 0 && matches!(self.registrar.phase, Phase::Writing { .. }) {
            return false;
        }
        self.registrar.jobs.remove(at);
        if at == 0 {
            self.registrar.refusals = 0;
            match std::mem::take(&mut self.registrar.phase) {
                Phase::Locking(run) => {
                    let release = self.abort(run);
                    self.registrar_release(now, release);
                }
                phase => self.registrar.phase = phase,
            }
        }
        true
    }

    /// Brings the names of a peer's processes and ours into line, here and there.
    pub(super) fn mend(&mut self, now: Instant, peer: Atom) {
        let is_same = |job: &Job| matches!(job, Job::Mend { peer: other } if *other == peer);
        if !self.registrar.jobs.iter().any(is_same) && self.registrar.jobs.len() < MAX_JOBS {
            self.registrar_push(now, Job::Mend { peer });
        }
    }

    fn registrar_take(&mut self, now: Instant, job: Job, token: u64) {
        if self.registrar.jobs.len() >= MAX_JOBS {
            self.outcomes.push_back((token, false));
            return;
        }
        self.registrar_push(now, job);
    }

    fn registrar_push(&mut self, now: Instant, job: Job) {
        self.registrar.jobs.push_back(job);
        if matches!(self.registrar.phase, Phase::Idle) {
            self.registrar_begin(now);
        }
    }

    pub(super) fn registrar_timeout(&mut self, now: Instant) {
        if self.registrar.due.is_none_or(|due| due > now) {
            return;
        }
        match std::mem::take(&mut self.registrar.phase) {
            Phase::Idle | Phase::Sleeping => self.registrar_begin(now),
            Phase::Locking(run) => {
                self.registrar.refusals += 1;
                let release = self.abort(run);
                self.registrar_release(now, release);
            }
            Phase::Asking { nodes, call, .. } => {
                self.effects.push_back(Effect::CancelCall { id: call });
                self.registrar_written(now, nodes, false);
            }
            Phase::Writing {
                nodes,
                asked,
                is_changed,
            } => {
                for call in asked {
                    self.cancel_call(call);
                }
                self.registrar_written(now, nodes, is_changed);
            }
            Phase::Releasing(release) => {
                self.hurry_release(release);
                self.registrar_released(now);
            }
        }
    }

    /// Takes in the outcome of a call of the registrar's.
    pub(super) fn registrar_answered(
        &mut self,
        now: Instant,
        call: u64,
        outcome: &Result<Term, CallFailed>,
    ) -> bool {
        if let Phase::Asking { call: asked, .. } = &self.registrar.phase
            && *asked == call
        {
            self.registrar_heard(now, outcome);
            return true;
        }
        let is_mine = match &mut self.registrar.phase {
            Phase::Locking(run) => run.answered(call, outcome),
            Phase::Writing { asked, .. } => asked.remove(&call),
            Phase::Releasing(release) => release.answered(call),
            Phase::Idle | Phase::Sleeping | Phase::Asking { .. } => false,
        };
        if is_mine {
            self.registrar_go_on(now);
        }
        is_mine
    }

    fn registrar_begin(&mut self, now: Instant) {
        self.registrar.phase = Phase::Idle;
        self.registrar.due = None;
        if self.registrar.jobs.is_empty() {
            return;
        }
        let id = LockId::global(self.config.registrar.clone().into());
        self.registrar.phase = Phase::Locking(LockRun::new(id, Who::Registrar, None));
        self.registrar.due = Some(now + PATIENCE);
        self.registrar_go_on(now);
    }

    fn registrar_go_on(&mut self, now: Instant) {
        match std::mem::take(&mut self.registrar.phase) {
            Phase::Locking(mut run) => match self.advance(&mut run) {
                Progress::Waiting => self.registrar.phase = Phase::Locking(run),
                Progress::Taken if self.known.keys().all(|node| run.has_asked(node)) => {
                    self.registrar.refusals = 0;
                    // Who was lost since may be back as another one, which merges with us.
                    let mut nodes = run.locked().clone();
                    nodes.retain(|node| self.may_change_names(node));
                    self.registrar_write(now, nodes);
                }
                // Whoever came meanwhile must be asked too.
                Progress::Taken | Progress::Refused => {
                    self.registrar.refusals += 1;
                    let release = self.abort(run);
                    self.registrar_release(now, release);
                }
            },
            Phase::Writing {
                nodes,
                asked,
                is_changed,
            } if asked.is_empty() => {
                self.registrar_written(now, nodes, is_changed);
            }
            Phase::Releasing(mut release) => {
                if self.advance_release(&mut release) {
                    self.registrar_released(now);
                } else {
                    self.registrar.phase = Phase::Releasing(release);
                }
            }
            phase => self.registrar.phase = phase,
        }
    }

    /// We have the lock everywhere: changes the name everywhere, if that may be.
    fn registrar_write(&mut self, now: Instant, nodes: BTreeSet<Atom>) {
        if let Some(Job::Mend { peer }) = self.registrar.jobs.front() {
            let peer = peer.clone();
            if !nodes.contains(&peer) {
                return self.registrar_written(now, nodes, false);
            }
            let call = self.ask_for_names(&peer);
            self.registrar.phase = Phase::Asking { nodes, peer, call };
            self.registrar.due = Some(now + PATIENCE);
            return;
        }
        let request = match self.registrar.jobs.front() {
            Some(Job::Register { name, pid, .. })
                if self.names.get(name).is_none() && !self.names.has(pid) =>
            {
                let entry = Entry {
                    name: name.clone(),
                    pid: pid.clone(),
                    method: default_method(),
                };
                let writer = self.config.registrar.clone();
                let request = register_request(&entry);
                self.insert_name(entry, Writer::Process(&writer))
                    .then_some(request)
            }
            Some(Job::Unregister { name, .. }) if self.names.get(name).is_some() => {
                let name = name.clone();
                self.delete_name(&name);
                Some(Term::tuple([Term::atom("unregister"), name]))
            }
            _ => None,
        };
        let is_changed = request.is_some();
        let mut asked = BTreeSet::new();
        if let Some(request) = request {
            for node in &nodes {
                if *node == self.config.node {
                    continue;
                }
                let id = self.call(Who::Registrar, node, request.clone());
                asked.insert(id);
            }
        }
        self.registrar.phase = Phase::Writing {
            nodes,
            asked,
            is_changed,
        };
        self.registrar.due = Some(now + PATIENCE);
        self.registrar_go_on(now);
    }

    /// A peer has said what it has, and nobody changes it as long as we have the lock.
    fn registrar_heard(&mut self, now: Instant, outcome: &Result<Term, CallFailed>) {
        let Phase::Asking { nodes, peer, .. } = std::mem::take(&mut self.registrar.phase) else {
            return;
        };
        let listing = outcome.as_ref().ok().and_then(Listing::parse);
        let mut mends: VecDeque<Mend> = match listing {
            Some(listing) => self.differences(&peer, &listing).into(),
            None => VecDeque::new(),
        };
        let writer = self.config.registrar.clone();
        let mut asked = BTreeSet::new();
        while let Some(mend) = mends.pop_front() {
            let request = match mend {
                Mend::Take(entry) => {
                    self.insert_name(entry, Writer::Process(&writer));
                    continue;
                }
                Mend::Drop(name) => {
                    self.delete_name(&name);
                    continue;
                }
                Mend::Clash { ours, theirs } => {
                    mends.extend(self.settle_late(&ours, &theirs));
                    continue;
                }
                Mend::Give(entry) => register_request(&entry),
                Mend::Revoke(name) => Term::tuple([Term::atom("unregister"), name]),
            };
            // What is too much at a time is left to the next look.
            if asked.len() < MAX_TOLD {
                asked.insert(self.call(Who::Registrar, &peer, request));
            }
        }
        self.registrar.phase = Phase::Writing {
            nodes,
            asked,
            is_changed: true,
        };
        self.registrar.due = Some(now + PATIENCE);
        self.registrar_go_on(now);
    }

    fn registrar_written(&mut self, now: Instant, nodes: BTreeSet<Atom>, is_changed: bool) {
        let outcome = match self.registrar.jobs.pop_front() {
            Some(Job::Register { token, .. }) => Some((token, is_changed)),
            Some(Job::Unregister { token, .. }) => Some((token, true)),
            Some(Job::Mend { .. }) | None => None,
        };
        self.outcomes.extend(outcome);
        let id = LockId::global(self.config.registrar.clone().into());
        let release = self.release(Who::Registrar, id, nodes);
        self.registrar_release(now, release);
    }

    fn registrar_release(&mut self, now: Instant, release: Release) {
        self.registrar.phase = Phase::Releasing(release);
        self.registrar.due = Some(now + PATIENCE);
        self.registrar_go_on(now);
    }

    /// Begins the next job, or the same one again after a wait that grows with each refusal.
    fn registrar_released(&mut self, now: Instant) {
        if self.registrar.refusals == 0 {
            // The next one has its turn by the timer, so that many do not pile up on the stack.
            let has_more = !self.registrar.jobs.is_empty();
            self.registrar.due = has_more.then_some(now);
            self.registrar.phase = if has_more {
                Phase::Sleeping
            } else {
                Phase::Idle
            };
            return;
        }
        let doublings = (self.registrar.refusals - 1).min(6);
        let longest = (125_u64 << doublings).min(self.longest_sleep_ms());
        let wait = Duration::from_millis(self.chance.random_range(1..=longest));
        self.registrar.phase = Phase::Sleeping;
        self.registrar.due = Some(now + wait);
    }

    fn longest_sleep_ms(&self) -> u64 {
        let nodes = u64::try_from(self.known.len() + 1).unwrap_or(u64::MAX);
        let longest = nodes.saturating_mul(SLEEP_PER_NODE_MS);
        longest.clamp(SHORT_SLEEP_MS, LONGEST_SLEEP_MS)
    }

    #[cfg(test)]
    pub(super) fn is_registrar_idle(&self) -> bool {
        matches!(self.registrar.phase, Phase::Idle)
    }
}

fn register_request(entry: &Entry) -> Term {
    Term::tuple([
        Term::atom("register"),
        entry.name.clone(),
        entry.pid.clone().into(),
        entry.method.clone(),
    ])
}
