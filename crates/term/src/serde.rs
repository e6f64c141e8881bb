//! Terms of any type that serde knows.

mod deserializer;
mod error;
mod serializer;
mod tries;

pub use error::SerdeError;

use ::serde::{Deserialize, Serialize};

use crate::{Term, TermView};

/// The term of a value that serde knows.
///
/// | serde's data model | Erlang |
/// |---|---|
/// | integers, `char` | integer |
/// | floats | float |
/// | `bool` | `true`, `false` |
/// | string, bytes | binary |
/// | `None`, unit, unit struct | `nil` |
/// | `Some`, newtype struct | what is inside |
/// | sequence | list |
/// | tuple, tuple struct | tuple |
/// | map | map, with any keys; of equal ones the last wins |
/// | struct | map with atoms as keys |
/// | unit variant `Idle` | `'Idle'` |
/// | newtype variant, tuple variant | `{'Move', …, …}` |
/// | struct variant | `{'Login', #{user => …}}` |
///
/// Names are those of the Rust program or of its serde attributes; `#[serde(rename_all =
/// "snake_case")]` makes atoms of the usual form. They are written in the program, and nothing else
/// becomes an atom. The format calls itself human readable, so that dates, addresses and the like
/// come as text.
///
/// [`ToTerm`](crate::ToTerm) does without a tree, and knows pids, references, charlists, records
/// and Elixir's structs, which serde does not; this is for types that have serde's traits anyway.
///
/// ```
/// #[derive(serde::Serialize)]
/// struct Point { x: i64, y: Option<i64> }
///
/// let term = enmesh_term::to_term(&Point { x: 1, y: None })?;
/// assert_eq!(term.to_string(), "#{x => 1,y => nil}");
/// # Ok::<(), enmesh_term::SerdeError>(())
/// ```
///
/// # Errors
/// [`SerdeError`] if it nests deeper than [`MAX_TYPED_DEPTH`](crate::MAX_TYPED_DEPTH), if a name
/// is longer than an atom, or if the value's own implementation fails.
pub fn to_term<T: Serialize + ?Sized>(value: &T) -> Result<Term, SerdeError> {
    value.serialize(serializer::Serializer::new())
}

/// A value that serde knows, read from an owned or borrowed term.
///
/// It undoes [`to_term`], and is lenient where Erlang and Elixir write otherwise: keys of a struct
/// may be atoms or binaries, `undefined` is `nil`, a sequence may come as a tuple and a tuple as a
/// list, and a float takes an integer that it can hold exactly. Text and bytes can be borrowed from the
/// term.
///
/// ```
/// use enmesh_term::Term;
///
/// #[derive(Debug, PartialEq, serde::Deserialize)]
/// #[serde(rename_all = "snake_case")]
/// enum Command { Stop, MoveTo(i64, i64) }
///
/// let term = Term::tuple([Term::atom("move_to"), Term::Int(1), Term::Int(2)]);
/// assert_eq!(enmesh_term::from_term(&term), Ok(Command::MoveTo(1, 2)));
/// ```
///
/// # Errors
/// [`SerdeError`] if the term is not what the type needs, nests deeper than
/// [`MAX_TYPED_DEPTH`](crate::MAX_TYPED_DEPTH), or if the type's own implementation refuses it; and
/// [`Mismatch::TooManyTries`](crate::Mismatch::TooManyTries) if the variants of an enum that is
/// `#[serde(untagged)]` nest and fit so much alike that trying them would take very long. Where
/// panics abort (`panic = "abort"`) there is no such bound: [`FromTerm`](crate::FromTerm) has one
/// everywhere.
pub fn from_term<'de, T: Deserialize<'de>>(
    term: impl Into<TermView<'de>>,
) -> Result<T, SerdeError> {
    tries::bounded(|| T::deserialize(deserializer::Deserializer::new(term.into())))
}

#[cfg(test)]
mod tests;
