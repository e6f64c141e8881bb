//! Lookup `auto` reads the first of three resources that it may: each rule of its Role is what lets it read one of them.

use anyhow::{Context as _, Result, ensure};
use enmesh_interop::{Cluster, Deployment, Names, poll_until};
use serde_json::{Value, json};

use crate::{SOON, UNREAD, change_role, granted, printed, start_again, workload};

/// In the order in which they are tried, as members and the API call them.
const READ: [(&str, &str); 3] = [
    ("endpointslices", "endpointslices.discovery.k8s.io"),
    ("endpoints", "endpoints"),
    ("pods", "pods"),
];

/// Without any rule nobody is found; with the last alone the last is read, with one more the one before it, and so on.
pub(crate) fn reads_what_it_may(cluster: &Cluster, namespace: &str) -> Result<()> {
    let mut printed = printed(namespace, Names::Ip, "--lookup auto")?;
    let mut items = printed.as_array_mut().into_iter().flatten();
    let role = items.find(|item| item["kind"] == "Role");
    let rules = &mut role.context("it has a Role")?["rules"];
    let rules = std::mem::replace(rules, json!([]));
    let rules = rules.as_array().context("a Role has rules")?;
    ensure!(rules.len() == READ.len(), "{rules:?}");
    let web = workload(Names::Ip, printed).begin(cluster, namespace)?;
    nobody_is_found(&web)?;
    for first in (0..READ.len()).rev() {
        let (resource, _) = READ[first];
        allow(cluster, namespace, &rules[first..])?;
        if first + 1 < READ.len() {
            // What was picked is kept for as long as a member runs.
            start_again(&web)?;
        }
        web.wait_ready(2)?;
        web.wait_whole(SOON)?;
        for pod in web.pods()? {
            let picked = |it: &Value| {
                let message = it["message"].as_str().unwrap_or_default();
                message.starts_with("lookup picked")
            };
            let said = pod.log()?.wait_for(SOON, picked)?;
            ensure!(said["resource"] == resource, "{said}, wanted {resource}");
        }
    }
    Ok(())
}

/// Each says why, by the resource that is wanted most.
fn nobody_is_found(web: &Deployment<'_>) -> Result<()> {
    let pods = poll_until("both run", SOON, || {
        let pods = web.all_pods()?;
        ensure!(pods.len() == 2, "{} pods", pods.len());
        for pod in &pods {
            pod.log()?;
        }
        Ok(pods)
    })?;
    for pod in pods {
        let said = pod.log()?.wait_for(SOON, |it| it["message"] == UNREAD)?;
        let error = said["error"].as_str().context("it says why")?;
        let why = format!("may not read {}", READ[0].0);
        ensure!(error.contains(&why), "{error}");
        let connected = pod.connected()?;
        ensure!(connected.is_empty(), "{connected:?}");
    }
    Ok(())
}

/// Gives the account these rules and no other, and waits until the API judges by them.
fn allow(cluster: &Cluster, namespace: &str, rules: &[Value]) -> Result<()> {
    change_role(cluster, namespace, "/rules", &json!(rules))?;
    let skipped = READ.len() - rules.len();
    let names = READ.iter().skip(skipped);
    let mut wanted: Vec<_> = names
        .map(|(_, name)| format!("{name} [list watch]"))
        .collect();
    wanted.sort();
    poll_until("the Role is in force", SOON, || {
        let mut granted = granted(cluster, namespace)?;
        granted.sort();
        ensure!(granted == wanted, "{granted:?}");
        Ok(())
    })
}
