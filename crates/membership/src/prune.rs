//! What happens to the live link of a peer that has left every topology.

use std::fmt;
use std::str::FromStr;

/// Whether the live link of a peer that no topology names any more is closed. Dialling it ends
/// in any case.
///
/// ```
/// use enmesh_membership::Prune;
///
/// assert_eq!("grace".parse(), Ok(Prune::Grace));
/// assert_eq!(Prune::default().to_string(), "never");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Prune {
    /// The link stays for as long as the peer answers ticks.
    #[default]
    Never,
    /// The link is closed when the peer has been out of every topology for the grace time.
    Grace,
    /// The link is closed at once.
    Immediate,
}

/// The text is none of `never`, `grace` and `immediate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prune is never, grace or immediate")]
pub struct PruneError;

impl FromStr for Prune {
    type Err = PruneError;

    fn from_str(text: &str) -> Result<Self, PruneError> {
        match text {
            "never" => Ok(Self::Never),
            "grace" => Ok(Self::Grace),
            "immediate" => Ok(Self::Immediate),
            _ => Err(PruneError),
        }
    }
}

impl fmt::Display for Prune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "never",
            Self::Grace => "grace",
            Self::Immediate => "immediate",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_displayed_parses() {
        for prune in [Prune::Never, Prune::Grace, Prune::Immediate] {
            assert_eq!(prune.to_string().parse(), Ok(prune));
        }
        assert_eq!("Never".parse::<Prune>(), Err(PruneError));
        assert_eq!(Prune::default(), Prune::Never);
    }
}
