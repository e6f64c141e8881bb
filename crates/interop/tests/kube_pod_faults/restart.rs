//! Containers that die and are started again in the same pod: the same name at the same address, another life.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use enmesh_interop::{Cluster, Deployment, Names, Pod, poll_until};
use serde_json::Value;

use super::witness::{SOON, Witness, wait_back};
use super::{first_of, mixed};

/// Far below net_ticktime, which is 60 s here: nobody waits for the old link's end.
const NOT_BY_TICKS: Duration = Duration::from_secs(40);
/// What keeps a dying pod's network from telling anybody, as when its machine loses power.
pub(crate) const SILENT: &str = "table inet silent {
    chain out {
        type filter hook output priority 0
        oif lo accept
        tcp flags & (fin | rst) != 0 drop
    }
}";

/// The network tells the end of the old links at once.
pub(crate) fn a_pod_is_started_again_in_place(
    cluster: &Cluster,
    namespace: &str,
    names: Names,
) -> Result<()> {
    story(cluster, namespace, names, false)
}

/// The old links are up as far as anybody knows when the new life dials, and is dialled.
pub(crate) fn a_pod_dies_without_a_word_and_is_started_again(
    cluster: &Cluster,
    namespace: &str,
    names: Names,
) -> Result<()> {
    story(cluster, namespace, names, true)
}

fn story(cluster: &Cluster, namespace: &str, names: Names, silent: bool) -> Result<()> {
    let all = mixed(cluster, namespace, names, &|workload| workload)?;
    let [rust, erlang] = &all;
    for (deployment, container) in [(rust, "enmesh"), (erlang, "beam")] {
        let victim = first_of(deployment)?;
        let before = creation(&victim, container)?;
        let witnesses = Witness::all(&all)?;
        if silent {
            victim.nft(SILENT)?;
        }
        let begin = Instant::now();
        victim.kill(container)?;
        wait_back(&witnesses, victim.node())?;
        let took = begin.elapsed();
        println!("{container}, silent: {silent}: back everywhere after {took:?}");
        ensure!(took < NOT_BY_TICKS, "it took {took:?}");
        ensure!(victim.restarts(container)? == 1, "it was started again");
        let after = creation(&victim, container)?;
        ensure!(before != after, "its creation is {before} as before");
        deployment.wait_ready(2)?;
        deployment.wait_whole(SOON)?;
        all_answer(erlang, &victim)?;
        if silent {
            victim.nft("delete table inet silent")?;
        }
    }
    Ok(())
}

/// What tells one life of a node from another.
fn creation(pod: &Pod<'_>, container: &str) -> Result<String> {
    if container == "beam" {
        return pod.eval("erlang:system_info(creation)");
    }
    let started = |record: &Value| record["message"] == "node started";
    let record = pod.log()?.wait_for(SOON, started)?;
    Ok(record["creation"].to_string())
}

/// Every Erlang node talks with the new life: a stale link would take what it is given and answer nothing.
fn all_answer(erlang: &Deployment<'_>, victim: &Pod<'_>) -> Result<()> {
    for pod in erlang.pods()? {
        if pod.node() == victim.node() {
            continue;
        }
        let ask = format!("net_adm:ping('{}')", victim.node());
        poll_until("the new life answers", SOON, || {
            let answer = pod.eval(&ask)?;
            thread::sleep(Duration::from_millis(200));
            ensure!(answer == "pong", "{} hears {answer}", pod.node());
            Ok(())
        })?;
    }
    Ok(())
}
