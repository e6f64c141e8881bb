//! The addresses of any DNS name.

use std::net::IpAddr;
use std::time::Duration;

use enmesh_identity::NodeName;

use crate::config::{
    ConfigError, Field, Fields, StrategyConfig, check_polling_interval, duration_text,
};
use crate::dns_keys::{Nameservers, take_interval};
use crate::source::{Source, SourceContext, SourceError};

const QUERY_ALLOWED: &str = "a DNS name of at most 253 characters, as in web.internal";
const NODE_BASENAME_ALLOWED: &str = "the part of the node names before the @";

/// Strategy `dns_poll`: `node_basename@ADDRESS` for each address of `query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPollConfig {
    /// Key `query`: the DNS name; the search list of resolv.conf applies.
    pub query: String,
    /// Key `node_basename`: the part of the node names before the `@`.
    pub node_basename: String,
    /// Key `polling_interval`, which libcluster's documentation calls `poll_interval`: the longest time between two look-ups, 100 ms to 1 h, by default
    /// 5 s. A shorter TTL brings the next look-up forward, to one second at the earliest.
    pub polling_interval: Duration,
    /// Key `nameserver`: who is asked in place of the name servers of resolv.conf.
    pub nameservers: Nameservers,
}

impl StrategyConfig for DnsPollConfig {
    const NAME: &'static str = "dns_poll";
    const ALIASES: &'static [&'static str] = &["Cluster.Strategy.DNSPoll"];
    const KEYS: &'static [&'static str] =
        &["query", "node_basename", "polling_interval", "nameserver"];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        Ok(Self {
            query: fields.required("query", QUERY_ALLOWED)?,
            node_basename: fields.required("node_basename", NODE_BASENAME_ALLOWED)?,
            polling_interval: take_interval(fields, Some("poll_interval"))?,
            nameservers: Nameservers::take(fields)?,
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let mut pairs = vec![
            ("query", Field::Text(self.query.clone())),
            ("node_basename", Field::Text(self.node_basename.clone())),
            (
                "polling_interval",
                Field::Text(duration_text(self.polling_interval)),
            ),
        ];
        pairs.extend(self.nameservers.pair());
        pairs
    }

    fn validate(&self) -> Result<(), ConfigError> {
        check_query("query", &self.query, QUERY_ALLOWED)?;
        check_basename("node_basename", &self.node_basename, NODE_BASENAME_ALLOWED)?;
        check_polling_interval(self.polling_interval)
    }

    #[cfg(feature = "dns")]
    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        use crate::dns::{DnsSource, Plan, Question};

        let question = Question::addresses(&self.query, &self.node_basename);
        let plan = Plan::of(question, self.polling_interval, &self.nameservers);
        Ok(Box::new(DnsSource::new(&plan, context)))
    }

    #[cfg(not(feature = "dns"))]
    fn source(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        crate::config::left_out::<Self>("dns")
    }
}

/// Refuses what no resolver could be asked for.
pub(crate) fn check_query(
    key: &'static str,
    query: &str,
    allowed: &'static str,
) -> Result<(), ConfigError> {
    let name = query.strip_suffix('.').unwrap_or(query);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if name.len() <= 253 && name.split('.').all(label) && query.parse::<IpAddr>().is_err() {
        return Ok(());
    }
    Err(ConfigError::BadValue {
        key,
        value: query.to_owned(),
        allowed,
    })
}

/// Refuses a base name that makes no node name.
pub(crate) fn check_basename(
    key: &'static str,
    basename: &str,
    allowed: &'static str,
) -> Result<(), ConfigError> {
    match NodeName::new(basename, "255.255.255.255") {
        Ok(_) => Ok(()),
        Err(_) => Err(ConfigError::BadValue {
            key,
            value: basename.to_owned(),
            allowed,
        }),
    }
}
