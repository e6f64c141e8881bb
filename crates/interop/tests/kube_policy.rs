//! What the manifests grant is what is needed, on a real Kubernetes: each verb of the Role and each rule of the NetworkPolicy is
//! used, and nothing is wanted beyond them.

#[path = "kube_policy/agents.rs"]
mod agents;
#[path = "kube_policy/auto.rs"]
mod auto;
#[path = "kube_policy/rules.rs"]
mod rules;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use enmesh_interop::{Cluster, Deployment, Enmesh, Image, Kind, Names, Pod, Scenario, Workload};
use enmesh_interop::{poll_until, scenarios};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(120);
/// What a member says that nobody answers.
const UNREAD: &str = "topology cannot be read; its last good answer stays in force";

#[test]
fn roles_and_policies_are_the_least() {
    let cluster = Cluster::start().unwrap();
    cluster.ensure_image(&Image::enmesh().unwrap()).unwrap();
    let all: &[Scenario<'_>] = &[
        ("flows-agents", &agents::beside_members_keep_to_the_rules),
        ("verbs-endpointslices", &|cluster, namespace| {
            each_verb_is_needed(
                cluster,
                namespace,
                "endpointslices",
                "endpointslices.discovery.k8s.io",
            )
        }),
        ("verbs-endpoints", &|cluster, namespace| {
            each_verb_is_needed(cluster, namespace, "endpoints", "endpoints")
        }),
        ("verbs-pods", &|cluster, namespace| {
            each_verb_is_needed(cluster, namespace, "pods", "pods")
        }),
        ("verbs-auto", &auto::reads_what_it_may),
        ("flows-slices", &|cluster, namespace| {
            each_rule_is_needed(cluster, namespace, Names::Ip, "")
        }),
        ("flows-endpoints", &|cluster, namespace| {
            let flags = "--lookup endpoints --epmd none";
            each_rule_is_needed(cluster, namespace, Names::Hostname, flags)
        }),
        ("flows-srv", &|cluster, namespace| {
            each_rule_is_needed(cluster, namespace, Names::Hostname, "--lookup srv")?;
            // DNS is asked without any account: it may read nothing.
            ensure!(
                granted(cluster, namespace)?.is_empty(),
                "the account may read something"
            );
            Ok(())
        }),
    ];
    scenarios(&cluster, all);
}

/// Two members of the printed manifests, each ready when it has the other.
fn two<'c>(
    cluster: &'c Cluster,
    namespace: &str,
    names: Names,
    flags: &str,
) -> Result<Deployment<'c>> {
    let web = workload(names, printed(namespace, names, flags)?).start(cluster, namespace)?;
    web.wait_whole(SOON)?;
    Ok(web)
}

fn workload(names: Names, printed: Value) -> Workload<'static> {
    Workload::new("web", Kind::Member)
        .names(names)
        .replicas(2)
        .patch(move |list| list["items"] = printed.clone())
}

/// The objects that `enmesh manifests` prints, with the labels by which a [`Workload`] finds its pods.
fn printed(namespace: &str, names: Names, flags: &str) -> Result<Value> {
    let selector = ["--selector", "app=web", "--selector", "workload=web"];
    printed_with(namespace, names, flags.split_whitespace().chain(selector))
}

/// The same with labels that the flags name.
fn printed_with<'a>(
    namespace: &str,
    names: Names,
    flags: impl Iterator<Item = &'a str>,
) -> Result<Value> {
    let mut command = Command::new(Enmesh::program()?);
    command
        .args(["manifests", "--name", "web", "--namespace", namespace])
        .args(["--mode", names.word(), "--format", "json", "--with-secret"])
        .args(["--image", "enmesh-test/enmesh", "--json-log"])
        .args(["--image-pull-policy", "Never"])
        .args(["--replicas", "2", "--min-peers", "1"])
        .args(flags);
    let output = command.output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {words}");
    let mut list: Value = serde_json::from_slice(&output.stdout)?;
    for item in list["items"].as_array_mut().into_iter().flatten() {
        let probe = "/spec/template/spec/containers/0/livenessProbe/failureThreshold";
        if let Some(threshold) = item.pointer_mut(probe) {
            // This is not about probes, and the machine may be too busy for the kubelet's patience.
            *threshold = json!(60);
        }
    }
    Ok(list["items"].take())
}

