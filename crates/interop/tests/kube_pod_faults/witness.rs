//! What the pods of a cluster tell of each other from some moment on.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use enmesh_interop::{Deployment, MemberLog, Pod, poll_until};
use serde_json::Value;

/// By when whatever was begun has come to its end, with both processors busy.
pub(crate) const SOON: Duration = Duration::from_secs(90);
/// How long nothing more may be told once all is well.
const CALM: Duration = Duration::from_secs(4);

/// One node's log, and how much of it was told before the story.
pub(crate) struct Witness {
    pub(crate) node: String,
    log: MemberLog,
    from: usize,
    /// What its BEAM says, where it is one, and how much of it was said before the story.
    beam: Option<(MemberLog, usize)>,
}

impl Witness {
    /// From now on.
    pub(crate) fn of(pod: &Pod<'_>) -> Result<Self> {
        let log = pod.log()?;
        // The file is read by another thread, which has to come to its end.
        let from = poll_until("the log is read", SOON, || {
            let (read, written) = (log.cluster(), pod.connected()?);
            ensure!(read == written, "{read:?} is read of {written:?}");
            Ok(log.log().len())
        })?;
        let beam = pod.log_of("beam").ok();
        Ok(Self {
            node: pod.node().to_owned(),
            log,
            from,
            beam: beam.map(|log| {
                let from = log.output().all().len();
                (log, from)
            }),
        })
    }

    /// Of each pod, from now on.
    pub(crate) fn all(deployments: &[Deployment<'_>]) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for deployment in deployments {
            for pod in deployment.pods()? {
                all.push(Self::of(&pod)?);
            }
        }
        Ok(all)
    }

    /// Everything told since the beginning of the story.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.log.log().split_off(self.from)
    }

    /// `+NODE` for each that came and `-NODE` for each that went, in order.
    pub(crate) fn changes(&self) -> Vec<String> {
        let change = |record: &Value| {
            let node = record["node"].as_str()?;
            match record["message"].as_str()? {
                "node connected" => Some(format!("+{node}")),
                "node disconnected" => Some(format!("-{node}")),
                _ => None,
            }
        };
        self.records().iter().filter_map(change).collect()
    }

    /// Why nodes went.
    pub(crate) fn reasons(&self) -> BTreeSet<String> {
        let records = self.records();
        let went = records
            .iter()
            .filter(|record| record["message"] == "node disconnected");
        went.filter_map(|record| Some(record["reason"].as_str()?.to_owned()))
            .collect()
    }

    /// How often its BEAM has had links cut since, as `global` does where it takes the old life's end for a partition.
    fn cuts(&self) -> usize {
        let Some((log, from)) = &self.beam else {
            return 0;
        };
        let lines = log.output().all();
        let said = lines.iter().skip(*from);
        let is_cut = |line: &&String| line.contains("in order to prevent overlapping partitions");
        said.filter(is_cut).count()
    }

    /// The node went and came back, once, and then again no oftener than BEAMs have had links cut.
    fn ensure_back(&self, node: &str, cuts: usize) -> Result<()> {
        let told = self.changes();
        let once = [format!("-{node}"), format!("+{node}")];
        let times = told.len() / 2;
        ensure!(
            told.iter().eq(once.iter().cycle().take(2 * times)) && (1..=1 + cuts).contains(&times),
            "{} tells {told:?}, and not {once:?}, with {cuts} cuts",
            self.node
        );
        Ok(())
    }

    /// Waits for exactly these changes, in this order.
    pub(crate) fn wait(&self, wanted: &[&str]) -> Result<()> {
        poll_until("a node tells what happened", SOON, || {
            let told = self.changes();
            if told != wanted {
                bail!("{} tells {told:?}, and not {wanted:?}", self.node);
            }
            Ok(())
        })
    }

    /// Waits until each of `others` went once and, if they `came` back, came after that once, in whatever order among them.
    pub(crate) fn wait_for_each(&self, others: &[&str], came: bool) -> Result<()> {
        poll_until("a node tells of all others", SOON, || {
            let told = self.changes();
            let count = if came { 2 } else { 1 };
            ensure!(
                told.len() == others.len() * count,
                "{} tells {told:?}",
                self.node
            );
            for other in others {
                let place = |change: String| told.iter().position(|seen| *seen == change);
                let (went, back) = (place(format!("-{other}")), place(format!("+{other}")));
                let right = went.is_some() && (!came && back.is_none() || came && back > went);
                ensure!(right, "{} tells {told:?} of {other}", self.node);
            }
            Ok(())
        })
    }
}

/// Every one but the victim has lost it, and nobody else.
pub(crate) fn wait_lost(witnesses: &[Witness], victim: &str) -> Result<()> {
    let lost = format!("-{victim}");
    let others = witnesses.iter().filter(|witness| witness.node != victim);
    others
        .into_iter()
        .try_for_each(|witness| witness.wait(&[&lost]))
}

/// Every one but the victim has lost it and has it back, each once and in this order, and again only where `global` has cut
/// it off; and tells no more after that.
pub(crate) fn wait_back(witnesses: &[Witness], victim: &str) -> Result<()> {
    let check = || {
        let cuts = witnesses.iter().map(Witness::cuts).sum();
        let others = witnesses.iter().filter(|witness| witness.node != victim);
        others
            .into_iter()
            .try_for_each(|witness| witness.ensure_back(victim, cuts))
    };
    poll_until("all tell what happened", SOON, check)?;
    thread::sleep(CALM);
    poll_until("all tell what happened", SOON, check)
}
