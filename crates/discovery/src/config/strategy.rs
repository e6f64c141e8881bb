//! The strategies by name.

use std::collections::BTreeMap;

use super::{ConfigError, Field, Fields};
use crate::dns_poll::DnsPollConfig;
use crate::epmd::EpmdConfig;
use crate::kubernetes::KubernetesConfig;
use crate::kubernetes_dns::KubernetesDnsConfig;
use crate::local_epmd::LocalEpmdConfig;
use crate::source::{Source, SourceContext, SourceError};

/// The names of all strategies, in the order in which messages list them.
pub(crate) const STRATEGIES: &[&str] = &[
    "epmd",
    "local_epmd",
    "kubernetes",
    "kubernetes_dns",
    "dns_poll",
];

/// Where the peers of a topology come from.
///
/// libcluster's module names (`Cluster.Strategy.Kubernetes`) are understood as well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// `epmd`: a fixed list of node names.
    Epmd(EpmdConfig),
    /// `local_epmd`: every node that the port mapper of this machine knows.
    LocalEpmd(LocalEpmdConfig),
    /// `kubernetes`: pods or endpoints by label, listed and watched.
    Kubernetes(KubernetesConfig),
    /// `kubernetes_dns`: the addresses of a headless Service.
    KubernetesDns(KubernetesDnsConfig),
    /// `dns_poll`: the addresses of any DNS name.
    DnsPoll(DnsPollConfig),
}

impl Strategy {
    /// The name by which configuration chooses the strategy.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Epmd(_) => "epmd",
            Self::LocalEpmd(_) => "local_epmd",
            Self::Kubernetes(_) => "kubernetes",
            Self::KubernetesDns(_) => "kubernetes_dns",
            Self::DnsPoll(_) => "dns_poll",
        }
    }

    /// Checks every key's range.
    ///
    /// # Errors
    /// The first key whose value is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Epmd(config) => config.validate(),
            Self::LocalEpmd(config) => config.validate(),
            Self::Kubernetes(config) => config.validate(),
            Self::KubernetesDns(config) => config.validate(),
            Self::DnsPoll(config) => config.validate(),
        }
    }

    pub(crate) fn from_fields(
        name: &str,
        fields: BTreeMap<String, Field>,
    ) -> Result<Self, ConfigError> {
        let (strategy, allowed) = match name.trim_start_matches("Elixir.") {
            "epmd" | "Cluster.Strategy.Epmd" => {
                let mut fields = Fields::new("epmd", fields);
                let strategy = Self::Epmd(EpmdConfig::take(&mut fields)?);
                (strategy, fields.finish(EpmdConfig::KEYS))
            }
            "local_epmd" | "Cluster.Strategy.LocalEpmd" => {
                let mut fields = Fields::new("local_epmd", fields);
                let strategy = Self::LocalEpmd(LocalEpmdConfig::take(&mut fields)?);
                (strategy, fields.finish(LocalEpmdConfig::KEYS))
            }
            "kubernetes" | "Cluster.Strategy.Kubernetes" => {
                let mut fields = Fields::new("kubernetes", fields);
                let strategy = Self::Kubernetes(KubernetesConfig::take(&mut fields)?);
                (strategy, fields.finish(KubernetesConfig::KEYS))
            }
            "kubernetes_dns" | "Cluster.Strategy.Kubernetes.DNS" => {
                let mut fields = Fields::new("kubernetes_dns", fields);
                let strategy = Self::KubernetesDns(KubernetesDnsConfig::take(&mut fields)?);
                (strategy, fields.finish(KubernetesDnsConfig::KEYS))
            }
            "dns_poll" | "Cluster.Strategy.DNSPoll" => {
                let mut fields = Fields::new("dns_poll", fields);
                let strategy = Self::DnsPoll(DnsPollConfig::take(&mut fields)?);
                (strategy, fields.finish(DnsPollConfig::KEYS))
            }
            unknown => {
                return Err(ConfigError::UnknownStrategy {
                    value: unknown.to_owned(),
                });
            }
        };
        allowed?;
        strategy.validate()?;
        Ok(strategy)
    }

    pub(crate) fn pairs(&self) -> Vec<(&'static str, Field)> {
        match self {
            Self::Epmd(config) => config.pairs(),
            Self::LocalEpmd(config) => config.pairs(),
            Self::Kubernetes(config) => config.pairs(),
            Self::KubernetesDns(config) => config.pairs(),
            Self::DnsPoll(config) => config.pairs(),
        }
    }

    pub(crate) fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        match self {
            Self::Epmd(config) => Ok(Box::new(crate::epmd::EpmdSource::new(config))),
            Self::LocalEpmd(config) => Ok(Box::new(crate::local_epmd::LocalEpmdSource::new(
                config, context,
            ))),
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(config) => Ok(Box::new(crate::kubernetes::KubernetesSource::new(
                config, context,
            ))),
            #[cfg(not(feature = "kubernetes"))]
            Self::Kubernetes(_) => Err(self.left_out("kubernetes")),
            #[cfg(feature = "dns")]
            Self::KubernetesDns(config) => Ok(Box::new(crate::dns::DnsSource::new(
                &config.service,
                &config.application_name,
                config.polling_interval,
                context,
            ))),
            #[cfg(feature = "dns")]
            Self::DnsPoll(config) => Ok(Box::new(crate::dns::DnsSource::new(
                &config.query,
                &config.node_basename,
                config.polling_interval,
                context,
            ))),
            #[cfg(not(feature = "dns"))]
            Self::KubernetesDns(_) | Self::DnsPoll(_) => Err(self.left_out("dns")),
        }
    }

    #[cfg(not(all(feature = "kubernetes", feature = "dns")))]
    fn left_out(&self, feature: &'static str) -> SourceError {
        SourceError::NotBuiltIn {
            strategy: self.name(),
            feature,
        }
    }
}
