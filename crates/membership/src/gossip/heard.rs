//! Who was heard when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use enmesh_identity::{Creation, NodeName};

use super::packet::GossipProof;
use crate::{MAX_PEERS, Sighting, Standing, Update};

/// After how long without a packet a peer counts as silent. Nodes send one in 5 s at the latest.
const SILENCE: Duration = Duration::from_secs(60);

/// Silence is looked for at most this often, so that many who fall silent cost few looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The most names that are known. Where one more comes, the one that was silent for longest is
/// given up, if that is an hour or more; else the new one is not taken in.
pub const MAX_GOSSIP_PEERS: usize = MAX_PEERS;

/// After how long a silent name may make room for another one.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// A full table is searched for such a name at most this often: a search looks at every name, and
/// whoever makes names up must not have us search for each.
const SEARCH_INTERVAL: Duration = Duration::from_millis(10);

/// How many incarnations of one name are told apart; one more displaces the one that was heard
/// of longest ago.
const MAX_LIVES: usize = 4;

/// What a packet was to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    /// It counted.
    Counted,
    /// It is signed and was heard before, or is older than what was.
    Replayed,
    /// It is not signed, and the name has signed within a minute.
    Unsigned,
    /// There is no room for one more name.
    NoRoom,
}

/// Everybody who was heard, and what of it was not told yet.
#[derive(Debug, Default)]
pub(super) struct Heard {
    peers: BTreeMap<NodeName, Peer>,
    /// Whose state was not told since it changed.
    untold: BTreeSet<NodeName>,
    /// When somebody may have fallen silent; never later than that.
    look_at: Option<Instant>,
    /// When a full table was searched last.
    searched: Option<Instant>,
}

#[derive(Debug)]
struct Peer {
    heard: Instant,
    state: State,
    /// The incarnations that signed, latest last.
    lives: Vec<Life>,
    /// The one that counts; none where nothing was signed.
    creation: Option<Creation>,
    /// How often it was heard again after it was silent or had left.
    returns: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Present,
    Silent,
    Gone,
}

/// One incarnation of a name: what it signs rises.
#[derive(Debug)]
struct Life {
    creation: Creation,
    millis: u64,
    heard: Instant,
    left: bool,
}

impl Heard {
    /// A heartbeat without a proof.
    pub(super) fn unsigned(&mut self, now: Instant, name: &NodeName) -> Hearing {
        if let Some(peer) = self.peers.get(name)
            && peer.lives.iter().any(|life| life.is_recent(now))
        {
            return Hearing::Unsigned;
        }
        self.count(now, name, None)
    }

    /// A heartbeat whose code is right.
    pub(super) fn signed(&mut self, now: Instant, name: &NodeName, proof: &GossipProof) -> Hearing {
        if self
            .peers
            .get(name)
            .is_some_and(|peer| !peer.is_news(now, proof))
        {
            return Hearing::Replayed;
        }
        self.count(now, name, Some(proof))
    }

    /// A goodbye whose code is right. One from a name that was never heard changes nothing.
    pub(super) fn goodbye(
        &mut self,
        now: Instant,
        name: &NodeName,
        proof: &GossipProof,
    ) -> Hearing {
        let Some(peer) = self.peers.get_mut(name) else {
            return Hearing::Counted;
        };
        if !peer.is_news(now, proof) {
            return Hearing::Replayed;
        }
        peer.live(now, proof).left = true;
        // An older incarnation may leave after its successor was heard: then the name is there.
        let outlived =
            |life: &Life| !life.left && life.is_recent(now) && life.millis > proof.millis;
        if peer.state != State::Gone && !peer.lives.iter().any(outlived) {
            peer.state = State::Gone;
            self.untold.insert(name.clone());
        }
        Hearing::Counted
    }

