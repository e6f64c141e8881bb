//! The DNS discovery of Phoenix's dns_cluster.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::config::{
    ConfigError, Field, Fields, StrategyConfig, check_polling_interval, duration_text,
};
use crate::dns_keys::{Nameservers, PortFrom, take_interval};
use crate::dns_poll::{check_basename, check_query};
use crate::source::{Source, SourceContext, SourceError};

const QUERY_ALLOWED: &str = "1 to 32 DNS names separated by spaces, each alone or with a base name \
     before it, as in \"app.internal other/other.internal\", or :ignore";
const RESOURCE_TYPES_ALLOWED: &str = "one or more of a, aaaa and srv, as in a,aaaa";
const CONNECT_TIMEOUT_ALLOWED: &str =
    "a duration of at least 1ms, as in 10s, or milliseconds as a bare number";

/// What stands for "no query at all".
const IGNORE: &str = ":ignore";
const MAX_QUERIES: usize = 32;
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Strategy `dns_cluster`, with the options of dns_cluster: `BASENAME@ADDRESS` for each address of
/// each query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsClusterConfig {
    /// Key `query`: the DNS names, at most 32; the search list of resolv.conf applies. None, which
    /// is written `:ignore`, finds nobody.
    pub queries: Vec<DnsClusterQuery>,
    /// Key `resource_types`: the types that are asked for, by default A and AAAA.
    pub resource_types: ResourceTypes,
    /// Key `port`: where the port of the distribution comes from where SRV is asked for, by
    /// default from epmd: dns_cluster looks at the targets alone.
    pub port: PortFrom,
    /// Key `interval`, also called `polling_interval`: the longest time between two look-ups,
    /// 100 ms to 1 h, by default 5 s. A shorter TTL brings the next look-up forward, to one
    /// second at the earliest.
    pub polling_interval: Duration,
    /// Key `connect_timeout`, by default 10 s. It is understood and changes nothing: whoever
    /// connects has a limit of its own for each dial, and a slow one holds up nobody else.
    pub connect_timeout: Duration,
    /// Key `nameserver`: who is asked in place of the name servers of resolv.conf.
    pub nameservers: Nameservers,
}

/// One query of the strategy `dns_cluster`.
///
/// ```
/// use enmesh_discovery::DnsClusterQuery;
///
/// let query: DnsClusterQuery = "remote/remote.internal".parse().unwrap();
/// assert_eq!(query.basename(), Some("remote"));
/// assert_eq!(query.name(), "remote.internal");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsClusterQuery {
    basename: Option<String>,
    name: String,
}

impl DnsClusterQuery {
    /// The part before the `@` of the nodes behind it; our own where none is given.
    pub fn basename(&self) -> Option<&str> {
        self.basename.as_deref()
    }

    /// The DNS name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_query("query", &self.name, QUERY_ALLOWED)?;
        match &self.basename {
            Some(basename) => check_basename("query", basename, QUERY_ALLOWED),
            None => Ok(()),
        }
    }
}

impl FromStr for DnsClusterQuery {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        // No DNS name has a slash, and a base name may.
        let (basename, name) = match text.rsplit_once('/') {
            Some((basename, name)) => (Some(basename.to_owned()), name),
            None => (None, text),
        };
        let query = Self {
            basename,
            name: name.to_owned(),
        };
        query.check()?;
        Ok(query)
    }
}

impl fmt::Display for DnsClusterQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.basename {
            Some(basename) => write!(f, "{basename}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The types of records that the strategy `dns_cluster` asks for.
///
/// ```
/// use enmesh_discovery::ResourceTypes;
///
/// let types = ResourceTypes { srv: true, ..ResourceTypes::default() };
/// assert_eq!(types.to_string(), "a,aaaa,srv");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceTypes {
    /// IPv4 addresses.
    pub a: bool,
    /// IPv6 addresses.
    pub aaaa: bool,
    /// Services, whose targets are looked up.
    pub srv: bool,
}

impl Default for ResourceTypes {
    fn default() -> Self {
        Self {
            a: true,
            aaaa: true,
            srv: false,
        }
    }
}

impl ResourceTypes {
    const NONE: Self = Self {
        a: false,
        aaaa: false,
        srv: false,
    };

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let key = "resource_types";
        let words = match fields.list(key, RESOURCE_TYPES_ALLOWED) {
            Err(ConfigError::MissingKey { .. }) => return Ok(Self::default()),
            words => words?,
        };
        let mut types = Self::NONE;
        for word in &words {
            match word.as_str() {
                "a" => types.a = true,
                "aaaa" => types.aaaa = true,
                "srv" => types.srv = true,
                _ => {
                    return Err(ConfigError::BadValue {
                        key,
                        value: word.clone(),
                        allowed: RESOURCE_TYPES_ALLOWED,
                    });
                }
            }
        }
        Ok(types)
    }
}

