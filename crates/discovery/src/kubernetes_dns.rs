//! The addresses of a headless Service.

use std::time::Duration;

use crate::config::{
    ConfigError, DEFAULT_POLLING_INTERVAL, Field, Fields, POLLING_INTERVAL_ALLOWED, StrategyConfig,
    duration_text,
};
use crate::dns_poll::{check_basename, check_query};
use crate::local_epmd::check_polling_interval;
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
}

impl StrategyConfig for KubernetesDnsConfig {
    const NAME: &'static str = "kubernetes_dns";
    const ALIASES: &'static [&'static str] = &["Cluster.Strategy.Kubernetes.DNS"];
    const KEYS: &'static [&'static str] = &["service", "application_name", "polling_interval"];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let interval = fields.duration("polling_interval", POLLING_INTERVAL_ALLOWED)?;
        Ok(Self {
            service: fields.required("service", SERVICE_ALLOWED)?,
            application_name: fields.required("application_name", APPLICATION_NAME_ALLOWED)?,
            polling_interval: interval.unwrap_or(DEFAULT_POLLING_INTERVAL),
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        vec![
            ("service", Field::Text(self.service.clone())),
            (
                "application_name",
                Field::Text(self.application_name.clone()),
            ),
            (
                "polling_interval",
                Field::Text(duration_text(self.polling_interval)),
            ),
        ]
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
        Ok(Box::new(crate::dns::DnsSource::new(
            &self.service,
            &self.application_name,
            self.polling_interval,
            context,
        )))
    }

    #[cfg(not(feature = "dns"))]
    fn source(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        crate::config::left_out::<Self>("dns")
    }
}
