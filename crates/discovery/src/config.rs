//! Which source a topology has, read from a string or from a table of a file.

mod duration;
mod error;
mod fields;
mod lexer;
mod strategy;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use enmesh_membership::TopologyName;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use duration::{
    DEFAULT_POLLING_INTERVAL, POLLING_INTERVAL_ALLOWED, check_polling_interval, duration_text,
};
pub use error::ConfigError;
pub(crate) use fields::{Field, Fields, words_text};
pub use strategy::Strategy;
pub(crate) use strategy::StrategyConfig;
#[cfg(not(all(
    feature = "kubernetes",
    feature = "dns",
    feature = "rancher",
    feature = "postgres"
)))]
pub(crate) use strategy::left_out;

use crate::jitter::Jitter;
use crate::source::{Source, SourceContext, SourceError};

const NAME_ALLOWED: &str = "1 to 64 letters, digits, or characters of _.-";
const WINDOW_ALLOWED: &str = "a duration from 0 to 1h, as in 2s, or milliseconds as a bare number";
const JITTER_ALLOWED: &str = "a number from 0 to 1, as in 0.1";

/// The longest stabilisation window. A change may wait ten times as long.
const MAX_WINDOW: Duration = Duration::from_secs(3600);

/// One topology: its name and the source of its peers.
///
/// It is written as `key=value` pairs, `strategy=epmd hosts=b@127.0.0.1,c@127.0.0.1 name=web`
/// ([`FromStr`], [`Display`](fmt::Display)), or as a table of a file (serde) with the same keys.
/// Values with white space stand in double quotes. Commas separate `hosts` and nothing else, so
/// a selector `app=web,tier=front` needs no quotes.
///
/// `name` is the strategy's name where it is not given. `stabilisation_window` and `jitter` are
/// keys of every strategy.
///
/// ```
/// use enmesh_discovery::TopologyConfig;
///
/// let config: TopologyConfig = "strategy=epmd hosts=b@127.0.0.1 name=web".parse()?;
/// assert_eq!(config.name.as_str(), "web");
/// # Ok::<(), enmesh_discovery::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyConfig {
    /// What logs and metrics call the topology.
    pub name: TopologyName,
    /// Where the peers come from.
    pub strategy: Strategy,
    /// Key `stabilisation_window`: for how long the set of peers that the source names must have
    /// been the same before who came or went counts, 0 to 1 h, by default 0. A set that never
    /// comes to rest counts after ten times as long.
    pub stabilisation_window: Duration,
    /// Key `jitter`: which part of each polling interval is added to it by chance.
    pub jitter: Jitter,
}

impl TopologyConfig {
    /// The topology `name` of these peers; all else has its default.
    pub fn new(name: TopologyName, strategy: Strategy) -> Self {
        Self {
            name,
            strategy,
            stabilisation_window: Duration::ZERO,
            jitter: Jitter::default(),
        }
    }

    /// Checks what parsing checks, for a value that was put together by hand.
    ///
    /// # Errors
    /// The first key whose value is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.stabilisation_window > MAX_WINDOW {
            return Err(ConfigError::BadValue {
                key: "stabilisation_window",
                value: duration_text(self.stabilisation_window),
                allowed: WINDOW_ALLOWED,
            });
        }
        self.strategy.validate()
    }

    /// The source that the topology names. It starts when it is first polled.
    ///
    /// # Errors
    /// [`SourceError::Config`] where [`validate`](Self::validate) fails, and
    /// [`SourceError::NotBuiltIn`] where the strategy was left out of this build.
    pub fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        self.validate()?;
        let context = context.clone().with_jitter(self.jitter);
        self.strategy.source(&context)
    }

    fn from_fields(mut fields: BTreeMap<String, Field>) -> Result<Self, ConfigError> {
        let strategy = match fields.remove("strategy") {
            None => return Err(ConfigError::NoStrategy),
            Some(field) => field.to_string(),
        };
        let name = fields.remove("name");
        let window = fields.remove("stabilisation_window");
        let jitter = fields.remove("jitter");
        let strategy = Strategy::from_fields(&strategy, fields)?;
        let name = name.map_or_else(|| strategy.name().to_owned(), |field| field.to_string());
        let name = name.parse().map_err(|_| ConfigError::BadValue {
            key: "name",
            value: name,
            allowed: NAME_ALLOWED,
        })?;
        let mut topology = Self::new(name, strategy);
        if let Some(field) = window {
            let bad = |value| ConfigError::BadValue {
                key: "stabilisation_window",
                value,
                allowed: WINDOW_ALLOWED,
            };
            topology.stabilisation_window = match &field {
                Field::Text(text) => {
                    duration::parse_duration(text).ok_or_else(|| bad(text.clone()))
                }
                Field::List(_) | Field::Other(_) => Err(bad(field.to_string())),
            }?;
        }
        if let Some(field) = jitter {
            // A table may hold it as a number with a point, which no other key has.
            let value = field.to_string();
            topology.jitter = value.parse().map_err(|_| ConfigError::BadValue {
                key: "jitter",
                value,
                allowed: JITTER_ALLOWED,
            })?;
        }
        topology.validate()?;
        Ok(topology)
    }

    /// Every key but the name and the strategy's, defaults included.
    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let mut pairs = self.strategy.pairs();
        let window = duration_text(self.stabilisation_window);
        pairs.push(("stabilisation_window", Field::Text(window)));
        pairs.push(("jitter", Field::Text(self.jitter.to_string())));
        pairs
    }
}

impl FromStr for TopologyConfig {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let pairs = lexer::pairs(text)?;
        Self::from_fields(
            pairs
                .into_iter()
                .map(|(key, text)| (key, Field::Text(text)))
                .collect(),
        )
    }
}

impl fmt::Display for TopologyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "strategy={} name={}", self.strategy.name(), self.name)?;
        for (key, field) in self.pairs() {
            write!(f, " {key}={}", lexer::quoted(&field.to_string()))?;
        }
        Ok(())
    }
}

impl Serialize for TopologyConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name.to_string())?;
        map.serialize_entry("strategy", self.strategy.name())?;
        for (key, field) in self.pairs() {
            match field {
                Field::Text(text) | Field::Other(text) => map.serialize_entry(key, &text)?,
                Field::List(list) => map.serialize_entry(key, &list)?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for TopologyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let fields = values.into_iter().map(|(key, Value(field))| (key, field));
        Self::from_fields(fields.collect()).map_err(D::Error::custom)
    }
}

/// What a file holds for a key. Numbers and booleans become the text that the string form would
/// have, so that both forms are checked in one place; what no key takes is kept as words, so that
/// its key can be named.
struct Value(Field);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value(Field::Text(text.to_owned())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value(Field::Text(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value(Field::Text(number.to_string())))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value(Field::Text(flag.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value(Field::Other(number.to_string())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let mut other = false;
        while let Some(Value(item)) = items.next_element()? {
            other |= !matches!(item, Field::Text(_));
            list.push(item.to_string());
        }
        Ok(Value(if other {
            Field::Other(format!("[{}]", list.join(", ")))
        } else {
            Field::List(list)
        }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value(Field::Other("a table or a date".to_owned())))
    }
}

#[cfg(test)]
mod tests;
