//! Whether a namespace names anybody at all: nobody may be right, and is most often a selector that
//! is not.

use std::time::Duration;

use tokio::time::Instant;

use super::tracker::Event;

/// How long a list may name nobody before somebody is told: of a pod that has just been started the
/// API does not know the address yet.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts until there is somebody, anew with each list.
#[derive(Debug, Default)]
pub(super) struct Census {
    has_anybody: bool,
    due: Option<Instant>,
    was_told: bool,
}

impl Census {
    /// Takes in what the API told, and answers whether it ends what somebody was told of.
    pub(super) fn take(&mut self, event: &Event) -> bool {
        match event {
            Event::ListBegins => {
                *self = Self {
                    was_told: self.was_told,
                    ..Self::default()
                }
            }
            Event::Listed(_, seen) | Event::Applied(_, seen) if !seen.is_empty() => {
                self.has_anybody = true;
                self.due = None;
                return std::mem::take(&mut self.was_told);
            }
            Event::ListEnds if !self.has_anybody && !self.was_told => {
                self.due = Some(Instant::now() + PATIENCE);
            }
            Event::ListEnds | Event::Listed(..) | Event::Applied(..) | Event::Deleted(_) => {}
        }
        false
    }

    /// Ends when somebody is to be told that nobody is there. Cancel safe.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Somebody was told.
    pub(super) fn told(&mut self) {
        self.due = None;
        self.was_told = true;
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::kubernetes::seen::Seen;

    fn applied() -> Event {
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        Event::Applied("web-1".into(), vec![Seen::at(vec![address], "prod")])
    }

    async fn is_due(census: &Census) -> bool {
        tokio::time::timeout(2 * PATIENCE, census.due())
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_service_is_told_once_and_its_end_once() {
        let mut census = Census::default();
        for event in [
            Event::ListBegins,
            Event::Listed("web".into(), Vec::new()),
            Event::ListEnds,
        ] {
            assert!(!census.take(&event));
        }
        let since = Instant::now();
        assert!(is_due(&census).await);
        assert!(since.elapsed() >= PATIENCE);
        census.told();
        for event in [Event::ListBegins, Event::ListEnds] {
            assert!(!census.take(&event));
        }
        assert!(!is_due(&census).await, "it is said once");
        assert!(census.take(&applied()));
        assert!(!census.take(&applied()));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_in_time_leaves_nothing_to_tell() {
        let mut census = Census::default();
        census.take(&Event::ListBegins);
        census.take(&Event::ListEnds);
        tokio::time::sleep(PATIENCE / 2).await;
        assert!(!census.take(&applied()));
        census.take(&Event::Deleted("web-1".into()));
        assert!(!is_due(&census).await);
    }
}
