//! When a source that is asked again and again is asked next.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::jitter::Jitter;
use crate::source::SourceContext;

/// At once at first, then after the interval with its jitter, or after a back-off where the last
/// time went wrong.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    jitter: Jitter,
    backoff: Backoff,
    due: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(interval: Duration, context: &SourceContext) -> Self {
        Self {
            interval,
            jitter: context.jitter(),
            backoff: Backoff::default(),
            due: None,
        }
    }

    /// Waits until it is time. Cancel safe: the time stays the same.
    pub(crate) async fn wait(&self) {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
    }

    /// The next time is counted from now.
    pub(crate) fn went(&mut self, well: bool) {
        let pause = if well {
            self.backoff.reset();
            self.jitter.spread(self.interval)
        } else {
            self.backoff.failed()
        };
        self.due = Some(Instant::now() + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waited(pace: &Pace) -> Duration {
        let begin = Instant::now();
        pace.wait().await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_time_at_once_then_at_the_interval_and_after_failures_by_the_back_off() {
        let context = SourceContext::new("own@h".parse().unwrap()).with_jitter(Jitter::NONE);
        let mut pace = Pace::new(Duration::from_secs(60), &context);
        assert_eq!(waited(&pace).await, Duration::ZERO);
        pace.went(true);
        assert_eq!(waited(&pace).await, Duration::from_secs(60));
        for _ in 0..9 {
            pace.went(false);
            assert!(waited(&pace).await <= crate::backoff::LONGEST);
        }
        pace.went(true);
        assert_eq!(waited(&pace).await, Duration::from_secs(60));
        pace.went(false);
        assert!(
            waited(&pace).await < Duration::from_secs(1),
            "the back-off began anew"
        );
    }
}
