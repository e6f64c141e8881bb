use clap::Parser;
use serde_json::{Value, json};

use super::{InjectError, InjectOptions, Injected};
use crate::exit::Failure;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: InjectOptions,
}

const DEPLOYMENT: &str = "\
# What we run.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  namespace: prod
spec:
  selector: {matchLabels: {app: shop, tier: front}}
  template:
    metadata: {labels: {app: shop, tier: front}}
    spec:
      containers:
      - name: shop
        image: shop:1
        env:
        - {name: MODE, value: \"on\"}
      volumes:
      - name: keys
        secret: {secretName: keys, defaultMode: 0400}
";

fn inject(flags: &str, input: &str) -> Result<Injected, InjectError> {
    let flags = flags.split_whitespace();
    let line = ["inject", "-f", "-"].into_iter().chain(flags);
    let options = Line::parse_from(line).options;
    options.check_flags()?;
    options.inject(input)
}

fn text(flags: &str, input: &str) -> String {
    inject(flags, input).unwrap().text
}

fn object(text: &str) -> Value {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options).unwrap()
}

fn pod(text: &str) -> Value {
    object(text)["spec"]["template"]["spec"].clone()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect()
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    let variables = container["env"].as_array().unwrap();
    variables.iter().find(|variable| variable["name"] == name)
}

#[test]
fn a_deployment_gets_the_agent_as_a_native_sidecar() {
    let pod = pod(&text("--mode ip", DEPLOYMENT));
    assert_eq!(names(&pod["initContainers"]), ["enmesh"]);
    let agent = &pod["initContainers"][0];
    assert_eq!(agent["restartPolicy"], "Always");
    assert_eq!(agent["args"], json!(["agent"]));
    assert_eq!(variable(agent, "ENMESH_NAME").unwrap()["value"], "shop");
    assert_eq!(names(&pod["volumes"]), ["keys", "enmesh-cookie"]);
    assert_eq!(pod["volumes"][1]["secret"]["secretName"], "shop-cookie");
    assert_eq!(pod["serviceAccountName"], "shop");
    let own = &pod["containers"][0];
    assert_eq!(variable(own, "MODE").unwrap()["value"], "on");
    for (name, path) in super::super::manifests::POD_FACTS {
        let field = &variable(own, name).unwrap()["valueFrom"]["fieldRef"];
        assert_eq!(field["fieldPath"], path);
    }
}

#[test]
fn numbers_are_read_as_kubectl_reads_them() {
    let pod = pod(&text("--mode ip", DEPLOYMENT));
    assert_eq!(pod["volumes"][0]["secret"]["defaultMode"], 0o400);
}

#[test]
fn twice_is_once() {
    for flags in [
        "--mode ip",
        "--mode srv --plain",
        "--mode hostname --tls --epmd-sidecar --with-env",
        "--mode hostname --epmd none --with-env",
    ] {
        let once = text(flags, DEPLOYMENT);
        assert_eq!(text(flags, &once), once, "{flags}");
    }
    // What an earlier one has put in and this one does not is taken out.
    let more = text("--mode srv --epmd-sidecar --tls --plain", DEPLOYMENT);
    assert_eq!(
        pod(&text("--mode srv", &more)),
        pod(&text("--mode srv", DEPLOYMENT))
    );
}

#[test]
fn a_node_that_asks_is_told_to_do_without_epmd_as_the_agent_is() {
    let told = |text: &str| {
        let app = &pod(text)["containers"][0];
        let value = |name| variable(app, name).map(|it| it["value"].clone());
        [value("ENMESH_EPMD"), value("ENMESH_DIST_PORT")]
    };
    let without = text("--mode hostname --epmd none --with-env", DEPLOYMENT);
    assert_eq!(told(&without), [Some(json!("none")), Some(json!("9100"))]);
    for flags in ["--mode hostname --with-env", "--mode hostname"] {
        assert_eq!(told(&text(flags, &without)), [None, None], "{flags}");
    }
}

#[test]
fn whose_pods_would_wait_for_each_other_for_ever_is_told() {
    let told = |flags: &str, input: &str| {
        let notes = inject(flags, input).unwrap().notes;
        notes.iter().any(|note| note.contains("Parallel"))
    };
    let stateful = DEPLOYMENT.replace("kind: Deployment", "kind: StatefulSet");
    let parallel = stateful.replace(
        "spec:\n  selector",
        "spec:\n  podManagementPolicy: Parallel\n  selector",
    );
    assert_ne!(parallel, stateful);
    for (flags, input, wanted) in [
        ("--mode ip --min-peers 1", stateful.as_str(), true),
        ("--mode ip", &stateful, false),
        ("--mode ip --min-peers 1", &parallel, false),
        ("--mode ip --min-peers 1", DEPLOYMENT, false),
    ] {
        assert_eq!(told(flags, input), wanted, "{flags}: {input}");
    }
}

