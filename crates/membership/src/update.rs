//! What a source may say.

use std::fmt;

use enmesh_identity::{NodeName, PeerAddr};

/// The longest detail of a [`SourceFailure`] that is kept, in bytes; what is over is cut off.
pub const MAX_DETAIL_BYTES: usize = 1024;

/// What a source says about its topology. Only the first two can make anybody leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// The whole set, by the source's positive word: who is not in it has left.
    Snapshot(Vec<PeerAddr>),
    /// Some came or changed, some left; about all others nothing is said.
    Changed {
        /// Who is there, with what the source now knows of the address and port.
        present: Vec<PeerAddr>,
        /// Who has left.
        gone: Vec<NodeName>,
    },
    /// The look-up failed or was partial: nobody is removed.
    Failed(SourceFailure),
}

/// What kind of failure a look-up met: a closed set, fit for a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// Nobody answered at the source's address.
    Unreachable,
    /// The source knows us and does not let us read.
    Forbidden,
    /// What was asked for does not exist.
    NotFound,
    /// The source does not accept who we say we are.
    Unauthorized,
    /// The answer holds nobody where an empty answer proves nothing.
    Empty,
    /// The answer could not be understood.
    Malformed,
    /// No answer in time.
    TimedOut,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// A short name of the kind, in snake case.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Unauthorized => "unauthorized",
            Self::Empty => "empty",
            Self::Malformed => "malformed",
            Self::TimedOut => "timed_out",
            Self::Other => "other",
        }
    }
}

/// Why a look-up failed. Its `Display` is the detail: the source's own text, with the fix in
/// words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFailure {
    kind: FailureKind,
    detail: String,
}

impl SourceFailure {
    /// A failure of `kind`; of `detail` the first [`MAX_DETAIL_BYTES`] are kept.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(MAX_DETAIL_BYTES));
        Self { kind, detail }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// What happened and what to do, in words; at most [`MAX_DETAIL_BYTES`].
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for SourceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for SourceFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let failure = SourceFailure::new(FailureKind::Other, "ä".repeat(MAX_DETAIL_BYTES));
        assert_eq!(failure.detail().len(), MAX_DETAIL_BYTES);
        let odd = SourceFailure::new(FailureKind::Other, format!("x{}", "ä".repeat(600)));
        assert_eq!(odd.detail().len(), MAX_DETAIL_BYTES - 1);
    }
}
