//! What can be wrong with the configuration.

use std::fmt;
use std::path::PathBuf;

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line.
    Flag,
    /// The environment variable of this name.
    Variable(&'static str),
    /// A configuration file.
    File(PathBuf),
}

/// One thing that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}; give the path of a readable file with --config", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{}: not valid TOML: {reason}", .path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        reason: String,
    },
    /// The file has a key that nothing reads: most often a typing error.
    #[error("{}: unknown key {key:?}; allowed are {allowed}", .path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The keys there are.
        allowed: String,
    },
    /// A value is not what its key allows.
    #[error("{}{value}: {reason}; allowed: {allowed}", place(origin, key))]
    BadValue {
        /// Where the value came from.
        origin: Origin,
        /// Its key.
        key: String,
        /// The value as it was given.
        value: String,
        /// What is wrong with it.
        reason: String,
        /// What would be right.
        allowed: String,
    },
    /// A topology is not understood. The reason names its key, the value and what is allowed.
    #[error("{}{which}: {reason}", topology_place(origin))]
    Topology {
        /// Where the topology came from.
        origin: Origin,
        /// Which of several: its text, or its place in the file.
        which: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file refers to an environment variable that is not set.
    #[error(
        "{}: {key} = {value:?}: the environment variable {variable} is not set; set it, or give a \
         default: ${{{variable}:-default}}",
        .path.display()
    )]
    UnsetVariable {
        /// The file.
        path: PathBuf,
        /// The key whose value refers to the variable.
        key: String,
        /// The value as it stands in the file.
        value: String,
        /// The variable.
        variable: String,
    },
    /// A setting without which a member cannot run is not given.
    #[error("{what} is not set; {next}")]
    Missing {
        /// The setting, in words.
        what: &'static str,
        /// How to set it.
        next: &'static str,
    },
    /// The pod does not know enough of itself for a node name.
    #[error("no node name: {0}")]
    PodName(#[from] enmesh_discovery::PodNameError),
    /// The cookie's file cannot be used. The text never holds a part of the cookie.
    #[error("{}: {reason}; put the cluster's cookie into it: the file is read from {origin}", .path.display())]
    Cookie {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What named the file.
        origin: &'static str,
    },
    /// `RELEASE_COOKIE` holds no cookie.
    #[error("RELEASE_COOKIE: {0}")]
    CookieVariable(enmesh_identity::CookieError),
}

/// Everything that was found wrong, in the order of finding; never empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigErrors(pub(crate) Vec<ConfigError>);

impl ConfigErrors {
    /// Whether only the command line is to blame, which makes it a usage error.
    pub(crate) fn is_usage(&self) -> bool {
        self.0.iter().all(|error| {
            matches!(
                error,
                ConfigError::BadValue {
                    origin: Origin::Flag,
                    ..
                } | ConfigError::Topology {
                    origin: Origin::Flag,
                    ..
                }
            )
        })
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\nenmesh: ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

/// How a person finds the value: `enmesh.toml: dist_port = `, `ENMESH_DIST_PORT=`, `--dist-port `.
fn place(origin: &Origin, key: &str) -> String {
    match origin {
        Origin::Flag => format!("--{} ", key.replace(['_', '.'], "-")),
        Origin::Variable(name) => format!("{name}="),
        Origin::File(path) => format!("{}: {key} = ", path.display()),
    }
}

fn topology_place(origin: &Origin) -> String {
    match origin {
        Origin::File(path) => format!("{}: [[topology]] ", path.display()),
        Origin::Flag | Origin::Variable(_) => place(origin, "topology"),
    }
}
