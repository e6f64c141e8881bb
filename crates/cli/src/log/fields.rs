//! The fields of a record, as JSON values.

use std::error::Error;
use std::fmt::{self, Debug};
use std::time::SystemTime;

use serde_json::Value;
use tracing::Level;
use tracing::field::{Field, Visit};

/// Fields that hold a list: recorded as one text with spaces between the items, the empty text
/// meaning none, because `tracing` has no lists. A node's name may hold a comma, and no space.
const LISTS: [&str; 8] = [
    "added",
    "addresses",
    "changed",
    "cluster",
    "kept",
    "keys",
    "removed",
    "topology",
];

/// One record of the log, ready to be rendered.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) time: SystemTime,
    pub(crate) level: Level,
    pub(crate) fields: Fields,
}

/// How a record becomes a line, with its line break.
pub(crate) type Render = fn(&Record) -> String;

/// The message and the named values of a record or a span, in the order of recording.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) message: String,
    pub(crate) values: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Adds those of `outer` that are not here yet: the record's own word counts.
    pub(crate) fn inherit(&mut self, outer: &Self) {
        for (name, value) in &outer.values {
            if !self.has(name) {
                self.values.push((name, value.clone()));
            }
        }
    }

    /// Adds a field, or replaces the value of the one that has this name.
    pub(crate) fn set(&mut self, name: &'static str, value: Value) {
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name, value)),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(known, _)| *known == name)
    }

    fn record(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        // These three stand on every line already.
        if !matches!(name, "timestamp" | "level" | "message") {
            self.set(name, value);
        }
    }

    fn record_text(&mut self, field: &Field, text: String) {
        if field.name() == "message" {
            self.message = text;
        } else if LISTS.contains(&field.name()) {
            let items = text
                .split(' ')
                .filter(|item| !item.is_empty())
                .map(Value::from);
            self.record(field, Value::Array(items.collect()));
        } else {
            self.record(field, Value::String(text));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_text(field, value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_text(field, Chain(value).to_string());
    }
}

/// An error with its sources, from the outermost in.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}
