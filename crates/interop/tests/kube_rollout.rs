//! Rolling updates and `rollout restart`: the cluster never falls into halves, each departure is seen once and at once, and
//! nobody dials a pod that is to end.

#[path = "kube_stories/stage.rs"]
mod stage;

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Case, Cluster, Crew, Life, Lived, Names, Nodes, Story, Workload};
use serde_json::json;

use stage::Stage;

/// How many cases run side by side.
const AT_ONCE: usize = 5;
/// A departure is seen within this time of its cause, and after it nobody is dialled who is to end.
const PROMISE: Duration = Duration::from_secs(1);
/// Where all of this machine's processors are busy, a process waits for its turn now and then. Most do not, and to see a departure
/// by a tick or by a connection that times out takes longer.
const WAITS_FOR_ITS_TURN: Duration = Duration::from_secs(4);
/// The same for a dial that is under way when the event comes, and between two records of one node.
const ALLOWANCE: Duration = Duration::from_secs(1);
/// How long CoreDNS's answers count.
const TTL: Duration = Duration::from_secs(5);
/// The agent reads of its pod's end by a watch of its own, which may be told before ours is.
const TOLD_BEFORE: Duration = Duration::from_millis(500);

#[test]
fn rollouts_leave_one_cluster_and_every_departure_is_seen_once() {
    let cluster = Cluster::start().unwrap();
    stage::play(&cluster, |story| story != Story::Scaling, AT_ONCE, rollout);
}

fn rollout(cluster: &Cluster, namespace: &str, case: Case) -> Result<()> {
    let pods = match case.crew {
        Crew::Members => 5,
        Crew::Steered => 3,
        Crew::Mixed => 4,
    };
    let stage = Stage::set(cluster, namespace, case, pods, |workload| {
        probed(workload, case)
    })?;
    let first = stage.rest()?;
    for deployment in &stage.deployments {
        match case.story {
            Story::Restart => deployment.begin_restart()?,
            _ => {
                let kind = match case.names {
                    Names::Hostname => "statefulset",
                    _ => "deployment",
                };
                let reference = format!("{kind}/{}", deployment.name());
                let args = ["set", "env", &reference, "STORY=new", "-n", namespace];
                cluster.kubectl(args).map(drop)?;
            }
        }
    }
    for deployment in &stage.deployments {
        deployment.wait_rolled_out()?;
    }
    stage.rest()?;
    stage.judge(|lives| {
        let wanted = usize::try_from(2 * pods)?;
        ensure!(lives.len() == wanted, "there were {} pods", lives.len());
        let nodes = nodes(case.lookup, lives)?;
        for lived in &nodes.all {
            lived.log.replay()?;
        }
        nodes.ensure_never_halved(&first.nodes)?;
        let ended = nodes.all.iter().filter(|lived| lived.ended.is_some());
        ensure!(ended.count() == first.nodes.len(), "some have not ended");
        let waits = nodes.ensure_departures(PROMISE, WAITS_FOR_ITS_TURN)?;
        let late = nodes.ensure_no_late_dial(PROMISE, ALLOWANCE)?;
        println!(
            "{namespace}: {} departures seen after their ends, by median {:?}, at last {:?}; {late} dials too late",
            waits.len(),
            waits[waits.len() / 2],
            waits.last()
        );
        ensure_dials_are_told(lives)?;
        lives.iter().try_for_each(ensure_beam_agrees)?;
        probes_did_their_work(case.story, lives)?;
        let events = cluster.events(namespace)?;
        let failed = events
            .iter()
            .filter(|event| event.starts_with("FailedPreStopHook"));
        let failed: Vec<&String> = failed.collect();
        ensure!(failed.is_empty(), "{failed:?}");
        Ok(())
    })
}

/// Members and agents tell of their dials, in which a late one would be seen.
fn ensure_dials_are_told(lives: &[Life]) -> Result<()> {
    for has_beam in [false, true] {
        let mut of_kind = lives
            .iter()
            .filter(|life| life.logs.contains_key("beam") == has_beam)
            .peekable();
        let is_absent = of_kind.peek().is_none();
        let tells = |life: &Life| life.said("enmesh", "connecting to node").is_some();
        ensure!(
            is_absent || of_kind.any(tells),
            "nobody tells of a dial, with a BEAM: {has_beam}"
        );
    }
    Ok(())
}

