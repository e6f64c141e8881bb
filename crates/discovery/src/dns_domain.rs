//! gen_cluster's `dns` discovery.

use std::time::Duration;

use crate::config::{
    ConfigError, Field, Fields, StrategyConfig, check_polling_interval, duration_text,
};
use crate::dns_keys::{LOOKUP_TIMEOUT, Nameservers, PortFrom, take_interval};
use crate::dns_poll::{check_basename, check_query};
use crate::source::{Source, SourceContext, SourceError};

const DOMAIN_ALLOWED: &str =
    "a DNS name of at most 253 characters, as in web-headless.prod or _dist._tcp.web-headless.prod";
const RECORD_TYPE_ALLOWED: &str = "ip or srv";
const HOST_TYPE_ALLOWED: &str = "ip or hostname";
const IPV6_ALLOWED: &str = "true or false";
const NODE_BASENAME_ALLOWED: &str = "the part of the node names before the @";
const LOOKUP_TIMEOUT_ALLOWED: &str =
    "a duration from 100ms to 20s, as in 5s, or milliseconds as a bare number";

const MIN_LOOKUP_TIMEOUT: Duration = Duration::from_millis(100);
const MAX_LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);

/// Strategy `dns`, with the options of gen_cluster: `NAME@ADDRESS` or `NAME@HOST` for each address
/// or SRV record of `domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// Key `domain`: the DNS name; the search list of resolv.conf applies.
    pub domain: String,
    /// Key `record_type`: addresses (the default) or SRV records.
    pub record_type: RecordType,
    /// Key `host_type`: what stands behind the `@`; by default `ip` for addresses and `hostname`
    /// for SRV records.
    pub host_type: HostType,
    /// Key `ipv6`: whether AAAA is asked for in place of A, never both; by default not.
    pub ipv6: bool,
    /// Key `lookup_timeout`: the longest that one look-up takes, 100 ms to 20 s, by default 5 s.
    pub lookup_timeout: Duration,
    /// Key `port`: where the port of the distribution comes from, by default from the SRV record,
    /// as gen_cluster carries it. Without one, epmd is asked.
    pub port: PortFrom,
    /// Key `node_basename`: the part of the node names before the `@`, by default our own.
    pub node_basename: Option<String>,
    /// Key `polling_interval`, which gen_cluster calls `refresh_interval_ms`: the longest time
    /// between two look-ups, 100 ms to 1 h, by default 5 s. A shorter TTL brings the next look-up
    /// forward, to one second at the earliest.
    pub polling_interval: Duration,
    /// Key `nameserver`: who is asked in place of the name servers of resolv.conf.
    pub nameservers: Nameservers,
}

/// Which records the strategy `dns` asks for.
///
/// ```
/// assert_ne!(enmesh_discovery::RecordType::Ip, enmesh_discovery::RecordType::Srv);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// Addresses: A, or AAAA with `ipv6`.
    Ip,
    /// Services: SRV.
    Srv,
}

/// What stands behind the `@` of the nodes that the strategy `dns` finds.
///
/// ```
/// assert_ne!(enmesh_discovery::HostType::Ip, enmesh_discovery::HostType::Hostname);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostType {
    /// The address; the targets of SRV records are looked up.
    Ip,
    /// The target of an SRV record, or the reverse name (PTR) of an address.
    Hostname,
}

