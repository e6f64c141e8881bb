//! How long a source waits after a failure.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The wait after the first failure.
const FIRST: Duration = Duration::from_millis(500);

/// The longest wait. A source is right again at most this long after what it asks is.
pub(crate) const LONGEST: Duration = Duration::from_secs(20);

/// Doubling waits with jitter: between three quarters and the whole of 0.5, 1, 2, … 20 seconds, or of others.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    first: Duration,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::between(FIRST, LONGEST)
    }
}

impl Backoff {
    /// Waits that begin with `first` and double up to `longest`.
    pub(crate) fn between(first: Duration, longest: Duration) -> Self {
        Self {
            failures: 0,
            first,
            longest,
        }
    }

    /// The wait after one more failure.
    pub(crate) fn failed(&mut self) -> Duration {
        // Hashers of the standard library are seeded by the system: enough to spread retries.
        let seed = RandomState::new().hash_one(self.failures);
        self.failed_with(seed)
    }

    /// Forgets the failures.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    fn failed_with(&mut self, seed: u64) -> Duration {
        let whole = self
            .first
            .saturating_mul(1 << self.failures.min(16))
            .min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let share = (seed % 1024) as u32;
        whole - whole / 4 * share / 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.failed_with(0).as_millis()).collect();
        assert_eq!(
            waits,
            [
                500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000
            ]
        );
        backoff.reset();
        assert_eq!(backoff.failed_with(0), FIRST);
        let mut backoff = Backoff::between(Duration::from_secs(60), Duration::from_secs(200));
        let waits = [0; 4].map(|seed| backoff.failed_with(seed).as_secs());
        assert_eq!(waits, [60, 120, 200, 200]);
    }

    #[test]
    fn jitter_takes_at_most_a_quarter_away() {
        for seed in [1, 511, 1023, u64::MAX] {
            let mut backoff = Backoff {
                failures: 40,
                ..Backoff::default()
            };
            let wait = backoff.failed_with(seed);
            assert!(wait <= LONGEST && wait >= LONGEST * 3 / 4, "{wait:?}");
        }
    }
}
