//! How far apart the look-ups of several nodes are drawn.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::time::Duration;

/// How finely a [`Jitter`] is kept.
const PARTS: u16 = 1_000;

/// Which part of each polling interval is added to it by chance, so that nodes that were started
/// together do not ask together for ever: 0 to 1 in thousandths, 0.1 by default. An interval is
/// never shortened, for what was answered may be cached until then.
///
/// ```
/// use enmesh_discovery::Jitter;
///
/// let jitter: Jitter = "0.25".parse()?;
/// assert_eq!(jitter.to_string(), "0.25");
/// assert_eq!(Jitter::default().to_string(), "0.1");
/// # Ok::<(), enmesh_discovery::JitterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter {
    parts: u16,
}

/// The text is no number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("jitter is a number from 0 to 1, as in 0.1")]
pub struct JitterError;

impl Jitter {
    /// Intervals are kept as they are.
    pub const NONE: Self = Self { parts: 0 };

    /// `interval`, and up to this part of it longer: another value each time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use enmesh_discovery::Jitter;
    ///
    /// let interval = Duration::from_secs(5);
    /// assert!(Jitter::default().spread(interval) >= interval);
    /// assert_eq!(Jitter::NONE.spread(interval), interval);
    /// ```
    pub fn spread(self, interval: Duration) -> Duration {
        // Hashers of the standard library are seeded by the system, each in another way: enough to
        // draw nodes apart.
        self.spread_with(interval, RandomState::new().hash_one(0_u8))
    }

    fn spread_with(self, interval: Duration, seed: u64) -> Duration {
        let most = interval / u32::from(PARTS) * u32::from(self.parts);
        interval.saturating_add(most / 1_024 * (seed % 1_025) as u32)
    }
}

impl Default for Jitter {
    fn default() -> Self {
        Self { parts: PARTS / 10 }
    }
}

impl FromStr for Jitter {
    type Err = JitterError;

    fn from_str(text: &str) -> Result<Self, JitterError> {
        match text.parse::<f64>() {
            Ok(part) if (0.0..=1.0).contains(&part) => Ok(Self {
                parts: (part * f64::from(PARTS)).round() as u16,
            }),
            _ => Err(JitterError),
        }
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f64::from(self.parts) / f64::from(PARTS)).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_grows_by_no_more_than_its_part_and_never_shrinks() {
        let interval = Duration::from_secs(5);
        let tenth = Jitter::default();
        assert_eq!(tenth.spread_with(interval, 0), interval);
        let longest = tenth.spread_with(interval, 1_024);
        assert!(longest > Duration::from_millis(5_499), "{longest:?}");
        for seed in [1, 500, 1_023, u64::MAX] {
            let drawn = tenth.spread_with(interval, seed);
            assert!((interval..=longest).contains(&drawn), "{seed}: {drawn:?}");
        }
        assert!(longest <= Duration::from_millis(5_500), "{longest:?}");
        assert_eq!(Jitter::NONE.spread_with(interval, u64::MAX), interval);
    }

    #[test]
    fn it_is_drawn_anew_each_time() {
        let interval = Duration::from_secs(5);
        let first = Jitter::default().spread(interval);
        assert!((0..1_000).any(|_| Jitter::default().spread(interval) != first));
    }

    #[test]
    fn it_is_a_number_from_nought_to_one() {
        for (text, shown) in [("0", "0"), ("1", "1"), ("0.1", "0.1"), ("0.0125", "0.013")] {
            assert_eq!(text.parse::<Jitter>().unwrap().to_string(), shown);
        }
        for text in ["", "-0.1", "1.01", "NaN", "inf", "10%", "0,1"] {
            assert_eq!(text.parse::<Jitter>(), Err(JitterError), "{text}");
        }
    }
}
