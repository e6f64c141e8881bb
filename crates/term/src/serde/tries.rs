//! What may be tried in vain on enums that serde itself tells apart by trying.
//!
//! For `#[serde(untagged)]` serde copies the term into a buffer of its own, once, and tries one
//! variant after the other on that. Where variants that fit equally well nest, each level
//! multiplies the tries of the one below, and of all that a deserializer sees nothing: the term was
//! read long before. Only errors come by here, one at least for each try in vain. So these are
//! counted; and because no error makes serde stop trying, what ends it is unwinding, which
//! [`bounded`] turns into an error. A program whose panics abort has no such bound.

use std::cell::Cell;

use crate::MAX_TYPED_DEPTH;
use crate::serde::SerdeError;

/// How often each element of a value may be tried in vain: as often as all of a value may be read
/// by [`FromTerm`](crate::FromTerm).
const PER_ELEMENT: u64 = 2 * MAX_TYPED_DEPTH as u64;

/// How often may be tried in vain however small the value is.
const FREE: u64 = 4 * 1024;

thread_local! {
    /// What is left to the value that this thread reads; `None` while it reads none.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// What serde's tries unwind with. It is no panic: nothing is printed.
struct Spent;

/// Puts back what was left to the value around, whose type reads another one by itself.
struct Outer(Option<u64>);

impl Drop for Outer {
    fn drop(&mut self) {
        LEFT.set(self.0);
    }
}

/// Reads a value, with an error if too much is tried in vain.
pub(super) fn bounded<T>(read: impl FnOnce() -> Result<T, SerdeError>) -> Result<T, SerdeError> {
    if cfg!(not(panic = "unwind")) {
        return read();
    }
    let _outer = Outer(LEFT.replace(Some(FREE)));
    // Nothing of what is half read is seen by anybody.
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    read.unwrap_or_else(|panic| match panic.downcast::<Spent>() {
        Ok(_) => Err(SerdeError::Term(crate::Mismatch::TooManyTries.into())),
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// One element more is read, so more may be tried.
pub(super) fn element() {
    if let Some(left) = LEFT.get() {
        LEFT.set(Some(left.saturating_add(PER_ELEMENT)));
    }
}

/// Something did not fit.
pub(super) fn failed() {
    match LEFT.get() {
        Some(0) => std::panic::resume_unwind(Box::new(Spent)),
        Some(left) => LEFT.set(Some(left - 1)),
        None => {}
    }
}
