//! What every strategy offers to the one who asks it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use enmesh_identity::{Creation, NodeName};
use enmesh_membership::Update;

use crate::config::ConfigError;
use crate::jitter::Jitter;

/// The largest number of peers in one [`Update`]; what is over is left out.
pub const MAX_PEERS_PER_UPDATE: usize = 10_000;

/// Something that knows who belongs to the cluster.
///
/// A source is asked again and again for as long as its topology lives. It starts no task of its
/// own and does nothing while it is not asked.
pub trait Source: Send {
    /// The next thing this source has to say; pending while there is nothing new. It never ends.
    ///
    /// Cancel safe: a future that is dropped loses nothing, and a back-off that it waited for
    /// goes on counting. After a failure the next answer comes no sooner than the source's own
    /// back-off allows, so a caller need not slow itself down.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>>;

    /// Tells the others that we leave, where the strategy has a way to. Called once, when the node
    /// shuts down; `next` is not called any more then. It is cut off when the grace of the
    /// shutdown is over.
    fn farewell(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// What a source must know about the node that asks.
#[derive(Clone, Debug)]
pub struct SourceContext {
    own: NodeName,
    creation: Option<Creation>,
    epmd_port: u16,
    jitter: Jitter,
    environment: Environment,
}

impl SourceContext {
    /// The context of the node `own`, with epmd's usual port 4369 and this process's environment.
    /// A source that is made for looking alone knows no incarnation of ours, and says nothing of
    /// us to anybody.
    pub fn new(own: NodeName) -> Self {
        let environment = Environment::of_process();
        Self {
            own,
            creation: None,
            epmd_port: enmesh_epmd::DEFAULT_PORT,
            jitter: Jitter::default(),
            environment,
        }
    }

    /// The same for a node of this incarnation, of which sources may tell the others.
    #[must_use]
    pub fn with_creation(self, creation: Creation) -> Self {
        Self {
            creation: Some(creation),
            ..self
        }
    }

    /// The same with another port of the local epmd.
    #[must_use]
    pub fn with_epmd_port(self, epmd_port: u16) -> Self {
        Self { epmd_port, ..self }
    }

    /// The same with another jitter of polling intervals.
    #[must_use]
    pub fn with_jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// The same with other environment variables than the process's.
    #[must_use]
    pub fn with_environment(self, environment: Environment) -> Self {
        Self {
            environment,
            ..self
        }
    }

    /// Our own name.
    pub fn own(&self) -> &NodeName {
        &self.own
    }

    /// Our incarnation; none where somebody only looks.
    pub fn creation(&self) -> Option<Creation> {
        self.creation
    }

    /// The port of the local epmd.
    pub fn epmd_port(&self) -> u16 {
        self.epmd_port
    }

    /// By how much this topology draws its look-ups apart from those of other nodes.
    pub fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// How long to wait where `interval` is configured: that, and the topology's jitter.
    pub fn spread(&self, interval: Duration) -> Duration {
        self.jitter.spread(interval)
    }

    /// The environment variables that sources read.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// Environment variables, taken once, so that a source's behaviour does not change under it. `Debug`
/// shows their names alone, for a password may be among them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The variables that sources read, as this process has them.
    pub fn of_process() -> Self {
        let read = |name: &&str| Some(((*name).to_owned(), std::env::var(name).ok()?));
        Self {
            variables: VARIABLES.iter().filter_map(read).collect(),
        }
    }

    /// The value of `name`, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self {
            variables: variables.collect(),
        }
    }
}

const VARIABLES: &[&str] = &[
    "CLUSTER_DOMAIN",
    "ERL_ROOTDIR",
    "HOME",
    "KUBECONFIG",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "PATH",
    "PGPASSWORD",
    "POD_IP",
    "ROOTDIR",
];

/// Why a topology has no source. The topology cannot be used; nothing was started.
///
/// ```
/// use enmesh_discovery::SourceError;
///
/// let error = SourceError::NotBuiltIn { strategy: "kubernetes", feature: "kubernetes" };
/// println!("{error}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The configuration is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that the configuration names cannot be read.
    #[error("the file of key `{key}`, {}, cannot be read: {kind}", path.display())]
    Unreadable {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        kind: std::io::ErrorKind,
    },
    /// The strategy was left out when this program was built.
    #[error("strategy {strategy} is not part of this build, feature `{feature}` brings it")]
    NotBuiltIn {
        /// The strategy.
        strategy: &'static str,
        /// The cargo feature of `enmesh-discovery`.
        feature: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_does_not_show_the_password_of_the_environment() {
        let environment = [("PGPASSWORD", "shadow"), ("HOME", "/root")];
        let context = SourceContext::new("own@h".parse().unwrap())
            .with_environment(environment.into_iter().collect());
        assert_eq!(context.environment().get("PGPASSWORD"), Some("shadow"));
        let shown = format!("{context:?}");
        assert!(
            shown.contains("PGPASSWORD") && !shown.contains("shadow"),
            "{shown}"
        );
    }
}
