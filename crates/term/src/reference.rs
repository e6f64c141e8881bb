//! References.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::Atom;

/// The most words a reference has (erl_dist_protocol, flag `V4_NC`).
pub const MAX_REFERENCE_WORDS: usize = 5;

/// A reference made by some node; cheap to clone.
///
/// ```
/// use enmesh_term::{Atom, Reference};
///
/// let reference = Reference::new(Atom::from_static("a@h"), 9, &[1, 2, 3])?;
/// assert_eq!(reference.ids(), [1, 2, 3]);
/// # Ok::<(), enmesh_term::BadReferenceLength>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    parts: Arc<Parts>,
}

#[derive(PartialEq, Eq, Hash)]
struct Parts {
    node: Atom,
    creation: u32,
    len: u8,
    ids: [u32; MAX_REFERENCE_WORDS],
}

/// A reference has one to [`MAX_REFERENCE_WORDS`] words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reference has 1 to {MAX_REFERENCE_WORDS} words, not {words}")]
pub struct BadReferenceLength {
    /// How many were given.
    pub words: usize,
}

impl Reference {
    /// The reference of these parts; the first word is the least significant.
    ///
    /// # Errors
    /// [`BadReferenceLength`] unless there are one to [`MAX_REFERENCE_WORDS`] words.
    pub fn new(node: Atom, creation: u32, ids: &[u32]) -> Result<Self, BadReferenceLength> {
        let mut words = [0; MAX_REFERENCE_WORDS];
        match words.get_mut(..ids.len()) {
            Some(head) if !ids.is_empty() => head.copy_from_slice(ids),
            _ => return Err(BadReferenceLength { words: ids.len() }),
        }
        let len = ids.len() as u8;
        Ok(Self {
            parts: Arc::new(Parts {
                node,
                creation,
                len,
                ids: words,
            }),
        })
    }

    /// The name of its node.
    #[must_use]
    pub fn node(&self) -> &Atom {
        &self.parts.node
    }

    /// The creation of its node.
    #[must_use]
    pub fn creation(&self) -> u32 {
        self.parts.creation
    }

    /// Its words, least significant first.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.parts.ids[..usize::from(self.parts.len)]
    }
}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Reference {
    /// Erlang's order: by words, the most significant first, then node and creation.
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (self.parts.ids.iter().rev(), other.parts.ids.iter().rev());
        ours.cmp(theirs)
            .then_with(|| self.node().cmp(other.node()))
            .then_with(|| self.creation().cmp(&other.creation()))
            .then_with(|| self.parts.len.cmp(&other.parts.len))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Ref<{}", self.node().as_str())?;
        for id in self.ids().iter().rev() {
            write!(f, ".{id}")?;
        }
        f.write_str(">")
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/{}", self.creation())
    }
}
