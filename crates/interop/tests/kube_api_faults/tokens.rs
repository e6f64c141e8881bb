//! An account whose token is refused, or was replaced by another. A running watch is not authenticated anew, so it is cut.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Deployment, FaultLogs, Kind, Pod, Workload, poll_until};
use serde_json::json;

use crate::names::{our_container, push, renew_volumes};
use crate::{HEALED, SOON};

/// For so long the API server goes on taking a token for good that it took a moment ago.
const REMEMBERED: Duration = Duration::from_secs(12);

/// The Secrets that tokens end with.
const ANCHOR: &str = "anchor";
const OTHER_ANCHOR: &str = "other-anchor";

/// A Secret with what a pod finds of its account, whose token ends with the Secret `anchor`.
fn give_token(cluster: &Cluster, namespace: &str, anchor: &str) -> Result<()> {
    let path = "--output=jsonpath={.data.ca\\.crt}";
    let authority = cluster.kubectl([
        "-n",
        namespace,
        "get",
        "configmap",
        "kube-root-ca.crt",
        path,
    ])?;
    cluster.apply(&json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": anchor, "namespace": namespace},
    }))?;
    let name = format!("--bound-object-name={anchor}");
    let bound = ["--bound-object-kind=Secret", &name];
    let token = ["-n", namespace, "create", "token", "web"];
    let token = cluster.kubectl(token.iter().chain(&bound))?;
    cluster.apply(&json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "account", "namespace": namespace},
        "stringData": {"token": token.trim(), "ca.crt": authority, "namespace": namespace},
    }))
}

/// Two nodes for which such a Secret is read in place of what the kubelet projects.
fn start<'c>(cluster: &'c Cluster, namespace: &str, kind: Kind) -> Result<Deployment<'c>> {
    cluster.apply(&json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "web", "namespace": namespace},
    }))?;
    give_token(cluster, namespace, ANCHOR)?;
    let web = Workload::new("web", kind)
        .topology(
            "strategy=kubernetes kubernetes_service_name=web kubernetes_service_account_path=/account",
        )
        .replicas(2)
        .patch_pods(|pod| {
            let volume = json!({"name": "account", "secret": {"secretName": "account"}});
            let mount = json!({"name": "account", "mountPath": "/account"});
            push(&mut pod["spec"]["volumes"], volume);
            push(&mut our_container(pod)["volumeMounts"], mount);
        })
        .start(cluster, namespace)?;
    web.wait_whole(SOON)?;
    Ok(web)
}

/// Ends each pod's connection to the API server, as a proxy between them may.
pub(crate) fn cut_watches(web: &Deployment<'_>) -> Result<()> {
    for pod in web.pods()? {
        let output = pod
            .command("ss")
            .args(["-K", "dst", "10.96.0.1"])
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            said.contains("10.96.0.1"),
            "no connection was there to be cut: {output:?}"
        );
    }
    Ok(())
}

pub(crate) fn a_token_whose_anchor_was_deleted(
    cluster: &Cluster,
    namespace: &str,
    kind: Kind,
) -> Result<()> {
    let web = start(cluster, namespace, kind)?;
    let witnesses = FaultLogs::of(&web)?;
    cluster.kubectl(["-n", namespace, "delete", "secret", ANCHOR])?;
    witnesses.nothing_happens(REMEMBERED)?;
    cut_watches(&web)?;
    let who = format!("ServiceAccount web of namespace {namespace} in /account/token");
    let cure = format!("kubectl -n {namespace} create token web");
    let words = [
        &who,
        "or Secret anchor was deleted",
        &cure,
        "read for each request",
    ];
    witnesses.told(SOON, "unauthorized", &words)?;
    give_token(cluster, namespace, ANCHOR)?;
    renew_volumes(cluster, namespace)?;
    witnesses.well(Instant::now(), HEALED)?;
    web.scale(3)?;
    web.wait_whole(SOON)?;
    witnesses.check(&["unauthorized"], 1)
}

/// As the kubelet does: a fresh token stands in the file before the old one has ended. Then it ends, and nothing is told, since
/// nothing is wrong: whoever still used the old one would be refused from then on.
pub(crate) fn a_token_that_was_replaced_in_time(
    cluster: &Cluster,
    namespace: &str,
    kind: Kind,
) -> Result<()> {
    let web = start(cluster, namespace, kind)?;
    let witnesses = FaultLogs::of(&web)?;
    let pods = web.pods()?;
    let before: Result<Vec<_>> = pods.iter().map(token_of).collect();
    let before = before?;
    give_token(cluster, namespace, OTHER_ANCHOR)?;
    renew_volumes(cluster, namespace)?;
    for (pod, before) in pods.iter().zip(&before) {
        poll_until("the token is another", SOON, || {
            ensure!(token_of(pod)? != *before, "{} has the old one", pod.name());
            Ok(())
        })?;
    }
    cluster.kubectl(["-n", namespace, "delete", "secret", ANCHOR])?;
    for before in &before {
        poll_until("the old token is refused", SOON, || {
            ensure!(!is_taken(cluster, before)?, "it is taken");
            Ok(())
        })?;
    }
    cut_watches(&web)?;
    witnesses.nothing_happens(Duration::from_secs(5))?;
    web.scale(3)?;
    web.wait_whole(SOON)?;
    witnesses.check(&[], 0)
}

/// The token that a pod finds.
fn token_of(pod: &Pod<'_>) -> Result<String> {
    let pid = pod.pids("enmesh")?.into_iter().next();
    let pid = pid.with_context(|| format!("{} does not run", pod.name()))?;
    let path = format!("/proc/{pid}/root/account/token");
    Ok(std::fs::read_to_string(path)?)
}

/// Whether the API server lets in whoever shows this token, or remembers that it did.
fn is_taken(cluster: &Cluster, token: &str) -> Result<bool> {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token.trim()},
    });
    let file = cluster.folder().join("token-review.json");
    std::fs::write(&file, review.to_string())?;
    let file = file.to_str().context("a run's folder has a plain name")?;
    let path = "--output=jsonpath={.status.authenticated}";
    let said = cluster.kubectl(["create", "--filename", file, path])?;
    Ok(said.trim() == "true")
}
