//! A topology that asks for what is not there, and a DNS that does not answer.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use enmesh_interop::{Cluster, Deployment, FaultLogs, Kind, Names, Otp, Workload, poll_until};
use serde_json::{Value, json};

use crate::{HEALED, SOON};

/// Waits until the pods tell that nothing is there, runs `kubectl` with `cure`, and sees them find each other.
fn mend(cluster: &Cluster, web: &Deployment<'_>, words: &[&str], cure: &[&str]) -> Result<()> {
    let witnesses = FaultLogs::of(web)?;
    witnesses.told(SOON, "not_found", words)?;
    let mended = Instant::now();
    cluster.kubectl(["-n", web.namespace()].iter().chain(cure))?;
    witnesses.well(mended, HEALED)?;
    web.wait_whole(SOON)?;
    witnesses.check(&["not_found"], 1)
}

/// Slices carry the labels of the Service, and it has another.
pub(crate) fn a_selector_that_no_service_has(
    cluster: &Cluster,
    namespace: &str,
    kind: Kind,
) -> Result<()> {
    let topology = "strategy=kubernetes kubernetes_selector=tier=front";
    let web = Workload::new("web", kind)
        .topology(topology)
        .replicas(2)
        .start(cluster, namespace)?;
    let look = format!("kubectl -n {namespace} get services --show-labels");
    let words = [
        "no endpointslices",
        "match tier=front",
        "label the Service",
        &look,
    ];
    mend(
        cluster,
        &web,
        &words,
        &["label", "service", "web", "tier=front"],
    )
}

/// Pods may be none for good reasons, so this is no failure; it is told all the same.
pub(crate) fn a_selector_that_no_pod_has(
    cluster: &Cluster,
    namespace: &str,
    kind: Kind,
) -> Result<()> {
    let topology =
        "strategy=kubernetes kubernetes_ip_lookup_mode=pods kubernetes_selector=tier=front";
    let web = Workload::new("web", kind)
        .topology(topology)
        .replicas(2)
        .start(cluster, namespace)?;
    let witnesses = FaultLogs::of(&web)?;
    let told = "nobody is selected: there are no pods to connect with";
    let look = format!("kubectl -n {namespace} get pods --show-labels");
    for record in witnesses.logged(SOON, told)? {
        ensure!(record["level"] == "WARN", "{record}");
        ensure!(record["selector"] == "tier=front", "{record}");
        ensure!(record["namespace"] == namespace, "{record}");
        let hint = record["hint"].as_str().unwrap_or_default();
        ensure!(hint.contains(&look), "{record}");
    }
    let args = ["-n", namespace, "label", "pods", "--all", "tier=front"];
    cluster.kubectl(args)?;
    let over = "somebody is selected again";
    witnesses.logged(SOON, over)?;
    web.wait_whole(SOON)?;
    for message in [told, over] {
        witnesses.logged_once(message)?;
    }
    witnesses.check(&[], 0)
}

/// The configuration is a ConfigMap, and its namespace has a letter too many.
pub(crate) fn a_namespace_that_is_not_ours(
    cluster: &Cluster,
    namespace: &str,
    kind: Kind,
) -> Result<()> {
    let config = |asked: &str| {
        let text = format!(
            "[[topology]]\nname = \"web\"\nstrategy = \"kubernetes\"\nkubernetes_service_name = \"web\"\n\
             kubernetes_namespace = \"{asked}\"\n"
        );
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "web", "namespace": namespace},
            "data": {"enmesh.toml": text},
        })
    };
    cluster.apply(&config(&format!("{namespace}s")))?;
    let web = Workload::new("web", kind)
        .args(["--config", "/config/enmesh.toml"])
        .patch_pods(|pod| {
            let volume = json!({"name": "config", "configMap": {"name": "web"}});
            push(&mut pod["spec"]["volumes"], volume);
            let container = our_container(pod);
            without_topology(container);
            let mount = json!({"name": "config", "mountPath": "/config"});
            push(&mut container["volumeMounts"], mount);
        })
        .replicas(2)
        .start(cluster, namespace)?;
    let witnesses = FaultLogs::of(&web)?;
    let where_ = format!("may not read endpointslices in namespace {namespace}s.");
    let words = [where_.as_str(), "or correct kubernetes_namespace"];
    witnesses.told(SOON, "forbidden", &words)?;
    cluster.apply(&config(namespace))?;
    renew_volumes(cluster, namespace)?;
    witnesses.logged(SOON, "configuration was read again")?;
    web.wait_whole(SOON)?;
    // The topology that failed is no more: its successor has nothing to be over.
    witnesses.check(&["forbidden"], 0)
}

