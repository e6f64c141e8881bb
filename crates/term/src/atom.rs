//! Atoms, without a table.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::short::Short;

/// The longest atom, in characters.
pub const MAX_ATOM_CHARS: usize = 255;

/// An atom: a name of at most [`MAX_ATOM_CHARS`] characters, cheap to clone.
///
/// There is no atom table, so a peer cannot exhaust one. Atoms are ordered by code points, as
/// Erlang orders them. [`Display`](fmt::Display) quotes where Erlang would.
///
/// ```
/// use enmesh_term::Atom;
///
/// const OK: Atom = Atom::from_static("ok");
/// assert_eq!(Atom::new("ok")?, OK);
/// assert_eq!(Atom::new("Not plain")?.to_string(), "'Not plain'");
/// # Ok::<(), enmesh_term::AtomTooLong>(())
/// ```
#[derive(Clone)]
pub struct Atom {
    repr: Repr,
}

/// Short atoms are always `Short`, so that two of them compare as arrays.
#[derive(Clone)]
enum Repr {
    Short(Short),
    Static(&'static str),
    Heap(Arc<str>),
}

/// An atom has at most [`MAX_ATOM_CHARS`] characters.
///
/// ```
/// use enmesh_term::Atom;
///
/// assert!(Atom::new(&"a".repeat(256)).is_err());
/// ```
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
        let repr = match Short::new(source) {
            Some(short) => Repr::Short(short),
            None => Repr::Static(name),
        };
        Self { repr }
    }

    /// The atom of a name whose length was checked.
    pub(crate) fn from_valid(name: &str) -> Self {
        Self::from_short_utf8(name.as_bytes()).unwrap_or_else(|| Self {
            repr: Repr::Heap(Arc::from(name)),
        })
    }

    /// The atom of bytes that were checked to be UTF-8, if there are few enough of them.
    #[inline]
    pub(crate) fn from_short_utf8(name: &[u8]) -> Option<Self> {
        Short::head(name, name.len()).map(|(name, _)| Self::from_short(name))
    }

    /// The atom of bytes that were checked to be UTF-8.
    #[inline]
    pub(crate) const fn from_short(name: Short) -> Self {
        let repr = Repr::Short(name);
        Self { repr }
    }

    /// A number that is the same for equals, if it takes no walk over many bytes.
    #[inline]
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        match &self.repr {
            Repr::Short(name) => Some(name.fingerprint()),
            Repr::Static(_) | Repr::Heap(_) => None,
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.repr {
            Repr::Short(name) => std::str::from_utf8(name.as_bytes())
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
            Repr::Short(name) => name.as_bytes(),
            Repr::Static(name) => name.as_bytes(),
            Repr::Heap(name) => name.as_bytes(),
        }
    }
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
            (Repr::Short(a), Repr::Short(b)) => a == b,
            (Repr::Short(_), _) | (_, Repr::Short(_)) => false,
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
        // As `str` does it, whose hash it must be for `Borrow<str>`, but without looking whether the
        // bytes are UTF-8 each time.
        state.write(self.as_bytes());
        state.write_u8(0xff);
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
