//! What the code that `enmesh-derive` writes calls. Not for people: it may change at any time.

use crate::to_term::charlist;
use crate::{
    Atom, Encoder, FromTerm, FromTermError, Mismatch, PathStep, Term, TermView, ToTerm,
    ViewElements,
};

pub use crate::from_term::tries::Tries;
pub use bytes::BufMut;

type Result<T> = std::result::Result<T, FromTermError>;

/// Whether it is a tuple that begins with this atom, of `arity` elements if that is said.
pub fn is_tagged(term: TermView<'_>, tag: &str, arity: Option<usize>) -> Result<bool> {
    if !term.is_tuple() {
        return Ok(false);
    }
    let (count, mut elements) = term.tuple()?;
    let is_arity = arity.is_none_or(|arity| arity == count);
    Ok(is_arity && elements.next().is_some_and(|first| first.is_atom(tag)))
}

/// Whether it is a struct of this Elixir module.
pub fn is_struct(term: TermView<'_>, module: &str) -> Result<bool> {
    if !term.is_map() {
        return Ok(false);
    }
    let (_, mut pairs) = term.map()?;
    Ok(pairs.any(|(key, value)| key.is_atom("__struct__") && value.is_atom(module)))
}

/// The second element of a pair that begins with this atom.
pub fn content<'a>(term: TermView<'a>, tag: &'static str) -> Result<TermView<'a>> {
    let mut pair = elements(term, Some(tag), 2)?;
    Ok(next(&mut pair))
}

/// The elements of a tuple of `count`, behind the tag if it has one.
#[inline]
pub fn elements<'a>(
    term: TermView<'a>,
    tag: Option<&'static str>,
    count: usize,
) -> Result<ViewElements<'a>> {
    let mut elements = term.elements_of(count)?;
    if let Some(tag) = tag {
        let first = elements.element().expect_atom(tag);
        first.map_err(|error| error.within_index(0))?;
    }
    Ok(elements)
}

/// The next of as many elements as were counted.
#[inline]
pub fn next<'a>(elements: &mut ViewElements<'a>) -> TermView<'a> {
    elements.element()
}

/// The same term for the only field of a type that is as its field.
#[inline]
pub fn inside(term: TermView<'_>) -> Result<TermView<'_>> {
    term.inside()
}

/// Makes sure that the value of `__struct__` is this module.
pub fn expect_struct(value: TermView<'_>, module: &'static str) -> Result<bool> {
    match value.expect_atom(module) {
        Ok(()) => Ok(true),
        Err(error) => Err(error.within_field("__struct__")),
    }
}

/// Which of `names` the key is, as an atom or as a binary.
pub fn find_key(key: TermView<'_>, names: &[&str], is_binary: bool) -> Option<usize> {
    if is_binary {
        let key = key.as_bytes()?;
        return names.iter().position(|name| name.as_bytes() == key);
    }
    names.iter().position(|name| key.is_atom(name))
}

/// Puts the value of a field in its place, once.
pub fn put<T>(slot: &mut Option<T>, value: Result<T>, field: &'static str) -> Result<()> {
    let value = value.map_err(|error| error.within_field(field))?;
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(FromTermError::new(Mismatch::DuplicateKey).within_field(field)),
    }
}

/// The value of a field, if there is one.
pub fn found<T>(slot: Option<T>, field: &'static str) -> Result<T> {
    slot.ok_or_else(|| missing(field))
}

/// The error that a key is missing.
#[must_use]
pub fn missing(field: &'static str) -> FromTermError {
    FromTermError::new(Mismatch::Missing).within_field(field)
}

/// The error that this key is not known.
#[must_use]
pub fn unknown_key(key: TermView<'_>) -> FromTermError {
    let step = key.to_term().map_or(PathStep::Key, PathStep::Value);
    FromTermError::new(Mismatch::UnknownKey).within(step)
}

