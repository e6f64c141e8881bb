//! Why there is no list.

use enmesh_discovery::SourceError;
use enmesh_membership::{SourceFailure, TopologyName};

/// Why `discover` did not end well. Nothing was printed on stdout.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoverError {
    /// Neither the command line nor the configuration names a topology.
    #[error(
        "there is no topology; give one, as in enmesh discover 'strategy=local_epmd', or a --config \
         file with one"
    )]
    NoTopology,
    /// The file has no topology of that name.
    #[error(
        "there is no topology named {name:?} in the configuration, which has: {known}; a topology \
             of its own is key=value pairs, as in 'strategy=local_epmd'"
    )]
    NoSuchTopology {
        /// What was given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The command line has both names and strings.
    #[error(
        "topologies are either key=value pairs or names of those of the file, not both at once"
    )]
    Mixed,
    /// A stream has one form only.
    #[error("--watch prints JSON lines; leave --output out")]
    WatchIsJson,
    /// A topology is understood and cannot be used.
    #[error("topology {topology}: {error}")]
    NoSource {
        /// Its name.
        topology: TopologyName,
        /// What discovery said.
        error: SourceError,
    },
    /// Sources failed; with a part of the answers nobody should go on.
    #[error("{}", failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nenmesh: "))]
    Failed {
        /// Each of them.
        failures: Vec<Unanswered>,
    },
    /// A signal came before every topology had answered.
    #[error("stopped by {signal} before every topology had answered")]
    Signal {
        /// Which one.
        signal: &'static str,
    },
}

/// A topology that gave no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// The look-up failed.
    #[error("topology {topology} ({strategy}) cannot be read: {failure}")]
    Failure {
        /// Its name.
        topology: TopologyName,
        /// How it is looked up.
        strategy: &'static str,
        /// What its source said.
        failure: SourceFailure,
    },
    /// Nobody was heard of in time.
    #[error(
        "topology {topology} ({strategy}) gave no answer within {after:?}; --timeout waits longer"
    )]
    TimedOut {
        /// Its name.
        topology: TopologyName,
        /// How it is looked up.
        strategy: &'static str,
        /// How long we waited.
        after: std::time::Duration,
    },
}

impl DiscoverError {
    /// Whether the command line is wrong.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoTopology | Self::NoSuchTopology { .. } | Self::Mixed | Self::WatchIsJson
        )
    }

    /// Whether the configuration is wrong.
    pub(crate) fn is_configuration(&self) -> bool {
        matches!(self, Self::NoSource { .. })
    }
}
