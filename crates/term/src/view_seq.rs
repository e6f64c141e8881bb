//! Borrowed terms that have elements.

use crate::check::skip;
use crate::token::{FunToken, Reader, RecordToken};
use crate::view::{AtomRef, TermRef};
use crate::{Atom, Fun};

/// Reads elements one after the other out of checked bytes.
#[derive(Clone, Copy, Debug)]
struct Elements<'a> {
    /// Elements not yet handed out.
    left: usize,
    /// Behind the head of the last element handed out, or before the first.
    at: &'a [u8],
    /// Terms inside the last element, to be passed over when the next one is wanted.
    inside: usize,
}

impl<'a> Elements<'a> {
    const fn new(left: usize, at: &'a [u8]) -> Self {
        Self {
            left,
            at,
            inside: 0,
        }
    }

    /// Where the elements end, or the next begins.
    #[inline]
    fn rest(&self) -> &'a [u8] {
        if self.inside == 0 {
            self.at
        } else {
            skip(self.at, self.inside)
        }
    }

    #[inline]
    fn next(&mut self) -> Option<TermRef<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader::new(self.rest());
        let view = TermRef::read_counting(&mut reader, &mut self.inside);
        self.at = reader.rest;
        view
    }
}

/// A borrowed list.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a> {
    head: ListHead<'a>,
}

#[derive(Clone, Copy, Debug)]
enum ListHead<'a> {
    Bytes(&'a [u8]),
    Elements { count: u32, body: &'a [u8] },
}

impl<'a> ListRef<'a> {
    pub(crate) const fn empty() -> Self {
        Self::of_bytes(&[])
    }

    pub(crate) const fn of_bytes(bytes: &'a [u8]) -> Self {
        Self {
            head: ListHead::Bytes(bytes),
        }
    }

    pub(crate) const fn new(count: u32, body: &'a [u8]) -> Self {
        Self {
            head: ListHead::Elements { count, body },
        }
    }

    /// The elements, the tail of an improper list excepted.
    #[must_use]
    pub fn iter(&self) -> ListIter<'a> {
        match self.head {
            ListHead::Bytes(bytes) => ListIter {
                bytes,
                elements: None,
            },
            ListHead::Elements { count, body } => ListIter {
                bytes: &[],
                elements: Some(Elements::new(count as usize, body)),
            },
        }
    }

    /// The bytes of a list that came as a string; `None` for any other but the empty one.
    #[must_use]
    pub const fn as_bytes(&self) -> Option<&'a [u8]> {
        if let ListHead::Bytes(bytes) = self.head {
            Some(bytes)
        } else {
            None
        }
    }

    /// The tail of an improper list, found by a walk over the whole list.
    #[must_use]
    pub fn improper_tail(&self) -> Option<TermRef<'a>> {
        let mut iter = self.iter();
        while iter.next().is_some() {}
        iter.improper_tail()
    }

    /// The count and the first element's place of a list that is neither empty nor a string.
    pub(crate) const fn parts(&self) -> Option<(u32, &'a [u8])> {
        match self.head {
            ListHead::Bytes(_) => None,
            ListHead::Elements { count, body } => Some((count, body)),
        }
    }
}

impl<'a> IntoIterator for ListRef<'a> {
    type Item = TermRef<'a>;
    type IntoIter = ListIter<'a>;

    fn into_iter(self) -> ListIter<'a> {
        self.iter()
    }
}

/// The elements of a borrowed list.
#[derive(Clone, Debug)]
pub struct ListIter<'a> {
    bytes: &'a [u8],
    elements: Option<Elements<'a>>,
}

impl<'a> ListIter<'a> {
    /// The tail of an improper list, once every element was taken.
    #[must_use]
    pub fn improper_tail(&self) -> Option<TermRef<'a>> {
        let elements = self.elements.filter(|elements| elements.left == 0)?;
        match TermRef::read(&mut Reader::new(elements.rest()))? {
            TermRef::List(_) => None,
            tail => Some(tail),
        }
    }
}

impl<'a> Iterator for ListIter<'a> {
    type Item = TermRef<'a>;

    fn next(&mut self) -> Option<TermRef<'a>> {
        loop {
            if let Some((&byte, rest)) = self.bytes.split_first() {
                self.bytes = rest;
                return Some(TermRef::Int(i64::from(byte)));
            }
            let elements = self.elements.as_mut()?;
            if let Some(term) = elements.next() {
                return Some(term);
            }
            // A tail may be a list itself, of any encoding: the elements go on there.
            match TermRef::read(&mut Reader::new(elements.rest()))? {
                TermRef::List(tail) => *self = tail.iter(),
                _ => return None,
            }
        }
    }
}

/// A borrowed tuple.
#[derive(Clone, Copy, Debug)]
pub struct TupleRef<'a> {
    pub(crate) count: u32,
    pub(crate) body: &'a [u8],
}

impl<'a> TupleRef<'a> {
    pub(crate) const fn new(count: u32, body: &'a [u8]) -> Self {
        Self { count, body }
    }

