//! Erlang nodes with the agent, beside members: what both manifests let through is enough for them together.

use anyhow::{Context as _, Result, ensure};
use enmesh_interop::{Cluster, Kind, Names, Otp, Workload};
use serde_json::{Value, json};

use crate::{SOON, printed, printed_with, rules, start_again, start_containers_again};

/// A BEAM that the kubelet tells its name and its cookie.
const BEAM: &str = "--kind agent --app-image enmesh-test/beam:25 --app-user 65532 \
     --app-command erl --app-command -noinput --app-command -name --app-command $(RELEASE_NODE) \
     --app-command -setcookie --app-command $(RELEASE_COOKIE)";

/// The rules of which each is needed, whoever dials whom.
const USED: [&str; 5] = [
    "ingress TCP/4369",
    "ingress TCP/9100-9109",
    "ingress TCP/9369",
    "egress TCP/4369",
    "egress TCP/9100",
];

/// Two of each in one cluster. Every pod is in both policies, as where both have the same labels.
pub(crate) fn beside_members_keep_to_the_rules(cluster: &Cluster, namespace: &str) -> Result<()> {
    let of_beams = printed(namespace, Names::Ip, BEAM)?;
    let of_members = printed(namespace, Names::Ip, "")?;
    // By the label that both have.
    let [for_beams, for_members] = [BEAM, ""].map(|flags| {
        let words = flags.split_whitespace().chain(["--selector", "app=web"]);
        printed_with(namespace, Names::Ip, words)
    });
    let (for_beams, for_members) = (for_beams?, for_members?);
    let policy = union(
        find(&for_beams, "NetworkPolicy")?,
        find(&for_members, "NetworkPolicy")?,
    )?;
    let mut around = of_beams.clone();
    for item in around.as_array_mut().into_iter().flatten() {
        if item["kind"] == "Service" {
            item.clone_from(find(&for_beams, "Service")?);
        }
    }
    let mut rust = find(&of_members, "Deployment")?.clone();
    rust["metadata"]["name"] = json!("rust");
    for path in [
        "/spec/selector/matchLabels",
        "/spec/template/metadata/labels",
    ] {
        let labels = rust.pointer_mut(path).context("a Deployment has labels")?;
        labels["workload"] = json!("rust");
    }
    let rust = json!([rust]);
    let web = Workload::new("web", Kind::Steered(Otp::R25))
        .replicas(2)
        .patch(move |list| list["items"] = around.clone());
    let web = web.begin(cluster, namespace)?;
    let rust = Workload::new("rust", Kind::Member)
        .group("web")
        .replicas(2)
        .patch(move |list| list["items"] = rust.clone());
    let rust = rust.start(cluster, namespace)?;
    web.wait_ready(2)?;
    web.wait_whole(SOON)?;

    let pods = [web.pods()?, rust.pods()?].concat();
    rules::enforce_among(&policy, &pods)?;
    // Everything from the first packet on under both policies.
    start_containers_again(&web, &["web", "enmesh"])?;
    start_again(&rust)?;
    web.wait_ready(2)?;
    rust.wait_ready(2)?;
    web.wait_whole(SOON)?;
    let counts = rules::counted_without_drops(&pods)?;
    for name in USED {
        let is_used = counts.iter().any(|(it, count)| it == name && *count > 0);
        ensure!(is_used, "{name} is not used: {counts:?}");
    }
    Ok(())
}

fn find<'a>(items: &'a Value, kind: &str) -> Result<&'a Value> {
    let mut items = items.as_array().into_iter().flatten();
    let found = items.find(|item| item["kind"] == kind);
    found.with_context(|| format!("no {kind} is printed"))
}

/// What two policies let through together: each adds to what the other does, in the directions that either limits.
fn union(one: &Value, other: &Value) -> Result<Value> {
    let mut both = one.clone();
    let selectors = [one, other].map(|policy| &policy["spec"]["podSelector"]);
    ensure!(selectors[0] == selectors[1], "{selectors:?}");
    for key in ["policyTypes", "ingress", "egress"] {
        let lists = [one, other].map(|policy| policy["spec"][key].as_array().cloned());
        let list: Vec<Value> = lists.into_iter().flatten().flatten().collect();
        ensure!(!list.is_empty(), "neither says {key}");
        both["spec"][key] = Value::from(list);
    }
    Ok(both)
}
