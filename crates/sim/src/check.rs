//! Watches every node and finds the first broken promise.

mod said;

use std::collections::{BTreeMap, BTreeSet};

use enmesh_identity::{Creation, NodeName, PeerAddr};
use enmesh_membership::{
    Connection, ConnectionId, DownReason, LinkId, Plan, Prune, Roster, Sighting, Standing, Update,
};

use self::said::Said;
use crate::SimConfig;
use crate::event::{Micros, SECOND};
use crate::network::PORT;
use crate::node::topology_name;
use crate::violation::{Promise, Violation};

/// How long a wanted peer may wait for its first dial: it is put off for a quarter of a second if
/// it may not be ready, and for a second while somebody claims its name.
const FIRST_DIAL_WITHIN: Micros = SECOND * 5 / 4 + SECOND / 10;

/// How long who has left keeps its live link under [`Prune::Grace`].
const GRACE: Micros = 15 * SECOND;

/// In this time a peer may be dialled [`MAX_DIALS`] times.
const DIAL_WINDOW: Micros = 10 * SECOND;
const MAX_DIALS: u32 = 20;

/// What one life of a node said so far.
#[derive(Debug, Default)]
struct Watched {
    seen: BTreeSet<ConnectionId>,
    up: BTreeMap<NodeName, Connection>,
    live: BTreeSet<LinkId>,
    /// Whom the user disconnects.
    unwanted: BTreeSet<NodeName>,
    /// Who has left the roster, and since when.
    left: BTreeMap<NodeName, Micros>,
    /// Who waits for the first dial, and since when.
    waiting: BTreeMap<NodeName, Micros>,
    /// Whose dials were given up in this step, because of another link or because they left.
    given_up: Vec<NodeName>,
    /// Whose live links had to make room in this step for another one.
    superseded: Vec<NodeName>,
    /// Dials in the window that began then.
    dials: BTreeMap<NodeName, (Micros, u32)>,
    /// Whom each topology names by its positive words.
    topologies: Vec<Said>,
    /// When it went on after it had been stopped.
    thawed_at: Option<Micros>,
    /// Who is not to be dialled, as the plan was told.
    silent: BTreeSet<NodeName>,
    /// Whether the plan was told that we are being ended.
    is_draining: bool,
    /// Whom the user wants a link with, until that has come to something.
    asked_for: BTreeSet<NodeName>,
    /// Until when it stays away from everybody.
    away_until: Micros,
    is_shut: bool,
}

impl Watched {
    /// Whether only the user can want this peer dialled.
    fn may_not_dial(&self, peer: &NodeName) -> bool {
        self.is_draining || self.silent.contains(peer)
    }

    /// Whether a source says that the peer is there.
    fn is_named(&self, peer: &NodeName) -> bool {
        self.topologies.iter().any(|said| said.names(peer))
    }
}

/// What every node said, and what was found to be wrong.
#[derive(Debug)]
pub(crate) struct Watch {
    run: SimConfig,
    names: Vec<NodeName>,
    prune: Prune,
    nodes: Vec<Watched>,
    pub(crate) violation: Option<Box<Violation>>,
    pub(crate) now: Micros,
    /// Whether no link may fall.
    pub(crate) is_quiet: bool,
}

impl Watch {
    pub(crate) fn new(run: SimConfig, names: Vec<NodeName>, prune: Prune) -> Self {
        let nodes = names.iter().map(|_| Watched::default()).collect();
        Self {
            run,
            names,
            prune,
            nodes,
            violation: None,
            now: 0,
            is_quiet: false,
        }
    }

    /// Writes down the first broken promise.
    pub(crate) fn broken(&mut self, promise: Promise, involved: Vec<usize>, how: String) {
        if self.violation.is_none() {
            let violation = Violation {
                run: self.run.clone(),
                promise,
                at: self.now,
                how,
                story: Vec::new(),
                involved,
            };
            self.violation = Some(Box::new(violation));
        }
    }

    /// The node begins a new life.
    pub(crate) fn born(&mut self, node: usize, topologies: usize, window: Micros) {
        self.nodes[node] = Watched {
            topologies: (0..topologies).map(|_| Said::new(window)).collect(),
            ..Watched::default()
        };
    }

