//! The DNS strategies inside of a real cluster: a headless Service's addresses, SRV records and reverse names, with and without
//! CoreDNS's `endpoint_pod_names`, as a pod sees them through its resolv.conf.

use std::time::Duration;

use enmesh_interop::{Cluster, Enmesh, Image, MemberLog, Otp, poll_until};
use serde_json::{Value, json};

const NAMESPACE: &str = "dns";
const COOKIE: &str = "secret";
const IMAGE: &str = "enmesh-test/named:27";
const ZONE: &str = "web.dns.svc.cluster.local";
const SOON: Duration = Duration::from_secs(90);

/// Three nodes in each pod, named as the three kinds of records name it; the first on a port of its own.
const NODES: &str = "epmd -daemon
erl -detached -name dashed@$(echo $POD_IP | tr . -).web.dns.svc.cluster.local -setcookie $COOKIE
erl -detached -name named@$POD_NAME.web.dns.svc.cluster.local -setcookie $COOKIE
exec erl -noinput -name ip@$POD_IP -setcookie $COOKIE -kernel inet_dist_listen_min 9100 inet_dist_listen_max 9100";

const MEMBER: &str = "exec enmesh run --hidden --log-format json --name member@$POD_IP \
     --topology 'strategy=kubernetes_dns service=web application_name=ip' \
     --topology 'strategy=kubernetes_dns_srv service=web namespace=dns application_name=named' \
     --topology 'strategy=dns name=dashed domain=web.dns record_type=srv node_basename=dashed'";

#[test]
fn a_headless_service_is_found_by_every_kind_of_record() {
    let cluster = Cluster::start().unwrap();
    let image = Image::beam(Otp::R27).unwrap().named(IMAGE);
    cluster
        .import(&image.with_file(Enmesh::program().unwrap(), "/usr/local/bin/enmesh"))
        .unwrap();
    cluster.create_namespace(NAMESPACE).unwrap();
    cluster.apply(&objects()).unwrap();
    let pods = wait_pods(&cluster, 2);
    let member = poll_until("the member's pod runs", SOON, || {
        cluster.member_log(NAMESPACE, "member")
    })
    .unwrap();

    addresses_are_found(&cluster, &pods);
    services_have_the_names_of_pods(&cluster, &pods);
    joined(&member, &pods, &["ip", "named"]);

    let corefile = cluster.corefile().unwrap();
    assert!(corefile.contains("endpoint_pod_names"));
    let without = corefile.replace("endpoint_pod_names", "");
    cluster.restart_dns(&without).unwrap();
    services_have_the_addresses_of_pods(&cluster, &pods);
    // Who was found by the other names has left DNS, and stays for as long as it lives.
    joined(&member, &pods, &["dashed", "ip", "named"]);

    cluster
        .kubectl([
            "scale",
            "deployment",
            "web",
            "--replicas=1",
            "--namespace",
            NAMESPACE,
        ])
        .unwrap();
    let left = wait_pods(&cluster, 1);
    joined(&member, &left, &["dashed", "ip", "named"]);
    discovers(
        &cluster,
        A,
        &left.iter().map(|pod| pod.name("ip")).collect::<Vec<_>>(),
    );
    cluster
        .kubectl([
            "scale",
            "deployment",
            "web",
            "--replicas=0",
            "--namespace",
            NAMESPACE,
        ])
        .unwrap();
    wait_pods(&cluster, 0);
    nobody_is_an_answer_that_says_so(&cluster);
}

const A: &str = "strategy=kubernetes_dns service=web application_name=ip";
const SRV: &str = "strategy=kubernetes_dns_srv service=web namespace=dns application_name=named";

fn addresses_are_found(cluster: &Cluster, pods: &[Pod]) {
    let nodes: Vec<_> = pods.iter().map(|pod| pod.name("ip")).collect();
    discovers(cluster, A, &nodes);
    let whole = format!("strategy=dns_poll query={ZONE}. node_basename=ip");
    discovers(cluster, &whole, &nodes);
    discovers(cluster, "strategy=dns_cluster query=ip/web", &nodes);
    let targets = "strategy=dns_cluster query=ip/_dist._tcp.web.dns resource_types=srv";
    discovers(cluster, targets, &nodes);
    // The port that the Service names is the distribution's.
    let ports = "strategy=dns domain=_dist._tcp.web record_type=srv host_type=ip node_basename=ip";
    let found = poll_until("SRV records with ports", SOON, || {
        let found: Value = serde_json::from_str(&discover(cluster, ports, "json")?)?;
        let peers = found.as_array().or_else(|| found["peers"].as_array());
        let peers = peers.cloned().unwrap_or_default();
        anyhow::ensure!(peers.len() == pods.len(), "it is {found}");
        Ok(peers)
    })
    .unwrap();
    assert!(found.iter().all(|peer| peer["port"] == 9100), "{found:?}");
}