/// All notes of these flags and this input, one to a line.
fn notes(flags: &str, input: &str) -> String {
    inject(flags, input).unwrap().notes.join("\n")
}

#[test]
fn what_can_never_be_is_said() {
    let stateful = DEPLOYMENT.replace("kind: Deployment", "kind: StatefulSet");
    let of = |service| {
        stateful.replace(
            "spec:\n  sel",
            &format!("spec:\n  serviceName: {service}\n  sel"),
        )
    };
    let few = DEPLOYMENT.replace("spec:\n  sel", "spec:\n  replicas: 2\n  sel");
    let elsewhere = DEPLOYMENT.replace("      volumes:", "      subdomain: other\n      volumes:");
    for (flags, input, wanted, is_said) in [
        (
            "--mode hostname",
            DEPLOYMENT,
            "a Deployment's pods are in no DNS",
            true,
        ),
        ("--mode hostname", &of("shop"), "no DNS", false),
        ("--mode hostname", &of("shop"), "serviceName", false),
        (
            "--mode hostname",
            &of("stock"),
            "its serviceName \"stock\"",
            true,
        ),
        (
            "--mode hostname --service stock",
            &of("stock"),
            "serviceName",
            false,
        ),
        ("--mode pod", &elsewhere, "the subdomain other", true),
        ("--mode pod", DEPLOYMENT, "the subdomain", false),
        (
            "--mode ip --min-peers 2",
            &few,
            "each of 2 pods has 1",
            true,
        ),
        ("--mode ip --min-peers 1", &few, "each of", false),
        ("--mode dns", DEPLOYMENT, "names of --mode dns:", true),
        ("--mode dns --with-env", DEPLOYMENT, "no manifest", false),
        (
            "--mode ip --epmd none",
            DEPLOYMENT,
            "flags of --epmd none:",
            true,
        ),
        ("--mode ip", DEPLOYMENT, "no manifest", false),
    ] {
        let notes = notes(flags, input);
        assert_eq!(notes.contains(wanted), is_said, "{flags}: {notes}");
    }
}

#[test]
fn what_makes_the_objects_around_it_is_said_as_a_command() {
    let command = "enmesh manifests --kind agent --mode pod --name shop --namespace prod --without-workload --lookup pods \
         --epmd none --selector 'app=shop' --selector 'tier=front' | kubectl create -f -";
    let said = notes("--mode pod --lookup pods --epmd none", DEPLOYMENT);
    assert!(said.contains(command), "{said}");
    // What it says is understood.
    #[derive(Parser)]
    struct Manifests {
        #[command(flatten)]
        _options: crate::manifests::ManifestsOptions,
    }
    let words = command.split(" | ").next().unwrap().replace('\'', "");
    let words = words.split_whitespace();
    Manifests::try_parse_from(words.skip(1)).unwrap();
    let said = notes("--mode ip --service nodes --account nodes", DEPLOYMENT);
    assert!(said.contains("--name nodes "), "{said}");
    assert!(said.contains("headless Service nodes,"), "{said}");
}

#[test]
fn what_the_agent_needs_for_tls_is_said_by_the_name_that_it_has() {
    let secret = "Secret shop-tls; if there is none yet: kubectl -n prod create secret generic shop-tls --from-file=tls.crt";
    for (flags, wanted) in [
        ("--mode hostname --tls --service nodes", secret),
        ("--mode pod --tls=cert-manager", "Issuer shop"),
    ] {
        let said = notes(flags, DEPLOYMENT);
        assert!(said.contains(wanted), "{flags}: {said}");
    }
    let said = notes("--mode hostname", DEPLOYMENT);
    assert!(!said.contains("certificate"), "{said}");
}

#[test]
fn a_namespace_that_is_only_guessed_is_said() {
    let guessed = "it says no namespace, so that what follows is for default";
    assert!(!notes("--mode ip", DEPLOYMENT).contains(guessed));
    let without = DEPLOYMENT.replace("  namespace: prod\n", "");
    assert!(notes("--mode ip", &without).contains(guessed));
}