    pub(crate) fn nodeup(&mut self, node: usize, up: &Connection) {
        let watched = &mut self.nodes[node];
        watched.waiting.remove(&up.name);
        watched.asked_for.remove(&up.name);
        watched.live.insert(up.link);
        let is_new = watched.seen.insert(up.connection);
        let old = watched.up.insert(up.name.clone(), up.clone());
        let is_shut = watched.is_shut;
        let involved = self.involved(node, &up.name);
        if !is_new {
            let how = format!("{} says twice that {} is up", self.names[node], up.name);
            self.broken(Promise::OneNodeupOneNodedown, involved, how);
        } else if old.is_some() {
            let how = format!("{} has two live links with {}", self.names[node], up.name);
            self.broken(Promise::OneLivePerPeer, involved, how);
        } else if is_shut {
            let how = format!(
                "{} says after its end that {} is up",
                self.names[node], up.name
            );
            self.broken(Promise::ShutdownLeavesNothing, involved, how);
        }
    }

    pub(crate) fn nodedown(&mut self, node: usize, down: &Connection, reason: DownReason) {
        let watched = &mut self.nodes[node];
        watched.live.remove(&down.link);
        let was = watched.up.remove(&down.name);
        let is_shut = watched.is_shut;
        let involved = self.involved(node, &down.name);
        if was.as_ref() != Some(down) {
            let how = format!(
                "{} says that {} is down, which was not up",
                self.names[node], down.name
            );
            self.broken(Promise::OneNodeupOneNodedown, involved, how);
        } else if self.is_quiet && !is_shut {
            let how = format!(
                "{} loses {} ({reason}) while all is quiet",
                self.names[node], down.name
            );
            self.broken(Promise::QuietStaysQuiet, involved, how);
        }
    }

    /// A link was told to carry messages from now on.
    pub(crate) fn admitted(&mut self, node: usize, link: LinkId) {
        if !self.nodes[node].live.contains(&link) {
            let how = format!(
                "{} lets messages of link {link} flow before its nodeup",
                self.names[node]
            );
            self.broken(Promise::MessagesWhileUp, vec![node], how);
        }
    }

    /// A message that must be the next of its link.
    pub(crate) fn message(&mut self, node: usize, link: LinkId, sequence: u32, expected: u32) {
        let is_live = self.nodes[node].live.contains(&link);
        if !is_live || sequence != expected {
            let how = format!(
                "{} gets message {sequence} of link {link}, {expected} is next, live: {is_live}",
                self.names[node]
            );
            self.broken(Promise::MessagesWhileUp, vec![node], how);
        }
    }

    pub(crate) fn dial(&mut self, node: usize, peer: &PeerAddr) {
        let now = self.now;
        let watched = &mut self.nodes[node];
        watched.waiting.remove(peer.name());
        let window = watched.dials.entry(peer.name().clone()).or_insert((now, 0));
        if now - window.0 > DIAL_WINDOW {
            *window = (now, 0);
        }
        window.1 += 1;
        let (count, is_shut) = (window.1, watched.is_shut);
        let is_asked_for = watched.asked_for.contains(peer.name());
        let is_wrong = !is_asked_for && watched.may_not_dial(peer.name());
        let own = &self.names[node];
        let own_address = PeerAddr::new(own.clone()).address();
        let is_own =
            peer.name() == own || (peer.address() == own_address && peer.port() == Some(PORT));
        let involved = self.involved(node, peer.name());
        if is_own {
            let how = format!("{own} dials itself as {peer}");
            self.broken(Promise::NeverDialsItself, involved, how);
        } else if is_shut {
            let how = format!("{own} dials {peer} after its end");
            self.broken(Promise::ShutdownLeavesNothing, involved, how);
        } else if is_wrong {
            let how = format!("{own} dials {peer}, which is silent, or is being ended itself");
            self.broken(Promise::DialsOnlyWhomItShould, involved, how);
        } else if count > MAX_DIALS {
            let how = format!("{own} dials {peer} {count} times in 10 s");
            self.broken(Promise::NoDialStorm, involved, how);
        }
    }

    pub(crate) fn dial_failed(&mut self, node: usize, peer: &NodeName) {
        self.nodes[node].waiting.remove(peer);
        self.nodes[node].asked_for.remove(peer);
    }

