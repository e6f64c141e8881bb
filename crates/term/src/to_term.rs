//! Terms out of Rust values.

pub(crate) mod charlist;
mod container;
mod scalar;

pub use charlist::Charlist;

use bytes::BufMut;

use crate::{Encoder, Term};

/// A Rust value that can be said as a term.
///
/// | Rust | Erlang | Elixir |
/// |---|---|---|
/// | integers, [`BigInt`](num_bigint::BigInt), [`char`] | integer | integer |
/// | [`f64`], [`f32`] | float; `infinity`, `'-infinity'` and `nan` as atoms | the same |
/// | [`bool`] | `true`, `false` | `true`, `false` |
/// | [`str`], [`String`] | `<<"text"/utf8>>` | `"text"` |
/// | [`Charlist`] | `"text"` | `~c"text"` |
/// | [`Binary`](crate::Binary), [`Bytes`](bytes::Bytes) | binary | binary |
/// | [`Atom`](crate::Atom), [`Pid`](crate::Pid), [`Reference`](crate::Reference), … | the same | the same |
/// | [`Vec`], slices, arrays, sets | list | list |
/// | tuples of 1 to 12 | tuple | tuple |
/// | [`HashMap`](std::collections::HashMap), [`BTreeMap`](std::collections::BTreeMap) | map | map |
/// | [`Option`] | `nil` or the value | `nil` or the value |
/// | [`Result`] | `{ok, Value}` or `{error, Reason}` | `{:ok, value}` or `{:error, reason}` |
/// | `()` | `ok` | `:ok` |
/// | `Result<(), E>`, `Result<T, ()>` | a bare `ok`, a bare `error` | the same |
/// | references, [`Box`], [`Arc`](std::sync::Arc), [`Rc`](std::rc::Rc), [`Cow`](std::borrow::Cow) | what is inside | the same |
/// | [`Term`] | itself | itself |
///
/// Text never becomes an atom: nodes keep every atom for ever, and text that comes from users
/// would fill their tables. Only names written in the program do; whoever needs another one makes
/// an [`Atom`](crate::Atom) of it by hand.
///
/// `None` is Elixir's `nil`; Erlang code often says `undefined`, which the derive writes for a
/// field with `#[term(undefined)]`. An `Option` of what may itself be `nil` loses the difference.
///
/// `enmesh-derive` writes it for structs and enums. By hand it takes one method:
///
/// ```
/// use enmesh_term::{Term, ToTerm};
///
/// struct Celsius(f64);
///
/// impl ToTerm for Celsius {
///     fn to_term(&self) -> Term {
///         Term::tuple([Term::atom("celsius"), self.0.to_term()])
///     }
/// }
///
/// assert_eq!(vec![Celsius(21.5)].to_term().to_string(), "[{celsius,21.5}]");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no Erlang term",
    note = "write `#[derive(ToTerm)]` on it, or implement `ToTerm` by hand"
)]
pub trait ToTerm {
    /// The term.
    fn to_term(&self) -> Term;

    /// Writes the encoding, one whole term, which says the same as [`ToTerm::to_term`].
    ///
    /// What this crate and the derive implement makes no tree for it. Panics as
    /// [`encode`](crate::encode) does, over 2^32 bytes or elements in one term.
    fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
        encoder.term(&self.to_term());
    }

    /// Whether it carries nothing, so that its `Result` is a bare `ok` or `error`.
    #[doc(hidden)]
    fn is_unit(&self) -> bool {
        false
    }

    /// The values as bytes, if they are bytes: such a list has an encoding of its own.
    #[doc(hidden)]
    fn as_bytes(values: &[Self]) -> Option<&[u8]>
    where
        Self: Sized,
    {
        let _ = values;
        None
    }
}

#[cfg(test)]
mod tests;