fn each_verb_is_needed(
    cluster: &Cluster,
    namespace: &str,
    lookup: &str,
    resource: &str,
) -> Result<()> {
    let web = two(cluster, namespace, Names::Ip, &format!("--lookup {lookup}"))?;
    let all = granted(cluster, namespace)?;
    ensure!(all == [format!("{resource} [list watch]")], "{all:?}");
    let polled = "our account may list and not watch, so Kubernetes is polled; add the verb watch to its Role";
    for pod in web.pods()? {
        let log = pod.logs("enmesh")?;
        // A busy machine's API may be late, and never refuses.
        let is_content =
            log.contains("node connected") && !log.contains(polled) && !log.contains("forbidden");
        ensure!(is_content, "with the whole Role: {log}");
    }

    allow(cluster, namespace, &["list"])?;
    start_again(&web)?;
    web.wait_ready(2)?;
    web.wait_whole(SOON)?;
    for pod in web.pods()? {
        let said = pod.log()?.wait_for(SOON, |it| it["message"] == polled)?;
        ensure!(
            said["resource"] == resource && said["namespace"] == namespace,
            "{said}"
        );
    }

    allow(cluster, namespace, &["watch"])?;
    start_again(&web)?;
    for pod in web.all_pods()? {
        let said = pod.log()?.wait_for(SOON, |it| it["message"] == UNREAD)?;
        let error = said["error"].as_str().context("it says why")?;
        let who =
            format!("forbidden: ServiceAccount web of namespace {namespace} may not read {lookup}");
        ensure!(error.contains(&who), "{error}");
        ensure!(
            error.contains("Give it a Role with the verbs list and watch"),
            "{error}"
        );
        ensure!(
            error.contains(&format!("--verb=list,watch --resource={resource}")),
            "{error}"
        );
        ensure!(
            pod.connected()?.is_empty(),
            "{} has found somebody",
            pod.name()
        );
    }

    allow(cluster, namespace, &["list", "watch"])?;
    web.wait_ready(2)?;
    web.wait_whole(SOON)
}

/// What the account of the pods may do with which resources, but for what everybody may ask about himself.
fn granted(cluster: &Cluster, namespace: &str) -> Result<Vec<String>> {
    let account = format!("--as=system:serviceaccount:{namespace}:web");
    let list = cluster.kubectl([
        "auth",
        "can-i",
        "--list",
        "--no-headers",
        "-n",
        namespace,
        &account,
    ])?;
    let resources = list.lines().filter(|line| !line.starts_with([' ', '[']));
    let resources = resources.filter(|line| !line.starts_with("selfsubject"));
    Ok(resources
        .map(|line| {
            // Resources, non-resource URLs, names, verbs.
            let name = line.split_whitespace().next().unwrap_or_default();
            let verbs = line.rfind('[').map_or("", |at| line[at..].trim());
            format!("{name} {verbs}")
        })
        .collect())
}

/// Leaves these verbs in the Role. Watches that run go on; who begins anew is asked again.
fn allow(cluster: &Cluster, namespace: &str, verbs: &[&str]) -> Result<()> {
    change_role(cluster, namespace, "/rules/0/verbs", &json!(verbs))
}

/// Puts this in the place of what is there.
fn change_role(cluster: &Cluster, namespace: &str, path: &str, value: &Value) -> Result<()> {
    let patch = json!([{"op": "add", "path": path, "value": value}]).to_string();
    let args = [
        "patch",
        "role",
        "web",
        "-n",
        namespace,
        "--type=json",
        "--patch",
        &patch,
    ];
    cluster.kubectl(args).map(drop)
}

/// Ends every member at once; the kubelet starts each again in its pod.
fn start_again(web: &Deployment<'_>) -> Result<()> {
    start_containers_again(web, &["enmesh"])
}

/// The same for these containers of every pod.
fn start_containers_again(web: &Deployment<'_>, containers: &[&str]) -> Result<()> {
    let mut before = Vec::new();
    for pod in web.all_pods()? {
        for container in containers {
            let restarts = pod.restarts(container)?;
            pod.kill(container)?;
            before.push((pod.clone(), *container, restarts));
        }
    }
    poll_until("all are started again", SOON, || {
        for (pod, container, before) in &before {
            let (name, restarts) = (pod.name(), pod.restarts(container)?);
            ensure!(restarts > *before, "{name}: {restarts} of {container}");
            ensure!(
                !pod.pids(container)?.is_empty(),
                "{container} of {name} does not run"
            );
        }
        Ok(())
    })
}