    /// The plan closes a link by its own will.
    pub(crate) fn close(&mut self, node: usize, link: LinkId, reason: DownReason) {
        let watched = &self.nodes[node];
        if !watched.live.contains(&link) {
            return;
        }
        let Some(up) = watched.up.values().find(|up| up.link == link) else {
            return;
        };
        let is_named = watched.is_named(&up.name);
        let name = up.name.clone();
        let is_right = match reason {
            DownReason::Superseded => true,
            DownReason::Shutdown => watched.is_shut,
            DownReason::Away => self.now < watched.away_until,
            DownReason::Disconnect => watched.unwanted.contains(&up.name),
            DownReason::Pruned => {
                let left = watched.left.get(&name);
                let grace = match self.prune {
                    Prune::Never => None,
                    Prune::Grace => Some(GRACE),
                    Prune::Immediate => Some(0),
                };
                let may = |(left, grace): (&Micros, Micros)| self.now >= left + grace;
                !is_named && left.zip(grace).is_some_and(may)
            }
            _ => false,
        };
        if !is_right {
            let how = format!(
                "{} closes its live link with {} ({reason})",
                self.names[node], up.name
            );
            let involved = self.involved(node, &name);
            self.broken(Promise::LeavingIsNotClosing, involved, how);
        } else if reason == DownReason::Superseded {
            self.nodes[node].superseded.push(name);
        }
    }

    /// Roster and plan are about to be told that their time has come.
    pub(crate) fn time_passes(&mut self, node: usize) {
        let topologies = &mut self.nodes[node].topologies;
        topologies.iter_mut().for_each(|it| it.expire(self.now));
    }

    /// Roster and plan have just been told that their time has come.
    pub(crate) fn timer(&mut self, node: usize, is_still_due: bool) {
        if is_still_due {
            let how = format!("a timer of {} stays due for ever", self.names[node]);
            self.broken(Promise::NoBusyLoop, vec![node], how);
        }
    }

    /// The plan gives a dial up as not wanted any more.
    pub(crate) fn gives_up(&mut self, node: usize, peer: &NodeName) {
        self.nodes[node].given_up.push(peer.clone());
    }

    pub(crate) fn user_connects(&mut self, node: usize, peer: &NodeName) {
        let watched = &mut self.nodes[node];
        if !watched.up.contains_key(peer) {
            watched.asked_for.insert(peer.clone());
        }
    }

    pub(crate) fn user_disconnects(&mut self, node: usize, peer: &NodeName) {
        self.nodes[node].unwanted.insert(peer.clone());
    }

    /// The node was told to stay away from everybody.
    pub(crate) fn leaves(&mut self, node: usize, until: Micros) {
        let watched = &mut self.nodes[node];
        watched.away_until = watched.away_until.max(until);
    }

    /// The roster tells that it wants this peer.
    pub(crate) fn wanted(&mut self, node: usize, peer: &Sighting, is_known: bool) {
        let watched = &mut self.nodes[node];
        let name = peer.name();
        watched.left.remove(name);
        if peer.standing == Standing::Silent {
            watched.silent.insert(name.clone());
            watched.waiting.remove(name);
        } else {
            watched.silent.remove(name);
            if !is_known && !watched.is_draining {
                watched.waiting.insert(name.clone(), self.now);
            }
        }
    }

    /// The roster tells whether we are being ended.
    pub(crate) fn drains(&mut self, node: usize, is_draining: bool) {
        self.nodes[node].is_draining = is_draining;
        self.nodes[node].waiting.clear();
    }

    pub(crate) fn left(&mut self, node: usize, peer: &NodeName) {
        let watched = &mut self.nodes[node];
        watched.waiting.remove(peer);
        watched.silent.remove(peer);
        watched.left.insert(peer.clone(), self.now);
    }

    /// The node was stopped for a while: what it did not do then is no fault of its own.
    pub(crate) fn thawed(&mut self, node: usize) {
        self.nodes[node].thawed_at = Some(self.now);
        self.nodes[node].waiting.clear();
    }

    /// A source is about to say this.
    pub(crate) fn update(&mut self, node: usize, topology: usize, update: &Update) {
        let own = &self.names[node];
        self.nodes[node].topologies[topology].update(self.now, own, update);
    }

    /// Another source is about to answer for this topology.
    pub(crate) fn replaced(&mut self, node: usize, topology: usize, roster: &Roster) {
        let counted = counted(roster, topology);
        self.nodes[node].topologies[topology].replaced(self.now, counted);
    }

    /// Whether the roster holds exactly those whom the topologies' positive words name, as soon as
    /// their windows let them count and no sooner.
    pub(crate) fn roster(&mut self, node: usize, roster: &Roster) {
        let now = self.now;
        let watched = &mut self.nodes[node];
        // Timers that came due while it was stopped are handled within this moment.
        let is_thawing = watched.thawed_at.is_some_and(|at| now <= at + 1);
        let mut is_right = true;
        for (topology, said) in watched.topologies.iter_mut().enumerate() {
            is_right &= said.may_count(now, counted(roster, topology)) || is_thawing;
        }
        if !is_right {
            let how = format!(
                "the roster of {} is not what its sources said",
                self.names[node]
            );
            self.broken(Promise::FailureRemovesNobody, vec![node], how);
        }
    }

