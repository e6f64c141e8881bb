//! Peers out of DNS: the source behind all strategies that ask a name server.
//!
//! [`plan`] says what is asked, [`resolve`] asks it, [`answer`] reads what one question brought,
//! and [`ledger`] puts the questions together.

mod answer;
mod ledger;
mod plan;
mod records;
mod resolve;
mod search;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use enmesh_membership::{FailureKind, Update};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::dns_keys::Nameservers;
use crate::jitter::Jitter;
use crate::source::{Source, SourceContext};
use answer::Asker;
use ledger::Ledger;
pub(crate) use plan::{Families, HostPart, Plan, QueryName, Question, Records};
use resolve::{Lookups, Setup};

/// The shortest time between two look-ups, however short a TTL is.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Asks all questions of a plan at each interval, or sooner where a TTL says so.
pub(crate) struct DnsSource {
    lookups: Lookups,
    ledger: Ledger,
    asker: Asker,
    interval: Duration,
    jitter: Jitter,
    due: Option<Instant>,
    backoff: Backoff,
    /// Why the last answer was a part only, so that it is said once.
    missing: Option<String>,
}

impl DnsSource {
    pub(crate) fn new(plan: &Plan, context: &SourceContext) -> Self {
        let nameservers = plan.nameservers.clone();
        Self::with_setup(plan, context, Box::new(move || asking(&nameservers)))
    }

    fn with_setup(plan: &Plan, context: &SourceContext, setup: Setup) -> Self {
        Self {
            lookups: Lookups::new(plan, setup),
            ledger: Ledger::new(plan.questions.len()),
            asker: Asker {
                own: context.own().clone(),
                epmd_port: context.epmd_port(),
            },
            interval: plan.interval,
            jitter: context.jitter(),
            due: None,
            backoff: Backoff::default(),
            missing: None,
        }
    }

    async fn poll(&mut self) -> Update {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
        let readings = self.lookups.round(&self.asker).await;
        let ttl = readings.iter().filter_map(|reading| reading.ttl).min();
        let (update, missing) = self.ledger.update(readings);
        let pause = match (&update, ttl) {
            // Nobody is there yet: the server is well, and who comes is not kept waiting.
            (Update::Failed(failure), _) if is_negative(failure.kind()) => {
                self.backoff.failed().min(self.interval)
            }
            (Update::Failed(_), _) | (_, None) => self.backoff.failed(),
            (_, Some(ttl)) => {
                self.tell(missing.map(|why| why.text));
                self.backoff.reset();
                let pause = pause(ttl, self.interval);
                let spread = self.jitter.spread(pause);
                // Who comes is found a second after the TTL at the latest.
                if pause < self.interval {
                    spread.min(pause + SHORTEST_PAUSE)
                } else {
                    spread
                }
            }
        };
        self.due = Some(Instant::now() + pause);
        update
    }

    /// Says once that something is missing, and once that nothing is any more.
    fn tell(&mut self, missing: Option<String>) {
        if missing == self.missing {
            return;
        }
        match &missing {
            Some(reason) => warn!(%reason, "DNS tells a part only; nobody is removed for it"),
            None => info!("DNS tells everything again"),
        }
        self.missing = missing;
    }
}

impl Source for DnsSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.poll())
    }
}

/// The system's configuration, with other name servers if there are any.
fn asking(
    nameservers: &Nameservers,
) -> Result<(ResolverConfig, hickory_resolver::config::ResolverOpts), hickory_resolver::net::NetError>
{
    let system = resolve::system_setup();
    if nameservers.addresses().is_empty() {
        return system;
    }
    // Without a resolv.conf there is no search list, and the name servers are known all the same.
    let (config, options) = system.unwrap_or_default();
    let servers = nameservers.addresses().iter().map(|address| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        server.connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
        for connection in &mut server.connections {
            connection.port = address.port();
        }
        server
    });
    let search = config.search().to_vec();
    let domain = config.domain().cloned();
    let config = ResolverConfig::from_parts(domain, search, servers.collect());
    Ok((config, options))
}

/// Whether the server has said that nobody is there.
fn is_negative(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::NotFound | FailureKind::Empty)
}

/// When to ask again: after the TTL, but at the interval at the latest.
fn pause(ttl: Duration, interval: Duration) -> Duration {
    ttl.max(SHORTEST_PAUSE).min(interval)
}

#[cfg(test)]
mod tests;
