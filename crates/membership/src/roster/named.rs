//! Whom one topology names, and from when on that counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use enmesh_identity::NodeName;

use super::topologies::{MAX_PEERS, SourceNews};
use crate::{FailureKind, Sighting, SourceFailure, TopologyName, Update};

/// How many stabilisation windows a change waits at most while others follow it.
const MAX_WINDOWS: u32 = 10;

/// The longest stabilisation window; a longer one counts as this.
const MAX_WINDOW: Duration = Duration::from_secs(3600);

/// How long those stay whom a source named that was replaced, after the new one has begun to tell
/// of single peers: one that never tells the whole set has named everybody by then.
const INHERITANCE: Duration = Duration::from_secs(60);

/// What a source has said.
#[derive(Debug)]
pub(super) struct Topology {
    pub(super) name: TopologyName,
    /// Whether it is what neighbours say, and no source of its own.
    pub(super) is_hearsay: bool,
    /// Who counts.
    pub(super) peers: BTreeMap<NodeName, Sighting>,
    pub(super) draining: bool,
    pub(super) answered: bool,
    pub(super) failure: Option<SourceFailure>,
    pub(super) dropped: u64,
    /// For how long the set must have been the same before it counts.
    window: Duration,
    settling: Option<Settling>,
    inherited: Inherited,
    /// The kinds of failure that were told since the source last answered. The details of one kind
    /// change with each question and are no news: a list that is forbidden, then a watch.
    told: BTreeSet<FailureKind>,
}

/// A set that has changed and does not count yet.
#[derive(Debug)]
struct Settling {
    peers: BTreeMap<NodeName, Sighting>,
    due: Instant,
    /// When it counts at the latest.
    latest: Instant,
}

/// What a source that was replaced has left behind.
#[derive(Debug, Default)]
struct Inherited {
    /// Whom the present source has not named yet.
    peers: BTreeSet<NodeName>,
    /// When they leave; `None` as long as the present source has said nothing.
    until: Option<Instant>,
    /// Whether it was the former one that said that we are being ended.
    draining: bool,
}

impl Topology {
    pub(super) fn new(name: TopologyName, is_hearsay: bool) -> Self {
        Self {
            name,
            is_hearsay,
            peers: BTreeMap::new(),
            draining: false,
            answered: false,
            failure: None,
            dropped: 0,
            window: Duration::ZERO,
            settling: None,
            inherited: Inherited::default(),
            told: BTreeSet::new(),
        }
    }

    /// Another source answers from now on; until then the last good answer stays in force.
    pub(super) fn begin_anew(&mut self) {
        self.settling = None;
        self.inherited = Inherited {
            peers: self.peers.keys().cloned().collect(),
            until: None,
            draining: self.draining,
        };
        self.answered = false;
        self.failure = None;
        self.told.clear();
    }

    pub(super) fn set_window(&mut self, now: Instant, window: Duration) -> Vec<NodeName> {
        self.window = window.min(MAX_WINDOW);
        match &mut self.settling {
            Some(settling) if window.is_zero() => settling.due = now,
            _ => {}
        }
        self.settle(now)
    }

    /// Returns also whose entry changed.
    pub(super) fn update(
        &mut self,
        now: Instant,
        update: Update,
        own: &NodeName,
    ) -> (SourceNews, Vec<NodeName>) {
        let changed = match update {
            Update::Failed(failure) => {
                let news = if self.told.insert(failure.kind()) {
                    SourceNews::Failed
                } else {
                    SourceNews::Nothing
                };
                self.failure = Some(failure);
                return (news, Vec::new());
            }
            Update::Draining(draining) => {
                self.draining = draining;
                self.inherited.draining = false;
                return (SourceNews::Nothing, Vec::new());
            }
            Update::Snapshot(present) => {
                self.inherited.peers.clear();
                let there: BTreeSet<_> = present.iter().map(Sighting::name).collect();
                let absent = |name: &&NodeName| !there.contains(*name);
                let gone = self.newest().keys().filter(absent).cloned().collect();
                self.change(now, present, gone, own)
            }
            Update::Changed { present, gone } => {
                if !self.inherited.peers.is_empty() {
                    let named = present.iter().map(Sighting::name).chain(&gone);
                    for name in named {
                        self.inherited.peers.remove(name);
                    }
                    self.inherited.until.get_or_insert(now + INHERITANCE);
                }
                self.change(now, present, gone, own)
            }
        };
        self.answered = true;
        if std::mem::take(&mut self.inherited.draining) {
            self.draining = false;
        }
        self.told.clear();
        let news = match self.failure.take() {
            Some(_) => SourceNews::Recovered,
            None => SourceNews::Nothing,
        };
        (news, changed)
    }

