//! Atoms, without a table.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The longest atom, in characters.
pub const MAX_ATOM_CHARS: usize = 255;

/// Atoms of up to this many bytes are kept without an allocation.
const INLINE: usize = 22;

/// An atom: a name of at most [`MAX_ATOM_CHARS`] characters, cheap to clone.
///
/// There is no atom table, so a peer cannot exhaust one. Atoms are ordered by code points, as
/// Erlang orders them. [`Display`](fmt::Display) quotes where Erlang would.
#[derive(Clone)]
pub struct Atom {
    repr: Repr,
}

/// Short atoms are always `Inline`, so that two inline atoms compare as arrays.
#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE] },
    Static(&'static str),
    Heap(Arc<str>),
}

/// An atom has at most [`MAX_ATOM_CHARS`] characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an atom has at most {MAX_ATOM_CHARS} characters")]
pub struct AtomTooLong;

impl Atom {
    /// The atom of this name.
    ///
    /// # Errors
    /// [`AtomTooLong`] over [`MAX_ATOM_CHARS`] characters.
    pub fn new(name: &str) -> Result<Self, AtomTooLong> {
        if count_chars(name.as_bytes()) > MAX_ATOM_CHARS {
            return Err(AtomTooLong);
        }
        Ok(Self::from_valid(name))
    }

    /// The atom of a name written in the program.
    ///
    /// # Panics
    /// Over [`MAX_ATOM_CHARS`] characters, which in a `const` is an error of compilation.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        let source = name.as_bytes();
        assert!(
            count_chars(source) <= MAX_ATOM_CHARS,
            "an atom has at most 255 characters"
        );
        if source.len() > INLINE {
            return Self {
                repr: Repr::Static(name),
            };
        }
        let mut bytes = [0; INLINE];
        let mut at = 0;
        while at < source.len() {
            bytes[at] = source[at];
            at += 1;
        }
        Self {
            repr: Repr::Inline {
                len: source.len() as u8,
                bytes,
            },
        }
    }

    /// The atom of a name whose length was checked.
    pub(crate) fn from_valid(name: &str) -> Self {
        Self::from_short_utf8(name.as_bytes()).unwrap_or_else(|| Self {
            repr: Repr::Heap(Arc::from(name)),
        })
    }

    /// The atom of bytes that were checked to be UTF-8, if there are few enough of them.
    ///
    /// The bytes go through three words and not through memory: a copy of any length is a call,
    /// and what was stored in pieces stalls the load that moves the atom to its place.
    #[inline]
    pub(crate) fn from_short_utf8(name: &[u8]) -> Option<Self> {
        let len = name.len();
        if len > INLINE {
            return None;
        }
        let (first, second, third) = words(name);
        let mut bytes = [0; INLINE];
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        bytes[8..16].copy_from_slice(&second.to_le_bytes());
        bytes[16..].copy_from_slice(&third.to_le_bytes()[..INLINE - 16]);
        Some(Self {
            repr: Repr::Inline {
                len: len as u8,
                bytes,
            },
        })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.repr {
            Repr::Inline { len, bytes } => std::str::from_utf8(&bytes[..usize::from(*len)])
                .expect("inline bytes come from a str or were checked"),
            Repr::Static(name) => name,
            Repr::Heap(name) => name,
        }
    }

    /// The name's UTF-8 bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.repr {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Static(name) => name.as_bytes(),
            Repr::Heap(name) => name.as_bytes(),
        }
    }
}

/// Up to [`INLINE`] bytes as little-endian words, filled up with zeros.
#[inline]
fn words(name: &[u8]) -> (u64, u64, u64) {
    let len = name.len();
    let upper = |word: u64, bytes: usize| word.checked_shr(64 - 8 * bytes as u32).unwrap_or(0);
    if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
        let (head, tail) = (u64::from_le_bytes(*head), u64::from_le_bytes(*tail));
        return match name.get(8..).and_then(|rest| rest.first_chunk()) {
            Some(middle) => (head, u64::from_le_bytes(*middle), upper(tail, len - 16)),
            None => (head, upper(tail, len - 8), 0),
        };
    }
    if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
        let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
        let tail = upper(u64::from(tail) << 32, len - 4);
        return (u64::from(head) | tail << 32, 0, 0);
    }
    let word = name
        .iter()
        .rev()
        .fold(0, |word, &byte| word << 8 | u64::from(byte));
    (word, 0, 0)
}

/// How many characters UTF-8 text has: its bytes without the continuation bytes.
pub(crate) const fn count_chars(text: &[u8]) -> usize {
    let mut count = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at] & 0xc0 != 0x80 {
            count += 1;
        }
        at += 1;
    }
    count
}

impl PartialEq for Atom {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (&self.repr, &other.repr) {
            (
                Repr::Inline {
                    len: a_len,
                    bytes: a,
                },
                Repr::Inline {
                    len: b_len,
                    bytes: b,
                },
            ) => a_len == b_len && a == b,
            (Repr::Inline { .. }, _) | (_, Repr::Inline { .. }) => false,
            _ => self.as_bytes() == other.as_bytes(),
        }
    }
}

impl Eq for Atom {}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    /// The order of UTF-8 bytes is that of code points.
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Atom {
    /// As the name hashes, so that a map keyed by atoms can be asked with a `&str`.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for Atom {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Atom {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Atom {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Atom {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl TryFrom<&str> for Atom {
    type Error = AtomTooLong;

    fn try_from(name: &str) -> Result<Self, AtomTooLong> {
        Self::new(name)
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.as_str();
        if is_bare(name) {
            return f.write_str(name);
        }
        f.write_char('\'')?;
        for c in name.chars() {
            match c {
                '\'' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                c if c.is_control() => write!(f, "\\x{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('\'')
    }
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether Erlang reads the name as an atom without quotes.
fn is_bare(name: &str) -> bool {
    const RESERVED: [&str; 28] = [
        "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case",
        "catch", "cond", "div", "else", "end", "fun", "if", "let", "maybe", "not", "of", "or",
        "orelse", "receive", "rem", "try", "when",
    ];
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '@')
        && !RESERVED.contains(&name)
        && name != "xor"
}
