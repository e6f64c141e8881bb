//! From a pod that comes to a member joined, and from a pod that goes to its peers' nodedown.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Deployment, Kind, Workload, poll_until};
use serde_json::Value;

use crate::Lookup;
use crate::pod_log::PodLog;
use crate::table::{self, Samples};
use crate::watch::{Told, Watch, now};

/// More than one round takes on a machine that does other things too.
const ROUND: Duration = Duration::from_secs(60);
/// What a size takes that is not measured: pods that start and end.
const SETTLE: Duration = Duration::from_secs(90);
/// Between two rounds, so that one does not meet what the one before has left behind.
const PAUSE: Duration = Duration::from_millis(300);

/// What one round gave, in nanoseconds. A member may be joined before its pod is said to be ready.
#[derive(Clone, Copy, Debug)]
struct Figures {
    ready: i64,
    event: i64,
    both: i64,
    start: i64,
    down: i64,
}

/// One line of the table.
struct Row {
    lookup: &'static str,
    size: u32,
    figures: Vec<Figures>,
}

/// The measurement of every lookup at every size.
pub(crate) struct Joins<'a> {
    cluster: &'a Cluster,
    watch: &'a Watch,
    rounds: usize,
    rows: Vec<Row>,
}

impl<'a> Joins<'a> {
    pub(crate) fn new(cluster: &'a Cluster, watch: &'a Watch, rounds: usize) -> Self {
        Self {
            cluster,
            watch,
            rounds,
            rows: Vec::new(),
        }
    }

    /// Measures one lookup at each size, for as long as there is time.
    pub(crate) fn measure(
        &mut self,
        lookup: Lookup,
        sizes: &[u32],
        deadline: Instant,
    ) -> Result<()> {
        let namespace = format!("bench-{}", lookup.word);
        let first = sizes.first().copied().context("no size is asked for")?;
        let deployment = Workload::new("web", Kind::Member)
            .names(lookup.names)
            .lookup(lookup.word)
            .replicas(first)
            .patch_pods(|template| {
                // A probe would only add its own period to the time at which a pod is ready.
                let container = template.pointer_mut("/spec/containers/0");
                if let Some(container) = container.and_then(Value::as_object_mut) {
                    container.remove("readinessProbe");
                }
            })
            .start(self.cluster, &namespace)?;
        let outcome = self.sizes(lookup, sizes, deadline, &deployment);
        deployment.delete()?;
        poll_until("the pods are gone", SETTLE, || {
            let left = self.watch.pods(&namespace).len();
            ensure!(left == 0, "{left} pods are left");
            Ok(())
        })?;
        outcome
    }

    fn sizes(
        &mut self,
        lookup: Lookup,
        sizes: &[u32],
        deadline: Instant,
        deployment: &Deployment<'_>,
    ) -> Result<()> {
        for size in sizes {
            let mut row = Row {
                lookup: lookup.word,
                size: *size,
                figures: Vec::new(),
            };
            let outcome = self.rounds(lookup, *size, deadline, deployment, &mut row.figures);
            self.rows.push(row);
            outcome?;
        }
        Ok(())
    }

