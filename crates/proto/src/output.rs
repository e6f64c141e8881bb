//! A batch of what is to be written, in pieces, so that large payloads are not copied once more.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use crate::payload::Payload;

/// Bytes to be written in one go, as far as the system takes them: a [`Buf`] of several pieces.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// None of them is empty.
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Output {
    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same in one piece, for a writer that takes one at a time.
    #[must_use]
    pub fn joined(self) -> Self {
        if self.pieces.len() > 1 {
            return Self::from(self.into_bytes());
        }
        self
    }

    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    pub(crate) fn extend(&mut self, payload: Payload) {
        payload.into_pieces().for_each(|piece| self.push(piece));
    }

    /// Everything in one piece.
    pub(crate) fn into_bytes(mut self) -> BytesMut {
        match self.pieces.pop_front() {
            Some(only) if self.pieces.is_empty() => BytesMut::from(only),
            Some(first) => {
                let mut whole = BytesMut::with_capacity(self.len);
                whole.extend_from_slice(&first);
                for piece in self.pieces {
                    whole.extend_from_slice(&piece);
                }
                whole
            }
            None => BytesMut::new(),
        }
    }
}

impl From<BytesMut> for Output {
    fn from(bytes: BytesMut) -> Self {
        let mut output = Self::default();
        output.push(bytes.freeze());
        output
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len, "there is no more to advance over");
        self.len -= count;
        while count > 0 {
            let Some(front) = self.pieces.front_mut() else {
                return;
            };
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(pieces: &[&'static str]) -> Output {
        let mut output = Output::default();
        for piece in pieces {
            output.push(Bytes::from_static(piece.as_bytes()));
        }
        output
    }

    #[test]
    fn however_it_is_written_the_bytes_come_in_order_and_once() {
        let whole = "abcdefghi";
        for step in 1..=whole.len() {
            let mut output = output(&["abc", "", "d", "efgh", "i"]);
            let mut written = Vec::new();
            while output.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 3];
                let count = output.chunks_vectored(&mut slices);
                let seen: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
                let taken = step.min(seen.len());
                written.extend_from_slice(&seen[..taken]);
                output.advance(taken);
            }
            assert!(output.is_empty());
            assert_eq!(written, whole.as_bytes(), "in steps of {step}");
        }
    }

    #[test]
    fn in_one_piece_it_is_the_same() {
        assert_eq!(output(&[]).into_bytes(), "");
        assert_eq!(output(&["ab"]).into_bytes(), "ab");
        assert_eq!(output(&["ab", "c", "de"]).into_bytes(), "abcde");
        assert_eq!(output(&["ab", "c", "de"]).joined().chunk(), b"abcde");
    }
}