#[test]
fn pods_are_told_whose_permissions_and_secrets_they_have() {
    let account = |flags, input: &str| {
        let pod = pod(&text(flags, input));
        let account = pod["serviceAccountName"].as_str().map(str::to_owned);
        (account, notes(flags, input))
    };
    let with =
        |line: &str| DEPLOYMENT.replace("      volumes:", &format!("      {line}\n      volumes:"));
    let (name, said) = account("--mode ip", &with("serviceAccountName: clerk"));
    assert_eq!(name.as_deref(), Some("clerk"));
    let binding =
        "kubectl -n prod create rolebinding 'shop-clerk' --role=shop --serviceaccount='prod:clerk'";
    assert!(said.contains(binding), "{said}");
    assert!(!said.contains("imagePullSecrets"), "{said}");

    let (name, said) = account("--mode ip --account nodes", DEPLOYMENT);
    assert_eq!(name.as_deref(), Some("nodes"));
    assert!(
        said.contains("account was default and is nodes now"),
        "{said}"
    );
    assert!(!said.contains("rolebinding"), "{said}");
    let again = notes(
        "--mode ip --account nodes",
        &text("--mode ip --account nodes", DEPLOYMENT),
    );
    assert!(!again.contains("was default"), "{again}");
    let (_, said) = account("--mode ip", &with("imagePullSecrets: [{name: registry}]"));
    assert!(!said.contains("was default"), "{said}");

    let (name, said) = account("--mode srv", DEPLOYMENT);
    assert_eq!(name, None);
    assert!(!said.contains("account"), "{said}");
}

#[test]
fn names_with_the_pods_have_a_subdomain_by_which_they_know_themselves() {
    assert_eq!(pod(&text("--mode pod", DEPLOYMENT))["subdomain"], "shop");
    assert_eq!(
        pod(&text("--mode pod --service nodes", DEPLOYMENT))["subdomain"],
        "nodes"
    );
    assert_eq!(
        pod(&text("--mode ip", DEPLOYMENT))["subdomain"],
        Value::Null
    );
    let stateful = DEPLOYMENT.replace("kind: Deployment", "kind: StatefulSet");
    assert_eq!(
        pod(&text("--mode pod", &stateful))["subdomain"],
        Value::Null
    );
}

#[test]
fn nothing_is_put_in_that_says_nothing() {
    fn holds_null(value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(holds_null),
            Value::Object(fields) => fields.values().any(holds_null),
            other => other.is_null(),
        }
    }
    for flags in ["--mode ip", "--mode srv --plain", "--mode pod --with-env"] {
        let text = text(flags, DEPLOYMENT);
        assert!(!holds_null(&object(&text)), "{text}");
    }
}

#[test]
fn other_documents_stay_as_they_are() {
    let service = "---\n# A comment that stays.\napiVersion: v1\nkind: Service\nmetadata: {name: shop}   # so does this\n";
    let input = format!("# A header.\n{service}---\n{DEPLOYMENT}{service}");
    let output = text("--mode ip", &input);
    assert!(
        output.starts_with(&format!("# A header.\n{service}---\napiVersion: apps/v1\n")),
        "{output}"
    );
    assert!(output.ends_with(service), "{output}");
    let notes = inject("--mode ip", &input).unwrap().notes;
    assert!(
        notes.iter().any(|note| note.contains("comments")),
        "{notes:?}"
    );
}

#[test]
fn lists_and_pods_and_json_are_understood() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "app", "image": "a"}]}});
    let output = text("--mode ip --lookup pods", &pod.to_string());
    let read: Value = serde_json::from_str(&output).unwrap();
    let agent = &read["spec"]["initContainers"][0];
    let topology = variable(agent, "ENMESH_TOPOLOGY").unwrap()["value"]
        .as_str()
        .unwrap();
    assert!(topology.contains("kubernetes_selector=app=x"), "{topology}");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service"}, pod]});
    let read: Value = serde_json::from_str(&text("--mode ip", &list.to_string())).unwrap();
    assert_eq!(read["items"][0], list["items"][0]);
    assert_eq!(
        names(&read["items"][1]["spec"]["initContainers"]),
        ["enmesh"]
    );
}

#[test]
fn one_of_several_is_named() {
    let other = DEPLOYMENT.replace("name: shop\n  name", "name: stock\n  name");
    let input = format!("{DEPLOYMENT}---\n{other}");
    let output = text("--mode ip --workload stock", &input);
    let (first, second) = output.split_once("---\n").unwrap();
    assert_eq!(first, DEPLOYMENT);
    assert_eq!(names(&pod(second)["initContainers"]), ["enmesh"]);
    let says = |flags, wanted: &str| {
        let error = inject(flags, &input).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    };
    says("--mode ip", "shop, stock");
    says("--mode ip --workload db", "no workload db");
}

