//! The address of a pod that is gone belongs to another one.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Kind, Pod, Workload, poll_until};
use serde_json::Value;

use super::restart::SILENT;
use super::with_ticks;
use super::witness::{SOON, Witness};

/// Longer than the longest back-off: whoever still dials is seen.
const ANY_DIAL: Duration = Duration::from_secs(14);
/// By when a node that only neighbours told of is given up: three dials, each after the longest back-off.
const GIVEN_UP: Duration = Duration::from_secs(60);
/// Counts connections that others open to where nodes listen.
const COUNT: &str = "table inet dials {
    chain in {
        type filter hook input priority 0
        iif lo accept
        ip saddr 10.244.0.1 accept
        tcp dport { 4369, 9100 } tcp flags & (syn | ack) == syn counter
    }
}";

/// A pod dies without a word, and while the others still take its links for living, its address goes to a node of another
/// cluster. They lose the old one, once, and leave the new one alone, until Kubernetes says that it is one of theirs.
pub(crate) fn an_address_is_given_to_another_pod(cluster: &Cluster, namespace: &str) -> Result<()> {
    let web = Workload::new("web", Kind::Member).replicas(3);
    let web = with_ticks(web).start(cluster, namespace)?;
    web.wait_whole(SOON)?;
    let mut pods = web.pods()?;
    let victim = pods.remove(0);
    let witnesses: Vec<Witness> = pods.iter().map(Witness::of).collect::<Result<_>>()?;
    die_silently(cluster, &victim)?;
    web.wait_ready(3)?;
    let heir = take_over(cluster, namespace, victim.ip())?;
    heir.nft(COUNT)?;
    web.wait_whole(SOON)?;
    let lost = format!("-{}", victim.node());
    for witness in &witnesses {
        poll_until("the old pod is lost", SOON, || {
            let told = witness.changes();
            let went: Vec<_> = told.iter().filter(|it| it.starts_with('-')).collect();
            ensure!(went == [&lost], "{} tells {told:?}", witness.node);
            let again = format!("+{}", victim.node());
            ensure!(!told.contains(&again), "{} tells {told:?}", witness.node);
            Ok(())
        })?;
    }
    wait_left_alone(&heir)?;
    let said = heir.log()?;
    poll_until("the log is read", SOON, || {
        ensure!(!said.log().is_empty(), "not yet");
        Ok(())
    })?;
    let said = said.log();
    ensure!(
        said.iter().all(|record| record["node"].is_null()),
        "the heir was troubled: {said:#?}"
    );
    a_pod_that_is_no_such_node_is_told(cluster, namespace, &witnesses, &victim, &heir)
}

/// Its label says that it is one of the cluster; its node has another name. A warning says so, once, and the dials end when the
/// label is right.
fn a_pod_that_is_no_such_node_is_told(
    cluster: &Cluster,
    namespace: &str,
    witnesses: &[Witness],
    old: &Pod<'_>,
    heir: &Pod<'_>,
) -> Result<()> {
    let marks: Vec<usize> = witnesses.iter().map(|it| it.records().len()).collect();
    let label = |label: &str| {
        cluster.kubectl([
            "label",
            "pod",
            heir.name(),
            "-n",
            namespace,
            "--overwrite",
            label,
        ])
    };
    label("app=web")?;
    for (witness, mark) in witnesses.iter().zip(&marks) {
        poll_until("a warning tells it", SOON, || {
            let said = witness.records().split_off(*mark);
            let about = |record: &&Value| record["level"] == "WARN" && record["node"] == old.node();
            let warnings: Vec<&Value> = said.iter().filter(about).collect();
            // The network may take a while to know whose address it is now, and that is another reason.
            let reasons: BTreeSet<String> = warnings
                .iter()
                .map(|warning| warning["reason"].to_string())
                .collect();
            let helps = |warning: &&&Value| {
                let hint = warning["hint"].as_str().unwrap_or_default();
                hint.contains("another name")
            };
            ensure!(
                warnings.iter().filter(helps).count() == 1 && reasons.len() == warnings.len(),
                "{} says {warnings:#?}",
                witness.node
            );
            Ok(())
        })?;
    }
    label("app=heir")?;
    wait_left_alone(heir)
}

/// Waits until nobody knows the heir by the old name any more. The pod that took the old one's place has heard of it from the
/// others, who did not know of its end, and is to give it up when it has met the heir there a few times.
fn wait_left_alone(heir: &Pod<'_>) -> Result<()> {
    let mut counts = vec![dials(heir)?];
    poll_until("nobody dials the heir by the old name", GIVEN_UP, || {
        thread::sleep(ANY_DIAL);
        let (before, after) = (counts[counts.len() - 1], dials(heir)?);
        counts.push(after);
        ensure!(before == after, "it is still dialled: {counts:?}");
        Ok(())
    })
}

/// No packet tells its end, and its address is free.
fn die_silently(cluster: &Cluster, pod: &Pod<'_>) -> Result<()> {
    pod.nft(SILENT)?;
    pod.delete_now()?;
    let lease = leases(cluster).join(pod.ip());
    poll_until("the address is free", SOON, || {
        ensure!(!lease.exists(), "it is still given away");
        Ok(())
    })
}

/// The folder in which the network plugin keeps who has which address.
fn leases(cluster: &Cluster) -> PathBuf {
    cluster.folder().join("addresses/enmesh")
}

/// A node of another name at this address. The plugin gives addresses away in turn, so the last one is set back.
fn take_over<'c>(cluster: &'c Cluster, namespace: &str, ip: &str) -> Result<Pod<'c>> {
    let address: Ipv4Addr = ip.parse()?;
    let before = Ipv4Addr::from(u32::from(address) - 1);
    let last = leases(cluster).join("last_reserved_ip.0");
    fs::write(&last, before.to_string())?;
    let heir = Workload::new("heir", Kind::Member).start(cluster, namespace)?;
    let pod = heir.pods()?.pop().context("the heir has a pod")?;
    ensure!(pod.ip() == ip, "it has {}, and not {ip}", pod.ip());
    Ok(pod)
}

/// How many connections others have opened to it.
fn dials(pod: &Pod<'_>) -> Result<u64> {
    let output = pod
        .command("nft")
        .args(["--json", "list", "table", "inet", "dials"])
        .output()?;
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let objects = said["nftables"].as_array().into_iter().flatten();
    let words = objects.filter_map(|object| object["rule"]["expr"].as_array());
    let count = words
        .flatten()
        .find_map(|word| word["counter"]["packets"].as_u64());
    count.with_context(|| format!("no counter in {said}"))
}
