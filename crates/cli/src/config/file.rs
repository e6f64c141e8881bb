//! The configuration file: TOML with references to the environment.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use enmesh_discovery::TopologyConfig;
use toml::{Table, Value};

use super::environment::Environment;
use super::error::{ConfigError, ConfigErrors, Origin};
use super::expand::{ExpandError, expand};
use super::merge::{Layer, Raw};
use super::peer_cookie::{self, PeerCookie};
use super::setting::{self, COOKIES_KEY, KEYS, Key, TOPOLOGY_KEY};
use super::topology;

/// More than this is no configuration file. It bounds what a wrong path makes us read.
pub(crate) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What one file says, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct FileLayer {
    pub(crate) settings: Layer,
    pub(crate) topologies: Vec<TopologyConfig>,
    pub(crate) cookies: Vec<PeerCookie>,
    pub(crate) errors: Vec<ConfigError>,
}

/// Reads the file at `path`. What is wrong inside it is collected in the result, so that all of
/// it can be told at once.
///
/// # Errors
/// If the file cannot be read or is not TOML.
pub(crate) fn read_file(path: &Path, environment: &Environment) -> Result<FileLayer, ConfigErrors> {
    let unreadable = |reason: String| ConfigError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let text = read_bounded(path).map_err(|error| unreadable(error.to_string()))?;
    let table = text
        .parse::<Table>()
        .map_err(|error| ConfigError::NotToml {
            path: path.to_owned(),
            reason: told(&text, &error),
        })?;
    Ok(FileReader {
        path,
        environment,
        layer: FileLayer::default(),
    }
    .read(table))
}

/// Whether settings are in a table of this name.
fn is_table(name: &str) -> bool {
    let table_of = |key: &Key| Some(key.name.split_once('.')?.0);
    KEYS.iter().any(|key| table_of(key) == Some(name))
}

/// What is wrong and where. The line itself is not repeated: it may hold a secret that somebody
/// wrote into the wrong file.
fn told(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', ", ");
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return message;
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!("line {line}, column {column}: {message}")
}

/// The text at `path`. What a device or a pipe holds has no length that could be asked for first.
fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(MAX_FILE_BYTES + 1);
    let read = file.read_to_string(&mut text);
    if file.limit() == 0 {
        let reason = format!("longer than {MAX_FILE_BYTES} bytes");
        return Err(io::Error::other(reason));
    }
    read.map(|_| text)
}

struct FileReader<'a> {
    path: &'a Path,
    environment: &'a Environment,
    layer: FileLayer,
}

