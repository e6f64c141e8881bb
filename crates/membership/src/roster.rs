//! Who belongs to the cluster.

mod departed;
mod named;
mod topologies;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use enmesh_identity::{NodeName, PeerAddr};

use self::topologies::Topologies;
use crate::{Prune, Sighting, TopologyName, Update};

pub use self::topologies::{
    AddTopologyError, MAX_PEERS, MAX_TOPOLOGIES, SourceNews, TopologyStatus,
};

/// How a [`Roster`] is set up.
#[derive(Clone, Debug)]
pub struct RosterConfig {
    /// Our own name, which never enters the roster.
    pub own: NodeName,
    /// What happens to the live link of a peer that has left; default [`Prune::Never`].
    pub prune: Prune,
    /// How long a peer must be gone before [`Prune::Grace`] closes its link; default 15 s.
    pub grace: Duration,
}

impl RosterConfig {
    /// The defaults for the node named `own`.
    pub fn new(own: NodeName) -> Self {
        Self {
            own,
            prune: Prune::default(),
            grace: Duration::from_secs(15),
        }
    }
}

/// What the roster tells the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Some topology names this peer: keep a link up with it. Said again when anything that is
    /// known of it has changed.
    Want(Sighting),
    /// No topology names the peer any more, or hearsay alone of one that is gone: stop dialling it. A live link stays.
    Leave(NodeName),
    /// The peer has left and policy says that its live link is closed.
    Prune(NodeName),
    /// Whether some topology says that we ourselves are being ended: dial nobody meanwhile.
    Drain(bool),
}

/// Merges what several sources say about who belongs to the cluster.
///
/// Every peer has its provenance: the topologies that name it. A peer leaves only when the last
/// of them has said so in a positive word; a failed look-up changes nobody. Where topologies
/// disagree on an address or a port, the first one in the configured order that knows it wins.
///
/// After each `handle_*` and each change of the topologies, call [`Roster::poll_action`] until it returns `None`; call [`Roster::handle_timeout`] when
/// [`Roster::deadline`] has passed. Only the latest state is told: who came and went again
/// between two polls is not mentioned.
#[derive(Debug)]
pub struct Roster {
    config: RosterConfig,
    topologies: Topologies,
    /// What the plan was told to want, so that only differences are told.
    told: BTreeMap<NodeName, Sighting>,
    told_draining: bool,
    /// Whose merged state may differ from what was told.
    dirty: BTreeSet<NodeName>,
    /// Who has left, and when its live link is to be closed.
    leaving: BTreeMap<NodeName, Instant>,
    /// Whose time has come, and who is not back yet.
    due: BTreeSet<NodeName>,
}

