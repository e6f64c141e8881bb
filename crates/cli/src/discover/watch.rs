//! Every change as a line of JSON.

use std::collections::BTreeMap;
use std::time::SystemTime;

use enmesh_identity::NodeName;
use enmesh_membership::{Sighting, SourceFailure, TopologyName, Update};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Asked;
use super::found::{self, Peers, word};
use super::stdout::Stdout;
use crate::exit::Failure;
use crate::signals::Signals;

/// How many updates may wait for being printed. Then the sources wait.
const MAX_WAITING: usize = 16;

/// Prints until a signal comes or nobody reads any more.
pub(super) async fn run(
    asked: Vec<Asked>,
    own: &NodeName,
    signals: &mut Signals,
    stdout: &mut Stdout,
) -> Result<(), Failure> {
    let (updates, mut waiting) = mpsc::channel(MAX_WAITING);
    let mut tasks = JoinSet::new();
    let mut topologies = BTreeMap::new();
    for asked in asked {
        topologies.insert(asked.name.clone(), Topology::default());
        tasks.spawn(follow(asked, updates.clone()));
    }
    loop {
        let (name, update) = tokio::select! {
            biased;
            _ = signals.next() => return Ok(()),
            () = stdout.reader_gone() => return Ok(()),
            update = waiting.recv() => update.expect("we hold a sender ourselves"),
            // Its panic stands on stderr; the others alone are not what was asked for.
            Some(_) = tasks.join_next() => return Err(Failure::SourceDied),
        };
        let topology = topologies.entry(name.clone()).or_default();
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let lines: String = topology
            .take(update, own)
            .into_iter()
            .map(|event| line(&now, &name, event))
            .collect();
        if lines.is_empty() {
            continue;
        }
        let goes_on = tokio::select! {
            biased;
            _ = signals.next() => return Ok(()),
            goes_on = stdout.write(lines) => goes_on?,
        };
        if !goes_on {
            return Ok(());
        }
    }
}

async fn follow(mut asked: Asked, updates: mpsc::Sender<(TopologyName, Update)>) {
    loop {
        let update = asked.source.next().await;
        if updates.send((asked.name.clone(), update)).await.is_err() {
            return;
        }
    }
}

/// What there is to say, as the keys after the topology's name.
type Event = Vec<(&'static str, Value)>;

fn line(now: &str, topology: &TopologyName, event: Event) -> String {
    let mut object = Map::new();
    object.insert("time".to_owned(), now.into());
    object.insert("topology".to_owned(), topology.as_str().into());
    for (key, value) in event {
        object.insert(key.to_owned(), value);
    }
    format!("{}\n", Value::Object(object))
}

/// What was said of one topology.
#[derive(Debug, Default)]
struct Topology {
    peers: Peers,
    complete: bool,
    failure: Option<SourceFailure>,
    draining: bool,
}

impl Topology {
    /// The events that make of what was said what is so now.
    fn take(&mut self, update: Update, own: &NodeName) -> Vec<Event> {
        match update {
            Update::Failed(failure) => {
                if self.failure.as_ref() == Some(&failure) {
                    return Vec::new();
                }
                let event = vec![
                    ("event", json!("failed")),
                    ("kind", json!(failure.kind().label())),
                    ("error", json!(failure.detail())),
                ];
                self.failure = Some(failure);
                vec![event]
            }
            Update::Draining(draining) => {
                if draining == self.draining {
                    return Vec::new();
                }
                self.draining = draining;
                vec![vec![
                    ("event", json!("draining")),
                    ("draining", json!(draining)),
                ]]
            }
            update => self.list(update, own),
        }
    }

    fn list(&mut self, update: Update, own: &NodeName) -> Vec<Event> {
        let mut now = self.peers.clone();
        let whole = found::apply(&mut now, update);
        now.remove(own);
        let mut events = Vec::new();
        for name in self.peers.keys().filter(|name| !now.contains_key(*name)) {
            events.push(vec![
                ("event", json!("removed")),
                ("name", json!(name.as_str())),
            ]);
        }
        for (name, seen) in &now {
            match self.peers.get(name) {
                None => events.push(sighted("added", seen)),
                Some(known) if known != seen => events.push(sighted("changed", seen)),
                Some(_) => {}
            }
        }
        let recovered = self.failure.take().is_some();
        if whole && (recovered || !self.complete) {
            self.complete = true;
            events.push(vec![
                ("event", json!("complete")),
                ("peers", json!(now.len())),
            ]);
        }
        self.peers = now;
        events
    }
}

fn sighted(event: &'static str, seen: &Sighting) -> Event {
    let address = seen.peer.address().map(|address| address.to_string());
    vec![
        ("event", json!(event)),
        ("name", json!(seen.name().as_str())),
        ("address", json!(address)),
        ("port", json!(seen.peer.port())),
        ("standing", json!(word(seen.standing))),
    ]
}

#[cfg(test)]
mod tests {
    use enmesh_identity::PeerAddr;
    use enmesh_membership::FailureKind;

    use super::*;

    /// The events in short: the word and the node, or whatever stands in its place.
    fn said(topology: &mut Topology, update: Update) -> Vec<String> {
        let own = "own@h".parse().unwrap();
        let text = |value: &Value| value.to_string().replace('"', "");
        topology
            .take(update, &own)
            .iter()
            .map(|event| format!("{} {}", text(&event[0].1), text(&event[1].1)))
            .collect()
    }

    fn snapshot(names: &[&str]) -> Update {
        Update::snapshot(names.iter().map(|name| name.parse::<NodeName>().unwrap()))
    }

    #[test]
    fn only_what_is_new_is_said() {
        let mut web = Topology::default();
        let first = said(&mut web, snapshot(&["a@h", "own@h"]));
        assert_eq!(first, ["added a@h", "complete 1"]);
        assert!(said(&mut web, snapshot(&["a@h"])).is_empty());
        let moved = PeerAddr::new("a@h".parse().unwrap()).with_port(9);
        let changed = Update::Changed {
            present: vec![moved.into()],
            gone: vec![],
        };
        assert_eq!(said(&mut web, changed), ["changed a@h"]);
        assert_eq!(
            said(&mut web, snapshot(&["b@h"])),
            ["removed a@h", "added b@h"]
        );
        assert_eq!(said(&mut web, Update::Draining(true)), ["draining true"]);
        assert!(said(&mut web, Update::Draining(true)).is_empty());
    }

    #[test]
    fn a_failure_is_said_when_it_begins_or_changes_and_when_it_is_over() {
        let failed = |text: &str| Update::Failed(SourceFailure::new(FailureKind::TimedOut, text));
        let mut web = Topology::default();
        assert_eq!(said(&mut web, failed("x")), ["failed timed_out"]);
        assert!(said(&mut web, failed("x")).is_empty());
        assert_eq!(said(&mut web, failed("y")), ["failed timed_out"]);
        assert_eq!(said(&mut web, snapshot(&[])), ["complete 0"]);
        said(&mut web, failed("x"));
        assert_eq!(said(&mut web, snapshot(&[])), ["complete 0"]);
    }
}
