//! The workloads of one case, as one cluster, with a witness beside them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use enmesh_interop::{
    Case, Cluster, Crew, Deployment, Kind, Life, Rest, Story, Witness, Workload, full, poll_until,
    scenarios_at_once,
};

/// By when every log says that the cluster is whole, with both cores busy: DNS answers change when their TTL is over.
const SOON: Duration = Duration::from_secs(120);

/// Warnings that belong to a pod's beginning and end: it has its address before its node listens, and an agent runs before its node
/// and after it. Who has not its peers yet, or lets them go, is not ready; neither is who waits for its turn on a busy machine.
const EXPECTED: [&str; 4] = [
    "no longer ready",
    "cannot connect to node; trying again quietly",
    "cannot attach to the node; waiting for it quietly",
    "the node is lost to us; its links are as they were, as far as we know",
];

/// By when the last lines of the logs are written.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What is on stage.
pub(crate) struct Stage<'c> {
    pub(crate) deployments: Vec<Deployment<'c>>,
    witness: Witness,
}

impl<'c> Stage<'c> {
    /// Starts the case with so many pods; `dress` may change each workload.
    pub(crate) fn set(
        cluster: &'c Cluster,
        namespace: &str,
        case: Case,
        pods: u32,
        dress: impl Fn(Workload<'static>) -> Workload<'static>,
    ) -> Result<Self> {
        let witness = Witness::start(cluster, namespace)?;
        let otp = case.otp();
        let kinds: &[(&str, Kind)] = match case.crew {
            Crew::Members => &[("web", Kind::Member)],
            Crew::Steered => &[("web", Kind::Steered(otp))],
            Crew::Mixed => &[("rust", Kind::Member), ("beam", Kind::Steered(otp))],
        };
        let mut deployments = Vec::new();
        for ((name, kind), replicas) in kinds.iter().zip(shares(pods, kinds.len())) {
            let mut workload = Workload::new(name, *kind)
                .group("web")
                .names(case.names)
                .lookup(case.lookup)
                .replicas(replicas)
                // An address may have been another cluster's a moment ago.
                .cookie(namespace)
                .args(["--log-level", "debug"]);
            if matches!(kind, Kind::Steered(_)) && case.story == Story::Scaling {
                // All links of a node that ends fall together, so that `global` elsewhere cuts none for its sake. In a roll-out
                // somebody comes at that moment, whose `global` may bring a node back that still runs.
                workload = workload.args(["--on-leave", "disconnect"]);
            }
            deployments.push(dress(workload).begin(cluster, namespace)?);
        }
        let stage = Self {
            deployments,
            witness,
        };
        stage.wait_ready(pods)?;
        Ok(stage)
    }

    /// Waits until the cluster is whole, and says of whom.
    pub(crate) fn rest(&self) -> Result<Rest> {
        self.deployments[0].wait_whole(SOON)?;
        let mut nodes = BTreeSet::new();
        for deployment in &self.deployments {
            nodes.extend(deployment.nodes()?);
        }
        self.wait_told(&nodes)?;
        let at = SystemTime::now();
        Ok(Rest { at, nodes })
    }

    /// Waits until each BEAM says itself what its agent says of it: where processors are scarce it may be long in beginning to.
    fn wait_told(&self, nodes: &BTreeSet<String>) -> Result<()> {
        poll_until("each BEAM tells who is there", SOON, || {
            for life in self.witness.testimony()? {
                let is_over = life.terminating.is_some() || !life.logs.contains_key("beam");
                if is_over || !nodes.contains(&life.node_log("enmesh")?.node) {
                    continue;
                }
                let beam = life.node_log("beam")?;
                let told = beam.replay()?.len();
                let others = nodes.len() - 1;
                ensure!(told == others, "{} of {others} by {}", told, life.pod);
            }
            Ok(())
        })
    }

    /// Judges what happened to every pod. Of what is refused all that was logged is left in a file, which the error names.
    pub(crate) fn judge(&self, judge: impl Fn(&[Life]) -> Result<()>) -> Result<()> {
        let outcome = poll_until("the logs tell the story", LAST_WORDS, || {
            let lives = self.witness.testimony()?;
            lives.iter().try_for_each(ensure_calm)?;
            judge(&lives)
        });
        outcome.or_else(|error| {
            let path = self.keep_logs()?;
            Err(error.context(format!("what was logged is in {}", path.display())))
        })
    }

    /// Writes all lines of all pods into a file, in the order of their times.
    fn keep_logs(&self) -> Result<PathBuf> {
        let lives = self.witness.testimony()?;
        let mut lines = Vec::new();
        for life in &lives {
            for (container, log) in &life.logs {
                lines.extend(
                    log.iter()
                        .map(|line| (line.at, &life.pod, container, &line.text)),
                );
            }
        }
        lines.sort_by_key(|(at, ..)| *at);
        let mut text = format!("{:#?}\n", lives.iter().map(Life::times).collect::<Vec<_>>());
        for (at, pod, container, line) in lines {
            let at = humantime::format_rfc3339_millis(at);
            text += &format!("{at} {pod} {container} {line}\n");
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(format!("{}.log", self.deployments[0].namespace()));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Waits until exactly so many pods in all are ready.
    pub(crate) fn wait_ready(&self, pods: u32) -> Result<()> {
        for (deployment, replicas) in self.shared(pods) {
            deployment.wait_ready(replicas)?;
        }
        Ok(())
    }

    /// Each workload with its part of so many pods.
    pub(crate) fn shared(&self, pods: u32) -> impl Iterator<Item = (&Deployment<'c>, u32)> {
        self.deployments
            .iter()
            .zip(shares(pods, self.deployments.len()))
    }
}

/// No container was started again, and nobody has anything to complain about.
fn ensure_calm(life: &Life) -> Result<()> {
    ensure!(life.restarts == 0, "{} was started again", life.pod);
    for line in life.logs.get("enmesh").into_iter().flatten() {
        let Some(record) = &line.record else {
            anyhow::bail!("{} logs what is no record: {}", life.pod, line.text);
        };
        let is_calm = !matches!(record["level"].as_str(), Some("WARN" | "ERROR"));
        let message = record["message"].as_str().unwrap_or_default();
        ensure!(
            is_calm || EXPECTED.contains(&message) || is_early(record),
            "{} complains: {record}",
            life.pod
        );
    }
    Ok(())
}

/// DNS has no name yet for a Service whose first pod has just begun.
fn is_early(record: &serde_json::Value) -> bool {
    let message = "topology cannot be read; its last good answer stays in force";
    let by_dns = ["kubernetes_dns", "kubernetes_dns_srv"].map(|source| record["source"] == source);
    by_dns.contains(&true) && record["message"] == message && record["peers"] == 0
}

/// Each workload's part of all pods; the first has one more where they cannot be equal.
fn shares(pods: u32, workloads: usize) -> Vec<u32> {
    let workloads = u32::try_from(workloads).expect("there are one or two workloads");
    (0..workloads)
        .map(|workload| (pods + workloads - 1 - workload) / workloads)
        .collect()
}

/// Runs the cases of these stories, so many side by side: those where CoreDNS names endpoints after pods, then the others.
pub(crate) fn play(
    cluster: &Cluster,
    stories: impl Fn(Story) -> bool,
    at_once: usize,
    story: impl Fn(&Cluster, &str, Case) -> Result<()> + Sync,
) {
    let mut cases = Case::of(stories, full());
    // Who takes longest begins first.
    cases.sort_by_key(|case| std::cmp::Reverse(case.cost()));
    println!("{} cases", cases.len());
    let corefile = cluster.corefile().unwrap();
    for pod_names in [true, false] {
        let line = "endpoint_pod_names\n";
        assert!(corefile.contains(line), "{corefile}");
        if !pod_names {
            let without: String = corefile.replace(line, "\n");
            cluster.restart_dns(&without).unwrap();
        }
        let cases: Vec<Case> = cases
            .iter()
            .filter(|case| case.pod_names == pod_names)
            .copied()
            .collect();
        let labels: Vec<String> = cases.iter().map(Case::label).collect();
        let tell = |case: Case| {
            let story = &story;
            move |cluster: &Cluster, namespace: &str| story(cluster, namespace, case)
        };
        let tellers: Vec<_> = cases.iter().map(|case| tell(*case)).collect();
        let all: Vec<enmesh_interop::Scenario<'_>> = labels
            .iter()
            .zip(&tellers)
            .map(|(label, teller)| (label.as_str(), teller as _))
            .collect();
        scenarios_at_once(cluster, at_once, &all);
    }
}