    fn rounds(
        &self,
        lookup: Lookup,
        size: u32,
        deadline: Instant,
        deployment: &Deployment<'_>,
        figures: &mut Vec<Figures>,
    ) -> Result<()> {
        if Instant::now() >= deadline {
            return Ok(());
        }
        deployment.scale(size)?;
        deployment.wait_whole(SETTLE)?;
        for number in 1..=self.rounds {
            if Instant::now() >= deadline {
                break;
            }
            let round = self.round(lookup, size, deployment.namespace())?;
            let ms = |nanoseconds: i64| nanoseconds as f64 / 1e6;
            eprintln!(
                "{} {size} [{number}/{}]: joined {:.1} ms after ready, {:.1} after the event, {:.1} after both, {:.1} after its \
                 container's start; missed after {:.1} ms",
                lookup.word,
                self.rounds,
                ms(round.ready),
                ms(round.event),
                ms(round.both),
                ms(round.start),
                ms(round.down)
            );
            figures.push(round);
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Deletes the oldest pod, and looks how long its peers take to miss it, and to have the one that is made in its place.
    fn round(&self, lookup: Lookup, size: u32, namespace: &str) -> Result<Figures> {
        let before = poll_until("all pods are ready", ROUND, || {
            let pods = self.watch.pods(namespace);
            let count = pods.iter().filter(|pod| is_live(pod)).count();
            let wanted = usize::try_from(size)?;
            ensure!(
                (count, pods.len()) == (wanted, wanted),
                "{count} of {}",
                pods.len()
            );
            Ok(pods)
        })?;
        let (old, others) = before.split_first().context("there are pods")?;
        // Its log goes with the pod.
        let log = self.log(namespace, old)?;
        let (name, _) = log.started().context("a member has no name yet")?;
        let begin = now();
        let delete = ["delete", "pod", old.text("name"), "--wait=false"];
        let within = ["--namespace", namespace];
        self.cluster.kubectl(delete.iter().chain(&within))?;
        let figures = poll_until("the new pod's member is joined", ROUND, || {
            self.look(lookup, namespace, begin, (old, name), others)
        })?;
        poll_until("the old pod is gone", ROUND, || {
            let pods = self.watch.pods(namespace);
            let is_old = |pod: &Told| pod.text("uid") == old.text("uid");
            ensure!(
                !pods.iter().any(is_old),
                "{} is still there",
                old.text("name")
            );
            Ok(())
        })?;
        Ok(figures)
    }

    /// The figures of a round, once everything has happened.
    fn look(
        &self,
        lookup: Lookup,
        namespace: &str,
        begin: i64,
        (old, gone): (&Told, &str),
        others: &[Told],
    ) -> Result<Figures> {
        let pods = self.watch.pods(namespace);
        let known = |pod: &&Told| {
            let same = |other: &Told| other.text("uid") == pod.text("uid");
            same(old) || others.iter().any(same)
        };
        let new = pods.iter().find(|pod| !known(pod) && is_live(pod));
        let new = new.context("the new pod is not ready")?;
        let told = |kind: &str, wanted: &dyn Fn(&Told) -> bool| {
            let all = self.watch.since(begin, kind, namespace);
            let first = all.into_iter().find(|told| wanted(told));
            first.map(|told| told.at)
        };
        let is_new = |told: &Told| told.text("uid") == new.text("uid");
        let is_old = |told: &Told| told.text("uid") == old.text("uid");
        let ready = told("pods", &|pod| is_new(pod) && pod.is("ready"));
        let deleted = told("pods", &|pod| is_old(pod) && pod.is("deleting"));
        // CoreDNS, too, follows the slices.
        let kind = match lookup.word {
            "dns" | "srv" => "endpointslices",
            word => word,
        };
        let event = told(kind, &|object| object.has_address(new.address()));
        let start = self.watch.started(new.container());
        let own = self.log(namespace, new)?;
        let (name, listens) = own.started().context("the new member does not listen")?;
        let (mut joined, mut down) = (listens, begin);
        for pod in others {
            let peer = self.log(namespace, pod)?;
            let (peer_name, _) = peer.started().context("a member does not listen")?;
            let here = peer.time_of(begin, "node connected", name);
            let there = own.time_of(begin, "node connected", peer_name);
            let times = here.zip(there);
            let (here, there) =
                times.with_context(|| format!("{name} and {peer_name} are not connected"))?;
            joined = joined.max(here).max(there);
            let missed = peer.time_of(begin, "node disconnected", gone);
            down = down.max(missed.with_context(|| format!("{peer_name} still has {gone}"))?);
        }
        let event = event.context("the API has not told of the address")?;
        Ok(Figures {
            ready: joined - ready.context("the API has not told that it is ready")?,
            event: joined - event,
            both: joined - event.max(listens),
            start: joined - start.context("containerd has not told of the start")?,
            down: down - deleted.context("the API has not told of the deletion")?,
        })
    }

    fn log(&self, namespace: &str, pod: &Told) -> Result<PodLog> {
        PodLog::read(self.cluster, namespace, pod.text("name"), pod.text("uid"))
    }

    /// The table as Markdown, in milliseconds.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from(
            "| lookup | members | rounds | pod Ready → joined, ms | API's event → joined, ms | event and listening → joined, ms | \
             container start → joined, ms | pod deleted → nodedown, ms |\n|---|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let cell = |pick: fn(&Figures) -> i64| {
                let samples: Samples = row.figures.iter().map(pick).collect();
                samples.cell()
            };
            text += &table::line(&[
                format!("`{}`", row.lookup),
                row.size.to_string(),
                row.figures.len().to_string(),
                cell(|one| one.ready),
                cell(|one| one.event),
                cell(|one| one.both),
                cell(|one| one.start),
                cell(|one| one.down),
            ]);
        }
        text + "\nMilliseconds: median (least to most). Joined: every other member has it, and it has them. A member may be joined\n\
                before its pod is said to be ready, which is a figure below 0.\n"
    }
}

fn is_live(pod: &Told) -> bool {
    pod.is("ready") && !pod.is("deleting") && !pod.container().is_empty()
}
