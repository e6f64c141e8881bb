//! How much a decoder takes from a peer.

/// The greatest nesting that any decoder follows, whatever [`Limits::max_depth`] says.
///
/// Comparing, printing, encoding and dropping a [`Term`](crate::Term) recurse once a level, and
/// this many levels fit a thread's usual stack of 2 MiB even in a debug build.
pub const MAX_DEPTH: usize = 1024;

/// What a decoder takes at most; input above any of these is refused with a typed error.
///
/// ```
/// use enmesh_term::{Limits, Term, decode, encode};
///
/// let strict = Limits::new().with_max_bytes(100);
/// assert!(decode(&encode(&Term::binary([0; 200])), &strict).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of input, and bytes that a compressed term inflates to; default 128 MiB.
    pub max_bytes: usize,
    /// Lists, tuples, maps, records and funs inside one another; default and most [`MAX_DEPTH`].
    pub max_depth: usize,
    /// Elements of all lists, tuples, maps, records and strings together; default 8 Mi.
    ///
    /// An empty list takes one byte on the wire and 32 in an owned tree, so bytes alone do not
    /// bound memory.
    pub max_terms: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl Limits {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_bytes: 128 << 20,
            max_depth: MAX_DEPTH,
            max_terms: 8 << 20,
        }
    }

    /// These limits with at most `bytes` of input.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// These limits with at most `depth` levels, or [`MAX_DEPTH`] if that is fewer.
    #[must_use]
    pub const fn with_max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }

    /// These limits with at most `terms` elements.
    #[must_use]
    pub const fn with_max_terms(mut self, terms: usize) -> Self {
        self.max_terms = terms;
        self
    }
}
