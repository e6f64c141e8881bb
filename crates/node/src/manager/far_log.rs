//! What processes of other nodes print and log to us, because their group leader is ours.

use std::time::{Duration, Instant};

use enmesh_otp::{LogLevel, LogLine};
use tracing::{debug, error, info, warn};

/// How many lines are logged in a second; the others are counted, so that no node floods our log.
const MAX_LINES_A_SECOND: u32 = 100;

/// Logs the lines of other nodes.
#[derive(Debug, Default)]
pub(super) struct FarLog {
    /// When the second began that is running, and how many lines it has had.
    second: Option<(Instant, u32)>,
    lost: u64,
}

impl FarLog {
    /// Logs `lines`; `lost` more did not even wait to be logged.
    pub(super) fn log(&mut self, now: Instant, lines: Vec<LogLine>, lost: u64) {
        self.lost += lost;
        for line in lines {
            if !self.admit(now) {
                self.lost += 1;
                continue;
            }
            if self.lost > 0 {
                let count = std::mem::take(&mut self.lost);
                warn!(count, "log lines of other nodes lost");
            }
            say(&line);
        }
    }

    fn admit(&mut self, now: Instant) -> bool {
        let is_over =
            |since: Instant| now.saturating_duration_since(since) >= Duration::from_secs(1);
        match &mut self.second {
            Some((since, count)) if !is_over(*since) => {
                *count += 1;
                *count <= MAX_LINES_A_SECOND
            }
            second => {
                *second = Some((now, 1));
                true
            }
        }
    }
}

fn say(line: &LogLine) {
    let (node, text) = (line.node.as_str(), line.text.trim_end());
    match line.level {
        None => info!(node, text, "node printed"),
        Some(LogLevel::Debug) => debug!(node, text, "node logged"),
        Some(LogLevel::Info | LogLevel::Notice) => info!(node, text, "node logged"),
        Some(LogLevel::Warning) => warn!(node, text, "node logged"),
        Some(_) => error!(node, text, "node logged"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_a_bounded_number_of_lines() {
        let start = Instant::now();
        let mut log = FarLog::default();
        let admitted = |log: &mut FarLog, now| (0..1_000).filter(|_| log.admit(now)).count();
        assert_eq!(admitted(&mut log, start), 100);
        assert_eq!(admitted(&mut log, start + Duration::from_millis(999)), 0);
        assert_eq!(admitted(&mut log, start + Duration::from_secs(1)), 100);
    }
}
