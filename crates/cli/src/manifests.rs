//! `enmesh manifests`: what Kubernetes needs for a cluster, as YAML to be applied or to be read.

mod access;
mod container;
mod document;
mod network;
mod print;
mod settings;
mod workload;

use clap::{Args, ValueEnum};

use crate::exit::Failure;

#[cfg(test)]
use document::Document;
use document::documents;
pub(crate) use settings::SettingsError;
use settings::{App, Certificates, Epmd, Kind, Lookup, Mode, PullPolicy, Settings};

/// How many random bytes a cookie has.
const COOKIE_BYTES: usize = 24;

/// The image where none is named: what the Dockerfile makes.
const IMAGE: &str = concat!("enmesh:", env!("CARGO_PKG_VERSION"));

/// What `manifests` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Nothing is asked and nothing is applied: the text goes to stdout. The cookie is in a Secret NAME-cookie,
which is made by the command in the text's first lines, or is part of the text with --with-secret.

Examples:
  enmesh manifests --mode ip --name web --namespace prod | kubectl apply -f -
  enmesh manifests --mode srv --name web               found by DNS alone: no Role
  enmesh manifests --mode hostname --name web          a StatefulSet, whose names stay
  enmesh manifests --mode ip --kind agent --app-image registry.example.org/web:1
                                                       a BEAM of yours, with the agent beside it

Exit codes: 0 printed, 64 wrong usage.")]
pub(crate) struct ManifestsOptions {
    /// What the nodes are called behind the @.
    #[arg(long, value_enum)]
    mode: Mode,
    /// The name of all objects, and of the nodes before the @.
    #[arg(long, value_name = "NAME", default_value = "web")]
    name: String,
    /// The namespace.
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// What runs in the pods.
    #[arg(long, value_enum, default_value = "member")]
    kind: Kind,
    /// How peers are looked for [default: endpointslices; srv with --mode srv].
    #[arg(long, value_enum)]
    lookup: Option<Lookup>,
    /// How many pods.
    #[arg(long, value_name = "N", default_value_t = 3)]
    replicas: u32,
    /// How many peers a pod has before it counts as ready.
    #[arg(long, value_name = "N")]
    min_peers: Option<u32>,
    /// The image of enmesh.
    #[arg(long, value_name = "IMAGE", default_value = IMAGE)]
    image: String,
    /// When images are pulled [default: that of Kubernetes].
    #[arg(long, value_enum)]
    image_pull_policy: Option<PullPolicy>,
    /// The image of your own node, for --kind agent.
    #[arg(long, value_name = "IMAGE")]
    app_image: Option<String>,
    /// One word of its command, where the image's own is not meant; may be repeated.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    app_command: Vec<String>,
    /// A port that your own node serves, open to everybody; may be repeated.
    #[arg(long, value_name = "PORT")]
    app_port: Vec<u16>,
    /// No epmd: every node listens on port 9100.
    #[arg(long, value_name = "MODE", value_parser = ["none"])]
    epmd: Option<String>,
    /// `enmesh epmd` as a container of its own.
    #[arg(long, conflicts_with = "epmd")]
    epmd_sidecar: bool,
    /// Links over TLS, with the Secret NAME-tls or with cert-manager's CSI driver.
    #[arg(long, value_enum, value_name = "FROM", num_args = 0..=1, default_missing_value = "secret", require_equals = true)]
    tls: Option<Certificates>,
    /// The cluster's domain, where it is not cluster.local and the pods do not see it.
    #[arg(long, value_name = "DOMAIN")]
    cluster_domain: Option<String>,
    /// Log as JSON.
    #[arg(long)]
    json_log: bool,
    /// Put a Secret with a random cookie into the text.
    #[arg(long)]
    with_secret: bool,
    /// How the text looks.
    #[arg(long, value_enum, default_value = "yaml")]
    format: Format,
}

/// How manifests are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One document an object, with comments.
    Yaml,
    /// One List.
    Json,
}

/// Prints the manifests.
pub(crate) fn run(options: &ManifestsOptions) -> Result<(), Failure> {
    let settings = options.settings()?;
    settings.check()?;
    let documents = documents(&settings);
    let text = match options.format {
        Format::Yaml => print::yaml_documents(&header(&settings), &documents),
        Format::Json => print::json_list(&documents),
    };
    write_out(&text)
}

/// Writes to stdout; a reader that has had enough is no failure.
pub(crate) fn write_out(text: &str) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write};

    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::System {
            doing: "cannot write to stdout",
            error,
        }),
        _ => Ok(()),
    }
}

impl ManifestsOptions {
    fn settings(&self) -> Result<Settings, Failure> {
        let epmd = match (&self.epmd, self.epmd_sidecar) {
            (Some(_), _) => Epmd::None,
            (None, true) => Epmd::Sidecar,
            (None, false) => Epmd::Own,
        };
        Ok(Settings {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            mode: self.mode,
            kind: self.kind,
            lookup: self.lookup.unwrap_or_else(|| Lookup::of_mode(self.mode)),
            epmd,
            tls: self.tls,
            image: self.image.clone(),
            pull_policy: self.image_pull_policy,
            app: App {
                image: self.app_image.clone().unwrap_or_default(),
                command: self.app_command.clone(),
                ports: self.app_port.clone(),
            },
            replicas: self.replicas,
            min_peers: self.min_peers,
            cluster_domain: self.cluster_domain.clone(),
            json_log: self.json_log,
            cookie: self.with_secret.then(random_cookie).transpose()?,
        })
    }
}

/// What is to be done besides applying the text.
fn header(settings: &Settings) -> Vec<String> {
    let (name, namespace) = (&settings.name, &settings.namespace);
    let mut header = vec![
        format!("A cluster of nodes {name}@…, in namespace {namespace}."),
        format!(
            "kubectl create namespace {namespace}   # if it is not there yet; it may enforce Pod Security \"restricted\""
        ),
    ];
    if settings.cookie.is_none() {
        header.push("The cookie, which no command line ever shows:".into());
        header.push(cookie_command(namespace, &settings.cookie_secret()));
    }
    if settings.tls == Some(Certificates::Secret) {
        header.push("The certificates, for the host parts of all names:".into());
        header.push(format!(
            "kubectl -n {namespace} create secret generic {name}-tls --from-file=tls.crt --from-file=tls.key --from-file=ca.crt"
        ));
    }
    header
}

/// The one command that makes the Secret of the cookie.
pub(crate) fn cookie_command(namespace: &str, secret: &str) -> String {
    format!(
        "od -An -tx1 -N{COOKIE_BYTES} /dev/urandom | tr -d ' \\n' | kubectl -n {namespace} create secret generic {secret} \
         --from-file=cookie=/dev/stdin"
    )
}

/// A cookie of the system's own randomness, as hexadecimal digits.
fn random_cookie() -> Result<String, Failure> {
    let mut bytes = [0; COOKIE_BYTES];
    let mut filled = 0;
    while filled < bytes.len() {
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
                .map_err(|error| Failure::System {
                    doing: "cannot get random bytes",
                    error: error.into(),
                })?;
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
