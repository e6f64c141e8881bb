//! What each topology last said, side by side.

use std::collections::{BTreeMap, BTreeSet};

use enmesh_identity::{NodeName, PeerAddr};

use crate::{FailureKind, Sighting, SourceFailure, TopologyName, Update};

/// The most peers of one topology. Whom an update names over that is dropped and counted; who is
/// known already is kept first.
pub const MAX_PEERS: usize = 10_000;

/// The most topologies of one roster; adding one more is refused.
pub const MAX_TOPOLOGIES: usize = 64;

/// Why a topology was not added.
///
/// ```
/// use enmesh_identity::NodeName;
/// use enmesh_membership::{AddTopologyError, Roster, RosterConfig};
///
/// let name: NodeName = "rust@127.0.0.1".parse()?;
/// let mut roster = Roster::new(RosterConfig::new(name));
/// roster.add_topology("web".parse()?)?;
/// let again = roster.add_topology("web".parse()?);
/// assert!(matches!(again, Err(AddTopologyError::Duplicate { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddTopologyError {
    /// There is one of that name; it stays as it is.
    #[error("there are two topologies named {name}; give one of them another name")]
    Duplicate {
        /// The name that is taken.
        name: TopologyName,
    },
    /// There are [`MAX_TOPOLOGIES`] already.
    #[error("there are {MAX_TOPOLOGIES} topologies already")]
    TooMany,
}

/// What an update has in it for a human.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceNews {
    /// Nothing: all is well, or it fails in a way that was told since it last answered.
    Nothing,
    /// The source fails, in a way that was not told since it last answered.
    Failed,
    /// The source answers again after it had failed.
    Recovered,
}

/// How a topology fares.
#[derive(Clone, Copy, Debug)]
pub struct TopologyStatus<'a> {
    /// Its name.
    pub name: &'a TopologyName,
    /// How many peers it names.
    pub peers: usize,
    /// Whether its source has ever answered.
    pub answered: bool,
    /// Why its last look-up failed; `None` while it answers.
    pub failure: Option<&'a SourceFailure>,
    /// How many peers were dropped so far because [`MAX_PEERS`] was reached.
    pub dropped: u64,
}

#[derive(Debug)]
struct Topology {
    name: TopologyName,
    peers: BTreeMap<NodeName, Sighting>,
    draining: bool,
    answered: bool,
    failure: Option<SourceFailure>,
    /// The kinds of failure that were told since the source last answered. The details of one kind
    /// change with each question and are no news: a list that is forbidden, then a watch.
    told: BTreeSet<FailureKind>,
    dropped: u64,
}

/// All topologies in the configured order.
#[derive(Debug, Default)]
pub(super) struct Topologies {
    list: Vec<Topology>,
}

impl Topologies {
    pub(super) fn add(&mut self, name: TopologyName) -> Result<(), AddTopologyError> {
        if self.list.iter().any(|topology| topology.name == name) {
            return Err(AddTopologyError::Duplicate { name });
        }
        if self.list.len() >= MAX_TOPOLOGIES {
            return Err(AddTopologyError::TooMany);
        }
        let peers = BTreeMap::new();
        self.list.push(Topology {
            name,
            peers,
            draining: false,
            answered: false,
            failure: None,
            told: BTreeSet::new(),
            dropped: 0,
        });
        Ok(())
    }

    /// Returns whom the topology named.
    pub(super) fn remove(&mut self, name: &TopologyName) -> Vec<NodeName> {
        match self.list.iter().position(|topology| topology.name == *name) {
            Some(at) => self.list.remove(at).peers.into_keys().collect(),
            None => Vec::new(),
        }
    }

    /// Returns also whose entry changed.
    pub(super) fn update(
        &mut self,
        name: &TopologyName,
        update: Update,
        own: &NodeName,
    ) -> (SourceNews, Vec<NodeName>) {
        match self.list.iter_mut().find(|topology| topology.name == *name) {
            Some(topology) => topology.update(update, own),
            None => (SourceNews::Nothing, Vec::new()),
        }
    }

