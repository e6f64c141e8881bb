//! The keys of strategy `kubernetes`, named as libcluster names them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::lookup::{LOOKUP_MODE, LOOKUP_MODE_ALLOWED, LookupMode};
use super::name_mode::{MODE, MODE_ALLOWED, NameMode, PORT, PORT_ALLOWED, PortSource};
use super::name_rules::{self, CLUSTER_DOMAIN, CLUSTER_DOMAIN_ALLOWED, NAME_TEMPLATE};
use super::template::NameTemplate;
use crate::config::{
    ConfigError, DEFAULT_POLLING_INTERVAL, Field, Fields, POLLING_INTERVAL_ALLOWED, StrategyConfig,
    check_polling_interval, duration_text,
};
use crate::dns_poll::{check_basename, check_query};
use crate::source::{Source, SourceContext, SourceError};

const BASENAME: &str = "kubernetes_node_basename";
const BASENAME_ALLOWED: &str = "the part of the node names before the @";
const SELECTOR: &str = "kubernetes_selector";
const SELECTOR_ALLOWED: &str = "a label selector, as in app=web,tier=front; every lookup mode but pods can do with \
     kubernetes_service_name instead";
const FIELD_SELECTOR: &str = "kubernetes_field_selector";
const FIELD_SELECTOR_ALLOWED: &str =
    "a field selector, as in spec.nodeName=node1; slices and endpoints know metadata.name alone";
pub(super) const NAMESPACE: &str = "kubernetes_namespace";
const NAMESPACE_ALLOWED: &str =
    "1 to 32 different namespaces separated by commas, each 1 to 63 of a-z, 0-9 and -";
const SERVICE_NAME: &str = "kubernetes_service_name";
const SERVICE_NAME_ALLOWED: &str = "the name of a Service: 1 to 63 of a-z, 0-9 and -";
const CLUSTER_NAME: &str = "kubernetes_cluster_name";
const CLUSTER_NAME_ALLOWED: &str = "the part of the cluster's domain before .local";
const MASTER: &str = "kubernetes_master";
const MASTER_ALLOWED: &str = "HOST, HOST:PORT or https://HOST:PORT of the API server";
const ACCOUNT_PATH: &str = "kubernetes_service_account_path";
const ACCOUNT_PATH_ALLOWED: &str = "a directory with token, ca.crt and namespace";
const CACHED: &str = "kubernetes_use_cached_resources";
const CACHED_ALLOWED: &str = "true or false";
const KUBECONFIG_ALLOWED: &str = "the path of a kubeconfig file";
const CONTEXT: &str = "kubeconfig_context";
const CONTEXT_ALLOWED: &str = "the name of a context of the kubeconfig";
const READY: &str = "ready";
const READY_ALLOWED: &str = "any or ready";

/// The most namespaces of one topology; each has a connection to the API server of its own.
pub(super) const MAX_NAMESPACES: usize = 32;

