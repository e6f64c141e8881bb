//! An API server that is away, and one that has forgotten what it told.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Kind, Otp, Workload, poll_until};
use serde_json::Value;

use crate::log::Witnesses;
use crate::{HEALED, SOON};

/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(60);

/// How long a watch lasts over HTTP/1.1, where nothing else would tell that the server has died.
const SHORT_WATCH: Duration = Duration::from_secs(40);

pub(crate) fn gone_for_a_minute(cluster: &Cluster, namespace: &str) -> Result<()> {
    let all = [
        Workload::new("slices", Kind::Member).replicas(2),
        Workload::new("pods", Kind::Member)
            .lookup("pods")
            .replicas(2),
        Workload::new("beams", Kind::Steered(Otp::R27))
            .lookup("endpoints")
            .replicas(2),
    ];
    let all: Result<Vec<_>> = all
        .iter()
        .map(|web| web.begin(cluster, namespace))
        .collect();
    let all = all?;
    for web in &all {
        web.wait_ready(2)?;
        web.wait_whole(SOON)?;
    }
    let witnesses: Result<Vec<_>> = all.iter().map(Witnesses::of).collect();
    let witnesses = witnesses?;
    cluster.kill_api()?;
    let begin = Instant::now();
    for pods in &witnesses {
        let words = ["https://10.96.0.1", "is it up (kubectl get --raw /readyz)"];
        pods.told(SOON, "unreachable", &words)?;
    }
    std::thread::sleep(AWAY.saturating_sub(begin.elapsed()));
    cluster.start_api()?;
    let mended = Instant::now();
    for (web, pods) in all.iter().zip(&witnesses) {
        pods.well(mended, HEALED)?;
        web.scale(3)?;
        web.wait_whole(SOON)?;
        // A server that starts on a busy machine may take a connection and let ten seconds pass.
        // An API server that has just started knows no Role yet, and refuses whoever comes first.
        let told: [&[&str]; 4] = [
            &["unreachable"],
            &["unreachable", "timed_out"],
            &["unreachable", "forbidden"],
            &["unreachable", "timed_out", "forbidden"],
        ];
        pods.check_any(&told, 1)?;
    }
    Ok(())
}

/// A member sleeps through the end of its watch; meanwhile the server is started anew, and etcd's history thrown away. It
/// wakes, goes on from where it was, is told 410, and lists everything anew without a word.
pub(crate) fn a_history_that_is_gone(cluster: &Cluster, namespace: &str) -> Result<()> {
    // Over HTTP/1.1 a watch ends by itself after 40 s; over HTTP/2 it would be 290.
    let old = ["--disable-http2-serving=true".to_owned()];
    cluster.kill_api()?;
    cluster.start_api_with(&old)?;
    let web = Workload::new("web", Kind::Member)
        .args(["--net-ticktime", "300s", "--log-level", "debug"])
        .replicas(2)
        .start(cluster, namespace)?;
    web.wait_whole(SOON)?;
    let witnesses = Witnesses::of(&web)?;
    let pods = web.pods()?;
    let sleeper = &pods[0];
    sleeper.freeze("enmesh")?;
    // Whatever watch it has has ended by then.
    std::thread::sleep(SHORT_WATCH + Duration::from_secs(3));
    cluster.kill_api()?;
    cluster.start_api_with(&old)?;
    // Something new in the slice, and no way back to what was before it.
    let third = Workload::new("third", Kind::Member).group("web");
    let third = third.args(["--net-ticktime", "300s"]);
    third.start(cluster, namespace)?;
    let revision = compact(cluster)?;
    sleeper.thaw("enmesh")?;
    let log = sleeper.log()?;
    let gone = "our place in the API's history is gone (410), so everything is listed anew";
    log.wait_for(SOON, |record| record["message"] == gone)
        .with_context(|| format!("{} resumed all the same", sleeper.name()))?;
    println!(
        "  etcd's history before {revision} is gone, and {} was told so",
        sleeper.name()
    );
    web.wait_whole(SOON)?;
    witnesses.connected_with(2, SOON)?;
    let other = Witnesses::of_pod(sleeper)?;
    other.check(&[], 0)?;
    cluster.kill_api()?;
    cluster.start_api()
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