#[test]
fn the_cookie_can_be_read_without_a_change_to_the_users_files() {
    let without = pod(&text("--mode ip", DEPLOYMENT));
    assert_eq!(without["volumes"][1]["secret"]["defaultMode"], 0o444);
    assert_eq!(without["securityContext"], Value::Null);
    let input = DEPLOYMENT.replace(
        "      volumes:",
        "      securityContext: {fsGroup: 1000}\n      volumes:",
    );
    let with = pod(&text("--mode ip", &input));
    assert_eq!(with["volumes"][1]["secret"]["defaultMode"], 0o400);
    assert_eq!(with["securityContext"]["fsGroup"], 1000);
}

#[test]
fn what_is_in_the_way_is_named() {
    let check = |flags: &str, from: &str, to: &str, wanted: &str| {
        let input = DEPLOYMENT.replace(from, to);
        assert_ne!(input, DEPLOYMENT);
        let error = inject(flags, &input).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    };
    let ip = "--mode ip";
    check(
        ip,
        "- name: shop\n",
        "- name: enmesh\n",
        "a container enmesh",
    );
    check(
        ip,
        "- name: keys",
        "- name: enmesh-cookie",
        "a volume enmesh-cookie",
    );
    check(
        ip,
        "{name: MODE, value: \"on\"}",
        "{name: POD_IP, value: x}",
        "a variable POD_IP",
    );
    check(
        ip,
        "        env:",
        "        ports: [{containerPort: 9369}]\n        env:",
        "port 9369",
    );
    check(
        ip,
        "      volumes:",
        "      automountServiceAccountToken: false\n      volumes:",
        "--lookup dns",
    );
    check(ip, "  name: shop\n  n", "  n", "--name");
    check(ip, "      containers:", "      conts:", "no pod template");
    check(
        ip,
        "kind: Deployment",
        "kind: Job",
        "there is no Deployment",
    );
    check(
        ip,
        "spec:\n  sel",
        "spec: [\n  sel",
        "document 1 is not valid YAML",
    );
    check(
        "--mode dns --lookup dns",
        "# What we run.",
        "#",
        "--mode ip",
    );
}

#[test]
fn what_is_no_list_of_objects_is_named_and_not_written_over() {
    let app = "      - name: shop\n        image: shop:1\n";
    let env = "        - {name: MODE, value: \"on\"}\n";
    let volume = "      - name: keys\n        secret: {secretName: keys, defaultMode: 0400}\n";
    for (from, to, wanted) in [
        (app, "      - shop\n      - image: shop:1\n", "containers"),
        (app, "      - [shop]\n      - image: shop:1\n", "containers"),
        (volume, "        keys: {secret: {}}\n", "volumes"),
        (
            "      volumes:",
            "      initContainers: none\n      volumes:",
            "initContainers",
        ),
        (env, "          MODE: \"on\"\n", "env of container shop"),
        (env, "        - MODE\n", "env of container shop"),
        (
            "        env:",
            "        volumeMounts: {keys: /k}\n        env:",
            "volumeMounts of container shop",
        ),
        (
            "        env:",
            "        ports: [4000]\n        env:",
            "ports of container shop",
        ),
    ] {
        let input = DEPLOYMENT.replace(from, to);
        assert_ne!(input, DEPLOYMENT);
        let error = inject("--mode ip --with-env", &input).unwrap_err();
        let wanted = format!("Deployment shop: {wanted} must be a list of objects");
        assert_eq!(error.to_string(), wanted, "{input}");
    }
    let none = DEPLOYMENT.replace("containers:\n", "containers: []\n      conts:\n");
    let error = inject("--mode ip", &none).unwrap_err().to_string();
    assert!(error.contains("no pod template with containers"), "{error}");
}

#[test]
fn pods_are_found_by_labels_that_they_have() {
    let expressions = DEPLOYMENT.replace(
        "matchLabels: {app: shop, tier: front}",
        "matchExpressions: [{key: app, operator: Exists}]",
    );
    assert_ne!(expressions, DEPLOYMENT);
    let flags = "--mode ip --lookup pods";
    let said = notes(flags, &expressions);
    assert!(
        said.contains("--selector 'app=shop' --selector 'tier=front'"),
        "{said}"
    );
    let agent = &pod(&text(flags, &expressions))["initContainers"][0];
    let topology = &variable(agent, "ENMESH_TOPOLOGY").unwrap()["value"];
    let topology = topology.as_str().unwrap();
    assert!(
        topology.contains("kubernetes_selector=app=shop,tier=front "),
        "{topology}"
    );
    let bare = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"},
        "spec": {"containers": [{"name": "app", "image": "a"}]}});
    let error = inject("--mode ip", &bare.to_string()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Pod one has no label by which its pods can be found"
    );
}

