//! Every way to name the pods of a real Kubernetes, with real Erlang nodes that have those names.

#[path = "kubernetes_names/pods.rs"]
mod pods;

use std::io::Write;
use std::time::Duration;

use enmesh_interop::{Access, Cluster, Enmesh, Image, MemberLog, Otp, poll_until};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const NAMESPACE: &str = "names";
const COOKIE: &str = "secret";
const ACCOUNT: &str = "reader";
const IMAGE: &str = "enmesh-test/named:27";
/// By when a member is connected with whom it should be, with both cores busy.
const SOON: Duration = Duration::from_secs(90);

/// A member outside of all pods: its name, the kind of pods that it looks for, further keys, and whom it must find, where
/// `IP` and `DASHED` stand for the pod's address.
const MEMBERS: [(&str, &str, &str, &[&str]); 11] = [
    (
        "out-dns@10.10.0.1",
        "dns",
        "kubernetes_ip_lookup_mode=pods mode=dns",
        &["web@DASHED.names.pod.cluster.local"],
    ),
    (
        "out-srv@10.10.0.1",
        "srv",
        "mode=srv",
        &["web@DASHED.srv.names.svc.cluster.local"],
    ),
    (
        "out-hostname@10.10.0.1",
        "web",
        "mode=hostname kubernetes_service_name=web",
        &["web@web-0.web.names.svc.cluster.local"],
    ),
    (
        "out-pods@10.10.0.1",
        "web",
        "kubernetes_ip_lookup_mode=pods mode=hostname",
        &["web@web-0.web.names.svc.cluster.local"],
    ),
    (
        "out-targets@10.10.0.1",
        "web",
        "mode=srv",
        &["web@web-0.web.names.svc.cluster.local"],
    ),
    (
        "out-long@10.10.0.1",
        "long",
        "mode=pod",
        &["web@by-pod.long.names.svc.cluster.local"],
    ),
    (
        "out-short@box",
        "short",
        "mode=pod kubernetes_ip_lookup_mode=auto",
        &["web@short"],
    ),
    (
        "out-template@10.10.0.1",
        "queue",
        "kubernetes_ip_lookup_mode=pods name_template={label:kind}@{ip} port=annotation:example.org/dist",
        &["queue@IP"],
    ),
    (
        "out-ask@10.10.0.1",
        "ask",
        "mode=ask port=dist",
        &["odd@nowhere.example"],
    ),
    (
        "out-twins@10.10.0.1",
        "twins",
        "kubernetes_ip_lookup_mode=pods name_template={port_name}@{ip} port=dist-*",
        &["blue@IP", "red@IP"],
    ),
    (
        "out-epmd@10.10.0.1",
        "epmd",
        "mode=epmd",
        &["api@IP", "jobs@IP"],
    ),
];

#[test]
fn nodes_of_every_kind_of_name_are_found_and_connected() {
    let cluster = Cluster::start().unwrap();
    cluster.create_namespace(NAMESPACE).unwrap();
    let access = Access::grant(&cluster, NAMESPACE, ACCOUNT).unwrap();
    let image = Image::beam(Otp::R27).unwrap().named(IMAGE);
    let program = Enmesh::program().unwrap();
    cluster
        .import(&image.with_file(program, "/usr/local/bin/enmesh"))
        .unwrap();
    let all = pods::all();
    let mut objects: Vec<Value> = all
        .iter()
        .map(|pod| pod.object(NAMESPACE, IMAGE, COOKIE))
        .collect();
    objects.extend(all.iter().map(|pod| pods::service(pod.kind, NAMESPACE)));
    cluster
        .apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}))
        .unwrap();
    let mut cookie = NamedTempFile::new().unwrap();
    writeln!(cookie, "{COOKIE}").unwrap();

    let members: Vec<Enmesh> = MEMBERS
        .iter()
        .map(|(name, kind, keys, _)| member(&cluster, &access, &cookie, name, kind, keys))
        .collect();
    for ((name, kind, _, wanted), member) in MEMBERS.iter().zip(&members) {
        let address = address(&cluster, &all, kind);
        let dashed = address.replace('.', "-");
        let put = |name: &&str| name.replace("IP", &address).replace("DASHED", &dashed);
        let wanted: Vec<String> = wanted.iter().map(put).collect();
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        if let Err(error) = member.wait_cluster(SOON, &wanted) {
            panic!("{name}: {error:#}\n{:#?}", member.log());
        }
    }
    a_short_name_among_long_ones_is_refused(&cluster, &access, &cookie);
    the_domain_is_found_in_a_pod(&cluster);
}