    /// Lets count what has settled, and leave who was inherited and not named since. Returns whose
    /// entry changed.
    pub(super) fn settle(&mut self, now: Instant) -> Vec<NodeName> {
        let mut changed = Vec::new();
        if self.inherited.until.is_some_and(|at| at <= now) {
            self.inherited.until = None;
            for name in std::mem::take(&mut self.inherited.peers) {
                if let Some(settling) = &mut self.settling {
                    settling.peers.remove(&name);
                }
                changed.extend(self.peers.remove_entry(&name).map(|(name, _)| name));
            }
        }
        if let Some(settled) = self.settling.take_if(|settling| settling.due <= now) {
            let (old, new) = (&self.peers, &settled.peers);
            let gone = old.keys().filter(|name| !new.contains_key(*name));
            let came = new.keys().filter(|name| !old.contains_key(*name));
            changed.extend(gone.chain(came).cloned());
            self.peers = settled.peers;
        }
        changed
    }

    /// When [`Topology::settle`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let settling = self.settling.as_ref().map(|settling| settling.due);
        [settling, self.inherited.until].into_iter().flatten().min()
    }

    /// When the set that has to settle counts, if it names the peer.
    pub(super) fn settles_at(&self, name: &NodeName) -> Option<Instant> {
        let settling = self.settling.as_ref()?;
        settling.peers.contains_key(name).then_some(settling.due)
    }

    /// The set as the source said last, whether it counts or not.
    fn newest(&self) -> &BTreeMap<NodeName, Sighting> {
        match &self.settling {
            Some(settling) => &settling.peers,
            None => &self.peers,
        }
    }

    /// Returns whose entry that counts has changed.
    fn change(
        &mut self,
        now: Instant,
        present: Vec<Sighting>,
        gone: Vec<NodeName>,
        own: &NodeName,
    ) -> Vec<NodeName> {
        if self.window.is_zero() {
            let (changed, dropped) = apply(&mut self.peers, present, gone, own);
            self.dropped += dropped;
            return changed;
        }
        let latest = self.settling.as_ref().map(|settling| settling.latest);
        let mut peers = self.newest().clone();
        let before = peers.len();
        let (touched, dropped) = apply(&mut peers, present, gone, own);
        self.dropped += dropped;
        // What is new of those who stay counts at once: only who comes and who goes must settle.
        let mut changed = Vec::new();
        let mut is_another_set = before != peers.len();
        for name in touched {
            is_another_set |= self.newest().contains_key(&name) != peers.contains_key(&name);
            if let (Some(known), Some(sighting)) = (self.peers.get_mut(&name), peers.get(&name))
                && known != sighting
            {
                *known = sighting.clone();
                changed.push(name);
            }
        }
        if is_another_set {
            let latest = latest.unwrap_or(now + self.window * MAX_WINDOWS);
            let due = latest.min(now + self.window);
            self.settling = Some(Settling { peers, due, latest });
        } else if let Some(settling) = &mut self.settling {
            settling.peers = peers;
        }
        changed
    }
}

/// Changes `peers`; returns whose entry is another, and how many had no room.
fn apply(
    peers: &mut BTreeMap<NodeName, Sighting>,
    present: Vec<Sighting>,
    gone: Vec<NodeName>,
    own: &NodeName,
) -> (Vec<NodeName>, u64) {
    let mut changed: Vec<_> = gone
        .into_iter()
        .filter(|name| peers.remove(name).is_some())
        .collect();
    let mut dropped = 0;
    for sighting in present {
        let name = sighting.name();
        let known = peers.get(name);
        if name == own || known == Some(&sighting) {
            continue;
        }
        if known.is_none() && peers.len() >= MAX_PEERS {
            dropped += 1;
            continue;
        }
        let name = name.clone();
        peers.insert(name.clone(), sighting);
        changed.push(name);
    }
    (changed, dropped)
}
