//! Memory of large messages that is used again.
//!
//! Fresh memory costs more than what is copied into it: the system has to find and clear each page.
//! So the memory of a large message, once the last who reads it has let it go, waits here for the
//! next one, until a tick passes in which it was of no use, or the last link has ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// The least memory that is worth it, in bytes.
const LEAST: usize = 64 << 10;

/// The most memory that waits here, in bytes.
pub(crate) const MAX_SPARE: usize = 128 << 20;

/// The most pieces of it.
const MAX_PIECES: usize = 16;

/// The spare memory of one node, shared by its links.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    pieces: Vec<Vec<u8>>,
    /// Their capacities together.
    bytes: usize,
    /// Some was of use since the last tick. That it was asked for is not enough: what never fits
    /// would else stay for ever, in the place of what does.
    was_of_use: bool,
    /// When the next tick may count.
    next_tick: Option<Instant>,
    /// How many links there are to use it.
    links: usize,
}

impl Spares {
    /// A link is up and will use this.
    pub(crate) fn join(&self) {
        self.lock().links += 1;
    }

    /// It has ended. Without any, nothing waits here, nor comes back.
    pub(crate) fn leave(&self) {
        let mut inner = self.lock();
        inner.links = inner.links.saturating_sub(1);
        if inner.links == 0 {
            let pieces = inner.clear();
            drop(inner);
            drop(pieces);
        }
    }

    /// Empty memory for a message that is said to have so many bytes. That may be a lie: nothing is
    /// allocated for it, and no more than a little over twice as much is given, nor more than
    /// `most`.
    pub(crate) fn take(&self, said: usize, most: usize) -> Vec<u8> {
        let mut inner = self.lock();
        let most = said.saturating_mul(2).saturating_add(LEAST).min(most);
        let fitting = inner.pieces.iter().enumerate().filter(|(_, piece)| {
            let capacity = piece.capacity();
            said <= capacity && capacity <= most
        });
        let least = fitting.min_by_key(|(_, piece)| piece.capacity());
        let Some(at) = least.map(|(at, _)| at) else {
            return Vec::new();
        };
        let piece = inner.pieces.swap_remove(at);
        inner.bytes -= piece.capacity();
        inner.was_of_use = true;
        piece
    }

    /// The bytes of a message, whose memory comes back when they are let go.
    pub(crate) fn lend(self: &Arc<Self>, mut bytes: Vec<u8>) -> Bytes {
        if bytes.capacity() < LEAST {
            return bytes.into();
        }
        if bytes.len() < bytes.capacity() / 3 {
            // Whoever sent it said more than there was.
            bytes.shrink_to_fit();
            return bytes.into();
        }
        let spares = Arc::clone(self);
        Bytes::from_owner(Lent { bytes, spares })
    }

    /// A tick has passed on one of the links, which has them at this interval. However many links
    /// there are, one counts in that time.
    pub(crate) fn tick(&self, now: Instant, interval: Duration) {
        let mut inner = self.lock();
        if inner.next_tick.is_some_and(|next| now < next) {
            return;
        }
        inner.next_tick = Some(now + interval);
        if !std::mem::take(&mut inner.was_of_use) {
            let pieces = inner.clear();
            drop(inner);
            drop(pieces);
        }
    }

