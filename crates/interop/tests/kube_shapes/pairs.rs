//! Two nodes in one pod, which share an epmd.

use std::io::Write;

use anyhow::{Context, Result, bail, ensure};
use enmesh_interop::{Cluster, Deployment, Enmesh, Image, Kind, Otp, Pod, Workload, poll_until};
use serde_json::json;

use super::{SOON, push};

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
    story(&pair, &["enmesh", "blue", "epmd"], &["enmesh"])
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
    story(&pair, &["enmesh", "blue"], &["enmesh", "blue"])
}

/// All nodes of all pods are one cluster, as the logs of the containers `tellers` say; one container after the other is killed in
/// the first pod, and both of its nodes are found again, by whoever looks them up then, while nobody has lost the one that lived
/// on. A pod that comes after all of it finds everybody.
fn story(pair: &Deployment<'_>, containers: &[&str], tellers: &[&str]) -> Result<()> {
    all_are_one(pair, tellers)?;
    for container in containers {
        let pods = pair.pods()?;
        let [pod, peer] = &pods[..] else {
            bail!("{} pods are ready", pods.len());
        };
        let survivors = NODES.iter().filter(|(home, _)| home != container);
        let survivors: Vec<String> = survivors.map(|(home, _)| node_in(pod, home)).collect();
        let losses = || -> Result<usize> {
            let mut count = 0;
            for (teller, survivor) in tellers
                .iter()
                .flat_map(|teller| survivors.iter().map(move |survivor| (teller, survivor)))
            {
                count += peer.disconnects(teller, survivor)?;
            }
            Ok(count)
        };
        let before = losses()?;
        pod.kill(container)?;
        poll_until("the container runs again", SOON, || {
            ensure!(pod.restarts(container)? == 1, "{container} does not");
            Ok(())
        })?;
        both_are_registered(pod)?;
        pair.wait_ready(2)?;
        for (home, _) in NODES {
            is_found(peer, &node_in(pod, home))?;
        }
        all_are_one(pair, tellers)?;
        let lost = losses()? - before;
        ensure!(
            lost == 0,
            "{} has lost one of {survivors:?} {lost} times when {container} was killed",
            peer.name()
        );
    }
    pair.scale(3)?;
    all_are_one(pair, tellers)
}

/// The containers that nodes are in, and the nodes' base names.
const NODES: [(&str, &str); 2] = [("enmesh", "pair"), ("blue", "blue")];

fn node_in(pod: &Pod<'_>, container: &str) -> String {
    let base = NODES.iter().find(|(home, _)| *home == container);
    let (_, base) = base.expect("only these are asked for");
    format!("{base}@{}", pod.ip())
}

/// Waits until all say that they are connected with all others.
fn all_are_one(pair: &Deployment<'_>, tellers: &[&str]) -> Result<()> {
    let pods = pair.pods()?;
    let homes = NODES.map(|(home, _)| home);
    let of_pod = |pod: &Pod<'_>| homes.map(|home| node_in(pod, home));
    let mut nodes: Vec<String> = pods.iter().flat_map(of_pod).collect();
    nodes.sort();
    poll_until("all are connected", SOON, || {
        for pod in &pods {
            for teller in tellers {
                let own = node_in(pod, teller);
                let mut seen = pod.connected_by(teller)?;
                seen.push(own.clone());
                seen.sort();
                ensure!(seen == nodes, "{own} is one of {seen:?}, all are {nodes:?}");
            }
        }
        Ok(())
    })
}

/// Somebody in this pod, who knows nothing yet, asks for a node's port and meets it; it is connected with the three others.
fn is_found(from: &Pod<'_>, node: &str) -> Result<()> {
    let mut cookie = tempfile::NamedTempFile::new()?;
    cookie.write_all(b"secret")?;
    let program = Enmesh::program()?.to_str().context("a plain path")?;
    let mut command = from.command(program);
    command.args(["wait", "--name", node, "--min-peers", "3"]);
    command.arg("--cookie-file").arg(cookie.path());
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{node} is not found: {said}");
    Ok(())
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
