//! The story: what is done, what must come true of it, and how long that took.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, SystemTime};

use super::DemoError;
use super::api::Api;
use super::member::{ENDED, Members, Record};
use super::pods::Phase;
use super::timeline::{Timeline, millis};

/// Lines of the members' logs that an error shows.
const SHOWN_LINES: usize = 12;
/// How long an error waits for what a member that ended badly had to say.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Tells the story once.
pub(crate) struct Story<'a> {
    api: &'a Api,
    members: &'a mut Members,
    timeline: Timeline,
    pause: Duration,
    seen: Vec<Seen>,
    /// Members that are not to be missed by the others any more.
    leaving: BTreeSet<usize>,
    awaited: String,
    last: VecDeque<Record>,
}

/// What one member has logged so far.
#[derive(Debug, Default)]
struct Seen {
    ready: Option<SystemTime>,
    cluster: BTreeSet<String>,
    connected: BTreeMap<String, SystemTime>,
    disconnected: BTreeMap<String, (SystemTime, String)>,
}

impl<'a> Story<'a> {
    pub(crate) fn new(
        api: &'a Api,
        members: &'a mut Members,
        timeline: Timeline,
        pause: Duration,
    ) -> Self {
        Self {
            api,
            members,
            timeline,
            pause,
            seen: Vec::new(),
            leaving: BTreeSet::new(),
            awaited: String::new(),
            last: VecDeque::new(),
        }
    }

    /// The whole story with `count` members at first.
    pub(crate) async fn tell(&mut self, count: usize) -> Result<(), DemoError> {
        self.scale(count).await?;
        self.rest().await?;
        self.scale(count + 1).await?;
        self.rest().await?;
        self.kill(1).await?;
        self.rest().await?;
        self.delete(count).await?;
        self.rest().await?;
        self.finish().await
    }

    /// The error for a story that did not end in time.
    pub(crate) fn too_late(&self) -> DemoError {
        DemoError::TooLate {
            awaited: self.awaited.clone(),
            log: self.log(),
        }
    }

    /// `kubectl scale`: new pods up to `count`, and every member sees all others.
    async fn scale(&mut self, count: usize) -> Result<(), DemoError> {
        let first = self.seen.len();
        self.timeline
            .act(&format!("kubectl scale deployment/demo --replicas={count}"));
        for member in first..count {
            self.seen.push(Seen::default());
            self.api
                .pods
                .create(&pod(member), self.members.address(member));
            self.members.start()?;
        }
        for member in first..count {
            let name = self.members.name(member);
            let ready = |seen: &[Seen]| seen[member].ready;
            let at = self.wait(format!("{name} is ready"), ready).await?;
            // The kubelet tells the API of the address once the process runs.
            self.api.pods.set_phase(&pod(member), Phase::Running);
            let took = since(self.members.started(member), at);
            self.timeline.effect(&format!(
                "{name} is ready, {} after its start",
                millis(took)
            ));
        }
        let told = SystemTime::now();
        let present = self.present();
        let names = self.names(&present);
        let formed = |seen: &[Seen]| {
            let whole = present.iter().all(|&member| {
                let others = names.iter().filter(|(index, _)| **index != member);
                seen[member].cluster == others.map(|(_, name)| name.clone()).collect()
            });
            let last = present
                .iter()
                .flat_map(|&member| seen[member].connected.values())
                .max();
            if whole { last.copied() } else { None }
        };
        let awaited = format!(
            "each of {} members lists the {} others",
            names.len(),
            names.len() - 1
        );
        let at = self.wait(awaited.clone(), formed).await?;
        let took = millis(since(told, at));
        self.timeline.effect(&format!(
            "{awaited}, {took} after the API told of the last pod"
        ));
        let watches = format!("{} watches of pods are open", present.len());
        self.wait_for_watches(watches, present.len()).await
    }

    /// `kill -9` of a member: the others say so, and its pod ends as failed.
    async fn kill(&mut self, victim: usize) -> Result<(), DemoError> {
        let name = self.members.name(victim);
        self.timeline.act(&format!("kill -9 {name}"));
        self.leaving.insert(victim);
        let at = SystemTime::now();
        self.members.kill(victim)?;
        self.missed_by_all(victim, at).await?;
        self.members.ended(victim).await?;
        self.api.pods.set_phase(&pod(victim), Phase::Failed);
        Ok(())
    }

    /// `kubectl delete pod`: marked, asked to end, and gone when it has ended well.
    async fn delete(&mut self, victim: usize) -> Result<(), DemoError> {
        let name = self.members.name(victim);
        self.timeline
            .act(&format!("kubectl delete pod {} ({name})", pod(victim)));
        self.api.pods.terminate(&pod(victim));
        self.leaving.insert(victim);
        let at = SystemTime::now();
        self.members.terminate(victim)?;
        self.missed_by_all(victim, at).await?;
        self.ended_well(victim).await?;
        let took = millis(since(at, SystemTime::now()));
        self.timeline
            .effect(&format!("{name} ended well, {took} after SIGTERM"));
        self.api.pods.remove(&pod(victim));
        Ok(())
    }