pub(super) const DEFAULT_ACCOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Strategy `kubernetes`: the pods behind a Service or a label selector, listed once and then
/// watched.
///
/// Pods that have ended, that are terminating or that have no address do not count. Whether a
/// pod is ready makes nobody leave: readiness may wait for the cluster, so the cluster must not
/// wait for readiness. When our own pod is terminating, nobody is dialled any more.
///
/// The API server is found by the key `kubeconfig`, else inside of a pod by
/// `KUBERNETES_SERVICE_HOST` and the service account, else by `KUBECONFIG` or
/// `~/.kube/config`. Its certificate is verified in every case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesConfig {
    /// Key `kubernetes_node_basename`: the part of the node names before the `@`; by default
    /// that of our own name.
    pub node_basename: Option<String>,
    /// Key `kubernetes_selector`: the label selector, of Services for slices and endpoints, of
    /// pods for pods. Every lookup mode but `pods` ignores it where `service_name` is given.
    pub selector: Option<String>,
    /// Key `kubernetes_field_selector`: a further selector, by fields; none by default. libcluster
    /// has no such key.
    pub field_selector: Option<String>,
    /// Key `kubernetes_namespace`: 1 to 32 different namespaces, separated by commas; by default that of the
    /// service account, else that of the kubeconfig's context, else `default`. One that cannot be
    /// read removes nobody and hinders no other.
    pub namespaces: Vec<String>,
    /// Key `kubernetes_ip_lookup_mode`: which objects are read, by default slices, and endpoints
    /// where slices do not exist or we may not read them. One that is given here is never
    /// replaced by another.
    pub lookup_mode: Option<LookupMode>,
    /// Key `ready`: what not being ready means for a pod, by default nothing.
    pub ready: Readiness,
    /// Key `mode`: which names the nodes have, by default their addresses; with a
    /// `name_template` what it says, and with lookup mode `auto` names like our own.
    pub mode: NameMode,
    /// Key `name_template`: the pattern of mode `template`. libcluster has no such key.
    pub name_template: Option<NameTemplate>,
    /// Key `port`: where the nodes' ports come from, by default from epmd. libcluster has no such
    /// key.
    pub port: PortSource,
    /// Key `kubernetes_service_name`: the Service whose slices or endpoints are read, and that
    /// stands in the names of modes `srv`, `hostname` and `pod`. Where it is not given, those have
    /// the Service of the slice or the Endpoints, else the pod's subdomain.
    pub service_name: Option<String>,
    /// Key `kubernetes_cluster_domain`: the cluster's domain, by default found in this order:
    /// `cluster_name`, the environment's `CLUSTER_DOMAIN`, the search list of a pod's resolv.conf,
    /// the canonical name of `kubernetes.default.svc`, `cluster.local`. libcluster has no such key.
    pub cluster_domain: Option<String>,
    /// Key `kubernetes_cluster_name`: the cluster's domain is this and `.local`.
    pub cluster_name: Option<String>,
    /// Key `kubernetes_master`: the API server, where it shall not be found as described above.
    pub master: Option<String>,
    /// Key `kubernetes_service_account_path`: where a pod has its token, the CA and its namespace.
    pub service_account_path: PathBuf,
    /// Key `kubernetes_use_cached_resources`: whether the API server may answer from its cache,
    /// by default not.
    pub use_cached_resources: bool,
    /// Key `kubeconfig`: a kubeconfig file that goes before all else. libcluster has no such key.
    pub kubeconfig: Option<PathBuf>,
    /// Key `kubeconfig_context`: a context of the kubeconfig other than its current one. With it a
    /// kubeconfig goes before the service account. libcluster has no such key.
    pub kubeconfig_context: Option<String>,
    /// Key `polling_interval`: the time between two listings, 100 ms to 1 h, by default 5 s, for
    /// an account that may list and not watch. A watch needs no polling.
    pub polling_interval: Duration,
}

/// What a pod's not being ready means. It never makes anybody leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// `any`: nothing.
    #[default]
    Any,
    /// `ready`: pods that are ready are dialled first.
    Ready,
}

impl Default for KubernetesConfig {
    fn default() -> Self {
        Self {
            node_basename: None,
            selector: None,
            field_selector: None,
            namespaces: Vec::new(),
            lookup_mode: None,
            ready: Readiness::default(),
            mode: NameMode::default(),
            name_template: None,
            port: PortSource::default(),
            service_name: None,
            cluster_domain: None,
            cluster_name: None,
            master: None,
            service_account_path: DEFAULT_ACCOUNT_PATH.into(),
            use_cached_resources: false,
            kubeconfig: None,
            kubeconfig_context: None,
            polling_interval: DEFAULT_POLLING_INTERVAL,
        }
    }
}

