//! The Helm chart, installed, upgraded and uninstalled.

use std::fs;

use anyhow::{Result, ensure};
use enmesh_interop::{Cluster, Image, Names, Otp, poll_until};
use serde_json::{Value, json};

use crate::commands::Shell;
use crate::{DEPLOY, GONE, IMAGE, WHOLE, beams, members};

/// Two members, then three; in the end nothing of the release is left.
pub(crate) fn members(cluster: &Cluster, namespace: &str) -> Result<()> {
    let shell = Shell::new(cluster, namespace)?;
    install(&shell, namespace, json!({"mode": "pod", "lookup": "pods"}))?;
    let deployment = members::whole(cluster, namespace, Names::Pod)?;
    let upgrade = format!(
        "helm upgrade web {DEPLOY}/helm/enmesh --namespace {namespace} --reuse-values --set replicas=3"
    );
    shell.run(&upgrade, "")?;
    deployment.wait_ready(3)?;
    deployment.wait_whole(WHOLE)?;
    shell.run(&format!("helm uninstall web --namespace {namespace}"), "")?;
    let kinds = "deployment,pod,service,networkpolicy,poddisruptionbudget,role,rolebinding";
    poll_until("nothing is left", GONE, || {
        let left = ["get", kinds, "--output=name", "--namespace", namespace];
        let left = cluster.kubectl(left)?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })
}

/// Two Erlang nodes with the agent.
pub(crate) fn beams(cluster: &Cluster, namespace: &str) -> Result<()> {
    let shell = Shell::new(cluster, namespace)?;
    let app = json!({
        "image": Image::beam_name(Otp::R25),
        "command": ["sh", "-c", beams::ASKING],
        "user": 65532,
    });
    install(
        &shell,
        namespace,
        json!({"mode": "dns", "kind": "agent", "epmd": "none", "app": app}),
    )?;
    beams::whole(cluster, namespace, Names::Dns).map(drop)
}

/// `helm install`, and what it then says is still to be done.
fn install(shell: &Shell<'_>, namespace: &str, mut values: Value) -> Result<()> {
    for (key, value) in [
        ("image", json!(IMAGE)),
        ("replicas", json!(2)),
        ("minPeers", json!(1)),
        ("jsonLog", json!(true)),
        ("selector", json!({"app": "web", "workload": "web"})),
    ] {
        values[key] = value;
    }
    fs::write(shell.folder().join("values.yaml"), values.to_string())?;
    let install = format!(
        "helm install web {DEPLOY}/helm/enmesh --namespace {namespace} --values values.yaml"
    );
    let notes = shell.run(&install, "")?;
    shell.make_secrets(&notes)
}
