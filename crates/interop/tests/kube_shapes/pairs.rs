//! Two nodes in one pod, which share an epmd.

use anyhow::{Result, ensure};
use enmesh_interop::{Cluster, Deployment, Image, Kind, Otp, Pod, Workload, poll_until};
use serde_json::json;

use super::{SOON, pods_of, push, wait_all};

/// Where the second node of a pod listens; the first is at 9100.
const SECOND_PORT: u16 = 9101;

/// A member and an Erlang node, with `enmesh epmd` as a native sidecar: each container may be started again, the sidecar too.
pub(crate) fn two_nodes_share_a_sidecars_epmd(cluster: &Cluster, namespace: &str) -> Result<()> {
    cluster.ensure_image(&Image::beam(Otp::R27)?)?;
    let pair = Workload::new("pair", Kind::Member)
        .replicas(2)
        .topology("strategy=kubernetes kubernetes_service_name=pair mode=epmd")
        .args(["--epmd", "system"])
        .patch_pods(|template| {
            let epmd = json!({
                "name": "epmd",
                "image": "enmesh-test/enmesh",
                "imagePullPolicy": "Never",
                "args": ["epmd", "--log-format", "json"],
                "restartPolicy": "Always",
            });
            push(&mut template["spec"]["initContainers"], epmd);
            let run = format!(
                "exec erl -noinput -start_epmd false -name blue@$POD_IP -setcookie secret \
                 -kernel inet_dist_listen_min {SECOND_PORT} inet_dist_listen_max {SECOND_PORT}"
            );
            let env = template["spec"]["containers"][0]["env"].clone();
            let mut blue = json!({
                "name": "blue",
                "image": Image::beam_name(Otp::R27),
                "imagePullPolicy": "Never",
                "command": ["sh", "-c", run],
                "env": env,
            });
            push(&mut blue["env"], json!({"name": "HOME", "value": "/tmp"}));
            push(&mut template["spec"]["containers"], blue);
        })
        .start(cluster, namespace)?;
    story(&pair, &["enmesh", "blue", "epmd"])
}

/// Two members, of which whoever came first holds epmd's port; when it is killed the other one takes over.
pub(crate) fn two_members_share_the_first_ones_epmd(
    cluster: &Cluster,
    namespace: &str,
) -> Result<()> {
    let pair = Workload::new("pair", Kind::Member)
        .replicas(2)
        .topology("strategy=kubernetes kubernetes_service_name=pair mode=epmd")
        .args(["--epmd", "embedded"])
        .patch_pods(|template| {
            let mut blue = template["spec"]["containers"][0].clone();
            blue["name"] = json!("blue");
            for arg in blue["args"].as_array_mut().into_iter().flatten() {
                match arg.as_str() {
                    Some("9100") => *arg = json!(SECOND_PORT.to_string()),
                    Some("pair") => *arg = json!("blue"),
                    _ => {}
                }
            }
            push(&mut template["spec"]["containers"], blue);
        })
        .start(cluster, namespace)?;
    story(&pair, &["enmesh", "blue"])
}

/// All nodes of all pods are one cluster; one container after the other is killed in the first pod, and both of its nodes are
/// found again. A pod that comes after all of it finds everybody.
fn story(pair: &Deployment<'_>, containers: &[&str]) -> Result<()> {
    all_are_one(pair)?;
    for container in containers {
        let pod = &pair.pods()?[0];
        pod.kill(container)?;
        poll_until("the container runs again", SOON, || {
            ensure!(pod.restarts(container)? == 1, "{container} does not");
            Ok(())
        })?;
        both_are_registered(pod)?;
        pair.wait_ready(2)?;
        all_are_one(pair)?;
    }
    pair.scale(3)?;
    all_are_one(pair)
}

fn all_are_one(pair: &Deployment<'_>) -> Result<()> {
    let pods = pods_of(&[pair])?;
    let both =
        |(pod, _): &(Pod<'_>, String)| ["pair", "blue"].map(|base| format!("{base}@{}", pod.ip()));
    let nodes: Vec<String> = pods.iter().flat_map(both).collect();
    wait_all(&pods, &nodes)
}

/// The pod's epmd tells both, each with its port.
fn both_are_registered(pod: &Pod<'_>) -> Result<()> {
    poll_until("both nodes are registered", SOON, || {
        let output = pod.command("epmd").arg("-names").output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        for (name, port) in [("pair", 9100), ("blue", SECOND_PORT)] {
            let line = format!("name {name} at port {port}");
            ensure!(said.contains(&line), "epmd says {said}");
        }
        Ok(())
    })
}
