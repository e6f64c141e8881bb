//! Which source a topology has, read from a string or from a table of a file.

mod duration;
mod error;
mod fields;
mod lexer;
mod strategy;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use enmesh_membership::TopologyName;
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use duration::{
    DEFAULT_POLLING_INTERVAL, POLLING_INTERVAL_ALLOWED, duration_text, is_polling_interval,
};
pub use error::ConfigError;
pub(crate) use fields::{Field, Fields};
pub use strategy::Strategy;

use crate::source::{Source, SourceContext, SourceError};

const NAME_ALLOWED: &str = "1 to 64 letters, digits, or characters of _.-";

/// One topology: its name and the source of its peers.
///
/// It is written as `key=value` pairs, `strategy=epmd hosts=b@127.0.0.1,c@127.0.0.1 name=web`
/// ([`FromStr`], [`Display`](fmt::Display)), or as a table of a file (serde) with the same keys.
/// Values with white space stand in double quotes. Commas separate `hosts` and nothing else, so
/// a selector `app=web,tier=front` needs no quotes.
///
/// `name` is the strategy's name where it is not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyConfig {
    /// What logs and metrics call the topology.
    pub name: TopologyName,
    /// Where the peers come from.
    pub strategy: Strategy,
}

impl TopologyConfig {
    /// Checks what parsing checks, for a value that was put together by hand.
    ///
    /// # Errors
    /// The first key whose value is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.strategy.validate()
    }

    /// The source that the topology names. It starts when it is first polled.
    ///
    /// # Errors
    /// [`SourceError::Config`] where [`validate`](Self::validate) fails, and
    /// [`SourceError::NotBuiltIn`] where the strategy was left out of this build.
    pub fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        self.validate()?;
        self.strategy.source(context)
    }

    fn from_fields(mut fields: BTreeMap<String, Field>) -> Result<Self, ConfigError> {
        let strategy = match fields.remove("strategy") {
            None => return Err(ConfigError::NoStrategy),
            Some(field) => field.to_string(),
        };
        let name = fields.remove("name");
        let strategy = Strategy::from_fields(&strategy, fields)?;
        let name = name.map_or_else(|| strategy.name().to_owned(), |field| field.to_string());
        let name = name.parse().map_err(|_| ConfigError::BadValue {
            key: "name",
            value: name,
            allowed: NAME_ALLOWED,
        })?;
        Ok(Self { name, strategy })
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
        for (key, field) in self.strategy.pairs() {
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
        for (key, field) in self.strategy.pairs() {
            match field {
                Field::Text(text) => map.serialize_entry(key, &text)?,
                Field::List(list) => map.serialize_entry(key, &list)?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for TopologyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let fields = values
            .into_iter()
            .map(|(key, value)| (key, value.into_field()));
        Self::from_fields(fields.collect()).map_err(D::Error::custom)
    }
}

/// What a file may hold for a key. Numbers and booleans become the text that the string form
/// would have, so that both forms are checked in one place.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a string, a number, a boolean or a list of strings"
)]
enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<String>),
}

impl Value {
    fn into_field(self) -> Field {
        match self {
            Self::Text(text) => Field::Text(text),
            Self::Number(number) => Field::Text(number.to_string()),
            Self::Flag(flag) => Field::Text(flag.to_string()),
            Self::List(list) => Field::List(list),
        }
    }
}

#[cfg(test)]
mod tests;
