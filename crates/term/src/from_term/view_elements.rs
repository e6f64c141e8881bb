//! What lists, tuples and maps have inside.

use crate::check::skip;
use crate::from_term::error::{FromTermError, Mismatch, TermKind};
use crate::from_term::view::{Repr, TermView, head};
use crate::{ListRef, Term};

type Result<T> = std::result::Result<T, FromTermError>;

/// The elements of a list or tuple.
///
/// ```
/// use enmesh_term::{FromTerm, Term, TermView};
///
/// let term = Term::list([Term::Int(1), Term::Int(2)]);
/// let mut elements = TermView::from(&term).list()?;
/// let mut sum = 0;
/// for element in elements.by_ref() {
///     sum += u8::from_view(element)?;
/// }
/// elements.finish()?;
/// assert_eq!(sum, 3);
/// # Ok::<(), enmesh_term::FromTermError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ViewElements<'a> {
    pub(super) elements: Elements<'a>,
    pub(super) depth: u8,
}

#[derive(Clone, Debug)]
pub(super) enum Elements<'a> {
    Owned(std::slice::Iter<'a, Term>),
    Encoded(Encoded<'a>),
    /// Those of a list, with its tail behind them.
    List(Encoded<'a>),
    Bytes(std::slice::Iter<'a, u8>),
}

impl<'a> Elements<'a> {
    pub(super) fn of_list(list: ListRef<'a>) -> Self {
        match list.parts() {
            Some((count, body)) => Self::List(Encoded::new(count as usize, body)),
            None => Self::Bytes(list.as_bytes().unwrap_or_default().iter()),
        }
    }
}

/// Terms one after the other in checked bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoded<'a> {
    /// Terms not yet handed out.
    left: usize,
    /// From the last term handed out on, or from the first.
    at: &'a [u8],
    /// Whether any was handed out.
    is_begun: bool,
}

impl<'a> Encoded<'a> {
    pub(super) const fn new(left: usize, at: &'a [u8]) -> Self {
        let is_begun = false;
        Self { left, at, is_begun }
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        skip(self.at, usize::from(self.is_begun))
    }

    #[inline]
    fn next(&mut self) -> Option<Repr<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.at = self.rest();
        self.is_begun = true;
        Some(Repr::Encoded(self.at))
    }
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
        self.by_ref().for_each(drop);
        match self.elements {
            // A tail that is a list was gone into.
            Elements::List(_) => Err(Mismatch::Kind { expected, found }.into()),
            Elements::Owned(_) | Elements::Encoded(_) | Elements::Bytes(_) => Ok(()),
        }
    }
}

impl<'a> Iterator for ViewElements<'a> {
    type Item = TermView<'a>;

    #[inline]
    fn next(&mut self) -> Option<TermView<'a>> {
        let term = loop {
            match &mut self.elements {
                Elements::Owned(terms) => break Repr::Owned(terms.next()?),
                Elements::Encoded(terms) => break terms.next()?,
                Elements::Bytes(bytes) => break Repr::Byte(*bytes.next()?),
                Elements::List(terms) => {
                    if let Some(term) = terms.next() {
                        break term;
                    }
                    // A tail may be a list itself, of any encoding: the elements go on there.
                    self.elements = Elements::of_list(head(terms.rest()).as_list()?);
                }
            }
        };
        Some(TermView::within(term, self.depth))
    }
}

/// The keys of a map with their values.
///
/// ```
/// use enmesh_term::{Term, TermView};
///
/// let term = Term::map([(Term::atom("id"), Term::Int(7))]);
/// let (count, pairs) = TermView::from(&term).map()?;
/// assert_eq!(count, 1);
/// for (key, _value) in pairs {
///     assert!(key.is_atom("id"));
/// }
/// # Ok::<(), enmesh_term::FromTermError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ViewPairs<'a> {
    pub(super) pairs: Pairs<'a>,
    pub(super) depth: u8,
}

#[derive(Clone, Debug)]
pub(super) enum Pairs<'a> {
    Owned(std::slice::Iter<'a, (Term, Term)>),
    Encoded(Encoded<'a>),
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
            Pairs::Encoded(terms) => (terms.next()?, terms.next()?),
        };
        Some((
            TermView::within(key, self.depth),
            TermView::within(value, self.depth),
        ))
    }
}
