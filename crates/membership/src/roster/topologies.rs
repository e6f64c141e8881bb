//! What each topology last said, side by side.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use enmesh_identity::{NodeName, PeerAddr};

use super::departed::Departed;
use super::named::Topology;
use crate::{Sighting, SourceFailure, Standing, TopologyName, Update};

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
    /// How many peers it names; those alone that count.
    pub peers: usize,
    /// Whether its present source has ever answered.
    pub answered: bool,
    /// Why its last look-up failed; `None` while it answers.
    pub failure: Option<&'a SourceFailure>,
    /// How many peers were dropped so far because [`MAX_PEERS`] was reached.
    pub dropped: u64,
}

/// How long hearsay waits for the first word of each source: one that has just begun to look may tell a moment later that a node
/// is gone of which neighbours tell.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// All topologies in the configured order.
#[derive(Debug, Default)]
pub(super) struct Topologies {
    list: Vec<Topology>,
    departed: Departed,
    hearing: Hearing,
}

/// Whether hearsay counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hearing {
    /// There was none yet.
    #[default]
    Unheard,
    /// Not before then, or before each source has said something.
    Waits(Instant),
    /// From now on.
    Counts,
}

impl Topologies {
    pub(super) fn add(
        &mut self,
        name: TopologyName,
        is_hearsay: bool,
    ) -> Result<(), AddTopologyError> {
        if self.list.iter().any(|topology| topology.name == name) {
            return Err(AddTopologyError::Duplicate { name });
        }
        if self.list.len() >= MAX_TOPOLOGIES {
            return Err(AddTopologyError::TooMany);
        }
        self.list.push(Topology::new(name, is_hearsay));
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
        now: Instant,
        name: &TopologyName,
        update: Update,
        own: &NodeName,
    ) -> (SourceNews, Vec<NodeName>) {
        let Some(topology) = self.get_mut(name) else {
            return (SourceNews::Nothing, Vec::new());
        };
        // Also of whom it has never named itself: neighbours may name them.
        let told_gone = match &update {
            Update::Changed { gone, .. } if !topology.is_hearsay => {
                gone.iter().filter(|name| *name != own).cloned().collect()
            }
            _ => Vec::new(),
        };
        let (news, mut changed) = topology.update(now, update, own);
        self.weigh(name, &changed);
        self.weigh(name, &told_gone);
        changed.extend(told_gone.into_iter().filter(|name| self.is_named(name)));
        changed.extend(self.hear(now));
        (news, changed)
    }

    pub(super) fn begin_anew(&mut self, name: &TopologyName) {
        if let Some(topology) = self.get_mut(name) {
            topology.begin_anew();
        }
    }

    pub(super) fn set_window(
        &mut self,
        now: Instant,
        name: &TopologyName,
        window: Duration,
    ) -> Vec<NodeName> {
        match self.get_mut(name) {
            Some(topology) => {
                let changed = topology.set_window(now, window);
                self.weigh(name, &changed);
                changed
            }
            None => Vec::new(),
        }
    }

    /// Takes note of who has left, and of who is there after all, by the word of topology `by`.
    fn weigh(&mut self, by: &TopologyName, changed: &[NodeName]) {
        let is_hearsay = self.get(by).is_some_and(|topology| topology.is_hearsay);
        for name in changed {
            if is_hearsay {
                if self.is_news(by, name) {
                    self.departed.remove(name);
                }
            } else if self.sourced(name).next().is_some() {
                self.departed.remove(name);
            } else {
                self.departed.insert(name, by);
            }
        }
    }

    /// Whether what neighbours say of a peer may be newer than its departure: they have told of it anew, and the source that
    /// told of the departure does not answer now. While it does, it would name the peer if it were there.
    fn is_news(&self, hearsay: &TopologyName, name: &NodeName) -> bool {
        let heard = self.get(hearsay).and_then(|it| it.peers.get(name));
        let source = self.departed.told_by(name).and_then(|by| self.get(by));
        let is_good = |source: &Topology| source.answered && source.failure.is_none();
        heard.is_some_and(|sighting| sighting.life != 0) && !source.is_some_and(is_good)
    }

