//! What both `enmesh manifests` and `enmesh inject` ask for.

use clap::Args;

use super::settings::{
    API_PORT, App, Certificates, Epmd, Kind, Lookup, Mode, PullPolicy, Settings,
};

/// The image where none is named: what the Dockerfile makes.
pub(super) const IMAGE: &str = concat!("enmesh:", env!("CARGO_PKG_VERSION"));

/// How the nodes of a cluster are called, and how they find each other.
#[derive(Args, Debug)]
pub(crate) struct NodeOptions {
    /// What the nodes are called behind the @.
    #[arg(long, value_enum)]
    mode: Mode,
    /// How peers are looked for [default: endpointslices; srv with --mode srv].
    #[arg(long, value_enum)]
    lookup: Option<Lookup>,
    /// How many peers a pod has before it counts as ready.
    #[arg(long, value_name = "N")]
    min_peers: Option<u32>,
    /// The image of enmesh.
    #[arg(long, value_name = "IMAGE", default_value = IMAGE)]
    image: String,
    /// When images are pulled [default: that of Kubernetes].
    #[arg(long, value_enum)]
    image_pull_policy: Option<PullPolicy>,
    /// No epmd: every node listens on port 9100.
    #[arg(long, value_name = "MODE", value_parser = ["none"])]
    epmd: Option<String>,
    /// `enmesh epmd` as a container of its own.
    #[arg(long, conflicts_with = "epmd")]
    epmd_sidecar: bool,
    /// Links over TLS, with the Secret NAME-tls or with cert-manager's CSI driver.
    #[arg(
        long,
        value_enum,
        value_name = "FROM",
        num_args = 0..=1,
        default_missing_value = "secret",
        require_equals = true
    )]
    tls: Option<Certificates>,
    /// The cluster's domain, where it is not cluster.local and the pods do not see it.
    #[arg(long, value_name = "DOMAIN")]
    cluster_domain: Option<String>,
    /// Log as JSON.
    #[arg(long)]
    json_log: bool,
}

impl NodeOptions {
    /// Settings with nothing else said: members of this name, whose Service and label are called the same.
    pub(crate) fn settings(&self, name: &str, namespace: &str) -> Settings {
        Settings {
            name: name.to_owned(),
            service: name.to_owned(),
            namespace: namespace.to_owned(),
            selector: [("app".to_owned(), name.to_owned())].into(),
            mode: self.mode,
            kind: Kind::Member,
            lookup: self.lookup.unwrap_or_else(|| Lookup::of_mode(self.mode)),
            epmd: match (&self.epmd, self.epmd_sidecar) {
                (Some(_), _) => Epmd::None,
                (None, true) => Epmd::Sidecar,
                (None, false) => Epmd::Own,
            },
            tls: self.tls,
            image: self.image.clone(),
            pull_policy: self.image_pull_policy,
            app: App::default(),
            around_only: false,
            api_port: API_PORT,
            replicas: 0,
            min_peers: self.min_peers,
            cluster_domain: self.cluster_domain.clone(),
            json_log: self.json_log,
            cookie: None,
        }
    }
}
