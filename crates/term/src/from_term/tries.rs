//! What may be spent on an enum whose variants nothing tells apart.
//!
//! Such variants are tried one after the other, and what a failed one has read is read again by the
//! next. Where that nests, each level multiplies the work of the one below. So the failed tries inside
//! of one value are counted by the sizes of what they were tried on, and bounded in proportion to
//! the size of the whole.

use std::cell::Cell;

use crate::TermRef;
use crate::check::skip;
use crate::from_term::error::{FromTermError, Mismatch, TermKind};
use crate::from_term::view::{MAX_TYPED_DEPTH, Repr, TermView};

/// How often all of a value may be read in vain: one or two wrong forms at each level are always
/// right.
const MAX_READS: usize = 2 * MAX_TYPED_DEPTH;

/// What may be read in vain however small the value is, in bytes.
const FREE: usize = 4 * 1024;

/// What a failed try counts as beside the size of what it was tried on, in bytes.
const PER_TRY: usize = 16;

thread_local! {
    /// What is left for the value that this thread reads; `None` outside of all such enums.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The tries of one enum at one term.
#[derive(Debug)]
pub struct Tries {
    is_outermost: bool,
}

impl Tries {
    /// Before the first try.
    #[must_use]
    pub fn begin(term: TermView<'_>) -> Self {
        let is_outermost = LEFT.get().is_none();
        if is_outermost {
            LEFT.set(Some(FREE + MAX_READS * size(term)));
        }
        Self { is_outermost }
    }

    /// After a try that has failed.
    ///
    /// # Errors
    /// If no more may be tried.
    pub fn failed(&self, term: TermView<'_>, error: &FromTermError) -> Result<(), FromTermError> {
        let cost = match is_cheap(term, error) {
            true => PER_TRY,
            false => PER_TRY + size(term),
        };
        let left = LEFT.get().unwrap_or(0).saturating_sub(cost);
        LEFT.set(Some(left));
        match left {
            0 => Err(Mismatch::TooManyTries.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Tries {
    fn drop(&mut self) {
        if self.is_outermost {
            LEFT.set(None);
        }
    }
}

/// Whether the head of the term was enough to see that it does not fit.
fn is_cheap(term: TermView<'_>, error: &FromTermError) -> bool {
    let is_here = error.path().next().is_none();
    is_here
        && match error.mismatch() {
            Mismatch::Kind { found, .. } => *found != TermKind::ImproperList,
            Mismatch::Length { .. } => term.is_tuple(),
            // The tries of an enum inside were counted by that.
            Mismatch::OtherAtom { .. } | Mismatch::UnknownVariant { .. } => true,
            _ => false,
        }
}

/// About how many bytes the term has as a message.
fn size(term: TermView<'_>) -> usize {
    match term.term {
        Repr::Byte(_) => 1,
        Repr::Encoded(bytes) => bytes.len() - skip(bytes, 1).len(),
        Repr::Head(TermRef::List(list)) => match list.parts() {
            Some((count, body)) => body.len() - skip(body, count as usize).len(),
            None => list.as_bytes().map_or(0, <[u8]>::len),
        },
        Repr::Head(TermRef::Tuple(tuple)) => tuple.body.len() - skip(tuple.body, tuple.len()).len(),
        Repr::Head(TermRef::Map(map)) => map.body.len() - skip(map.body, 2 * map.len()).len(),
        Repr::Head(other) => other.as_binary().map_or(PER_TRY, <[u8]>::len),
        Repr::Owned(term) => term.weight(),
    }
}