    /// Lets hearsay count, or wait. Returns of whom it counts from now on.
    fn hear(&mut self, now: Instant) -> Vec<NodeName> {
        let (hearsay, mut sources) = (
            self.list.iter().filter(|topology| topology.is_hearsay),
            self.list.iter().filter(|topology| !topology.is_hearsay),
        );
        let heard: Vec<_> = hearsay.flat_map(|it| it.peers.keys()).cloned().collect();
        let is_time = match self.hearing {
            Hearing::Counts => return Vec::new(),
            Hearing::Unheard if heard.is_empty() => return Vec::new(),
            Hearing::Unheard => false,
            Hearing::Waits(until) => until <= now,
        };
        if is_time || sources.all(|source| source.answered || source.failure.is_some()) {
            self.hearing = Hearing::Counts;
            return heard;
        }
        if self.hearing == Hearing::Unheard {
            self.hearing = Hearing::Waits(now + FIRST_WORD);
        }
        Vec::new()
    }

    /// What those topologies say of the peer that have a source of their own.
    fn sourced(&self, name: &NodeName) -> impl Iterator<Item = &Sighting> {
        let sources = self.list.iter().filter(|topology| !topology.is_hearsay);
        sources.filter_map(move |topology| topology.peers.get(name))
    }

    fn is_named(&self, name: &NodeName) -> bool {
        let mut list = self.list.iter();
        list.any(|topology| topology.peers.contains_key(name))
    }

    /// Whether a source has told that the peer is gone, and nobody knows better.
    pub(super) fn is_gone(&self, name: &NodeName) -> bool {
        self.departed.contains(name)
    }

    /// The peer as it is to be dialled, if it is.
    pub(super) fn wanted(&self, name: &NodeName) -> Option<Sighting> {
        let is_waiting = matches!(self.hearing, Hearing::Waits(_));
        if self.is_gone(name) || is_waiting && self.sourced(name).next().is_none() {
            return None;
        }
        self.merged(name)
    }

    /// Sorts by the place of each name in `order`; who is not in it comes last. Returns whose
    /// merged state may be another now.
    pub(super) fn sort(&mut self, order: &[TopologyName]) -> Vec<NodeName> {
        let place = |topology: &Topology| {
            let found = order.iter().position(|name| *name == topology.name);
            found.unwrap_or(order.len())
        };
        if self.list.is_sorted_by_key(place) {
            return Vec::new();
        }
        self.list.sort_by_key(place);
        self.names().into_iter().cloned().collect()
    }

    /// Lets count what has settled by now. Returns whose entry changed.
    pub(super) fn settle(&mut self, now: Instant) -> Vec<NodeName> {
        let mut all = Vec::new();
        for at in 0..self.list.len() {
            let changed = self.list[at].settle(now);
            let by = self.list[at].name.clone();
            self.weigh(&by, &changed);
            all.extend(changed);
        }
        all.extend(self.hear(now));
        all
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let hearing = match self.hearing {
            Hearing::Waits(until) => Some(until),
            Hearing::Unheard | Hearing::Counts => None,
        };
        let settling = self.list.iter().filter_map(Topology::deadline);
        settling.chain(hearing).min()
    }

    /// When it is known at the latest whether the peer counts that was named last by a set that
    /// does not count yet; `None` if there is none.
    pub(super) fn settles_at(&self, name: &NodeName) -> Option<Instant> {
        self.list.iter().filter_map(|it| it.settles_at(name)).max()
    }

    fn get(&self, name: &TopologyName) -> Option<&Topology> {
        self.list.iter().find(|topology| topology.name == *name)
    }

    fn get_mut(&mut self, name: &TopologyName) -> Option<&mut Topology> {
        self.list.iter_mut().find(|topology| topology.name == *name)
    }

    /// Whether any topology says that we are being ended.
    pub(super) fn is_draining(&self) -> bool {
        self.list.iter().any(|topology| topology.draining)
    }

    /// The peer with the first explicitly told address, the first told port and the best standing,
    /// if anybody names it. What neighbours say of its life counts only where no source names it.
    pub(super) fn merged(&self, name: &NodeName) -> Option<Sighting> {
        let told = || {
            self.list
                .iter()
                .filter_map(|topology| topology.peers.get(name))
        };
        let standing = self.list.iter().filter_map(|topology| {
            let sighting = topology.peers.get(name)?;
            Some(match topology.is_hearsay {
                true => Standing::Heard,
                false => sighting.standing,
            })
        });
        let standing = standing.min()?;
        let lives = |sum: u64, sighting: &Sighting| sum.wrapping_add(sighting.life);
        let life = match self.sourced(name).next() {
            Some(_) => self.sourced(name).fold(0, lives),
            None => told().fold(0, lives),
        };
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