/// The address of the only pod of this kind.
fn address(cluster: &Cluster, all: &[pods::Pod], kind: &str) -> String {
    let pod = all.iter().find(|pod| pod.kind == kind).unwrap();
    poll_until("the pod has an address", SOON, || {
        let format = "--output=jsonpath={.status.podIP}";
        let args = ["get", "pod", pod.name, "--namespace", NAMESPACE, format];
        let address = cluster.kubectl(args)?;
        anyhow::ensure!(!address.is_empty(), "none yet");
        Ok(address)
    })
    .unwrap()
}

fn topology(kind: &str, keys: &str) -> String {
    let base = if keys.contains("template") || keys.contains("ask") || keys.contains("epmd") {
        ""
    } else {
        "kubernetes_node_basename=web"
    };
    format!(
        "strategy=kubernetes kubernetes_selector=kind={kind} kubernetes_namespace={NAMESPACE} \
         {base} {keys}"
    )
}

fn member(
    cluster: &Cluster,
    access: &Access,
    cookie: &NamedTempFile,
    name: &str,
    kind: &str,
    keys: &str,
) -> Enmesh {
    let mut command = cluster.command(Enmesh::program().unwrap());
    command
        .args(["run", "--hidden", "--log-format", "json", "--name", name])
        .arg("--cookie-file")
        .arg(cookie.path())
        .args(["--topology", &topology(kind, keys)])
        .env("KUBECONFIG", access.kubeconfig(cluster).unwrap());
    Enmesh::start_command(command).unwrap()
}

fn a_short_name_among_long_ones_is_refused(
    cluster: &Cluster,
    access: &Access,
    cookie: &NamedTempFile,
) {
    let member = member(cluster, access, cookie, "out@box", "dns", "mode=dns");
    let said = |lines: Vec<String>| {
        let text = lines.join("\n");
        anyhow::ensure!(text.contains("take mode=pod"), "it says {text}");
        Ok(())
    };
    poll_until("it says what to do", SOON, || said(member.output().all())).unwrap();
}

/// A pod's resolv.conf names the domain; where it has another search list, DNS does.
fn the_domain_is_found_in_a_pod(cluster: &Cluster) {
    let bare = json!({
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["10.96.0.10"], "searches": ["cluster.local"]},
    });
    for (name, spec, origin) in [
        ("in-usual", json!({}), "resolv.conf"),
        ("in-bare", bare, "canonical name"),
    ] {
        let member = member_in_a_pod(cluster, name, spec);
        let known = |record: &Value| record["message"] == "the cluster's domain is known";
        let record = member.wait_for(SOON, known).unwrap();
        assert_eq!(record["domain"], "cluster.local", "{record}");
        let told = record["origin"].as_str().unwrap_or_default();
        assert!(told.contains(origin), "{record}");
        member
            .wait_for(SOON, |record| record["message"] == "node connected")
            .unwrap();
    }
}

fn member_in_a_pod(cluster: &Cluster, name: &'static str, spec: Value) -> MemberLog {
    let pod = pods::Pod {
        name,
        kind: "member",
        run: "exec enmesh run --hidden --log-format json --name in@$POD_IP --topology \"$TOPOLOGY\"",
        spec,
        ..pods::Pod::default()
    };
    let mut object = pod.object(NAMESPACE, IMAGE, COOKIE);
    object["spec"]["serviceAccountName"] = json!(ACCOUNT);
    let env = object["spec"]["containers"][0]["env"]
        .as_array_mut()
        .unwrap();
    env.push(json!({"name": "RELEASE_COOKIE", "value": COOKIE}));
    env.push(json!({"name": "TOPOLOGY", "value": topology("dns", "mode=dns")}));
    cluster.apply(&object).unwrap();
    poll_until("the member's pod runs", SOON, || {
        cluster.member_log(NAMESPACE, name)
    })
    .unwrap()
}
