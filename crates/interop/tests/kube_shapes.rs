//! Clusters of other shapes than the usual one: two address families, several base names, several nodes in a
//! pod, the node's own network, links over TLS.

#[path = "kube_shapes/families.rs"]
mod families;
#[path = "kube_shapes/many.rs"]
mod many;
#[path = "kube_shapes/names.rs"]
mod names;
#[path = "kube_shapes/pairs.rs"]
mod pairs;
#[path = "kube_shapes/tls.rs"]
mod tls;

use std::time::Duration;

use anyhow::{Result, ensure};
use enmesh_interop::{Cluster, Deployment, Pod, poll_until, scenarios};
use serde_json::Value;

/// By when a cluster is as it should be, with both processors busy.
const SOON: Duration = Duration::from_secs(90);

/// Lines of a log that an error shows.
const SHOWN_LINES: usize = 12;

#[test]
fn clusters_of_every_shape_are_whole() {
    let cluster = Cluster::start_dual_stack().unwrap();
    scenarios(
        &cluster,
        &[
            ("families", &families::nodes_have_the_second_family),
            ("several_names", &names::several_base_names),
            ("host_network", &names::a_port_each_on_the_hosts_network),
            ("pair", &pairs::two_nodes_share_a_sidecars_epmd),
            ("twins", &pairs::two_members_share_the_first_ones_epmd),
            ("tls", &tls::certificates_are_mounted),
        ],
    );
    // Alone, because what is measured is time.
    scenarios(&cluster, &[("many", &many::very_many_pods)]);
}

/// Waits until the log of each of these pods says that its node is connected with exactly these nodes, its own left out.
fn wait_all(pods: &[(Pod<'_>, String)], nodes: &[String]) -> Result<()> {
    poll_until("all are connected", SOON, || {
        for (pod, own) in pods {
            let mut others: Vec<&String> = nodes.iter().filter(|node| *node != own).collect();
            others.sort();
            let seen = pod.connected()?;
            ensure!(
                seen.iter().eq(others.iter().copied()),
                "{own} is connected with {seen:?}, the others are {others:?}"
            );
        }
        Ok(())
    })
}

/// The ready pods of all these, with the names of their nodes.
fn pods_of<'c>(deployments: &[&Deployment<'c>]) -> Result<Vec<(Pod<'c>, String)>> {
    let mut all = Vec::new();
    for deployment in deployments {
        let pods = deployment.pods()?;
        all.extend(pods.into_iter().map(|pod| {
            let node = pod.node().to_owned();
            (pod, node)
        }));
    }
    Ok(all)
}

/// The ends of the logs of all their containers, for errors.
fn what_they_say(deployments: &[&Deployment<'_>]) -> String {
    let mut text = String::new();
    for (pod, node) in pods_of(deployments).unwrap_or_default() {
        for container in ["enmesh", "beam"] {
            let log = pod.logs(container).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            text += &format!("{node}, {container}:\n{}\n", end.join("\n"));
        }
    }
    text
}

/// Applies `change` to every container of a pod's template, native sidecars among them.
fn each_container(template: &mut Value, change: impl Fn(&mut Value)) {
    for list in ["initContainers", "containers"] {
        let containers = template["spec"][list].as_array_mut();
        containers.into_iter().flatten().for_each(&change);
    }
}

/// Adds to a list within an object, which is made if it is missing.
fn push(list: &mut Value, value: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(value),
        None => *list = Value::Array(vec![value]),
    }
}
