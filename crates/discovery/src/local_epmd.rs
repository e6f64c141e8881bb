//! Every node that the port mapper of this machine knows.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use enmesh_epmd::EpmdError;
use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::{FailureKind, Update};

use crate::config::{
    ConfigError, DEFAULT_POLLING_INTERVAL, Field, Fields, POLLING_INTERVAL_ALLOWED, StrategyConfig,
    check_polling_interval, duration_text,
};
use crate::epmd_hosts::is_remote_shell;
use crate::failure::failed;
use crate::pace::Pace;
use crate::source::{MAX_PEERS_PER_UPDATE, Source, SourceContext, SourceError};

/// The longest that one question may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Strategy `local_epmd`: the nodes of this machine, as members of our own host part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalEpmdConfig {
    /// Key `polling_interval`: the time between two questions, 100 ms to 1 h, by default 5 s.
    pub polling_interval: Duration,
}

impl Default for LocalEpmdConfig {
    fn default() -> Self {
        Self {
            polling_interval: DEFAULT_POLLING_INTERVAL,
        }
    }
}

impl StrategyConfig for LocalEpmdConfig {
    const NAME: &'static str = "local_epmd";
    const ALIASES: &'static [&'static str] = &["Cluster.Strategy.LocalEpmd"];
    const KEYS: &'static [&'static str] = &["polling_interval"];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let interval = fields.duration("polling_interval", POLLING_INTERVAL_ALLOWED)?;
        Ok(Self {
            polling_interval: interval.unwrap_or(DEFAULT_POLLING_INTERVAL),
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        vec![(
            "polling_interval",
            Field::Text(duration_text(self.polling_interval)),
        )]
    }

    fn validate(&self) -> Result<(), ConfigError> {
        check_polling_interval(self.polling_interval)
    }

    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(LocalEpmdSource::new(self, context)))
    }
}

/// Asks the local epmd at each interval.
#[derive(Debug)]
pub(crate) struct LocalEpmdSource {
    own: NodeName,
    epmd: SocketAddr,
    pace: Pace,
    /// Whether the last good answer named anybody but us.
    had_peers: bool,
}

impl LocalEpmdSource {
    pub(crate) fn new(config: &LocalEpmdConfig, context: &SourceContext) -> Self {
        Self {
            own: context.own().clone(),
            epmd: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), context.epmd_port()),
            pace: Pace::new(config.polling_interval, context),
            had_peers: false,
        }
    }

    async fn poll(&mut self) -> Update {
        self.pace.wait().await;
        let answer = enmesh_epmd::names(self.epmd, TIMEOUT).await;
        self.pace.went(answer.is_ok());
        self.read(answer)
    }

    fn read(&mut self, answer: Result<Vec<(String, u16)>, EpmdError>) -> Update {
        let names = match answer {
            Ok(names) => names,
            Err(error) => return unreachable(self.epmd, &error),
        };
        let peers = peers(&self.own, names.iter().map(|(name, _)| name.as_str()));
        if peers.is_empty() && std::mem::take(&mut self.had_peers) {
            // An epmd that was just restarted knows nobody until the nodes have registered again.
            return failed(
                FailureKind::Empty,
                format!(
                    "epmd at {} suddenly knows no node, it may have been restarted",
                    self.epmd
                ),
            );
        }
        self.had_peers |= !peers.is_empty();
        Update::snapshot(peers)
    }
}

impl Source for LocalEpmdSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.poll())
    }
}

fn unreachable(epmd: SocketAddr, error: &EpmdError) -> Update {
    let kind = match error {
        EpmdError::TimedOut { .. } => FailureKind::TimedOut,
        EpmdError::Malformed { .. } | EpmdError::TooLong { .. } => FailureKind::Malformed,
        _ => FailureKind::Unreachable,
    };
    let text = match kind {
        FailureKind::Unreachable => format!("{error}; does any node or `epmd -daemon` run here?"),
        _ => format!(
            "{error}; is it an epmd that listens on port {}?",
            epmd.port()
        ),
    };
    failed(kind, text)
}

/// The peers that epmd's names make on our own host. Ports are left out: they change with each
/// restart of a node, and whoever dials asks epmd anyway.
fn peers<'n>(own: &NodeName, names: impl Iterator<Item = &'n str>) -> Vec<PeerAddr> {
    names
        .filter(|alive| !is_remote_shell(alive))
        .filter_map(|alive| NodeName::new(alive, own.host().as_str()).ok())
        .filter(|name| name != own)
        .take(MAX_PEERS_PER_UPDATE)
        .map(PeerAddr::new)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> LocalEpmdSource {
        let context = SourceContext::new("own@10.0.0.7".parse().unwrap());
        LocalEpmdSource::new(&LocalEpmdConfig::default(), &context)
    }

    fn answer(names: &[&str]) -> Result<Vec<(String, u16)>, EpmdError> {
        Ok(names
            .iter()
            .map(|name| ((*name).to_owned(), 40_000))
            .collect())
    }

    fn names(update: Update) -> Vec<String> {
        match update {
            Update::Snapshot(peers) => peers.iter().map(|peer| peer.name().to_string()).collect(),
            other => panic!("{other:?} is no snapshot"),
        }
    }

    #[test]
    fn names_become_nodes_of_our_own_host_without_ourselves_and_remote_shells() {
        let update = source().read(answer(&["a", "own", "rem-7f3a", "b", "not a name"]));
        assert_eq!(names(update), ["a@10.0.0.7", "b@10.0.0.7"]);
    }

    #[test]
    fn an_epmd_that_forgot_everybody_removes_nobody() {
        let mut source = source();
        assert_eq!(names(source.read(answer(&["own"]))), [""; 0]);
        assert_eq!(names(source.read(answer(&["a"]))), ["a@10.0.0.7"]);
        assert!(matches!(source.read(answer(&[])), Update::Failed(_)));
        assert_eq!(names(source.read(answer(&[]))), [""; 0]);
    }

    #[tokio::test]
    async fn an_absent_epmd_is_a_failure_and_not_an_empty_cluster() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let context = SourceContext::new("own@127.0.0.1".parse().unwrap()).with_epmd_port(port);
        let mut source = LocalEpmdSource::new(&LocalEpmdConfig::default(), &context);
        assert!(matches!(source.next().await, Update::Failed(_)));
    }

    #[tokio::test]
    async fn a_real_answer_is_read() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 3];
            socket.read_exact(&mut request).await.unwrap();
            assert_eq!(request, [0, 1, b'n']);
            let answer = b"\0\0\x11\x11name a at port 40001\nname own at port 40002\n";
            socket.write_all(answer).await.unwrap();
        };
        let context = SourceContext::new("own@127.0.0.1".parse().unwrap()).with_epmd_port(port);
        let mut source = LocalEpmdSource::new(&LocalEpmdConfig::default(), &context);
        let (update, ()) = tokio::join!(source.next(), server);
        assert_eq!(names(update), ["a@127.0.0.1"]);
    }
}
