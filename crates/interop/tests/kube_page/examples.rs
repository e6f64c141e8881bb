//! The examples of the page of strategy kubernetes, applied as they stand.

use std::io::Write;
use std::time::Duration;

use enmesh_interop::{Cluster, poll_until};
use serde_json::Value;
use tempfile::NamedTempFile;

const PAGE: &str = include_str!("../../../../docs/discovery/kubernetes.md");
/// Whoever reads the page puts their own image in this one's place.
const PAGE_IMAGE: &str = "registry.example.org/web";
const REPLICAS: usize = 3;
const SOON: Duration = Duration::from_secs(90);

/// The page's own line that makes the Secret of the cookie, which comes before its examples.
pub(crate) fn cookie_command() -> &'static str {
    let line = PAGE.lines().find(|line| line.contains("create secret"));
    line.expect("the page makes a Secret")
}

/// Applies them one after the other, with `image` in place of the page's, and waits for a cluster each time.
pub(crate) fn form_clusters(cluster: &Cluster, image: &str) {
    let examples: Vec<&str> = PAGE.split("```yaml\n").skip(1).collect();
    let examples = examples
        .iter()
        .map(|rest| rest.split("```").next().unwrap());
    let examples: Vec<String> = examples
        .map(|text| text.replace(PAGE_IMAGE, image))
        .collect();
    let [role, deployment, stateful_set] = &examples[..] else {
        panic!("other examples: {examples:#?}");
    };
    apply(cluster, role);
    apply(cluster, deployment);
    let formed = form(cluster, |pod| {
        format!("web@{}", text(&pod["status"]["podIP"]))
    });
    assert_eq!(formed.len(), REPLICAS);
    let end = ["delete", "deployment", "web", "--cascade=foreground"];
    cluster.kubectl(end).unwrap();
    apply(cluster, stateful_set);
    let formed = form(cluster, |pod| {
        let name = text(&pod["metadata"]["name"]);
        format!("web@{name}.web.default.svc.cluster.local")
    });
    assert_eq!(formed[0], "web@web-0.web.default.svc.cluster.local");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn apply(cluster: &Cluster, yaml: &str) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(yaml.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    cluster.kubectl(["apply", "-f", path]).unwrap();
}

/// Waits until each of the pods is connected with all others, and gives their names.
fn form(cluster: &Cluster, name: impl Fn(&Value) -> String) -> Vec<String> {
    let pods = poll_until("the pods run", SOON, || {
        let args = ["get", "pods", "--selector=app=web", "--output=json"];
        let list: Value = serde_json::from_str(&cluster.kubectl(args)?)?;
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        let runs = |pod: &&Value| pod["status"]["phase"] == "Running";
        let count = pods.iter().filter(runs).count();
        anyhow::ensure!((count, pods.len()) == (REPLICAS, REPLICAS), "{list:#}");
        Ok(pods)
    })
    .unwrap();
    let names: Vec<String> = pods.iter().map(name).collect();
    for (pod, own) in pods.iter().zip(&names) {
        poll_until("the pod knows all others", SOON, || {
            let log = cluster.kubectl(["logs", text(&pod["metadata"]["name"])])?;
            for peer in names.iter().filter(|peer| *peer != own) {
                let knows = |line: &str| line.contains("node connected") && line.contains(peer);
                anyhow::ensure!(log.lines().any(knows), "{own} does not know {peer}:\n{log}");
            }
            Ok(())
        })
        .unwrap();
    }
    names
}
