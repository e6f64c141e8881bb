//! Where the API server is and who we are to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use kube::Config;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedAuthInfo,
    NamedCluster, NamedContext,
};

use super::config::KubernetesConfig;
use crate::source::Environment;

/// The longest that a connection to the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the only cluster, user and context of a pod are called.
const NAME: &str = "pod";

/// Stands where a cluster has no proxy: kube would take that of HTTPS_PROXY then, whatever NO_PROXY
/// says of the API server, and a pod in a company's network often has that variable.
const NO_PROXY: &str = "http://no-proxy.invalid";

/// Why there is no API server to ask.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// Neither the environment nor a file names one.
    #[error(
        "found no Kubernetes API: neither in a pod with a service account (no \
         KUBERNETES_SERVICE_HOST, or no token in {account}), nor by KUBECONFIG or ~/.kube/config; \
         give the key `kubeconfig` or set KUBECONFIG"
    )]
    NotFound { account: PathBuf },
    /// A context is named, and no kubeconfig that could have it.
    #[error(
        "kubeconfig_context names a context, and there is no kubeconfig; give the key `kubeconfig` \
         or set KUBECONFIG"
    )]
    NoKubeconfig,
    /// The files of the service account cannot be used.
    #[error("cannot use the service account in {account}")]
    Account {
        account: PathBuf,
        #[source]
        source: KubeconfigError,
    },
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {paths}")]
    Kubeconfig {
        paths: String,
        #[source]
        source: KubeconfigError,
    },
    /// The kubeconfig turns verification off.
    #[error(
        "the kubeconfig {paths} says insecure-skip-tls-verify, and a token is not given to a \
         server that nobody verified; name the CA by certificate-authority instead"
    )]
    Insecure { paths: String },
    /// The kubeconfig has a proxy between us and the cluster. Its address may hold a password.
    #[error(
        "the kubeconfig {paths} has a proxy-url, and proxies are not supported; name an API server \
         that can be reached, by server of the kubeconfig or by kubernetes_master"
    )]
    Proxy { paths: String },
    /// The address has no TLS.
    #[error("{uri} is not https and not on this machine, and a token is not sent in the clear")]
    Clear { uri: Uri },
    /// The address cannot be understood.
    #[error("`{text}` is no address of an API server, as in https://10.96.0.1:443")]
    BadAddress { text: String },
}

/// Finds the API server: the key `kubeconfig`, else the pod's service account, else `KUBECONFIG`
/// or `~/.kube/config`. The namespace of the result is
/// `namespace`, if there is one.
pub(super) async fn locate(
    config: &KubernetesConfig,
    environment: &Environment,
    namespace: Option<&str>,
    cluster_domain: &str,
) -> Result<Config, ApiError> {
    let account = &config.service_account_path;
    let has_account = account.join("token").exists();
    let in_pod = environment.get("KUBERNETES_SERVICE_HOST").is_some() && has_account;
    let files = kubeconfig_files(environment);
    let context = config.kubeconfig_context.as_deref();
    let mut api = if let Some(path) = &config.kubeconfig {
        from_kubeconfig(std::slice::from_ref(path), context).await?
    } else if context.is_some() && !files.is_empty() {
        from_kubeconfig(&files, context).await?
    } else if context.is_some() {
        return Err(ApiError::NoKubeconfig);
    } else if in_pod || (files.is_empty() && has_account && config.master.is_some()) {
        from_account(account, environment, config.master.is_some()).await?
    } else if !files.is_empty() {
        from_kubeconfig(&files, None).await?
    } else {
        return Err(ApiError::NotFound {
            account: account.clone(),
        });
    };
    if let Some(master) = &config.master {
        api.cluster_url = master_uri(master, cluster_domain)?;
    }
    refuse_clear(&api.cluster_url)?;
    if let Some(namespace) = namespace {
        namespace.clone_into(&mut api.default_namespace);
    }
    api.connect_timeout = Some(CONNECT_TIMEOUT);
    // Retries are ours, so that they keep to one back-off.
    api.default_retry = false;
    Ok(api)
}

fn kubeconfig_files(environment: &Environment) -> Vec<PathBuf> {
    match (environment.get("KUBECONFIG"), environment.get("HOME")) {
        (Some(paths), _) => std::env::split_paths(paths)
            .filter(|path| !path.as_os_str().is_empty())
            .collect(),
        (None, Some(home)) => {
            let path = Path::new(home).join(".kube").join("config");
            if path.exists() {
                vec![path]
            } else {
                Vec::new()
            }
        }
        (None, None) => Vec::new(),
    }
}

