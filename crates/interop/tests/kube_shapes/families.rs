//! Pods with an IPv4 and an IPv6 address, of which the nodes have the second in their names.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Image, Kind, Otp, Workload};
use serde_json::{Value, json};

use super::{each_container, pods_of, push, wait_all};

/// An image in which a shell takes the second of two addresses: the shipped one has none, and Kubernetes gives both as one word.
const IMAGE: &str = "enmesh-test/shell:27";

/// Members and Erlang nodes; those speak `inet6_tcp`.
pub(crate) fn nodes_have_the_second_family(cluster: &Cluster, namespace: &str) -> Result<()> {
    let program = std::env::var_os("ENMESH_STATIC_BIN").context("ENMESH_STATIC_BIN is not set")?;
    let image = Image::beam(Otp::R27)?.named(IMAGE);
    cluster.ensure_image(&image.with_file(Path::new(&program), "/usr/local/bin/enmesh"))?;
    let start = |name: &str, kind| {
        Workload::new(name, kind)
            .group("web")
            .replicas(2)
            .patch_pods(in_a_shell)
            .patch(both_families)
            .begin(cluster, namespace)
    };
    let rust = start("rust", Kind::Member)?;
    let erlang = start("erlang", Kind::Steered(Otp::R27))?;
    rust.wait_ready(2)?;
    erlang.wait_ready(2)?;
    let mut pods = pods_of(&[&rust, &erlang])?;
    for (pod, node) in &mut pods {
        let object = pod.object()?;
        let six = object["status"]["podIPs"][1]["ip"].as_str();
        let six = six.context("a pod has two addresses")?;
        ensure!(six.contains(':'), "{six} is of the second family");
        *node = format!("web@{six}");
    }
    let nodes: Vec<String> = pods.iter().map(|(_, node)| node.clone()).collect();
    wait_all(&pods, &nodes)?;
    rust.begin_scale(1)?;
    rust.wait_ready(1)?;
    let stays = rust.pods()?;
    let gone = |name: &str| name.starts_with("rust-") && stays.iter().all(|pod| pod.name() != name);
    pods.retain(|(pod, _)| !gone(pod.name()));
    let nodes: Vec<String> = pods.iter().map(|(_, node)| node.clone()).collect();
    ensure!(nodes.len() == 3, "three are left: {nodes:?}");
    wait_all(&pods, &nodes)
}

/// Slices of both families. The Service is the only object with `clusterIP`.
fn both_families(list: &mut Value) {
    for item in list["items"].as_array_mut().into_iter().flatten() {
        if item["kind"] == "Service" {
            item["spec"]["ipFamilyPolicy"] = json!("RequireDualStack");
        }
    }
}

/// The same command lines, with the second address in the place of the first.
fn in_a_shell(template: &mut Value) {
    each_container(template, |container| {
        let both =
            json!({"name": "POD_IPS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}});
        push(&mut container["env"], both);
        if container["name"] == "beam" {
            let command = container["command"][2].as_str().unwrap_or_default();
            container["command"][2] = json!(format!("POD_IP=${{POD_IPS#*,}}\n{command}"));
            return;
        }
        let words = container["args"].as_array().into_iter().flatten();
        let quoted = words
            .filter_map(Value::as_str)
            .map(|word| format!("\"{word}\""));
        let line = quoted.collect::<Vec<_>>().join(" ");
        let script = format!("export POD_IP=${{POD_IPS#*,}}\nexec enmesh {line}");
        container["command"] = json!(["sh", "-c", script]);
        container["image"] = json!(IMAGE);
        container["securityContext"]["runAsUser"] = json!(65532);
        if let Some(container) = container.as_object_mut() {
            container.remove("args");
        }
    });
}
