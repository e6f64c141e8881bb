//! `pg`: process groups of one scope, known to all nodes that serve the scope.
//!
//! The scope processes of OTP trust each other: one that is told of a leave of what it never heard
//! to have joined dies (OTP 25 to 27), and all groups of its node with it, and so does one that
//! gets any message it does not know. Therefore a peer is told of changes only after it was told
//! everything, and a leave names only what was joined.

mod groups;
mod message;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};

use enmesh_term::{Atom, Pid, Term};

use crate::PgEvent;
use crate::effect::{Address, Effect};
use crate::services::{Incoming, not_served};
use groups::{Groups, MAX_MEMBERSHIPS};
use message::{Said, What, pids_of};

/// The most scope processes that are known of one node; of a node whose scope restarts there are
/// two for a moment. A further one is ignored.
const MAX_PEERS_OF_A_NODE: usize = 8;

/// A scope process of another node.
#[derive(Debug)]
struct Peer {
    /// The number of our monitor.
    monitor: u64,
    /// Whether it was told all of our groups, and hears of changes from now on.
    is_told: bool,
    /// Its groups.
    groups: Groups,
}

/// The machine of one scope.
///
/// Calling order: any `handle_*` or other method, then [`Pg::poll_effect`] and [`Pg::poll_event`]
/// until both give `None`. A scope that begins late is told of the nodes that are connected by
/// [`Pg::handle_nodeup`].
#[derive(Debug)]
pub(crate) struct Pg {
    scope: Atom,
    pid: Pid,
    local: Groups,
    /// The groups of each process of ours, as often as it joined.
    joined: HashMap<Pid, Vec<Term>>,
    peers: BTreeMap<Pid, Peer>,
    monitors: u64,
    effects: VecDeque<Effect>,
    events: VecDeque<(PgEvent, Term, Vec<Pid>)>,
}

