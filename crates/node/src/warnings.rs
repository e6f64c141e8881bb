//! One warning per peer and reason in ten seconds, with a count of what was held back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long the same warning about the same peer is held back.
const QUIET: Duration = Duration::from_secs(10);

/// How many pairs of peer and reason are remembered. When full, after what is older than [`QUIET`]
/// was forgotten, all further peers count as one, so that many of them cannot flood the log.
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
        self.admit_many(now, peer, reason, 1)
    }

    /// The same for `times` of them that came together.
    pub(crate) fn admit_many(
        &mut self,
        now: Instant,
        peer: &str,
        reason: &'static str,
        times: u64,
    ) -> Option<u64> {
        let is_old = |said: &Said| now.saturating_duration_since(said.at) >= QUIET;
        let mut key = (peer.to_owned(), reason);
        if self.said.len() >= MAX_REMEMBERED && !self.said.contains_key(&key) {
            self.said.retain(|_, said| !is_old(said));
            if self.said.len() >= MAX_REMEMBERED {
                key.0.clear();
            }
        }
        let Some(said) = self.said.get_mut(&key) else {
            let said = Said {
                at: now,
                held_back: 0,
            };
            self.said.insert(key, said);
            return Some(times.saturating_sub(1));
        };
        said.held_back += times;
        if !is_old(said) {
            return None;
        }
        said.at = now;
        Some(std::mem::take(&mut said.held_back).saturating_sub(1))
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
    fn neither_the_memory_nor_the_log_grows_with_the_number_of_peers() {
        let start = Instant::now();
        let mut warnings = Warnings::default();
        let said = (0..3 * MAX_REMEMBERED)
            .filter(|peer| {
                let admitted = warnings.admit(start, &peer.to_string(), "bad frame");
                admitted.is_some()
            })
            .count();
        assert_eq!(
            said,
            MAX_REMEMBERED + 1,
            "those over the limit count as one"
        );
        assert_eq!(warnings.said.len(), MAX_REMEMBERED + 1);
        let later = warnings.admit(start + QUIET, "somebody new", "bad frame");
        assert_eq!(later, Some(0), "there is room again");
        assert!(warnings.said.len() <= MAX_REMEMBERED);
    }

    #[test]
    fn what_comes_together_counts_each() {
        let start = Instant::now();
        let mut warnings = Warnings::default();
        assert_eq!(warnings.admit_many(start, "a@h", "dropped", 3), Some(2));
        assert_eq!(warnings.admit_many(start, "a@h", "dropped", 5), None);
        let later = warnings.admit_many(start + QUIET, "a@h", "dropped", 1);
        assert_eq!(later, Some(5));
    }
}
