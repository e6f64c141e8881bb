//! Nodes whose names are not all made alike.

use anyhow::Result;
use enmesh_interop::{Cluster, Deployment, Kind, Otp, Workload};
use serde_json::{Value, json};

use super::{pods_of, push, wait_all};

const BY_TEMPLATE: &str = "strategy=kubernetes kubernetes_ip_lookup_mode=pods kubernetes_selector=tier=back \
                           name_template={label:app}@{ip} port=9100";
const BY_ASKING: &str = "strategy=kubernetes kubernetes_service_name=back mode=ask port=dist";
const BY_PORT: &str = "strategy=kubernetes kubernetes_ip_lookup_mode=pods kubernetes_selector=tier=back \
                       name_template={label:app}@{ip} port=dist";

/// `api@…` of members and `queue@…` of Erlang nodes are one cluster; the former make the names of labels, the latter ask.
pub(crate) fn several_base_names(cluster: &Cluster, namespace: &str) -> Result<()> {
    let start = |name: &str, kind, topology: &str| {
        Workload::new(name, kind)
            .replicas(2)
            .topology(topology)
            .patch_pods(of_the_tier)
            .patch(with_a_service)
            .begin(cluster, namespace)
    };
    let api = start("api", Kind::Member, BY_TEMPLATE)?;
    let queue = start("queue", Kind::Steered(Otp::R27), BY_ASKING)?;
    whole(&[&api, &queue], 2)
}

/// Three nodes at one address, each at the port that its pod declares, without any epmd.
pub(crate) fn a_port_each_on_the_hosts_network(cluster: &Cluster, namespace: &str) -> Result<()> {
    let start = |name: &str, port: u16| {
        Workload::new(name, Kind::Member)
            .topology(BY_PORT)
            .args(["--epmd", "none"])
            .patch_pods(of_the_tier)
            .patch_pods(move |template| {
                template["spec"]["hostNetwork"] = json!(true);
                let container = &mut template["spec"]["containers"][0];
                container["ports"] = json!([{"name": "dist", "containerPort": port}]);
                container["readinessProbe"]["tcpSocket"]["port"] = json!(port);
                let args = container["args"].as_array_mut().into_iter().flatten();
                args.filter(|arg| **arg == "9100")
                    .for_each(|arg| *arg = json!(port.to_string()));
            })
            .begin(cluster, namespace)
    };
    let all = [
        start("one", 9201)?,
        start("two", 9202)?,
        start("three", 9203)?,
    ];
    whole(&[&all[0], &all[1], &all[2]], 1)
}

fn whole(deployments: &[&Deployment<'_>], replicas: u32) -> Result<()> {
    deployments
        .iter()
        .try_for_each(|deployment| deployment.wait_ready(replicas))?;
    let pods = pods_of(deployments)?;
    let nodes: Vec<String> = pods.iter().map(|(_, node)| node.clone()).collect();
    wait_all(&pods, &nodes)
}

fn of_the_tier(template: &mut Value) {
    template["metadata"]["labels"]["tier"] = json!("back");
}

/// A Service for all base names.
fn with_a_service(list: &mut Value) {
    let namespace = list["items"][0]["metadata"]["namespace"].clone();
    push(
        &mut list["items"],
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "back", "namespace": namespace},
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": true,
                "selector": {"tier": "back"},
                "ports": [{"name": "dist", "port": 9100}],
            },
        }),
    );
}