impl FileReader<'_> {
    fn read(mut self, table: Table) -> FileLayer {
        for (name, value) in table {
            match value {
                value if name == TOPOLOGY_KEY => self.topologies(value),
                value if name == COOKIES_KEY => self.cookies(value),
                Value::Table(table) if is_table(&name) => {
                    for (inner, value) in table {
                        self.named(format!("{name}.{inner}"), &value);
                    }
                }
                value => self.named(name, &value),
            }
        }
        self.layer
    }

    /// The setting of this name, if there is one.
    fn named(&mut self, name: String, value: &Value) {
        match KEYS.iter().find(|key| key.name == name) {
            Some(key) => self.setting(key, value),
            None => {
                let mut allowed: Vec<_> = KEYS.iter().map(|key| key.name).collect();
                allowed.extend(["[cookies]", "[[topology]]"]);
                self.layer.errors.push(ConfigError::UnknownKey {
                    path: self.path.to_owned(),
                    key: name,
                    allowed: allowed.join(", "),
                });
            }
        }
    }

    fn cookies(&mut self, value: Value) {
        let Value::Table(table) = value else {
            return self.bad(COOKIES_KEY, &value, "not a table", peer_cookie::ALLOWED);
        };
        for (node, value) in table {
            let key = format!("{COOKIES_KEY}.{node:?}");
            let Value::String(text) = &value else {
                self.bad(&key, &value, "not a path", peer_cookie::ALLOWED);
                continue;
            };
            let Some(path) = self.expand(&key, text) else {
                continue;
            };
            match PeerCookie::new(&node, &path, &self.origin()) {
                Ok(cookie) => self.layer.cookies.push(cookie),
                Err(reason) => self.bad(&key, &value, &reason, peer_cookie::ALLOWED),
            }
        }
    }

    fn setting(&mut self, key: &'static Key, value: &Value) {
        let text = match value {
            Value::String(text) => match self.expand(key.name, text) {
                Some(text) => text,
                None => return,
            },
            Value::Integer(number) => number.to_string(),
            Value::Boolean(switch) => switch.to_string(),
            Value::Array(items) if matches!(key.name, "allow" | "on_event") => {
                match self.list(key.name, items) {
                    Some(texts) if key.name == "allow" => texts.join(","),
                    Some(words) => setting::command_text(&words),
                    None => return,
                }
            }
            _ => return self.bad(key.name, value, "a value of the wrong type", key.allowed),
        };
        self.layer.settings.insert(
            key.name,
            Raw {
                text,
                origin: self.origin(),
            },
        );
    }

    /// The texts of a list.
    fn list(&mut self, key: &str, items: &[Value]) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for item in items {
            let Some(text) = item.as_str() else {
                self.bad(key, item, "not a text", "a list of texts");
                return None;
            };
            texts.push(self.expand(key, text)?);
        }
        Some(texts)
    }

    fn topologies(&mut self, value: Value) {
        const ALLOWED: &str = "tables, each under its own [[topology]]";
        let Value::Array(tables) = value else {
            return self.bad(TOPOLOGY_KEY, &value, "not a list of tables", ALLOWED);
        };
        for (index, value) in tables.into_iter().enumerate() {
            let Value::Table(table) = value else {
                self.bad(TOPOLOGY_KEY, &value, "not a table", ALLOWED);
                continue;
            };
            let errors_before = self.layer.errors.len();
            let table: Table = table
                .into_iter()
                .filter_map(|(key, value)| {
                    let expanded = self.expand_value(&format!("{TOPOLOGY_KEY}.{key}"), value)?;
                    Some((key, expanded))
                })
                .collect();
            if self.layer.errors.len() > errors_before {
                continue;
            }
            match topology::of_table(table, index + 1, &self.origin(), &self.layer.topologies) {
                Ok(topology) => self.layer.topologies.push(topology),
                Err(error) => self.layer.errors.push(error),
            }
        }
    }

    fn expand_value(&mut self, key: &str, value: Value) -> Option<Value> {
        Some(match value {
            Value::String(text) => Value::String(self.expand(key, &text)?),
            Value::Array(items) => Value::Array(
                items
                    .into_iter()
                    .map(|item| match item {
                        Value::String(text) => self.expand(key, &text).map(Value::String),
                        other => Some(other),
                    })
                    .collect::<Option<_>>()?,
            ),
            other => other,
        })
    }

    fn expand(&mut self, key: &str, text: &str) -> Option<String> {
        match expand(text, self.environment) {
            Ok(text) => Some(text),
            Err(ExpandError::Unset(variable)) => {
                self.layer.errors.push(ConfigError::UnsetVariable {
                    path: self.path.to_owned(),
                    key: key.to_owned(),
                    value: text.to_owned(),
                    variable,
                });
                None
            }
            Err(ExpandError::Malformed) => {
                let value = Value::String(text.to_owned());
                self.bad(
                    key,
                    &value,
                    "not a reference to a variable",
                    "${NAME} or ${NAME:-default}, and $$ for a plain $",
                );
                None
            }
        }
    }

    fn bad(&mut self, key: &str, value: &Value, reason: &str, allowed: &str) {
        self.layer.errors.push(ConfigError::BadValue {
            origin: self.origin(),
            key: key.to_owned(),
            value: value.to_string(),
            reason: reason.to_owned(),
            allowed: allowed.to_owned(),
        });
    }

    fn origin(&self) -> Origin {
        Origin::File(self.path.to_owned())
    }
}
