//! What a pod knows of itself: variables of the downward API, and files that kubelet writes.

use std::io::Read as _;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use super::config::{DEFAULT_ACCOUNT_PATH, KubernetesConfig};
use super::domain::{Domain, is_domain};
use super::pod_name::{PodFact, PodNameError};
use crate::source::Environment;

/// Of each of the files so much is read, in bytes; they have a few lines.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// What a pod knows of itself. [`PodFacts::name`] makes its node's name of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFacts {
    pub(super) address: Option<IpAddr>,
    /// Whether the address is one of this machine.
    pub(super) is_here: bool,
    pub(super) pod: Option<String>,
    /// Up to its first dot.
    pub(super) hostname: Option<String>,
    pub(super) namespace: Option<String>,
    /// The Service that was named.
    pub(super) service: Option<String>,
    /// What kubelet wrote into the hosts file.
    pub(super) in_hosts: Option<InHosts>,
    /// The namespace and the domain in the search list.
    pub(super) searched: Option<(String, String)>,
    pub(super) domain: Domain,
}

/// The whole name of a pod that has a subdomain: `HOSTNAME.SUBDOMAIN.NAMESPACE.svc.DOMAIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InHosts {
    pub(super) subdomain: String,
    pub(super) namespace: String,
    pub(super) domain: String,
}

impl PodFacts {
    /// Looks into `POD_IP`, `POD_NAME`, `POD_NAMESPACE`, `HOSTNAME` and `CLUSTER_DOMAIN` as
    /// `variable` has them, and into the files etc/hosts, etc/resolv.conf, etc/hostname and the
    /// service account's namespace below `root`. `service` is the Service, if it is known.
    ///
    /// # Errors
    /// With a variable that holds what no pod has, most often a reference that was not replaced.
    pub fn gather(
        variable: impl Fn(&str) -> Option<String>,
        root: &Path,
        service: Option<&str>,
    ) -> Result<Self, PodNameError> {
        let said = |name: &str| {
            let text = variable(name)?.trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let label = |fact: PodFact| match said(fact.variable()) {
            Some(value) if !is_domain(&value) => Err(PodNameError::Malformed { fact, value }),
            value => Ok(value),
        };
        let address = match said(PodFact::Address.variable()) {
            // status.podIPs has both addresses of a dual-stack pod, the primary one first.
            Some(text) => match text.split(',').next().unwrap_or_default().trim().parse() {
                Ok(address) => Some(address),
                Err(_) => {
                    return Err(PodNameError::Malformed {
                        fact: PodFact::Address,
                        value: text,
                    });
                }
            },
            None => None,
        };
        let service = match service.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) if !is_domain(text) || text.contains('.') => {
                return Err(PodNameError::Malformed {
                    fact: PodFact::Service,
                    value: text.to_owned(),
                });
            }
            service => service.map(str::to_owned),
        };
        let file = |path: &str| read(&root.join(path.trim_start_matches('/')));
        let hostname = label(PodFact::Hostname)?.or_else(|| {
            let text = file("/etc/hostname").trim().to_owned();
            is_domain(&text).then_some(text)
        });
        let hostname = hostname.map(|name| first_label(&name).to_owned());
        let hosts = file("/etc/hosts");
        let in_hosts = hostname.as_deref().and_then(|name| in_hosts(&hosts, name));
        let resolv_conf = file("/etc/resolv.conf");
        let searched = searched(&resolv_conf);
        let account = || {
            let text = file(&format!("{DEFAULT_ACCOUNT_PATH}/namespace"));
            let text = text.trim();
            is_domain(text).then(|| text.to_owned())
        };
        let namespace = label(PodFact::Namespace)?
            .or_else(account)
            .or_else(|| in_hosts.as_ref().map(|it| it.namespace.clone()))
            .or_else(|| searched.as_ref().map(|(namespace, _)| namespace.clone()));
        Ok(Self {
            is_here: address.is_some_and(|address| UdpSocket::bind((address, 0)).is_ok()),
            address,
            pod: label(PodFact::Pod)?,
            domain: domain(&variable, &root.join("etc/resolv.conf"), in_hosts.as_ref()),
            hostname,
            namespace,
            service,
            in_hosts,
            searched,
        })
    }

    /// The pod's address, if it was told.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

/// As sources find it, except that nobody is asked: else, what the hosts file says.
fn domain(
    variable: &impl Fn(&str) -> Option<String>,
    resolv_conf: &Path,
    in_hosts: Option<&InHosts>,
) -> Domain {
    let names = ["CLUSTER_DOMAIN", "KUBERNETES_SERVICE_HOST"];
    let environment: Environment = names
        .iter()
        .filter_map(|name| Some((*name, variable(name)?)))
        .collect();
    let said = Domain::said(&KubernetesConfig::default(), &environment, resolv_conf);
    let in_hosts = || in_hosts.map(|it| Domain::in_hosts(it.domain.clone()));
    said.or_else(in_hosts).unwrap_or_else(Domain::usual)
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // What cannot be read is not known.
        let _ = file.take(MAX_FILE_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) fn first_label(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// kubelet writes `ADDRESS HOSTNAME.SUBDOMAIN.NAMESPACE.svc.DOMAIN HOSTNAME` for a pod that has a
/// subdomain, and `ADDRESS HOSTNAME` for one that has none.
fn in_hosts(hosts: &str, hostname: &str) -> Option<InHosts> {
    let mut names = hosts.lines().filter_map(|line| {
        let words = line.split('#').next().unwrap_or_default();
        let name = words.split_whitespace().nth(1)?;
        let rest = name.strip_prefix(hostname)?.strip_prefix('.')?;
        let (subdomain, rest) = rest.split_once('.')?;
        let (namespace, rest) = rest.split_once('.')?;
        let domain = rest.strip_prefix("svc.")?.trim_end_matches('.');
        let owned = InHosts {
            subdomain: subdomain.to_owned(),
            namespace: namespace.to_owned(),
            domain: domain.to_owned(),
        };
        let good = [subdomain, namespace, domain].into_iter().all(is_domain);
        good.then_some(owned)
    });
    names.next()
}

/// kubelet writes `search NAMESPACE.svc.DOMAIN svc.DOMAIN DOMAIN`.
fn searched(resolv_conf: &str) -> Option<(String, String)> {
    let mut searches = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("search")).then_some(words)
    });
    let mut entries = searches.next_back()?;
    entries.find_map(|entry| {
        let (namespace, rest) = entry.split_once('.')?;
        let domain = rest.strip_prefix("svc.")?.trim_end_matches('.');
        let good = is_domain(namespace) && is_domain(domain);
        good.then(|| (namespace.to_owned(), domain.to_owned()))
    })
}