impl StrategyConfig for KubernetesConfig {
    const NAME: &'static str = "kubernetes";
    const ALIASES: &'static [&'static str] = &["Cluster.Strategy.Kubernetes"];
    const KEYS: &'static [&'static str] = &[
        BASENAME,
        SELECTOR,
        FIELD_SELECTOR,
        NAMESPACE,
        LOOKUP_MODE,
        READY,
        MODE,
        NAME_TEMPLATE,
        PORT,
        SERVICE_NAME,
        CLUSTER_DOMAIN,
        CLUSTER_NAME,
        MASTER,
        ACCOUNT_PATH,
        CACHED,
        "kubeconfig",
        CONTEXT,
        "polling_interval",
    ];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let default = Self::default();
        let interval = fields.duration("polling_interval", POLLING_INTERVAL_ALLOWED)?;
        let account_path = fields.text(ACCOUNT_PATH, ACCOUNT_PATH_ALLOWED)?;
        let lookup_mode = match fields.text(LOOKUP_MODE, LOOKUP_MODE_ALLOWED)? {
            Some(text) => Some(text.parse()?),
            None => None,
        };
        let name_template = name_rules::template(fields)?;
        let usual_mode = match (&name_template, lookup_mode) {
            (Some(_), _) => NameMode::Template,
            (None, Some(LookupMode::Auto)) => NameMode::Auto,
            (None, _) => default.mode,
        };
        Ok(Self {
            node_basename: fields.text(BASENAME, BASENAME_ALLOWED)?,
            selector: fields.text(SELECTOR, SELECTOR_ALLOWED)?,
            field_selector: fields.text(FIELD_SELECTOR, FIELD_SELECTOR_ALLOWED)?,
            namespaces: fields.optional_list(NAMESPACE, NAMESPACE_ALLOWED)?,
            lookup_mode,
            ready: fields.parsed(READY, READY_ALLOWED, default.ready)?,
            mode: fields.parsed(MODE, MODE_ALLOWED, usual_mode)?,
            name_template,
            port: fields.parsed(PORT, PORT_ALLOWED, default.port)?,
            service_name: fields.text(SERVICE_NAME, SERVICE_NAME_ALLOWED)?,
            cluster_domain: fields.text(CLUSTER_DOMAIN, CLUSTER_DOMAIN_ALLOWED)?,
            cluster_name: fields.text(CLUSTER_NAME, CLUSTER_NAME_ALLOWED)?,
            master: fields.text(MASTER, MASTER_ALLOWED)?,
            service_account_path: account_path.map_or(default.service_account_path, PathBuf::from),
            use_cached_resources: fields.parsed(CACHED, CACHED_ALLOWED, false)?,
            kubeconfig: fields
                .text("kubeconfig", KUBECONFIG_ALLOWED)?
                .map(PathBuf::from),
            kubeconfig_context: fields.text(CONTEXT, CONTEXT_ALLOWED)?,
            polling_interval: interval.unwrap_or(default.polling_interval),
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let path = |path: &PathBuf| path.display().to_string();
        let optional = [
            (BASENAME, self.node_basename.clone()),
            (SELECTOR, self.selector.clone()),
            (FIELD_SELECTOR, self.field_selector.clone()),
            (LOOKUP_MODE, self.lookup_mode.map(|mode| mode.to_string())),
            (READY, Some(self.ready.to_string())),
            (MODE, Some(self.mode.to_string())),
            (
                NAME_TEMPLATE,
                self.name_template.as_ref().map(ToString::to_string),
            ),
            (PORT, Some(self.port.to_string())),
            (SERVICE_NAME, self.service_name.clone()),
            (CLUSTER_DOMAIN, self.cluster_domain.clone()),
            (CLUSTER_NAME, self.cluster_name.clone()),
            (MASTER, self.master.clone()),
            (ACCOUNT_PATH, Some(path(&self.service_account_path))),
            (CACHED, Some(self.use_cached_resources.to_string())),
            ("kubeconfig", self.kubeconfig.as_ref().map(path)),
            (CONTEXT, self.kubeconfig_context.clone()),
            (
                "polling_interval",
                Some(duration_text(self.polling_interval)),
            ),
        ];
        let given = |(key, text): (&'static str, Option<String>)| Some((key, Field::Text(text?)));
        let namespaces = (!self.namespaces.is_empty()).then(|| self.namespaces.join(","));
        let namespaces = [(NAMESPACE, namespaces)];
        let all = optional.into_iter().chain(namespaces);
        all.filter_map(given).collect()
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if let Some(basename) = &self.node_basename {
            check_basename(BASENAME, basename, BASENAME_ALLOWED)?;
        }
        let by_service = self.lookup_mode != Some(LookupMode::Pods) && self.service_name.is_some();
        if self.selector.is_none() && !by_service {
            return Err(missing(SELECTOR, SELECTOR_ALLOWED));
        }
        name_rules::check(self)?;
        self.check_namespaces()?;
        check_label(
            SERVICE_NAME,
            self.service_name.as_deref(),
            SERVICE_NAME_ALLOWED,
        )?;
        if let Some(domain) = &self.cluster_domain {
            check_query(CLUSTER_DOMAIN, domain, CLUSTER_DOMAIN_ALLOWED)?;
        }
        if let Some(name) = &self.cluster_name {
            check_query(CLUSTER_NAME, name, CLUSTER_NAME_ALLOWED)?;
        }
        if let Some(master) = &self.master
            && !is_authority(master.strip_prefix("https://").unwrap_or(master))
        {
            let value = master.clone();
            return Err(ConfigError::BadValue {
                key: MASTER,
                value,
                allowed: MASTER_ALLOWED,
            });
        }
        check_polling_interval(self.polling_interval)
    }

    #[cfg(feature = "kubernetes")]
    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        name_rules::check_own(self, context)?;
        Ok(Box::new(super::source::KubernetesSource::new(
            self, context,
        )))
    }

    #[cfg(not(feature = "kubernetes"))]
    fn source(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        crate::config::left_out::<Self>("kubernetes")
    }
}

