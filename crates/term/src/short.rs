//! A few bytes kept in place: short atoms and short binaries.

/// How many bytes fit, so that an atom or a binary is three words.
pub(crate) const MAX_SHORT: usize = 22;

/// The length of the window that a short run of bytes is read through.
const WINDOW: usize = 24;

/// Up to [`MAX_SHORT`] bytes. Those beyond the length are zero, so that two compare as arrays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short {
    len: u8,
    bytes: [u8; MAX_SHORT],
}

impl Short {
    /// These bytes, if they are few enough.
    #[inline]
    pub(crate) const fn new(source: &[u8]) -> Option<Self> {
        if source.len() > MAX_SHORT {
            return None;
        }
        let mut bytes = [0; MAX_SHORT];
        let mut at = 0;
        while at < source.len() {
            bytes[at] = source[at];
            at += 1;
        }
        let len = source.len() as u8;
        Some(Self { len, bytes })
    }

    /// The first `len` bytes of `rest`, and whether all of them are ASCII; `None` if they are too
    /// many, or more than there are.
    #[inline]
    pub(crate) fn head(rest: &[u8], len: usize) -> Option<(Self, bool)> {
        if len > MAX_SHORT {
            return None;
        }
        let found = Self::window(rest, len);
        found.or_else(|| Some(Self::from_words(len, words(rest.get(..len)?))))
    }

    /// As [`Short::head`], but `None` near the end of the input too.
    ///
    /// They go through three words under a mask: a copy of any length is a call or a branch for
    /// each size, and no peer sends atoms of one length, so the processor guesses those badly.
    #[inline]
    pub(crate) fn window(rest: &[u8], len: usize) -> Option<(Self, bool)> {
        let mask = MASKS.get(len)?;
        let window: &[u8; WINDOW] = rest.first_chunk()?;
        let (words, _) = window.as_chunks::<8>();
        let word = |at: usize| u64::from_le_bytes(words[at]) & mask[at];
        let (first, second, third) = (word(0), word(1), word(2));
        Some(Self::from_words(len, [first, second, third]))
    }

    /// What the little-endian words hold, zeros but for the first `len` bytes.
    #[inline]
    fn from_words(len: usize, [first, second, third]: [u64; 3]) -> (Self, bool) {
        const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
        let mut bytes = [0; MAX_SHORT];
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        bytes[8..16].copy_from_slice(&second.to_le_bytes());
        bytes[16..].copy_from_slice(&third.to_le_bytes()[..MAX_SHORT - 16]);
        let len = len as u8;
        let is_ascii = (first | second | third) & HIGH_BITS == 0;
        (Self { len, bytes }, is_ascii)
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// A number that differs for most others and is the same for equals.
    #[inline]
    pub(crate) fn fingerprint(&self) -> u64 {
        let word = |at: usize| {
            let word = self.bytes[at..].first_chunk();
            word.map_or(0, |word| u64::from_le_bytes(*word))
        };
        // The last word overlaps the second: 22 bytes are not three words.
        let mixed = word(8).rotate_left(23) ^ word(MAX_SHORT - 8).rotate_left(41);
        word(0) ^ mixed ^ u64::from(self.len)
    }
}

/// Up to [`MAX_SHORT`] bytes as little-endian words, filled up with zeros, where reading further
/// than they go is not possible. They overlap: a copy through memory would stall.
#[inline]
fn words(source: &[u8]) -> [u64; 3] {
    let len = source.len();
    let upper = |word: u64, bytes: usize| word.checked_shr(64 - 8 * bytes as u32).unwrap_or(0);
    if let (Some(head), Some(tail)) = (source.first_chunk(), source.last_chunk()) {
        let (head, tail) = (u64::from_le_bytes(*head), u64::from_le_bytes(*tail));
        return match source.get(8..).and_then(|rest| rest.first_chunk()) {
            Some(middle) => [head, u64::from_le_bytes(*middle), upper(tail, len - 16)],
            None => [head, upper(tail, len - 8), 0],
        };
    }
    if let (Some(head), Some(tail)) = (source.first_chunk(), source.last_chunk()) {
        let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
        let tail = upper(u64::from(tail) << 32, len - 4);
        return [u64::from(head) | tail << 32, 0, 0];
    }
    let bytes = source.iter().rev();
    let word = bytes.fold(0, |word, &byte| word << 8 | u64::from(byte));
    [word, 0, 0]
}

/// For each length, the words that keep so many bytes.
static MASKS: [[u64; 3]; MAX_SHORT + 1] = masks();

const fn masks() -> [[u64; 3]; MAX_SHORT + 1] {
    let mut masks = [[0; 3]; MAX_SHORT + 1];
    let mut len = 1;
    while len <= MAX_SHORT {
        let mut at = 0;
        while at < len {
            masks[len][at / 8] |= 0xff << (at % 8 * 8);
            at += 1;
        }
        len += 1;
    }
    masks
}

#[cfg(test)]
mod tests {
    use super::{MAX_SHORT, Short};

    #[test]
    fn short_runs_are_the_same_however_they_are_read() {
        let input: Vec<u8> = (1..=64).collect();
        for len in 0..=MAX_SHORT {
            let made = Short::new(&input[..len]).expect("short");
            let (read, is_ascii) = Short::head(&input, len).expect("short");
            assert_eq!(read.as_bytes(), &input[..len]);
            assert!(made == read && is_ascii);
            assert_eq!(made.fingerprint(), read.fingerprint());
        }
        assert!(Short::new(&input[..=MAX_SHORT]).is_none());
        assert!(Short::head(&input, MAX_SHORT + 1).is_none());
        assert!(Short::window(&input[..23], 1).is_none());
    }

    #[test]
    fn short_runs_are_read_up_to_the_end_of_the_input() {
        let input: Vec<u8> = (1..=MAX_SHORT as u8).collect();
        for end in 0..=MAX_SHORT {
            assert!(Short::head(&input[..end], end + 1).is_none());
            for len in 0..=end {
                let (read, is_ascii) = Short::head(&input[..end], len).expect("enough");
                assert_eq!(read.as_bytes(), &input[..len]);
                assert!(Short::new(&input[..len]) == Some(read) && is_ascii);
            }
        }
    }

    #[test]
    fn only_bytes_within_the_length_can_be_other_than_ascii() {
        for at in 0..24 {
            let mut input = [b'a'; 24];
            input[at] = 0x80;
            for len in 0..=MAX_SHORT {
                let is_ascii = Short::head(&input, len).is_some_and(|(_, is_ascii)| is_ascii);
                assert_eq!(is_ascii, at >= len, "{at} of {len}");
            }
        }
    }
}
