//! The locker: takes the lock under which our partition and another one merge.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use enmesh_term::{Atom, Pid, Term};
use rand::RngExt;

use super::Global;
use super::locks::LockId;
use super::runs::{LockRun, Progress, Release, Who};
use super::wire::{cast, marked, server_of};
use crate::effect::{Address, CallFailed, Effect};

/// How soon after its nodeup a node is merged with if we know nobody yet.
const FIRST_MERGE: Duration = Duration::from_millis(200);

/// How long a phase of a merge may take before it is given up and tried again. OTP waits for
/// ever; a node that never answers would then stop every change of names in the cluster.
const PATIENCE: Duration = Duration::from_secs(20);

/// The same for a merge as a whole, once both sides hold the lock.
const MERGE_PATIENCE: Duration = Duration::from_secs(60);

/// The most words of other lockers that wait until ours is done with what it does; one a peer.
const MAX_HEARD: usize = 65_536;

/// A node to merge with, and its locker.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Him {
    pub(super) node: Atom,
    pub(super) my_tag: i64,
    pub(super) his_tag: Term,
    pub(super) locker: Pid,
}

impl Him {
    fn is(&self, node: &Atom, my_tag: i64) -> bool {
        self.node == *node && self.my_tag == my_tag
    }
}

/// That another locker has, or has not, taken the lock for its side.
#[derive(Clone, Debug)]
pub(super) struct LockSet {
    pub(super) locker: Pid,
    pub(super) is_set: bool,
    /// Our tag of the session that it is about; `None` in the form that carries none.
    pub(super) tag: Option<i64>,
}

/// What the locker is at.
#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    /// The lock is being taken on our side; by our own will, or because he has it on his.
    Locking {
        him: Him,
        run: LockRun,
        is_active: bool,
    },
    /// We have the lock and have told him; now he is to take it on his side.
    Waiting {
        him: Him,
        held: Held,
    },
    /// Both have it: names are being exchanged.
    Merging {
        him: Him,
        held: Held,
    },
    Releasing(Release),
}

#[derive(Debug)]
struct Held {
    id: LockId,
    nodes: BTreeSet<Atom>,
}

#[derive(Debug, Default)]
pub(super) struct Locker {
    candidates: Vec<Him>,
    phase: Phase,
    heard: VecDeque<LockSet>,
    /// When the next merge begins, or the present phase has taken too long.
    due: Option<Instant>,
    /// There is no reason to wait after a success.
    has_just_merged: bool,
}

