//! What is told of the minute.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Deployment, FaultLogs, Kind, Names, Otp, Workload, poll_until};
use serde_json::Value;

use crate::outage::Outage;
use crate::{HEALED, SOON};

/// What is told of the minute itself. A server that starts on a busy machine may take a connection and let ten seconds pass.
/// That it refuses everybody before it has read the Roles is told nobody.
const AWAY: [&[&str]; 2] = [&["unreachable"], &["unreachable", "timed_out"]];

/// Members and steered nodes with a lookup and a kind of name each, two pods of a kind; and one cluster of both.
fn of_each_lookup() -> [Workload<'static>; 4] {
    let (member, beams) = (Kind::Member, Kind::Steered(Otp::R27));
    [
        (
            "slices",
            "slices",
            member,
            "endpointslices",
            Names::Hostname,
        ),
        ("pods", "pods", member, "pods", Names::Pod),
        ("beams", "mixed", beams, "endpoints", Names::Dns),
        ("beside", "mixed", member, "endpointslices", Names::Dns),
    ]
    .map(|(name, group, kind, lookup, names)| {
        let workload = Workload::new(name, kind).group(group).lookup(lookup);
        workload.names(names).replicas(2)
    })
}

/// All of them, whole.
fn start<'c>(
    workloads: &[Workload<'_>],
    cluster: &'c Cluster,
    namespace: &str,
) -> Result<(Vec<Deployment<'c>>, Vec<FaultLogs>)> {
    let mut all = Vec::new();
    for workload in workloads {
        all.push(workload.begin(cluster, namespace)?);
    }
    let mut witnesses = Vec::new();
    for web in &all {
        web.wait_ready(2)?;
        web.wait_whole(SOON)?;
        witnesses.push(FaultLogs::of(web)?);
    }
    Ok((all, witnesses))
}

/// Who comes afterwards is found, as ever.
pub(crate) fn gone_for_a_minute(cluster: &Cluster, namespace: &str, outage: &Outage) -> Result<()> {
    let (all, witnesses) = start(&of_each_lookup(), cluster, namespace)?;
    outage.begin()?;
    for pods in &witnesses {
        // One that is being ended may still answer that it is.
        let words = ["https://10.96.0.1", "kubectl get --raw /readyz"];
        pods.told(SOON, "unreachable", &words)?;
    }
    let back = outage.end()?;
    for web in &all {
        web.begin_scale(3)?;
    }
    for (web, pods) in all.iter().zip(&witnesses) {
        pods.well(back, HEALED)?;
        web.wait_ready(3)?;
        web.wait_whole(SOON)?;
        pods.check_any(&AWAY, 1)?;
    }
    Ok(())
}

/// A watch that runs is not authorised anew, so only the next one shows that the Role is gone.
pub(crate) fn a_role_that_is_taken_away(
    cluster: &Cluster,
    namespace: &str,
    outage: &Outage,
) -> Result<()> {
    let workloads = of_each_lookup();
    let (all, witnesses) = start(&workloads, cluster, namespace)?;
    let args = ["delete", "rolebinding", "--all", "-n", namespace];
    cluster.kubectl(args)?;
    for pods in &witnesses {
        pods.nothing_happens(Duration::from_secs(1))?;
    }
    outage.begin()?;
    outage.end()?;
    for (web, pods) in all.iter().zip(&witnesses) {
        let binding = format!("--serviceaccount={namespace}:{}", web.name());
        pods.told(SOON, "forbidden", &["create rolebinding", &binding])?;
    }
    // Who comes while nobody may read is found when the Role is back.
    all[1].scale(3)?;
    let mended = std::time::Instant::now();
    for workload in &workloads {
        let mut list = workload.objects(namespace);
        let items = list["items"].as_array_mut().expect("a List has items");
        items.retain(|item| item["kind"] == "RoleBinding");
        cluster.apply(&list)?;
    }
    let told = AWAY.map(|kinds| [kinds, &["forbidden"]].concat());
    let told = [&told[0][..], &told[1][..]];
    for (web, pods) in all.iter().zip(&witnesses) {
        pods.well(mended, HEALED)?;
        web.wait_whole(SOON)?;
        pods.check_any(&told, 1)?;
    }
    Ok(())
}

/// A member sleeps while its watch ends and the server goes and comes, and etcd's history is thrown away. It wakes, goes on from
/// where it was, is told 410, and lists everything anew without a word.
pub(crate) fn a_history_that_is_gone(
    cluster: &Cluster,
    namespace: &str,
    outage: &Outage,
) -> Result<()> {
    let member = |name| {
        let workload = Workload::new(name, Kind::Member).group("web");
        let patient = ["--net-ticktime", "300s", "--log-level", "debug"];
        workload.names(Names::Srv).args(patient)
    };
    let (all, _) = start(&[member("web").replicas(2)], cluster, namespace)?;
    let pods = all[0].pods()?;
    let [sleeper, other] = &pods[..] else {
        anyhow::bail!("there are two pods, not {}", pods.len());
    };
    let awake = FaultLogs::of_pod(other)?;
    let asleep = FaultLogs::of_pod(sleeper)?;
    sleeper.freeze("enmesh")?;
    outage.begin()?;
    let back = outage.end()?;
    // Something new in the slice, and no way back to what was before it.
    member("third").start(cluster, namespace)?;
    let revision = compact(cluster)?;
    awake.well(back, HEALED)?;
    let log = sleeper.log()?;
    let mark = log.mark();
    sleeper.thaw("enmesh")?;
    let gone = "our place in the API's history is gone (410), so everything is listed anew";
    log.wait_from(mark, SOON, |record| record["message"] == gone)
        .with_context(|| format!("{} resumed all the same", sleeper.name()))?;
    println!("  etcd's history before {revision} is gone, and a member was told so");
    all[0].wait_whole(SOON)?;
    awake.connected_with(2, SOON)?;
    awake.check_any(&AWAY, 1)?;
    asleep.connected_with(2, SOON)?;
    asleep.check(&[], 0)
}

/// Throws the history away that etcd has, as the API server does every five minutes.
fn compact(cluster: &Cluster) -> Result<String> {
    let args = ["get", "--raw", "/api/v1/namespaces/default/pods?limit=1"];
    let list: Value = serde_json::from_str(&cluster.kubectl(args)?)?;
    let revision = list["metadata"]["resourceVersion"]
        .as_str()
        .context("a list has a version")?;
    let mut command = cluster.command("curl");
    command.args(["--fail", "--silent", "--show-error", "--data"]);
    command.arg(format!("{{\"revision\": \"{revision}\"}}"));
    command.arg("http://127.0.0.1:2379/v3/kv/compaction");
    let output = poll_until("etcd answers", SOON, || Ok(command.output()?))?;
    ensure!(output.status.success(), "{output:?}");
    Ok(revision.to_owned())
}