    fn give_back(&self, mut piece: Vec<u8>) {
        piece.clear();
        let mut inner = self.lock();
        let bytes = inner.bytes + piece.capacity();
        if inner.links > 0 && bytes <= MAX_SPARE && inner.pieces.len() < MAX_PIECES {
            inner.bytes = bytes;
            inner.pieces.push(piece);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can panic between two fields that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Takes everything out, to be dropped outside of the lock.
    fn clear(&mut self) -> Vec<Vec<u8>> {
        self.bytes = 0;
        std::mem::take(&mut self.pieces)
    }
}

/// The memory of a message that somebody reads.
struct Lent {
    bytes: Vec<u8>,
    spares: Arc<Spares>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.spares.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Tests may read the clock.
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// Of a node with one link.
    fn spares() -> Arc<Spares> {
        let spares = Arc::new(Spares::default());
        spares.join();
        spares
    }

    fn whole(len: usize) -> Vec<u8> {
        vec![7; len]
    }

    #[test]
    fn memory_comes_back_when_the_last_reader_lets_it_go() {
        let spares = spares();
        let first = spares.lend(whole(MIB));
        let second = first.slice(5..9);
        let place = first.as_ptr();
        drop(first);
        assert_eq!(
            spares.take(MIB, usize::MAX).capacity(),
            0,
            "somebody still reads it"
        );
        assert_eq!(second, [7; 4][..]);
        drop(second);
        let again = spares.take(MIB, usize::MAX);
        assert!(again.is_empty());
        assert_eq!(again.as_ptr(), place);
        assert_eq!(
            spares.take(MIB, usize::MAX).capacity(),
            0,
            "it is there once"
        );
    }

    #[test]
    fn no_more_is_given_than_what_is_said_makes_plausible() {
        let spares = spares();
        for len in [MIB, 8 * MIB, 2 * MIB] {
            drop(spares.lend(whole(len)));
        }
        assert_eq!(spares.take(100, usize::MAX).capacity(), 0);
        assert_eq!(spares.take(usize::MAX, usize::MAX).capacity(), 0);
        assert_eq!(spares.take(MIB + 1, usize::MAX).capacity(), 2 * MIB);
        assert_eq!(spares.take(MIB, MIB - 1).capacity(), 0);
        assert_eq!(spares.take(MIB, MIB).capacity(), MIB);
    }

    #[test]
    fn what_never_fits_does_not_stay_in_the_place_of_what_does() {
        let spares = spares();
        let lent: Vec<Bytes> = (0..MAX_PIECES).map(|_| spares.lend(whole(LEAST))).collect();
        drop(lent);
        assert_eq!(spares.take(8 * MIB, usize::MAX).capacity(), 0);
        spares.tick(Instant::now(), Duration::ZERO);
        drop(spares.lend(whole(8 * MIB)));
        assert_eq!(spares.take(8 * MIB, usize::MAX).capacity(), 8 * MIB);
    }

    #[test]
    fn nothing_waits_where_there_is_no_link() {
        let spares = spares();
        spares.join();
        drop(spares.lend(whole(MIB)));
        let read = spares.lend(whole(MIB));
        spares.leave();
        assert_eq!(spares.lock().bytes, MIB);
        spares.leave();
        assert_eq!(spares.lock().bytes, 0);
        drop(read);
        assert_eq!(spares.lock().bytes, 0);
    }

    #[test]
    fn who_said_more_than_came_holds_no_more_than_came() {
        let spares = spares();
        let mut bytes = whole(100);
        bytes.reserve_exact(MIB);
        drop(spares.lend(bytes));
        assert_eq!(spares.lock().bytes, 0);
    }

    #[test]
    fn what_waits_is_bounded_and_gone_after_a_tick_without_use() {
        let spares = spares();
        let lent: Vec<Bytes> = (0..20).map(|_| spares.lend(whole(LEAST))).collect();
        drop(lent);
        assert_eq!(spares.lock().pieces.len(), MAX_PIECES);
        drop(spares.lend(whole(MAX_SPARE)));
        assert_eq!(spares.lock().bytes, MAX_PIECES * LEAST);
        spares.take(LEAST, usize::MAX);
        let (now, interval) = (Instant::now(), Duration::from_secs(15));
        spares.tick(now, interval);
        assert_eq!(spares.lock().pieces.len(), MAX_PIECES - 1, "it was of use");
        spares.tick(now + interval / 2, interval);
        assert_eq!(
            spares.lock().pieces.len(),
            MAX_PIECES - 1,
            "another link's tick"
        );
        spares.tick(now + interval, interval);
        assert_eq!(spares.lock().pieces.len(), 0);
        assert_eq!(spares.lock().bytes, 0);
    }
}
