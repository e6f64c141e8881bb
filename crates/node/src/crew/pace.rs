//! How long the one who drives the links waits before it looks again, while messages only come in.
//!
//! A BEAM under load writes each message by itself. A reader that wakes for each costs both sides
//! more than the message itself, and slows the writer down. So once many reads in a row came close
//! upon each other, brought little, and led to no answer, the driver pauses before the next. Of a
//! large transfer it waits for the next piece awake, for a moment, because waking it costs the
//! writer time. Who waits for an answer sees nothing of it: the first answer ends it.
//!
//! And while questions and answers follow close upon each other, the driver waits for the next one
//! awake: to sleep and to be woken takes longer than the peer takes to answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many thin reads in a row begin it.
const THIN_READS: u32 = 32;

/// How many thick ones.
const THICK_READS: u32 = 8;

/// How many turns of a conversation in a row, each close upon the one before, make it worth to stay
/// awake.
const TURNS: u32 = 8;

/// The longest time from one turn to the next.
const TURN: Duration = Duration::from_micros(150);

/// What a turn brings at most, in bytes: where more comes, there is enough to do meanwhile.
const FEW: usize = 512;

/// How long an answer is waited for awake.
const ANSWER: Duration = Duration::from_micros(70);

/// How long the next piece of a large transfer is waited for awake.
const AWAKE: Duration = Duration::from_micros(25);

/// A read is thin if the one before it was less than this ago and it brought less than [`THIN`],
/// and thick if it brought more.
const CLOSE: Duration = Duration::from_micros(100);

/// In bytes.
const THIN: usize = 16 * 1024;

/// The pause: what comes late by at most this (and the system's slack) is one-way traffic.
const PAUSE: Duration = Duration::from_micros(150);

/// A pause that brought less than this, in bytes, was the last.
const TOO_LITTLE: usize = 256;

/// A pause that brought more than this, in bytes, was too long for the sender's window.
const TOO_MUCH: usize = 256 * 1024;

/// How to wait before looking for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    Asleep(Duration),
    Awake(Duration),
}

impl Pause {
    /// Waits.
    pub(crate) fn take(self) {
        match self {
            Self::Asleep(time) => std::thread::sleep(time),
            Self::Awake(time) => {
                let end = Instant::now() + time;
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            }
        }
    }
}

/// The pace of one node's reading.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// When something was read last.
    last: Option<Instant>,
    /// Thin reads in a row, and thick ones.
    thin: u32,
    thick: u32,
    /// Bytes read since the last pause.
    read: usize,
    /// Turns of a conversation in a row, fewer by those in which we had nothing to say.
    turns: u32,
    /// When something was written since the last read.
    written: Option<Instant>,
}

impl Pace {
    /// A link has read so many bytes.
    pub(crate) fn read(&self, now: Instant, bytes: usize) {
        let mut inner = self.lock();
        inner.read += bytes;
        let gap = inner.last.map(|last| now.saturating_duration_since(last));
        let is_close = gap.is_some_and(|gap| gap < CLOSE);
        inner.last = Some(now);
        let is_turn = gap.is_some_and(|gap| gap < TURN) && bytes < FEW;
        inner.turns = match (is_turn, inner.written.take().is_some()) {
            (true, true) => inner.turns.saturating_add(1),
            (true, false) => inner.turns.saturating_sub(1),
            (false, _) => 0,
        };
        if inner.is_pausing() {
            return;
        }
        (inner.thin, inner.thick) = match (is_close, bytes < THIN) {
            (true, true) => (inner.thin + 1, 0),
            (true, false) => (0, inner.thick.saturating_add(1)),
            (false, _) => (0, 0),
        };
    }

    /// A link has written: somebody may wait for what comes of it.
    pub(crate) fn written(&self, now: Instant) {
        let mut inner = self.lock();
        (inner.thin, inner.thick) = (0, 0);
        inner.written = Some(now);
    }

    /// Whether an answer may be here at any moment, or ours is about to be written.
    pub(crate) fn is_talking(&self, now: Instant) -> bool {
        let inner = self.lock();
        let last = inner.written.or(inner.last);
        inner.turns >= TURNS && last.is_some_and(|last| now < last + ANSWER)
    }

