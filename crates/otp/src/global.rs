//! `global`: names, locks and the mesh of the visible nodes.
//!
//! Visible nodes that are connected merge their *partitions* two at a time: each node of a
//! partition knows all others of it, all have the same table of names, and whoever changes the
//! names or merges holds a lock on every node. This is the protocol of `global_name_server`,
//! version 8, as OTP 25 to 29 speak it; `docs/global.md` says what is different here.

mod audit;
mod clashes;
mod hearsay;
mod locker;
mod locks;
mod mesh;
mod names;
mod registrar;
mod rejoin;
mod resolve;
mod runs;
mod server;
mod session;
mod strays;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use enmesh_term::{Atom, Pid, Term};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use self::audit::Audit;
use self::hearsay::Hearsay;
use self::locker::Locker;
use self::locks::{Locks, Writer};
use self::mesh::Mesh;
use self::names::{Entry, Names};
use self::registrar::Registrar;
use self::rejoin::Rejoin;
pub(crate) use self::resolve::resolve_it;
use self::server::Syncer;
use self::session::{His, Session};
use self::strays::Strays;
use self::wire::{cast, mark, server_of};
use crate::effect::{Address, CallFailed, Effect};

/// The most nodes of our partition; further ones are not taken in.
const MAX_KNOWN: usize = 65_536;

/// How a [`Global`] is set up.
#[derive(Clone, Debug)]
pub(crate) struct GlobalConfig {
    /// Our node.
    pub(crate) node: Atom,
    /// The process registered as `global_name_server`.
    pub(crate) server: Pid,
    /// The process that takes locks to merge partitions.
    pub(crate) locker: Pid,
    /// The process that takes locks to register names.
    pub(crate) registrar: Pid,
    /// Where chance comes from.
    pub(crate) seed: u64,
}

/// The machine of `global` of one node.
///
/// Calling order: any `handle_*`, [`Global::register`] or [`Global::unregister`], then
/// [`Global::poll_effect`] and [`Global::poll_outcome`] until both are empty. `now` never goes
/// back. Only visible peers are announced.
#[derive(Debug)]
pub(crate) struct Global {
    config: GlobalConfig,
    chance: SmallRng,
    last_id: u64,
    last_tag: i64,
    connected: BTreeSet<Atom>,
    /// The other nodes of our partition, with the version that each speaks.
    known: BTreeMap<Atom, i64>,
    synced: BTreeSet<Atom>,
    /// The connected peers that are members like us, as far as they have said so.
    kin: BTreeSet<Atom>,
    hearsay: Hearsay,
    sessions: BTreeMap<Atom, Session>,
    /// Who introduced itself without a session of ours.
    early: BTreeMap<Atom, His>,
    /// The node that each open call is for.
    calls: BTreeMap<u64, Atom>,
    names: Names,
    locks: Locks,
    locker: Locker,
    registrar: Registrar,
    mesh: Mesh,
    rejoin: Rejoin,
    syncers: Vec<Syncer>,
    strays: Strays,
    audit: Audit,
    effects: VecDeque<Effect>,
    outcomes: VecDeque<(u64, bool)>,
}

impl Global {
    pub(crate) fn new(config: GlobalConfig) -> Self {
        Self {
            chance: SmallRng::seed_from_u64(config.seed),
            // Another incarnation of ours has other tags.
            last_tag: i64::from(config.server.creation()) << 24,
            config,
            last_id: 0,
            connected: BTreeSet::new(),
            known: BTreeMap::new(),
            synced: BTreeSet::new(),
            kin: BTreeSet::new(),
            hearsay: Hearsay::default(),
            sessions: BTreeMap::new(),
            early: BTreeMap::new(),
            calls: BTreeMap::new(),
            names: Names::default(),
            locks: Locks::default(),
            locker: Locker::default(),
            registrar: Registrar::default(),
            mesh: Mesh::default(),
            rejoin: Rejoin::default(),
            syncers: Vec::new(),
            strays: Strays::default(),
            audit: Audit::default(),
            effects: VecDeque::new(),
            outcomes: VecDeque::new(),
        }
    }

