//! Topologies that are asked in the test's own process, in the network of the thread.

use std::time::Duration;

use enmesh_discovery::{Source, SourceContext, TopologyConfig};
use enmesh_membership::{Sighting, Update};
use tokio::runtime::{Builder, Runtime};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a source said, with peers as `name` or `name:port`, sorted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    All(Vec<String>),
    Changed {
        present: Vec<String>,
        gone: Vec<String>,
    },
    Failed {
        kind: &'static str,
        text: String,
    },
    Draining(bool),
}

impl Said {
    pub(crate) fn all(peers: &[&str]) -> Self {
        Self::All(owned(peers))
    }

    pub(crate) fn part(present: &[&str], gone: &[&str]) -> Self {
        Self::Changed {
            present: owned(present),
            gone: owned(gone),
        }
    }
}

/// A source, and the runtime that it lives in: of this thread alone, and so of its network.
pub(crate) struct Topology {
    runtime: Runtime,
    source: Box<dyn Source>,
}

impl Topology {
    pub(crate) fn of(text: &str) -> Self {
        let topology: TopologyConfig = text.parse().unwrap();
        let context = SourceContext::new("me@host.test".parse().unwrap());
        Self {
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            source: topology.source(&context).unwrap(),
        }
    }

    /// The next thing that it says.
    pub(crate) fn next(&mut self) -> Said {
        let next = self.source.next();
        let next = async { tokio::time::timeout(PATIENCE, next).await };
        match self.runtime.block_on(next).expect("an update in time") {
            Update::Snapshot(peers) => Said::All(shown(&peers)),
            Update::Changed { present, gone } => Said::Changed {
                present: shown(&present),
                gone: gone.iter().map(ToString::to_string).collect(),
            },
            Update::Failed(failure) => Said::Failed {
                kind: failure.kind().label(),
                text: failure.to_string(),
            },
            Update::Draining(draining) => Said::Draining(draining),
        }
    }
}

fn shown(peers: &[Sighting]) -> Vec<String> {
    let mut names: Vec<_> = peers
        .iter()
        .map(|sighting| match sighting.peer.port() {
            Some(port) => format!("{}:{port}", sighting.name()),
            None => sighting.name().to_string(),
        })
        .collect();
    names.sort();
    names
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
