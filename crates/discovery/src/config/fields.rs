//! The one road by which a string and a table become typed configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::ConfigError;
use super::duration::parse_duration;

/// What a key holds before its strategy has looked at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Text, as the string form and most keys of a table give it.
    Text(String),
    /// A list, as a table may give it.
    List(Vec<String>),
    /// What a table gives and no key takes, in words.
    Other(String),
}

/// The keys of one topology that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct Fields {
    strategy: &'static str,
    fields: BTreeMap<String, Field>,
}

impl Fields {
    pub(crate) fn new(strategy: &'static str, fields: BTreeMap<String, Field>) -> Self {
        Self { strategy, fields }
    }

    /// Whether `key` is given and not taken yet.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.fields.contains_key(key)
    }

    /// The text of `key`, if it is given and not empty.
    pub(crate) fn text(
        &mut self,
        key: &'static str,
        allowed: &'static str,
    ) -> Result<Option<String>, ConfigError> {
        match self.fields.remove(key) {
            None => Ok(None),
            Some(Field::Text(text)) if text.is_empty() => Err(ConfigError::BadValue {
                key,
                value: text,
                allowed,
            }),
            Some(Field::Text(text)) => Ok(Some(text)),
            Some(field @ (Field::List(_) | Field::Other(_))) => Err(ConfigError::BadValue {
                key,
                value: field.to_string(),
                allowed,
            }),
        }
    }

    /// The text of `key`, which must be given.
    pub(crate) fn required(
        &mut self,
        key: &'static str,
        allowed: &'static str,
    ) -> Result<String, ConfigError> {
        let strategy = self.strategy;
        self.text(key, allowed)?.ok_or(ConfigError::MissingKey {
            key,
            strategy,
            allowed,
        })
    }

    /// The parts of `key`: a list as it is, a text split at its commas.
    pub(crate) fn list(
        &mut self,
        key: &'static str,
        allowed: &'static str,
    ) -> Result<Vec<String>, ConfigError> {
        match self.fields.remove(key) {
            None => Err(ConfigError::MissingKey {
                key,
                strategy: self.strategy,
                allowed,
            }),
            Some(Field::List(list)) => Ok(list),
            Some(Field::Other(value)) => Err(ConfigError::BadValue {
                key,
                value,
                allowed,
            }),
            Some(Field::Text(text)) => {
                Ok(text.split(',').map(|part| part.trim().to_owned()).collect())
            }
        }
    }

    /// The same, or nothing where the key is not given.
    pub(crate) fn optional_list(
        &mut self,
        key: &'static str,
        allowed: &'static str,
    ) -> Result<Vec<String>, ConfigError> {
        if self.fields.contains_key(key) {
            self.list(key, allowed)
        } else {
            Ok(Vec::new())
        }
    }

    /// The words of a command: a list as it is, a text that begins with `[` as a list in JSON, any
    /// other text split at its white space.
    pub(crate) fn words(
        &mut self,
        key: &'static str,
        allowed: &'static str,
    ) -> Result<Vec<String>, ConfigError> {
        match self.fields.get(key) {
            Some(Field::Text(text)) if text.starts_with('[') => {
                let words = serde_json::from_str(text);
                let words = words.map_err(|_| ConfigError::BadValue {
                    key,
                    value: text.clone(),
                    allowed,
                })?;
                self.fields.remove(key);
                Ok(words)
            }
            Some(Field::Text(text)) => {
                let words = text.split_whitespace().map(str::to_owned).collect();
                self.fields.remove(key);
                Ok(words)
            }
            _ => self.list(key, allowed),
        }
    }

    /// What `key` parses to, or `default`.
    pub(crate) fn parsed<T: FromStr>(
        &mut self,
        key: &'static str,
        allowed: &'static str,
        default: T,
    ) -> Result<T, ConfigError> {
        match self.text(key, allowed)? {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| ConfigError::BadValue {
                key,
                value: text,
                allowed,
            }),
        }
    }

    /// The duration of `key`, or `None` where the key is not given.
    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        allowed: &'static str,
    ) -> Result<Option<Duration>, ConfigError> {
        match self.text(key, allowed)? {
            None => Ok(None),
            Some(text) => match parse_duration(&text) {
                Some(duration) => Ok(Some(duration)),
                None => Err(ConfigError::BadValue {
                    key,
                    value: text,
                    allowed,
                }),
            },
        }
    }

    /// The same, where `infinity` says in words that there is none.
    pub(crate) fn duration_or_infinity(
        &mut self,
        key: &'static str,
        allowed: &'static str,
    ) -> Result<Option<Duration>, ConfigError> {
        if self.fields.get(key) == Some(&Field::Text("infinity".to_owned())) {
            self.fields.remove(key);
        }
        self.duration(key, allowed)
    }

    /// Refuses what no `take` asked for.
    pub(crate) fn finish(self, allowed: &'static [&'static str]) -> Result<(), ConfigError> {
        match self.fields.into_keys().next() {
            None => Ok(()),
            Some(key) => Err(ConfigError::UnknownKey {
                key,
                strategy: self.strategy,
                allowed,
            }),
        }
    }
}

/// A command as [`Fields::words`] reads it back.
pub(crate) fn words_text(words: &[String]) -> String {
    let is_bare = |word: &String| !word.is_empty() && !word.contains(char::is_whitespace);
    let begins_well = words.first().is_some_and(|word| !word.starts_with('['));
    if begins_well && words.iter().all(is_bare) {
        words.join(" ")
    } else {
        serde_json::Value::from(words).to_string()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Other(text) => f.write_str(text),
            Self::List(list) => f.write_str(&list.join(",")),
        }
    }
}
