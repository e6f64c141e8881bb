//! Whose wrong cookie was said, of those that are no peers of ours.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use enmesh_identity::NodeName;

/// How many names of strangers are remembered. When full, the oldest makes room if it is older
/// than [`QUIET`]; otherwise nothing is said of the new one.
const MAX_STRANGERS: usize = 64;

/// How long nothing more is said of a stranger.
const QUIET: Duration = Duration::from_secs(10);

/// A bounded memory of names that mere strangers claimed, so that a flood of them cannot flood
/// the log.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    said: VecDeque<(Instant, NodeName)>,
}

impl Strangers {
    pub(super) fn is_news(&mut self, now: Instant, name: &NodeName) -> bool {
        while self
            .said
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > QUIET)
        {
            self.said.pop_front();
        }
        if self.said.len() >= MAX_STRANGERS || self.said.iter().any(|(_, said)| said == name) {
            return false;
        }
        self.said.push_back((now, name.clone()));
        true
    }
}

#[cfg(test)]
mod tests {
    // A test has no driver to take the time from.
    #![allow(clippy::disallowed_methods)]

    use super::*;

    #[test]
    fn a_flood_of_names_is_said_for_a_bounded_number() {
        let (mut strangers, start) = (Strangers::default(), Instant::now());
        let said = (0..1000)
            .filter(|i| strangers.is_news(start, &format!("n{i}@h").parse().unwrap()))
            .count();
        assert_eq!(said, MAX_STRANGERS);
        let name = "n0@h".parse().unwrap();
        assert!(!strangers.is_news(start + QUIET, &name));
        assert!(strangers.is_news(start + QUIET + Duration::from_millis(1), &name));
    }
}