impl Roster {
    /// A roster without topologies.
    pub fn new(config: RosterConfig) -> Self {
        Self {
            config,
            topologies: Topologies::default(),
            told: BTreeMap::new(),
            told_draining: false,
            dirty: BTreeSet::new(),
            leaving: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// Adds a topology behind those that are there; it names nobody until its first update.
    ///
    /// # Errors
    /// A topology of that name exists, or there are [`MAX_TOPOLOGIES`] already; nothing changed.
    pub fn add_topology(&mut self, name: TopologyName) -> Result<(), AddTopologyError> {
        self.topologies.add(name, false)
    }

    /// Adds a topology of what neighbours say of each other, behind those that are there. Where another topology has told that
    /// a peer is gone, that counts for more: the peer is wanted again when another topology names it, or when this one names
    /// it in another [`Sighting::life`] than before, which is newer news.
    ///
    /// # Errors
    /// As [`Roster::add_topology`].
    pub fn add_hearsay(&mut self, name: TopologyName) -> Result<(), AddTopologyError> {
        self.topologies.add(name, true)
    }

    /// Forgets a topology: whom it alone named has left.
    pub fn remove_topology(&mut self, now: Instant, name: &TopologyName) {
        let named = self.topologies.remove(name);
        self.note_changes(now, named);
    }

    /// Another source answers for this topology from now on. Who was named stays: until the new
    /// source has told the whole set, or, if it tells of single peers alone, for a minute from the
    /// first on. So does its word that we are being ended, until the first answer.
    pub fn replace_source(&mut self, name: &TopologyName) {
        self.topologies.begin_anew(name);
    }

    /// For how long the set of peers that the topology names must have been the same before who
    /// came or went counts; zero, which is the default, lets each answer count at once. A set that
    /// changes again and again counts after ten windows. A window is an hour at most. What is new of a peer that stays (its
    /// place, its standing) and [`Update::Draining`] are never held up.
    pub fn set_stabilisation_window(
        &mut self,
        now: Instant,
        name: &TopologyName,
        window: Duration,
    ) {
        let changed = self.topologies.set_window(now, name, window);
        self.note_changes(now, changed);
    }

    /// Puts the topologies into this order; those that are not in it come last, in the order that
    /// they have.
    pub fn sort_topologies(&mut self, order: &[TopologyName]) {
        // Nobody comes or goes by it, but another one's address may win.
        let affected = self.topologies.sort(order);
        self.dirty.extend(affected);
    }

    /// Takes in what the source of `topology` says. An update of a topology that is not (or no
    /// longer) here is ignored. Returns what is worth a log line.
    pub fn handle_update(
        &mut self,
        now: Instant,
        topology: &TopologyName,
        update: Update,
    ) -> SourceNews {
        let (news, changed) = self
            .topologies
            .update(now, topology, update, &self.config.own);
        self.note_changes(now, changed);
        news
    }

    /// Looks whose grace has run out, and what has settled.
    pub fn handle_timeout(&mut self, now: Instant) {
        let changed = self.topologies.settle(now);
        self.note_changes(now, changed);
        let due: Vec<_> = self
            .leaving
            .iter()
            .filter(|&(_, &at)| at <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.leaving.remove(&name);
            self.give_up(name);
        }
    }

    /// When [`Roster::handle_timeout`] is due; `None` if nobody's grace is running and nothing
    /// has to settle.
    pub fn deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.values().min().copied();
        let settling = self.topologies.deadline();
        leaving.into_iter().chain(settling).min()
    }

    /// What to tell the plan next.
    pub fn poll_action(&mut self) -> Option<Intent> {
        // Before all else when it begins and after all else when it ends: nobody is dialled of
        // whom the same update says that it has left.
        let draining = self.topologies.is_draining();
        if draining && !self.told_draining {
            self.told_draining = true;
            return Some(Intent::Drain(true));
        }
        while let Some(name) = self.dirty.pop_first() {
            let wanted = self.topologies.wanted(&name);
            let told = self.told.get(&name);
            match (wanted, told) {
                (Some(sighting), told) if told != Some(&sighting) => {
                    self.told.insert(name, sighting.clone());
                    return Some(Intent::Want(sighting));
                }
                (None, Some(_)) => {
                    self.told.remove(&name);
                    return Some(Intent::Leave(name));
                }
                _ => {}
            }
        }
        if let Some(name) = self.due.pop_first() {
            return Some(Intent::Prune(name));
        }
        if self.told_draining && !draining {
            self.told_draining = false;
            return Some(Intent::Drain(false));
        }
        None
    }

    /// The topologies that name the peer, sorted; none if it is not in the roster.
    pub fn topologies_of(&self, name: &NodeName) -> Vec<TopologyName> {
        self.topologies.naming(name)
    }

    /// Everybody in the roster, sorted by name, as merged, with the topologies that name it.
    pub fn peers(&self) -> impl Iterator<Item = (PeerAddr, Vec<TopologyName>)> + '_ {
        let names = self.topologies.names();
        names.into_iter().filter_map(|name| {
            let topologies = self.topologies.naming(name);
            let merged = self.topologies.merged(name);
            merged.map(|sighting| (sighting.peer, topologies))
        })
    }

    /// Whether some topology names the peer.
    pub fn contains(&self, name: &NodeName) -> bool {
        self.topologies.merged(name).is_some()
    }

    /// Whether a source has told that the peer is gone, and nobody knows better.
    pub fn is_gone(&self, name: &NodeName) -> bool {
        self.topologies.is_gone(name)
    }

    /// Whether some topology says that we ourselves are being ended.
    pub fn is_draining(&self) -> bool {
        self.topologies.is_draining()
    }

    /// How each topology fares, in the configured order.
    pub fn topologies(&self) -> impl Iterator<Item = TopologyStatus<'_>> {
        self.topologies.statuses()
    }

    /// How one topology fares.
    pub fn topology(&self, name: &TopologyName) -> Option<TopologyStatus<'_>> {
        self.topologies
            .statuses()
            .find(|status| status.name == name)
    }

    /// Has the live link closed of who has left; if a source names it again and that only has to
    /// settle, not before it is known whether it does.
    fn give_up(&mut self, name: NodeName) {
        match self.topologies.settles_at(&name) {
            Some(at) => drop(self.leaving.insert(name, at)),
            None => drop(self.due.insert(name)),
        }
    }

    fn note_changes(&mut self, now: Instant, changed: Vec<NodeName>) {
        for name in changed {
            if self.topologies.merged(&name).is_some() {
                self.leaving.remove(&name);
                self.due.remove(&name);
            } else {
                match self.config.prune {
                    Prune::Never => {}
                    Prune::Grace => {
                        // A grace that is longer than time itself never ends.
                        if let Some(at) = now.checked_add(self.config.grace) {
                            self.leaving.entry(name.clone()).or_insert(at);
                        }
                    }
                    Prune::Immediate => self.give_up(name.clone()),
                }
            }
            self.dirty.insert(name);
        }
    }
}

#[cfg(test)]
mod tests;
