//! An account that may not read what it must.

use std::time::Instant;

use anyhow::{Context, Result};
use enmesh_interop::{Cluster, Deployment, FaultLogs, Kind, Workload};
use serde_json::{Value, json};

use crate::{HEALED, SOON};

/// The Role of a workload's, with another rule or none at all.
fn with_rule(list: &mut Value, rule: Option<Value>) {
    for item in list["items"].as_array_mut().into_iter().flatten() {
        if item["kind"] == "Role" {
            item["rules"] = json!(Vec::from_iter(rule.clone()));
        }
    }
}

fn may_read(resource: &str) -> Value {
    let group = match resource {
        "endpointslices" => "discovery.k8s.io",
        _ => "",
    };
    json!({"apiGroups": [group], "resources": [resource], "verbs": ["list", "watch"]})
}

/// Runs the very command that the log tells, and sees the pods find each other.
fn do_what_it_says(cluster: &Cluster, web: &Deployment<'_>, words: &[&str]) -> Result<()> {
    let witnesses = FaultLogs::of(web)?;
    let text = witnesses.told(SOON, "forbidden", words)?;
    let mended = Instant::now();
    for command in command_in(&text)?.split(" && ") {
        cluster.kubectl(command.split_whitespace().skip(1))?;
    }
    witnesses.well(mended, HEALED)?;
    web.wait_whole(SOON)?;
    witnesses.check(&["forbidden"], 1)
}

/// The account has no rule at all.
pub(crate) fn no_role(cluster: &Cluster, namespace: &str, kind: Kind) -> Result<()> {
    let web = Workload::new("web", kind)
        .replicas(2)
        .patch(|list| with_rule(list, None))
        .start(cluster, namespace)?;
    let who = format!("ServiceAccount web of namespace {namespace}");
    do_what_it_says(cluster, &web, &[&who, "may not read endpointslices"])
}

/// What many a guide has: a Role for pods, while the library reads endpoints.
pub(crate) fn a_role_for_pods_while_endpoints_are_read(
    cluster: &Cluster,
    namespace: &str,
    kind: Kind,
) -> Result<()> {
    let web = Workload::new("web", kind)
        .lookup("endpoints")
        .replicas(3)
        .patch(|list| with_rule(list, Some(may_read("pods"))))
        .start(cluster, namespace)?;
    let words = [
        "may not read endpoints",
        "or name what it may read by kubernetes_ip_lookup_mode",
    ];
    do_what_it_says(cluster, &web, &words)
}

/// The command that a text tells to run, which begins with `kubectl -n`.
fn command_in(text: &str) -> Result<&str> {
    let begin = text.find("kubectl -n").context("it tells a command")?;
    let end = text[begin..]
        .find(" (the server says")
        .context("and then the server's words")?;
    Ok(&text[begin..begin + end])
}