impl fmt::Display for ResourceTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.a, "a"), (self.aaaa, "aaaa"), (self.srv, "srv")];
        let words = words.iter().filter(|(wanted, _)| *wanted);
        let words: Vec<_> = words.map(|(_, word)| *word).collect();
        f.write_str(&words.join(","))
    }
}

impl StrategyConfig for DnsClusterConfig {
    const NAME: &'static str = "dns_cluster";
    const ALIASES: &'static [&'static str] = &["DNSCluster"];
    const KEYS: &'static [&'static str] = &[
        "query",
        "resource_types",
        "port",
        "interval",
        "connect_timeout",
        "nameserver",
    ];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let words = fields.words("query", QUERY_ALLOWED)?;
        let queries = if words == [IGNORE] {
            Vec::new()
        } else if (1..=MAX_QUERIES).contains(&words.len()) {
            let queries = words.iter().map(|word| word.parse());
            queries.collect::<Result<_, _>>()?
        } else {
            return Err(ConfigError::BadValue {
                key: "query",
                value: words.join(" "),
                allowed: QUERY_ALLOWED,
            });
        };
        let timeout = fields.duration("connect_timeout", CONNECT_TIMEOUT_ALLOWED)?;
        Ok(Self {
            queries,
            resource_types: ResourceTypes::take(fields)?,
            port: PortFrom::take(fields, PortFrom::Epmd)?,
            polling_interval: take_interval(fields, Some("interval"))?,
            connect_timeout: timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT),
            nameservers: Nameservers::take(fields)?,
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let queries: Vec<_> = self.queries.iter().map(ToString::to_string).collect();
        let queries = if queries.is_empty() {
            IGNORE.to_owned()
        } else {
            queries.join(" ")
        };
        let duration = |duration| Field::Text(duration_text(duration));
        let mut pairs = vec![
            ("query", Field::Text(queries)),
            (
                "resource_types",
                Field::Text(self.resource_types.to_string()),
            ),
            self.port.pair(),
            ("interval", duration(self.polling_interval)),
            ("connect_timeout", duration(self.connect_timeout)),
        ];
        pairs.extend(self.nameservers.pair());
        pairs
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.queries.len() > MAX_QUERIES {
            return Err(ConfigError::BadValue {
                key: "query",
                value: self.queries.len().to_string(),
                allowed: QUERY_ALLOWED,
            });
        }
        for query in &self.queries {
            query.check()?;
        }
        if self.resource_types == ResourceTypes::NONE {
            return Err(ConfigError::BadValue {
                key: "resource_types",
                value: String::new(),
                allowed: RESOURCE_TYPES_ALLOWED,
            });
        }
        if self.connect_timeout.is_zero() {
            return Err(ConfigError::BadValue {
                key: "connect_timeout",
                value: duration_text(self.connect_timeout),
                allowed: CONNECT_TIMEOUT_ALLOWED,
            });
        }
        check_polling_interval(self.polling_interval)
    }

    #[cfg(feature = "dns")]
    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        use crate::dns::{DnsSource, Families, HostPart, Plan, QueryName, Question, Records};

        if self.queries.is_empty() {
            return Ok(Box::<Nobody>::default());
        }
        let question = |query: &DnsClusterQuery| Question {
            name: QueryName::Searched(query.name.clone()),
            basename: query.basename().unwrap_or(context.own().alive()).to_owned(),
            records: Records {
                a: self.resource_types.a,
                aaaa: self.resource_types.aaaa,
                srv: self.resource_types.srv,
            },
            host_part: HostPart::Address,
            families: Families::Both,
            port: self.port,
        };
        let plan = Plan {
            questions: self.queries.iter().map(question).collect(),
            interval: self.polling_interval,
            lookup_timeout: crate::dns_keys::LOOKUP_TIMEOUT,
            nameservers: self.nameservers.clone(),
        };
        Ok(Box::new(DnsSource::new(&plan, context)))
    }

    #[cfg(not(feature = "dns"))]
    fn source(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        crate::config::left_out::<Self>("dns")
    }
}

/// The source of `:ignore`: nobody is there, and nothing else is ever said.
#[cfg(feature = "dns")]
#[derive(Debug, Default)]
struct Nobody {
    said: bool,
}

#[cfg(feature = "dns")]
impl Source for Nobody {
    fn next(
        &mut self,
    ) -> std::pin::Pin<Box<dyn Future<Output = enmesh_membership::Update> + Send + '_>> {
        Box::pin(async {
            if std::mem::replace(&mut self.said, true) {
                std::future::pending::<()>().await;
            }
            enmesh_membership::Update::Snapshot(Vec::new())
        })
    }
}
