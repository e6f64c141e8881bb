//! Figures of many operations.

use std::time::Duration;

/// Operations a second, and microseconds where each was timed.
pub(crate) struct Summary {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Summary {
    /// So many in all of this time.
    #[allow(clippy::cast_precision_loss)] // Counts are far below what a f64 holds exactly.
    pub(crate) fn of_count(count: u64, time: Duration) -> Self {
        Self {
            rate: count as f64 / time.as_secs_f64(),
            p50: 0.0,
            p99: 0.0,
        }
    }
}

/// Each operation's time, of all that were done in `time`.
pub(crate) fn summary(time: Duration, mut samples: Vec<Duration>) -> Summary {
    samples.sort_unstable();
    let micros = |percent: usize| -> f64 {
        let at = (samples.len() * percent).div_ceil(100).max(1) - 1;
        samples
            .get(at)
            .map_or(0.0, |sample| sample.as_secs_f64() * 1e6)
    };
    Summary {
        p50: micros(50),
        p99: micros(99),
        ..Summary::of_count(samples.len() as u64, time)
    }
}
