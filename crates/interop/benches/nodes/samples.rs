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

/// What a message waits that somebody sends at any moment of the time that the samples took, one after the other.
///
/// Plain percentiles would count the many quick ones between two transfers, and hardly see the few that wait for one.
#[allow(clippy::cast_precision_loss)] // Counts are far below what a f64 holds exactly.
pub(crate) fn at_any_moment(samples: &[Duration]) -> Summary {
    let micros: Vec<f64> = samples.iter().map(|s| s.as_secs_f64() * 1e6).collect();
    let total: f64 = micros.iter().sum();
    let longer_than = |part: f64| {
        let (mut low, mut high) = (0.0, micros.iter().copied().fold(0.0, f64::max));
        while high - low > 1.0 {
            let middle = (low + high) / 2.0;
            let beyond: f64 = micros.iter().map(|s| (s - middle).max(0.0)).sum();
            if beyond > total * part {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    };
    Summary {
        rate: micros.len() as f64 * 1e6 / total,
        p50: longer_than(0.5),
        p99: longer_than(0.01),
    }
}
