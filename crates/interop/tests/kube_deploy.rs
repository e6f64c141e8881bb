//! What `enmesh manifests` and `enmesh inject` print, applied to a real Kubernetes that enforces Pod Security "restricted",
//! forms clusters there.

#[path = "deploy/commands.rs"]
mod commands;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use enmesh_interop::{
    Cluster, Deployment, Image, Kind, Names, Otp, Workload, poll_until, scenarios,
};
use serde_json::{Value, json};

use commands::{Shell, manifests};

/// How long a cluster may take to form after its pods are ready; ready pods have formed it already.
const WHOLE: Duration = Duration::from_secs(20);
/// How long a pod may take to end; its grace is 30 s, and the kubelet of a busy machine is late.
const GONE: Duration = Duration::from_secs(180);

/// Members that are ready when they have a peer, so that readiness is the proof of the cluster.
fn members(cluster: &Cluster, namespace: &str, names: Names, flags: &str) -> Result<()> {
    let shell = Shell::new(cluster, namespace)?;
    let flags = format!("--mode {} --replicas 2 --min-peers 1 {flags}", names.word());
    let text = manifests(namespace, &flags, None)?;
    shell.run_comments(&text)?;
    shell.apply(&text)?;
    let deployment = Workload::new("web", Kind::Member)
        .names(names)
        .applied(cluster, namespace);
    deployment.wait_ready(2)?;
    deployment.wait_whole(WHOLE)?;
    leave_one(cluster, &deployment)
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
    let events = [
        "get",
        "events",
        "--output=custom-columns=R:.reason,M:.message",
        "--namespace",
        namespace,
    ];
    let events = cluster.kubectl(events)?;
    // A single probe may be late on a busy machine; whoever is started anew for it did not live.
    let failed = events.lines().filter(|line| {
        let reasons = ["FailedPreStopHook", "BackOff"];
        reasons.iter().any(|reason| line.starts_with(reason)) || line.contains("will be restarted")
    });
    let failed: Vec<&str> = failed.collect();
    ensure!(failed.is_empty(), "{failed:?}");
    Ok(())
}

#[test]
fn every_mode_and_lookup_of_members_forms_a_cluster() {
    let cluster = Cluster::start().unwrap();
    cluster.ensure_image(&Image::enmesh().unwrap()).unwrap();
    cluster.name_pods_by_address().unwrap();
    let table: Vec<(&str, Names, &str)> = vec![
        ("ip", Names::Ip, ""),
        ("dns", Names::Dns, ""),
        ("srv", Names::Srv, ""),
        ("pod", Names::Pod, ""),
        ("hostname", Names::Hostname, ""),
        ("ip-dns", Names::Ip, "--lookup dns --with-secret"),
        ("ip-pods", Names::Ip, "--lookup pods --epmd none"),
        ("ip-auto", Names::Ip, "--lookup auto --epmd-sidecar"),
        ("srv-pods", Names::Srv, "--lookup pods"),
        ("hostname-srv", Names::Hostname, "--lookup srv --epmd none"),
        ("dns-endpoints", Names::Dns, "--lookup endpoints"),
        ("hostname-tls", Names::Hostname, "--tls"),
    ];
    let stories: Vec<_> = table
        .iter()
        .map(|&(name, names, flags)| {
            let story = move |cluster: &Cluster, ns: &str| members(cluster, ns, names, flags);
            (name, story)
        })
        .collect();
    let all: Vec<enmesh_interop::Scenario<'_>> = stories
        .iter()
        .map(|(name, story)| (*name, story as _))
        .collect();
    scenarios(&cluster, &all);
}

/// What a BEAM of the user's runs, in place of a release: the manifest tells it its name and its cookie.
const TOLD: &str = "exec erl -noinput -name $RELEASE_NODE -setcookie $RELEASE_COOKIE";
/// The same where only `enmesh env` knows, as in rel/env.sh.eex.
const ASKING: &str = "export RELEASE_COMMAND=start; eval \"$(/opt/enmesh/enmesh env)\"; \
                      exec erl $ELIXIR_ERL_OPTIONS -noinput -name $RELEASE_NODE -setcookie $RELEASE_COOKIE";

fn beams(
    cluster: &Cluster,
    namespace: &str,
    names: Names,
    flags: &str,
    script: &str,
) -> Result<()> {
    let shell = Shell::new(cluster, namespace)?;
    let image = Image::beam_name(Otp::R25);
    let flags = format!(
        "--mode {} --kind agent --replicas 2 --min-peers 1 --app-image {image} --app-user 65532 {flags}",
        names.word()
    );
    let text = manifests(namespace, &flags, Some(script))?;
    shell.run_comments(&text)?;
    shell.apply(&text)?;
    let deployment = Workload::new("web", Kind::Steered(Otp::R25))
        .names(names)
        .applied(cluster, namespace);
    deployment.wait_ready(2)?;
    deployment.wait_whole(WHOLE)
}

/// A Deployment of the user's, which knows nothing of enmesh; `inject` does the rest.
fn injected(cluster: &Cluster, namespace: &str) -> Result<()> {
    let shell = Shell::new(cluster, namespace)?;
    let labels = json!({"app": "web", "workload": "web"});
    let env = json!([
        {"name": "RELEASE_COOKIE", "valueFrom": {"secretKeyRef": {"name": "web-cookie", "key": "cookie"}}},
        {"name": "HOME", "value": "/tmp"},
    ]);
    let node = "exec erl -noinput -name web@$POD_IP -setcookie $RELEASE_COOKIE";
    let own = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {
                "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "web", "image": Image::beam_name(Otp::R25), "imagePullPolicy": "Never",
                    "command": ["sh", "-c", node], "env": env,
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        }},
    });
    let flags = "--mode ip --kind agent --without-workload";
    let text = manifests(namespace, flags, None)?;
    shell.run_comments(&text)?;
    shell.apply(&text)?;
    let inject = "inject -f - --mode ip --min-peers 1 --json-log --image enmesh-test/enmesh --image-pull-policy Never";
    let text = commands::enmesh(inject, &own.to_string())?;
    ensure!(
        commands::enmesh(inject, &text)? == text,
        "injecting twice is not the same as once"
    );
    shell.apply(&text)?;
    let deployment = Workload::new("web", Kind::Steered(Otp::R25)).applied(cluster, namespace);
    deployment.wait_ready(2)?;
    deployment.wait_whole(WHOLE)?;
    let pods = deployment.pods()?;
    let object: Value = pods[0].object()?;
    let account = object["spec"]["serviceAccountName"]
        .as_str()
        .context("a pod has an account")?;
    ensure!(account == "web", "the account is {account}");
    Ok(())
}

#[test]
fn a_beam_of_the_users_is_clustered_by_the_sidecar() {
    let cluster = Cluster::start().unwrap();
    for image in [Image::enmesh(), Image::beam(Otp::R25)] {
        cluster.ensure_image(&image.unwrap()).unwrap();
    }
    cluster.name_pods_by_address().unwrap();
    scenarios(
        &cluster,
        &[
            ("agent-ip", &|cluster, ns| {
                beams(cluster, ns, Names::Ip, "", TOLD)
            }),
            ("agent-hostname", &|cluster, ns| {
                beams(cluster, ns, Names::Hostname, "--epmd-sidecar", TOLD)
            }),
            ("agent-srv", &|cluster, ns| {
                beams(cluster, ns, Names::Srv, "--epmd none", ASKING)
            }),
            ("injected", &injected),
        ],
    );
}
