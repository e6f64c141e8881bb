//! What a node would do for what a topology says, with `prune = immediate`.

use std::collections::BTreeSet;

use enmesh_membership::{Intent, Prune, Roster, RosterConfig, TopologyName};

use super::PATIENCE;
use crate::{Environment, Source, SourceContext, TopologyConfig};

/// A source and the roster that it feeds. Whoever is to be connected is connected at once.
pub(super) struct Cluster {
    source: Box<dyn Source>,
    topology: TopologyName,
    roster: Roster,
    connected: BTreeSet<String>,
    connects: BTreeSet<String>,
    disconnects: BTreeSet<String>,
}

impl Cluster {
    pub(super) fn new(own: &str, topology: &str) -> Self {
        Self::with_environment(own, topology, Environment::default())
    }

    pub(super) fn with_environment(own: &str, topology: &str, environment: Environment) -> Self {
        let config: TopologyConfig = topology.parse().unwrap();
        let context = SourceContext::new(own.parse().unwrap()).with_environment(environment);
        let mut roster = Roster::new(RosterConfig {
            prune: Prune::Immediate,
            ..RosterConfig::new(own.parse().unwrap())
        });
        roster.add_topology(config.name.clone()).unwrap();
        Self {
            source: config.source(&context).unwrap(),
            topology: config.name,
            roster,
            connected: BTreeSet::new(),
            connects: BTreeSet::new(),
            disconnects: BTreeSet::new(),
        }
    }

    /// Has a link with `name` from the beginning.
    pub(super) fn connected(&mut self, name: &str) {
        self.connected.insert(name.to_owned());
    }

    /// Takes in the next thing that the source says.
    pub(super) async fn round(&mut self) {
        let update = tokio::time::timeout(PATIENCE, self.source.next());
        let update = update.await.expect("an update in time");
        let now = std::time::Instant::now();
        self.roster.handle_update(now, &self.topology, update);
        while let Some(intent) = self.roster.poll_action() {
            match intent {
                Intent::Want(sighting) => {
                    let name = sighting.name().to_string();
                    if self.connected.insert(name.clone()) {
                        self.connects.insert(name);
                    }
                }
                Intent::Prune(name) => {
                    if self.connected.remove(name.as_str()) {
                        self.disconnects.insert(name.to_string());
                    }
                }
                Intent::Leave(_) | Intent::Drain(_) => {}
            }
        }
    }

    /// Whom it connected and disconnected since the last check.
    #[track_caller]
    pub(super) fn check(&mut self, connects: &[&str], disconnects: &[&str]) {
        let taken = |names: &mut BTreeSet<String>| std::mem::take(names);
        assert_eq!(Vec::from_iter(taken(&mut self.connects)), connects);
        assert_eq!(Vec::from_iter(taken(&mut self.disconnects)), disconnects);
    }
}
