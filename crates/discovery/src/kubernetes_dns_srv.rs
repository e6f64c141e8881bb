//! The host names behind a headless Service.

use std::time::Duration;

use crate::config::{
    ConfigError, Field, Fields, StrategyConfig, check_polling_interval, duration_text,
};
use crate::dns_keys::{Nameservers, PortFrom, take_interval};
use crate::dns_poll::{check_basename, check_query};
use crate::source::{Source, SourceContext, SourceError};

const SERVICE_ALLOWED: &str =
    "the name of a headless Service with a port, as in web-headless or _dist._tcp.web-headless";
const NAMESPACE_ALLOWED: &str = "the namespace of the Service: 1 to 63 of a-z, 0-9 and -";
const DOMAIN_ALLOWED: &str = "the cluster's domain, as in cluster.local";
const APPLICATION_NAME_ALLOWED: &str = "the part of the node names before the @";

/// Strategy `kubernetes_dns_srv`: `application_name@TARGET` for each SRV record of a headless
/// Service, as in `web@web-0.web-headless.prod.svc.cluster.local`.
///
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesDnsSrvConfig {
    /// Key `service`: the name of the Service, with the port's name before it or without.
    pub service: String,
    /// Key `namespace`: the Service's namespace.
    pub namespace: String,
    /// Key `application_name`: the part of the node names before the `@`.
    pub application_name: String,
    /// Key `port`: where the port of the distribution comes from, by default from epmd. A Service
    /// may name any port, of HTTP for one, and libcluster does not look at it.
    pub port: PortFrom,
    /// Key `kubernetes_cluster_domain`: the cluster's domain, by default the environment's
    /// CLUSTER_DOMAIN, else what the search list of resolv.conf tells, else `cluster.local`.
    pub cluster_domain: Option<String>,
    /// Key `polling_interval`: the longest time between two look-ups, 100 ms to 1 h, by default
    /// 5 s. A shorter TTL brings the next look-up forward, to one second at the earliest.
    pub polling_interval: Duration,
    /// Key `nameserver`: who is asked in place of the name servers of resolv.conf.
    pub nameservers: Nameservers,
}

impl StrategyConfig for KubernetesDnsSrvConfig {
    const NAME: &'static str = "kubernetes_dns_srv";
    const ALIASES: &'static [&'static str] = &["Cluster.Strategy.Kubernetes.DNSSRV"];
    const KEYS: &'static [&'static str] = &[
        "service",
        "namespace",
        "application_name",
        "port",
        "kubernetes_cluster_domain",
        "polling_interval",
        "nameserver",
    ];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        Ok(Self {
            service: fields.required("service", SERVICE_ALLOWED)?,
            namespace: fields.required("namespace", NAMESPACE_ALLOWED)?,
            application_name: fields.required("application_name", APPLICATION_NAME_ALLOWED)?,
            port: PortFrom::take(fields, PortFrom::Epmd)?,
            cluster_domain: fields.text("kubernetes_cluster_domain", DOMAIN_ALLOWED)?,
            polling_interval: take_interval(fields, None)?,
            nameservers: Nameservers::take(fields)?,
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let text = |text: &str| Field::Text(text.to_owned());
        let mut pairs = vec![
            ("service", text(&self.service)),
            ("namespace", text(&self.namespace)),
            ("application_name", text(&self.application_name)),
            self.port.pair(),
        ];
        let domain = self.cluster_domain.as_deref();
        pairs.extend(domain.map(|domain| ("kubernetes_cluster_domain", text(domain))));
        let interval = Field::Text(duration_text(self.polling_interval));
        pairs.push(("polling_interval", interval));
        pairs.extend(self.nameservers.pair());
        pairs
    }

    fn validate(&self) -> Result<(), ConfigError> {
        check_query("service", &self.service, SERVICE_ALLOWED)?;
        check_query("namespace", &self.namespace, NAMESPACE_ALLOWED)?;
        for (key, value, allowed) in [
            ("service", &self.service, SERVICE_ALLOWED),
            ("namespace", &self.namespace, NAMESPACE_ALLOWED),
        ] {
            if value.ends_with('.') || (key == "namespace" && value.contains('.')) {
                return Err(ConfigError::BadValue {
                    key,
                    value: value.clone(),
                    allowed,
                });
            }
        }
        if let Some(domain) = &self.cluster_domain {
            check_query("kubernetes_cluster_domain", domain, DOMAIN_ALLOWED)?;
        }
        check_basename(
            "application_name",
            &self.application_name,
            APPLICATION_NAME_ALLOWED,
        )?;
        check_polling_interval(self.polling_interval)
    }

    #[cfg(feature = "dns")]
    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        use crate::dns::{DnsSource, Families, HostPart, Plan, QueryName, Question, Records};

        let environment = || context.environment().get("CLUSTER_DOMAIN");
        let domain = self.cluster_domain.as_deref().or_else(environment);
        let question = Question {
            name: QueryName::InCluster {
                prefix: format!("{}.{}.svc", self.service, self.namespace),
                domain: domain.map(str::to_owned),
            },
            basename: self.application_name.clone(),
            records: Records::SRV,
            host_part: HostPart::Hostname,
            families: Families::Both,
            port: self.port,
        };
        let plan = Plan::of(question, self.polling_interval, &self.nameservers);
        Ok(Box::new(DnsSource::new(&plan, context)))
    }

    #[cfg(not(feature = "dns"))]
    fn source(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        crate::config::left_out::<Self>("dns")
    }
}