impl KubernetesConfig {
    fn check_namespaces(&self) -> Result<(), ConfigError> {
        for namespace in &self.namespaces {
            check_label(NAMESPACE, Some(namespace), NAMESPACE_ALLOWED)?;
        }
        let different: BTreeSet<_> = self.namespaces.iter().collect();
        let twice = different.len() != self.namespaces.len();
        if twice || self.namespaces.len() > MAX_NAMESPACES {
            return Err(ConfigError::BadValue {
                key: NAMESPACE,
                value: self.namespaces.join(","),
                allowed: NAMESPACE_ALLOWED,
            });
        }
        Ok(())
    }
}

/// Whether `text` can be the host, and perhaps the port, of an address on the web.
fn is_authority(text: &str) -> bool {
    let text = text.strip_suffix('/').unwrap_or(text);
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    !text.is_empty() && text.len() <= 300 && text.chars().all(fits)
}

pub(super) fn missing(key: &'static str, allowed: &'static str) -> ConfigError {
    ConfigError::MissingKey {
        key,
        strategy: "kubernetes",
        allowed,
    }
}

fn check_label(
    key: &'static str,
    label: Option<&str>,
    allowed: &'static str,
) -> Result<(), ConfigError> {
    let Some(label) = label else {
        return Ok(());
    };
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=63).contains(&label.len()) && label.bytes().all(fits) {
        return Ok(());
    }
    Err(ConfigError::BadValue {
        key,
        value: label.to_owned(),
        allowed,
    })
}

impl FromStr for Readiness {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "any" => Ok(Self::Any),
            "ready" => Ok(Self::Ready),
            other => Err(ConfigError::BadValue {
                key: READY,
                value: other.to_owned(),
                allowed: READY_ALLOWED,
            }),
        }
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Ready => "ready",
        })
    }
}
