//! The name of the node in a pod, made of what the pod knows of itself.

use std::net::IpAddr;

use enmesh_discovery::{NameMode, PodDoubt, PodFact, PodFacts, PodNameError};
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
        let variable = |name: &str| {
            let value = environment.get(name).filter(|_| needs(mode, name));
            value.map(str::to_owned)
        };
        let service = service.filter(|_| needs(mode, PodFact::Service.variable()));
        let facts = PodFacts::gather(variable, environment.root(), service)?;
        if let Some(address) = facts.address().filter(|it| is_nobodys(*it)) {
            let value = address.to_string();
            let fact = PodFact::Address;
            return Err(PodNameError::Malformed { fact, value }.into());
        }
        let name = facts.name(mode, basename)?;
        Ok(Self { name, mode, facts })
    }

    /// What is most likely wrong with it.
    pub(crate) fn doubts(&self) -> Vec<PodDoubt> {
        self.facts.doubts(self.mode, &self.name)
    }
}

/// Whether a mode looks at a variable: what no name of it is made of may hold anything.
fn needs(mode: NameMode, variable: &str) -> bool {
    let needless: &[PodFact] = match mode {
        NameMode::Ip => &[
            PodFact::Pod,
            PodFact::Namespace,
            PodFact::Hostname,
            PodFact::Service,
        ],
        NameMode::Dns => &[PodFact::Pod, PodFact::Service],
        _ => &[],
    };
    !needless.iter().any(|fact| fact.variable() == variable)
}

/// Whether no pod can have the address.
fn is_nobodys(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    address.is_unspecified() || address.is_multicast() || is_broadcast
}
