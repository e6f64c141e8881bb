//! `enmesh inject`: puts the agent as a sidecar into a Deployment of the user's own.

mod error;
mod notes;
mod pod;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::exit::Failure;
use crate::manifests::{
    Kind, NodeOptions, Settings, cookie_command, object_name, secret_key, write_out,
};
pub(crate) use error::InjectError;
use text::Part;

/// The kinds whose pods get the agent; `Pod` itself is one besides.
const WORKLOADS: [&str; 4] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"];

/// The most that is read, in bytes; an object of Kubernetes has at most 3 MiB.
const MAX_INPUT: u64 = 16 << 20;

/// What `inject` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
The agent is added as a native sidecar (an init container that is always restarted), with the
volume of the cookie, the Secret NAME-cookie; your own containers get POD_IP, POD_NAME and
POD_NAMESPACE. Documents that nothing is done to are printed as they are; in the others, comments
are lost. What is injected already is made anew, so that injecting twice is the same as once.

The Service, the account and its Role are those of `enmesh manifests … --without-workload`: the
whole command is said on stderr, and whatever else there is to know.

Examples:
  enmesh inject --mode ip --image registry.example.org/enmesh:0.1.0 -f deployment.yaml \\
    | kubectl apply -f -
  kubectl get deployment web -o yaml | enmesh inject --mode ip -f - | kubectl apply -f -
  enmesh manifests --mode ip --kind agent --name web --without-workload | kubectl create -f -
  enmesh inject --mode ip -f deployment.yaml --service web-nodes --account web-nodes
                                   where a Service web is there already, with --name web-nodes
                                   of the manifests

Exit codes: 0 printed, 64 wrong usage, 1 it cannot be done.")]
pub(crate) struct InjectOptions {
    #[command(flatten)]
    node: NodeOptions,
    /// The file with the Deployment, StatefulSet, DaemonSet or Pod; - is stdin.
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Which of several workloads; may be repeated [default: the only one].
    #[arg(long, value_name = "NAME")]
    workload: Vec<String>,
    /// The name of the nodes before the @ [default: that of the workload].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The headless Service [default: NAME].
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The ServiceAccount of pods that have none but `default` [default: that of --service].
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The Secret of the cookie [default: NAME-cookie].
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// The key of the cookie in it.
    #[arg(long, value_name = "KEY", default_value = "cookie")]
    secret_key: String,
    /// A plain container in place of a native sidecar, for Kubernetes before 1.29: it may end before your node does.
    #[arg(long)]
    plain: bool,
    /// Put the program into /opt/enmesh of your containers too, with the variables that `enmesh env` reads.
    #[arg(long)]
    with_env: bool,
}

/// Prints the input with the agent in it.
pub(crate) fn run(options: &InjectOptions) -> Result<(), Failure> {
    options.check_flags()?;
    let input = read(&options.file)?;
    let injected = options.inject(&input)?;
    for note in &injected.notes {
        eprintln!("enmesh: {note}");
    }
    write_out(&injected.text)
}

fn read(path: &PathBuf) -> Result<String, InjectError> {
    let unreadable = |error| InjectError::Unreadable {
        path: path.clone(),
        error,
    };
    let mut text = String::new();
    let length = if path.as_os_str() == "-" {
        std::io::stdin()
            .take(MAX_INPUT + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_INPUT + 1).read_to_string(&mut text))
    };
    if length.map_err(unreadable)? as u64 > MAX_INPUT {
        return Err(InjectError::TooLong);
    }
    Ok(text)
}

/// What came of it.
#[derive(Debug)]
struct Injected {
    text: String,
    /// What a person should know, one sentence each.
    notes: Vec<String>,
}

impl InjectOptions {
    fn inject(&self, input: &str) -> Result<Injected, InjectError> {
        let mut parts = text::parts(input)?;
        let there: Vec<String> = parts
            .iter()
            .flat_map(|part| workloads(&part.object))
            .map(name_of)
            .collect();
        if there.is_empty() {
            let kinds: BTreeSet<String> = parts
                .iter()
                .flat_map(|part| objects(&part.object))
                .map(kind_of)
                .collect();
            let there = kinds.into_iter().collect();
            return Err(InjectError::NoWorkload { there });
        }
        self.choose(&there)?;
        let mut notes = Vec::new();
        for part in &mut parts {
            let before = part.object.clone();
            for workload in workloads_mut(&mut part.object) {
                if self.workload.is_empty() || self.workload.contains(&name_of(workload)) {
                    self.put_into(workload, &mut notes)?;
                }
            }
            part.is_changed = part.object != before;
        }
        if parts.iter().any(Part::loses_comments) {
            notes.push("comments of the documents that were changed are lost".to_owned());
        }
        let text = parts.iter().map(Part::text).collect();
        Ok(Injected { text, notes })
    }

    /// What is said in commands and put into pods must be what the API can have, whatever the input is.
    fn check_flags(&self) -> Result<(), InjectError> {
        for (flag, value) in [("account", &self.account), ("secret", &self.secret)] {
            if let Some(value) = value {
                object_name(flag, value)?;
            }
        }
        secret_key(&self.secret_key)?;
        let name = self.name.as_deref().unwrap_or("web");
        Ok(self.settings_of(name, "default").check()?)
    }

    /// Whether it is clear which workloads are meant.
    fn choose(&self, there: &[String]) -> Result<(), InjectError> {
        let missing = self.workload.iter().find(|name| !there.contains(name));
        match (there.len(), missing) {
            (_, Some(name)) => Err(InjectError::NoSuchWorkload {
                name: name.clone(),
                there: there.to_vec(),
            }),
            (2.., None) if self.workload.is_empty() => Err(InjectError::Several {
                there: there.to_vec(),
            }),
            _ => Ok(()),
        }
    }

