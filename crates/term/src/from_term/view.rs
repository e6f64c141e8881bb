//! One way to look at owned and borrowed terms.

use num_bigint::BigInt;

use crate::from_term::error::{FromTermError, Mismatch, TermKind};
use crate::from_term::view_elements::{Elements, Encoded, Pairs, ViewElements, ViewPairs};
use crate::token::Reader;
use crate::{Atom, Binary, Term, TermRef, tag};

type Result<T> = std::result::Result<T, FromTermError>;

/// How deep lists, tuples and maps nest at most in what is read into Rust types.
///
/// It is less than [`MAX_DEPTH`](crate::MAX_DEPTH): reading a recursive type takes several calls a
/// level, and the worst of them must fit a small stack. A field of type [`Term`] takes any depth.
pub const MAX_TYPED_DEPTH: usize = 128;

/// A term to read a Rust value from: an owned [`Term`] or a borrowed [`TermRef`] alike.
///
/// Each method that asks for a kind of term gives an error that names what was expected and what
/// is there, so that `?` is all that an implementation of [`FromTerm`](crate::FromTerm) needs.
///
/// ```
/// use enmesh_term::{Term, TermView};
///
/// let term = Term::tuple([Term::atom("ok"), Term::binary("text")]);
/// let [tag, text] = TermView::from(&term).tuple_of()?;
/// assert!(tag.is_atom("ok"));
/// assert_eq!(text.text()?, "text");
/// # Ok::<(), enmesh_term::FromTermError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TermView<'a> {
    pub(super) term: Repr<'a>,
    /// How many containers are around.
    pub(super) depth: u8,
    /// It is what stands inside of a value without a container of its own.
    pub(super) is_inside: bool,
}

/// Kept small: a value of many fields is read through as many of these.
#[derive(Clone, Copy, Debug)]
pub(super) enum Repr<'a> {
    Owned(&'a Term),
    /// A borrowed term whose head was read already.
    Head(&'a TermRef<'a>),
    /// Checked bytes that begin with a term. Its head is read by whoever asks what it is.
    Encoded(&'a [u8]),
    /// An element of a list that came as a string.
    Byte(u8),
}

impl<'a> From<&'a Term> for TermView<'a> {
    fn from(term: &'a Term) -> Self {
        Self {
            term: Repr::Owned(term),
            depth: 0,
            is_inside: false,
        }
    }
}

impl<'a> From<&'a TermRef<'a>> for TermView<'a> {
    fn from(term: &'a TermRef<'a>) -> Self {
        Self {
            term: Repr::Head(term),
            depth: 0,
            is_inside: false,
        }
    }
}

/// The head of the term that checked bytes begin with.
#[inline]
pub(super) fn head(bytes: &[u8]) -> TermRef<'_> {
    TermRef::read(&mut Reader::new(bytes)).expect("the bytes were checked")
}

impl<'a> TermView<'a> {
    /// A term in a container, with so many containers around.
    #[inline]
    pub(super) const fn within(term: Repr<'a>, depth: u8) -> Self {
        let is_inside = false;
        Self {
            term,
            depth,
            is_inside,
        }
    }

