//! Readiness and liveness of enmesh itself, by the kubelet's probes: pods that wait for each other become ready, a frozen one is
//! started again, and one whose peers are gone is taken out and comes back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use enmesh_interop::{Cluster, Deployment, Kind, Names, Otp, Pod, Scenario, Workload};
use enmesh_interop::{poll_until, scenarios};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(120);
/// How long something is watched that must not happen: many probes, and several look-ups.
const A_WHILE: Duration = Duration::from_secs(12);
const PORT: u16 = 9369;

#[test]
fn probes_of_pods() {
    let cluster = Cluster::start().unwrap();
    let waiting: &[Scenario<'_>] = &[
        ("wait-endpointslices", &|cluster, namespace| {
            each_waits_for_two(cluster, namespace, Kind::Member, "endpointslices")
        }),
        ("wait-endpoints", &|cluster, namespace| {
            each_waits_for_two(cluster, namespace, Kind::Member, "endpoints")
        }),
        ("wait-pods", &|cluster, namespace| {
            each_waits_for_two(cluster, namespace, Kind::Member, "pods")
        }),
        ("wait-dns", &|cluster, namespace| {
            each_waits_for_two(cluster, namespace, Kind::Member, "dns")
        }),
        ("wait-srv", &|cluster, namespace| {
            each_waits_for_two(cluster, namespace, Kind::Member, "srv")
        }),
        ("wait-steered", &|cluster, namespace| {
            each_waits_for_two(
                cluster,
                namespace,
                Kind::Steered(Otp::R27),
                "endpointslices",
            )
        }),
        ("hidden-slices", &|cluster, namespace| {
            unpublished_are_found(cluster, namespace, "endpointslices")
        }),
        ("hidden-endpoints", &|cluster, namespace| {
            unpublished_are_found(cluster, namespace, "endpoints")
        }),
        ("hidden-pods", &|cluster, namespace| {
            unpublished_are_found(cluster, namespace, "pods")
        }),
        ("hidden-dns", &unpublished_are_not_found_by_dns),
    ];
    scenarios(&cluster, waiting);
    let failing: &[Scenario<'_>] = &[
        ("frozen-member", &|cluster, namespace| {
            the_kubelet_starts_a_frozen_one_again(cluster, namespace, Kind::Member)
        }),
        ("frozen-agent", &|cluster, namespace| {
            the_kubelet_starts_a_frozen_one_again(cluster, namespace, Kind::Steered(Otp::R27))
        }),
        ("fall-member", &|cluster, namespace| {
            readiness_falls_and_comes_back(cluster, namespace, Kind::Member)
        }),
        ("fall-steered", &|cluster, namespace| {
            readiness_falls_and_comes_back(cluster, namespace, Kind::Steered(Otp::R27))
        }),
    ];
    scenarios(&cluster, failing);
}

/// Three pods, each of which is ready when it has two peers.
fn three<'a>(kind: Kind, lookup: &str) -> Workload<'a> {
    let names = match lookup {
        // What the SRV records of this cluster name, by CoreDNS's endpoint_pod_names.
        "srv" => Names::Pod,
        _ => Names::Ip,
    };
    let listen = format!("$(POD_IP):{PORT}");
    Workload::new("web", kind)
        .names(names)
        .lookup(lookup)
        .replicas(3)
        .args(["--http-listen", &listen, "--min-peers", "2"])
        .patch_pods(|template| {
            for list in ["initContainers", "containers"] {
                for container in template["spec"][list].as_array_mut().into_iter().flatten() {
                    if container["name"] == "enmesh" {
                        add_probes(container);
                    }
                }
            }
        })
}

fn add_probes(container: &mut Value) {
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 3});
    container["readinessProbe"] = probe("/readyz");
    container["livenessProbe"] = probe("/livez");
    // Generous, for a machine that is busy: a frozen one is found all the same.
    container["livenessProbe"]["timeoutSeconds"] = json!(5);
    container["livenessProbe"]["failureThreshold"] = json!(5);
    // Whoever is frozen hears no SIGTERM.
    container["livenessProbe"]["terminationGracePeriodSeconds"] = json!(1);
}

/// The same with a Service that tells only of those that are ready.
fn unpublished<'a>(lookup: &str) -> Workload<'a> {
    three(Kind::Member, lookup).patch(|list| {
        for item in list["items"].as_array_mut().into_iter().flatten() {
            if item["kind"] == "Service" {
                item["spec"]["publishNotReadyAddresses"] = json!(false);
            }
        }
    })
}

fn each_waits_for_two(cluster: &Cluster, namespace: &str, kind: Kind, lookup: &str) -> Result<()> {
    let web = three(kind, lookup).start(cluster, namespace)?;
    web.wait_whole(SOON)?;
    for pod in web.pods()? {
        let ready = readyz(cluster, &pod)?;
        ensure!(
            ready.contains(" 200 ") && ready.contains("[+]peers ok\n"),
            "{ready}"
        );
        // They live and have not been started again to become so.
        ensure!(pod.restarts("enmesh")? == 0, "{} was restarted", pod.name());
        said_ready(&pod, 1, 0)?;
    }
    Ok(())
}

/// Slices and Endpoints name those that are not ready as such, and pods are read as they are: none of them needs
/// `publishNotReadyAddresses`.
fn unpublished_are_found(cluster: &Cluster, namespace: &str, lookup: &str) -> Result<()> {
    unpublished(lookup)
        .start(cluster, namespace)?
        .wait_whole(SOON)
}

