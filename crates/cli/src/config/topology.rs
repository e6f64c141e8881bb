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

/// `text` in quotes, without what nobody may read, and cut where it is long.
fn shown(text: &str) -> String {
    let text = &without_secret(text);
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// `text` up to a key `secret`: whatever stands behind it may belong to the secret, as far as a
/// string goes that could not be read.
fn without_secret(text: &str) -> String {
    let mut words = text.split_inclusive(char::is_whitespace);
    let before: String = words
        .by_ref()
        .take_while(|word| !word.starts_with("secret="))
        .collect();
    if before.len() == text.len() {
        return before;
    }
    format!("{before}secret=…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_repeated() {
        for (text, expected) in [
            ("strategy=gossip port=1", "\"strategy=gossip port=1\""),
            (
                "strategy=gossip secret=ab c",
                "\"strategy=gossip secret=…\"",
            ),
            ("secret=\"a b\" port=0", "\"secret=…\""),
            (
                "strategy=gossip secret_file=/b",
                "\"strategy=gossip secret_file=/b\"",
            ),
        ] {
            assert_eq!(shown(text), expected);
            if text.contains("secret=") {
                let error = of_string(text, &Origin::Flag, &[]).unwrap_err();
                assert!(!error.to_string().contains("ab"), "{error}");
            }
        }
    }
}
