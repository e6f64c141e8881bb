//! What keeps the agent out of a workload.

use std::path::PathBuf;

use serde_json::Value;

use super::{MAX_INPUT, what_of};
use crate::manifests::SettingsError;

/// Why nothing was injected. Nothing is printed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InjectError {
    /// The input cannot be read.
    #[error("{}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The input is longer than anything that Kubernetes takes.
    #[error("the input has more than {} MiB; give the file of your Deployment alone", MAX_INPUT >> 20)]
    TooLong,
    /// A document is not YAML.
    #[error("document {number} is not valid YAML: {error}")]
    NotYaml {
        /// Which one, counted from 1.
        number: usize,
        /// What the parser said.
        error: String,
    },
    /// There is nothing to inject into.
    #[error(
        "there is no Deployment, StatefulSet, DaemonSet or ReplicaSet of apps/v1 and no Pod of v1 in the input, and into \
         others nothing is put{}",
        said_of(there)
    )]
    NoWorkload {
        /// The kinds that are there, with their versions.
        there: Vec<String>,
    },
    /// It is not clear which one is meant.
    #[error("there are several workloads: {}; say which by --workload", .there.join(", "))]
    Several {
        /// All of them.
        there: Vec<String>,
    },
    /// The one that is meant is not there.
    #[error("there is no workload {name}; there are: {}", .there.join(", "))]
    NoSuchWorkload {
        /// Which was asked for.
        name: String,
        /// All of them.
        there: Vec<String>,
    },
    /// The workload has no name of its own to name nodes by.
    #[error("{kind} has no metadata.name; give the name of its nodes by --name")]
    Nameless {
        /// Its kind.
        kind: String,
    },
    /// The object has not the form of its kind.
    #[error("{workload} has no {what}")]
    Misshapen {
        /// Kind and name.
        workload: String,
        /// What is missing.
        what: &'static str,
    },
    /// What the agent is added to is something else than Kubernetes takes there.
    #[error("{workload}: {what} must be a list of objects")]
    NoList {
        /// Kind and name.
        workload: String,
        /// Which one.
        what: String,
    },
    /// Something of the user's has the place that the agent needs.
    #[error("{workload} has {what} of its own: {next}")]
    Taken {
        /// Kind and name.
        workload: String,
        /// What is there.
        what: String,
        /// What would help.
        next: &'static str,
    },
    /// The agent may not ask the API.
    #[error(
        "{workload} says automountServiceAccountToken: false, and lookup {lookup} asks the API; take that line \
         out, or --lookup dns or srv"
    )]
    NoToken {
        /// Kind and name.
        workload: String,
        /// The lookup.
        lookup: String,
    },
    /// No node can be called after the workload, or after its namespace.
    #[error(
        "{workload}: its {field} {value:?} cannot be a part of node names: allowed are 1 to {longest} of a-z, 0-9 and -, \
         with a letter first and no - at the end; {next}"
    )]
    Unfit {
        /// Kind and name.
        workload: String,
        /// Which one.
        field: &'static str,
        /// What it is.
        value: String,
        /// How long it may be.
        longest: usize,
        /// What would help.
        next: &'static str,
    },
    /// A flag is wrong, or two do not fit together.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl InjectError {
    /// Whether the flags are wrong, whatever the input is.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Settings(_))
    }

    /// What there is to say of a workload whose names do not fit; the flags were checked before.
    pub(super) fn of_names(workload: &Value, error: SettingsError) -> Self {
        let SettingsError::Name {
            flag,
            value,
            longest,
        } = error
        else {
            return error.into();
        };
        Self::Unfit {
            workload: what_of(workload),
            field: flag,
            value,
            longest,
            next: match flag {
                "namespace" => "put it into another",
                _ => "give another by --name",
            },
        }
    }
}

/// What is there instead, if anything is.
fn said_of(there: &[String]) -> String {
    match there {
        [] => String::new(),
        there => format!("; there is: {}", there.join(", ")),
    }
}