    /// A visible peer is connected.
    pub(crate) fn handle_nodeup(&mut self, now: Instant, peer: &Atom) {
        self.connected.insert(peer.clone());
        if self.mesh.nodeup(peer) {
            self.greet(peer);
        }
        self.begin_session(now, peer);
        self.strays.suspect(now);
        self.audit_soon(now);
    }

    /// A peer is not connected any more: it is not of our partition either, and its names and
    /// locks are gone. To be told before what its monitors and calls come to, so that nobody is
    /// given a name of it meanwhile.
    pub(crate) fn handle_nodedown(&mut self, now: Instant, peer: &Atom) {
        self.connected.remove(peer);
        self.kin.remove(peer);
        self.strays.nodedown(peer);
        self.mesh.nodedown(now, peer);
        self.names.lost(peer);
        self.locks.lost(peer);
        // Whom an answer would only bring back.
        self.locker_hears_no_more_of(peer);
        self.syncers.retain(|syncer| syncer.node() != peer);
        self.forget(now, peer);
        self.doubt_what_was_heard_of(now, peer);
        self.audit_soon(now);
    }

    /// The outcome of [`Effect::Call`].
    pub(crate) fn handle_reply(
        &mut self,
        now: Instant,
        id: u64,
        outcome: Result<Term, CallFailed>,
    ) {
        if !self.locker_answered(now, id, &outcome) && !self.registrar_answered(now, id, &outcome) {
            self.resolver_answered(now, id, &outcome);
            self.stray_answered(now, id, &outcome);
            self.audit_answered(now, id, &outcome);
        }
        if let Some(node) = self.calls.remove(&id)
            && outcome.is_err()
        {
            self.could_not_reach(now, &node);
        }
    }

    /// What [`Effect::Monitor`] watched has died: its name or lock is free.
    pub(crate) fn handle_down(&mut self, now: Instant, id: u64, reason: &Term) {
        if self.locks.died(id) {
            return;
        }
        if let Some(gone) = self.names.died(id)
            && reason.is_atom("noconnection")
        {
            self.could_not_reach(now, gone.pid.node());
        }
    }

