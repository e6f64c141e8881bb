//! Topologies, from strings and from tables of the file. What their keys mean is the business of
//! crate `enmesh-discovery`.

use enmesh_discovery::TopologyConfig;
use toml::{Table, Value};

use super::error::{ConfigError, Origin};

/// The longest part of a topology that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 200;

/// The topology that `text` spells as `key=value` pairs, named like none of the `earlier` ones.
pub(crate) fn of_string(
    text: &str,
    origin: &Origin,
    earlier: &[TopologyConfig],
) -> Result<TopologyConfig, ConfigError> {
    let refused = |reason| ConfigError::Topology {
        origin: origin.clone(),
        which: shown(text),
        reason,
    };
    let topology = text
        .parse::<TopologyConfig>()
        .map_err(|error| refused(error.to_string()))?;
    with_name_of_its_own(topology, earlier).map_err(refused)
}

/// The topology of one `[[topology]]` table, named like none of the `earlier` ones; `number`
/// counts the tables from 1.
pub(crate) fn of_table(
    table: Table,
    number: usize,
    origin: &Origin,
    earlier: &[TopologyConfig],
) -> Result<TopologyConfig, ConfigError> {
    let which = match table.get("name").and_then(Value::as_str) {
        Some(name) => format!("{number} ({})", shown(name)),
        None => number.to_string(),
    };
    let refused = |reason| ConfigError::Topology {
        origin: origin.clone(),
        which: which.clone(),
        reason,
    };
    let topology = Value::Table(table)
        .try_into::<TopologyConfig>()
        .map_err(|error| refused(error.message().to_owned()))?;
    with_name_of_its_own(topology, earlier).map_err(refused)
}

/// Two topologies of one name could not be told apart in the log.
fn with_name_of_its_own(
    topology: TopologyConfig,
    earlier: &[TopologyConfig],
) -> Result<TopologyConfig, String> {
    if earlier.iter().any(|other| other.name == topology.name) {
        let name = &topology.name;
        return Err(format!(
            "another topology is named {name} already; allowed: a name of its own, as in name={name}2"
        ));
    }
    Ok(topology)
}

/// `text` in quotes, cut where it is long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
