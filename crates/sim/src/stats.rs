//! What happened in a run.

use std::collections::BTreeSet;

use crate::FaultKind;

/// What happened in one run, or in several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Runs.
    pub runs: u64,
    /// Things that happened.
    pub events: u64,
    /// Dials begun.
    pub dials: u64,
    /// Connections that came up, counted at each end.
    pub nodeups: u64,
    /// Connections that took the place of another one with the same peer.
    pub superseded: u64,
    /// Handshakes in which one side put the other off.
    pub noks: u64,
    /// Links that were authenticated and not needed any more.
    pub discarded: u64,
    /// Messages delivered.
    pub messages: u64,
    /// Monitors answered.
    pub answers: u64,
    /// Wrong cookies noticed.
    pub wrong_cookies: u64,
    /// How long after the last fault the last pair was connected, in microseconds; of several
    /// runs the longest.
    pub healed_after: u64,
    /// The kinds of fault that had an effect; of several runs see [`Stats::fired`].
    pub(crate) kinds: BTreeSet<FaultKind>,
    /// In how many runs each kind of fault had an effect, in the order of [`FaultKind::ALL`].
    pub fired: [u64; FaultKind::ALL.len()],
    /// What happened when to whom, as one number: equal for equal runs.
    pub trace: u64,
}

impl Stats {
    /// Adds another run.
    pub(crate) fn add(&mut self, run: &Stats) {
        self.runs += run.runs;
        self.events += run.events;
        self.dials += run.dials;
        self.nodeups += run.nodeups;
        self.superseded += run.superseded;
        self.noks += run.noks;
        self.discarded += run.discarded;
        self.messages += run.messages;
        self.answers += run.answers;
        self.wrong_cookies += run.wrong_cookies;
        self.healed_after = self.healed_after.max(run.healed_after);
        for (sum, one) in self.fired.iter_mut().zip(run.fired) {
            *sum += one;
        }
        // The order in which processors finish must not matter.
        self.trace = self.trace.wrapping_add(run.trace);
    }

    /// A fault had an effect.
    pub(crate) fn fire(&mut self, kind: FaultKind) {
        self.kinds.insert(kind);
    }

    /// The run is over.
    pub(crate) fn close(&mut self) {
        self.runs = 1;
        for (sum, kind) in self.fired.iter_mut().zip(FaultKind::ALL) {
            *sum = u64::from(self.kinds.contains(&kind));
        }
    }

    /// Mixes a number into the trace.
    pub(crate) fn mix(&mut self, number: u64) {
        let mixed = (self.trace ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.trace = mixed ^ (mixed >> 29);
    }
}
