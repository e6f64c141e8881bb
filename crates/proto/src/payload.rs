//! The payload of a message that is to be sent: perhaps in pieces, so that what is large and shared
//! need not be copied.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

/// A bare external term, in one piece or in several that follow each other.
///
/// ```
/// use bytes::Bytes;
/// use enmesh_proto::Payload;
///
/// let mut payload: Payload = [Bytes::from("abc"), Bytes::from("defg")].into_iter().collect();
/// assert_eq!(payload.len(), 7);
/// assert_eq!(payload.split_to(4).into_bytes(), "abcd");
/// assert_eq!(payload.into_bytes(), "efg");
/// ```
#[derive(Clone, Debug)]
pub struct Payload(Repr);

#[derive(Clone, Debug)]
enum Repr {
    One(Bytes),
    /// Boxed, because it is rare and a payload is moved often. None of the pieces is empty.
    Many(Box<Pieces>),
}

#[derive(Clone, Debug)]
struct Pieces {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Payload {
    /// How many bytes it has.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::One(bytes) => bytes.len(),
            Repr::Many(many) => many.len,
        }
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything in one piece; copied if it was not.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::One(bytes) => bytes,
            Repr::Many(many) => {
                let mut whole = BytesMut::with_capacity(many.len);
                many.pieces.iter().for_each(|piece| whole.put_slice(piece));
                whole.freeze()
            }
        }
    }

    /// Takes the first `at` bytes off, without copying any.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn split_to(&mut self, at: usize) -> Self {
        let many = match &mut self.0 {
            Repr::One(bytes) => return bytes.split_to(at).into(),
            Repr::Many(many) => many,
        };
        assert!(at <= many.len, "there are {} bytes", many.len);
        let mut left = at;
        let mut head = VecDeque::new();
        while left > 0
            && let Some(first) = many.pieces.front_mut()
        {
            if first.len() > left {
                head.push_back(first.split_to(left));
                break;
            }
            left -= first.len();
            head.extend(many.pieces.pop_front());
        }
        many.len -= at;
        head.into_iter().collect()
    }

    /// Its pieces, in order; there may be empty ones.
    pub fn into_pieces(self) -> impl Iterator<Item = Bytes> {
        let (one, many) = match self.0 {
            Repr::One(bytes) => (Some(bytes), None),
            Repr::Many(many) => (None, Some(many.pieces)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl Default for Payload {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl From<Bytes> for Payload {
    #[inline]
    fn from(bytes: Bytes) -> Self {
        Self(Repr::One(bytes))
    }
}

impl FromIterator<Bytes> for Payload {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut pieces: VecDeque<Bytes> = pieces.into_iter().filter(|it| !it.is_empty()).collect();
        match pieces.len() {
            0 => Self::default(),
            1 => pieces.pop_front().unwrap_or_default().into(),
            _ => {
                let len = pieces.iter().map(Bytes::len).sum();
                Self(Repr::Many(Box::new(Pieces { pieces, len })))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(pieces: &[&'static str]) -> Payload {
        let pieces = pieces
            .iter()
            .map(|piece| Bytes::from_static(piece.as_bytes()));
        pieces.collect()
    }

    #[test]
    fn wherever_it_is_split_the_parts_are_the_whole() {
        for pieces in [
            &["abcdefghi"][..],
            &["abc", "", "d", "efgh", "i"],
            &["", "abcdefghi"],
        ] {
            for at in 0..=9 {
                let mut rest = payload(pieces);
                assert_eq!(rest.len(), 9);
                let head = rest.split_to(at);
                assert_eq!((head.len(), rest.len()), (at, 9 - at), "{pieces:?} at {at}");
                let mut whole = head.into_bytes().to_vec();
                whole.extend(rest.into_pieces().flatten());
                assert_eq!(whole, b"abcdefghi", "{pieces:?} at {at}");
            }
        }
    }

    #[test]
    fn nothing_is_an_empty_payload() {
        assert!(payload(&["", ""]).is_empty());
        assert!(Payload::default().into_bytes().is_empty());
    }
}
