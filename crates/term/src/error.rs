//! Why bytes are not a term.

/// Why bytes were refused. Nothing of the input is kept; a payload that fails so fails alone.
///
/// ```
/// use enmesh_term::{DecodeError, Limits, decode};
///
/// assert_eq!(decode(&[131, 104], &Limits::default()), Err(DecodeError::Truncated));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends inside a term, or announces more elements than it has bytes.
    #[error("the term is cut off")]
    Truncated,
    /// Bytes are left after the term, or after the contents of a fun or a compressed term.
    #[error("{count} bytes follow the term")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// The first byte is not 131.
    #[error("version byte {found}, not 131")]
    BadVersion {
        /// The byte there.
        found: u8,
    },
    /// A tag that the format does not have.
    #[error("unknown tag {tag}")]
    UnknownTag {
        /// The tag.
        tag: u8,
    },
    /// An atom cache reference outside of a distribution header's reach.
    #[error("atom cache reference without an atom cache")]
    AtomCacheRef,
    /// LOCAL_EXT, which only the node that wrote it can read.
    #[error("a node's own local encoding")]
    LocalTerm,
    /// FUN_EXT, which no node has sent since OTP R8 and none has taken since OTP 23.
    #[error("a fun in the encoding of otp r7")]
    ObsoleteFun,
    /// A compressed term where only a plain one can be borrowed; [`crate::inflate`] it first.
    #[error("a compressed term cannot be borrowed")]
    Compressed,
    /// The zlib stream is damaged or does not inflate to the announced size.
    #[error("a compressed term does not inflate to its announced size")]
    BadCompression,
    /// Over [`crate::Limits::max_bytes`], plain or inflated.
    #[error("{bytes} bytes, over the limit of {limit}")]
    TooLarge {
        /// How many bytes there are or would be.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Over [`crate::Limits::max_depth`].
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Over [`crate::Limits::max_terms`].
    #[error("more elements than the limit")]
    TooManyTerms,
    /// An atom that is not UTF-8.
    #[error("an atom is not utf-8")]
    BadUtf8,
    /// An atom of more than 255 characters.
    #[error("an atom has more than 255 characters")]
    AtomTooLong,
    /// A float that is not a finite number, or no number at all.
    #[error("a float is not a finite number")]
    BadFloat,
    /// A bit string that says its last byte has more than eight bits, or that has none and does.
    #[error("a bit string of {bytes} bytes with {bits} bits in the last")]
    BadBitString {
        /// The announced length in bytes.
        bytes: u32,
        /// The announced bits of the last byte.
        bits: u8,
    },
    /// A reference of no words, or of more than five.
    #[error("a reference of {words} words")]
    BadReference {
        /// The announced number of words.
        words: u16,
    },
    /// A fun whose parts do not have the required form.
    #[error("a malformed fun")]
    BadFun,
    /// An atom was required here (the node of a pid, the module of a fun, a field name).
    #[error("tag {tag} where an atom is required")]
    NotAnAtom {
        /// The tag there.
        tag: u8,
    },
    /// A map with the same key twice, which every node refuses.
    #[error("a key occurs twice in one map")]
    DuplicateKey,
}