    fn put_into(&self, workload: &mut Value, notes: &mut Vec<String>) -> Result<(), InjectError> {
        let settings = self.settings(workload)?;
        let cookie = pod::CookieSecret {
            name: self
                .secret
                .clone()
                .unwrap_or_else(|| settings.cookie_secret()),
            key: self.secret_key.clone(),
        };
        let what = what_of(workload);
        let account = self.account.as_deref().unwrap_or(&settings.service);
        notes::about_workload(&what, workload, &settings, self.with_env, notes);
        let is_stateful = workload["kind"] == "StatefulSet";
        let pod = pod_spec(workload);
        let pod = pod.ok_or_else(|| InjectError::Misshapen {
            workload: what.clone(),
            what: "pod template with containers",
        })?;
        let injection = pod::Injection {
            workload: &what,
            settings: &settings,
            cookie: &cookie,
            account,
            sets_subdomain: !is_stateful,
            plain: self.plain,
            with_env: self.with_env,
        };
        let account = injection.put_into(pod)?;
        notes.push(format!(
            "{what}: the cookie is key {} of Secret {}; if there is none yet: {}",
            cookie.key,
            cookie.name,
            cookie_command(&settings.namespace, &cookie.name, &cookie.key),
        ));
        notes::about_surroundings(&what, &settings, &account, notes);
        Ok(())
    }

    fn settings(&self, workload: &Value) -> Result<Settings, InjectError> {
        let metadata = &workload["metadata"];
        let name = self.name.as_deref().or_else(|| metadata["name"].as_str());
        let name = name.ok_or_else(|| InjectError::Nameless {
            kind: workload["kind"].as_str().unwrap_or_default().to_owned(),
        })?;
        let namespace = metadata["namespace"].as_str().unwrap_or("default");
        let mut settings = self.settings_of(name, namespace);
        settings.selector = labels_of(workload);
        if settings.selector.is_empty() {
            return Err(InjectError::Misshapen {
                workload: what_of(workload),
                what: "label by which its pods can be found",
            });
        }
        let checked = settings.check();
        checked.map_err(|error| InjectError::of_names(workload, error))?;
        Ok(settings)
    }

    /// What the flags say of nodes of this name.
    fn settings_of(&self, name: &str, namespace: &str) -> Settings {
        let mut settings = self.node.settings(name, namespace);
        settings.kind = Kind::Agent;
        if let Some(service) = &self.service {
            settings.service.clone_from(service);
        }
        settings
    }
}

/// The workloads of a document.
fn workloads(object: &Value) -> impl Iterator<Item = &Value> {
    objects(object).iter().filter(|object| is_workload(object))
}

/// The objects of a document: itself, or what is in a List. Comments alone are none.
fn objects(object: &Value) -> &[Value] {
    let items = object["items"].as_array();
    match items.filter(|_| is_list(object)) {
        Some(items) => items,
        None if object.is_null() => &[],
        None => std::slice::from_ref(object),
    }
}

fn workloads_mut(object: &mut Value) -> Vec<&mut Value> {
    if is_list(object) {
        let items = object.get_mut("items").and_then(Value::as_array_mut);
        return items
            .into_iter()
            .flatten()
            .filter(|item| is_workload(item))
            .collect();
    }
    Some(object)
        .filter(|object| is_workload(object))
        .into_iter()
        .collect()
}

fn is_list(object: &Value) -> bool {
    object["kind"].as_str().is_some_and(|kind| {
        kind == "List"
            || kind
                .strip_suffix("List")
                .is_some_and(|kind| WORKLOADS.contains(&kind) || kind == "Pod")
    })
}

fn is_workload(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    match object["kind"].as_str() {
        Some("Pod") => version == "v1",
        Some(kind) => version == "apps/v1" && WORKLOADS.contains(&kind),
        None => false,
    }
}

/// Kind and version, as people write them.
fn kind_of(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or("something without kind");
    match object["apiVersion"].as_str() {
        Some(version) => format!("{kind} of {version}"),
        None => format!("{kind} without apiVersion"),
    }
}

fn name_of(workload: &Value) -> String {
    let metadata = &workload["metadata"];
    let name = metadata["name"]
        .as_str()
        .or_else(|| metadata["generateName"].as_str());
    name.unwrap_or_default().to_owned()
}

/// Kind and name, as notes and errors have them.
fn what_of(workload: &Value) -> String {
    let kind = workload["kind"].as_str().unwrap_or_default();
    format!("{kind} {}", name_of(workload))
}

/// The labels by which its pods are found: those of its selector, or all that they have where it selects by expressions alone.
fn labels_of(workload: &Value) -> BTreeMap<String, String> {
    let paths: &[&str] = match workload["kind"].as_str() {
        Some("Pod") => &["/metadata/labels"],
        _ => &[
            "/spec/selector/matchLabels",
            "/spec/template/metadata/labels",
        ],
    };
    let found = paths.iter().filter_map(|path| {
        let labels = workload.pointer(path)?.as_object()?;
        (!labels.is_empty()).then_some(labels)
    });
    let labels = found.take(1).flatten();
    labels
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn pod_spec(workload: &mut Value) -> Option<&mut Value> {
    let path = match workload["kind"].as_str() {
        Some("Pod") => "/spec",
        _ => "/spec/template/spec",
    };
    workload.pointer_mut(path).filter(|pod| {
        let containers = pod["containers"].as_array();
        containers.is_some_and(|containers| !containers.is_empty())
    })
}

#[cfg(test)]
mod tests;
