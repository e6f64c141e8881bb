//! The cluster's domain, which stands at the end of the names that its DNS knows.

use std::fmt;
use std::path::Path;
#[cfg(feature = "dns")]
use std::time::Duration;

use super::config::KubernetesConfig;
use crate::source::Environment;

/// What a cluster's domain is unless somebody chose another.
const DEFAULT: &str = "cluster.local";

/// The longest domain, in characters, as in any DNS name.
const MAX_DOMAIN: usize = 253;

/// Of a file that should have a few lines, so much is read, in bytes.
const MAX_RESOLV_CONF: usize = 64 << 10;

/// The name that every cluster's DNS knows.
#[cfg(feature = "dns")]
const API_NAME: &str = "kubernetes.default.svc";

/// The longest that DNS is waited for.
#[cfg(feature = "dns")]
const DNS_TIMEOUT: Duration = Duration::from_secs(3);

/// The domain, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Domain {
    pub(super) name: String,
    pub(super) origin: Origin,
}

/// Where the domain comes from, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    ClusterDomain,
    ClusterName,
    Environment,
    ResolvConf,
    #[cfg_attr(not(feature = "dns"), allow(dead_code))]
    CanonicalName,
    HostsFile,
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClusterDomain => "the key kubernetes_cluster_domain",
            Self::ClusterName => "the key kubernetes_cluster_name",
            Self::Environment => "the variable CLUSTER_DOMAIN",
            Self::ResolvConf => "the entry svc.… of the search list in resolv.conf",
            Self::CanonicalName => "the canonical name of kubernetes.default.svc",
            Self::HostsFile => "the hosts file",
            Self::Default => "nobody, so it is what most clusters have",
        })
    }
}

impl Domain {
    /// What is known without asking anybody; none where only DNS could tell.
    pub(super) fn said(
        config: &KubernetesConfig,
        environment: &Environment,
        resolv_conf: &Path,
    ) -> Option<Self> {
        let named = config.cluster_name.as_ref();
        let named = named.map(|name| format!("{}.local", name.trim_matches('.')));
        // Outside of a pod the search list is about other services than those of a cluster.
        let searched = || in_pod(environment).then(|| from_search(&read(resolv_conf)));
        let said = [
            (config.cluster_domain.clone(), Origin::ClusterDomain),
            (named, Origin::ClusterName),
            (
                environment.get("CLUSTER_DOMAIN").map(str::to_owned),
                Origin::Environment,
            ),
            (searched().flatten(), Origin::ResolvConf),
        ];
        said.into_iter().find_map(|(name, origin)| {
            let name = name?.trim_matches('.').to_owned();
            is_domain(&name).then_some(Self { name, origin })
        })
    }

    /// What [`Domain::said`] says, else what DNS tells, else what most clusters have. It takes
    /// three seconds at most.
    pub(super) async fn find(
        config: &KubernetesConfig,
        environment: &Environment,
        resolv_conf: &Path,
    ) -> Self {
        if let Some(said) = Self::said(config, environment, resolv_conf) {
            return said;
        }
        #[cfg(feature = "dns")]
        if in_pod(environment)
            && let Ok(Some(name)) = tokio::time::timeout(DNS_TIMEOUT, canonical()).await
        {
            let origin = Origin::CanonicalName;
            return Self { name, origin };
        }
        Self::usual()
    }

    /// The one that the hosts file has in the pod's own name.
    pub(super) fn in_hosts(name: String) -> Self {
        let origin = Origin::HostsFile;
        Self { name, origin }
    }

    /// What most clusters have.
    pub(super) fn usual() -> Self {
        Self {
            name: DEFAULT.to_owned(),
            origin: Origin::Default,
        }
    }
}

fn in_pod(environment: &Environment) -> bool {
    environment.get("KUBERNETES_SERVICE_HOST").is_some()
}

fn read(resolv_conf: &Path) -> String {
    let mut text = std::fs::read_to_string(resolv_conf).unwrap_or_default();
    text.truncate(text.floor_char_boundary(MAX_RESOLV_CONF));
    text
}

/// The domain that kubelet wrote into resolv.conf: `search NS.svc.DOMAIN svc.DOMAIN DOMAIN`. Of
/// several lines the last counts (resolv.conf(5), "search").
fn from_search(resolv_conf: &str) -> Option<String> {
    let mut searches = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("search")).then_some(words)
    });
    let mut entries = searches.next_back()?;
    entries.find_map(|entry| domain_after("svc.", entry))
}

