//! Who maps names to ports for a node.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Who maps names to ports for a node: `system`, `embedded` (default) or `none`.
///
/// ```
/// use enmesh_epmd::EpmdMode;
///
/// assert_eq!("none".parse(), Ok(EpmdMode::None));
/// assert_eq!(EpmdMode::default().as_str(), "embedded");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EpmdMode {
    /// An epmd that somebody else runs; the node is its client and nothing more.
    System,
    /// A client while somebody holds epmd's port; when the holder dies, the node takes over and
    /// serves its host until it ends.
    #[default]
    Embedded,
    /// No epmd at all: every node of the cluster listens on one fixed port.
    None,
}

/// A word that names no mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an epmd mode is one of system, embedded and none")]
pub struct EpmdModeError;

impl EpmdMode {
    /// Every mode, in the order in which help texts list them.
    pub const ALL: [Self; 3] = [Self::System, Self::Embedded, Self::None];

    /// The word that configuration uses for the mode.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Embedded => "embedded",
            Self::None => "none",
        }
    }
}

impl FromStr for EpmdMode {
    type Err = EpmdModeError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == word)
            .ok_or(EpmdModeError)
    }
}

impl fmt::Display for EpmdMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_is_read_back_from_its_word() {
        for mode in EpmdMode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("Embedded".parse::<EpmdMode>(), Err(EpmdModeError));
        assert_eq!(EpmdMode::default(), EpmdMode::Embedded);
    }
}
