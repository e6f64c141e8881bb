//! `enmesh manifests`: what Kubernetes needs for a cluster, as YAML to be applied or to be read.

mod access;
mod container;
mod document;
mod names;
mod network;
mod notes;
mod options;
mod print;
mod settings;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, ValueEnum};

use crate::exit::Failure;

#[cfg(test)]
use document::Document;
use document::documents;
use settings::{API_PORT, App};

pub(crate) use container::{
    CONTAINER, COOKIE_VOLUME, EPMD_CONTAINER, POD_FACTS, TLS_VOLUME, pod_facts, shared_port,
};
pub(crate) use names::{object_name, secret_key};
pub(crate) use options::NodeOptions;
pub(crate) use print::yaml;
pub(crate) use settings::{
    Certificates, Epmd, HTTP_PORT, Kind, Lookup, Mode, Settings, SettingsError, word,
};
pub(crate) use workload::{INSTALLER, TOOLS_VOLUME, install, tools_mount};

/// How many random bytes a cookie has.
const COOKIE_BYTES: usize = 24;

/// How many pods the API can count.
const MAX_REPLICAS: i64 = i32::MAX as i64;

/// What `manifests` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Nothing is asked and nothing is applied: the text goes to stdout. The cookie is in a Secret
NAME-cookie, which is made by the command in the text's first lines, or is part of the text with
--with-secret. An image without a registry, as the default has none, must be on every machine.

Examples:
  enmesh manifests --mode ip --name web --namespace prod \\
    --image registry.example.org/enmesh:0.1.0 | kubectl apply -f -
  enmesh manifests --mode srv --name web               found by DNS alone: no Role
  enmesh manifests --mode hostname --name web          a StatefulSet, whose names stay
  enmesh manifests --mode ip --kind agent --app-image registry.example.org/web:1
                                                       a BEAM of yours, with the agent beside it

Exit codes: 0 printed, 64 wrong usage.")]
pub(crate) struct ManifestsOptions {
    #[command(flatten)]
    node: NodeOptions,
    /// The name of all objects, and of the nodes before the @.
    #[arg(long, value_name = "NAME", default_value = "web")]
    name: String,
    /// The namespace.
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// What runs in the pods.
    #[arg(long, value_enum, default_value = "member")]
    kind: Kind,
    /// How many pods.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=MAX_REPLICAS))]
    replicas: u32,
    /// A label of the pods; may be repeated [default: app=NAME].
    #[arg(long, value_name = "KEY=VALUE", value_parser = names::label)]
    selector: Vec<(String, String)>,
    /// The image of your own node, for --kind agent.
    #[arg(long, value_name = "IMAGE")]
    app_image: Option<String>,
    /// One word of its command, where the image's own is not meant; may be repeated.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    app_command: Vec<String>,
    /// The user that it runs as, if its image names none by number; not root.
    #[arg(long, value_name = "UID", value_parser = clap::value_parser!(u32).range(1..))]
    app_user: Option<u32>,
    /// A port that your own node serves, open to everybody; may be repeated.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    app_port: Vec<u16>,
    /// The port of the API server behind its Service, to which the NetworkPolicy lets members out as to 443.
    #[arg(long, value_name = "PORT", default_value_t = API_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    api_port: u16,
    /// Put a Secret with a random cookie into the text.
    #[arg(long)]
    with_secret: bool,
    /// What a Deployment of yours needs around it for `enmesh inject`: account, Role and Service; with --app-port a NetworkPolicy
    /// too, which lets in these ports and the cluster's alone.
    #[arg(long, conflicts_with_all = ["replicas", "min_peers", "app_image", "app_command", "app_user"])]
    without_workload: bool,
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
    if settings.kind == Kind::Agent
        && settings.app.image.trim().is_empty()
        && !options.without_workload
    {
        return Err(SettingsError::NoApp.into());
    }
    for note in notes::notes(&settings) {
        eprintln!("enmesh: {note}");
    }
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
        let mut settings = self.node.settings(&self.name, &self.namespace);
        settings.kind = self.kind;
        settings.around_only = self.without_workload;
        settings.api_port = self.api_port;
        settings.replicas = self.replicas;
        if !self.selector.is_empty() {
            settings.selector = one_of_each(&self.selector)?;
        }
        settings.app = App {
            image: self.app_image.clone().unwrap_or_default(),
            command: self.app_command.clone(),
            user: self.app_user,
            ports: self.app_port.clone(),
        };
        let mut seen = BTreeSet::new();
        settings.app.ports.retain(|port| seen.insert(*port));
        settings.cookie = self.with_secret.then(random_cookie).transpose()?;
        Ok(settings)
    }
}

/// The labels by their keys, of which each has one value.
fn one_of_each(labels: &[(String, String)]) -> Result<BTreeMap<String, String>, SettingsError> {
    let mut all = BTreeMap::new();
    for (key, value) in labels {
        let before = all.insert(key.clone(), value.clone());
        if before.is_some_and(|before| before != *value) {
            return Err(SettingsError::LabelTwice { key: key.clone() });
        }
    }
    Ok(all)
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
        header.push(cookie_command(
            namespace,
            &settings.cookie_secret(),
            "cookie",
        ));
    }
    // Around pods of somebody else's, `enmesh inject` says what they are called.
    if settings.tls == Some(Certificates::Secret) && !settings.around_only {
        header.push("The certificates, for the host parts of all names:".into());
        header.push(certificates_command(settings));
    }
    header
}

/// The one command that makes the Secret of the cookie.
pub(crate) fn cookie_command(namespace: &str, secret: &str, key: &str) -> String {
    format!(
        "od -An -tx1 -N{COOKIE_BYTES} /dev/urandom | tr -d ' \\n' | kubectl -n {namespace} create secret generic {secret} \
         --from-file={key}=/dev/stdin"
    )
}

/// The one command that makes the Secret of the certificates.
pub(crate) fn certificates_command(settings: &Settings) -> String {
    format!(
        "kubectl -n {} create secret generic {} --from-file=tls.crt --from-file=tls.key --from-file=ca.crt",
        settings.namespace,
        settings.certificates_secret()
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