    /// How to wait before looking for more.
    pub(crate) fn pause(&self) -> Option<Pause> {
        let mut inner = self.lock();
        let read = std::mem::take(&mut inner.read);
        if inner.thick >= THICK_READS && read > 0 {
            return Some(Pause::Awake(AWAKE));
        }
        if !inner.is_pausing() {
            return None;
        }
        if inner.thin > THIN_READS && !(TOO_LITTLE..TOO_MUCH).contains(&read) {
            inner.thin = 0;
            return None;
        }
        // From the second pause on it is looked at what the one before has brought.
        inner.thin = THIN_READS + 1;
        Some(Pause::Asleep(PAUSE))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_pausing(&self) -> bool {
        self.thin >= THIN_READS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads of so many bytes, so long after each other; returns how many pauses came of it.
    fn pauses(pace: &Pace, start: Instant, reads: u32, bytes: usize, apart: Duration) -> u32 {
        let mut pauses = 0;
        for number in 0..reads {
            pace.read(start + apart * number, bytes);
            pauses += u32::from(pace.pause().is_some());
        }
        pauses
    }

    #[test]
    fn a_flood_of_small_reads_is_gathered_until_it_ends() {
        let (pace, start) = (Pace::default(), Instant::now());
        let close = Duration::from_micros(20);
        assert_eq!(pauses(&pace, start, THIN_READS, 300, close), 0);
        // Once it has begun, reads are as far apart as the pauses make them.
        let later = start + close * THIN_READS;
        assert!(pauses(&pace, later, 100, 3000, PAUSE * 2) >= 99);
        pace.read(later + PAUSE * 300, 40);
        assert_eq!(pace.pause(), None);
        pace.read(later + PAUSE * 400, 40);
        assert_eq!(pace.pause(), None);
    }

    #[test]
    fn who_answers_who_reads_rarely_and_who_reads_much_is_not_held_up() {
        let (pace, start) = (Pace::default(), Instant::now());
        let close = Duration::from_micros(20);
        for number in 0..1000 {
            pace.read(start + close * number, 40);
            assert_eq!(pace.pause(), None);
            pace.written(start + close * number);
        }
        assert_eq!(pauses(&pace, start, 1000, 40, CLOSE * 2), 0);
    }

    #[test]
    fn the_next_piece_of_a_large_transfer_is_waited_for_awake_and_only_once() {
        let (pace, start) = (Pace::default(), Instant::now());
        for number in 0..=THICK_READS {
            assert_eq!(pace.pause(), None);
            pace.read(start + CLOSE / 2 * number, THIN);
        }
        assert_eq!(pace.pause(), Some(Pause::Awake(AWAKE)));
        assert_eq!(pace.pause(), None, "nothing has come");
        pace.read(start + CLOSE * 100, THIN);
        assert_eq!(pace.pause(), None, "the transfer had stopped");
    }

    #[test]
    fn the_first_answer_ends_it() {
        let (pace, start) = (Pace::default(), Instant::now());
        let close = Duration::from_micros(20);
        assert!(pauses(&pace, start, 2 * THIN_READS, 3000, close) > 0);
        pace.written(start);
        assert_eq!(pace.pause(), None);
    }

    #[test]
    fn a_node_where_nothing_is_read_any_more_does_not_pause() {
        let (pace, start) = (Pace::default(), Instant::now());
        assert!(
            pauses(
                &pace,
                start,
                2 * THIN_READS,
                3000,
                Duration::from_micros(20)
            ) > 0
        );
        assert_eq!(pace.pause(), None);
        assert_eq!(pace.pause(), None);
    }

    #[test]
    fn a_lively_conversation_is_waited_for_awake_and_a_slow_one_is_not() {
        for (apart, expected) in [(TURN / 2, true), (TURN * 2, false)] {
            let (pace, start) = (Pace::default(), Instant::now());
            let mut now = start;
            for _ in 0..2 * TURNS {
                now += apart;
                pace.read(now, 40);
                pace.written(now);
            }
            assert_eq!(pace.is_talking(now), expected);
            assert!(!pace.is_talking(now + ANSWER), "the peer took its time");
        }
    }

    #[test]
    fn who_only_listens_sleeps() {
        let (pace, start) = (Pace::default(), Instant::now());
        pauses(&pace, start, 1000, 40, CLOSE / 2);
        assert!(!pace.is_talking(start + CLOSE / 2 * 1000));
    }
}