    /// SIGTERM to everybody who is left.
    async fn finish(&mut self) -> Result<(), DemoError> {
        let present = self.present();
        self.timeline.act(&format!(
            "SIGTERM to the {} members that are left",
            present.len()
        ));
        self.leaving.extend(&present);
        for &member in &present {
            self.members.terminate(member)?;
        }
        for &member in &present {
            self.ended_well(member).await?;
        }
        self.timeline.effect("all ended well");
        self.timeline
            .end("Every step was true, and no process is left.");
        Ok(())
    }

    async fn missed_by_all(&mut self, victim: usize, at: SystemTime) -> Result<(), DemoError> {
        let present = self.present();
        let name = self.members.name(victim);
        let count = present.len();
        let missed = |seen: &[Seen]| -> Option<Vec<(Duration, String)>> {
            let of = |&member: &usize| {
                let (time, reason) = seen[member].disconnected.get(&name)?;
                let gone = !seen[member].cluster.contains(&name);
                gone.then(|| (since(at, *time), reason.clone()))
            };
            present.iter().map(of).collect()
        };
        let awaited = format!("{count} members log that {name} is gone");
        let all = self.wait(awaited, missed).await?;
        let slowest = all.iter().map(|(took, _)| *took).max().unwrap_or_default();
        let reasons: BTreeSet<_> = all.into_iter().map(|(_, reason)| reason).collect();
        let reasons = reasons.into_iter().collect::<Vec<_>>().join(", ");
        self.timeline.effect(&format!(
            "all {count} others log \"node disconnected\" ({reasons}) within {}",
            millis(slowest)
        ));
        Ok(())
    }

    async fn ended_well(&mut self, member: usize) -> Result<(), DemoError> {
        let name = self.members.name(member);
        self.awaited = format!("{name} ends after SIGTERM");
        let status = self.members.ended(member).await?;
        if status.success() {
            return Ok(());
        }
        // Its last words are on their way, and say more than its exit status.
        let end = tokio::time::Instant::now() + LAST_WORDS;
        while let Ok(record) = tokio::time::timeout_at(end, self.members.next_record()).await {
            self.take(record)?;
        }
        Err(self.untrue(format!("{name} ended with {status} after SIGTERM")))
    }

    /// Follows the members' logs until `done` has an answer.
    async fn wait<T>(
        &mut self,
        awaited: String,
        done: impl Fn(&[Seen]) -> Option<T>,
    ) -> Result<T, DemoError> {
        self.awaited = awaited;
        loop {
            if let Some(answer) = done(&self.seen) {
                return Ok(answer);
            }
            let record = self.members.next_record().await;
            self.take(record)?;
        }
    }

    async fn wait_for_watches(&mut self, awaited: String, count: usize) -> Result<(), DemoError> {
        self.awaited = awaited;
        while self.api.watches() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Lets the reader read, and sees to it that nothing happens meanwhile.
    async fn rest(&mut self) -> Result<(), DemoError> {
        self.awaited = "the pause between two steps ends".to_owned();
        let end = tokio::time::Instant::now() + self.pause;
        while let Ok(record) = tokio::time::timeout_at(end, self.members.next_record()).await {
            self.take(record)?;
        }
        Ok(())
    }

    /// Notes what a member logged. A member that ends or a peer that is missed
    /// though nobody took it away is an error.
    fn take(&mut self, record: Record) -> Result<(), DemoError> {
        if self.last.len() == SHOWN_LINES {
            self.last.pop_front();
        }
        self.last.push_back(record.clone());
        let Record {
            member,
            time,
            message,
            node,
            reason,
            cluster,
            ..
        } = record;
        let seen = &mut self.seen[member];
        if let Some(cluster) = cluster {
            seen.cluster = cluster;
        }
        match message.as_str() {
            ENDED if !self.leaving.contains(&member) => {
                return Err(self.untrue(format!("{} ended", self.members.name(member))));
            }
            "node started" => seen.ready = Some(time),
            "node connected" => {
                seen.connected.insert(node, time);
            }
            "node disconnected" => {
                seen.disconnected
                    .insert(node.clone(), (time, reason.clone()));
                let leaving = self.leaving.contains(&member)
                    || self
                        .leaving
                        .iter()
                        .any(|&index| self.members.name(index) == node);
                if !leaving {
                    let name = self.members.name(member);
                    return Err(self.untrue(format!("{name} lost {node} ({reason})")));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn present(&self) -> Vec<usize> {
        (0..self.seen.len())
            .filter(|member| !self.leaving.contains(member))
            .collect()
    }

    fn names(&self, members: &[usize]) -> BTreeMap<usize, String> {
        members
            .iter()
            .map(|&member| (member, self.members.name(member)))
            .collect()
    }

    fn untrue(&self, what: String) -> DemoError {
        DemoError::Untrue {
            what,
            log: self.log(),
        }
    }

    fn log(&self) -> String {
        if self.last.is_empty() {
            return "; no member has logged anything".to_owned();
        }
        let lines = self
            .last
            .iter()
            .map(|record| format!("\n  {}", record.line));
        format!(
            "; the last that the members logged:{}",
            lines.collect::<String>()
        )
    }
}

/// The name of a member's pod.
fn pod(member: usize) -> String {
    format!("demo-{}", member + 1)
}

fn since(start: SystemTime, end: SystemTime) -> Duration {
    end.duration_since(start).unwrap_or_default()
}
