//! The overlays of deploy/, applied by `kubectl apply -k` as docs/deploy.md says.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Image, Names, Otp};
use serde_json::{Value, json};

use crate::commands::Shell;
use crate::{DEPLOY, beams, members};

/// The overlays with members, and how their nodes are called; that with cert-manager needs a driver that is not here.
pub(crate) const OVERLAYS: [(&str, Names); 8] = [
    ("ip", Names::Ip),
    ("dns", Names::Dns),
    ("srv", Names::Srv),
    ("pod", Names::Pod),
    ("statefulset", Names::Hostname),
    ("dns-lookup", Names::Ip),
    ("epmd-sidecar", Names::Ip),
    ("tls", Names::Hostname),
];

const PAGE: &str = include_str!("../../../../docs/deploy.md");
/// What the page's kustomization says of the namespace and of the overlay.
const PAGE_NAMESPACE: &str = "namespace: prod\n";
const PAGE_OVERLAY: &str = "deploy/overlays/ip]";

/// Two members, each ready when it has the other.
pub(crate) fn members(
    cluster: &Cluster,
    namespace: &str,
    overlay: &str,
    names: Names,
) -> Result<()> {
    let shell = with_secrets(cluster, namespace, overlay)?;
    let containers = "/spec/template/spec/containers";
    let told = told(&format!("{containers}/0"));
    write(&shell, namespace, overlay, &told)?;
    apply(&shell, "kubectl apply --validate=strict -k .")?;
    let deployment = members::whole(cluster, namespace, names)?;
    if overlay == "tls" {
        members::links_are_encrypted(cluster, &deployment)?;
    }
    Ok(())
}

/// Two Erlang nodes; the image of somebody's release, and who it runs as, stand in their kustomization.
pub(crate) fn agent_sidecar(cluster: &Cluster, namespace: &str) -> Result<()> {
    let overlay = "agent-sidecar";
    let shell = with_secrets(cluster, namespace, overlay)?;
    let app = "/spec/template/spec/containers/0";
    let mut changes = told("/spec/template/spec/initContainers/1");
    for (key, value) in [
        ("image", json!(Image::beam_name(Otp::R25))),
        ("imagePullPolicy", json!("Never")),
        ("command", json!(["sh", "-c", beams::TOLD])),
        ("securityContext/runAsUser", json!(65532)),
    ] {
        changes.push(json!({"op": "add", "path": format!("{app}/{key}"), "value": value}));
    }
    write(&shell, namespace, overlay, &changes)?;
    apply(&shell, "kubectl apply --validate=strict -k .")?;
    beams::whole(cluster, namespace, Names::Ip).map(drop)
}

/// The API takes it; whether it runs is for who has the driver.
pub(crate) fn cert_manager(cluster: &Cluster, namespace: &str) -> Result<()> {
    let overlay = "tls-cert-manager";
    let shell = Shell::new(cluster, namespace)?;
    write(&shell, namespace, overlay, &[])?;
    let said = shell.run(
        "kubectl apply --validate=strict --dry-run=server -k . --output=json",
        "",
    )?;
    ensure!(said.contains("csi.cert-manager.io"), "{said}");
    Ok(())
}

fn apply(shell: &Shell<'_>, line: &str) -> Result<()> {
    let said = shell.run(line, "")?;
    ensure!(!said.contains("Warning"), "{said}");
    Ok(())
}

/// Makes what the base and the overlay say is to be made.
fn with_secrets<'c>(cluster: &'c Cluster, namespace: &str, overlay: &str) -> Result<Shell<'c>> {
    let shell = Shell::new(cluster, namespace)?;
    for folder in ["base", &format!("overlays/{overlay}")] {
        let text = fs::read_to_string(format!("{DEPLOY}/{folder}/kustomization.yaml"))?;
        if text.contains(" create secret ") {
            shell.make_secrets(&text)?;
        }
    }
    Ok(shell)
}

/// What the library wants to read: a log in JSON, and readiness that waits for the peer.
fn told(container: &str) -> Vec<Value> {
    let settings = [("ENMESH_LOG_FORMAT", "json"), ("ENMESH_MIN_PEERS", "1")];
    settings
        .map(|(name, value)| {
            let value = json!({"name": name, "value": value});
            json!({"op": "add", "path": format!("{container}/env/-"), "value": value})
        })
        .to_vec()
}

/// The page's kustomization beside a copy of the folder, with further changes to what makes the pods.
fn write(shell: &Shell<'_>, namespace: &str, overlay: &str, changes: &[Value]) -> Result<()> {
    let mut copy = Command::new("cp");
    copy.arg("-r").args([DEPLOY, "deploy"]);
    let copied = copy.current_dir(shell.folder()).status()?;
    ensure!(copied.success(), "deploy/ could not be copied");
    let begin = PAGE.find("# kustomization.yaml\n");
    let begin = begin.context("the page has a kustomization")?;
    let (text, _) = PAGE[begin..].split_once("```").context("it ends")?;
    ensure!(
        text.contains(PAGE_NAMESPACE) && text.contains(PAGE_OVERLAY),
        "{text}"
    );
    let mut text = text
        .replace(PAGE_NAMESPACE, &format!("namespace: {namespace}\n"))
        .replace(PAGE_OVERLAY, &format!("deploy/overlays/{overlay}]"));
    let labels = json!([{"pairs": {"workload": "web"}, "includeSelectors": true}]);
    text += &format!("labels: {labels}\n");
    if !changes.is_empty() {
        let target = json!({"group": "apps", "name": "web"});
        let changes = Value::from(changes).to_string();
        let patches = json!([{"target": target, "patch": changes}]);
        text += &format!("patches: {patches}\n");
    }
    Ok(fs::write(shell.folder().join("kustomization.yaml"), text)?)
}
