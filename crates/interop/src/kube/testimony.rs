//! What was seen of the pods of a namespace, and what it says of the nodes in them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// One pod, from its first event to its last, with all that its containers have logged.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// The pod's name.
    pub pod: String,
    /// When the API first told of it.
    pub began: Option<SystemTime>,
    /// When the API first said that it is ready.
    pub ready: Option<SystemTime>,
    /// When the API first said that it is to end.
    pub terminating: Option<SystemTime>,
    /// When an endpoint slice first said that it is terminating.
    pub slice_terminating: Option<SystemTime>,
    /// When the API said that it is gone.
    pub gone: Option<SystemTime>,
    /// When the first process of each container ended, by the container's name, as the container runtime tells.
    pub ends: BTreeMap<String, SystemTime>,
    /// How often a container of it was started again.
    pub restarts: u64,
    /// What each container printed, by its name.
    pub logs: BTreeMap<String, Vec<Line>>,
}

/// One line of a container's log.
#[derive(Clone, Debug)]
pub struct Line {
    /// The record's own time, else when the container runtime read it.
    pub at: SystemTime,
    /// What stands there.
    pub text: String,
    /// The same as an object, where it is one.
    pub record: Option<Value>,
}

/// What one node says of its peers.
#[derive(Clone, Debug, Default)]
pub struct NodeLog {
    /// The node.
    pub node: String,
    /// Each coming and going, in the log's order.
    pub changes: Vec<Change>,
    /// Each dial that was begun.
    pub dials: Vec<(SystemTime, String)>,
    /// From when a node itself tells of others.
    pub started: Option<SystemTime>,
    /// From when an agent tells of its node.
    pub attached: Option<SystemTime>,
}

/// A peer came or went.
#[derive(Clone, Debug)]
pub struct Change {
    /// When, by the one who says so.
    pub at: SystemTime,
    /// Whether it came.
    pub is_up: bool,
    /// The peer.
    pub node: String,
    /// Everybody who is connected then; a BEAM's own log does not say.
    pub cluster: Option<Vec<String>>,
}

impl Life {
    /// What the container `container` says of its node's peers.
    pub fn node_log(&self, container: &str) -> Result<NodeLog> {
        let lines = self
            .logs
            .get(container)
            .with_context(|| format!("{} has no log of a container {container}", self.pod))?;
        let mut log = NodeLog::default();
        for line in lines {
            let Some(record) = &line.record else { continue };
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            match record["message"].as_str() {
                Some("node started") => {
                    log.node = text("name");
                    log.started.get_or_insert(line.at);
                }
                Some("agent started") => log.node = text("node"),
                Some("attached to the node") => {
                    log.attached.get_or_insert(line.at);
                }
                Some("connecting to node") => log.dials.push((line.at, text("node"))),
                Some(message @ ("node connected" | "node disconnected")) => {
                    log.changes.push(Change {
                        at: line.at,
                        is_up: message == "node connected",
                        node: text("node"),
                        cluster: names(&record["cluster"]),
                    });
                }
                _ => {}
            }
        }
        Ok(log)
    }