/// The container of a pod that enmesh runs in, a sidecar's included.
pub(crate) fn our_container(pod: &mut Value) -> &mut Value {
    let lists = pod["spec"].as_object_mut().into_iter().flatten();
    let lists = lists.filter(|(key, _)| matches!(key.as_str(), "initContainers" | "containers"));
    let mut containers = lists.filter_map(|(_, list)| list.as_array_mut()).flatten();
    let ours = containers.find(|container| container["name"] == "enmesh");
    ours.expect("enmesh runs in each pod")
}

pub(crate) fn push(list: &mut Value, item: Value) {
    let list = list.as_array_mut();
    list.expect("there is the cookie's already").push(item);
}

fn without_topology(container: &mut Value) {
    let args = container["args"].as_array_mut().expect("it has arguments");
    let place = args.iter().position(|arg| arg == "--topology");
    let place = place.expect("a topology is given");
    args.drain(place..place + 2);
}

/// The kubelet looks at what is mounted when something happens to the pod, else once in a minute or so.
pub(crate) fn renew_volumes(cluster: &Cluster, namespace: &str) -> Result<()> {
    let args = ["-n", namespace, "annotate", "pods", "--all", "--overwrite"];
    let now = format!("renewed={:?}", std::time::SystemTime::now());
    let now: String = now
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '=')
        .collect();
    cluster
        .kubectl(args.iter().copied().chain([now.as_str()]))
        .map(drop)
}

/// A slip of the finger, mended by a Service of that name.
pub(crate) fn a_service_that_does_not_exist(
    cluster: &Cluster,
    namespace: &str,
    kind: Kind,
) -> Result<()> {
    let topology = "strategy=kubernetes kubernetes_service_name=wbe";
    let web = Workload::new("web", kind)
        .topology(topology)
        .replicas(2)
        .start(cluster, namespace)?;
    let look = format!("kubectl -n {namespace} get services --output=wide");
    let words = [
        "belong to a Service wbe",
        "is kubernetes_service_name right",
        &look,
    ];
    let cure = [
        "expose",
        "deployment",
        "web",
        "--name=wbe",
        "--cluster-ip=None",
        "--port=9100",
    ];
    mend(cluster, &web, &words, &cure)
}

/// Who asks DNS tells it once; for who reads slices nothing happens.
pub(crate) fn dns_is_stopped(cluster: &Cluster, namespace: &str) -> Result<()> {
    let start = |name: &str, kind, lookup: &str, names| {
        let workload = Workload::new(name, kind).lookup(lookup).names(names);
        workload.replicas(2).begin(cluster, namespace)
    };
    let asking = [
        start("members", Kind::Member, "dns", Names::Ip)?,
        start("beams", Kind::Steered(Otp::R27), "dns", Names::Ip)?,
        start("records", Kind::Member, "srv", Names::Hostname)?,
    ];
    let reading = start("slices", Kind::Member, "endpointslices", Names::Ip)?;
    for web in asking.iter().chain([&reading]) {
        web.wait_ready(2)?;
        web.wait_whole(SOON)?;
    }
    let corefile = cluster.corefile()?;
    let witnesses = asking
        .iter()
        .map(|web| Ok(FaultLogs::of(web)?.beginning_now()));
    let witnesses: Result<Vec<_>> = witnesses.collect();
    let (witnesses, others) = (witnesses?, FaultLogs::of(&reading)?);
    cluster.stop_dns()?;
    for (web, pods) in asking.iter().zip(&witnesses) {
        let name = format!("{}.{namespace}.svc.cluster.local", web.name());
        let words = [
            &name,
            "is the name server 10.96.0.10 up",
            "k8s-app=kube-dns",
        ];
        pods.told(SOON, "timed_out", &words)?;
    }
    others.nothing_happens(Duration::from_secs(10))?;
    cluster.restart_dns(&corefile)?;
    let mended = Instant::now();
    for (web, pods) in asking.iter().zip(&witnesses) {
        pods.well(mended, HEALED)?;
        pods.check(&["timed_out"], 1)?;
        web.scale(3)?;
        web.wait_whole(SOON)?;
    }
    others.check(&[], 0)?;
    poll_until("the API is well", SOON, || {
        cluster.kubectl(["get", "--raw", "/readyz"])
    })
    .map(drop)
}
