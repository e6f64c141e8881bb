//! The folder deploy/: kustomize's overlays and the Helm chart say what `enmesh manifests` says, order and formatting aside.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use enmesh_interop::{Enmesh, build_helm, build_kube};
use serde_json::Value;

/// The folder of this repository.
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");

/// Each overlay, and the flags that say the same.
const OVERLAYS: [(&str, &str); 10] = [
    ("ip", "--mode ip"),
    ("dns", "--mode dns"),
    ("srv", "--mode srv"),
    ("pod", "--mode pod"),
    ("statefulset", "--mode hostname"),
    ("dns-lookup", "--mode ip --lookup dns"),
    (
        "agent-sidecar",
        "--mode ip --kind agent --app-image registry.example.org/web:1",
    ),
    ("epmd-sidecar", "--mode ip --epmd-sidecar"),
    ("tls", "--mode hostname --tls"),
    ("tls-cert-manager", "--mode hostname --tls=cert-manager"),
];

/// Values of the chart, and the flags that say the same. Each value of each key is there, and what depends on two is too.
const VALUES: [(&str, &str); 24] = [
    ("mode=ip", "--mode ip"),
    ("mode=dns", "--mode dns"),
    ("mode=srv", "--mode srv"),
    ("mode=pod", "--mode pod"),
    ("mode=hostname", "--mode hostname"),
    ("mode=ip,lookup=dns", "--mode ip --lookup dns"),
    ("mode=ip,lookup=endpoints", "--mode ip --lookup endpoints"),
    ("mode=ip,lookup=pods", "--mode ip --lookup pods"),
    ("mode=pod,lookup=pods", "--mode pod --lookup pods"),
    ("mode=ip,lookup=auto", "--mode ip --lookup auto"),
    (
        "mode=srv,lookup=auto,epmd=none",
        "--mode srv --lookup auto --epmd none",
    ),
    (
        "mode=hostname,lookup=srv,epmd=none",
        "--mode hostname --lookup srv --epmd none",
    ),
    (
        "mode=ip,lookup=dns,epmd=none",
        "--mode ip --lookup dns --epmd none",
    ),
    ("mode=ip,epmd=sidecar", "--mode ip --epmd-sidecar"),
    ("mode=hostname,tls=secret", "--mode hostname --tls"),
    (
        "mode=pod,tls=cert-manager,clusterDomain=example.net",
        "--mode pod --tls=cert-manager --cluster-domain example.net",
    ),
    (
        "mode=ip,kind=agent,app.image=a:1",
        "--mode ip --kind agent --app-image a:1",
    ),
    (
        "mode=srv,kind=agent,app.image=a:1,epmd=none",
        "--mode srv --kind agent --app-image a:1 --epmd none",
    ),
    (
        "mode=hostname,kind=agent,app.image=a:1,epmd=sidecar,tls=secret,clusterDomain=example.net",
        "--mode hostname --kind agent --app-image a:1 --epmd-sidecar --tls --cluster-domain example.net",
    ),
    (
        "mode=dns,kind=agent,app.image=a:1,app.user=7,app.command={sh,-c,run},app.ports={80,81}",
        "--mode dns --kind agent --app-image a:1 --app-user 7 --app-command sh --app-command -c --app-command run \
         --app-port 80 --app-port 81",
    ),
    (
        "mode=pod,kind=agent,app.image=a:1",
        "--mode pod --kind agent --app-image a:1",
    ),
    ("mode=ip,apiPort=8443", "--mode ip --api-port 8443"),
    (
        "mode=ip,replicas=5,minPeers=2,jsonLog=true,image=e:2,imagePullPolicy=Never",
        "--mode ip --replicas 5 --min-peers 2 --json-log --image e:2 --image-pull-policy Never",
    ),
    (
        "mode=ip,lookup=pods,selector.app=x,selector.tier=back",
        "--mode ip --lookup pods --selector app=x --selector tier=back",
    ),
];

