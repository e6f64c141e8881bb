//! Frames: a length, then that many bytes.

use bytes::{Buf, BytesMut};

/// Why a frame cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The announced length, or that of the fragments of one message together, is over the limit.
    /// Nothing was allocated for it.
    #[error("a message of at least {len} bytes is announced, {max} are allowed")]
    TooLarge {
        /// How long it is at least, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The body does not begin as a pass-through message does: 112, then 131.
    #[error("a message begins with something else than 112, 131")]
    NotPassThrough,
    /// The body does not begin as a message with a distribution header does: 131, then 68, 69 or 70.
    #[error("a message begins with something else than a distribution header")]
    NotHeader,
    /// The list of atoms of a distribution header is cut off, or has something else than atoms.
    #[error("a bad distribution header")]
    BadHeader,
    /// A distribution header refers to an atom that the peer never told.
    #[error("atom {slot} of the cache was never told")]
    UnknownAtom {
        /// Which place of the cache is empty: segment times 256 plus index.
        slot: usize,
    },
    /// A fragmented message begins although one with its number is not complete.
    #[error("fragmented message {sequence} begins twice")]
    SequenceTwice {
        /// Its number.
        sequence: u64,
    },
    /// A fragment of a message whose first fragment did not come.
    #[error("a fragment of message {sequence}, which did not begin")]
    UnknownSequence {
        /// Its number.
        sequence: u64,
    },
    /// Another fragment than the one that is due.
    #[error("a fragment of message {sequence} is out of order")]
    FragmentOrder {
        /// The number of the message.
        sequence: u64,
    },
    /// More than 256 messages would be incomplete at once.
    #[error("more than 256 messages are incomplete")]
    TooManySequences,
    /// More than 256 MiB of incomplete messages.
    #[error("more than 256 MiB of incomplete messages")]
    TooMuchPartial,
    /// A payload that does not begin with 131.
    #[error("a payload begins with something else than 131")]
    PayloadVersion,
    /// A control message that needs a payload came without one.
    #[error("the payload of the message is missing")]
    PayloadMissing,
    /// A control message that has no payload is followed by something.
    #[error("{len} bytes follow a control message that has no payload")]
    Trailing {
        /// How many bytes there are too many.
        len: usize,
    },
}

/// How wide the length before a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// Two bytes, during the handshake.
    Two,
    /// Four bytes, after it.
    Four,
}

impl Prefix {
    pub(crate) fn width(self) -> usize {
        match self {
            Prefix::Two => 2,
            Prefix::Four => 4,
        }
    }

    /// Takes one whole frame off the front of `inbox`; `None` if it has not arrived yet.
    ///
    /// Nothing is reserved for what is still to come: `inbox` grows by what arrives alone.
    pub(crate) fn take(
        self,
        inbox: &mut BytesMut,
        max: usize,
    ) -> Result<Option<BytesMut>, FrameError> {
        let Some(len) = self.whole(inbox, max)? else {
            return Ok(None);
        };
        inbox.advance(self.width());
        Ok(Some(inbox.split_to(len)))
    }

    /// How long the frame at the front of `inbox` is, without its length; `None` if it has not
    /// wholly arrived yet.
    pub(crate) fn whole(self, inbox: &BytesMut, max: usize) -> Result<Option<usize>, FrameError> {
        let Some(len) = self.announced(inbox) else {
            return Ok(None);
        };
        if len > max {
            return Err(FrameError::TooLarge { len, max });
        }
        Ok((inbox.len() - self.width() >= len).then_some(len))
    }

    fn announced(self, inbox: &BytesMut) -> Option<usize> {
        match self {
            Prefix::Two => inbox
                .first_chunk()
                .map(|&len| usize::from(u16::from_be_bytes(len))),
            Prefix::Four => inbox
                .first_chunk()
                .map(|&len| usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(prefix: Prefix, bytes: &[u8], max: usize) -> Result<Option<Vec<u8>>, FrameError> {
        let mut inbox = BytesMut::from(bytes);
        Ok(prefix.take(&mut inbox, max)?.map(|frame| frame.to_vec()))
    }

    #[test]
    fn a_frame_is_its_length_then_its_bytes() {
        assert_eq!(
            take(Prefix::Two, b"\0\x02okrest", 9),
            Ok(Some(b"ok".to_vec()))
        );
        assert_eq!(
            take(Prefix::Four, b"\0\0\0\x02okrest", 9),
            Ok(Some(b"ok".to_vec()))
        );
        assert_eq!(take(Prefix::Four, b"\0\0\0\0", 9), Ok(Some(Vec::new())));
    }

    #[test]
    fn a_part_of_a_frame_is_none_yet() {
        for bytes in [&b""[..], b"\0", b"\0\0\0", b"\0\0\0\x02", b"\0\0\0\x02o"] {
            assert_eq!(take(Prefix::Four, bytes, 9), Ok(None), "{bytes:?}");
        }
    }

    #[test]
    fn a_length_over_the_limit_is_an_error_before_anything_arrives() {
        let max = 128 << 20;
        let error = FrameError::TooLarge {
            len: u32::MAX as usize,
            max,
        };
        assert_eq!(take(Prefix::Four, b"\xff\xff\xff\xff", max), Err(error));
        assert_eq!(take(Prefix::Two, b"\x00\x03", 3), Ok(None));
        assert_eq!(
            take(Prefix::Two, b"\x00\x04", 3),
            Err(FrameError::TooLarge { len: 4, max: 3 })
        );
    }
}
