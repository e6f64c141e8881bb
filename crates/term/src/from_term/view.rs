//! One way to look at owned and borrowed terms.

use num_bigint::BigInt;

use crate::from_term::error::{FromTermError, Mismatch, TermKind};
use crate::{Atom, Binary, ListIter, MapIter, Term, TermRef, TupleIter};

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
#[derive(Clone, Copy, Debug)]
pub struct TermView<'a> {
    term: Repr<'a>,
    /// How many containers are around.
    depth: u8,
}

#[derive(Clone, Copy, Debug)]
enum Repr<'a> {
    Owned(&'a Term),
    Borrowed(TermRef<'a>),
}

impl<'a> From<&'a Term> for TermView<'a> {
    fn from(term: &'a Term) -> Self {
        Self {
            term: Repr::Owned(term),
            depth: 0,
        }
    }
}

impl<'a> From<TermRef<'a>> for TermView<'a> {
    fn from(term: TermRef<'a>) -> Self {
        Self {
            term: Repr::Borrowed(term),
            depth: 0,
        }
    }
}

impl<'a> TermView<'a> {
    /// What kind of term it is.
    #[must_use]
    pub fn kind(&self) -> TermKind {
        match self.term {
            Repr::Owned(term) => match term {
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
            },
            Repr::Borrowed(term) => match term {
                TermRef::Atom(_) => TermKind::Atom,
                TermRef::Int(_) | TermRef::BigInt(_) => TermKind::Integer,
                TermRef::Float(_) => TermKind::Float,
                TermRef::Binary(_) => TermKind::Binary,
                TermRef::BitString { .. } => TermKind::BitString,
                TermRef::List(list) => match list.improper_tail() {
                    None => TermKind::List,
                    Some(_) => TermKind::ImproperList,
                },
                TermRef::Tuple(_) => TermKind::Tuple,
                TermRef::Map(_) => TermKind::Map,
                TermRef::Pid(_) => TermKind::Pid,
                TermRef::Port(_) => TermKind::Port,
                TermRef::Reference(_) => TermKind::Reference,
                TermRef::Fun(_) | TermRef::Export(_) => TermKind::Fun,
                TermRef::Record(_) => TermKind::Record,
            },
        }
    }

    /// The error that `expected` (with its article) is not what is here.
    #[must_use]
    pub fn mismatch(&self, expected: &'static str) -> FromTermError {
        let found = self.kind();
        FromTermError::new(Mismatch::Kind { expected, found })
    }

    /// Whether it is the atom of this name.
    #[must_use]
    pub fn is_atom(&self, name: &str) -> bool {
        match self.term {
            Repr::Owned(term) => term.is_atom(name),
            Repr::Borrowed(term) => term.as_atom().is_some_and(|atom| atom == *name),
        }
    }