impl Locker {
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl Global {
    pub(super) fn locker_add(&mut self, now: Instant, him: Him) {
        self.locker.candidates.retain(|old| old.node != him.node);
        self.locker.candidates.push(him);
        self.locker_arm(now);
    }

    /// The session is over, well or not: its lock is freed.
    pub(super) fn locker_cancel(&mut self, now: Instant, node: &Atom, my_tag: i64) {
        self.locker.candidates.retain(|him| !him.is(node, my_tag));
        let is_his = match &self.locker.phase {
            Phase::Locking { him, .. }
            | Phase::Waiting { him, .. }
            | Phase::Merging { him, .. } => him.is(node, my_tag),
            Phase::Idle | Phase::Releasing(_) => false,
        };
        if is_his {
            let phase = std::mem::take(&mut self.locker.phase);
            self.locker_let_go(now, phase);
        } else {
            self.locker_arm(now);
        }
    }

    /// Another locker says whether it has taken the lock.
    pub(super) fn locker_heard(&mut self, now: Instant, heard: LockSet) {
        let waits_for_it = matches!(&self.locker.phase, Phase::Waiting { him, .. }
            if him.node == *heard.locker.node());
        if waits_for_it || matches!(self.locker.phase, Phase::Idle) {
            self.locker_hears(now, &heard);
        } else if self.locker.heard.len() < MAX_HEARD {
            let node = heard.locker.node();
            self.locker.heard.retain(|old| old.locker.node() != node);
            self.locker.heard.push_back(heard);
        }
    }

    /// The node is gone, and what its locker has said with it.
    pub(super) fn locker_hears_no_more_of(&mut self, peer: &Atom) {
        let heard = &mut self.locker.heard;
        heard.retain(|heard| heard.locker.node() != peer);
    }

    /// Takes in the outcome of a call of the locker's.
    pub(super) fn locker_answered(
        &mut self,
        now: Instant,
        call: u64,
        outcome: &Result<Term, CallFailed>,
    ) -> bool {
        match &mut self.locker.phase {
            Phase::Locking { run, .. } => {
                let is_mine = run.answered(call, outcome);
                if is_mine {
                    self.locker_go_on(now);
                }
                is_mine
            }
            Phase::Releasing(release) => {
                let is_mine = release.answered(call);
                if is_mine {
                    self.locker_go_on(now);
                }
                is_mine
            }
            Phase::Idle | Phase::Waiting { .. } | Phase::Merging { .. } => false,
        }
    }

    /// Begins a merge, or gives up one that takes too long.
    pub(super) fn locker_timeout(&mut self, now: Instant) {
        if self.locker.due.is_none_or(|due| due > now) {
            return;
        }
        match std::mem::take(&mut self.locker.phase) {
            Phase::Idle if !self.locker.heard.is_empty() => {
                if let Some(heard) = self.locker.heard.pop_front() {
                    self.locker_hears(now, &heard);
                }
                self.locker_arm(now);
            }
            Phase::Idle if self.locks.is_global_taken() => self.locker_arm(now),
            Phase::Idle => self.locker_select(now),
            phase @ (Phase::Waiting { .. } | Phase::Merging { .. }) => {
                // He is to begin anew as well, or his side would keep the lock: also one that says
                // only now that it has it, for his locker waits for nothing but the names then.
                let node = match &phase {
                    Phase::Waiting { him, .. } | Phase::Merging { him, .. } => him.node.clone(),
                    _ => return,
                };
                self.locker.phase = phase;
                self.restart(now, &node);
            }
            Phase::Releasing(release) => {
                self.hurry_release(release);
                self.locker_idle(now);
            }
            phase => self.locker_let_go(now, phase),
        }
    }

    fn locker_select(&mut self, now: Instant) {
        self.locker.has_just_merged = false;
        let known = &self.known;
        let is_new = |him: &Him| !known.contains_key(&him.node);
        self.locker.candidates.retain(is_new);
        let own = host(&self.config.node).to_owned();
        let candidates = &self.locker.candidates;
        let local: Vec<&Him> = candidates
            .iter()
            .filter(|him| host(&him.node) == own)
            .collect();
        let choice = if local.is_empty() {
            candidates.iter().collect()
        } else {
            local
        };
        if choice.is_empty() {
            return self.locker_arm(now);
        }
        let him = choice[self.chance.random_range(0..choice.len())].clone();
        self.locker_lock(now, him, true);
    }

    fn locker_lock(&mut self, now: Instant, him: Him, is_active: bool) {
        let id = LockId::of_lockers(&self.config.locker, &him.locker);
        let extra = is_active.then(|| him.node.clone());
        let run = LockRun::new(id, Who::Locker, extra);
        self.locker.phase = Phase::Locking {
            him,
            run,
            is_active,
        };
        self.locker.due = Some(now + PATIENCE);
        self.locker_go_on(now);
    }

    /// Goes on with what needs answers, as far as they are there.
    fn locker_go_on(&mut self, now: Instant) {
        match std::mem::take(&mut self.locker.phase) {
            Phase::Locking {
                him,
                mut run,
                is_active,
            } => match self.advance(&mut run) {
                Progress::Waiting => {
                    self.locker.phase = Phase::Locking {
                        him,
                        run,
                        is_active,
                    };
                }
                Progress::Taken => self.locker_has_lock(now, him, &run, is_active),
                Progress::Refused => {
                    if !is_active {
                        self.say_lock_set(&him, false);
                    }
                    let release = self.abort(run);
                    self.locker_release(now, release);
                }
            },
            Phase::Releasing(mut release) => {
                if self.advance_release(&mut release) {
                    self.locker_idle(now);
                } else {
                    self.locker.phase = Phase::Releasing(release);
                }
            }
            phase => self.locker.phase = phase,
        }
    }

    fn locker_has_lock(&mut self, now: Instant, him: Him, run: &LockRun, is_active: bool) {
        self.say_lock_set(&him, true);
        let held = Held {
            id: run.id.clone(),
            nodes: run.locked().clone(),
        };
        if !is_active {
            return self.locker_merge(now, him, held);
        }
        let node = him.node.clone();
        self.locker.phase = Phase::Waiting { him, held };
        self.locker.due = Some(now + PATIENCE);
        // He may have said it of his own will meanwhile: both names of the lock are the same.
        let heard = &mut self.locker.heard;
        if let Some(at) = heard.iter().position(|heard| *heard.locker.node() == node)
            && let Some(heard) = heard.remove(at)
        {
            self.locker_hears(now, &heard);
        }
    }

    /// Both sides have the lock.
    fn locker_merge(&mut self, now: Instant, him: Him, held: Held) {
        let (node, my_tag, id) = (him.node.clone(), him.my_tag, held.id.clone());
        self.locker.candidates.retain(|him| !him.is(&node, my_tag));
        self.locker.has_just_merged = true;
        self.locker.phase = Phase::Merging { him, held };
        self.locker.due = Some(now + MERGE_PATIENCE);
        self.lock_is_set(now, &node, my_tag, id);
    }

    fn locker_hears(&mut self, now: Instant, heard: &LockSet) {
        let node = heard.locker.node();
        match std::mem::take(&mut self.locker.phase) {
            Phase::Waiting { him, held } if him.node == *node => {
                if heard.tag.is_some_and(|tag| tag != him.my_tag) {
                    self.locker.phase = Phase::Waiting { him, held };
                } else if heard.is_set {
                    self.locker_merge(now, him, held);
                } else {
                    let release = self.release(Who::Locker, held.id, held.nodes);
                    self.locker_release(now, release);
                }
            }
            Phase::Idle if heard.is_set => {
                let candidates = self.locker.candidates.iter();
                let mut same = candidates.filter(|him| {
                    him.node == *node && heard.tag.is_none_or(|tag| tag == him.my_tag)
                });
                match same.next().cloned() {
                    Some(him) => self.locker_lock(now, him, false),
                    None => self.refuse_lock_set(&heard.locker),
                }
            }
            phase => self.locker.phase = phase,
        }
    }

    /// Ends a phase before its time.
    fn locker_let_go(&mut self, now: Instant, phase: Phase) {
        let release = match phase {
            Phase::Locking {
                him,
                run,
                is_active,
            } => {
                if !is_active {
                    self.say_lock_set(&him, false);
                }
                self.abort(run)
            }
            Phase::Waiting { held, .. } | Phase::Merging { held, .. } => {
                self.release(Who::Locker, held.id, held.nodes)
            }
            Phase::Releasing(release) => release,
            Phase::Idle => return self.locker_idle(now),
        };
        self.locker_release(now, release);
    }

    fn locker_release(&mut self, now: Instant, release: Release) {
        self.locker.phase = Phase::Releasing(release);
        self.locker.due = Some(now + PATIENCE);
        self.locker_go_on(now);
    }

    fn locker_idle(&mut self, now: Instant) {
        self.locker.phase = Phase::Idle;
        self.locker_arm(now);
    }

    /// When the next merge is tried, as OTP has it, and a little by chance. What came in
    /// meanwhile is heard at once, by the timer: so it does not pile up on the stack.
    fn locker_arm(&mut self, now: Instant) {
        if !matches!(self.locker.phase, Phase::Idle) {
            return;
        }
        if !self.locker.heard.is_empty() {
            self.locker.due = Some(now);
            return;
        }
        if self.locker.candidates.is_empty() {
            self.locker.due = None;
            return;
        }
        let known = u64::try_from(self.known.len()).unwrap_or(u64::MAX);
        let wait = match known {
            _ if std::mem::take(&mut self.locker.has_just_merged) => Duration::ZERO,
            0 => FIRST_MERGE,
            known => {
                Duration::from_millis(known.saturating_mul(100).saturating_add(1000).min(3000))
            }
        };
        let wait = wait.mul_f64(self.chance.random_range(1.0..=1.2));
        self.locker.due = Some(now + wait);
    }

    fn say_lock_set(&mut self, him: &Him, is_set: bool) {
        let own = self.config.locker.clone();
        let message = Term::tuple([
            Term::atom("lock_set"),
            own.clone().into(),
            is_set.into(),
            self.known_list(),
            him.his_tag.clone(),
        ]);
        self.effects.push_back(Effect::Send {
            from: own,
            to: server_of(&him.node),
            message: cast(message),
        });
    }

    /// To a locker of whose session nothing is known, and so neither its tag.
    fn refuse_lock_set(&mut self, locker: &Pid) {
        let own = self.config.locker.clone();
        let message = Term::tuple([
            Term::atom("lock_set"),
            own.clone().into(),
            false.into(),
            self.known_list(),
        ]);
        self.effects.push_back(Effect::Send {
            from: own,
            to: Address::Pid(locker.clone()),
            message,
        });
    }

    fn known_list(&self) -> Term {
        Term::List(self.known.keys().cloned().map(Term::Atom).collect())
    }

    pub(super) fn locker_introduction(&self) -> Term {
        Term::tuple([
            Term::atom("locker"),
            Term::atom("no_longer_a_pid"),
            marked(self.known.keys()),
            self.config.locker.clone().into(),
        ])
    }

    #[cfg(test)]
    pub(super) fn words_heard(&self) -> usize {
        self.locker.heard.len()
    }

    #[cfg(test)]
    pub(super) fn is_merging(&self) -> bool {
        matches!(
            self.locker.phase,
            Phase::Merging { .. } | Phase::Waiting { .. }
        )
    }

    #[cfg(test)]
    pub(super) fn is_locker_idle(&self) -> bool {
        matches!(self.locker.phase, Phase::Idle)
    }
}

/// What stands behind the at sign of a node's name.
fn host(node: &Atom) -> &str {
    node.as_str().split_once('@').map_or("", |(_, host)| host)
}