    /// The same without the logs, for reports.
    pub fn times(&self) -> Self {
        Self {
            logs: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// When the container first logged this message.
    pub fn said(&self, container: &str, message: &str) -> Option<SystemTime> {
        let mut lines = self.logs.get(container)?.iter();
        let says = |line: &&Line| {
            let record = line.record.as_ref();
            record.is_some_and(|record| record["message"] == message)
        };
        lines.find(says).map(|line| line.at)
    }
}

fn names(list: &Value) -> Option<Vec<String>> {
    let names = list.as_array()?.iter();
    Some(
        names
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect(),
    )
}

impl NodeLog {
    /// Reads the log from its beginning: who comes was not there, who goes was, and each record's list is who is there then.
    ///
    /// Gives who is there in the end.
    pub fn replay(&self) -> Result<BTreeSet<&str>> {
        let mut there = BTreeSet::new();
        for change in &self.changes {
            let node = change.node.as_str();
            let has_changed = if change.is_up {
                there.insert(node)
            } else {
                there.remove(node)
            };
            ensure!(has_changed, "{}: said twice: {change:?}", self.node);
            ensure!(node != self.node, "{}: it meets itself", self.node);
            if let Some(cluster) = &change.cluster {
                let wanted: Vec<&str> = there.iter().copied().collect();
                ensure!(
                    *cluster == wanted,
                    "{}: the list is not who is there, {wanted:?}: {change:?}",
                    self.node
                );
            }
        }
        Ok(there)
    }

    /// The changes after `from` and up to `to`, each as a word; sorted.
    pub(super) fn words(&self, from: Option<SystemTime>, to: Option<SystemTime>) -> Vec<String> {
        let within = |change: &&Change| {
            from.is_none_or(|from| change.at > from) && to.is_none_or(|to| change.at <= to)
        };
        let mut words: Vec<String> = self
            .changes
            .iter()
            .filter(within)
            .map(|change| word(change.is_up, &change.node))
            .collect();
        words.sort();
        words
    }

    /// What is said of each peer, in order.
    fn by_peer(&self) -> BTreeMap<&str, Vec<bool>> {
        let mut peers: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for change in &self.changes {
            peers.entry(&change.node).or_default().push(change.is_up);
        }
        peers
    }

    /// Whether the peer came before that time and went: whoever lists the peers then, and does not have it, saw nothing of it. The
    /// record of its end may be later than the end.
    fn is_over(&self, peer: &str, by: Option<SystemTime>) -> bool {
        let of_peer = || self.changes.iter().filter(|change| change.node == peer);
        of_peer().next_back().is_some_and(|last| !last.is_up)
            && of_peer().all(|change| !change.is_up || by.is_some_and(|by| change.at < by))
    }

    /// Whether a BEAM's own log says the same as its agent's, which may say of the BEAM's end what it itself no longer could.
    /// Neither needs to tell of a peer that came and went before it itself was there.
    pub fn ensure_agrees(&self, beam: &Self) -> Result<()> {
        let mut ours = self.by_peer();
        let mut theirs = beam.by_peer();
        theirs.retain(|peer, _| ours.contains_key(peer) || !beam.is_over(peer, self.attached));
        ours.retain(|peer, _| theirs.contains_key(peer) || !self.is_over(peer, beam.started));
        for (peer, changes) in &mut ours {
            let told = theirs.remove(peer).unwrap_or_default();
            let is_end = changes.len() == told.len() + 1 && changes.last() == Some(&false);
            ensure!(
                *changes == told || (is_end && changes.starts_with(&told)),
                "{}: of {peer} the agent says {changes:?} and the BEAM {told:?}",
                self.node
            );
        }
        ensure!(
            theirs.is_empty(),
            "{}: its agent says nothing of {theirs:?}",
            self.node
        );
        Ok(())
    }
}

pub(super) fn word(is_up: bool, node: &str) -> String {
    format!("{} {node}", if is_up { "up" } else { "down" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn time(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// `10+b 20-b`: at second 10 b came, at 20 it went.
    fn log(story: &str) -> NodeLog {
        let changes = story.split_whitespace().map(|word| {
            let sign = word.find(['+', '-']).unwrap();
            Change {
                at: time(word[..sign].parse().unwrap()),
                is_up: &word[sign..=sign] == "+",
                node: word[sign + 1..].to_owned(),
                cluster: None,
            }
        });
        NodeLog {
            changes: changes.collect(),
            ..NodeLog::default()
        }
    }

    #[track_caller]
    fn check(agent: &str, beam: &str, wanted: bool) {
        let mut ours = log(agent);
        ours.attached = Some(time(10));
        let mut theirs = log(beam);
        theirs.started = Some(time(15));
        let outcome = ours.ensure_agrees(&theirs);
        assert_eq!(outcome.is_ok(), wanted, "{agent} {beam}: {outcome:?}");
    }

    #[test]
    fn an_agent_says_what_its_beam_says() {
        check("11+b 11+c 20-b", "5+b 5+c 20-b", true);
        // The rest of the BEAM's end.
        check("11+b 30-b", "5+b", true);
        check("11+b", "5+b 20-b", false);
        check("11+b 20-b 21+b", "5+b", false);
        check("11+c", "", false);
    }

    #[test]
    fn whoever_came_and_went_before_the_agent_is_not_missed() {
        check("", "5+b 6-b", true);
        check("", "5+b 6-b 7+b", false);
        check("", "5+b 11-b", true);
        check("", "12+b 13-b", false);
        check("11+b 12-b", "5+b 6-b 7+b 12-b", false);
    }

    #[test]
    fn whoever_came_and_went_before_the_beam_told_of_anybody_is_not_missed() {
        check("11+b 12-b", "", true);
        check("11+b 16-b", "", true);
        check("16+b 17-b", "", false);
        check("11+b 12-b 13+b", "", false);
    }
}