    /// Looks at the term in the way that fits what owns it.
    #[inline]
    fn look<T>(
        &self,
        owned: impl FnOnce(&'a Term) -> T,
        borrowed: impl FnOnce(&TermRef<'a>) -> T,
    ) -> T {
        match self.term {
            Repr::Owned(term) => owned(term),
            Repr::Head(term) => borrowed(term),
            Repr::Encoded(bytes) => borrowed(&head(bytes)),
            Repr::Byte(byte) => borrowed(&TermRef::Int(i64::from(byte))),
        }
    }

    /// What kind of term it is.
    #[must_use]
    pub fn kind(&self) -> TermKind {
        let owned = |term: &Term| match term {
            Term::Atom(_) => TermKind::Atom,
            Term::Int(_) | Term::BigInt(_) => TermKind::Integer,
            Term::Float(_) => TermKind::Float,
            Term::Binary(_) => TermKind::Binary,
            Term::BitString { .. } => TermKind::BitString,
            Term::List(_) => TermKind::List,
            Term::ImproperList(..) => TermKind::ImproperList,
            Term::Tuple(_) => TermKind::Tuple,
            Term::Map(_) => TermKind::Map,
            Term::Pid(_) => TermKind::Pid,
            Term::Port(_) => TermKind::Port,
            Term::Reference(_) => TermKind::Reference,
            Term::Fun(_) | Term::Export(_) => TermKind::Fun,
            Term::Record(_) => TermKind::Record,
        };
        let borrowed = |term: &TermRef<'a>| match term {
            TermRef::Atom(_) => TermKind::Atom,
            TermRef::Int(_) | TermRef::BigInt(_) => TermKind::Integer,
            TermRef::Float(_) => TermKind::Float,
            TermRef::Binary(_) => TermKind::Binary,
            TermRef::BitString { .. } => TermKind::BitString,
            TermRef::List(list) if list.improper_tail().is_some() => TermKind::ImproperList,
            TermRef::List(_) => TermKind::List,
            TermRef::Tuple(_) => TermKind::Tuple,
            TermRef::Map(_) => TermKind::Map,
            TermRef::Pid(_) => TermKind::Pid,
            TermRef::Port(_) => TermKind::Port,
            TermRef::Reference(_) => TermKind::Reference,
            TermRef::Fun(_) | TermRef::Export(_) => TermKind::Fun,
            TermRef::Record(_) => TermKind::Record,
        };
        self.look(owned, borrowed)
    }

    /// The error that `expected` (with its article) is not what is here.
    #[must_use]
    pub fn mismatch(&self, expected: &'static str) -> FromTermError {
        let found = self.kind();
        FromTermError::new(Mismatch::Kind { expected, found })
    }

    /// Whether it is the atom of this name.
    #[must_use]
    #[inline]
    pub fn is_atom(&self, name: &str) -> bool {
        // What most terms are is looked at where it is, here and below.
        if let Repr::Encoded([tag::SMALL_ATOM_UTF8, len, rest @ ..]) = self.term {
            return rest.get(..usize::from(*len)) == Some(name.as_bytes());
        }
        self.look(
            |term| term.is_atom(name),
            |term| term.as_atom().is_some_and(|atom| atom == *name),
        )
    }

    /// Makes sure that it is the atom of this name.
    ///
    /// # Errors
    /// If it is anything else.
    #[inline]
    pub fn expect_atom(&self, name: &'static str) -> Result<()> {
        if self.is_atom(name) {
            return Ok(());
        }
        Err(Mismatch::OtherAtom { expected: name }.into())
    }

    /// The atom.
    ///
    /// # Errors
    /// If it is none.
    pub fn atom(&self) -> Result<Atom> {
        let owned = |term: &Term| term.as_atom().cloned();
        let borrowed = |term: &TermRef<'a>| term.as_atom().map(|atom| atom.to_atom());
        self.leaf("an atom", owned, borrowed)
    }

    /// The integer, if it is one of 64 bits.
    #[inline]
    pub(crate) fn as_int(&self) -> Option<i64> {
        match self.term {
            Repr::Encoded([tag::SMALL_INTEGER, byte, ..]) => Some(i64::from(*byte)),
            Repr::Encoded([tag::INTEGER, a, b, c, d, ..]) => {
                Some(i64::from(i32::from_be_bytes([*a, *b, *c, *d])))
            }
            _ => self.look(Term::as_int, TermRef::as_int),
        }
    }

    /// The integer, of any size.
    ///
    /// # Errors
    /// If it is none.
    pub fn integer(&self) -> Result<BigInt> {
        let owned = |term: &Term| match term {
            Term::Int(int) => Some((*int).into()),
            Term::BigInt(big) => Some(BigInt::clone(big)),
            _ => None,
        };
        let borrowed = |term: &TermRef<'a>| match term {
            TermRef::Int(int) => Some((*int).into()),
            TermRef::BigInt(big) => Some(big.to_bigint()),
            _ => None,
        };
        self.leaf("an integer", owned, borrowed)
    }

