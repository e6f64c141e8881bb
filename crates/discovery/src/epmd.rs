//! A fixed list of node names.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::Update;
use tokio::time::Instant;

use crate::config::{ConfigError, Field, Fields, StrategyConfig, duration_text};
use crate::source::{MAX_PEERS_PER_UPDATE, Source, SourceContext, SourceError};

const HOSTS_ALLOWED: &str = "1 to 10000 node names separated by commas, as in b@127.0.0.1";
const TIMEOUT_ALLOWED: &str = "a duration from 100ms, milliseconds as a bare number, or infinity";

/// The least time between two announcements of the same list.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

/// Strategy `epmd`: these nodes, whose ports their own port mappers know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpmdConfig {
    /// Key `hosts`: the node names, 1 to 10,000 of them.
    pub hosts: Vec<NodeName>,
    /// Key `timeout`: how often the list is announced again, at least 100 ms. `None`, which is
    /// the default and is written `infinity`, announces it once: peers that are lost are dialled
    /// again in any case.
    pub timeout: Option<Duration>,
}

impl StrategyConfig for EpmdConfig {
    const NAME: &'static str = "epmd";
    const ALIASES: &'static [&'static str] = &["Cluster.Strategy.Epmd"];
    const KEYS: &'static [&'static str] = &["hosts", "timeout"];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let mut hosts = Vec::new();
        for value in fields.list("hosts", HOSTS_ALLOWED)? {
            match value.parse() {
                Ok(name) => hosts.push(name),
                Err(_) => {
                    return Err(ConfigError::BadValue {
                        key: "hosts",
                        value,
                        allowed: HOSTS_ALLOWED,
                    });
                }
            }
        }
        let timeout = fields.duration_or_infinity("timeout", TIMEOUT_ALLOWED)?;
        Ok(Self { hosts, timeout })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let hosts = self.hosts.iter().map(NodeName::to_string).collect();
        let timeout = self
            .timeout
            .map_or_else(|| "infinity".to_owned(), duration_text);
        vec![
            ("hosts", Field::List(hosts)),
            ("timeout", Field::Text(timeout)),
        ]
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.hosts.is_empty() || self.hosts.len() > MAX_PEERS_PER_UPDATE {
            let value = format!("{} names", self.hosts.len());
            return Err(ConfigError::BadValue {
                key: "hosts",
                value,
                allowed: HOSTS_ALLOWED,
            });
        }
        match self.timeout {
            Some(timeout) if timeout < MIN_TIMEOUT => {
                let value = duration_text(timeout);
                Err(ConfigError::BadValue {
                    key: "timeout",
                    value,
                    allowed: TIMEOUT_ALLOWED,
                })
            }
            _ => Ok(()),
        }
    }

    fn source(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(EpmdSource::new(self)))
    }
}

/// Says the list once, and again after each timeout.
#[derive(Debug)]
pub(crate) struct EpmdSource {
    peers: Vec<PeerAddr>,
    timeout: Option<Duration>,
    due: Option<Instant>,
    said: bool,
}

impl EpmdSource {
    pub(crate) fn new(config: &EpmdConfig) -> Self {
        let peers = config.hosts.iter().cloned().map(PeerAddr::new).collect();
        Self {
            peers,
            timeout: config.timeout,
            due: None,
            said: false,
        }
    }

    async fn announce(&mut self) -> Update {
        if self.said {
            match self.due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        }
        self.said = true;
        self.due = self.timeout.map(|timeout| Instant::now() + timeout);
        Update::snapshot(self.peers.clone())
    }
}

impl Source for EpmdSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.announce())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(timeout: Option<Duration>) -> EpmdSource {
        let hosts = vec!["foo@bar".parse().unwrap()];
        EpmdSource::new(&EpmdConfig { hosts, timeout })
    }

    fn names(update: Update) -> Vec<String> {
        match update {
            Update::Snapshot(peers) => peers.iter().map(|peer| peer.name().to_string()).collect(),
            other => panic!("{other:?} is no snapshot"),
        }
    }

    /// libcluster, epmd_test.exs: "starts GenServer and connects nodes".
    #[tokio::test(start_paused = true)]
    async fn starts_gen_server_and_connects_nodes() {
        let mut source = source(None);
        assert_eq!(names(source.next().await), ["foo@bar"]);
        let again = tokio::time::timeout(Duration::from_secs(86_400), source.next()).await;
        assert!(again.is_err());
    }

    /// libcluster, epmd_test.exs: "reconnects every time the configured timeout was reached".
    #[tokio::test(start_paused = true)]
    async fn reconnects_every_time_the_configured_timeout_was_reached() {
        let begin = Instant::now();
        let mut source = source(Some(Duration::from_millis(500)));
        for round in 0..3 {
            assert_eq!(names(source.next().await), ["foo@bar"]);
            let since = begin.elapsed().as_millis();
            assert!(
                (round * 500..round * 500 + 10).contains(&since),
                "{since} ms"
            );
        }
    }
}
