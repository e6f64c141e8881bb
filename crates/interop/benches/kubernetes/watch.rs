//! When the API told of what: a bare watch beside the members, on the same machine and by the same clock.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use enmesh_interop::{Cluster, Process};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Endpoints, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::client;
use crate::pod_log::nanoseconds;

/// All that the bench deploys has this label, its Services and therefore their slices too.
const LABEL: &str = "app=web";

/// Nanoseconds of the machine's clock since 1970, which every record of a log has as well.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(0))
}

/// Prints each thing that the API tells, with its time, as one line of JSON. Runs inside of the cluster's network.
pub(crate) async fn tell(kubeconfig: &Path) -> Result<()> {
    let client = client(kubeconfig).await?;
    let config = || watcher::Config::default().labels(LABEL);
    let slices = changes::<EndpointSlice>(&client, "endpointslices", config());
    let endpoints = changes::<Endpoints>(&client, "endpoints", config());
    let pods = changes::<Pod>(&client, "pods", config());
    let all = futures::stream::select(slices, futures::stream::select(endpoints, pods));
    all.try_for_each(|line| async move {
        println!("{line}");
        Ok(())
    })
    .await
}

fn changes<K>(
    client: &kube::Client,
    kind: &'static str,
    config: watcher::Config,
) -> impl futures::Stream<Item = Result<Value>> + Unpin
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + 'static,
    K: DeserializeOwned + serde::Serialize,
{
    let events = watcher::watcher(Api::<K>::all(client.clone()), config);
    Box::pin(events.filter_map(move |event| async move {
        let at = now();
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                Some(said(at, kind, &object, false))
            }
            Ok(Event::Delete(object)) => Some(said(at, kind, &object, true)),
            Ok(Event::Init | Event::InitDone) => None,
            Err(error) => Some(Err(error.into())),
        }
    }))
}

/// What the bench needs of an object.
fn said(at: i64, kind: &str, object: &impl serde::Serialize, gone: bool) -> Result<Value> {
    let object = serde_json::to_value(object)?;
    let metadata = &object["metadata"];
    let condition = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    let ready = object["status"]["conditions"].as_array();
    Ok(json!({
        "at": at,
        "kind": kind,
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "made": metadata["creationTimestamp"],
        "deleting": !metadata["deletionTimestamp"].is_null(),
        "gone": gone,
        "ready": ready.is_some_and(|all| all.iter().any(condition)),
        "container": object["status"]["containerStatuses"][0]["containerID"],
        "addresses": addresses(kind, &object),
    }))
}

fn addresses(kind: &str, object: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match kind {
        "endpointslices" => list(&object["endpoints"])
            .iter()
            .flat_map(|endpoint| list(&endpoint["addresses"]))
            .collect(),
        "endpoints" => list(&object["subsets"])
            .iter()
            .flat_map(|subset| {
                [
                    list(&subset["addresses"]),
                    list(&subset["notReadyAddresses"]),
                ]
                .concat()
            })
            .map(|address| address["ip"].clone())
            .collect(),
        _ => vec![object["status"]["podIP"].clone()],
    }
}

/// One thing that the API told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) at: i64,
    object: Value,
}

impl Told {
    pub(crate) fn text(&self, key: &str) -> &str {
        self.object[key].as_str().unwrap_or_default()
    }

    pub(crate) fn is(&self, key: &str) -> bool {
        self.object[key] == true
    }

    pub(crate) fn has_address(&self, address: &str) -> bool {
        let all = self.object["addresses"].as_array();
        all.is_some_and(|all| all.iter().any(|one| one == address))
    }

    pub(crate) fn address(&self) -> &str {
        self.object["addresses"][0].as_str().unwrap_or_default()
    }

    /// containerd's own name of the first container.
    pub(crate) fn container(&self) -> &str {
        self.text("container").trim_start_matches("containerd://")
    }
}

/// The watch, and containerd's word on when each container started.
pub(crate) struct Watch {
    told: Arc<Mutex<Vec<Told>>>,
    starts: Arc<Mutex<BTreeMap<String, i64>>>,
    _processes: [Process; 2],
}

impl Watch {
    pub(crate) fn start(cluster: &Cluster) -> Result<Self> {
        let (told, starts) = (Arc::default(), Arc::default());
        let mut inside = cluster.command(std::env::current_exe()?);
        inside.env(crate::INSIDE, cluster.kubeconfig());
        let telling = follow("the watch", inside, {
            let told: Arc<Mutex<Vec<Told>>> = Arc::clone(&told);
            move |line| {
                if let Ok(object) = serde_json::from_str::<Value>(line) {
                    let at = object["at"].as_i64().unwrap_or_default();
                    lock(&told).push(Told { at, object });
                }
            }
        })?;
        let events = follow("ctr events", cluster.ctr_command(["events"]), {
            let starts: Arc<Mutex<BTreeMap<String, i64>>> = Arc::clone(&starts);
            move |line| {
                if let Some((container, at)) = container_start(line) {
                    lock(&starts).entry(container).or_insert(at);
                }
            }
        })?;
        Ok(Self {
            told,
            starts,
            _processes: [telling, events],
        })
    }

    /// What was told of this kind in a namespace since `begin`, oldest first.
    pub(crate) fn since(&self, begin: i64, kind: &str, namespace: &str) -> Vec<Told> {
        let told = lock(&self.told);
        let wanted = |one: &&Told| {
            one.at >= begin && one.text("kind") == kind && one.text("namespace") == namespace
        };
        told.iter().filter(wanted).cloned().collect()
    }

    /// The pods of a namespace as they are, those that are about to end among them; the oldest first.
    pub(crate) fn pods(&self, namespace: &str) -> Vec<Told> {
        let mut newest = BTreeMap::new();
        for pod in self.since(0, "pods", namespace) {
            newest.insert(pod.text("uid").to_owned(), pod);
        }
        let mut pods: Vec<Told> = newest.into_values().filter(|pod| !pod.is("gone")).collect();
        pods.sort_by(|one, other| one.text("made").cmp(other.text("made")));
        pods
    }

    /// When containerd started this container.
    pub(crate) fn started(&self, container: &str) -> Option<i64> {
        lock(&self.starts).get(container).copied()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a command and hands each line of its output to `take`, on a thread of its own.
fn follow(
    label: &str,
    mut command: Command,
    mut take: impl FnMut(&str) + Send + 'static,
) -> Result<Process> {
    command.stdout(Stdio::piped());
    let mut process = Process::start(label, command)?;
    let output = process.stdout().context("its output is piped")?;
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            take(&line);
        }
    });
    Ok(process)
}

/// `2026-11-22 00:00:08.123456789 +0000 UTC k8s.io /tasks/start {"container_id":"…","pid":7}`
fn container_start(line: &str) -> Option<(String, i64)> {
    let (time, object) = line.split_once(" /tasks/start ")?;
    let object: Value = serde_json::from_str(object).ok()?;
    let mut words = time.split(' ');
    let (date, clock) = (words.next()?, words.next()?);
    let at = nanoseconds(&format!("{date}T{clock}Z"))?;
    Some((object["container_id"].as_str()?.to_owned(), at))
}
