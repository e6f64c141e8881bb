//! What a source may say.

use std::fmt;

use enmesh_identity::{NodeName, PeerAddr};

/// The longest detail of a [`SourceFailure`] that is kept, in bytes; what is over is cut off.
pub const MAX_DETAIL_BYTES: usize = 1024;

/// What a source says about its topology. Only the first two can make anybody leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// The whole set, by the source's positive word: who is not in it has left.
    Snapshot(Vec<Sighting>),
    /// Some came or changed, some left; about all others nothing is said.
    Changed {
        /// Who is there, with what the source now knows of the address and port.
        present: Vec<Sighting>,
        /// Who has left. Whom the source has never named may be among them: one that is about to end when the source first
        /// looks is not to be dialled because neighbours still know it.
        gone: Vec<NodeName>,
    },
    /// Whether we ourselves are being ended, by the source's word. Whoever is being ended dials
    /// nobody any more: a pod that is terminating still reads who is there, and would come back
    /// to peers that have just seen it go.
    Draining(bool),
    /// The look-up failed or was partial: nobody is removed.
    Failed(SourceFailure),
}

impl Update {
    /// The whole set, of peers of which no more is known than where they are.
    ///
    /// ```
    /// use enmesh_identity::NodeName;
    /// use enmesh_membership::Update;
    ///
    /// let name: NodeName = "web@10.0.0.7".parse()?;
    /// assert!(matches!(Update::snapshot([name]), Update::Snapshot(peers) if peers.len() == 1));
    /// # Ok::<(), enmesh_identity::NameError>(())
    /// ```
    pub fn snapshot(peers: impl IntoIterator<Item = impl Into<Sighting>>) -> Self {
        Self::Snapshot(peers.into_iter().map(Into::into).collect())
    }
}

/// A peer as its source sees it.
///
/// ```
/// use enmesh_identity::NodeName;
/// use enmesh_membership::{Sighting, Standing};
///
/// let name: NodeName = "web@10.0.0.7".parse()?;
/// let sighting = Sighting::from(name).with_standing(Standing::Unready);
/// assert_eq!(sighting.name().as_str(), "web@10.0.0.7");
/// # Ok::<(), enmesh_identity::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its name and where it is.
    pub peer: PeerAddr,
    /// What the source thinks of dialling it.
    pub standing: Standing,
    /// Another number whenever something has happened to the peer after which a dial may go
    /// otherwise than before: it was started anew, it turned ready. The number itself means
    /// nothing; a change ends the peer's back-off.
    pub life: u64,
}

impl Sighting {
    /// The peer's full name.
    pub fn name(&self) -> &NodeName {
        self.peer.name()
    }

    /// The same with another standing.
    #[must_use]
    pub fn with_standing(self, standing: Standing) -> Self {
        Self { standing, ..self }
    }

    /// The same with another life.
    #[must_use]
    pub fn with_life(self, life: u64) -> Self {
        Self { life, ..self }
    }
}

impl From<PeerAddr> for Sighting {
    fn from(peer: PeerAddr) -> Self {
        Self {
            peer,
            standing: Standing::default(),
            life: 0,
        }
    }
}

impl From<NodeName> for Sighting {
    fn from(name: NodeName) -> Self {
        PeerAddr::new(name).into()
    }
}

/// The peer, and its standing where it is not [`Standing::Ready`].
impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer.fmt(f)?;
        match self.standing {
            Standing::Ready => Ok(()),
            Standing::Unready => f.write_str(", perhaps not ready"),
            Standing::Heard => f.write_str(", by hearsay"),
            Standing::Silent => f.write_str(", not heard of for long"),
        }
    }
}

/// What a source thinks of dialling a peer. Whatever it is, a live link stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// It is to be dialled at once.
    #[default]
    Ready,
    /// It is there and may not be ready: it is first dialled a little later than those that are.
    Unready,
    /// No source names it, and neighbours tell of it: it is dialled like one that is ready, until whoever is where it should
    /// be denies to be it. Given by the roster, never by a source.
    Heard,
    /// It may be there and has not been heard of for long: it is not dialled while its link is
    /// down.
    Silent,
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
