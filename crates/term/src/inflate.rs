//! What stands before a term: the version byte, and compression.

use std::borrow::Cow;
use std::io::Read as _;

use crate::{DecodeError, Limits, tag};

/// The same term without compression: `bytes` themselves if they are plain, else what they
/// inflate to, version byte first. Bytes after the term are dropped.
///
/// # Errors
/// [`DecodeError::BadVersion`], [`DecodeError::TooLarge`] (the inflated size counts too) and
/// [`DecodeError::BadCompression`].
pub fn inflate<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, DecodeError> {
    let body = versioned(bytes, limits)?;
    match body.split_first() {
        Some((&tag::COMPRESSED, packed)) => Ok(Cow::Owned(unpack(packed, limits)?.0)),
        _ => Ok(Cow::Borrowed(bytes)),
    }
}

/// What follows the version byte.
pub(crate) fn versioned<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a [u8], DecodeError> {
    match within(bytes, limits)?.split_first() {
        Some((&tag::VERSION, body)) => Ok(body),
        Some((&found, _)) => Err(DecodeError::BadVersion { found }),
        None => Err(DecodeError::Truncated),
    }
}

/// Refuses input that is too long.
pub(crate) fn within<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a [u8], DecodeError> {
    if bytes.len() > limits.max_bytes {
        return Err(DecodeError::TooLarge {
            bytes: bytes.len(),
            limit: limits.max_bytes,
        });
    }
    Ok(bytes)
}

/// Refuses bytes after the first `used` ones.
pub(crate) fn nothing_after(bytes: &[u8], used: usize) -> Result<(), DecodeError> {
    match bytes.len().saturating_sub(used) {
        0 => Ok(()),
        count => Err(DecodeError::Trailing { count }),
    }
}

/// Inflates what follows the tag 80: the size, then a zlib stream. Gives the plain term, version
/// byte first, and how many bytes were used.
pub(crate) fn unpack(packed: &[u8], limits: &Limits) -> Result<(Vec<u8>, usize), DecodeError> {
    let (size, stream) = packed.split_first_chunk().ok_or(DecodeError::Truncated)?;
    let size = u32::from_be_bytes(*size) as usize;
    if size > limits.max_bytes {
        return Err(DecodeError::TooLarge {
            bytes: size,
            limit: limits.max_bytes,
        });
    }
    let mut plain = vec![tag::VERSION];
    let mut zlib = flate2::bufread::ZlibDecoder::new(stream);
    // One byte more than announced shows a stream that goes on; the vector grows as bytes come.
    let mut bounded = zlib.by_ref().take(size as u64 + 1);
    bounded
        .read_to_end(&mut plain)
        .map_err(|_| DecodeError::BadCompression)?;
    if plain.len() != size + 1 {
        return Err(DecodeError::BadCompression);
    }
    let used = usize::try_from(zlib.total_in()).map_err(|_| DecodeError::BadCompression)?;
    Ok((plain, 4 + used))
}
