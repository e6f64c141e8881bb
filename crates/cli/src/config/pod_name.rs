//! The name of the node in a pod, made of what the pod knows of itself.

use enmesh_discovery::{NameMode, PodDoubt, PodFacts};
use enmesh_identity::NodeName;

use super::environment::Environment;
use super::error::ConfigError;

/// What `name` may be where a mode makes the rest.
pub(crate) const BASENAME_ALLOWED: &str =
    "the part before the @ alone, as in web; or a whole name, and no name_mode";

/// A name with what it was made of.
#[derive(Debug)]
pub(crate) struct PodName {
    pub(crate) name: NodeName,
    pub(crate) mode: NameMode,
    pub(crate) facts: PodFacts,
}

impl PodName {
    /// The name of `basename`, else of the release whose script started us.
    pub(crate) fn make(
        mode: NameMode,
        basename: Option<&str>,
        service: Option<&str>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let basename = basename.or_else(|| environment.get_filled("RELEASE_NAME"));
        let basename = basename.ok_or(ConfigError::Missing {
            what: "the part of the name before the @",
            next: "give --name web, ENMESH_NAME or name in the file",
        })?;
        let variable = |name: &str| environment.get(name).map(str::to_owned);
        let facts = PodFacts::gather(variable, environment.root(), service)?;
        let name = facts.name(mode, basename)?;
        Ok(Self { name, mode, facts })
    }

    /// What is most likely wrong with it.
    pub(crate) fn doubts(&self) -> Vec<PodDoubt> {
        self.facts.doubts(self.mode, &self.name)
    }
}
