//! What the logs of a whole cluster must say of a story, and must not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail, ensure};

use super::testimony::{Change, NodeLog, word};

/// Nodes whose pods have been there for this long have met, also where they find each other by DNS.
const TIME_TO_MEET: Duration = Duration::from_secs(30);

/// A moment at which the cluster was whole and at rest.
#[derive(Clone, Debug)]
pub struct Rest {
    /// When.
    pub at: SystemTime,
    /// Every node.
    pub nodes: BTreeSet<String>,
}

/// Whether a log holds exactly the comings and goings that lead from each rest to the next, and nothing else.
///
/// A node that is not at the next rest has ended meanwhile: it has seen everybody go.
pub fn ensure_follows(log: &NodeLog, rests: &[Rest]) -> Result<()> {
    log.replay()?;
    let (mut known, mut from, mut was_there) = (BTreeSet::new(), None, false);
    for rest in rests {
        let is_there = rest.nodes.contains(&log.node);
        let next: BTreeSet<&String> = match is_there {
            true => rest
                .nodes
                .iter()
                .filter(|node| **node != log.node)
                .collect(),
            false => BTreeSet::new(),
        };
        let has_ended = was_there && !is_there;
        // Who has ended says its last words whenever it ends; who goes on has said all by the rest.
        let to = (!has_ended).then_some(rest.at);
        let came = next.difference(&known).map(|node| word(true, node));
        let went = known.difference(&next).map(|node| word(false, node));
        let mut wanted: Vec<String> = came.chain(went).collect();
        wanted.sort();
        let told = log.words(from, to);
        ensure!(
            told == wanted,
            "{}: before the rest of {} nodes it says {told:?}, the story {wanted:?}",
            log.node,
            rest.nodes.len()
        );
        if has_ended {
            return Ok(());
        }
        (known, from, was_there) = (next, Some(rest.at), is_there);
    }
    let after = log.words(from, None);
    ensure!(
        after.is_empty(),
        "{}: after the story it says {after:?}",
        log.node
    );
    Ok(())
}

/// A node, from its first word to its end.
#[derive(Clone, Debug)]
pub struct Lived {
    /// What it says.
    pub log: NodeLog,
    /// From when nobody may dial it: what the API says by then.
    pub terminating: Option<SystemTime>,
    /// From when its links may fall, if it has ended.
    pub leaving: Option<SystemTime>,
    /// What its departure is measured from, if it has ended.
    pub ended: Option<SystemTime>,
    /// From when it may be met: before the API knows its address, since it dials others by itself.
    pub began: SystemTime,
}

/// All nodes that took part in a story.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    /// In any order; a name may come again, as a StatefulSet's do.
    pub all: Vec<Lived>,
}

/// Something that changes who is connected.
enum Step<'a> {
    Leaves(&'a str),
    Says(&'a str, bool, &'a str),
}