/// What is wrong for `enmesh manifests` is wrong for the chart.
const REFUSED: [(&str, &str); 13] = [
    ("mode=dns,lookup=dns", "--mode dns --lookup dns"),
    ("mode=ip,lookup=srv", "--mode ip --lookup srv"),
    ("mode=ip,tls=secret", "--mode ip --tls"),
    ("mode=srv,tls=cert-manager", "--mode srv --tls=cert-manager"),
    ("mode=ip,kind=agent", "--mode ip --kind agent"),
    ("mode=ip,app.image=a", "--mode ip --app-image a"),
    ("mode=ip,image=", "--mode ip --image="),
    (
        "mode=ip,clusterDomain=local.",
        "--mode ip --cluster-domain local.",
    ),
    ("mode=ip,selector.app=a/b", "--mode ip --selector app=a/b"),
    ("mode=ip,selector.a_=b", "--mode ip --selector a_=b"),
    (
        "mode=ip,replicas=2147483648",
        "--mode ip --replicas 2147483648",
    ),
    (
        "mode=ip,kind=agent,app.image=a,app.ports={80,9105}",
        "--mode ip --kind agent --app-image a --app-port 80 --app-port 9105",
    ),
    (
        "mode=ip,kind=agent,app.image=a,epmd=none,app.ports={9369}",
        "--mode ip --kind agent --app-image a --epmd none --app-port 9369",
    ),
];

#[test]
fn every_overlay_is_what_the_program_prints() {
    let folders = std::fs::read_dir(format!("{DEPLOY}/overlays")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let named = OVERLAYS.map(|(overlay, _)| overlay.to_owned());
    assert_eq!(folders.collect::<BTreeSet<_>>(), named.into());
    let kubectl = build_kube().unwrap().join("kubectl");
    for (overlay, flags) in OVERLAYS {
        let folder = format!("{DEPLOY}/overlays/{overlay}");
        let rendered = printed(&kubectl, &["kustomize", &folder]).unwrap();
        compare(overlay, &rendered, &manifests(flags, "default").unwrap());
    }
}

#[test]
fn the_chart_renders_what_the_program_prints() {
    let helm = build_helm().unwrap();
    for (values, flags) in VALUES {
        let rendered = render(&helm, values).unwrap();
        compare(values, &rendered, &manifests(flags, "prod").unwrap());
    }
    for (values, flags) in REFUSED {
        assert!(manifests(flags, "prod").is_err(), "{flags}");
        assert!(render(&helm, values).is_err(), "{values}");
    }
}

/// On every address the probes would be answered on loopback too, and by none on the one that the kubelet asks.
#[test]
fn probes_ask_the_address_that_is_listened_on() {
    for (overlay, flags) in OVERLAYS {
        let mut is_there = false;
        for object in parsed(&manifests(flags, "default").unwrap()) {
            let pod = &object["spec"]["template"]["spec"];
            let lists = [&pod["initContainers"], &pod["containers"]];
            let containers = lists.iter().filter_map(|list| list.as_array()).flatten();
            for container in containers.filter(|container| container["name"] == "enmesh") {
                is_there = true;
                listens_where_it_is_probed(overlay, container);
            }
        }
        assert!(is_there, "{overlay} has no container enmesh");
    }
}

fn listens_where_it_is_probed(overlay: &str, container: &Value) {
    let listed = |list: &str, name: &str| {
        let items = container[list].as_array().into_iter().flatten();
        let mut named = items.filter(|item| item["name"] == name);
        named.next().cloned().unwrap_or_default()
    };
    let listen = listed("env", "ENMESH_HTTP_LISTEN");
    assert_eq!(listen["value"], "$(POD_IP):9369", "{overlay}");
    assert_eq!(listed("ports", "http")["containerPort"], 9369, "{overlay}");
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["path"], path, "{overlay}");
        assert_eq!(get["port"], "http", "{overlay}: {probe}");
        // Without a host it is the pod's address.
        assert!(get["host"].is_null(), "{overlay}: {probe}: {get}");
    }
}

#[test]
fn what_a_cluster_has_no_use_for_can_be_left_out_of_the_chart() {
    let values = "networkPolicy.enabled=false,podDisruptionBudget.enabled=false";
    let rendered = render(&build_helm().unwrap(), values).unwrap();
    let all = objects(&manifests("--mode ip", "prod").unwrap());
    let left_out = ["NetworkPolicy", "PodDisruptionBudget"].map(Value::from);
    let wanted: Vec<_> = all
        .into_iter()
        .filter(|object| !left_out.contains(&object["kind"]))
        .collect();
    assert_eq!(objects(&rendered), wanted);
}

