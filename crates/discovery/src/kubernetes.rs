//! Pods and endpoints of a Kubernetes cluster, listed once and then watched.
//!
//! ```text
//! follower ──Event──▶ tracker ──Change──▶ naming ─┐
//!  one a namespace     which object        or     ├──Entry──▶ book ──▶ Update
//!  (session, lookup)   told which pods    asking ─┘            which pod is which peers
//!                                          who asks the pods that alone know their names
//! ```

#[cfg(feature = "kubernetes")]
mod account;
#[cfg(feature = "kubernetes")]
mod api;
#[cfg(feature = "kubernetes")]
mod asking;
#[cfg(feature = "kubernetes")]
mod book;
#[cfg(feature = "kubernetes")]
mod census;
#[cfg(feature = "kubernetes")]
mod client;
mod config;
#[cfg(feature = "kubernetes")]
mod domain;
#[cfg(feature = "kubernetes")]
mod failure;
#[cfg(feature = "kubernetes")]
mod follower;
#[cfg(feature = "kubernetes")]
mod host_form;
mod lookup;
mod name_mode;
mod name_rules;
#[cfg(feature = "kubernetes")]
mod naming;
#[cfg(feature = "kubernetes")]
mod objects;
#[cfg(feature = "kubernetes")]
mod pod_facts;
#[cfg(feature = "kubernetes")]
mod pod_name;
#[cfg(feature = "kubernetes")]
mod refusal;
#[cfg(feature = "kubernetes")]
mod seen;
#[cfg(feature = "kubernetes")]
mod selection;
#[cfg(feature = "kubernetes")]
mod session;
#[cfg(feature = "kubernetes")]
mod source;
mod template;
#[cfg(feature = "kubernetes")]
mod tracker;
#[cfg(feature = "kubernetes")]
mod transport;

pub use config::{KubernetesConfig, Readiness};
pub use lookup::LookupMode;
pub use name_mode::{NameMode, PortSource};
#[cfg(feature = "kubernetes")]
pub use pod_facts::PodFacts;
#[cfg(feature = "kubernetes")]
pub use pod_name::{PodDoubt, PodFact, PodNameError};
pub use template::{NameTemplate, NameTemplateError};