/// What follows `begin` in a name of the cluster's DNS.
fn domain_after(begin: &str, name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let domain = name.strip_prefix(begin)?.trim_end_matches('.');
    is_domain(domain).then(|| domain.to_owned())
}

pub(super) fn is_domain(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_DOMAIN).contains(&name.len())
        && name.bytes().all(fits)
        && name.split('.').all(|label| !label.is_empty())
}

/// The domain in the name under which DNS, with its search list, knows the API server.
#[cfg(feature = "dns")]
async fn canonical() -> Option<String> {
    use hickory_resolver::TokioResolver;
    use hickory_resolver::proto::rr::RecordType;

    let resolver = TokioResolver::builder_tokio().ok()?.build().ok()?;
    let (v4, v6) = futures::join!(
        resolver.lookup(API_NAME, RecordType::A),
        resolver.lookup(API_NAME, RecordType::AAAA),
    );
    let answers = [v4, v6].into_iter().flatten();
    let names = answers.flat_map(|answer| {
        let names = answer
            .answers()
            .iter()
            .map(|record| record.name.to_string());
        names.collect::<Vec<_>>()
    });
    let begin = format!("{API_NAME}.");
    let mut domains = names.filter_map(|name| domain_after(&begin, &name));
    domains.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;

    const POD: &str = "search story.svc.k8s.example svc.k8s.example k8s.example\n\
                       nameserver 10.96.0.10\noptions ndots:5\n";

    fn config(domain: Option<&str>, name: Option<&str>) -> KubernetesConfig {
        KubernetesConfig {
            cluster_domain: domain.map(str::to_owned),
            cluster_name: name.map(str::to_owned),
            ..KubernetesConfig::default()
        }
    }

    #[track_caller]
    fn check(
        config: &KubernetesConfig,
        variables: &[(&str, &str)],
        resolv_conf: &str,
        wanted: Option<(&str, Origin)>,
    ) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(resolv_conf.as_bytes()).unwrap();
        let environment: Environment = variables.iter().copied().collect();
        let said = Domain::said(config, &environment, file.path());
        let said = said.as_ref().map(|it| (it.name.as_str(), it.origin));
        assert_eq!(said, wanted);
    }

    #[test]
    fn the_first_who_knows_the_domain_is_believed() {
        let in_pod = ("KUBERNETES_SERVICE_HOST", "10.96.0.1");
        let both = [in_pod, ("CLUSTER_DOMAIN", "env.example.")];
        let key = config(Some("key.example."), Some("named"));
        check(
            &key,
            &both,
            POD,
            Some(("key.example", Origin::ClusterDomain)),
        );
        let name = config(None, Some("named"));
        check(
            &name,
            &both,
            POD,
            Some(("named.local", Origin::ClusterName)),
        );
        let none = config(None, None);
        check(
            &none,
            &both,
            POD,
            Some(("env.example", Origin::Environment)),
        );
        check(
            &none,
            &[in_pod],
            POD,
            Some(("k8s.example", Origin::ResolvConf)),
        );
        check(&none, &[in_pod], "nameserver 10.96.0.10\n", None);
        check(&none, &[], POD, None);
    }

    #[test]
    fn the_last_search_list_counts() {
        let two =
            "search svc.old.example\n; search svc.no.example\nsearch a.example svc.new.example.\n";
        assert_eq!(from_search(two).as_deref(), Some("new.example"));
        assert_eq!(from_search("search web.svc.cluster.local svc.\n"), None);
        assert_eq!(from_search("domain svc.cluster.local\n"), None);
    }

    #[test]
    fn the_name_of_the_api_server_ends_with_the_domain() {
        let domain = |name| domain_after("kubernetes.default.svc.", name);
        assert_eq!(
            domain("Kubernetes.default.svc.cluster.local.").as_deref(),
            Some("cluster.local")
        );
        assert_eq!(domain("kubernetes.default.svc."), None);
        assert_eq!(domain("elsewhere.example."), None);
    }

    #[tokio::test]
    async fn where_nobody_knows_it_is_the_usual_one() {
        let nobody = Environment::default();
        let found = Domain::find(&config(None, None), &nobody, Path::new("/nonexistent")).await;
        assert_eq!(
            (found.name.as_str(), found.origin),
            (DEFAULT, Origin::Default)
        );
    }

    proptest! {
        #[test]
        fn any_file_gives_a_domain_or_none(text in "(search|domain|svc\\.|[a-z. \n]){0,20}|\\PC*") {
            if let Some(domain) = from_search(&text) {
                prop_assert!(is_domain(&domain));
            }
        }
    }
}
