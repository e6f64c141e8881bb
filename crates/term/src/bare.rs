//! Terms without the version byte 131, as the payloads of the distribution protocol are.

use bytes::Bytes;

use crate::decode::decode_body;
use crate::inflate::{nothing_after, within};
use crate::{DecodeError, Encoder, Limits, Term, TermRef};

type Result<T> = std::result::Result<T, DecodeError>;

/// Decodes the term that is the whole of `bytes`, without a version byte: a payload of the
/// distribution protocol.
///
/// # Errors
/// As for [`decode`](crate::decode).
pub fn decode_bare(bytes: &[u8], limits: &Limits) -> Result<Term> {
    let (term, used) = decode_body(within(bytes, limits)?, None, limits)?;
    nothing_after(bytes, used)?;
    Ok(term)
}

/// Decodes the term that is the whole of `bytes`, without a version byte, its binaries sharing the
/// memory of `bytes` as [`decode_shared`](crate::decode_shared) says.
///
/// # Errors
/// As for [`decode`](crate::decode).
pub fn decode_shared_bare(bytes: &Bytes, limits: &Limits) -> Result<Term> {
    let (term, used) = decode_body(within(bytes, limits)?, Some(bytes), limits)?;
    nothing_after(bytes, used)?;
    Ok(term)
}

/// Reads one borrowed term that is the whole of `bytes`, without a version byte: a payload of the
/// distribution protocol.
///
/// # Errors
/// As for [`decode_ref`](crate::decode_ref).
pub fn decode_ref_bare<'a>(bytes: &'a [u8], limits: &Limits) -> Result<TermRef<'a>> {
    let (term, used) = TermRef::parse_bare(bytes, limits)?;
    nothing_after(bytes, used)?;
    Ok(term)
}

/// Encodes a term without the version byte, as a payload of the distribution protocol goes.
///
/// # Panics
/// As for [`encode`](crate::encode).
#[must_use]
pub fn encode_bare(term: &Term) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    Encoder::without_version(&mut out).term(term);
    out
}
