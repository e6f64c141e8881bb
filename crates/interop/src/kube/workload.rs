//! The workload of the stories: a Deployment of real Erlang nodes, and a Service before them.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::image::Image;
use crate::peers::Otp;
use crate::process::poll_until;

/// More than the kubelet's back-off after the API server was away, on a busy machine.
const SCALE_TIMEOUT: Duration = Duration::from_secs(150);

/// What a pod runs before it counts as a node: epmd in the background, then Erlang named by the pod's address.
///
/// `exec` makes the node the container's first process, so that SIGTERM reaches it and the pod ends gracefully.
const START: &str = "epmd -daemon; exec erl -noinput -name web@$POD_IP -setcookie $COOKIE";

/// A Deployment `web` of Erlang nodes `web@POD_IP` in one namespace, with a headless Service `web`.
#[derive(Clone, Debug)]
pub struct BeamDeployment {
    namespace: String,
}

impl BeamDeployment {
    /// Imports the image, makes the namespace, Deployment and Service, and waits until `replicas` pods are ready.
    pub fn create(
        cluster: &Cluster,
        otp: Otp,
        namespace: &str,
        cookie: &str,
        replicas: u32,
    ) -> Result<Self> {
        cluster.import(&Image::beam(otp)?)?;
        cluster.create_namespace(namespace)?;
        cluster.apply(&objects(
            &format!("enmesh-test/beam:{}", otp.release()),
            namespace,
            cookie,
        ))?;
        let deployment = Self {
            namespace: namespace.to_owned(),
        };
        deployment.scale(cluster, replicas)?;
        Ok(deployment)
    }

    /// `kubectl scale`, and waits until exactly that many pods are ready and no other pod is there.
    pub fn scale(&self, cluster: &Cluster, replicas: u32) -> Result<()> {
        self.begin_scale(cluster, replicas)?;
        let what = format!("{replicas} pods are ready");
        poll_until(&what, SCALE_TIMEOUT, || {
            let (total, ready) = (self.pods(cluster)?.len(), self.nodes(cluster)?.len());
            let wanted = usize::try_from(replicas)?;
            ensure!(
                (total, ready) == (wanted, wanted),
                "{ready} of {total} pods are ready"
            );
            Ok(())
        })
    }

    /// `kubectl scale` without waiting.
    pub fn begin_scale(&self, cluster: &Cluster, replicas: u32) -> Result<()> {
        let replicas = format!("--replicas={replicas}");
        cluster
            .kubectl([
                "scale",
                "deployment",
                "web",
                &replicas,
                "--namespace",
                &self.namespace,
            ])
            .map(drop)
    }

    /// The names of the nodes whose pods are ready and not about to end, sorted.
    pub fn nodes(&self, cluster: &Cluster) -> Result<Vec<String>> {
        let pods = self.pods(cluster)?;
        let ready = pods.iter().filter(|pod| is_ready(pod));
        let mut names: Vec<String> = ready
            .filter_map(|pod| Some(format!("web@{}", pod["status"]["podIP"].as_str()?)))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The names of the pods, those about to end among them.
    pub fn pod_names(&self, cluster: &Cluster) -> Result<Vec<String>> {
        let pods = self.pods(cluster)?;
        Ok(pods
            .iter()
            .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned))
            .collect())
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn pods(&self, cluster: &Cluster) -> Result<Vec<Value>> {
        let args = [
            "get",
            "pods",
            "--selector=app=web",
            "--output=json",
            "--namespace",
            &self.namespace,
        ];
        let list: Value = serde_json::from_str(&cluster.kubectl(args)?)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions.is_some_and(|all| all.iter().any(ready))
}

fn objects(image: &str, namespace: &str, cookie: &str) -> Value {
    let labels = json!({"app": "web"});
    let metadata = json!({"name": "web", "namespace": namespace, "labels": labels});
    let container = json!({
        "name": "beam",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", START],
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "COOKIE", "value": cookie},
            {"name": "HOME", "value": "/tmp"},
        ],
        // A node is ready when its epmd takes connections; an exec probe would cost a process each time.
        "readinessProbe": {"tcpSocket": {"port": 4369}, "periodSeconds": 1},
    });
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": metadata,
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [container], "terminationGracePeriodSeconds": 5},
                    },
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"clusterIP": "None", "selector": labels, "ports": [{"name": "epmd", "port": 4369}]},
            },
        ],
    })
}
