//! Every node that the port mappers of the hosts in `.hosts.erlang` list.

mod file;
mod terms;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use enmesh_membership::Update;

use crate::config::{
    ConfigError, DEFAULT_POLLING_INTERVAL, Field, Fields, StrategyConfig, duration_text,
};
use crate::epmd_hosts::EpmdHosts;
use crate::source::{Source, SourceContext, SourceError};
use file::HostsFile;

const TIMEOUT_ALLOWED: &str = "a duration from 100ms, milliseconds as a bare number, or infinity";

/// The least time between two rounds.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

/// Strategy `erlang_hosts`: the hosts of the file `.hosts.erlang`, which is looked for in the
/// working directory, in the home directory and in the root of Erlang/OTP, as OTP's net_adm does.
/// The file is read anew for every round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErlangHostsConfig {
    /// Key `timeout`: the time between two rounds, at least 100 ms, by default 5 s. `None`, which
    /// is written `infinity` and is libcluster's default, means that nothing is asked again once
    /// every host has answered.
    pub timeout: Option<Duration>,
}

impl Default for ErlangHostsConfig {
    fn default() -> Self {
        Self {
            timeout: Some(DEFAULT_POLLING_INTERVAL),
        }
    }
}

impl StrategyConfig for ErlangHostsConfig {
    const NAME: &'static str = "erlang_hosts";
    const ALIASES: &'static [&'static str] = &["Cluster.Strategy.ErlangHosts"];
    const KEYS: &'static [&'static str] = &["timeout"];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let timeout = if fields.has("timeout") {
            fields.duration_or_infinity("timeout", TIMEOUT_ALLOWED)?
        } else {
            Self::default().timeout
        };
        Ok(Self { timeout })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let timeout = self.timeout.map(duration_text);
        let timeout = timeout.unwrap_or_else(|| "infinity".to_owned());
        vec![("timeout", Field::Text(timeout))]
    }

    fn validate(&self) -> Result<(), ConfigError> {
        match self.timeout {
            Some(timeout) if timeout < MIN_TIMEOUT => Err(ConfigError::BadValue {
                key: "timeout",
                value: duration_text(timeout),
                allowed: TIMEOUT_ALLOWED,
            }),
            _ => Ok(()),
        }
    }

    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(ErlangHostsSource {
            file: HostsFile::new(context.environment()),
            epmds: EpmdHosts::new(context, self.timeout),
        }))
    }
}

#[derive(Debug)]
struct ErlangHostsSource {
    file: HostsFile,
    epmds: EpmdHosts,
}

impl Source for ErlangHostsSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.epmds.next(|| self.file.read()))
    }
}

#[cfg(test)]
mod tests {
    use enmesh_epmd::{Server, ServerConfig};
    use enmesh_identity::NodeName;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;
    use crate::{Environment, TopologyConfig};

    fn names(update: Update) -> Vec<String> {
        match update {
            Update::Snapshot(peers) => peers.iter().map(|seen| seen.name().to_string()).collect(),
            other => panic!("{other:?} is no snapshot"),
        }
    }

    /// Registers a name as a node of OTP 23 or later does, for as long as the stream lives.
    async fn register(port: u16, alive: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut request = vec![
            0,
            13 + alive.len() as u8,
            b'x',
            0x9c,
            0x41,
            77,
            0,
            0,
            6,
            0,
            5,
            0,
        ];
        request.push(alive.len() as u8);
        request.extend_from_slice(alive.as_bytes());
        request.extend_from_slice(&[0, 0]);
        let after = u16::try_from(request.len() - 2).unwrap();
        request[..2].copy_from_slice(&after.to_be_bytes());
        stream.write_all(&request).await.unwrap();
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[..2], [118, 0]);
        stream
    }

    #[test]
    fn asked_once_or_at_each_timeout() {
        let timeout = |text: &str| match text.parse::<TopologyConfig>().unwrap().strategy {
            crate::Strategy::ErlangHosts(config) => config.timeout,
            other => panic!("{other:?}"),
        };
        let five = Duration::from_secs(5);
        assert_eq!(timeout("strategy=erlang_hosts"), Some(five));
        let module = "strategy=Cluster.Strategy.ErlangHosts timeout=infinity";
        assert_eq!(timeout(module), None);
        let short = "strategy=erlang_hosts timeout=99".parse::<TopologyConfig>();
        assert!(short.is_err());
    }

    #[tokio::test]
    async fn the_file_is_read_anew_for_each_round() {
        let mut config = ServerConfig::default();
        (config.listen, config.port) = (vec!["127.0.0.1".parse().unwrap()], 0);
        let server = Server::bind(config).unwrap();
        let port = server.port();
        let serving = tokio::spawn(server.run(Default::default()));
        let (_own, _web) = (register(port, "own").await, register(port, "web").await);
        let home = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(home.path().join(".hosts.erlang"), text).unwrap();
        let own: NodeName = "own@127.0.0.1".parse().unwrap();
        let environment = [("HOME", home.path().to_str().unwrap())];
        let context = SourceContext::new(own)
            .with_epmd_port(port)
            .with_environment(Environment::from_iter(environment));
        let topology: TopologyConfig = "strategy=erlang_hosts timeout=100ms".parse().unwrap();
        let mut source = topology.source(&context).unwrap();
        let failure = source.next().await;
        assert!(matches!(failure, Update::Failed(_)), "{failure:?}");
        write("'127.0.0.1'.\n");
        assert_eq!(names(source.next().await), ["web@127.0.0.1"]);
        write("localhost.\n'127.0.0.");
        assert!(matches!(source.next().await, Update::Failed(_)));
        write("'127.0.0.1'. localhost.\n");
        assert_eq!(names(source.next().await), ["web@127.0.0.1"]);
        serving.abort();
    }
}