/// The error that no variant is like this.
#[must_use]
pub fn unknown_variant(term: TermView<'_>, expected: &'static [&'static str]) -> FromTermError {
    if expected.is_empty() {
        return term.mismatch("any variant");
    }
    Mismatch::UnknownVariant { expected }.into()
}

/// Writes a field in another form than its type's own.
pub trait WriteAs<T: ?Sized> {
    /// The term.
    fn to_term(value: &T) -> Term;

    /// Writes the term.
    fn encode_with<B: BufMut>(value: &T, encoder: &mut Encoder<'_, B>) {
        encoder.term(&Self::to_term(value));
    }
}

/// Reads a field in another form than its type's own.
pub trait ReadAs<T> {
    /// Reads the value.
    fn from_view(term: TermView<'_>) -> Result<T>;

    /// What stands for a missing key.
    fn absent() -> Option<T> {
        None
    }
}

/// Text as a list of code points.
#[derive(Debug)]
pub struct AsCharlist;

/// Bytes as a binary.
#[derive(Debug)]
pub struct AsBinary;

/// `None` as `undefined`.
#[derive(Debug)]
pub struct AsUndefined;

macro_rules! charlists {
    ($($text:ty),*) => {$(
        impl WriteAs<$text> for AsCharlist {
            fn to_term(value: &$text) -> Term {
                Term::charlist(value)
            }

            fn encode_with<B: BufMut>(value: &$text, encoder: &mut Encoder<'_, B>) {
                charlist::encode(value, encoder);
            }
        }
    )*};
}

charlists!(String, Box<str>, &str);

macro_rules! bytes {
    ($(($($generics:tt)*) $bytes:ty;)*) => {$(
        impl<$($generics)*> WriteAs<$bytes> for AsBinary {
            fn to_term(value: &$bytes) -> Term {
                Term::binary(value)
            }

            fn encode_with<B: BufMut>(value: &$bytes, encoder: &mut Encoder<'_, B>) {
                encoder.binary(&value[..]);
            }
        }
    )*};
}

bytes! {
    () Vec<u8>;
    () Box<[u8]>;
    () &[u8];
    (const N: usize) [u8; N];
}

impl ReadAs<String> for AsCharlist {
    fn from_view(term: TermView<'_>) -> Result<String> {
        term.charlist()
    }
}

impl ReadAs<Box<str>> for AsCharlist {
    fn from_view(term: TermView<'_>) -> Result<Box<str>> {
        term.charlist().map(String::into_boxed_str)
    }
}

impl ReadAs<Vec<u8>> for AsBinary {
    fn from_view(term: TermView<'_>) -> Result<Vec<u8>> {
        term.bytes().map(<[u8]>::to_vec)
    }
}

impl ReadAs<Box<[u8]>> for AsBinary {
    fn from_view(term: TermView<'_>) -> Result<Box<[u8]>> {
        term.bytes().map(Box::from)
    }
}

impl<const N: usize> ReadAs<[u8; N]> for AsBinary {
    fn from_view(term: TermView<'_>) -> Result<[u8; N]> {
        let bytes = term.bytes()?;
        let (expected, found) = (N, bytes.len());
        <[u8; N]>::try_from(bytes).map_err(|_| Mismatch::Length { expected, found }.into())
    }
}

/// What is inside of an `Option` has the same form.
macro_rules! optional {
    ($($form:ty),*) => {$(
        impl<T> WriteAs<Option<T>> for $form
        where
            Self: WriteAs<T>,
        {
            fn to_term(value: &Option<T>) -> Term {
                value.as_ref().map_or_else(|| Term::atom("nil"), <Self as WriteAs<T>>::to_term)
            }

            fn encode_with<B: BufMut>(value: &Option<T>, encoder: &mut Encoder<'_, B>) {
                match value {
                    None => {
                        encoder.atom(&const { Atom::from_static("nil") });
                    }
                    Some(value) => <Self as WriteAs<T>>::encode_with(value, encoder),
                }
            }
        }

        impl<T> ReadAs<Option<T>> for $form
        where
            Self: ReadAs<T>,
        {
            fn from_view(term: TermView<'_>) -> Result<Option<T>> {
                if term.is_atom("nil") || term.is_atom("undefined") {
                    return Ok(None);
                }
                <Self as ReadAs<T>>::from_view(term).map(Some)
            }

            fn absent() -> Option<Option<T>> {
                Some(None)
            }
        }
    )*};
}

optional!(AsCharlist, AsBinary);

impl<T> WriteAs<Vec<T>> for AsCharlist
where
    Self: WriteAs<T>,
{
    fn to_term(value: &Vec<T>) -> Term {
        Term::List(value.iter().map(<Self as WriteAs<T>>::to_term).collect())
    }
}

impl<T> ReadAs<Vec<T>> for AsCharlist
where
    Self: ReadAs<T>,
{
    fn from_view(term: TermView<'_>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        let mut elements = term.list()?;
        for (at, element) in elements.by_ref().enumerate() {
            let value = <Self as ReadAs<T>>::from_view(element);
            all.push(value.map_err(|error| error.within_index(at))?);
        }
        elements.finish()?;
        Ok(all)
    }
}

impl<T: ToTerm> WriteAs<Option<T>> for AsUndefined {
    fn to_term(value: &Option<T>) -> Term {
        value
            .as_ref()
            .map_or_else(|| Term::atom("undefined"), ToTerm::to_term)
    }

    fn encode_with<B: BufMut>(value: &Option<T>, encoder: &mut Encoder<'_, B>) {
        match value {
            None => {
                encoder.atom(&const { Atom::from_static("undefined") });
            }
            Some(value) => value.encode_with(encoder),
        }
    }
}

impl<T: FromTerm> ReadAs<Option<T>> for AsUndefined {
    fn from_view(term: TermView<'_>) -> Result<Option<T>> {
        Option::from_view(term)
    }

    fn absent() -> Option<Option<T>> {
        Some(None)
    }
}
