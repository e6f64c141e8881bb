//! The containers of our own service, by the metadata of Rancher 1.
//!
//! Rancher 1 can no longer be had. What is here was tried with answers as its documentation and
//! libcluster's source show them, and with nothing else.

mod answer;
#[cfg(feature = "rancher")]
mod fetch;
#[cfg(feature = "rancher")]
mod source;

use std::time::Duration;

use enmesh_identity::NodeName;

use crate::config::{
    ConfigError, DEFAULT_POLLING_INTERVAL, Field, Fields, POLLING_INTERVAL_ALLOWED, StrategyConfig,
    check_polling_interval, duration_text,
};
use crate::source::{Source, SourceContext, SourceError};

const BASENAME_ALLOWED: &str = "the part of the nodes' names before the @, as in web";
const URL_ALLOWED: &str = "http://HOST[:PORT]/PATH, without TLS";

/// Where Rancher serves the metadata of the service that the asking container is of.
const DEFAULT_URL: &str = "http://rancher-metadata/latest/self/service";

/// Strategy `rancher`: the first address of each container of our own service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RancherConfig {
    /// Key `node_basename`: the part of the nodes' names before the `@`.
    pub node_basename: String,
    /// Key `metadata_url`: what is asked, by default `http://rancher-metadata/latest/self/service`.
    pub metadata_url: String,
    /// Key `polling_interval`: the time between two questions, 100 ms to 1 h, by default 5 s.
    pub polling_interval: Duration,
}

impl RancherConfig {
    /// Containers whose nodes have this first part of the name, asked for every 5 seconds.
    pub fn new(node_basename: impl Into<String>) -> Self {
        Self {
            node_basename: node_basename.into(),
            metadata_url: DEFAULT_URL.to_owned(),
            polling_interval: DEFAULT_POLLING_INTERVAL,
        }
    }
}

impl StrategyConfig for RancherConfig {
    const NAME: &'static str = "rancher";
    const ALIASES: &'static [&'static str] = &["Cluster.Strategy.Rancher"];
    const KEYS: &'static [&'static str] = &["node_basename", "metadata_url", "polling_interval"];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let config = Self::new(fields.required("node_basename", BASENAME_ALLOWED)?);
        let url = fields.text("metadata_url", URL_ALLOWED)?;
        let interval = fields.duration("polling_interval", POLLING_INTERVAL_ALLOWED)?;
        Ok(Self {
            metadata_url: url.unwrap_or(config.metadata_url),
            polling_interval: interval.unwrap_or(config.polling_interval),
            node_basename: config.node_basename,
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let interval = duration_text(self.polling_interval);
        vec![
            ("node_basename", Field::Text(self.node_basename.clone())),
            ("metadata_url", Field::Text(self.metadata_url.clone())),
            ("polling_interval", Field::Text(interval)),
        ]
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let refused = |key, value: &String, allowed| ConfigError::BadValue {
            key,
            value: value.clone(),
            allowed,
        };
        if NodeName::new(&self.node_basename, "10.0.0.1").is_err() {
            let value = &self.node_basename;
            return Err(refused("node_basename", value, BASENAME_ALLOWED));
        }
        if place(&self.metadata_url).is_none() {
            return Err(refused("metadata_url", &self.metadata_url, URL_ALLOWED));
        }
        check_polling_interval(self.polling_interval)
    }

    #[cfg(feature = "rancher")]
    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(source::RancherSource::new(self, context)))
    }

    #[cfg(not(feature = "rancher"))]
    fn source(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        crate::config::left_out::<Self>("rancher")
    }
}

/// Host, port and path of a URL; none if it is not what we can ask.
fn place(url: &str) -> Option<(&str, u16, &str)> {
    let rest = url.strip_prefix("http://")?;
    let is_plain = |c: char| c.is_ascii_graphic() && c != '#' && c != '@';
    if !rest.chars().all(is_plain) {
        return None;
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let end_of_v6 = authority.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match authority[end_of_v6..].split_once(':') {
        Some((host, port)) => (&authority[..end_of_v6 + host.len()], port.parse().ok()?),
        None => (authority, 80),
    };
    let host = host
        .strip_prefix('[')
        .map_or(Some(host), |host| host.strip_suffix(']'))?;
    (!host.is_empty() && port != 0).then_some((host, port, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopologyConfig;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, expected) in [
            (
                DEFAULT_URL,
                Some(("rancher-metadata", 80, "/latest/self/service")),
            ),
            ("http://10.0.0.1:8080", Some(("10.0.0.1", 8080, "/"))),
            ("http://[fd00::1]:81/x?y=z", Some(("fd00::1", 81, "/x?y=z"))),
            ("http://[fd00::1]/", Some(("fd00::1", 80, "/"))),
            ("https://rancher-metadata/", None),
            ("http:///x", None),
            ("http://h:0/", None),
            ("http://h:x/", None),
            ("http://h/a b", None),
            ("http://me@h/", None),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
    }

    #[test]
    fn libcluster_s_options_are_understood() {
        let text = "strategy=Cluster.Strategy.Rancher node_basename=web polling_interval=1000";
        let topology: TopologyConfig = text.parse().unwrap();
        assert_eq!(topology.to_string().parse(), Ok(topology));
        for bad in [
            "strategy=rancher",
            "strategy=rancher node_basename=a@b",
            "strategy=rancher node_basename=a metadata_url=ftp://x",
        ] {
            assert!(bad.parse::<TopologyConfig>().is_err(), "{bad}");
        }
    }
}
