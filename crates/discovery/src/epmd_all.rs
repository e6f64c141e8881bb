//! Every node that the port mappers of some hosts list.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use enmesh_identity::NodeName;
use enmesh_membership::Update;

use crate::config::{
    ConfigError, DEFAULT_POLLING_INTERVAL, Field, Fields, POLLING_INTERVAL_ALLOWED, StrategyConfig,
    check_polling_interval, duration_text,
};
use crate::epmd_hosts::{EpmdHosts, MAX_HOSTS};
use crate::source::{Source, SourceContext, SourceError};

const HOSTS_ALLOWED: &str =
    "1 to 1024 names or addresses of hosts, without a part before an @, separated by commas";

/// Strategy `epmd_all`, as in gen_cluster: whatever name stands in the epmd of these hosts, with
/// its port, so that nodes of different first names and several nodes of one host are found.
///
/// It is a strategy of its own beside `epmd`, whose `hosts` are names of nodes, so that no key
/// means two things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpmdAllConfig {
    /// Key `hosts`: the host parts of the names that are looked for, 1 to 1,024 of them; each is
    /// also where its epmd is asked. `None`, the default, and `localhost` mean our own.
    pub hosts: Option<Vec<String>>,
    /// Key `polling_interval`: the time between two rounds, 100 ms to 1 h, by default 5 s.
    pub polling_interval: Duration,
}

impl Default for EpmdAllConfig {
    fn default() -> Self {
        Self {
            hosts: None,
            polling_interval: DEFAULT_POLLING_INTERVAL,
        }
    }
}

impl StrategyConfig for EpmdAllConfig {
    const NAME: &'static str = "epmd_all";
    const ALIASES: &'static [&'static str] = &["gc_discover_epmd_all"];
    const KEYS: &'static [&'static str] = &["hosts", "polling_interval"];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let interval = fields.duration("polling_interval", POLLING_INTERVAL_ALLOWED)?;
        let hosts = match fields.has("hosts") {
            true => Some(fields.list("hosts", HOSTS_ALLOWED)?),
            false => None,
        };
        Ok(Self {
            hosts,
            polling_interval: interval.unwrap_or(DEFAULT_POLLING_INTERVAL),
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let interval = duration_text(self.polling_interval);
        let hosts = self
            .hosts
            .clone()
            .map(|hosts| ("hosts", Field::List(hosts)));
        let interval = ("polling_interval", Field::Text(interval));
        hosts.into_iter().chain([interval]).collect()
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let refused = |value: String| ConfigError::BadValue {
            key: "hosts",
            value,
            allowed: HOSTS_ALLOWED,
        };
        if let Some(hosts) = &self.hosts {
            if hosts.is_empty() || hosts.len() > MAX_HOSTS {
                return Err(refused(format!("{} hosts", hosts.len())));
            }
            if let Some(bad) = hosts.iter().find(|host| !is_host(host)) {
                return Err(refused(bad.clone()));
            }
        }
        check_polling_interval(self.polling_interval)
    }

    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        let own_host = || vec![context.own().host().as_str().to_owned()];
        Ok(Box::new(EpmdAllSource {
            hosts: distinct(self.hosts.clone().unwrap_or_else(own_host)),
            epmds: EpmdHosts::new(context, Some(self.polling_interval)),
        }))
    }
}

/// Whether `text` can be the host part of a name.
pub(crate) fn is_host(text: &str) -> bool {
    NodeName::new("a", text).is_ok() && !text.contains(',')
}

/// Each host once, in the order of the list.
pub(crate) fn distinct(hosts: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let mut hosts = hosts;
    hosts.retain(|host| seen.insert(host.clone()));
    hosts
}

#[derive(Debug)]
struct EpmdAllSource {
    hosts: Vec<String>,
    epmds: EpmdHosts,
}

impl Source for EpmdAllSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        let hosts = &self.hosts;
        Box::pin(self.epmds.next(|| Ok(hosts.clone())))
    }
}

#[cfg(test)]
mod tests {
    use enmesh_membership::Sighting;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::TopologyConfig;

    fn refused(text: &str) -> String {
        text.parse::<TopologyConfig>().unwrap_err().to_string()
    }

    #[test]
    fn hosts_are_hosts_and_no_nodes() {
        assert!(refused("strategy=epmd_all hosts=a@b").contains("without a part before an @"));
        assert!(refused("strategy=epmd_all hosts=a,,b").contains("`` is not allowed"));
        let own: TopologyConfig = "strategy=epmd_all".parse().unwrap();
        assert_eq!(
            own.strategy,
            crate::Strategy::EpmdAll(EpmdAllConfig::default())
        );
    }

    /// A host that refuses the connection is no reason to wait with the others.
    #[tokio::test]
    async fn the_hosts_that_answer_are_heard_though_one_is_dead() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 3];
            socket.read_exact(&mut request).await.unwrap();
            assert_eq!(request, [0, 1, b'n']);
            let answer = b"\0\0\x11\x11name a at port 40001\nname rem-1 at port 40002\n";
            socket.write_all(answer).await.unwrap();
        };
        let config: TopologyConfig = "strategy=epmd_all hosts=127.0.0.2,127.0.0.1"
            .parse()
            .unwrap();
        let context = SourceContext::new("own@127.0.0.9".parse().unwrap()).with_epmd_port(port);
        let mut source = config.source(&context).unwrap();
        let (update, ()) = tokio::join!(source.next(), server);
        let name: NodeName = "a@127.0.0.1".parse().unwrap();
        let peer = enmesh_identity::PeerAddr::new(name).with_port(40_001);
        let present = vec![Sighting::from(peer).with_life(40_001)];
        let gone = vec![];
        assert_eq!(update, Update::Changed { present, gone });
        assert!(matches!(source.next().await, Update::Failed(_)));
    }
}
