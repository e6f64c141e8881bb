//! Peers out of addresses: the source behind `kubernetes_dns` and `dns_poll`.

mod answer;
mod resolve;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use enmesh_membership::Update;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::source::{Source, SourceContext};
use answer::{Naming, Outcome};
use resolve::{Lookups, Setup};

/// The shortest time between two look-ups, however short a TTL is.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Looks one name up at each interval, or sooner where the TTL says so.
pub(crate) struct DnsSource {
    lookups: Lookups,
    naming: Naming,
    interval: Duration,
    due: Option<Instant>,
    backoff: Backoff,
}

impl DnsSource {
    pub(crate) fn new(
        query: &str,
        basename: &str,
        interval: Duration,
        context: &SourceContext,
    ) -> Self {
        let setup: Setup = Box::new(resolve::system_setup);
        Self::with_setup(query, basename, interval, context, setup)
    }

    fn with_setup(
        query: &str,
        basename: &str,
        interval: Duration,
        context: &SourceContext,
        setup: Setup,
    ) -> Self {
        Self {
            lookups: Lookups::new(query, setup),
            naming: Naming::new(query, basename, context.own()),
            interval,
            due: None,
            backoff: Backoff::default(),
        }
    }

    async fn poll(&mut self) -> Update {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
        let (v4, v6) = self.lookups.both().await;
        let Outcome { update, ttl } = self.naming.outcome(v4, v6);
        let pause = match ttl {
            Some(ttl) => {
                self.backoff.reset();
                pause(ttl, self.interval)
            }
            None => self.backoff.failed(),
        };
        self.due = Some(Instant::now() + pause);
        update
    }
}

impl Source for DnsSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.poll())
    }
}

/// When to ask again: after the TTL, but at the interval at the latest.
fn pause(ttl: Duration, interval: Duration) -> Duration {
    ttl.max(SHORTEST_PAUSE).min(interval)
}

#[cfg(test)]
mod tests;
