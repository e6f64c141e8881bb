//! A promise that was broken, and its story.

use std::fmt;

use crate::SimConfig;
use crate::event::{Micros, SECOND};

/// A promise that every run must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Promise {
    /// Per connection one nodeup, then exactly one nodedown.
    OneNodeupOneNodedown,
    /// At most one live link per peer.
    OneLivePerPeer,
    /// A nodeup comes before any message of its connection and a nodedown after all; messages
    /// come in order and once.
    MessagesWhileUp,
    /// A failed or partial look-up removes nobody.
    FailureRemovesNobody,
    /// A live link is closed by us only because the user, the policy or the peer wants it.
    LeavingIsNotClosing,
    /// While we are being ended nobody is dialled, and who is silent never, but for the user.
    DialsOnlyWhomItShould,
    /// Our own name and address are never dialled.
    NeverDialsItself,
    /// One dead peer never delays another's dial.
    NobodyDelaysAnother,
    /// Who merely claims a name ends no dial and no link of ours.
    ClaimsEndNothing,
    /// No timer stays due after it was handled.
    NoBusyLoop,
    /// Nobody is dialled more often than the back-off allows.
    NoDialStorm,
    /// Every table is bounded.
    Bounded,
    /// After the network heals, everybody is connected in time.
    WholeAfterHeal,
    /// In quiet times no link falls.
    QuietStaysQuiet,
    /// Shutdown leaves nothing.
    ShutdownLeavesNothing,
    /// A monitor of nobody is answered.
    NeverSilent,
}

/// A promise was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The run; its seed gives the same one again.
    pub run: SimConfig,
    /// The promise.
    pub promise: Promise,
    /// When, in virtual microseconds.
    pub at: u64,
    /// How it was broken.
    pub how: String,
    /// What the nodes involved went through, one line each.
    pub story: Vec<String>,
    /// The nodes involved.
    pub(crate) involved: Vec<usize>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SimConfig {
            seed,
            nodes,
            duration,
            ..
        } = self.run;
        writeln!(
            f,
            "seed {} with {} nodes broke {:?}",
            seed, nodes, self.promise
        )?;
        writeln!(f, "at {}: {}", Seconds(self.at), self.how)?;
        for line in &self.story {
            writeln!(f, "  {line}")?;
        }
        write!(
            f,
            "again: cargo xtask sim --seed {} --seeds 1 --nodes {} --seconds {}",
            seed,
            nodes,
            duration.as_secs()
        )
    }
}

impl std::error::Error for Violation {}

/// A virtual time, in seconds.
pub(crate) struct Seconds(pub(crate) Micros);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:3}.{:06} s", self.0 / SECOND, self.0 % SECOND)
    }
}