impl Pg {
    /// A scope without groups. `pid` is that of its process, registered as `scope`.
    pub(crate) fn new(scope: Atom, pid: Pid) -> Self {
        Self {
            scope,
            pid,
            local: Groups::default(),
            joined: HashMap::new(),
            peers: BTreeMap::new(),
            monitors: 0,
            effects: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A visible node is connected.
    pub(crate) fn handle_nodeup(&mut self, node: &Atom) {
        let (name, node) = (self.scope.clone(), node.clone());
        let discover = message::discover(&self.pid);
        self.send(Address::Name { name, node }, discover);
    }

    /// A node is gone, and with it the monitors of its processes.
    pub(crate) fn handle_nodedown(&mut self, node: &Atom) {
        let gone: Vec<Pid> = self.peers_of(node).cloned().collect();
        for peer in gone {
            self.forget(&peer);
        }
    }

    /// Takes what arrived for the scope's process, by name or by pid, from another node.
    pub(crate) fn handle_message(&mut self, from_node: &Atom, message: &Term) {
        if let Incoming::Call(caller, _) | Incoming::System(caller) = Incoming::of(message) {
            let refusal = caller.reply(not_served());
            self.send(caller.to, refusal);
            return;
        }
        if from_node == self.pid.node() {
            return;
        }
        let Some(Said { peer, what }) = Said::parse(from_node, message) else {
            return;
        };
        match what {
            What::Discover => self.discovered(peer),
            What::Sync(groups) => self.sync(peer, &groups),
            What::Join { group, pids } => self.remote_join(peer, group, pids),
            What::Leave { pids, groups } => self.remote_leave(peer, pids, groups),
            What::Update(changes) => {
                for change in changes {
                    if let Some([group, joined, left]) = change.as_tuple() {
                        self.remote_join(peer, group, joined);
                        self.remote_leave(peer, left, std::slice::from_ref(group));
                    }
                }
            }
        }
    }

    /// What [`Effect::Monitor`] watched has died.
    pub(crate) fn handle_down(&mut self, id: u64) {
        let dead = self.peers.iter().find(|(_, peer)| peer.monitor == id);
        if let Some((pid, _)) = dead {
            let pid = pid.clone();
            self.forget(&pid);
        }
    }

    /// A process of ours joins, once more if it is in already; `false` if our node has its full
    /// number of memberships, 262,144, or groups whose names have 32 MiB.
    pub(crate) fn join(&mut self, group: Term, pid: Pid) -> bool {
        if !self.local.add(&group, &pid) {
            return false;
        }
        self.tell(&message::join(&self.pid, &group, &pid));
        self.joined
            .entry(pid.clone())
            .or_default()
            .push(group.clone());
        self.events.push_back((PgEvent::Join, group, vec![pid]));
        true
    }

    /// Takes one membership back; `false` if there was none.
    pub(crate) fn leave(&mut self, group: &Term, pid: &Pid) -> bool {
        if !self.local.remove(group, pid) {
            return false;
        }
        if let Some(groups) = self.joined.get_mut(pid) {
            if let Some(at) = groups.iter().position(|joined| joined == group) {
                groups.swap_remove(at);
            }
            if groups.is_empty() {
                self.joined.remove(pid);
            }
        }
        self.tell(&message::leave(&self.pid, pid, vec![group.clone()]));
        self.left(group, vec![pid.clone()]);
        true
    }

    /// A process of ours has ended: it leaves all its groups.
    pub(crate) fn process_ended(&mut self, pid: &Pid) {
        let Some(groups) = self.joined.remove(pid) else {
            return;
        };
        for group in &groups {
            self.local.remove(group, pid);
            self.left(group, vec![pid.clone()]);
        }
        self.tell(&message::leave(&self.pid, pid, groups));
    }

    /// The members on all nodes; one that joined twice stands twice.
    pub(crate) fn members(&self, group: &Term) -> Vec<Pid> {
        let remote = self
            .peers
            .values()
            .flat_map(|peer| peer.groups.members(group));
        self.local.members(group).chain(remote).cloned().collect()
    }

    /// The members on our node.
    pub(crate) fn local_members(&self, group: &Term) -> Vec<Pid> {
        self.local.members(group).cloned().collect()
    }

    /// The groups with members, in Erlang's order.
    pub(crate) fn groups(&self) -> Vec<Term> {
        let remote = self.peers.values().flat_map(|peer| peer.groups.names());
        let mut names: Vec<&Term> = self.local.names().chain(remote).collect();
        names.sort();
        names.dedup();
        names.into_iter().cloned().collect()
    }

    /// What the kernel is to do next.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What to tell those who monitor groups.
    pub(crate) fn poll_event(&mut self) -> Option<(PgEvent, Term, Vec<Pid>)> {
        self.events.pop_front()
    }

    /// pg.erl, `handle_info({discover, _})`: all that we have, and the same question back to who
    /// is new.
    fn discovered(&mut self, peer: &Pid) {
        let is_new = !self.peers.contains_key(peer);
        let Some(known) = self.know(peer) else {
            return;
        };
        known.is_told = true;
        let sync = message::sync(&self.pid, self.local.iter());
        self.send(Address::Pid(peer.clone()), sync);
        if is_new {
            let discover = message::discover(&self.pid);
            self.send(Address::Pid(peer.clone()), discover);
        }
    }

    /// The peer of this pid, monitored from now on if it is new; `None` at the limit.
    fn know(&mut self, pid: &Pid) -> Option<&mut Peer> {
        if !self.peers.contains_key(pid) {
            if self.peers_of(pid.node()).count() >= MAX_PEERS_OF_A_NODE {
                return None;
            }
            self.monitors += 1;
            let peer = Peer {
                monitor: self.monitors,
                is_told: false,
                groups: Groups::default(),
            };
            self.effects.push_back(Effect::Monitor {
                id: peer.monitor,
                by: self.pid.clone(),
                target: pid.clone(),
            });
            self.peers.insert(pid.clone(), peer);
        }
        self.peers.get_mut(pid)
    }

    fn peers_of(&self, node: &Atom) -> impl Iterator<Item = &Pid> {
        let peers = self.peers.keys();
        peers.filter(move |peer| peer.node() == node)
    }

    /// A peer tells all that it has; what it said before counts no more.
    fn sync(&mut self, pid: &Pid, said: &[(&Term, &Term)]) {
        let Some(peer) = self.know(pid) else {
            return;
        };
        let mut groups = Groups::default();
        for (group, pids) in said {
            for member in pids_of(pid.node(), pids) {
                groups.add(group, member);
            }
        }
        let before = std::mem::replace(&mut peer.groups, groups);
        let mut changes = Vec::new();
        for group in before.names() {
            let left = before.beyond(&peer.groups, group);
            changes.push((PgEvent::Leave, group.clone(), left));
        }
        for group in peer.groups.names() {
            let joined = peer.groups.beyond(&before, group);
            changes.push((PgEvent::Join, group.clone(), joined));
        }
        changes.retain(|(_, _, pids)| !pids.is_empty());
        self.events.extend(changes);
    }

    /// A join of a peer that is not known is ignored, as pg does: its sync will say it all.
    fn remote_join(&mut self, pid: &Pid, group: &Term, pids: &Term) {
        let Some(peer) = self.peers.get_mut(pid) else {
            return;
        };
        let mut joined: Vec<Pid> = pids_of(pid.node(), pids).cloned().collect();
        joined.retain(|member| peer.groups.add(group, member));
        if !joined.is_empty() {
            self.events
                .push_back((PgEvent::Join, group.clone(), joined));
        }
    }

    fn remote_leave(&mut self, pid: &Pid, pids: &Term, groups: &[Term]) {
        let Some(peer) = self.peers.get_mut(pid) else {
            return;
        };
        // Nobody leaves more than one can have joined: so much work a message may cost, and no
        // more.
        let mut tries = MAX_MEMBERSHIPS;
        for group in groups {
            let mut left = Vec::new();
            for member in pids_of(pid.node(), pids) {
                if tries == 0 {
                    break;
                }
                tries -= 1;
                if peer.groups.remove(group, member) {
                    left.push(member.clone());
                }
            }
            if !left.is_empty() {
                self.events.push_back((PgEvent::Leave, group.clone(), left));
            }
        }
    }

    /// A peer is no more, and nobody of its groups is.
    fn forget(&mut self, peer: &Pid) {
        if let Some(peer) = self.peers.remove(peer) {
            for (group, pids) in peer.groups.iter() {
                self.events.push_back((PgEvent::Leave, group.clone(), pids));
            }
        }
    }

    fn left(&mut self, group: &Term, pids: Vec<Pid>) {
        self.events.push_back((PgEvent::Leave, group.clone(), pids));
    }

    /// Tells every peer that knows our groups.
    fn tell(&mut self, message: &Term) {
        for (pid, peer) in &self.peers {
            if peer.is_told {
                self.effects.push_back(Effect::Send {
                    from: self.pid.clone(),
                    to: Address::Pid(pid.clone()),
                    message: message.clone(),
                });
            }
        }
    }

    fn send(&mut self, to: Address, message: Term) {
        let from = self.pid.clone();
        self.effects.push_back(Effect::Send { from, to, message });
    }
}
