//! Terms that outlive the message they came in.

use enmesh_term::{Limits, Term};

/// The term in memory of its own, and its size as encoded: a binary in it may be part of a much
/// larger message, which must not live as long as the term does. `None` for a term that is nested
/// deeper than one that is read may be.
pub(crate) fn kept(term: &Term) -> Option<(Term, usize)> {
    let encoded = enmesh_term::encode_bare(term);
    let copy = enmesh_term::decode_bare(&encoded, &Limits::default()).ok()?;
    Some((copy, encoded.len()))
}
