//! Sources that tell which nodes belong to a cluster.
//!
//! | item | what it is |
//! |---|---|
//! | [`TopologyConfig`] | a topology as configuration names it; makes a [`Source`] |
//! | [`Strategy`] | where its peers come from, one configuration struct for each strategy |
//! | [`Source`] | says [`Update`](enmesh_membership::Update) after update, for ever |
//! | [`SourceContext`] | what a source must know of the node that asks |
//! | [`Secret`] | a secret of the configuration, which shows itself nowhere |
//! | `PodFacts` | what a pod knows of itself, and the name of its node (feature `kubernetes`) |
//! | [`probe`] | asks whoever listens at an address for its name |
//!
//! A look-up that fails, or that tells a part only, removes nobody: a source then says
//! [`Update::Failed`](enmesh_membership::Update::Failed), with the fix in words where there is
//! one, and asks again after a back-off of its own of at most 20 seconds.
//!
//! The features `kubernetes`, `dns` and `rancher` bring the strategies of these names, and so does
//! `postgres`, which is off by default. Without them their configuration is understood all the
//! same, and [`TopologyConfig::source`] says what is missing.

mod backoff;
mod config;
#[cfg(feature = "dns")]
mod dns;
mod dns_cluster;
mod dns_domain;
mod dns_keys;
mod dns_poll;
mod epmd;
mod epmd_all;
mod epmd_hosts;
mod erlang_hosts;
mod exec;
mod failure;
mod file;
mod gossip;
mod jitter;
mod kubernetes;
mod kubernetes_dns;
mod kubernetes_dns_srv;
mod local_epmd;
mod pace;
mod peer_list;
mod postgres;
mod probe;
mod rancher;
mod secret;
mod source;

pub use config::{ConfigError, Strategy, TopologyConfig};
pub use dns_cluster::{DnsClusterConfig, DnsClusterQuery, ResourceTypes};
pub use dns_domain::{DnsConfig, HostType, RecordType};
pub use dns_keys::{Nameservers, NameserversError, PortFrom};
pub use dns_poll::DnsPollConfig;
pub use enmesh_proto::{ProbeFault, Probed};
pub use epmd::EpmdConfig;
pub use epmd_all::EpmdAllConfig;
pub use erlang_hosts::ErlangHostsConfig;
pub use exec::ExecConfig;
pub use file::FileConfig;
pub use gossip::GossipConfig;
pub use jitter::{Jitter, JitterError};
pub use kubernetes::{
    KubernetesConfig, LookupMode, NameMode, NameTemplate, NameTemplateError, PortSource, Readiness,
};
#[cfg(feature = "kubernetes")]
pub use kubernetes::{PodDoubt, PodFact, PodFacts, PodNameError};
pub use kubernetes_dns::KubernetesDnsConfig;
pub use kubernetes_dns_srv::KubernetesDnsSrvConfig;
pub use local_epmd::LocalEpmdConfig;
pub use postgres::PostgresConfig;
pub use probe::{ProbeError, probe};
pub use rancher::RancherConfig;
pub use secret::Secret;
pub use source::{Environment, MAX_PEERS_PER_UPDATE, Source, SourceContext, SourceError};
