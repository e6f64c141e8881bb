//! The addresses of a headless Service.

use std::time::Duration;

use crate::config::{
    ConfigError, Field, Fields, StrategyConfig, check_polling_interval, duration_text,
};
use crate::dns_keys::{Nameservers, take_interval};
use crate::dns_poll::{check_basename, check_query};
use crate::source::{Source, SourceContext, SourceError};

const SERVICE_ALLOWED: &str =
    "the DNS name of a headless Service, as in web-headless or web-headless.prod";
const APPLICATION_NAME_ALLOWED: &str = "the part of the node names before the @";

/// Strategy `kubernetes_dns`: `application_name@ADDRESS` for each address of `service`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesDnsConfig {
    /// Key `service`: the Service's DNS name; the search list of resolv.conf applies.
    pub service: String,
    /// Key `application_name`: the part of the node names before the `@`.
    pub application_name: String,
    /// Key `polling_interval`: the longest time between two look-ups, 100 ms to 1 h, by default
    /// 5 s. A shorter TTL brings the next look-up forward, to one second at the earliest.
    pub polling_interval: Duration,
    /// Key `nameserver`: who is asked in place of the name servers of resolv.conf.
    pub nameservers: Nameservers,
}

impl StrategyConfig for KubernetesDnsConfig {
    const NAME: &'static str = "kubernetes_dns";
    const ALIASES: &'static [&'static str] = &["Cluster.Strategy.Kubernetes.DNS"];
    const KEYS: &'static [&'static str] = &[
        "service",
        "application_name",
        "polling_interval",
        "nameserver",
    ];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        Ok(Self {
            service: fields.required("service", SERVICE_ALLOWED)?,
            application_name: fields.required("application_name", APPLICATION_NAME_ALLOWED)?,
            polling_interval: take_interval(fields, None)?,
            nameservers: Nameservers::take(fields)?,
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let mut pairs = vec![
            ("service", Field::Text(self.service.clone())),
            (
                "application_name",
                Field::Text(self.application_name.clone()),
            ),
            (
                "polling_interval",
                Field::Text(duration_text(self.polling_interval)),
            ),
        ];
        pairs.extend(self.nameservers.pair());
        pairs
    }

    fn validate(&self) -> Result<(), ConfigError> {
        check_query("service", &self.service, SERVICE_ALLOWED)?;
        check_basename(
            "application_name",
            &self.application_name,
            APPLICATION_NAME_ALLOWED,
        )?;
        check_polling_interval(self.polling_interval)
    }

    #[cfg(feature = "dns")]
    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        use crate::dns::{DnsSource, Plan, Question};

        let question = Question::addresses(&self.service, &self.application_name);
        let plan = Plan::of(question, self.polling_interval, &self.nameservers);
        Ok(Box::new(DnsSource::new(&plan, context)))
    }

    #[cfg(not(feature = "dns"))]
    fn source(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        crate::config::left_out::<Self>("dns")
    }
}