/// DNS leaves out who is not ready, and none ever is: the counter-proof.
fn unpublished_are_not_found_by_dns(cluster: &Cluster, namespace: &str) -> Result<()> {
    let web = unpublished("dns").begin(cluster, namespace)?;
    let pods = poll_until("three pods run", SOON, || {
        let pods = web.all_pods()?;
        ensure!(pods.len() == 3, "{} pods", pods.len());
        for pod in &pods {
            let ready = readyz(cluster, pod)?;
            let why = "[-]topology kubernetes_dns failed: no good answer yet: ";
            ensure!(ready.contains(why) && ready.contains(" 503 "), "{ready}");
        }
        Ok(pods)
    })?;
    std::thread::sleep(A_WHILE);
    ensure!(web.pods()?.is_empty(), "some are ready");
    for pod in &pods {
        ensure!(
            pod.connected()?.is_empty(),
            "{} has found somebody",
            pod.name()
        );
        ensure!(pod.restarts("enmesh")? == 0, "{} was restarted", pod.name());
    }
    // The remedy, without a restart.
    let patch = r#"{"spec":{"publishNotReadyAddresses":true}}"#;
    cluster.kubectl(["patch", "service", "web", "-n", namespace, "--patch", patch])?;
    web.wait_ready(3)?;
    web.wait_whole(SOON)
}

fn the_kubelet_starts_a_frozen_one_again(
    cluster: &Cluster,
    namespace: &str,
    kind: Kind,
) -> Result<()> {
    let web = three(kind, "endpointslices").start(cluster, namespace)?;
    web.wait_whole(SOON)?;
    let frozen = oldest(&web)?;
    frozen.freeze("enmesh")?;
    poll_until("the kubelet has started it again", SOON, || {
        ensure!(frozen.restarts("enmesh")? == 1, "not yet");
        Ok(())
    })?;
    web.wait_ready(3)?;
    web.wait_whole(SOON)?;
    ensure!(
        web.pod(frozen.name())?.uid() == frozen.uid(),
        "it is another pod"
    );
    let events = [
        "get",
        "events",
        "-n",
        namespace,
        "--output=jsonpath={.items[*].message}",
    ];
    let events = cluster.kubectl(events)?;
    ensure!(events.contains("enmesh failed liveness probe"), "{events}");
    for pod in web.pods()? {
        let restarts = pod.restarts("enmesh")?;
        let wanted = u64::from(pod.name() == frozen.name());
        ensure!(restarts == wanted, "{}: {restarts} restarts", pod.name());
    }
    if kind != Kind::Member {
        let beam = frozen.logs("beam")?;
        ensure!(
            !beam.contains("node disconnected"),
            "links fell with the agent: {beam}"
        );
    }
    Ok(())
}

fn readiness_falls_and_comes_back(cluster: &Cluster, namespace: &str, kind: Kind) -> Result<()> {
    let web = three(kind, "endpointslices").start(cluster, namespace)?;
    web.wait_whole(SOON)?;
    web.begin_scale(2)?;
    let left = poll_until("two pods are left, and not ready", SOON, || {
        let pods = web.all_pods()?;
        ensure!(pods.len() == 2, "{} pods", pods.len());
        for pod in &pods {
            let ready = readyz(cluster, pod)?;
            let why = "[-]peers failed: 1 of 2 are connected\n";
            ensure!(ready.contains(why) && ready.contains(" 503 "), "{ready}");
        }
        ensure!(web.pods()?.is_empty(), "Kubernetes has not seen it");
        Ok(pods)
    })?;
    // Links live on, and nobody is started again for it.
    for pod in &left {
        ensure!(pod.connected()?.len() == 1, "{} is alone", pod.name());
        ensure!(pod.restarts("enmesh")? == 0, "{} was restarted", pod.name());
    }
    web.scale(3)?;
    web.wait_whole(SOON)?;
    for pod in &left {
        said_ready(pod, 2, 1)?;
    }
    Ok(())
}

/// How often the log says that it became ready, and that it is so no longer.
fn said_ready(pod: &Pod<'_>, ready: usize, unready: usize) -> Result<()> {
    let wanted = (ready, unready);
    poll_until("the log has said so", SOON, || {
        let text = pod.logs("enmesh")?;
        let count = |message: &str| text.matches(&format!("\"message\":\"{message}\"")).count();
        let found = (count("ready"), count("no longer ready"));
        ensure!(
            found == wanted,
            "{}: {found:?}, wanted {wanted:?}",
            pod.name()
        );
        Ok(())
    })
}

fn oldest<'c>(web: &Deployment<'c>) -> Result<Pod<'c>> {
    let pods = web.pods()?;
    pods.into_iter().next().context("no pod is ready")
}

/// The whole answer, asked as the kubelet asks: from the node, at the pod's address.
fn readyz(cluster: &Cluster, pod: &Pod<'_>) -> Result<String> {
    let ask = r#"exec 3<>"/dev/tcp/$0/$1"; printf 'GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n' >&3; cat <&3"#;
    let mut command = cluster.command("bash");
    command.args(["-c", ask, pod.ip(), &PORT.to_string()]);
    let output = command.output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {words}", pod.name());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
