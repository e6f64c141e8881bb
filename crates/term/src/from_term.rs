//! Rust values out of terms.

mod container;
mod error;
mod scalar;
pub(crate) mod tries;
mod view;
mod view_elements;

pub use error::{FromTermError, Mismatch, PathStep, TermKind};
pub use view::{MAX_TYPED_DEPTH, TermView};
pub use view_elements::{ViewElements, ViewPairs};

use crate::{Term, TermRef};

/// A Rust value that can be read from a term.
///
/// What is read is the reverse of [`ToTerm`](crate::ToTerm), whose table says what is what. It is
/// strict: an integer must fit its type, a [`String`] must be a binary of UTF-8 (a charlist is for
/// [`Charlist`](crate::Charlist)), a tuple must have as many elements as asked for. Lenient are:
/// floats, which take an integer that they can hold exactly; and [`Option`], to which `nil` and
/// `undefined` are both `None`. Values that nest deeper than [`MAX_TYPED_DEPTH`] are refused, so
/// that a peer cannot exhaust the stack through a recursive type.
///
/// `enmesh-derive` writes it for structs and enums. By hand it takes one method:
///
/// ```
/// use enmesh_term::{FromTerm, FromTermError, Term, TermView};
///
/// struct Celsius(f64);
///
/// impl FromTerm for Celsius {
///     fn from_view(term: TermView<'_>) -> Result<Self, FromTermError> {
///         let [unit, degrees] = term.tuple_of()?;
///         unit.expect_atom("celsius")?;
///         Ok(Self(f64::from_view(degrees).map_err(|error| error.within_index(1))?))
///     }
/// }
///
/// let term = Term::tuple([Term::atom("celsius"), Term::Float(21.5)]);
/// assert_eq!(Celsius::from_term(&term)?.0, 21.5);
/// let term = Term::tuple([Term::atom("celsius"), Term::atom("warm")]);
/// let error = Celsius::from_term(&term).err().map(|error| error.to_string());
/// assert_eq!(error.as_deref(), Some("[1]: expected a float, found an atom"));
/// # Ok::<(), FromTermError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from an Erlang term",
    note = "write `#[derive(FromTerm)]` on it, or implement `FromTerm` by hand",
    note = "values own what they hold: `String`, `Vec<u8>` or `Bytes` in place of references"
)]
pub trait FromTerm: Sized {
    /// Reads the value from a term, owned or borrowed.
    ///
    /// # Errors
    /// [`FromTermError`] with the path to what is not as expected.
    fn from_view(term: TermView<'_>) -> Result<Self, FromTermError>;

    /// Reads the value from an owned term.
    ///
    /// # Errors
    /// As for [`FromTerm::from_view`].
    fn from_term(term: &Term) -> Result<Self, FromTermError> {
        Self::from_view(term.into())
    }

    /// Reads the value from borrowed bytes, without a tree in between.
    ///
    /// # Errors
    /// As for [`FromTerm::from_view`].
    fn from_ref(term: TermRef<'_>) -> Result<Self, FromTermError> {
        Self::from_view((&term).into())
    }

    /// What stands for a key that a map does not have.
    #[doc(hidden)]
    fn absent() -> Option<Self> {
        None
    }

    /// The value that carries nothing, whose `Result` is a bare `ok` or `error`.
    #[doc(hidden)]
    fn unit() -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests;
