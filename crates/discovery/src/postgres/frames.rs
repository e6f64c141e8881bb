//! How large a message of the server may be: what reads them would make room for any length that
//! one announces.

use std::io;

/// The largest message that is read, in bytes. A notification holds at most 8,000.
const MAX_MESSAGE_BYTES: u32 = 1 << 20;

/// The bytes of a message's head: its kind and its length, which counts itself.
const HEAD: usize = 5;

/// Follows where messages begin in what comes in.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// How much of the head there is.
    known: usize,
    /// How much of the message is still to come behind its head.
    rest: usize,
}

impl Frames {
    /// Looks at what came in.
    ///
    /// # Errors
    /// A message is too large, or too short to be one.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = bytes.len().min(self.rest);
            self.rest -= taken;
            bytes = &bytes[taken..];
            let missing = &mut self.head[self.known..];
            let taken = bytes.len().min(missing.len());
            missing[..taken].copy_from_slice(&bytes[..taken]);
            self.known += taken;
            bytes = &bytes[taken..];
            if self.known == HEAD {
                self.known = 0;
                self.rest = rest(self.head)?;
            }
        }
        Ok(())
    }
}

fn rest([_, a, b, c, d]: [u8; HEAD]) -> io::Result<usize> {
    match u32::from_be_bytes([a, b, c, d]) {
        length @ 4..=MAX_MESSAGE_BYTES => Ok(length as usize - 4),
        length => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {length} bytes is none of PostgreSQL's; is it one?"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(length: u32) -> Vec<u8> {
        let mut bytes = vec![b'A'];
        bytes.extend(length.to_be_bytes());
        bytes
    }

    #[test]
    fn a_length_that_is_none_is_refused_before_anything_of_it_comes() {
        for length in [0, 3, MAX_MESSAGE_BYTES + 1, u32::MAX] {
            let error = Frames::default().pass(&message(length)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        for length in [4, 5, MAX_MESSAGE_BYTES] {
            Frames::default().pass(&message(length)).unwrap();
        }
    }

    proptest! {
        #[test]
        fn however_the_stream_is_cut_the_message_that_is_too_large_is_found(
            lengths in prop::collection::vec(0_usize..40, 0..8),
            cut in 1_usize..20,
        ) {
            let mut stream = Vec::new();
            for length in lengths {
                stream.extend(message(length as u32 + 4));
                stream.resize(stream.len() + length, 0xff);
            }
            let mut frames = Frames::default();
            for piece in stream.chunks(cut) {
                frames.pass(piece).unwrap();
            }
            let bad = message(u32::MAX);
            frames.pass(&bad[..HEAD - 1]).unwrap();
            prop_assert!(frames.pass(&bad[HEAD - 1..]).is_err());
        }
    }
}