    /// Looks who has fallen silent.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.look_at.is_none_or(|at| now < at) {
            return;
        }
        let mut next = None;
        for (name, peer) in &mut self.peers {
            if peer.state != State::Present {
                continue;
            }
            let due = peer.heard + SILENCE;
            if due <= now {
                peer.state = State::Silent;
                self.untold.insert(name.clone());
            } else {
                next = Some(next.map_or(due, |at: Instant| at.min(due)));
            }
        }
        self.look_at = next.map(|at| at.max(now + LOOK_INTERVAL));
    }

    /// When somebody may have fallen silent.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// What has changed since it was told.
    pub(super) fn poll_update(&mut self) -> Option<Update> {
        if self.untold.is_empty() {
            return None;
        }
        let (mut present, mut gone) = (Vec::new(), Vec::new());
        for name in std::mem::take(&mut self.untold) {
            match self.peers.get(&name) {
                Some(peer) if peer.state != State::Gone => present.push(peer.sighting(name)),
                _ => gone.push(name),
            }
        }
        Some(Update::Changed { present, gone })
    }

    fn count(&mut self, now: Instant, name: &NodeName, proof: Option<&GossipProof>) -> Hearing {
        if !self.peers.contains_key(name) {
            if self.peers.len() >= MAX_GOSSIP_PEERS && !self.forget_one(now) {
                return Hearing::NoRoom;
            }
            self.peers.insert(name.clone(), Peer::new(now));
            self.untold.insert(name.clone());
        }
        let Some(peer) = self.peers.get_mut(name) else {
            return Hearing::NoRoom;
        };
        peer.heard = now;
        if peer.state != State::Present {
            peer.state = State::Present;
            peer.returns = peer.returns.wrapping_add(1);
            self.untold.insert(name.clone());
        }
        let creation = proof.map(|proof| {
            let life = peer.live(now, proof);
            life.left = false;
            life.creation
        });
        if peer.creation != creation {
            peer.creation = creation;
            self.untold.insert(name.clone());
        }
        // Later heartbeats only put off what is due then.
        self.look_at.get_or_insert(now + SILENCE);
        Hearing::Counted
    }

    /// Gives up the name that has not been heard for longest. Those that left have no place in the
    /// roster any more, so they go first.
    fn forget_one(&mut self, now: Instant) -> bool {
        let just_now = |at: Instant| now.saturating_duration_since(at) < SEARCH_INTERVAL;
        if self.searched.is_some_and(just_now) {
            return false;
        }
        self.searched = Some(now);
        let forgettable = self.peers.iter().filter(|(_, peer)| {
            let silence = now.saturating_duration_since(peer.heard);
            match peer.state {
                State::Present => false,
                State::Silent => silence >= FORGOTTEN,
                State::Gone => silence >= SILENCE,
            }
        });
        let oldest = forgettable.min_by_key(|(_, peer)| (peer.state != State::Gone, peer.heard));
        let Some(name) = oldest.map(|(name, _)| name.clone()) else {
            return false;
        };
        if self
            .peers
            .remove(&name)
            .is_some_and(|peer| peer.state != State::Gone)
        {
            self.untold.insert(name);
        }
        true
    }
}

impl Peer {
    fn new(now: Instant) -> Self {
        Self {
            heard: now,
            state: State::Present,
            lives: Vec::new(),
            creation: None,
            returns: 0,
        }
    }

    /// Whether the proof is later than all that was heard. Of the same incarnation only a greater
    /// number is; that of another one must be greater than those that signed within a minute. So
    /// a node that was started again counts at once, a recording of an earlier one does not while
    /// the present one lives, and one whose clock was put back counts after a minute.
    fn is_news(&self, now: Instant, proof: &GossipProof) -> bool {
        match self
            .lives
            .iter()
            .find(|life| life.creation == proof.creation)
        {
            Some(life) => proof.millis > life.millis,
            None => !self
                .lives
                .iter()
                .any(|life| life.is_recent(now) && life.millis >= proof.millis),
        }
    }

    /// The incarnation of this proof, brought up to it.
    fn live(&mut self, now: Instant, proof: &GossipProof) -> &mut Life {
        let known = self
            .lives
            .iter()
            .position(|life| life.creation == proof.creation);
        let mut life = match known {
            Some(place) => self.lives.remove(place),
            None => {
                if self.lives.len() >= MAX_LIVES {
                    self.lives.remove(0);
                }
                Life {
                    creation: proof.creation,
                    millis: proof.millis,
                    heard: now,
                    left: false,
                }
            }
        };
        life.millis = proof.millis;
        life.heard = now;
        self.lives.push(life);
        self.lives.last_mut().expect("it was pushed just now")
    }

    fn sighting(&self, name: NodeName) -> Sighting {
        let standing = match self.state {
            State::Silent => Standing::Silent,
            State::Present | State::Gone => Standing::Ready,
        };
        // A node that was started again, or is back, may be dialled with better luck than before.
        let creation = self.creation.map_or(0, Creation::get);
        let life = (u64::from(creation) << 32) | u64::from(self.returns);
        Sighting::from(name).with_standing(standing).with_life(life)
    }
}

impl Life {
    /// Whether it signed anything within the time after which a peer is silent.
    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) < SILENCE
    }
}

#[cfg(test)]
mod tests;
