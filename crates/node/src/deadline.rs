//! Waiting for what a machine says is due.

use std::pin::Pin;
use std::time::Instant;

use tokio::time::Sleep;

/// Waits until `deadline`; for ever if nothing is pending. Cancel safe.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// The same for a loop that waits for the same deadline over and over: the runtime is told of it
/// once, which would else be its dearest part.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    set: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Alarm {
    /// Waits until `deadline`; for ever if nothing is pending. Cancel safe.
    pub(crate) async fn until(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return std::future::pending().await;
        };
        match &mut self.set {
            Some((set, _)) if *set == deadline => {}
            Some((set, sleep)) => {
                sleep.as_mut().reset(deadline.into());
                *set = deadline;
            }
            None => {
                let sleep = Box::pin(tokio::time::sleep_until(deadline.into()));
                self.set = Some((deadline, sleep));
            }
        }
        if let Some((_, sleep)) = &mut self.set {
            sleep.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_at_whatever_time_it_is_set_to() {
        let start = tokio::time::Instant::now();
        let after = |seconds| Some((start + Duration::from_secs(seconds)).into_std());
        let mut alarm = Alarm::default();
        for (seconds, expected) in [(5, 5), (5, 5), (9, 9), (7, 9), (20, 20)] {
            alarm.until(after(seconds)).await;
            assert_eq!(start.elapsed().as_secs(), expected);
        }
        let never = tokio::time::timeout(Duration::from_secs(3600), alarm.until(None));
        assert!(never.await.is_err());
        let cut = tokio::time::timeout(Duration::from_secs(1), alarm.until(after(7200)));
        assert!(cut.await.is_err());
        alarm.until(after(7200)).await;
        assert_eq!(start.elapsed().as_secs(), 7200);
    }
}
