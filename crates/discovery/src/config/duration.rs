//! Durations as people write them.

use std::time::Duration;

use super::ConfigError;

/// How long a polling strategy waits between two look-ups where nothing is said.
pub(crate) const DEFAULT_POLLING_INTERVAL: Duration = Duration::from_secs(5);

/// What a polling interval may be.
pub(crate) const POLLING_INTERVAL_ALLOWED: &str =
    "a duration from 100ms to 1h, as in 5s, or milliseconds as a bare number";

const MIN_POLLING_INTERVAL: Duration = Duration::from_millis(100);
const MAX_POLLING_INTERVAL: Duration = Duration::from_secs(3600);

/// `500ms`, `5s`, `2m`, `1h`; a bare number counts milliseconds, as libcluster's options do.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit.trim_start() {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

/// `duration` as [`parse_duration`] reads it back.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1_000) {
        format!("{}s", millis / 1_000)
    } else {
        format!("{millis}ms")
    }
}

/// Refuses an interval that would hammer, or as good as never ask.
pub(crate) fn check_polling_interval(interval: Duration) -> Result<(), ConfigError> {
    if (MIN_POLLING_INTERVAL..=MAX_POLLING_INTERVAL).contains(&interval) {
        return Ok(());
    }
    Err(ConfigError::BadValue {
        key: "polling_interval",
        value: duration_text(interval),
        allowed: POLLING_INTERVAL_ALLOWED,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, millis: u64) {
        assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)));
    }

    #[test]
    fn a_bare_number_counts_milliseconds() {
        check("5000", 5_000);
        check("0", 0);
    }

    #[test]
    fn units_reach_from_milliseconds_to_hours() {
        check("250ms", 250);
        check("5s", 5_000);
        check("5 s", 5_000);
        check("2m", 120_000);
        check("1h", 3_600_000);
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "-1", "1.5s", "5 days", "18446744073709551615h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn durations_are_read_back(millis in 0..u64::MAX / 2) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&duration_text(duration)), Some(duration));
        }
    }
}
