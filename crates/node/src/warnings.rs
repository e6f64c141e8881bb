//! One warning per peer and reason in ten seconds, with a count of what was held back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long the same warning about the same peer is held back.
const QUIET: Duration = Duration::from_secs(10);

/// How many pairs of peer and reason are remembered; when full, a new one is let through and not
/// remembered, after what is older than [`QUIET`] was forgotten.
const MAX_REMEMBERED: usize = 1024;

/// Decides which warnings are said.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    said: HashMap<(String, &'static str), Said>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    held_back: u64,
}

impl Warnings {
    /// Whether to say `reason` about `peer` now; `Some(n)` tells how many of the same were held
    /// back since the last time.
    pub(crate) fn admit(&mut self, now: Instant, peer: &str, reason: &'static str) -> Option<u64> {
        let key = (peer.to_owned(), reason);
        if let Some(said) = self.said.get_mut(&key) {
            if now.saturating_duration_since(said.at) < QUIET {
                said.held_back += 1;
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.held_back));
        }
        if self.said.len() >= MAX_REMEMBERED {
            self.said
                .retain(|_, said| now.saturating_duration_since(said.at) < QUIET);
        }
        if self.said.len() < MAX_REMEMBERED {
            self.said.insert(
                key,
                Said {
                    at: now,
                    held_back: 0,
                },
            );
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_warning_is_said_once_in_ten_seconds_with_a_count() {
        let start = Instant::now();
        let mut warnings = Warnings::default();
        assert_eq!(warnings.admit(start, "a@h", "bad frame"), Some(0));
        assert_eq!(warnings.admit(start + QUIET / 2, "a@h", "bad frame"), None);
        assert_eq!(
            warnings.admit(start + QUIET / 2, "a@h", "wrong digest"),
            Some(0)
        );
        assert_eq!(
            warnings.admit(start + QUIET / 2, "b@h", "bad frame"),
            Some(0)
        );
        assert_eq!(warnings.admit(start + QUIET, "a@h", "bad frame"), Some(1));
        assert_eq!(
            warnings.admit(start + QUIET * 3, "a@h", "bad frame"),
            Some(0)
        );
    }

    #[test]
    fn the_memory_is_bounded() {
        let start = Instant::now();
        let mut warnings = Warnings::default();
        for peer in 0..3 * MAX_REMEMBERED {
            assert_eq!(
                warnings.admit(start, &peer.to_string(), "bad frame"),
                Some(0)
            );
        }
        assert!(warnings.said.len() <= MAX_REMEMBERED);
    }
}