impl StrategyConfig for DnsConfig {
    const NAME: &'static str = "dns";
    const ALIASES: &'static [&'static str] = &[];
    const KEYS: &'static [&'static str] = &[
        "domain",
        "record_type",
        "host_type",
        "ipv6",
        "lookup_timeout",
        "port",
        "node_basename",
        "polling_interval",
        "nameserver",
    ];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let record_type = match word(fields, "record_type", RECORD_TYPE_ALLOWED, &["ip", "srv"])? {
            Some("srv") => RecordType::Srv,
            _ => RecordType::Ip,
        };
        let host_type = match word(fields, "host_type", HOST_TYPE_ALLOWED, &["ip", "hostname"])? {
            Some("ip") => HostType::Ip,
            Some(_) => HostType::Hostname,
            None if record_type == RecordType::Srv => HostType::Hostname,
            None => HostType::Ip,
        };
        let timeout = fields.duration("lookup_timeout", LOOKUP_TIMEOUT_ALLOWED)?;
        Ok(Self {
            domain: fields.required("domain", DOMAIN_ALLOWED)?,
            record_type,
            host_type,
            ipv6: fields.parsed("ipv6", IPV6_ALLOWED, false)?,
            lookup_timeout: timeout.unwrap_or(LOOKUP_TIMEOUT),
            port: PortFrom::take(fields, PortFrom::Srv)?,
            node_basename: fields.text("node_basename", NODE_BASENAME_ALLOWED)?,
            polling_interval: take_interval(fields, Some("refresh_interval_ms"))?,
            nameservers: Nameservers::take(fields)?,
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let text = |text: &str| Field::Text(text.to_owned());
        let mut pairs = vec![
            ("domain", text(&self.domain)),
            (
                "record_type",
                text(match self.record_type {
                    RecordType::Ip => "ip",
                    RecordType::Srv => "srv",
                }),
            ),
            (
                "host_type",
                text(match self.host_type {
                    HostType::Ip => "ip",
                    HostType::Hostname => "hostname",
                }),
            ),
            ("ipv6", Field::Text(self.ipv6.to_string())),
            (
                "lookup_timeout",
                Field::Text(duration_text(self.lookup_timeout)),
            ),
            self.port.pair(),
        ];
        let basename = self.node_basename.as_deref();
        pairs.extend(basename.map(|name| ("node_basename", text(name))));
        let interval = Field::Text(duration_text(self.polling_interval));
        pairs.push(("polling_interval", interval));
        pairs.extend(self.nameservers.pair());
        pairs
    }

    fn validate(&self) -> Result<(), ConfigError> {
        check_query("domain", &self.domain, DOMAIN_ALLOWED)?;
        if let Some(basename) = &self.node_basename {
            check_basename("node_basename", basename, NODE_BASENAME_ALLOWED)?;
        }
        if !(MIN_LOOKUP_TIMEOUT..=MAX_LOOKUP_TIMEOUT).contains(&self.lookup_timeout) {
            return Err(ConfigError::BadValue {
                key: "lookup_timeout",
                value: duration_text(self.lookup_timeout),
                allowed: LOOKUP_TIMEOUT_ALLOWED,
            });
        }
        check_polling_interval(self.polling_interval)
    }

    #[cfg(feature = "dns")]
    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        use crate::dns::{DnsSource, Families, HostPart, Plan, QueryName, Question, Records};

        let srv = self.record_type == RecordType::Srv;
        let basename = self.node_basename.as_deref();
        let question = Question {
            name: QueryName::Searched(self.domain.clone()),
            basename: basename.unwrap_or(context.own().alive()).to_owned(),
            records: Records {
                a: !srv && !self.ipv6,
                aaaa: !srv && self.ipv6,
                srv,
            },
            host_part: match self.host_type {
                HostType::Ip => HostPart::Address,
                HostType::Hostname => HostPart::Hostname,
            },
            families: if self.ipv6 {
                Families::V6
            } else {
                Families::V4
            },
            port: self.port,
        };
        let plan = Plan {
            questions: vec![question],
            interval: self.polling_interval,
            lookup_timeout: self.lookup_timeout,
            nameservers: self.nameservers.clone(),
        };
        Ok(Box::new(DnsSource::new(&plan, context)))
    }

    #[cfg(not(feature = "dns"))]
    fn source(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        crate::config::left_out::<Self>("dns")
    }
}

/// The value of `key`, one of `words`.
fn word(
    fields: &mut Fields,
    key: &'static str,
    allowed: &'static str,
    words: &[&'static str],
) -> Result<Option<&'static str>, ConfigError> {
    let Some(text) = fields.text(key, allowed)? else {
        return Ok(None);
    };
    match words.iter().find(|word| **word == text) {
        Some(word) => Ok(Some(word)),
        None => Err(ConfigError::BadValue {
            key,
            value: text,
            allowed,
        }),
    }
}