    /// Looks at the node's tables after a step.
    pub(crate) fn tables(&mut self, node: usize, plan: &Plan, links: usize) {
        self.claims(node);
        let live = self.nodes[node].up.len();
        let known = plan.setups() + plan.dialling() + live;
        if links > known {
            let how = format!(
                "{} holds {links} links, its plan knows {known}",
                self.names[node]
            );
            self.broken(Promise::Bounded, vec![node], how);
        }
        // Everybody, and the ghosts that a wrong source names.
        let most = 2 * self.names.len();
        if plan.known_peers() > most || plan.setups() > 512 || plan.dialling() > 256 {
            let how = format!(
                "{} remembers {} peers",
                self.names[node],
                plan.known_peers()
            );
            self.broken(Promise::Bounded, vec![node], how);
        }
        let back_at = self.nodes[node].away_until;
        let late = |since: &Micros| self.now > back_at.max(*since) + FIRST_DIAL_WITHIN;
        let waiting = &self.nodes[node].waiting;
        if let Some((peer, _)) = waiting.iter().find(|(_, since)| late(since)) {
            let how = format!(
                "{} has not dialled {peer}, which it wants",
                self.names[node]
            );
            let involved = self.involved(node, &peer.clone());
            self.broken(Promise::NobodyDelaysAnother, involved, how);
        }
    }

    /// Whether what was ended in this step for another link was ended for one that is up.
    fn claims(&mut self, node: usize) {
        for peer in std::mem::take(&mut self.nodes[node].superseded) {
            if !self.nodes[node].up.contains_key(&peer) {
                let how = format!(
                    "{} closes its link with {peer} for one that is not up",
                    self.names[node]
                );
                let involved = self.involved(node, &peer);
                self.broken(Promise::ClaimsEndNothing, involved, how);
            }
        }
        for peer in std::mem::take(&mut self.nodes[node].given_up) {
            let watched = &self.nodes[node];
            let has_left = watched.left.contains_key(&peer);
            if watched.is_named(&peer) && !has_left && !watched.up.contains_key(&peer) {
                let how = format!(
                    "{} gives up its dial of {peer} for a claim",
                    self.names[node]
                );
                let involved = self.involved(node, &peer);
                self.broken(Promise::ClaimsEndNothing, involved, how);
            }
        }
    }

    /// Every two of the nodes must be connected by one connection, each in its present life.
    pub(crate) fn whole(&mut self, creations: &[Option<Creation>]) {
        for (node, creation) in creations.iter().enumerate() {
            if creation.is_none() {
                continue;
            }
            for (peer, creation) in creations.iter().enumerate() {
                let up = self.nodes[node].up.get(&self.names[peer]);
                let is_right = match creation {
                    Some(creation) if peer != node => up.is_some_and(|up| up.creation == *creation),
                    _ => continue,
                };
                if !is_right {
                    let how = format!("{} has no link with {}", self.names[node], self.names[peer]);
                    self.broken(Promise::WholeAfterHeal, vec![node, peer], how);
                    return;
                }
            }
        }
    }

    /// The node is about to end.
    pub(crate) fn shuts(&mut self, node: usize) {
        self.nodes[node].is_shut = true;
        self.nodes[node].waiting.clear();
    }

    /// The node has ended.
    pub(crate) fn shut(&mut self, node: usize, plan: &Plan, links: usize) {
        let left = self.nodes[node].up.len() + links + plan.connected().count();
        if left > 0 || plan.deadline().is_some() {
            let how = format!("{} leaves {left} links behind", self.names[node]);
            self.broken(Promise::ShutdownLeavesNothing, vec![node], how);
        }
    }

    pub(crate) fn index_of(&self, name: &NodeName) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    fn involved(&self, node: usize, peer: &NodeName) -> Vec<usize> {
        std::iter::once(node).chain(self.index_of(peer)).collect()
    }
}

/// Who counts of those whom a topology names.
fn counted(roster: &Roster, topology: usize) -> BTreeSet<NodeName> {
    let name = topology_name(topology);
    let peers = roster.peers();
    let named = peers.filter(|(_, topologies)| topologies.contains(&name));
    named.map(|(peer, _)| peer.name().clone()).collect()
}
