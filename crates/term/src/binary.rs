//! Binaries.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use crate::short::Short;

/// The bytes of a binary, cheap to clone: up to 22 of them in place, more of them shared.
///
/// ```
/// use enmesh_term::Binary;
///
/// let binary = Binary::copy_from_slice(b"text");
/// assert_eq!(binary.as_slice(), b"text");
/// ```
#[derive(Clone)]
pub struct Binary {
    repr: Repr,
}

#[derive(Clone)]
enum Repr {
    Short(Short),
    Own(Arc<[u8]>),
    /// Part of a larger memory. Boxed, because a term should be small.
    Part(Box<Bytes>),
}

impl Binary {
    /// A copy of `bytes`.
    #[must_use]
    #[inline]
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        let repr = match Short::head(bytes, bytes.len()) {
            Some((short, _)) => Repr::Short(short),
            None => Repr::Own(Arc::from(bytes)),
        };
        Self { repr }
    }

    #[inline]
    pub(crate) const fn from_short(short: Short) -> Self {
        let repr = Repr::Short(short);
        Self { repr }
    }

    /// The bytes.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.repr {
            Repr::Short(short) => short.as_bytes(),
            Repr::Own(bytes) => bytes,
            Repr::Part(bytes) => bytes,
        }
    }

    /// The bytes as [`Bytes`]; copied only if there are few, or if they came in one piece.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match &self.repr {
            Repr::Short(short) => Bytes::copy_from_slice(short.as_bytes()),
            Repr::Own(bytes) => Bytes::from_owner(Arc::clone(bytes)),
            Repr::Part(bytes) => Bytes::clone(bytes),
        }
    }

    /// A number that is the same for equals, if it takes no walk over many bytes.
    #[inline]
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        match &self.repr {
            Repr::Short(short) => Some(short.fingerprint()),
            Repr::Own(_) | Repr::Part(_) => None,
        }
    }
}

impl From<Bytes> for Binary {
    /// Keeps the memory of `bytes` unless there are very few of them.
    fn from(bytes: Bytes) -> Self {
        let repr = match Short::head(&bytes, bytes.len()) {
            Some((short, _)) => Repr::Short(short),
            None => Repr::Part(Box::new(bytes)),
        };
        Self { repr }
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl From<&[u8]> for Binary {
    fn from(bytes: &[u8]) -> Self {
        Self::copy_from_slice(bytes)
    }
}

impl From<Binary> for Bytes {
    fn from(binary: Binary) -> Self {
        match binary.repr {
            Repr::Part(bytes) => *bytes,
            _ => binary.to_bytes(),
        }
    }
}

impl Deref for Binary {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Borrow<[u8]> for Binary {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Binary {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Binary {}

impl PartialEq<[u8]> for Binary {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_slice() == other
    }
}

impl PartialOrd for Binary {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Binary {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl Hash for Binary {
    /// As the bytes hash, so that a map keyed by binaries can be asked with a slice.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.as_slice().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Binary;

    #[test]
    fn a_binary_is_its_bytes_of_any_number_and_origin() {
        for len in [0, 1, 21, 22, 23, 64, 1000] {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let copy = Binary::copy_from_slice(&bytes);
            let shared = Binary::from(Bytes::from(bytes.clone()));
            assert_eq!(
                (&copy, copy.cmp(&shared)),
                (&shared, std::cmp::Ordering::Equal)
            );
            for binary in [copy, shared] {
                assert_eq!(binary.as_slice(), bytes);
                assert_eq!(binary.to_bytes(), bytes);
                assert_eq!(Bytes::from(binary.clone()), bytes);
            }
        }
    }

    #[test]
    fn large_binaries_keep_their_memory() {
        let bytes = Bytes::from(vec![7; 100]);
        let binary = Binary::from(bytes.clone());
        assert_eq!(binary.as_slice().as_ptr(), bytes.as_ptr());
        assert_eq!(binary.to_bytes().as_ptr(), bytes.as_ptr());
        let own = Binary::copy_from_slice(&bytes);
        assert_eq!(own.to_bytes().as_ptr(), own.as_slice().as_ptr());
    }
}
