//! An account that may not read what it must.

use std::time::Instant;

use anyhow::Result;
use enmesh_interop::{Cluster, Deployment, Kind, Otp, Workload};
use serde_json::{Value, json};

use crate::log::{Witnesses, command_in};
use crate::{HEALED, SOON};

/// The Role of a workload's, with another rule or none at all.
pub(crate) fn with_rule(list: &mut Value, rule: Option<Value>) {
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
    let witnesses = Witnesses::of(web)?;
    let text = witnesses.told(SOON, "forbidden", words)?;
    let mended = Instant::now();
    for command in command_in(&text)?.split(" && ") {
        cluster.kubectl(command.split_whitespace().skip(1))?;
    }
    witnesses.well(mended, HEALED)?;
    web.wait_whole(SOON)?;
    witnesses.check(&["forbidden"], 1)
}

/// The account has no rule at all, and BEAMs are steered by agents.
pub(crate) fn no_role(cluster: &Cluster, namespace: &str) -> Result<()> {
    let web = Workload::new("web", Kind::Steered(Otp::R27))
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
) -> Result<()> {
    let web = Workload::new("web", Kind::Member)
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

/// A watch that runs is not authorised anew, so only the API server's restart shows that the Role is gone.
pub(crate) fn a_role_that_is_taken_away(cluster: &Cluster, namespace: &str) -> Result<()> {
    let workloads = [
        Workload::new("slices", Kind::Member),
        Workload::new("pods", Kind::Member).lookup("pods"),
        Workload::new("beams", Kind::Steered(Otp::R27)).lookup("endpoints"),
    ];
    let mut all = Vec::new();
    for workload in &workloads {
        all.push(workload.begin(cluster, namespace)?);
    }
    for web in &all {
        web.scale(2)?;
        web.wait_whole(SOON)?;
    }
    let witnesses: Result<Vec<_>> = all.iter().map(Witnesses::of).collect();
    let witnesses = witnesses?;
    let args = ["delete", "rolebinding", "--all", "-n", namespace];
    cluster.kubectl(args)?;
    for pods in &witnesses {
        pods.nothing_happens(std::time::Duration::from_secs(1))?;
    }
    cluster.kill_api()?;
    cluster.start_api()?;
    for (web, pods) in all.iter().zip(&witnesses) {
        let binding = format!("--serviceaccount={namespace}:{}", web.name());
        pods.told(SOON, "forbidden", &["create rolebinding", &binding])?;
    }
    // Who comes while nobody may read is found when the Role is back.
    all[1].scale(3)?;
    let mended = Instant::now();
    for workload in &workloads {
        let mut list = workload.objects(namespace);
        let items = list["items"].as_array_mut().expect("a List has items");
        items.retain(|item| item["kind"] == "RoleBinding");
        cluster.apply(&list)?;
    }
    for (web, pods) in all.iter().zip(&witnesses) {
        pods.well(mended, HEALED)?;
        web.wait_whole(SOON)?;
        // Who asks while the API server starts tells that nobody listens there.
        pods.check_any(&[&["forbidden"], &["unreachable", "forbidden"]], 1)?;
    }
    Ok(())
}