impl Nodes {
    /// At every moment all nodes that have once been in the cluster, and are not leaving, are one connected graph, where a link
    /// counts when both of its sides say that it is up.
    pub fn ensure_never_halved(&self, first: &BTreeSet<String>) -> Result<()> {
        let mut steps: Vec<(SystemTime, Step<'_>)> = Vec::new();
        for lived in &self.all {
            let node = lived.log.node.as_str();
            let counts = |at: SystemTime| lived.leaving.is_none_or(|leaving| at < leaving);
            let changes = lived.log.changes.iter().filter(|change| counts(change.at));
            steps.extend(
                changes.map(|change| (change.at, Step::Says(node, change.is_up, &change.node))),
            );
            steps.extend(lived.leaving.map(|leaving| (leaving, Step::Leaves(node))));
        }
        steps.sort_by_key(|(at, _)| *at);
        let mut graph = Graph::default();
        let mut is_whole = false;
        for (at, step) in steps {
            match step {
                Step::Leaves(node) => {
                    graph.sees.remove(node);
                    graph.joined.remove(node);
                }
                Step::Says(node, true, peer) => {
                    graph.sees.entry(node).or_default().insert(peer);
                }
                Step::Says(node, false, peer) => {
                    graph.sees.entry(node).or_default().remove(peer);
                }
            }
            if !is_whole {
                let founders: BTreeSet<&str> = first.iter().map(String::as_str).collect();
                is_whole = founders
                    .iter()
                    .all(|node| graph.reach(node).is_superset(&founders));
                if is_whole {
                    graph.joined = founders;
                }
                continue;
            }
            graph.ensure_one(at)?;
        }
        ensure!(is_whole, "the cluster was never whole: {first:?}");
        Ok(())
    }

    /// Whoever was connected with a node that has ended saw it go once, and after its end within `promise`, as most do, or
    /// `allowance` more, for whoever waits for a processor; of each such node somebody was, and did. Gives how long after the
    /// ends they were seen, the shortest first.
    pub fn ensure_departures(
        &self,
        promise: Duration,
        allowance: Duration,
    ) -> Result<Vec<Duration>> {
        let limit = promise + allowance;
        let mut waits = Vec::new();
        for gone in &self.all {
            let (Some(leaving), Some(ended)) = (gone.leaving, gone.ended) else {
                continue;
            };
            let seen_before = waits.len();
            for other in &self.all {
                if other.log.node == gone.log.node {
                    continue;
                }
                let wait = self.ensure_seen_in_time(gone, other, (leaving, ended), limit);
                // Who leaves at the same time may be gone before it can see anything, and then cuts its links itself.
                let until = other.leaving.filter(|leaving| *leaving <= ended + limit);
                waits.extend(match (wait, until) {
                    (Err(_), Some(_)) => None,
                    (Ok(wait), Some(until)) => wait.filter(|wait| ended + *wait < until),
                    (wait, None) => wait?,
                });
            }
            let name = &gone.log.node;
            ensure!(
                waits.len() > seen_before,
                "nobody is left who saw {name} go"
            );
        }
        waits.sort_unstable();
        let median = waits.get(waits.len() / 2).copied().unwrap_or_default();
        ensure!(
            median <= promise,
            "by median seen {median:?} after the end: {waits:?}"
        );
        Ok(waits)
    }

    /// How long after the end of `gone` it was seen by `other`; `None` where that came too late to meet it.
    fn ensure_seen_in_time(
        &self,
        gone: &Lived,
        other: &Lived,
        (leaving, ended): (SystemTime, SystemTime),
        limit: Duration,
    ) -> Result<Option<Duration>> {
        let Some(at) = self.ensure_seen_once(gone, other, leaving)? else {
            return Ok(None);
        };
        let who = format!("{} saw {} go", other.log.node, gone.log.node);
        let late = at.duration_since(ended).unwrap_or_default();
        ensure!(late <= limit, "{who} {late:?} after its end");
        let early = leaving.duration_since(at).unwrap_or_default();
        ensure!(early.is_zero(), "{who} {early:?} before it began to leave");
        Ok(Some(late))
    }

    /// When `other` saw `gone` go; `None` where it came too late to meet it.
    fn ensure_seen_once(
        &self,
        gone: &Lived,
        other: &Lived,
        leaving: SystemTime,
    ) -> Result<Option<SystemTime>> {
        let again = self.next_of(gone);
        let is_meant = |change: &&Change| {
            change.node == gone.log.node
                && change.at >= gone.began
                && again.is_none_or(|again| change.at < again)
        };
        let changes: Vec<&Change> = other.log.changes.iter().filter(is_meant).collect();
        match changes[..] {
            [up, down] if up.is_up && !down.is_up => Ok(Some(down.at)),
            [] if other.began + TIME_TO_MEET > leaving => Ok(None),
            _ => bail!("{} says of {}: {changes:?}", other.log.node, gone.log.node),
        }
    }

    /// Nobody dials a node later than `promise` after the API said that it is terminating, nor does such a node dial anybody;
    /// but for one at most, which waits for its turn for up to `allowance` more. Returns how many there are of that kind.
    pub fn ensure_no_late_dial(&self, promise: Duration, allowance: Duration) -> Result<usize> {
        let mut late = Vec::new();
        for gone in &self.all {
            let Some(terminating) = gone.terminating else {
                continue;
            };
            let name = &gone.log.node;
            let again = self.next_of(gone);
            for other in &self.all {
                let is_own = std::ptr::eq(other, gone);
                for (at, peer) in &other.log.dials {
                    let is_meant = is_own || peer == name;
                    if !is_meant || again.is_some_and(|again| *at >= again) {
                        continue;
                    }
                    let wait = at.duration_since(terminating).unwrap_or_default();
                    if wait > promise {
                        let dials = format!("{} dials {peer} {wait:?} after", other.log.node);
                        late.push((wait, format!("{dials} {name} is told to be terminating")));
                    }
                }
            }
        }
        let limit = promise + allowance;
        ensure!(
            late.len() <= 1 && late.iter().all(|(wait, _)| *wait <= limit),
            "{late:?}"
        );
        Ok(late.len())
    }

    /// When the next node of the same name may be met.
    fn next_of(&self, gone: &Lived) -> Option<SystemTime> {
        let later = self
            .all
            .iter()
            .filter(|lived| lived.log.node == gone.log.node && lived.began > gone.began);
        later.map(|lived| lived.began).min()
    }
}

/// Who says whom to be connected.
#[derive(Default)]
struct Graph<'a> {
    sees: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// Who has been in the cluster and is not leaving.
    joined: BTreeSet<&'a str>,
}

impl<'a> Graph<'a> {
    /// Everybody who is connected with `node` by links that both sides see, over others too.
    fn reach(&self, node: &'a str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::from([node]);
        let mut next = vec![node];
        while let Some(node) = next.pop() {
            for peer in self.sees.get(node).into_iter().flatten() {
                let is_seen = self.sees.get(peer).is_some_and(|seen| seen.contains(node));
                if is_seen && found.insert(peer) {
                    next.push(peer);
                }
            }
        }
        found
    }

    /// Takes in who has come to the others, and looks whether all of them are still together.
    fn ensure_one(&mut self, at: SystemTime) -> Result<()> {
        let Some(node) = self.joined.first() else {
            return Ok(());
        };
        let reached = self.reach(node);
        let mut lost = self.joined.difference(&reached);
        let lost: Vec<&&str> = lost.by_ref().collect();
        ensure!(
            lost.is_empty(),
            "at {} the cluster is in halves: {lost:?} are apart from {reached:?}",
            humantime::format_rfc3339_millis(at)
        );
        self.joined = reached;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