async fn from_kubeconfig(files: &[PathBuf], context: Option<&str>) -> Result<Config, ApiError> {
    let paths: Vec<_> = files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let paths = paths.join(":");
    let unusable = |source| ApiError::Kubeconfig {
        paths: paths.clone(),
        source,
    };
    let mut merged = Kubeconfig::default();
    for path in files {
        let next = Kubeconfig::read_from(path).map_err(unusable)?;
        merged = merged.merge(next).map_err(unusable)?;
    }
    for cluster in &mut merged.clusters {
        if let Some(cluster) = &mut cluster.cluster {
            let named = cluster.proxy_url.take().filter(|url| !url.is_empty());
            cluster.proxy_url = named.or_else(|| Some(NO_PROXY.to_owned()));
        }
    }
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let mut config = Config::from_custom_kubeconfig(merged, &options)
        .await
        .map_err(unusable)?;
    let proxy = config.proxy_url.take();
    if proxy.is_some_and(|proxy| proxy != Uri::from_static(NO_PROXY)) {
        return Err(ApiError::Proxy { paths });
    }
    if config.accept_invalid_certs {
        return Err(ApiError::Insecure { paths });
    }
    Ok(config)
}

/// What `kubectl` would read from a kubeconfig, put together from the files of a pod.
async fn from_account(
    account: &Path,
    environment: &Environment,
    elsewhere: bool,
) -> Result<Config, ApiError> {
    let path = |file: &str| account.join(file).display().to_string();
    let unusable = |source| ApiError::Account {
        account: account.to_owned(),
        source,
    };
    let uri = if elsewhere {
        Uri::from_static("https://kubernetes")
    } else {
        pod_uri(environment)?
    };
    let cluster = Cluster {
        server: Some(uri.to_string()),
        certificate_authority: Some(path("ca.crt")),
        proxy_url: Some(NO_PROXY.to_owned()),
        ..Cluster::default()
    };
    // Given as a file, the token is read again for each request.
    let user = AuthInfo {
        token_file: Some(path("token")),
        ..AuthInfo::default()
    };
    let context = Context {
        cluster: NAME.to_owned(),
        user: Some(NAME.to_owned()),
        ..Context::default()
    };
    let files = Kubeconfig {
        clusters: vec![NamedCluster {
            name: NAME.to_owned(),
            cluster: Some(cluster),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: NAME.to_owned(),
            auth_info: Some(user),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: NAME.to_owned(),
            context: Some(context),
            ..NamedContext::default()
        }],
        current_context: Some(NAME.to_owned()),
        ..Kubeconfig::default()
    };
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(files, &options)
        .await
        .map_err(unusable)?;
    config.proxy_url = None;
    // Given as a file as well, the CA is read again when it is replaced.
    config.root_cert_file = Some(account.join("ca.crt"));
    let namespace = std::fs::read_to_string(account.join("namespace")).unwrap_or_default();
    if !namespace.trim().is_empty() {
        namespace.trim().clone_into(&mut config.default_namespace);
    }
    Ok(config)
}

fn pod_uri(environment: &Environment) -> Result<Uri, ApiError> {
    let host = environment
        .get("KUBERNETES_SERVICE_HOST")
        .unwrap_or_default();
    let port = environment.get("KUBERNETES_SERVICE_PORT").unwrap_or("443");
    // A bare IPv6 address needs brackets in front of a port.
    let bare = host.contains(':') && !host.starts_with('[');
    let text = if bare {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    };
    text.parse().map_err(|_| ApiError::BadAddress { text })
}

/// Whether the API server's name is to be completed with the cluster's domain.
pub(super) fn needs_domain(config: &KubernetesConfig) -> bool {
    let host = config.master.as_deref().map(master_host);
    host.is_some_and(|host| host.ends_with(".svc"))
}

fn master_host(master: &str) -> &str {
    let host = master.strip_prefix("https://").unwrap_or(master);
    let host = host.strip_suffix('/').unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host)
}

/// libcluster appends the cluster's domain to `kubernetes.default.svc`; a full name, an address or
/// a port is taken as it is.
fn master_uri(master: &str, cluster_domain: &str) -> Result<Uri, ApiError> {
    let text = match master_host(master) {
        host if host.ends_with(".svc") => format!("https://{host}.{cluster_domain}"),
        host => format!("https://{host}"),
    };
    text.parse().map_err(|_| ApiError::BadAddress { text })
}

fn refuse_clear(uri: &Uri) -> Result<(), ApiError> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost"
        || host
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if uri.scheme_str() == Some("https") || local {
        return Ok(());
    }
    Err(ApiError::Clear { uri: uri.clone() })
}

#[cfg(test)]
mod tests;