    /// Makes sure that it is the atom of this name.
    ///
    /// # Errors
    /// If it is anything else.
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
        let atom = match self.term {
            Repr::Owned(term) => term.as_atom().cloned(),
            Repr::Borrowed(term) => term.as_atom().map(|atom| atom.to_atom()),
        };
        atom.ok_or_else(|| self.mismatch("an atom"))
    }

    /// The integer, if it is one of 64 bits.
    pub(crate) fn as_int(&self) -> Option<i64> {
        match self.term {
            Repr::Owned(term) => term.as_int(),
            Repr::Borrowed(term) => term.as_int(),
        }
    }

    /// The integer, of any size.
    ///
    /// # Errors
    /// If it is none.
    pub fn integer(&self) -> Result<BigInt> {
        match self.term {
            Repr::Owned(Term::Int(int)) => Ok((*int).into()),
            Repr::Borrowed(TermRef::Int(int)) => Ok(int.into()),
            Repr::Owned(Term::BigInt(big)) => Ok(BigInt::clone(big)),
            Repr::Borrowed(TermRef::BigInt(big)) => Ok(big.to_bigint()),
            _ => Err(self.mismatch("an integer")),
        }
    }

    /// The float.
    pub(crate) fn as_float(&self) -> Option<f64> {
        match self.term {
            Repr::Owned(Term::Float(float)) => Some(*float),
            Repr::Borrowed(TermRef::Float(float)) => Some(float),
            _ => None,
        }
    }

    pub(crate) const fn is_tuple(&self) -> bool {
        matches!(
            self.term,
            Repr::Owned(Term::Tuple(_)) | Repr::Borrowed(TermRef::Tuple(_))
        )
    }

    pub(crate) const fn is_map(&self) -> bool {
        matches!(
            self.term,
            Repr::Owned(Term::Map(_)) | Repr::Borrowed(TermRef::Map(_))
        )
    }

    #[cfg(feature = "serde")]
    pub(crate) const fn is_sequence(&self) -> bool {
        matches!(
            self.term,
            Repr::Owned(Term::List(_)) | Repr::Borrowed(TermRef::List(_))
        ) || self.is_tuple()
    }

    #[cfg(feature = "serde")]
    pub(crate) const fn is_integer(&self) -> bool {
        matches!(
            self.term,
            Repr::Owned(Term::Int(_) | Term::BigInt(_))
                | Repr::Borrowed(TermRef::Int(_) | TermRef::BigInt(_))
        )
    }

    /// Whether it is any atom.
    #[cfg(feature = "serde")]
    pub(crate) const fn is_atomic(&self) -> bool {
        matches!(
            self.term,
            Repr::Owned(Term::Atom(_)) | Repr::Borrowed(TermRef::Atom(_))
        )
    }

    /// The bytes, if it is a binary.
    pub(crate) fn as_bytes(&self) -> Option<&'a [u8]> {
        match self.term {
            Repr::Owned(Term::Binary(bytes)) => Some(bytes),
            Repr::Borrowed(TermRef::Binary(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes of a binary.
    ///
    /// # Errors
    /// If it is none.
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
        let elements = match self.term {
            Repr::Owned(Term::List(elements)) => Elements::Owned(elements.iter()),
            Repr::Borrowed(TermRef::List(list)) => Elements::List(list.iter()),
            _ => return Err(self.mismatch("a list")),
        };
        Ok(ViewElements {
            elements,
            depth: self.deeper()?,
        })
    }

    /// The elements of a tuple and their number.
    ///
    /// # Errors
    /// If it is no tuple, or too deep.
    pub fn tuple(&self) -> Result<(usize, ViewElements<'a>)> {
        let (count, elements) = match self.term {
            Repr::Owned(Term::Tuple(elements)) => {
                (elements.len(), Elements::Owned(elements.iter()))
            }
            Repr::Borrowed(TermRef::Tuple(tuple)) => (tuple.len(), Elements::Tuple(tuple.iter())),
            _ => return Err(self.mismatch("a tuple")),
        };
        let depth = self.deeper()?;
        Ok((count, ViewElements { elements, depth }))
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
        let (count, pairs) = match self.term {
            Repr::Owned(Term::Map(pairs)) => (pairs.len(), Pairs::Owned(pairs.iter())),
            Repr::Borrowed(TermRef::Map(map)) => (map.len(), Pairs::Borrowed(map.iter())),
            _ => return Err(self.mismatch("a map")),
        };
        let depth = self.deeper()?;
        Ok((count, ViewPairs { pairs, depth }))
    }

    /// The whole term, owned.
    ///
    /// # Errors
    /// If a map in it has a key twice.
    pub fn to_term(&self) -> Result<Term> {
        match self.term {
            Repr::Owned(term) => Ok(term.clone()),
            Repr::Borrowed(term) => term
                .to_term()
                .map_err(|_| FromTermError::new(Mismatch::DuplicateKey)),
        }
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
        let leaf = match &self.term {
            Repr::Owned(term) => owned(term),
            Repr::Borrowed(term) => borrowed(term),
        };
        leaf.ok_or_else(|| self.mismatch(expected))
    }
}

/// The elements of a list or tuple.
#[derive(Clone, Debug)]
pub struct ViewElements<'a> {
    elements: Elements<'a>,
    depth: u8,
}

#[derive(Clone, Debug)]
enum Elements<'a> {
    Owned(std::slice::Iter<'a, Term>),
    List(ListIter<'a>),
    Tuple(TupleIter<'a>),
}

impl<'a> ViewElements<'a> {
    /// The next element, where the number of elements says that there is one.
    #[inline]
    pub(crate) fn element(&mut self) -> TermView<'a> {
        self.next().expect("there are as many as were counted")
    }

    /// Passes over what is left and makes sure that no improper tail follows.
    ///
    /// # Errors
    /// If one does.
    pub fn finish(mut self) -> Result<()> {
        let expected = "a list";
        let found = TermKind::ImproperList;
        let Elements::List(list) = &mut self.elements else {
            return Ok(());
        };
        list.by_ref().for_each(drop);
        match list.improper_tail() {
            None => Ok(()),
            Some(_) => Err(Mismatch::Kind { expected, found }.into()),
        }
    }
}

impl<'a> Iterator for ViewElements<'a> {
    type Item = TermView<'a>;

    #[inline]
    fn next(&mut self) -> Option<TermView<'a>> {
        let term = match &mut self.elements {
            Elements::Owned(terms) => Repr::Owned(terms.next()?),
            Elements::List(terms) => Repr::Borrowed(terms.next()?),
            Elements::Tuple(terms) => Repr::Borrowed(terms.next()?),
        };
        let depth = self.depth;
        Some(TermView { term, depth })
    }
}

/// The keys of a map with their values.
#[derive(Clone, Debug)]
pub struct ViewPairs<'a> {
    pairs: Pairs<'a>,
    depth: u8,
}

#[derive(Clone, Debug)]
enum Pairs<'a> {
    Owned(std::slice::Iter<'a, (Term, Term)>),
    Borrowed(MapIter<'a>),
}

impl<'a> Iterator for ViewPairs<'a> {
    type Item = (TermView<'a>, TermView<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = match &mut self.pairs {
            Pairs::Owned(pairs) => {
                let (key, value) = pairs.next()?;
                (Repr::Owned(key), Repr::Owned(value))
            }
            Pairs::Borrowed(pairs) => {
                let (key, value) = pairs.next()?;
                (Repr::Borrowed(key), Repr::Borrowed(value))
            }
        };
        let depth = self.depth;
        Some((
            TermView { term: key, depth },
            TermView { term: value, depth },
        ))
    }
}
