//! A NetworkPolicy as rules of nft in the pods' own networks, since the cluster's network plugin enforces none.

use anyhow::{Context as _, Result, ensure};
use enmesh_interop::Pod;
use serde_json::{Value, json};

const TABLE: &str = "enmesh_policy";

/// How often a rule let a new connection through, or `dropped` counts what none did; by the rule's name, such as
/// `egress TCP/9100`.
pub(crate) type Counts = Vec<(String, u64)>;

/// The policy in each of these pods, which are the peers that it names; gives their addresses.
pub(crate) fn enforce_among(policy: &Value, pods: &[Pod<'_>]) -> Result<Vec<String>> {
    let addresses: Vec<_> = pods.iter().map(|pod| pod.ip().to_owned()).collect();
    for pod in pods {
        enforce(policy, pod, &addresses)?;
    }
    Ok(addresses)
}

/// What the policy lets in and out, and nothing else: connections are judged by their first packet, as plugins do. `peers` are
/// the addresses of the policy's own pods, whom alone it may name.
pub(crate) fn enforce(policy: &Value, pod: &Pod<'_>, peers: &[String]) -> Result<()> {
    let own = &policy["spec"]["podSelector"];
    selects(own, pod)?;
    let isolates = |direction: &str| {
        let types = policy["spec"]["policyTypes"].as_array();
        types.is_some_and(|types| types.iter().any(|it| it == direction))
    };
    let mut text = format!(
        "table inet {TABLE} {{\nset peers {{ type ipv4_addr; elements = {{ {} }} }}\n",
        peers.join(", ")
    );
    for (direction, kind, hook, loopback, address) in [
        ("Ingress", "ingress", "input", "iif", "saddr"),
        ("Egress", "egress", "output", "oif", "daddr"),
    ] {
        if !isolates(direction) {
            continue;
        }
        text += &format!(
            "chain {hook} {{\ntype filter hook {hook} priority 0; policy drop;\n\
             {loopback} lo accept\nct state established,related accept\nmeta l4proto ipv6-icmp accept\n"
        );
        let rules = policy["spec"][kind].as_array().context("no rules")?;
        for rule in rules {
            text += &compiled(rule, own, kind, address)?;
        }
        // What is left of connections from before the rules is dropped without being counted.
        text += "tcp flags & (syn | ack) != syn drop\n";
        text += &format!("counter comment \"{kind} dropped\"\n}}\n");
    }
    text += "}\n";
    pod.nft(&text)
}

/// One more peer, from now on.
pub(crate) fn admit(pod: &Pod<'_>, address: &str) -> Result<()> {
    pod.nft(&format!("add element inet {TABLE} peers {{ {address} }}"))
}

/// The labels of the selector are those of the pod, and it says nothing else.
fn selects(selector: &Value, pod: &Pod<'_>) -> Result<()> {
    let object = pod.object()?;
    let labels = &object["metadata"]["labels"];
    let keys = selector.as_object().context("a selector is an object")?;
    ensure!(keys.keys().eq(["matchLabels"]), "{selector}");
    let wanted = selector["matchLabels"].as_object();
    let wanted = wanted.filter(|wanted| !wanted.is_empty());
    for (key, value) in wanted.context("it selects everybody")? {
        ensure!(labels[key] == *value, "{selector} does not select {labels}");
    }
    Ok(())
}

fn compiled(rule: &Value, own: &Value, kind: &str, address: &str) -> Result<String> {
    let side = if kind == "ingress" { "from" } else { "to" };
    let peers = match &rule[side] {
        Value::Null => String::new(),
        // The pods of the policy itself are all that is ever named; `peers` holds their addresses.
        Value::Array(list) => {
            let only = json!([{"podSelector": own}]);
            ensure!(rule[side] == only, "{list:?} is not {only}");
            format!("ip {address} @peers ")
        }
        other => anyhow::bail!("{side} is {other}"),
    };
    let mut text = String::new();
    for port in rule["ports"].as_array().context("a rule names ports")? {
        let protocol = port["protocol"].as_str().context("a port has a protocol")?;
        let first = port["port"].as_u64().context("a port has a number")?;
        let range = match port["endPort"].as_u64() {
            Some(last) => format!("{first}-{last}"),
            None => first.to_string(),
        };
        text += &format!(
            "{peers}{} dport {range} counter accept comment \"{kind} {protocol}/{range}\"\n",
            protocol.to_lowercase()
        );
    }
    Ok(text)
}

/// What the rules have counted in these pods together.
pub(crate) fn counted(pods: &[Pod<'_>]) -> Result<Counts> {
    let mut all = std::collections::BTreeMap::new();
    for pod in pods {
        let output = pod
            .command("nft")
            .args(["list", "table", "inet", TABLE])
            .output()?;
        ensure!(
            output.status.success(),
            "nft: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some((name, count)) = counter(line) {
                *all.entry(name).or_default() += count;
            }
        }
    }
    Ok(all.into_iter().collect())
}

/// The same, which has to be without anything dropped.
pub(crate) fn counted_without_drops(pods: &[Pod<'_>]) -> Result<Counts> {
    let counts = counted(pods)?;
    for (name, count) in &counts {
        ensure!(
            !name.ends_with("dropped") || *count == 0,
            "{name} {count}: {counts:?}"
        );
    }
    Ok(counts)
}

/// `… counter packets 3 bytes 180 accept comment "egress TCP/9100"`
fn counter(line: &str) -> Option<(String, u64)> {
    let (_, rest) = line.split_once("counter packets ")?;
    let (count, rest) = rest.split_once(' ')?;
    let (_, name) = rest.split_once("comment \"")?;
    Some((name.split('"').next()?.to_owned(), count.parse().ok()?))
}
