//! Erlang's strings.

use std::fmt;

use bytes::BufMut;

use crate::{Encoder, Term, ToTerm};

/// Text that goes as a charlist: the list of its code points, which is Erlang's string and
/// Elixir's `~c"text"`. Much of Erlang's library wants it where Elixir has binaries.
///
/// ```
/// use enmesh_term::{Charlist, FromTerm, Term, ToTerm};
///
/// let term = Charlist::from("hé").to_term();
/// assert_eq!(term, Term::list([Term::Int(104), Term::Int(233)]));
/// assert_eq!(Charlist::from_term(&term)?.0, "hé");
/// # Ok::<(), enmesh_term::FromTermError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Charlist(pub String);

impl From<&str> for Charlist {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Charlist {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Charlist> for String {
    fn from(charlist: Charlist) -> Self {
        charlist.0
    }
}

impl AsRef<str> for Charlist {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Charlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ToTerm for Charlist {
    fn to_term(&self) -> Term {
        Term::charlist(&self.0)
    }

    fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
        encode(&self.0, encoder);
    }
}

/// Writes text as a charlist.
pub(crate) fn encode<B: BufMut>(text: &str, encoder: &mut Encoder<'_, B>) {
    if text.is_ascii() {
        encoder.string(text.as_bytes());
        return;
    }
    encoder.list(text.chars().count());
    for c in text.chars() {
        encoder.int(i64::from(u32::from(c)));
    }
    encoder.nil();
}