#[test]
fn names_that_the_api_cannot_have_are_refused() {
    for flags in [
        "--account A",
        "--secret a_b",
        "--secret-key a/b",
        "--service S",
        "--name N",
        "--cluster-domain a.",
        "--image a:b:c",
    ] {
        let flag = flags.split_whitespace().next().unwrap();
        for input in [DEPLOYMENT, "kind: Service"] {
            let error = inject(&format!("--mode ip {flags}"), input).unwrap_err();
            assert!(error.to_string().starts_with(flag), "{flags}: {error}");
            assert_eq!(Failure::from(error).code(), 64, "{flags}");
        }
    }
    // The user's own container is called otherwise than its nodes, so that they may be called as ours is.
    inject("--mode ip --name enmesh", DEPLOYMENT).unwrap();
}

#[test]
fn a_workload_that_no_node_can_be_called_after_is_no_wrong_usage() {
    for (from, to, wanted) in [
        (
            "  name: shop\n",
            "  name: shop.one\n",
            "its name \"shop.one\"",
        ),
        ("prod", "1prod", "its namespace \"1prod\""),
    ] {
        let input = DEPLOYMENT.replacen(from, to, 1);
        let error = inject("--mode ip", &input).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("Deployment shop"), "{said}");
        assert!(
            said.contains(wanted) && !said.contains("--namespace"),
            "{said}"
        );
        assert_eq!(Failure::from(error).code(), 1, "{said}");
    }
    let called = DEPLOYMENT.replacen("  name: shop\n", "  name: shop.one\n", 1);
    inject("--mode ip --name shop", &called).unwrap();
}

#[test]
fn what_is_there_in_place_of_a_workload_is_said() {
    let check = |input: &str, wanted: &str| {
        let error = inject("--mode ip", input).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("there is no Deployment, "), "{said}");
        assert!(said.ends_with(wanted), "{said}");
        assert_eq!(Failure::from(error).code(), 1);
    };
    let old = DEPLOYMENT.replace("apps/v1", "apps/v1beta1");
    check(&old, "; there is: Deployment of apps/v1beta1");
    let none = DEPLOYMENT.replace("apiVersion: apps/v1\n", "");
    check(&none, "; there is: Deployment without apiVersion");
    let job = "apiVersion: batch/v1\nkind: CronJob\n---\n";
    check(
        &format!("{job}{job}{none}"),
        "; there is: CronJob of batch/v1, Deployment without apiVersion",
    );
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service"}]});
    check(&list.to_string(), "; there is: Service of v1");
    check("# Nothing.\n", "nothing is put");
}

#[test]
fn pods_in_the_network_of_their_machine_are_told_what_they_share() {
    let shared = DEPLOYMENT.replace("      volumes:", "      hostNetwork: true\n      volumes:");
    assert_ne!(shared, DEPLOYMENT);
    let daemons = shared.replace("kind: Deployment", "kind: DaemonSet");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "labels": {"app": "x"}},
        "spec": {"hostNetwork": true, "containers": [{"name": "app", "image": "a"}]}});
    let name = "have the same node name and the same ports";
    for (flags, input, wanted) in [
        ("--mode ip", shared.as_str(), Some(name)),
        ("--mode srv", &shared, Some(name)),
        ("--mode pod", &shared, Some("have the same ports")),
        ("--mode ip", &pod.to_string(), Some(name)),
        ("--mode ip", &daemons, None),
        ("--mode ip", DEPLOYMENT, None),
    ] {
        let notes = notes(flags, input);
        assert_eq!(notes.contains("hostNetwork"), wanted.is_some(), "{notes}");
        assert!(wanted.is_none_or(|it| notes.contains(it)), "{notes}");
    }
}

#[test]
fn dns_needs_neither_an_account_nor_a_token() {
    let input = DEPLOYMENT.replace(
        "      volumes:",
        "      automountServiceAccountToken: false\n      volumes:",
    );
    let pod = pod(&text("--mode srv --lookup srv", &input));
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["serviceAccountName"], Value::Null);
}
