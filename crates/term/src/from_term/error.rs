//! Why a term is not the wanted value, and where in it.

use std::fmt;

use crate::Term;

/// A term is not what the Rust type needs. Says what is wrong and where.
///
/// The place is printed as a path from the whole term: `user.tags[3]: expected a binary, found
/// an integer`.
///
/// ```
/// use enmesh_term::{FromTerm, Mismatch, Term};
///
/// let term = Term::list([Term::Int(1), Term::Int(300)]);
/// let error = <Vec<u8>>::from_term(&term).unwrap_err();
/// assert_eq!(error.to_string(), "[1]: the number does not fit u8");
/// assert!(matches!(error.mismatch(), Mismatch::OutOfRange { .. }));
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", Path(&self.inner.steps), self.inner.mismatch)]
pub struct FromTermError {
    /// Boxed, so that results of small values stay small.
    inner: Box<Inner>,
}

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    /// The innermost step first.
    steps: Vec<PathStep>,
    mismatch: Mismatch,
}

/// One step from a term to a term inside of it.
///
/// ```
/// use enmesh_term::{FromTerm, PathStep, Term};
///
/// let error = <Vec<u8>>::from_term(&Term::list([Term::atom("a")])).unwrap_err();
/// assert_eq!(error.path().next(), Some(&PathStep::Index(0)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathStep {
    /// To the field of this name, in Rust's spelling.
    Field(&'static str),
    /// To this element of a tuple or list, counted from 0 and with the tag of a tagged tuple.
    Index(usize),
    /// To a key of a map.
    Key,
    /// To the value under this key of a map.
    Value(Term),
}

/// What is wrong with a term.
///
/// ```
/// use enmesh_term::{FromTerm, Mismatch, Term};
///
/// let error = <(u8, u8)>::from_term(&Term::tuple([Term::Int(1)])).unwrap_err();
/// assert_eq!(error.mismatch(), &Mismatch::Length { expected: 2, found: 1 });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// Another kind of term than the type is made of.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// What the type is made of, with its article.
        expected: &'static str,
        /// What is there.
        found: TermKind,
    },
    /// A number that the type cannot hold.
    #[error("the number does not fit {expected}")]
    OutOfRange {
        /// The Rust type.
        expected: &'static str,
    },
    /// A tuple or list of another length.
    #[error("expected {expected} elements, found {found}")]
    Length {
        /// How many the type has.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A binary that is no UTF-8, where text is wanted.
    #[error("the binary is not utf-8 text")]
    NotUtf8,
    /// A list with something else than Unicode code points, where a charlist is wanted.
    #[error("the list is not a charlist")]
    NotCharlist,
    /// Another atom than the one that must be here.
    #[error("expected the atom {}", Expected(&[expected]))]
    OtherAtom {
        /// Its name.
        expected: &'static str,
    },
    /// No variant of the enum has this tag or form.
    #[error("expected one of {}", Expected(expected))]
    UnknownVariant {
        /// The tags of all variants that have one.
        expected: &'static [&'static str],
    },
    /// A map lacks a key that has no default.
    #[error("the key is missing")]
    Missing,
    /// A map has a key that the type does not know and was told to refuse.
    #[error("the key is not known")]
    UnknownKey,
    /// A map has the same key twice, or two keys that are one in Rust.
    #[error("the key occurs twice")]
    DuplicateKey,
    /// Nested deeper than [`MAX_TYPED_DEPTH`](crate::MAX_TYPED_DEPTH).
    #[error("nested deeper than {} levels", crate::MAX_TYPED_DEPTH)]
    TooDeep,
    /// An enum whose variants nothing tells apart was tried on so much of the term, again and
    /// again, that no more is tried.
    #[error("too many forms were tried")]
    TooManyTries,
}

/// What kind of term there is.
///
/// ```
/// use enmesh_term::{Term, TermKind, TermView};
///
/// let term = Term::nil();
/// assert_eq!(TermView::from(&term).kind(), TermKind::List);
/// assert_eq!(TermKind::Atom.to_string(), "an atom");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TermKind {
    /// An atom.
    Atom,
    /// An integer of any size.
    Integer,
    /// A float.
    Float,
    /// A binary.
    Binary,
    /// A bit string that is not of whole bytes.
    BitString,
    /// A proper list.
    List,
    /// A list with a tail that is no list.
    ImproperList,
    /// A tuple.
    Tuple,
    /// A map.
    Map,
    /// A pid.
    Pid,
    /// A port.
    Port,
    /// A reference.
    Reference,
    /// A closure or a function by name.
    Fun,
    /// A native record.
    Record,
}

impl fmt::Display for TermKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Atom => "an atom",
            Self::Integer => "an integer",
            Self::Float => "a float",
            Self::Binary => "a binary",
            Self::BitString => "a bit string",
            Self::List => "a list",
            Self::ImproperList => "an improper list",
            Self::Tuple => "a tuple",
            Self::Map => "a map",
            Self::Pid => "a pid",
            Self::Port => "a port",
            Self::Reference => "a reference",
            Self::Fun => "a fun",
            Self::Record => "a native record",
        })
    }
}

impl FromTermError {
    /// An error at the very term that was looked at.
    #[must_use]
    pub fn new(mismatch: Mismatch) -> Self {
        Self {
            inner: Box::new(Inner {
                steps: Vec::new(),
                mismatch,
            }),
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn mismatch(&self) -> &Mismatch {
        &self.inner.mismatch
    }

    /// The way from the whole term to what is wrong in it.
    pub fn path(&self) -> impl Iterator<Item = &PathStep> {
        self.inner.steps.iter().rev()
    }

    /// The same error, seen from the term around, in which it lies at `step`.
    #[must_use]
    pub fn within(mut self, step: PathStep) -> Self {
        self.inner.steps.push(step);
        self
    }

    /// The same error, seen from the value that has it in this field.
    #[must_use]
    pub fn within_field(self, name: &'static str) -> Self {
        self.within(PathStep::Field(name))
    }

    /// The same error, seen from the tuple or list that has it in this element.
    #[must_use]
    pub fn within_index(self, index: usize) -> Self {
        self.within(PathStep::Index(index))
    }
}

impl From<Mismatch> for FromTermError {
    fn from(mismatch: Mismatch) -> Self {
        Self::new(mismatch)
    }
}

impl fmt::Debug for FromTermError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FromTermError({self})")
    }
}

/// Prints a path and a colon behind it, or nothing for the whole term.
struct Path<'a>(&'a [PathStep]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().rev().enumerate() {
            match step {
                PathStep::Field(name) if at == 0 => f.write_str(name)?,
                PathStep::Field(name) => write!(f, ".{name}")?,
                PathStep::Index(index) => write!(f, "[{index}]")?,
                PathStep::Key => f.write_str("[key]")?,
                PathStep::Value(key) => write!(f, "[{key}]")?,
            }
        }
        if self.0.is_empty() {
            Ok(())
        } else {
            f.write_str(": ")
        }
    }
}

/// Prints names as atoms, with commas between.
struct Expected<'a>(&'a [&'static str]);

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            match crate::Atom::new(name) {
                Ok(atom) => write!(f, "{atom}")?,
                Err(_) => f.write_str(name)?,
            }
        }
        Ok(())
    }
}