    /// Whether any topology says that we are being ended.
    pub(super) fn is_draining(&self) -> bool {
        self.list.iter().any(|topology| topology.draining)
    }

    /// The peer with the first explicitly told address, the first told port and the best standing,
    /// if anybody names it.
    pub(super) fn merged(&self, name: &NodeName) -> Option<Sighting> {
        let told = || {
            self.list
                .iter()
                .filter_map(|topology| topology.peers.get(name))
        };
        let standing = told().map(|sighting| sighting.standing).min()?;
        let life = told().fold(0_u64, |sum, sighting| sum.wrapping_add(sighting.life));
        let mut merged = PeerAddr::new(name.clone());
        // An address that the name itself spells is no knowledge of the source's.
        let spelt = merged.address();
        if let Some(address) = told()
            .filter_map(|sighting| sighting.peer.address())
            .find(|&a| Some(a) != spelt)
        {
            merged = merged.with_address(address);
        }
        if let Some(port) = told().find_map(|sighting| sighting.peer.port()) {
            merged = merged.with_port(port);
        }
        Some(
            Sighting::from(merged)
                .with_standing(standing)
                .with_life(life),
        )
    }

    pub(super) fn naming(&self, name: &NodeName) -> Vec<TopologyName> {
        let naming = self
            .list
            .iter()
            .filter(|topology| topology.peers.contains_key(name));
        let mut names: Vec<_> = naming.map(|topology| topology.name.clone()).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn names(&self) -> BTreeSet<&NodeName> {
        self.list
            .iter()
            .flat_map(|topology| topology.peers.keys())
            .collect()
    }

    pub(super) fn statuses(&self) -> impl Iterator<Item = TopologyStatus<'_>> {
        self.list.iter().map(|topology| TopologyStatus {
            name: &topology.name,
            peers: topology.peers.len(),
            answered: topology.answered,
            failure: topology.failure.as_ref(),
            dropped: topology.dropped,
        })
    }
}

impl Topology {
    fn update(&mut self, update: Update, own: &NodeName) -> (SourceNews, Vec<NodeName>) {
        let (present, gone) = match update {
            Update::Failed(failure) => {
                let news = if self.told.insert(failure.kind()) {
                    SourceNews::Failed
                } else {
                    SourceNews::Nothing
                };
                self.failure = Some(failure);
                return (news, Vec::new());
            }
            Update::Snapshot(present) => {
                let gone = self.absent_from(&present);
                (present, gone)
            }
            Update::Changed { present, gone } => (present, gone),
            Update::Draining(draining) => {
                self.draining = draining;
                return (SourceNews::Nothing, Vec::new());
            }
        };
        self.answered = true;
        let mut changed: Vec<_> = gone
            .into_iter()
            .filter(|name| self.peers.remove(name).is_some())
            .collect();
        for peer in present {
            changed.extend(self.put(peer, own));
        }
        let failed = self.failure.take().is_some();
        self.told.clear();
        (
            if failed {
                SourceNews::Recovered
            } else {
                SourceNews::Nothing
            },
            changed,
        )
    }

    fn absent_from(&self, present: &[Sighting]) -> Vec<NodeName> {
        let present: BTreeSet<_> = present.iter().map(|sighting| sighting.name()).collect();
        self.peers
            .keys()
            .filter(|name| !present.contains(name))
            .cloned()
            .collect()
    }

    /// Returns the name if that changed anything.
    fn put(&mut self, sighting: Sighting, own: &NodeName) -> Option<NodeName> {
        let name = sighting.name();
        let known = self.peers.get(name);
        if name == own || known == Some(&sighting) {
            return None;
        }
        if known.is_none() && self.peers.len() >= MAX_PEERS {
            self.dropped += 1;
            return None;
        }
        let name = name.clone();
        self.peers.insert(name.clone(), sighting);
        Some(name)
    }
}
