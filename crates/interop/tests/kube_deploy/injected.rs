//! Workloads of the user's, which know nothing of enmesh; `enmesh inject` does the rest.

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Deployment, Image, Names, Otp};
use serde_json::{Value, json};

use crate::beams::{ASKING, whole};
use crate::commands::{self, Shell, manifests};

/// The account, Role and Service around it, and the flags of `inject` that are the same for all.
const AROUND: &str = "--kind agent --without-workload";
const SAME: &str = "--min-peers 1 --json-log --image enmesh-test/enmesh --image-pull-policy Never";

/// A Deployment that makes its own names.
pub(crate) fn deployment(cluster: &Cluster, namespace: &str) -> Result<()> {
    let node = "exec erl -noinput -name web@$POD_IP -setcookie $RELEASE_COOKIE";
    let mut own = object("apps/v1", "Deployment", namespace, template(node));
    own["spec"]["replicas"] = json!(2);
    let deployment = inject(cluster, namespace, Names::Ip, "", "", &[own])?;
    let pods = deployment.pods()?;
    let object: Value = pods[0].object()?;
    let account = object["spec"]["serviceAccountName"]
        .as_str()
        .context("a pod has an account")?;
    ensure!(account == "web", "the account is {account}");
    Ok(())
}

/// A StatefulSet whose nodes ask for their names, without epmd.
pub(crate) fn stateful_set(cluster: &Cluster, namespace: &str) -> Result<()> {
    let mut own = object("apps/v1", "StatefulSet", namespace, template(ASKING));
    own["spec"]["replicas"] = json!(2);
    own["spec"]["serviceName"] = json!("web");
    // Else the second would wait for the first to be ready, which waits for the second.
    own["spec"]["podManagementPolicy"] = json!("Parallel");
    // With an account of its own, which the Role is bound to as the program says.
    cluster.kubectl(["create", "serviceaccount", "clerk", "-n", namespace])?;
    own["spec"]["template"]["spec"]["serviceAccountName"] = json!("clerk");
    let both = "--epmd none";
    let inject = inject(
        cluster,
        namespace,
        Names::Hostname,
        both,
        "--with-env",
        &[own],
    )?;
    let nodes = inject.nodes()?;
    ensure!(
        nodes[0] == format!("web@web-0.web.{namespace}.svc.cluster.local"),
        "{nodes:?}"
    );
    Ok(())
}

/// A DaemonSet, of which there is one pod for each machine, and a Pod that nobody keeps; the agent is a plain container there.
pub(crate) fn daemon_set_and_pod(cluster: &Cluster, namespace: &str) -> Result<()> {
    let node = "exec erl -noinput -name web@$POD_IP -setcookie $RELEASE_COOKIE";
    let mut daemons = object("apps/v1", "DaemonSet", namespace, template(node));
    for path in [
        "/spec/selector/matchLabels",
        "/spec/template/metadata/labels",
    ] {
        // A label that the Pod has not, which would be taken for one of the set's own and deleted.
        let labels = daemons.pointer_mut(path).context("it has labels")?;
        labels["set"] = json!("daemons");
    }
    let mut single = template(node);
    single["apiVersion"] = json!("v1");
    single["kind"] = json!("Pod");
    single["metadata"]["name"] = json!("single");
    single["metadata"]["namespace"] = json!(namespace);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [daemons, single]});
    let flags = "--plain --name web --workload web --workload single";
    inject(cluster, namespace, Names::Ip, "", flags, &[list]).map(drop)
}

/// What is printed for these documents forms a cluster of two.
fn inject<'c>(
    cluster: &'c Cluster,
    namespace: &str,
    names: Names,
    both: &str,
    flags: &str,
    documents: &[Value],
) -> Result<Deployment<'c>> {
    let shell = Shell::new(cluster, namespace)?;
    let mode = format!("--mode {} {both}", names.word());
    let around = manifests(namespace, &format!("{mode} {AROUND}"), None)?;
    shell.make_secrets(&around)?;
    shell.apply(&around)?;
    let own: Vec<String> = documents.iter().map(Value::to_string).collect();
    let own = own.join("\n---\n");
    let words = format!("inject -f - {mode} {SAME} {flags}");
    let text = commands::enmesh(&words, &own)?;
    for note in commands::notes(&words, &own)?.lines() {
        let at = note.find("kubectl ");
        if let Some(at) = at.filter(|_| note.contains(" create rolebinding ")) {
            shell.run(&note[at..], "")?;
        }
    }
    ensure!(
        commands::enmesh(&words, &text)? == text,
        "injecting twice is not the same as once"
    );
    shell.apply(&text)?;
    whole(cluster, namespace, names)
}

fn labels() -> Value {
    json!({"app": "web", "workload": "web"})
}

fn object(version: &str, kind: &str, namespace: &str, template: Value) -> Value {
    json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels()}, "template": template},
    })
}

/// A pod of the user's whose shell runs this.
fn template(script: &str) -> Value {
    let env = json!([
        {"name": "RELEASE_COOKIE", "valueFrom": {"secretKeyRef": {"name": "web-cookie", "key": "cookie"}}},
        {"name": "HOME", "value": "/tmp"},
    ]);
    json!({
        "metadata": {"labels": labels()},
        "spec": {
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "web",
                "image": Image::beam_name(Otp::R25),
                "imagePullPolicy": "Never",
                "command": ["sh", "-c", script],
                "env": env,
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}