    /// Goes on with merges and registrations, and forgets nodes that did not come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.locker_timeout(now);
        self.registrar_timeout(now);
        self.strays_timeout(now);
        self.audit_timeout(now);
        if self.mesh.deadline().is_some_and(|at| at <= now) {
            for node in self.mesh.expire(now) {
                self.forget(now, &node);
            }
            self.connect();
        }
    }

    /// When [`Global::handle_timeout`] is due; `None` if nothing is pending.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let timers = [
            self.locker.due(),
            self.registrar.due(),
            self.strays.due(),
            self.audit.due(),
            self.mesh.deadline(),
        ];
        timers.into_iter().flatten().min()
    }

    /// What to do next.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// How a [`Global::register`] or [`Global::unregister`] went.
    pub(crate) fn poll_outcome(&mut self) -> Option<(u64, bool)> {
        self.outcomes.pop_front()
    }

    /// Who has the name.
    pub(crate) fn whereis(&self, name: &Term) -> Option<&Pid> {
        self.names.get(name).map(|found| &found.pid)
    }

    /// All names of our partition.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Term> {
        self.names.names()
    }

    /// Whether the partition of that node and ours are one, as far as it is known here.
    #[cfg(test)]
    pub(crate) fn is_synced(&self, node: &Atom) -> bool {
        *node == self.config.node || self.synced.contains(node)
    }

    /// The other nodes of our partition.
    #[cfg(test)]
    pub(crate) fn known(&self) -> impl Iterator<Item = &Atom> {
        self.known.keys()
    }

    /// A node says that our links overlap with a partition: we are to go. To lose one link only
    /// would make others cut each other off, so all go, and we come back as one.
    fn cut_off(&mut self, now: Instant) {
        if self.rejoin.is_away(now) {
            return;
        }
        let rejoin_after = self.rejoin.leave(now, &mut self.chance);
        self.effects.push_back(Effect::Leave { rejoin_after });
        for node in self.mesh.leave() {
            self.forget(now, &node);
        }
        // Also those who had dialled us, and whom nobody told us of: they will not do so again.
        for node in &self.connected {
            self.mesh.remember(node);
        }
        self.connect();
    }

    /// A node that was to be connected is not: what it missed meanwhile it must be told in a
    /// merge, and so it is not of our partition.
    fn could_not_reach(&mut self, now: Instant, node: &Atom) {
        if self.known.contains_key(node) && !self.connected.contains(node) {
            self.mesh.nodedown(now, node);
            self.forget(now, node);
        }
    }

    fn forget(&mut self, now: Instant, peer: &Atom) {
        self.known.remove(peer);
        self.synced.remove(peer);
        self.hearsay.settle(peer);
        self.end_session(now, peer);
        self.wait_no_more_for(peer);
    }

    /// Takes nodes into our partition, as `from` of it says: those that are new here are dialled
    /// and greeted.
    fn add_known(&mut self, now: Instant, from: &Atom, nodes: Vec<(Atom, i64)>, is_hearsay: bool) {
        for (node, version) in nodes {
            if node == self.config.node || self.known.contains_key(&node) {
                if !is_hearsay && self.hearsay.settle(&node) {
                    // One of our own partition has merged with it, and told it of us.
                    self.greet_soon(&node);
                }
                continue;
            }
            if self.known.len() >= MAX_KNOWN {
                break;
            }
            let is_connected = self.connected.contains(&node);
            self.mesh.learn(now, &node, is_connected);
            let has_greeted = self.synced.contains(&node);
            if has_greeted {
                self.end_session(now, &node);
            }
            if is_hearsay && !has_greeted {
                self.hearsay.add(&node, from);
            } else {
                self.greet_soon(&node);
            }
            self.known.insert(node, version);
        }
        self.strays.suspect(now);
        self.connect();
    }

    fn connect(&mut self) {
        self.effects
            .extend(self.mesh.changed().map(Effect::Connect));
    }

    /// Tells a node of the other partition that the two are one.
    fn greet(&mut self, node: &Atom) {
        let message = Term::tuple([Term::atom("in_sync"), self.own(), mark()]);
        self.tell(node, cast(message));
    }

    fn greet_soon(&mut self, node: &Atom) {
        if self.connected.contains(node) {
            self.greet(node);
        } else {
            self.mesh.owe_greeting(node);
        }
    }

    /// Enters a name if the lock under which that is done is still held; whether it is entered.
    /// Who had it before loses it in any case.
    fn insert_name(&mut self, entry: Entry, writer: Writer<'_>) -> bool {
        self.delete_name(&entry.name);
        let watch = self.next_id();
        if !self.locks.covers(&writer) || !self.names.insert(&entry, watch) {
            return false;
        }
        self.watch(watch, &entry.pid);
        true
    }

    fn delete_name(&mut self, name: &Term) {
        if let Some(gone) = self.names.remove(name) {
            self.effects.push_back(Effect::Demonitor { id: gone.watch });
        }
    }

    /// Forgets what the processes of a node that is still connected are called.
    fn forget_names_of(&mut self, node: &Atom) {
        for id in self.names.lost(node) {
            self.effects.push_back(Effect::Demonitor { id });
        }
    }

    fn watch(&mut self, id: u64, target: &Pid) {
        self.effects.push_back(Effect::Monitor {
            id,
            by: self.config.server.clone(),
            target: target.clone(),
        });
    }

    /// Calls a server as ours.
    fn ask(&mut self, to: Address, request: Term) -> u64 {
        let id = self.next_id();
        let from = self.config.server.clone();
        self.effects.push_back(Effect::Call {
            id,
            from,
            to,
            request,
        });
        id
    }

    fn tell(&mut self, node: &Atom, message: Term) {
        self.effects.push_back(Effect::Send {
            from: self.config.server.clone(),
            to: server_of(node),
            message,
        });
    }

    fn own(&self) -> Term {
        Term::Atom(self.config.node.clone())
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
