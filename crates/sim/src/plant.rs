//! Bugs that can be planted, so that each checker is seen to catch one.

/// A bug in what a node does or says. Each happens once, from the middle of a run on, unless it
/// says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))] // Only tests plant bugs.
pub(crate) enum Plant {
    /// A nodedown is not told.
    LostNodedown,
    /// A nodedown is told twice.
    DoubleNodedown,
    /// A nodeup is told twice.
    DoubleNodeup,
    /// A link is admitted without a nodeup.
    MissingNodeup,
    /// A message of a link that was closed is delivered.
    LateMessage,
    /// A message is delivered twice.
    DoubleMessage,
    /// Failures of sources are taken for the news that nobody is there. Always.
    FailureEmptiesRoster,
    /// Who leaves the roster loses its live link. Always.
    LeaveClosesLink,
    /// Who leaves loses its live link at once, as if its grace were over. Always.
    GraceIsCutShort,
    /// A dial goes to our own name.
    DialsOwnName,
    /// A dial goes to our own address.
    DialsOwnAddress,
    /// The plan is not told whom it wants. Always.
    LostWants,
    /// The plan is not told that we are being ended. Always.
    LostDrains,
    /// Whom a source named that is replaced is forgotten at once. Always.
    ReplacingForgets,
    /// What the sources say counts at once, whatever their windows. Always.
    NoWindows,
    /// The plan takes everybody for ready. Always.
    LostStandings,
    /// A dial is given up because somebody claims the peer's name.
    ClaimEndsDial,
    /// A live link is closed because somebody claims the peer's name.
    ClaimEndsLink,
    /// A timer stays due.
    StuckTimer,
    /// A peer is dialled again and again without a pause.
    DialStorm,
    /// Links that ended are not forgotten. Always.
    LeakedLinks,
    /// From the middle of the run on nobody is dialled.
    NoDials,
    /// A link falls in quiet times.
    FallsInQuiet,
    /// A link stays after the shutdown.
    ShutdownLeavesLink,
    /// A monitor is not answered. Always.
    SilentNeighbour,
}

#[cfg(test)]
mod tests;
