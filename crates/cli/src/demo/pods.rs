//! The pods of the demo's Kubernetes API, and what happened to them.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::SystemTime;

use serde_json::{Value, json};
use tokio::sync::watch;

/// The namespace of every pod.
pub(crate) const NAMESPACE: &str = "demo";
/// The label `app` of every pod.
pub(crate) const APP: &str = "demo";

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Scheduled; its process has not said that it is ready.
    Pending,
    /// Its process runs.
    Running,
    /// Its process died and nobody starts it again.
    Failed,
}

/// One pod.
#[derive(Clone, Debug)]
struct Pod {
    name: String,
    address: Ipv4Addr,
    phase: Phase,
    created: SystemTime,
    deletion: Option<SystemTime>,
    version: u64,
}

/// One line of a watch.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The resource version that this change made.
    pub(crate) version: u64,
    /// The watch event.
    pub(crate) event: Value,
}

/// Every pod, and every change since the beginning: a demo is short, so nothing is compacted and
/// no version is ever too old.
#[derive(Debug)]
pub(crate) struct Pods {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    pods: Vec<Pod>,
    history: Vec<Change>,
}

impl Pods {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            version: watch::Sender::new(0),
        }
    }

    /// Creates a pending pod without an address, as a scheduler's decision looks.
    pub(crate) fn create(&self, name: &str, address: Ipv4Addr) {
        self.change("ADDED", |state| {
            let pod = Pod {
                name: name.to_owned(),
                address,
                phase: Phase::Pending,
                created: SystemTime::now(),
                deletion: None,
                version: state.version,
            };
            state.pods.push(pod.clone());
            Some(pod)
        });
    }

    /// Says what has become of the pod's process.
    pub(crate) fn set_phase(&self, name: &str, phase: Phase) {
        self.modify(name, |pod| pod.phase = phase);
    }

    /// Marks the pod as terminating, which is what `kubectl delete` does first.
    pub(crate) fn terminate(&self, name: &str) {
        self.modify(name, |pod| pod.deletion = Some(SystemTime::now()));
    }

    /// Takes the pod away, once its process has ended.
    pub(crate) fn remove(&self, name: &str) {
        self.change("DELETED", |state| {
            let at = state.pods.iter().position(|pod| pod.name == name)?;
            let mut pod = state.pods.remove(at);
            pod.version = state.version;
            Some(pod)
        });
    }

    /// A `PodList` of the present.
    pub(crate) fn list(&self) -> Value {
        let state = self.lock();
        json!({
            "kind": "PodList",
            "apiVersion": "v1",
            "metadata": { "resourceVersion": state.version.to_string() },
            "items": state.pods.iter().map(Pod::to_json).collect::<Vec<_>>(),
        })
    }

    /// The changes after `version`, in their order.
    pub(crate) fn changes_after(&self, version: u64) -> Vec<Change> {
        let state = self.lock();
        state
            .history
            .iter()
            .filter(|change| change.version > version)
            .cloned()
            .collect()
    }

    /// Told whenever something changed.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn modify(&self, name: &str, edit: impl FnOnce(&mut Pod)) {
        self.change("MODIFIED", |state| {
            let version = state.version;
            let pod = state.pods.iter_mut().find(|pod| pod.name == name)?;
            edit(pod);
            pod.version = version;
            Some(pod.clone())
        });
    }

    fn change(&self, kind: &str, edit: impl FnOnce(&mut State) -> Option<Pod>) {
        let mut state = self.lock();
        state.version += 1;
        if let Some(pod) = edit(&mut state) {
            let version = state.version;
            let event = json!({ "type": kind, "object": pod.to_json() });
            state.history.push(Change { version, event });
            self.version.send_replace(version);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nothing under this lock panics")
    }
}

impl Pod {
    fn to_json(&self) -> Value {
        let mut pod = json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": self.name,
                "namespace": NAMESPACE,
                "uid": format!("00000000-0000-4000-8000-{:012x}", self.address.to_bits()),
                "labels": { "app": APP },
                "resourceVersion": self.version.to_string(),
                "creationTimestamp": timestamp(self.created),
            },
            "spec": { "containers": [{ "name": "member", "image": "enmesh" }] },
            "status": {
                "phase": match self.phase {
                    Phase::Pending => "Pending",
                    Phase::Running => "Running",
                    Phase::Failed => "Failed",
                },
            },
        });
        if self.phase != Phase::Pending {
            pod["status"]["podIP"] = self.address.to_string().into();
            pod["status"]["podIPs"] = json!([{ "ip": self.address.to_string() }]);
        }
        if let Some(deletion) = self.deletion {
            pod["metadata"]["deletionTimestamp"] = timestamp(deletion).into();
            pod["metadata"]["deletionGracePeriodSeconds"] = 30.into();
        }
        pod
    }
}

fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_and_the_changes_after_it_tell_the_whole_story() {
        let pods = Pods::new();
        pods.create("demo-1", Ipv4Addr::new(127, 0, 0, 2));
        let list = pods.list();
        assert_eq!(list["items"][0]["status"]["podIP"], Value::Null);
        let version: u64 = list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(pods.changes_after(version).is_empty());
        pods.set_phase("demo-1", Phase::Running);
        pods.terminate("demo-1");
        pods.remove("demo-1");
        pods.remove("demo-1");
        let changes = pods.changes_after(version);
        let kinds: Vec<_> = changes.iter().map(|change| &change.event["type"]).collect();
        assert_eq!(kinds, ["MODIFIED", "MODIFIED", "DELETED"]);
        assert_eq!(changes[0].event["object"]["status"]["podIP"], "127.0.0.2");
        assert_eq!(
            changes[0].event["object"]["metadata"]["deletionTimestamp"],
            Value::Null
        );
        assert!(changes[1].event["object"]["metadata"]["deletionTimestamp"].is_string());
        assert!(
            changes
                .windows(2)
                .all(|pair| pair[0].version < pair[1].version)
        );
        assert_eq!(pods.list()["items"].as_array().unwrap().len(), 0);
    }
}