fn each_rule_is_needed(
    cluster: &Cluster,
    namespace: &str,
    names: Names,
    flags: &str,
) -> Result<()> {
    let web = two(cluster, namespace, names, flags)?;
    let policy = cluster.kubectl([
        "get",
        "networkpolicy",
        "web",
        "-n",
        namespace,
        "--output=json",
    ])?;
    let policy: Value = serde_json::from_str(&policy)?;
    let pods = web.pods()?;
    let addresses = rules::enforce_among(&policy, &pods)?;
    let api = Watch::start(cluster, namespace, &addresses)?;
    // Everything from the first packet on under the policy.
    start_again(&web)?;
    web.wait_ready(2)?;
    web.wait_whole(SOON)?;
    rules::counted_without_drops(&pods)?;

    // One more, which the policy's plugin lets in when it hears of it.
    web.begin_scale(3)?;
    let new = poll_until("a third pod runs", SOON, || {
        let all = web.all_pods()?;
        let new = all
            .into_iter()
            .find(|it| !addresses.contains(&it.ip().to_owned()));
        let new = new.context("there is none")?;
        ensure!(!new.ip().is_empty(), "it has no address");
        ensure!(!new.pids("enmesh")?.is_empty(), "it does not run");
        Ok(new)
    })?;
    for pod in &pods {
        rules::admit(pod, new.ip())?;
    }
    let three = [addresses.clone(), vec![new.ip().to_owned()]].concat();
    rules::enforce(&policy, &new, &three)?;
    new.kill("enmesh")?;
    web.wait_ready(3)?;
    web.wait_whole(SOON)?;
    let pods = web.pods()?;
    let asks_api = !flags.contains("--lookup srv");
    used(&pods, &api, asks_api)?;
    strangers_are_kept_out(cluster, &pods[0])?;

    // A member leaves under the policy, and is missed at once.
    web.scale(2)?;
    web.wait_whole(SOON)
}

/// Every rule has let something through. Of the API's two ports a plugin sees one, before or after the Service's address is
/// replaced; DNS comes over TCP where an answer is too long, and at all only for nodes that other nodes know where the API tells
/// addresses.
fn used(pods: &[Pod<'_>], api: &Watch<'_>, asks_api: bool) -> Result<()> {
    let before = rules::counted(pods)?;
    if before.iter().any(|(name, _)| name == "egress TCP/53") {
        let ask = "exec 3<>/dev/tcp/10.96.0.10/53";
        let status = pods[0].command("bash").args(["-c", ask]).status()?;
        ensure!(status.success(), "DNS is not reached over TCP");
    }
    let counts = rules::counted(pods)?;
    for (name, count) in &counts {
        let is_used = match name.as_str() {
            "ingress dropped" | "egress dropped" => continue,
            "egress TCP/6443" => *count > 0 || api.has_seen()?,
            "egress UDP/53" if asks_api => true,
            _ => *count > 0,
        };
        ensure!(is_used, "{name} is not used: {counts:?}");
    }
    ensure!(counts.len() > 4, "{counts:?}");
    println!("{:?}: {counts:?}", pods[0].node());
    Ok(())
}

/// Whoever is no pod of the policy gets to the probes' port alone.
fn strangers_are_kept_out(cluster: &Cluster, pod: &Pod<'_>) -> Result<()> {
    for (port, wanted) in [(9369, true), (9100, false), (4369, false)] {
        let mut command = cluster.command("timeout");
        let ask = format!("exec 3<>/dev/tcp/{}/{port}", pod.ip());
        let reached = command.args(["3", "bash", "-c", &ask]).status()?.success();
        ensure!(reached == wanted, "port {port}: reached is {reached}");
    }
    Ok(())
}

/// Counts what comes from these pods to the API server behind its Service.
struct Watch<'c> {
    cluster: &'c Cluster,
    table: String,
}

impl<'c> Watch<'c> {
    fn start(cluster: &'c Cluster, namespace: &str, pods: &[String]) -> Result<Self> {
        let table = format!("watch_{}", namespace.replace('-', "_"));
        let rules = format!(
            "table inet {table} {{\nchain in {{\ntype filter hook input priority 0;\n\
             ip saddr {{ {} }} tcp dport 6443 counter\n}}\n}}",
            pods.join(", ")
        );
        let status = cluster.command("nft").arg(&rules).status()?;
        ensure!(status.success(), "nft refuses {rules}");
        Ok(Self { cluster, table })
    }

    fn has_seen(&self) -> Result<bool> {
        let mut command = self.cluster.command("nft");
        let output = command
            .args(["list", "table", "inet", &self.table])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(text.contains("counter packets"), "{text}");
        Ok(!text.contains("counter packets 0 "))
    }
}
