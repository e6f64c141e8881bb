//! A workload that runs: scaled, restarted and looked into.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::cluster::Cluster;
use super::pod::{ASK_INTERVAL, Pod};
use super::workload::{Names, Workload};
use crate::process::poll_every;

/// More than the kubelet's back-off after the API server was away, on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(180);

/// The pods of a [`Workload`], of whatever kind the object is that makes them.
#[derive(Clone, Debug)]
pub struct Deployment<'c> {
    cluster: &'c Cluster,
    namespace: String,
    name: String,
    group: String,
    /// `deployment/web`, as `kubectl` takes it.
    reference: String,
    names: Names,
    teller: &'static str,
}

impl<'c> Deployment<'c> {
    pub(super) fn of(cluster: &'c Cluster, workload: &Workload<'_>, namespace: &str) -> Self {
        Self {
            cluster,
            namespace: namespace.to_owned(),
            name: workload.name.clone(),
            group: workload.group.clone(),
            reference: format!("{}/{}", workload.controller().to_lowercase(), workload.name),
            names: workload.names,
            teller: workload.kind.teller(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// `kubectl scale`, and waits until exactly so many pods are ready and no other is there.
    pub fn scale(&self, replicas: u32) -> Result<()> {
        self.begin_scale(replicas)?;
        self.wait_ready(replicas)
    }

    /// `kubectl scale` without waiting.
    pub fn begin_scale(&self, replicas: u32) -> Result<()> {
        let replicas = format!("--replicas={replicas}");
        self.kubectl(&["scale", &self.reference, &replicas])
            .map(drop)
    }

    /// `kubectl rollout restart`, and waits until all pods are new and ready, and the old ones gone.
    pub fn restart(&self) -> Result<()> {
        self.begin_restart()?;
        self.wait_rolled_out()
    }

    /// `kubectl rollout restart` without waiting.
    pub fn begin_restart(&self) -> Result<()> {
        self.kubectl(&["rollout", "restart", &self.reference])
            .map(drop)
    }

    /// Waits for the end of a roll-out: all pods new and ready, and the old ones gone.
    pub fn wait_rolled_out(&self) -> Result<()> {
        let timeout = format!("--timeout={}s", READY_TIMEOUT.as_secs());
        self.kubectl(&["rollout", "status", &self.reference, &timeout])?;
        let path = "--output=jsonpath={.spec.replicas}";
        let replicas = self.kubectl(&["get", &self.reference, path])?;
        self.wait_ready(replicas.parse()?)
    }

    /// Waits until exactly so many pods are ready and no other is there.
    pub fn wait_ready(&self, replicas: u32) -> Result<()> {
        let what = format!("{replicas} pods of {} are ready", self.name);
        let wanted = usize::try_from(replicas)?;
        poll_every(ASK_INTERVAL, &what, READY_TIMEOUT, || {
            let pods = self.objects(&self.own())?;
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            ensure!(
                (pods.len(), ready) == (wanted, wanted),
                "{ready} of {} pods are ready: {}",
                pods.len(),
                pods.iter().map(state).collect::<Vec<_>>().join("; ")
            );
            Ok(())
        })
    }

    /// The pods that are ready and not about to end, oldest first.
    pub fn pods(&self) -> Result<Vec<Pod<'c>>> {
        self.ready(&self.own())
    }

    /// All pods that the API knows, those about to start or to end among them.
    pub fn all_pods(&self) -> Result<Vec<Pod<'c>>> {
        let objects = self.objects(&self.own())?;
        objects.iter().map(|object| self.pod_of(object)).collect()
    }

    /// The pod of this name.
    pub fn pod(&self, name: &str) -> Result<Pod<'c>> {
        let text = self.kubectl(&["get", "pod", name, "--output=json"])?;
        self.pod_of(&serde_json::from_str(&text)?)
    }

    /// The names of the nodes in [`Deployment::pods`], sorted.
    pub fn nodes(&self) -> Result<Vec<String>> {
        let pods = self.pods()?;
        let mut nodes: Vec<_> = pods.iter().map(|pod| pod.node().to_owned()).collect();
        nodes.sort();
        Ok(nodes)
    }

    /// Waits until the log of every ready pod says that it is connected with exactly the others; those of other workloads of
    /// the group count too.
    pub fn wait_whole(&self, timeout: Duration) -> Result<()> {
        poll_every(ASK_INTERVAL, "the cluster is whole", timeout, || {
            let pods = self.ready(&format!("app={}", self.group))?;
            let nodes: Vec<&str> = pods.iter().map(Pod::node).collect();
            for pod in &pods {
                let others = nodes.iter().filter(|node| **node != pod.node());
                let mut others: Vec<&str> = others.copied().collect();
                others.sort_unstable();
                let seen = pod.connected()?;
                if seen != others {
                    bail!(
                        "{} is connected with {seen:?}, the others are {others:?}",
                        pod.node()
                    );
                }
            }
            Ok(())
        })
    }

    /// Deletes what makes the pods, and waits until they are gone. Service, account and Role stay.
    pub fn delete(&self) -> Result<()> {
        self.kubectl(&["delete", &self.reference])?;
        self.wait_ready(0)
    }

    fn own(&self) -> String {
        format!("workload={}", self.name)
    }

    fn kubectl(&self, args: &[&str]) -> Result<String> {
        let before = ["--namespace", &self.namespace];
        self.cluster.kubectl(before.iter().chain(args))
    }

    fn objects(&self, selector: &str) -> Result<Vec<Value>> {
        let text = self.kubectl(&["get", "pods", "--selector", selector, "--output=json"])?;
        let list: Value = serde_json::from_str(&text)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    fn ready(&self, selector: &str) -> Result<Vec<Pod<'c>>> {
        let mut objects = self.objects(selector)?;
        objects.retain(is_ready);
        objects.sort_by_key(|object| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let metadata = &object["metadata"];
            (
                text(&metadata["creationTimestamp"]),
                text(&metadata["name"]),
            )
        });
        objects.iter().map(|object| self.pod_of(object)).collect()
    }

    /// A pod of the group: which container tells of it depends on what it has.
    fn pod_of(&self, object: &Value) -> Result<Pod<'c>> {
        let own = object["metadata"]["labels"]["workload"] == self.name.as_str();
        let lists = [
            &object["spec"]["initContainers"],
            &object["spec"]["containers"],
        ];
        let mut containers = lists.iter().filter_map(|list| list.as_array()).flatten();
        let teller = match own {
            true => self.teller,
            false if containers.any(|container| container["name"] == "enmesh") => "enmesh",
            false => "beam",
        };
        Pod::read(self.cluster, self.names, &self.group, teller, object)
            .context("the API's answer could not be understood")
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions.is_some_and(|all| all.iter().any(ready))
}

/// Why a pod is not ready, for errors.
fn state(pod: &Value) -> String {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    let lists = ["initContainerStatuses", "containerStatuses"];
    let states = lists
        .iter()
        .filter_map(|list| pod["status"][list].as_array())
        .flatten();
    let states: Vec<String> = states
        .filter(|status| status["ready"] != true)
        .map(|status| format!("{}: {}", status["name"], status["state"]))
        .collect();
    format!("{name} {phase} {}", states.join(", "))
}
