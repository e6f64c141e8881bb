//! Topologies, from strings and from tables of the file. What their keys mean is the business of
//! crate `enmesh-discovery`.

use enmesh_discovery::TopologyConfig;
use toml::{Table, Value};

use super::error::{ConfigError, Origin};

/// The longest part of a topology that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 200;

/// The topology that `text` spells as `key=value` pairs.
pub(crate) fn of_string(text: &str, origin: &Origin) -> Result<TopologyConfig, ConfigError> {
    text.parse::<TopologyConfig>()
        .map_err(|error| ConfigError::Topology {
            origin: origin.clone(),
            which: shown(text),
            reason: error.to_string(),
        })
}

/// The topology of one `[[topology]]` table; `number` counts them from 1.
pub(crate) fn of_table(
    table: Table,
    number: usize,
    origin: &Origin,
) -> Result<TopologyConfig, ConfigError> {
    let which = match table.get("name").and_then(Value::as_str) {
        Some(name) => format!("{number} ({})", shown(name)),
        None => number.to_string(),
    };
    Value::Table(table)
        .try_into::<TopologyConfig>()
        .map_err(|error| ConfigError::Topology {
            origin: origin.clone(),
            which,
            reason: error.message().to_owned(),
        })
}

/// `text` in quotes, cut where it is long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
