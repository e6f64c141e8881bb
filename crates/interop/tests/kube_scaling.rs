//! `kubectl scale` 1 → 3 → 10 → 2: every log holds exactly the comings and goings that the story has, each with the list of
//! who is there then.

#[path = "kube_stories/stage.rs"]
mod stage;

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Case, Cluster, Life, Rest, Story, ensure_follows};

use stage::Stage;

/// How many cases run side by side: ten pods each, of the 250 that the node may have.
const AT_ONCE: usize = 5;
/// The story, but for its first number.
const STEPS: [u32; 3] = [3, 10, 2];

#[test]
fn every_log_tells_the_story_of_scaling_and_nothing_else() {
    let cluster = Cluster::start().unwrap();
    stage::play(&cluster, |story| story == Story::Scaling, AT_ONCE, scaling);
}

fn scaling(cluster: &Cluster, namespace: &str, case: Case) -> Result<()> {
    let stage = Stage::set(cluster, namespace, case, 1, |workload| workload)?;
    let mut rests = vec![stage.rest()?];
    for pods in STEPS {
        for (deployment, replicas) in stage.shared(pods) {
            deployment.begin_scale(replicas)?;
        }
        stage.wait_ready(pods)?;
        rests.push(stage.rest()?);
        let expected = usize::try_from(pods)?;
        ensure!(
            rests
                .last()
                .is_some_and(|rest| rest.nodes.len() == expected)
        );
    }
    stage.judge(|lives| ensure_told(lives, &rests))
}

fn ensure_told(lives: &[Life], rests: &[Rest]) -> Result<()> {
    ensure!(lives.len() == 10, "there were {} pods", lives.len());
    for life in lives {
        let log = life.node_log("enmesh")?;
        let of_pod = || format!("pod {}", life.pod);
        ensure_follows(&log, rests).with_context(of_pod)?;
        let listless = log.changes.iter().find(|change| change.cluster.is_none());
        ensure!(
            listless.is_none(),
            "{} does not say who is there then: {listless:?}",
            life.pod
        );
        if life.logs.contains_key("beam") {
            let beam = life.node_log("beam")?;
            beam.replay().with_context(of_pod)?;
            log.ensure_agrees(&beam).with_context(of_pod)?;
        }
    }
    Ok(())
}