/// A BEAM's own log says of its peers what its agent's says.
fn ensure_beam_agrees(life: &Life) -> Result<()> {
    if !life.logs.contains_key("beam") {
        return Ok(());
    }
    let beam = life.node_log("beam")?;
    beam.replay()?;
    life.node_log("enmesh")?.ensure_agrees(&beam)
}

/// enmesh's own probes; and at a restart a last word before the end, which finds the node by the pod's variables, where an update
/// leaves it to SIGTERM.
fn probed(workload: Workload<'static>, case: Case) -> Workload<'static> {
    let mode = case.names.word();
    let leave = [
        "/enmesh",
        "leave",
        "--name",
        "web",
        "--name-mode",
        mode,
        "--cookie-file",
        "/etc/enmesh/cookie",
    ];
    let flags = ["--http-listen", "$(POD_IP):9369", "--min-peers", "1"];
    workload.args(flags).patch_pods(move |template| {
        let probe = |path: &str, period: u32| {
            json!({"httpGet": {"path": path, "port": 9369}, "periodSeconds": period, "timeoutSeconds": 10})
        };
        for list in ["initContainers", "containers"] {
            let containers = template["spec"][list].as_array_mut();
            for container in containers.into_iter().flatten() {
                if container["name"] != "enmesh" {
                    continue;
                }
                container["readinessProbe"] = probe("/readyz", 1);
                container["livenessProbe"] = probe("/livez", 5);
                // Whoever waits for a processor is not dead.
                container["livenessProbe"]["failureThreshold"] = json!(12);
                if case.story == Story::Restart {
                    container["lifecycle"] = json!({"preStop": {"exec": {"command": leave}}});
                }
            }
        }
    })
}

fn nodes(lookup: &str, lives: &[Life]) -> Result<Nodes> {
    let all: Result<Vec<Lived>> = lives.iter().map(|life| lived(lookup, life)).collect();
    Ok(Nodes { all: all? })
}

fn lived(lookup: &str, life: &Life) -> Result<Lived> {
    let began = life.began.context("a pod has a first event")?;
    let log = life.node_log("enmesh")?;
    let mut lived = Lived {
        log,
        terminating: told_terminating(lookup, life),
        leaving: None,
        ended: None,
        began,
    };
    let Some(terminating) = life.terminating else {
        return Ok(lived);
    };
    if life.logs.contains_key("beam") {
        let ended = life.ends.get("beam").context("its end was not told")?;
        lived.leaving = Some(terminating - TOLD_BEFORE);
        lived.ended = Some(*ended);
    } else {
        let stopping = life.said("enmesh", "stopping");
        lived.leaving = Some(stopping.context("a member says that it stops")?);
        lived.ended = lived.leaving;
    }
    Ok(lived)
}

/// When those who look by this way could know that a pod is to end.
fn told_terminating(lookup: &str, life: &Life) -> Option<SystemTime> {
    match lookup {
        "endpointslices" | "auto" => life.slice_terminating.or(life.terminating),
        "pods" => life.terminating,
        // Endpoints do not say it where unready addresses are published: the address stays until the pod is gone.
        "endpoints" => life.gone,
        _ => life.gone.map(|gone| gone + TTL),
    }
}

/// Nobody was ready before it had a peer, though the record of the peer may come a moment after that of being ready; and members
/// ended by the hook's word, or by SIGTERM where there is none.
fn probes_did_their_work(story: Story, lives: &[Life]) -> Result<()> {
    let cause = match story {
        Story::Restart => "leave",
        _ => "SIGTERM",
    };
    for life in lives {
        let pod = &life.pod;
        let met = life
            .said("enmesh", "node connected")
            .context("it met somebody")?;
        if let Some(ready) = life.ready {
            ensure!(
                met <= ready + ALLOWANCE,
                "{pod} was ready {:?} before it met anybody",
                met.duration_since(ready)
            );
        }
        if life.terminating.is_some() && !life.logs.contains_key("beam") {
            let lines = life.logs["enmesh"].iter();
            let stopping = lines
                .filter_map(|line| line.record.as_ref())
                .find(|record| record["message"] == "stopping")
                .context("a member says that it stops")?;
            ensure!(stopping["cause"] == cause, "{pod}: {stopping}");
        }
    }
    Ok(())
}
