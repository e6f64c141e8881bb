//! Members of the manifests that `enmesh manifests` prints.

use std::process::Stdio;

use anyhow::{Result, ensure};
use enmesh_interop::{Cluster, Deployment, Kind, Names, Workload, poll_until};

use crate::commands::{Shell, manifests};
use crate::{GONE, WHOLE};

/// Members that are ready when they have a peer, so that readiness is the proof of the cluster.
pub(crate) fn printed(cluster: &Cluster, namespace: &str, names: Names, flags: &str) -> Result<()> {
    let shell = Shell::new(cluster, namespace)?;
    let flags = format!("--mode {} --replicas 2 --min-peers 1 {flags}", names.word());
    let text = manifests(namespace, &flags, None)?;
    if !flags.contains("--with-secret") {
        shell.make_secrets(&text)?;
    }
    shell.apply(&text)?;
    let deployment = whole(cluster, namespace, names)?;
    if flags.contains("--tls") {
        links_are_encrypted(cluster, &deployment)?;
    }
    leave_one(cluster, &deployment)
}

/// Whoever dials a member is shown a certificate; members that had not been told of theirs would be linked just as well.
pub(crate) fn links_are_encrypted(cluster: &Cluster, deployment: &Deployment<'_>) -> Result<()> {
    for pod in deployment.pods()? {
        let address = format!("{}:9100", pod.ip());
        let mut dial = cluster.command("timeout");
        dial.args(["20", "openssl", "s_client", "-connect", &address]);
        // It ends as a failure, for we have no certificate to show.
        let output = dial.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let is_shown = said.contains("-----BEGIN CERTIFICATE-----");
        ensure!(is_shown, "{address} shows no certificate: {said}{errors}");
    }
    Ok(())
}

/// Two members with the labels of tests.
pub(crate) fn whole<'c>(
    cluster: &'c Cluster,
    namespace: &str,
    names: Names,
) -> Result<Deployment<'c>> {
    let deployment = Workload::new("web", Kind::Member)
        .names(names)
        .applied(cluster, namespace);
    deployment.wait_ready(2)?;
    deployment.wait_whole(WHOLE)?;
    budget_counts(cluster, namespace)?;
    Ok(deployment)
}

/// The PodDisruptionBudget is about these two pods: one of them may be sent away.
fn budget_counts(cluster: &Cluster, namespace: &str) -> Result<()> {
    let counts = "{.status.expectedPods} {.status.currentHealthy} {.status.disruptionsAllowed}";
    let counts = format!("--output=jsonpath={counts}");
    let get = ["get", "pdb", "web", "--namespace", namespace, &counts];
    poll_until("the budget counts both pods", GONE, || {
        let counts = cluster.kubectl(get)?;
        ensure!(counts.trim() == "2 2 1", "{counts:?}");
        Ok(())
    })
}

/// One pod fewer: preStop has told its node to leave, and nothing of that failed.
fn leave_one(cluster: &Cluster, deployment: &Deployment<'_>) -> Result<()> {
    let namespace = deployment.namespace();
    deployment.begin_scale(1)?;
    let pods = ["get", "pods", "--output=name", "--namespace", namespace];
    poll_until("one pod is left", GONE, || {
        let left = cluster.kubectl(pods)?;
        ensure!(left.lines().count() == 1, "{left}");
        Ok(())
    })?;
    let events = cluster.events(namespace)?;
    // A single probe may be late on a busy machine; whoever is started anew for it did not live.
    let failed = events.iter().filter(|line| {
        let reasons = ["FailedPreStopHook", "BackOff"];
        reasons.iter().any(|reason| line.starts_with(reason)) || line.contains("will be restarted")
    });
    let failed: Vec<&String> = failed.collect();
    ensure!(failed.is_empty(), "{failed:?}");
    Ok(())
}