    /// How many elements it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its elements.
    #[must_use]
    pub fn iter(&self) -> TupleIter<'a> {
        TupleIter {
            elements: Elements::new(self.len(), self.body),
        }
    }

    /// The element at `index`, counted from 0, found by a walk from the first.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<TermRef<'a>> {
        if index >= self.len() {
            return None;
        }
        TermRef::read(&mut Reader::new(skip(self.body, index)))
    }

    /// All elements at once, if there are exactly `N`.
    #[must_use]
    pub fn to_array<const N: usize>(&self) -> Option<[TermRef<'a>; N]> {
        if self.len() != N {
            return None;
        }
        let mut elements = self.iter();
        let mut array = [TermRef::Int(0); N];
        for slot in &mut array {
            *slot = elements.next()?;
        }
        Some(array)
    }
}

impl<'a> IntoIterator for TupleRef<'a> {
    type Item = TermRef<'a>;
    type IntoIter = TupleIter<'a>;

    fn into_iter(self) -> TupleIter<'a> {
        self.iter()
    }
}

/// The elements of a borrowed tuple.
#[derive(Clone, Debug)]
pub struct TupleIter<'a> {
    elements: Elements<'a>,
}

impl<'a> Iterator for TupleIter<'a> {
    type Item = TermRef<'a>;

    fn next(&mut self) -> Option<TermRef<'a>> {
        self.elements.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.elements.left, Some(self.elements.left))
    }
}

impl ExactSizeIterator for TupleIter<'_> {}

/// A borrowed map. Its pairs come in the order of the encoding, and keys are not compared.
#[derive(Clone, Copy, Debug)]
pub struct MapRef<'a> {
    pub(crate) count: u32,
    pub(crate) body: &'a [u8],
}

impl<'a> MapRef<'a> {
    pub(crate) const fn new(count: u32, body: &'a [u8]) -> Self {
        Self { count, body }
    }

    /// How many pairs it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its pairs.
    #[must_use]
    pub fn iter(&self) -> MapIter<'a> {
        MapIter {
            elements: Elements::new(self.len() * 2, self.body),
        }
    }

    /// The value under the atom `key`, found by a walk.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<TermRef<'a>> {
        self.iter()
            .find(|(found, _)| found.as_atom().is_some_and(|atom| atom == *key))
            .map(|p| p.1)
    }
}

impl<'a> IntoIterator for MapRef<'a> {
    type Item = (TermRef<'a>, TermRef<'a>);
    type IntoIter = MapIter<'a>;

    fn into_iter(self) -> MapIter<'a> {
        self.iter()
    }
}

/// The pairs of a borrowed map.
#[derive(Clone, Debug)]
pub struct MapIter<'a> {
    elements: Elements<'a>,
}

impl<'a> Iterator for MapIter<'a> {
    type Item = (TermRef<'a>, TermRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.elements.next()?, self.elements.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.elements.left / 2, Some(self.elements.left / 2))
    }
}

impl ExactSizeIterator for MapIter<'_> {}

/// A borrowed native record of OTP 29.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// The module that defines it.
    pub module: AtomRef<'a>,
    /// Its name.
    pub name: AtomRef<'a>,
    pub(crate) flags: u8,
    pub(crate) count: u32,
    pub(crate) body: &'a [u8],
}

impl<'a> RecordRef<'a> {
    pub(crate) const fn new(token: RecordToken<'a>, body: &'a [u8]) -> Self {
        let RecordToken {
            count,
            flags,
            module,
            name,
        } = token;
        Self {
            module,
            name,
            flags,
            count,
            body,
        }
    }

    /// Whether its module exports the definition.
    #[must_use]
    pub const fn is_exported(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Its fields, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (AtomRef<'a>, TermRef<'a>)> + use<'a> {
        let count = self.count as usize;
        let mut names = Reader::<false>::new(self.body);
        let mut values = Elements::new(count, skip(self.body, count));
        (0..count).map_while(move |_| Some((names.atom().ok()?, values.next()?)))
    }
}

/// A borrowed closure.
#[derive(Clone, Copy, Debug)]
pub struct FunRef<'a> {
    /// The module that made it.
    pub module: AtomRef<'a>,
    /// How many arguments it takes.
    pub arity: u8,
    pub(crate) encoding: &'a [u8],
}

impl<'a> FunRef<'a> {
    pub(crate) const fn new(token: FunToken<'a>) -> Self {
        Self {
            module: token.module,
            arity: token.arity,
            encoding: token.encoding,
        }
    }

    /// Its encoding, from the tag on.
    #[must_use]
    pub const fn encoding(&self) -> &'a [u8] {
        self.encoding
    }

    /// The owned fun.
    #[must_use]
    pub fn to_fun(&self) -> Fun {
        let module: Atom = self.module.to_atom();
        Fun::from_checked(
            module,
            self.arity,
            bytes::Bytes::copy_from_slice(self.encoding),
        )
    }
}
