//! Erlang's external term format, as nodes of OTP 25 to 29 send and accept it.
//!
//! | item | what it is |
//! |---|---|
//! | [`Term`] | any term, owned |
//! | [`TermRef`] | any term, borrowed from its bytes and read when asked for |
//! | [`decode`], [`decode_prefix`], [`decode_shared`], [`decode_ref`] | bytes to terms, within [`Limits`] |
//! | [`encode`], [`encode_into`], [`Encoder`] | terms to bytes |
//! | [`decode_bare`], [`decode_shared_bare`], [`decode_ref_bare`], [`encode_bare`] | the same without the version byte 131 |
//! | [`ToTerm`], [`FromTerm`] | Rust values to terms and back; `to_term` and `from_term` of feature `serde` do it for all that serde knows |
//! | [`CachedAtoms`], [`expand_atoms`], [`compress_atoms`], [`CachedReader`] | terms whose atoms are atom cache references |
//! | [`Atom`], [`Binary`], [`Pid`], [`Port`], [`Reference`], [`Fun`], [`Export`], [`NativeRecord`] | what only Erlang has |
//!
//! Bytes of a peer cannot make this crate panic, recurse without bound, or allocate more than a
//! small multiple of their own number. The crate is pure: no socket, no clock, no randomness.

mod atom;
mod bare;
mod binary;
mod cached;
mod cached_reader;
mod check;
#[cfg(test)]
mod claims;
mod decode;
#[doc(hidden)]
pub mod derive_support;
mod encode;
mod error;
mod from_term;
mod fun;
mod inflate;
mod limits;
mod number;
mod order;
mod owned;
mod pid;
mod port;
mod print;
mod record;
mod reference;
#[cfg(feature = "serde")]
mod serde;
mod short;
mod tag;
mod term;
mod to_term;
mod token;
mod unview;
mod view;
mod view_seq;
mod weight;

#[cfg(feature = "serde")]
pub use self::serde::{SerdeError, from_term, to_term};
pub use atom::{Atom, AtomTooLong, MAX_ATOM_CHARS};
pub use bare::{decode_bare, decode_ref_bare, decode_shared_bare, encode_bare};
pub use binary::Binary;
pub use cached::{CachedAtoms, compress_atoms, expand_atoms};
pub use cached_reader::CachedReader;
pub use decode::{decode, decode_prefix, decode_shared};
pub use encode::{APART_FROM, Encoder, encode, encode_into};
pub use error::DecodeError;
pub use from_term::{
    FromTerm, FromTermError, MAX_TYPED_DEPTH, Mismatch, PathStep, TermKind, TermView, ViewElements,
    ViewPairs,
};
pub use fun::{Export, Fun};
pub use inflate::inflate;
pub use limits::{Limits, MAX_DEPTH};
pub use pid::Pid;
pub use port::Port;
pub use print::MAX_DISPLAY_BYTES;
pub use record::NativeRecord;
pub use reference::{BadReferenceLength, MAX_REFERENCE_WORDS, Reference};
pub use term::Term;
pub use to_term::{Charlist, ToTerm};
pub use view::{AtomRef, BigIntRef, ExportRef, PidRef, PortRef, ReferenceRef, TermRef, decode_ref};
pub use view_seq::{FunRef, ListIter, ListRef, MapIter, MapRef, RecordRef, TupleIter, TupleRef};
