//! The strategies by name.

use std::collections::BTreeMap;

use super::{ConfigError, Field, Fields};
use crate::dns_cluster::DnsClusterConfig;
use crate::dns_domain::DnsConfig;
use crate::dns_poll::DnsPollConfig;
use crate::epmd::EpmdConfig;
use crate::epmd_all::EpmdAllConfig;
use crate::erlang_hosts::ErlangHostsConfig;
use crate::exec::ExecConfig;
use crate::file::FileConfig;
use crate::gossip::GossipConfig;
use crate::kubernetes::KubernetesConfig;
use crate::kubernetes_dns::KubernetesDnsConfig;
use crate::kubernetes_dns_srv::KubernetesDnsSrvConfig;
use crate::local_epmd::LocalEpmdConfig;
use crate::postgres::PostgresConfig;
use crate::rancher::RancherConfig;
use crate::source::{Source, SourceContext, SourceError};

/// What the configuration of every strategy can do.
pub(crate) trait StrategyConfig: Sized {
    /// The name by which configuration chooses the strategy.
    const NAME: &'static str;

    /// What it is called elsewhere, in libcluster for one.
    const ALIASES: &'static [&'static str];

    /// The keys that it has.
    const KEYS: &'static [&'static str];

    /// Takes its keys out of `fields`.
    fn take(fields: &mut Fields) -> Result<Self, ConfigError>;

    /// What [`take`](Self::take) would take: every key that is set, defaults included.
    fn pairs(&self) -> Vec<(&'static str, Field)>;

    /// Checks every key's range.
    fn validate(&self) -> Result<(), ConfigError>;

    /// The source that the configuration describes.
    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError>;
}

/// Where a strategy is left out of a build, this stands in the place of its source.
#[allow(
    dead_code,
    reason = "which strategies are left out depends on the features"
)]
pub(crate) fn left_out<C: StrategyConfig>(
    feature: &'static str,
) -> Result<Box<dyn Source>, SourceError> {
    Err(SourceError::NotBuiltIn {
        strategy: C::NAME,
        feature,
    })
}

/// The enum of all strategies and the one place that lists them.
macro_rules! strategies {
    ($($(#[$doc:meta])* $variant:ident($config:ident),)+) => {
        /// The names of all strategies, in the order in which messages list them.
        pub(crate) const STRATEGIES: &[&str] = &[$($config::NAME),+];

        /// Where the peers of a topology come from.
        ///
        /// libcluster's module names (`Cluster.Strategy.Kubernetes`) are understood as well.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        #[allow(
            clippy::large_enum_variant,
            reason = "a program has a handful of topologies, and none of them is moved often"
        )]
        pub enum Strategy {
            $($(#[$doc])* $variant($config),)+
        }

        impl Strategy {
            /// The name by which configuration chooses the strategy.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $config::NAME,)+
                }
            }

            /// Checks every key's range.
            ///
            /// # Errors
            /// The first key whose value is out of its range.
            pub fn validate(&self) -> Result<(), ConfigError> {
                match self {
                    $(Self::$variant(config) => config.validate(),)+
                }
            }

            pub(crate) fn from_fields(
                name: &str,
                fields: BTreeMap<String, Field>,
            ) -> Result<Self, ConfigError> {
                let name = name.trim_start_matches("Elixir.");
                $(if name == $config::NAME || $config::ALIASES.contains(&name) {
                    return Ok(Self::$variant(take::<$config>(fields)?));
                })+
                Err(ConfigError::UnknownStrategy {
                    value: name.to_owned(),
                })
            }

            pub(crate) fn pairs(&self) -> Vec<(&'static str, Field)> {
                match self {
                    $(Self::$variant(config) => config.pairs(),)+
                }
            }

            pub(crate) fn source(
                &self,
                context: &SourceContext,
            ) -> Result<Box<dyn Source>, SourceError> {
                match self {
                    $(Self::$variant(config) => config.source(context),)+
                }
            }
        }
    };
}

strategies! {
    /// `epmd`: a fixed list of node names.
    Epmd(EpmdConfig),
    /// `local_epmd`: every node that the port mapper of this machine knows.
    LocalEpmd(LocalEpmdConfig),
    /// `epmd_all`: every node that the port mappers of some hosts know.
    EpmdAll(EpmdAllConfig),
    /// `erlang_hosts`: the same for the hosts of the file `.hosts.erlang`.
    ErlangHosts(ErlangHostsConfig),
    /// `kubernetes`: pods or endpoints by label, listed and watched.
    Kubernetes(KubernetesConfig),
    /// `kubernetes_dns`: the addresses of a headless Service.
    KubernetesDns(KubernetesDnsConfig),
    /// `kubernetes_dns_srv`: the host names behind a headless Service.
    KubernetesDnsSrv(KubernetesDnsSrvConfig),
    /// `dns_poll`: the addresses of any DNS name.
    DnsPoll(DnsPollConfig),
    /// `dns`: the addresses, reverse names or SRV records of a DNS name, with gen_cluster's options.
    Dns(DnsConfig),
    /// `dns_cluster`: the addresses of several DNS names, with dns_cluster's options.
    DnsCluster(DnsClusterConfig),
    /// `rancher`: the containers of our own service in Rancher 1.
    Rancher(RancherConfig),
    /// `postgres`: whoever notifies a channel of PostgreSQL of its name.
    Postgres(PostgresConfig),
    /// `exec`: what a command prints.
    Exec(ExecConfig),
    /// `file`: what stands in a file.
    File(FileConfig),
    /// `gossip`: whoever sends libcluster's heartbeats to the same group.
    Gossip(GossipConfig),
}

fn take<C: StrategyConfig>(fields: BTreeMap<String, Field>) -> Result<C, ConfigError> {
    let mut fields = Fields::new(C::NAME, fields);
    let config = C::take(&mut fields)?;
    fields.finish(C::KEYS)?;
    config.validate()?;
    Ok(config)
}
