//! What a topology is called.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest topology name, in characters.
pub const MAX_TOPOLOGY_CHARS: usize = 64;

/// The name of one configured source of peers: 1 to [`MAX_TOPOLOGY_CHARS`] characters out of
/// `A-Z a-z 0-9 _ . -`, so that it can stand in a log line or a metric's label as it is. Cloning
/// is cheap.
///
/// ```
/// use enmesh_membership::TopologyName;
///
/// let name: TopologyName = "web".parse()?;
/// assert_eq!(name.as_str(), "web");
/// # Ok::<(), enmesh_membership::TopologyNameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopologyName {
    text: Arc<str>,
}

/// Why a text is not a topology name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyNameError {
    /// The text is empty.
    #[error("a topology name is not empty")]
    Empty,
    /// More than [`MAX_TOPOLOGY_CHARS`] characters.
    #[error("a topology name has at most {MAX_TOPOLOGY_CHARS} characters")]
    TooLong,
    /// A character outside of the allowed set.
    #[error("a topology name has only letters, digits and _ . -, not {character:?}")]
    BadCharacter {
        /// The first character that is not allowed.
        character: char,
    },
}

impl TopologyName {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for TopologyName {
    type Err = TopologyNameError;

    fn from_str(text: &str) -> Result<Self, TopologyNameError> {
        if text.is_empty() {
            return Err(TopologyNameError::Empty);
        }
        if text.chars().count() > MAX_TOPOLOGY_CHARS {
            return Err(TopologyNameError::TooLong);
        }
        let bad = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if let Some(character) = text.chars().find(bad) {
            return Err(TopologyNameError::BadCharacter { character });
        }
        Ok(Self { text: text.into() })
    }
}

impl TryFrom<&str> for TopologyName {
    type Error = TopologyNameError;

    fn try_from(text: &str) -> Result<Self, TopologyNameError> {
        text.parse()
    }
}

impl fmt::Display for TopologyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TopologyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        let longest = "a".repeat(MAX_TOPOLOGY_CHARS);
        for good in ["web", "k8s_eu-1.blue", "7", longest.as_str()] {
            assert_eq!(good.parse::<TopologyName>().unwrap().as_str(), good);
        }
        let check = |text: &str, error| assert_eq!(text.parse::<TopologyName>(), Err(error));
        check("", TopologyNameError::Empty);
        check(
            &"a".repeat(MAX_TOPOLOGY_CHARS + 1),
            TopologyNameError::TooLong,
        );
        check("a b", TopologyNameError::BadCharacter { character: ' ' });
        check("käse", TopologyNameError::BadCharacter { character: 'ä' });
        check("a\n", TopologyNameError::BadCharacter { character: '\n' });
    }
}
