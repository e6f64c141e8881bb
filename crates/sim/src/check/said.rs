//! What the source of one topology has said, and whether what counts of it may be what counts.

use std::collections::{BTreeSet, VecDeque};

use enmesh_identity::NodeName;
use enmesh_membership::{Sighting, Update};

use crate::event::{Micros, SECOND};

/// How many stabilisation windows a change waits at most.
const MAX_WINDOWS: Micros = 10;

/// How long those stay whom a source named that was replaced, once the new one speaks.
const INHERITANCE: Micros = 60 * SECOND;

/// The positive words of a topology's source, from the first on.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// For how long a set must have been the same before it counts.
    window: Micros,
    /// Whom it names.
    names: BTreeSet<NodeName>,
    /// Since when it names these.
    since: Micros,
    /// Whom it named before, and until when; as far back as that may still count.
    former: VecDeque<(BTreeSet<NodeName>, Micros)>,
    /// What counted when somebody looked last.
    counted: BTreeSet<NodeName>,
    /// Whom a former source named and the present one has not yet.
    inherited: BTreeSet<NodeName>,
    inherited_until: Option<Micros>,
}

impl Said {
    pub(super) fn new(window: Micros) -> Self {
        Self {
            window,
            ..Self::default()
        }
    }

    pub(super) fn names(&self, peer: &NodeName) -> bool {
        self.names.contains(peer)
    }

    pub(super) fn update(&mut self, now: Micros, own: &NodeName, update: &Update) {
        let name = |seen: &Sighting| seen.name().clone();
        let mut names = self.names.clone();
        match update {
            Update::Snapshot(present) => {
                names = present.iter().map(name).collect();
                self.inherited.clear();
            }
            Update::Changed { present, gone } => {
                names.retain(|name| !gone.contains(name));
                names.extend(present.iter().map(name));
                if !self.inherited.is_empty() {
                    self.inherited_until.get_or_insert(now + INHERITANCE);
                    let is_told = |it: &NodeName| present.iter().any(|seen| seen.name() == it);
                    self.inherited
                        .retain(|it| !is_told(it) && !gone.contains(it));
                }
            }
            Update::Draining(_) | Update::Failed(_) => return,
        }
        names.remove(own);
        self.become_those(now, names);
    }

    /// Another source speaks from now on; whoever counts is what it begins with.
    pub(super) fn replaced(&mut self, now: Micros, counted: BTreeSet<NodeName>) {
        self.inherited.clone_from(&counted);
        self.inherited_until = None;
        self.become_those(now, counted);
        self.former.clear();
    }

    /// Whoever was inherited and never named leaves in time.
    pub(super) fn expire(&mut self, now: Micros) {
        if self.inherited_until.is_some_and(|at| at <= now) {
            self.inherited_until = None;
            let over = std::mem::take(&mut self.inherited);
            let former = self.former.iter_mut().map(|(names, _)| names);
            for names in former.chain([&mut self.names, &mut self.counted]) {
                names.retain(|name| !over.contains(name));
            }
        }
    }

    /// Whether it may be this set that counts.
    pub(super) fn may_count(&mut self, now: Micros, counted: BTreeSet<NodeName>) -> bool {
        let before = std::mem::replace(&mut self.counted, counted);
        let counted = &self.counted;
        if self.window == 0 {
            return *counted == self.names;
        }
        if *counted == self.names {
            return self.since < now || *counted == before;
        }
        let oldest = now.saturating_sub(self.window * MAX_WINDOWS);
        let was_said = |(names, until): &(_, Micros)| names == counted && *until >= oldest;
        now - self.since <= self.window && self.former.iter().any(was_said)
    }

    fn become_those(&mut self, now: Micros, names: BTreeSet<NodeName>) {
        if names != self.names {
            let old = std::mem::replace(&mut self.names, names);
            self.former.push_back((old, now));
            self.since = now;
        }
        let oldest = now.saturating_sub(self.window * MAX_WINDOWS);
        while self
            .former
            .front()
            .is_some_and(|(_, until)| *until < oldest)
        {
            self.former.pop_front();
        }
    }
}