#[test]
fn what_your_own_container_may_use_is_put_into_the_chart() {
    let values = "kind=agent,app.image=a,app.resources.limits.memory=1Gi";
    let rendered = parsed(&render(&build_helm().unwrap(), values).unwrap());
    let pods = rendered.iter().filter(|it| it["kind"] == "Deployment");
    let limits: Vec<_> = pods
        .map(|it| &it["spec"]["template"]["spec"]["containers"][0]["resources"])
        .collect();
    assert_eq!(limits, [&serde_json::json!({"limits": {"memory": "1Gi"}})]);
}

#[test]
fn the_chart_and_the_images_have_the_version_of_the_program() {
    let version = printed(Enmesh::program().unwrap(), &["--version"]).unwrap();
    let version = version.trim().strip_prefix("enmesh ").unwrap();
    let chart = std::fs::read_to_string(format!("{DEPLOY}/helm/enmesh/Chart.yaml")).unwrap();
    assert!(
        chart.contains(&format!("\nversion: {version}\nappVersion: {version}\n")),
        "{chart}"
    );
}

#[test]
fn two_containers_of_a_pod_are_not_called_the_same() {
    let helm = build_helm().unwrap();
    let agent = "--mode ip --kind agent --app-image a";
    for (name, values, flags, is_taken) in [
        ("enmesh", "", "", true),
        ("enmesh-install", "", "", true),
        ("epmd", ",epmd=sidecar", "--epmd-sidecar", true),
        ("epmd", "", "", false),
    ] {
        let words = format!("manifests --name {name} {agent} {flags}");
        let words: Vec<&str> = words.split_whitespace().collect();
        let values = format!("mode=ip,kind=agent,app.image=a,name={name}{values}");
        let refused = [
            printed(Enmesh::program().unwrap(), &words).err(),
            render(&helm, &values).err(),
        ];
        for refused in refused {
            let said = refused.as_deref().unwrap_or_default();
            let says = said.contains("what enmesh's own container is called");
            assert_eq!((says, refused.is_some()), (is_taken, is_taken), "{said}");
        }
    }
}

fn render(helm: &Path, values: &str) -> Result<String, String> {
    let chart = format!("{DEPLOY}/helm/enmesh");
    printed(
        helm,
        &[
            "template",
            "web",
            &chart,
            "--namespace",
            "prod",
            "--set",
            values,
        ],
    )
}

fn manifests(flags: &str, namespace: &str) -> Result<String, String> {
    let words = ["manifests", "--name", "web", "--namespace", namespace];
    let words: Vec<&str> = words.into_iter().chain(flags.split_whitespace()).collect();
    printed(Enmesh::program().unwrap(), &words)
}

fn printed(program: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stderr)),
    }
}

fn compare(what: &str, found: &str, wanted: &str) {
    for text in [found, wanted] {
        for object in parsed(text) {
            knows_its_variables(what, &object);
        }
    }
    let (found, wanted) = (objects(found), objects(wanted));
    let ids = |objects: &[Value]| {
        objects
            .iter()
            .map(|it| it["kind"].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&found), ids(&wanted), "{what}");
    for (found, wanted) in found.iter().zip(&wanted) {
        let pretty = |object| serde_json::to_string_pretty(object).unwrap();
        assert_eq!(
            found,
            wanted,
            "{what}: {}\nis not\n{}",
            pretty(found),
            pretty(wanted)
        );
    }
}

/// The kubelet puts the value of a variable in where `$(NAME)` stands, if the variable comes before.
fn knows_its_variables(what: &str, value: &Value) {
    let inside: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => return,
    };
    inside
        .iter()
        .for_each(|value| knows_its_variables(what, value));
    let mut known = BTreeSet::new();
    for variable in value["env"].as_array().into_iter().flatten() {
        let text = variable["value"].as_str().unwrap_or_default();
        for rest in text.split("$(").skip(1) {
            let name = rest.split(')').next().unwrap_or_default();
            let whole = &variable["name"];
            assert!(known.contains(name), "{what}: {whole} comes before {name}");
        }
        known.extend(variable["name"].as_str());
    }
}

fn parsed(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let mut objects: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).unwrap();
    objects.retain(|object| !object.is_null());
    objects
}

/// All objects, sorted, with each list of objects in them sorted.
fn objects(text: &str) -> Vec<Value> {
    let mut objects = parsed(text);
    objects.iter_mut().for_each(sort);
    objects.sort_by_key(Value::to_string);
    objects
}

/// The order of words in a command counts, that of objects with names does not.
fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            if items.iter().all(Value::is_object) {
                items.sort_by_key(Value::to_string);
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(sort),
        _ => {}
    }
}
