//! Which fault comes when, from a seed alone: the same for our members and for the control.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{BEAMS, MEMBERS};

/// What is done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// SIGKILL, and a new life later.
    Kill,
    /// SIGSTOP for longer than `net_ticktime`, then SIGCONT. Guests only: BEAMs that see one of their own stop expel each other
    /// without any of us, as the control shows.
    Stop,
    /// SIGTERM and a new life at once.
    Restart,
    /// All packets between a guest and one BEAM are lost for longer than `net_ticktime`.
    Cut,
}

/// One fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) at: Duration,
    pub(crate) kind: Kind,
    /// The place that it is done to.
    pub(crate) place: usize,
    /// The BEAM at the other end of a cut.
    pub(crate) peer: usize,
    pub(crate) lasting: Duration,
}

/// All faults, in the order of time.
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) faults: Vec<Fault>,
}

/// Of ten faults, so many of each kind.
const DECK: [Kind; 10] = [
    Kind::Kill,
    Kind::Kill,
    Kind::Kill,
    Kind::Restart,
    Kind::Restart,
    Kind::Restart,
    Kind::Stop,
    Kind::Stop,
    Kind::Cut,
    Kind::Cut,
];

/// How long a node is left in peace after a fault of its own.
const REST: Duration = Duration::from_millis(2_500);

impl Script {
    /// Faults for `time`, one every `interval` as long as there is somebody at peace.
    pub(crate) fn new(seed: u64, time: Duration, interval: Duration) -> Self {
        let mut random = Random(seed);
        let mut peace = [Duration::ZERO; BEAMS + MEMBERS];
        let mut deck = Vec::new();
        let mut faults = Vec::new();
        let mut at = Duration::ZERO;
        while at < time {
            if deck.is_empty() {
                deck = DECK.to_vec();
            }
            let kind = deck.swap_remove(random.below(deck.len()));
            let places = match kind {
                Kind::Kill | Kind::Restart => 0..BEAMS + MEMBERS,
                Kind::Stop | Kind::Cut => BEAMS..BEAMS + MEMBERS,
            };
            let free: Vec<usize> = places.filter(|place| peace[*place] <= at).collect();
            if free.is_empty() {
                deck.push(kind);
                at += interval / 4;
                continue;
            }
            let place = free[random.below(free.len())];
            let lasting = Duration::from_millis(match kind {
                Kind::Kill => 200 + random.below(1_500) as u64,
                Kind::Restart => 0,
                Kind::Stop | Kind::Cut => 5_500 + random.below(1_500) as u64,
            });
            peace[place] = at + lasting + REST;
            faults.push(Fault {
                at,
                kind,
                place,
                peer: random.below(BEAMS),
                lasting,
            });
            at += interval;
        }
        Self { seed, faults }
    }

    /// How many faults of each kind there are.
    pub(crate) fn counts(&self) -> BTreeMap<Kind, usize> {
        self.faults
            .iter()
            .fold(BTreeMap::new(), |mut counts, fault| {
                *counts.entry(fault.kind).or_default() += 1;
                counts
            })
    }
}

/// SplitMix64: the same on every machine and in every release.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % limit as u64).expect("it is below a usize")
    }
}

#[test]
fn five_minutes_have_two_hundred_faults_and_twenty_of_each_kind() {
    for seed in 1..20 {
        let script = Script::new(seed, Duration::from_secs(300), crate::FAULT_INTERVAL);
        assert!(script.faults.len() >= 200, "{}", script.faults.len());
        let counts = script.counts();
        assert!(
            counts.len() == 4 && counts.values().all(|count| *count >= 20),
            "{counts:?}"
        );
    }
}