/// With `endpoint_pod_names` the targets and the reverse names are POD.SERVICE.NAMESPACE.svc.DOMAIN.
fn services_have_the_names_of_pods(cluster: &Cluster, pods: &[Pod]) {
    let nodes: Vec<_> = pods.iter().map(|pod| pod.name("named")).collect();
    discovers(cluster, SRV, &nodes);
    let reverse = "strategy=dns domain=web host_type=hostname node_basename=named";
    discovers(cluster, reverse, &nodes);
}

/// Without it they are A-B-C-D.SERVICE.NAMESPACE.svc.DOMAIN.
fn services_have_the_addresses_of_pods(cluster: &Cluster, pods: &[Pod]) {
    let nodes: Vec<_> = pods.iter().map(|pod| pod.name("dashed")).collect();
    let srv = SRV.replace("application_name=named", "application_name=dashed");
    discovers(cluster, &srv, &nodes);
    let reverse = "strategy=dns domain=web.dns host_type=hostname node_basename=dashed";
    discovers(cluster, reverse, &nodes);
}

fn nobody_is_an_answer_that_says_so(cluster: &Cluster) {
    for (topology, words) in [(A, "is not in the search list"), (SRV, "DNS knows no name")] {
        poll_until("an empty Service is a failure", SOON, || {
            match discover(cluster, topology, "names") {
                Ok(names) => anyhow::bail!("it is {names}"),
                Err(error) if format!("{error:#}").contains(words) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .unwrap();
    }
}

/// Waits until a topology names exactly `nodes`, asked in the member's pod; CoreDNS learns of a pod a little later than we.
#[track_caller]
fn discovers(cluster: &Cluster, topology: &str, nodes: &[String]) {
    let mut nodes = nodes.to_vec();
    nodes.sort();
    poll_until(topology, SOON, || {
        let found = discover(cluster, topology, "names")?;
        let mut found: Vec<_> = found.lines().collect();
        found.sort_unstable();
        anyhow::ensure!(found == nodes, "it is {found:?}, not {nodes:?}");
        Ok(())
    })
    .unwrap();
}

fn discover(cluster: &Cluster, topology: &str, output: &str) -> anyhow::Result<String> {
    cluster.kubectl([
        "exec",
        "member",
        "--namespace",
        NAMESPACE,
        "--",
        "enmesh",
        "discover",
        "--output",
        output,
        topology,
    ])
}

/// Waits until the member is connected with these nodes of each pod, and with nobody else.
#[track_caller]
fn joined(member: &MemberLog, pods: &[Pod], nodes: &[&str]) {
    let names: Vec<_> = pods
        .iter()
        .flat_map(|pod| nodes.iter().map(|node| pod.name(node)))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    member.wait_cluster(SOON, &names).unwrap();
}

#[derive(Debug)]
struct Pod {
    name: String,
    ip: String,
}

impl Pod {
    fn name(&self, node: &str) -> String {
        match node {
            "ip" => format!("ip@{}", self.ip),
            "named" => format!("named@{}.{ZONE}", self.name),
            _ => format!("{node}@{}.{ZONE}", self.ip.replace('.', "-")),
        }
    }
}

/// Waits until exactly so many pods of the Deployment are there, all ready.
fn wait_pods(cluster: &Cluster, count: usize) -> Vec<Pod> {
    poll_until("the pods are ready", SOON, || {
        let args = [
            "get",
            "pods",
            "--selector=app=web",
            "--output=json",
            "--namespace",
            NAMESPACE,
        ];
        let list: Value = serde_json::from_str(&cluster.kubectl(args)?)?;
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        let ready = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array();
            conditions.is_some_and(|all| {
                all.iter()
                    .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            })
        };
        anyhow::ensure!(
            pods.len() == count && pods.iter().all(ready),
            "{} pods",
            pods.len()
        );
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pod = |pod: &Value| Pod {
            name: text(&pod["metadata"]["name"]),
            ip: text(&pod["status"]["podIP"]),
        };
        Ok(pods.iter().map(pod).collect())
    })
    .unwrap()
}

fn objects() -> Value {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let environment = json!([
        field("POD_IP", "status.podIP"),
        field("POD_NAME", "metadata.name"),
        {"name": "COOKIE", "value": COOKIE},
        {"name": "RELEASE_COOKIE", "value": COOKIE},
        {"name": "HOME", "value": "/tmp"},
    ]);
    let container = |script: &str| {
        json!({
            "name": "main",
            "image": IMAGE,
            "imagePullPolicy": "Never",
            "command": ["sh", "-c", script],
            "env": environment,
        })
    };
    let mut nodes = container(NODES);
    nodes["readinessProbe"] = json!({"tcpSocket": {"port": 9100}, "periodSeconds": 1});
    let labels = json!({"app": "web"});
    let metadata = json!({"name": "web", "namespace": NAMESPACE, "labels": labels});
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": metadata,
                "spec": {
                    "replicas": 2,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [nodes], "terminationGracePeriodSeconds": 2},
                    },
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {
                    "clusterIP": "None",
                    "selector": labels,
                    "ports": [{"name": "epmd", "port": 4369}, {"name": "dist", "port": 9100}],
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "member", "namespace": NAMESPACE},
                "spec": {"containers": [container(MEMBER)], "terminationGracePeriodSeconds": 2},
            },
        ],
    })
}