    /// The float.
    pub(crate) fn as_float(&self) -> Option<f64> {
        let borrowed = |term: &TermRef<'a>| match term {
            TermRef::Float(float) => Some(*float),
            _ => None,
        };
        self.look(Term::as_float, borrowed)
    }

    #[inline]
    pub(crate) fn is_tuple(&self) -> bool {
        if let Repr::Encoded([tag, ..]) = self.term {
            return matches!(*tag, tag::SMALL_TUPLE | tag::LARGE_TUPLE);
        }
        let borrowed = |term: &TermRef<'a>| matches!(term, TermRef::Tuple(_));
        self.look(|term| matches!(term, Term::Tuple(_)), borrowed)
    }

    pub(crate) fn is_map(&self) -> bool {
        let borrowed = |term: &TermRef<'a>| matches!(term, TermRef::Map(_));
        self.look(|term| matches!(term, Term::Map(_)), borrowed)
    }

    #[cfg(feature = "serde")]
    pub(crate) fn is_sequence(&self) -> bool {
        let borrowed = |term: &TermRef<'a>| matches!(term, TermRef::List(_) | TermRef::Tuple(_));
        self.look(
            |term| matches!(term, Term::List(_) | Term::Tuple(_)),
            borrowed,
        )
    }

    #[cfg(feature = "serde")]
    pub(crate) fn is_integer(&self) -> bool {
        let borrowed = |term: &TermRef<'a>| matches!(term, TermRef::Int(_) | TermRef::BigInt(_));
        self.look(
            |term| matches!(term, Term::Int(_) | Term::BigInt(_)),
            borrowed,
        )
    }

    /// Whether it is any atom.
    #[cfg(feature = "serde")]
    pub(crate) fn is_atomic(&self) -> bool {
        let borrowed = |term: &TermRef<'a>| matches!(term, TermRef::Atom(_));
        self.look(|term| matches!(term, Term::Atom(_)), borrowed)
    }

    /// The bytes, if it is a binary.
    #[inline]
    pub(crate) fn as_bytes(&self) -> Option<&'a [u8]> {
        if let Repr::Encoded([tag::BINARY, a, b, c, d, rest @ ..]) = self.term {
            return rest.get(..u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        }
        let owned = |term: &'a Term| term.as_binary().map(Binary::as_slice);
        self.look(owned, TermRef::as_binary)
    }

    /// The bytes of a binary.
    ///
    /// # Errors
    /// If it is none.
    #[inline]
    pub fn bytes(&self) -> Result<&'a [u8]> {
        self.as_bytes().ok_or_else(|| self.mismatch("a binary"))
    }

    /// The binary; shares the memory of an owned one.
    ///
    /// # Errors
    /// If it is none.
    pub fn binary(&self) -> Result<Binary> {
        match self.term {
            Repr::Owned(Term::Binary(bytes)) => Ok(bytes.clone()),
            _ => self.bytes().map(Binary::copy_from_slice),
        }
    }

    /// The text of a binary.
    ///
    /// # Errors
    /// If it is none, or no UTF-8. A charlist is a list: [`TermView::charlist`].
    pub fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Mismatch::NotUtf8.into())
    }

    /// The text of a charlist.
    ///
    /// # Errors
    /// If it is no list of Unicode code points.
    pub fn charlist(&self) -> Result<String> {
        let code_point = |term: Self| char::from_u32(u32::try_from(term.as_int()?).ok()?);
        let mut elements = self.list()?;
        let text: Option<String> = elements.by_ref().map(code_point).collect();
        elements.finish()?;
        text.ok_or_else(|| Mismatch::NotCharlist.into())
    }

    /// The elements of a list. [`ViewElements::finish`] says whether it was a proper one.
    ///
    /// # Errors
    /// If it is no list, or too deep.
    pub fn list(&self) -> Result<ViewElements<'a>> {
        let owned = |term: &'a Term| Some(Elements::Owned(term.as_list()?.iter()));
        let borrowed = |term: &TermRef<'a>| Some(Elements::of_list(term.as_list()?));
        let elements = self.look(owned, borrowed);
        let elements = elements.ok_or_else(|| self.mismatch("a list"))?;
        let depth = self.deeper()?;
        Ok(ViewElements { elements, depth })
    }

    /// The elements of a tuple and their number.
    ///
    /// # Errors
    /// If it is no tuple, or too deep.
    #[inline]
    pub fn tuple(&self) -> Result<(usize, ViewElements<'a>)> {
        let (count, elements) = match self.term {
            Repr::Owned(Term::Tuple(terms)) => (terms.len(), Elements::Owned(terms.iter())),
            Repr::Encoded([tag::SMALL_TUPLE, count, body @ ..]) => {
                let count = usize::from(*count);
                (count, Elements::Encoded(Encoded::new(count, body)))
            }
            _ => self.other_tuple()?,
        };
        let depth = self.deeper()?;
        Ok((count, ViewElements { elements, depth }))
    }

    #[inline(never)]
    fn other_tuple(&self) -> Result<(usize, Elements<'a>)> {
        let tuple = self.look(|_| None, TermRef::as_tuple);
        let tuple = tuple.ok_or_else(|| self.mismatch("a tuple"))?;
        let encoded = Encoded::new(tuple.len(), tuple.body);
        Ok((tuple.len(), Elements::Encoded(encoded)))
    }

    /// The elements of a tuple that has exactly `expected`.
    #[inline]
    pub(crate) fn elements_of(&self, expected: usize) -> Result<ViewElements<'a>> {
        let (found, elements) = self.tuple()?;
        if found != expected {
            return Err(Mismatch::Length { expected, found }.into());
        }
        Ok(elements)
    }

    /// All elements of a tuple that has exactly `N`.
    ///
    /// # Errors
    /// If it is no tuple, has another number of elements, or is too deep.
    pub fn tuple_of<const N: usize>(&self) -> Result<[Self; N]> {
        let mut elements = self.elements_of(N)?;
        let mut array = [*self; N];
        for slot in &mut array {
            *slot = elements.element();
        }
        Ok(array)
    }

    /// The pairs of a map and their number.
    ///
    /// # Errors
    /// If it is no map, or too deep.
    pub fn map(&self) -> Result<(usize, ViewPairs<'a>)> {
        let owned = |term: &'a Term| {
            let pairs = term.as_map()?;
            Some((pairs.len(), Pairs::Owned(pairs.iter())))
        };
        let borrowed = |term: &TermRef<'a>| {
            let map = term.as_map()?;
            let terms = Encoded::new(map.len() * 2, map.body);
            Some((map.len(), Pairs::Encoded(terms)))
        };
        let found = self.look(owned, borrowed);
        let (count, pairs) = found.ok_or_else(|| self.mismatch("a map"))?;
        let depth = self.deeper()?;
        Ok((count, ViewPairs { pairs, depth }))
    }

    /// The whole term, owned.
    ///
    /// # Errors
    /// If a map in it has a key twice.
    pub fn to_term(&self) -> Result<Term> {
        let term = self.look(|term| Ok(term.clone()), TermRef::to_term);
        term.map_err(|_| Mismatch::DuplicateKey.into())
    }

    /// The same term for the only field of a type that has no container of its own. One such step is
    /// free in each container; further ones count as depth, so that a type that has itself as its
    /// only field reads no term for ever.
    pub(crate) fn inside(mut self) -> Result<Self> {
        if self.is_inside {
            self.depth = self.deeper()?;
        }
        self.is_inside = true;
        Ok(self)
    }

    fn deeper(&self) -> Result<u8> {
        if usize::from(self.depth) >= MAX_TYPED_DEPTH {
            return Err(Mismatch::TooDeep.into());
        }
        Ok(self.depth + 1)
    }

    /// A leaf of the kind that `pick` takes, whatever owns it.
    pub(crate) fn leaf<T>(
        &self,
        expected: &'static str,
        owned: impl FnOnce(&Term) -> Option<T>,
        borrowed: impl FnOnce(&TermRef<'a>) -> Option<T>,
    ) -> Result<T> {
        let leaf = self.look(owned, borrowed);
        leaf.ok_or_else(|| self.mismatch(expected))
    }
}
