//! What is remembered of each peer, and who is to be dialled when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_proto::Direction;

use super::{Failure, LinkId};
use crate::Standing;

/// How often whoever is where a peer should be must have denied to be it, until hearsay of it is believed no more. A
/// node that was just started is not registered yet.
const MAX_DENIALS: u32 = 3;

/// The same of a peer that we have met: with the longest back-off that is about a quarter of a minute, in which a node that has
/// ended can be started again. One that is started later dials, or is told of anew.
const MAX_DENIALS_OF_MET: u32 = 7;

/// A peer that is wanted, dialled or connected. Nobody becomes one by a mere claim.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Where the roster says that it is; `None` if no topology names it.
    pub(super) wanted: Option<PeerAddr>,
    /// What the roster thinks of dialling it.
    pub(super) standing: Standing,
    /// Which life of it the roster knows of.
    pub(super) life: u64,
    /// Where the user says that it is, until that one dial has ended.
    pub(super) once: Option<PeerAddr>,
    pub(super) dial: Option<LinkId>,
    pub(super) up: Option<LinkId>,
    /// Dials that failed, and links that fell early, in a row.
    pub(super) failures: u32,
    /// How often since we met it or heard of it anew whoever is there denied to be this peer, which we know by hearsay alone.
    pub(super) denials: u32,
    /// Whether a link with it was ever up for as long as we remember it.
    pub(super) was_met: bool,
    /// How often in a row the peer made us wait for its own connect.
    pub(super) noks: u32,
    /// Whether the next dial has been put off once already for an accepted link.
    pub(super) is_deferred: bool,
    /// Whether the address changed while the old one was being dialled.
    pub(super) has_moved: bool,
    /// When it was last dialled at once for having moved.
    pub(super) moved_at: Option<Instant>,
    /// Where it was when it left, and before when it is not to be dialled if it comes back there.
    pub(super) left: Option<(PeerAddr, Instant)>,
    pub(super) said: Option<Failure>,
    /// It closed after our digest, and nothing else has been heard of it since.
    pub(super) is_cookie_doubted: bool,
    said_cookie_dialled: bool,
    said_cookie_accepted: bool,
    due: Option<Instant>,
}

impl Peer {
    pub(super) fn is_news_of_cookie(&mut self, direction: Direction) -> bool {
        let said = match direction {
            Direction::Dialled => &mut self.said_cookie_dialled,
            Direction::Accepted => &mut self.said_cookie_accepted,
        };
        !std::mem::replace(said, true)
    }

    /// What was said of failures and cookies may be said again.
    pub(super) fn came_up(&mut self) {
        self.noks = 0;
        self.denials = 0;
        self.was_met = true;
        self.is_deferred = false;
        self.has_moved = false;
        self.once = None;
        self.left = None;
        self.said = None;
        self.is_cookie_doubted = false;
        self.said_cookie_dialled = false;
        self.said_cookie_accepted = false;
    }

    /// The address to dial, the user's before the roster's.
    pub(super) fn target(&self) -> Option<&PeerAddr> {
        let wanted = self.wanted.as_ref();
        let wanted = wanted.filter(|_| !self.is_not_believed());
        self.once.as_ref().or(wanted)
    }

    /// Whether the roster's word is not worth a dial: the peer has been silent for long, or hearsay of it was denied.
    pub(super) fn is_not_believed(&self) -> bool {
        match self.standing {
            Standing::Ready | Standing::Unready => false,
            Standing::Heard if self.was_met => self.denials >= MAX_DENIALS_OF_MET,
            Standing::Heard => self.denials >= MAX_DENIALS,
            Standing::Silent => true,
        }
    }

    /// A dial met somebody else than this peer.
    pub(super) fn was_denied(&mut self) {
        if self.standing == Standing::Heard {
            self.denials = self.denials.saturating_add(1);
        }
    }

    /// When it is dialled next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    fn is_needed(&self) -> bool {
        let has_link = self.dial.is_some() || self.up.is_some();
        has_link || self.wanted.is_some() || self.once.is_some() || self.due.is_some()
    }
}

/// All peers, and a queue of those that wait for their next dial.
#[derive(Debug, Default)]
pub(super) struct Peers {
    table: BTreeMap<NodeName, Peer>,
    due: BTreeSet<(Instant, NodeName)>,
}

impl Peers {
    pub(super) fn get(&self, name: &NodeName) -> Option<&Peer> {
        self.table.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &NodeName) -> Option<&mut Peer> {
        self.table.get_mut(name)
    }

    /// The peer, made if there are fewer than `max`; `None` at the bound.
    pub(super) fn entry(&mut self, name: &NodeName, max: usize) -> Option<&mut Peer> {
        if self.table.len() >= max && !self.table.contains_key(name) {
            return None;
        }
        Some(self.table.entry(name.clone()).or_default())
    }

    /// Sets when the peer is dialled next.
    pub(super) fn schedule(&mut self, name: &NodeName, due: Option<Instant>) {
        let Some(peer) = self.table.get_mut(name) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut peer.due, due) {
            self.due.remove(&(old, name.clone()));
        }
        if let Some(at) = due {
            self.due.insert((at, name.clone()));
        }
    }

    /// Takes the next peer out of the queue whose time has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<NodeName> {
        if self.due.first().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (_, name) = self.due.pop_first()?;
        if let Some(peer) = self.table.get_mut(&name) {
            peer.due = None;
        }
        Some(name)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|&(at, _)| at)
    }

    /// Forgets the peer if there is no reason left to remember it.
    pub(super) fn release(&mut self, name: &NodeName) {
        if self.table.get(name).is_some_and(|peer| !peer.is_needed()) {
            self.schedule(name, None);
            self.table.remove(name);
        }
    }

    /// The live links, sorted by the peer's name.
    pub(super) fn up(&self) -> impl Iterator<Item = LinkId> {
        self.table.values().filter_map(|peer| peer.up)
    }

    pub(super) fn names(&self) -> Vec<NodeName> {
        self.table.keys().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.due.clear();
    }
}
