//! The merge of our partition with that of a peer: from its nodeup until both are one.

use std::time::Instant;

use enmesh_term::{Atom, Pid, Term};

use super::clashes::Resolver;
use super::locker::{Him, LockSet};
use super::locks::{LockId, Writer};
use super::names::{Entry, Op};
use super::wire::{VERSION, cast, is_marked, node_versions, parse_nodes, server_of, value_of};
use super::{Global, MAX_KNOWN};
use crate::effect::Effect;

/// A merge that is not done yet.
#[derive(Debug)]
pub(super) struct Session {
    /// Fresh for each session, so that what belongs to an old one is told apart.
    my_tag: i64,
    his: Option<His>,
    pub(super) exchange: Exchange,
    ops: Ops,
    lock: Option<LockId>,
    pub(super) resolver: Option<Resolver>,
}

/// What he said of himself in `init_connect`.
#[derive(Clone, Debug)]
pub(super) struct His {
    tag: Term,
    locker: Pid,
    /// Whether he is a member like us, and no BEAM.
    is_kin: bool,
}

/// Names are looked at when they are here *and* both sides have the lock.
#[derive(Debug)]
pub(super) enum Exchange {
    Nothing,
    LockSet,
    Names(Vec<Entry>),
}

/// A merge is done when both sides have resolved the clashes.
#[derive(Debug)]
enum Ops {
    Nothing,
    /// What changes here, and what there: told to him only when we have his.
    Held(Vec<Op>, Vec<Op>),
    Ours(Vec<Op>),
    His(Vec<Op>, Vec<(Atom, i64)>),
}

impl Session {
    fn new(my_tag: i64) -> Self {
        Self {
            my_tag,
            his: None,
            exchange: Exchange::Nothing,
            ops: Ops::Nothing,
            lock: None,
            resolver: None,
        }
    }
}

impl Global {
    /// Begins a session with a connected peer that is not in our partition.
    pub(super) fn begin_session(&mut self, now: Instant, peer: &Atom) {
        if self.known.contains_key(peer)
            || self.sessions.contains_key(peer)
            || !self.connected.contains(peer)
        {
            return;
        }
        self.last_tag += 1;
        let my_tag = self.last_tag;
        self.sessions.insert(peer.clone(), Session::new(my_tag));
        let version = Term::tuple([Term::Int(VERSION), Term::Int(my_tag)]);
        let init = Term::tuple([
            Term::atom("init_connect"),
            version,
            self.own(),
            self.locker_introduction(),
        ]);
        self.tell(peer, cast(init));
        if let Some(his) = self.early.remove(peer) {
            self.introduced(now, peer, his);
        }
    }

    pub(super) fn init_connect(&mut self, now: Instant, peer: &Atom, version: &Term, init: &Term) {
        let Some([Term::Int(his_version), tag, ..]) = version.as_tuple() else {
            return;
        };
        let Some([_, _, his_known, Term::Pid(locker), ..]) = init.as_tuple() else {
            return;
        };
        if *his_version < VERSION || locker.node() != peer {
            return;
        }
        let his = His {
            tag: tag.clone(),
            locker: Pid::clone(locker),
            is_kin: is_marked(his_known),
        };
        if his.is_kin && self.connected.contains(peer) {
            self.kin.insert(peer.clone());
        }
        if self.sessions.get(peer).is_some_and(|old| old.his.is_some()) {
            self.begin_again(now, peer);
        }
        self.introduced(now, peer, his);
    }

    /// He has begun anew, and so what was done so far is void. Our tag stays: if he has forgotten
    /// it he says so. OTP cancels his new session here; two that both do so never come to rest.
    fn begin_again(&mut self, now: Instant, peer: &Atom) {
        let Some(my_tag) = self.sessions.get(peer).map(|session| session.my_tag) else {
            return;
        };
        self.end_session(now, peer);
        self.sessions.insert(peer.clone(), Session::new(my_tag));
    }

    fn introduced(&mut self, now: Instant, peer: &Atom, his: His) {
        let Some(session) = self.sessions.get_mut(peer) else {
            if self.connected.contains(peer) {
                self.early.insert(peer.clone(), his);
                self.strays.suspect(now);
            }
            return;
        };
        let my_tag = session.my_tag;
        session.his = Some(his.clone());
        let ack = Term::tuple([
            Term::atom("init_connect_ack"),
            self.own(),
            his.tag,
            Term::Int(my_tag),
        ]);
        self.resume_session(now, peer);
        self.tell(peer, ack);
    }

    /// Leaves it to the locker when the merge begins.
    pub(super) fn resume_session(&mut self, now: Instant, peer: &Atom) {
        let Some(session) = self.sessions.get(peer) else {
            return;
        };
        let Some(his) = session.his.clone() else {
            return;
        };
        let him = Him {
            node: peer.clone(),
            my_tag: session.my_tag,
            his_tag: his.tag,
            locker: his.locker,
        };
        self.locker_add(now, him);
    }

    /// Both must have the same tags in mind, or what they send each other goes astray. An ack of
    /// an older session of ours says nothing: that of the present one follows.
    pub(super) fn init_connect_ack(&mut self, now: Instant, peer: &Atom, mine: &Term, his: &Term) {
        let known = self.sessions.get(peer).and_then(|it| it.his.as_ref());
        if self.is_current(peer, mine) && known.is_none_or(|known| known.tag != *his) {
            self.cancel_connect(peer, his);
            self.restart(now, peer);
        }
    }

    /// He has dropped the session that has our tag `mine`.
    pub(super) fn connect_cancelled(&mut self, now: Instant, peer: &Atom, mine: &Term) {
        if self.is_current(peer, mine) {
            self.restart(now, peer);
        }
    }

    /// Drops the session and begins a new one.
    pub(super) fn restart(&mut self, now: Instant, peer: &Atom) {
        let Some(session) = self.sessions.get(peer) else {
            self.early.remove(peer);
            return;
        };
        if let Some(his) = session.his.clone() {
            self.cancel_connect(peer, &his.tag);
        }
        self.end_session(now, peer);
        self.begin_session(now, peer);
    }

    /// Ends the session, well or not, and gives its lock back.
    pub(super) fn end_session(&mut self, now: Instant, peer: &Atom) {
        self.early.remove(peer);
        if let Some(session) = self.sessions.remove(peer) {
            if let Some((call, ..)) = session.resolver.and_then(|resolver| resolver.asked) {
                self.cancel_call(call);
            }
            self.locker_cancel(now, peer, session.my_tag);
        }
    }

    pub(super) fn lock_set(&mut self, now: Instant, peer: &Atom, parts: &[Term]) {
        let [Term::Pid(locker), is_set, _known, tag @ ..] = parts else {
            return;
        };
        if locker.node() != peer || !(tag.is_empty() || self.is_current(peer, &tag[0])) {
            return;
        }
        let heard = LockSet {
            locker: Pid::clone(locker),
            is_set: is_set.is_atom("true"),
            tag: tag.first().and_then(Term::as_int),
        };
        self.locker_heard(now, heard);
    }

    /// Both sides have the lock: he gets all names of our partition.
    pub(super) fn lock_is_set(&mut self, now: Instant, peer: &Atom, my_tag: i64, lock: LockId) {
        let own = self.own();
        let Some(session) = self.sessions.get_mut(peer) else {
            return;
        };
        let Some(his) = session.his.as_ref().filter(|_| session.my_tag == my_tag) else {
            return;
        };
        let exchange = Term::tuple([
            Term::atom("exchange"),
            own,
            self.names.to_term(),
            Term::nil(),
            his.tag.clone(),
        ]);
        session.lock = Some(lock);
        let before = std::mem::replace(&mut session.exchange, Exchange::LockSet);
        self.tell(peer, cast(exchange));
        if let Exchange::Names(names) = before {
            self.resolve(now, peer, names);
        }
    }

    pub(super) fn exchange(&mut self, now: Instant, peer: &Atom, names: &Term, tag: &Term) {
        if !self.is_current(peer, tag) {
            return;
        }
        let names = names.as_list().unwrap_or_default();
        let names: Vec<Entry> = names.iter().filter_map(Entry::parse).collect();
        let Some(session) = self.sessions.get_mut(peer) else {
            return;
        };
        if matches!(session.exchange, Exchange::LockSet) {
            self.resolve(now, peer, names);
        } else {
            session.exchange = Exchange::Names(names);
        }
    }

    pub(super) fn resolved_ours(
        &mut self,
        now: Instant,
        peer: &Atom,
        ours: Vec<Op>,
        for_him: Vec<Op>,
    ) {
        let own = &self.config.node;
        let Some(session) = self.sessions.get_mut(peer) else {
            return;
        };
        // Whoever is told takes all of ours for his at once, while our partition hears of him only
        // when we have his word. If we died in between, they would not be one. A BEAM never waits
        // for ours; of two members the one with the greater name does.
        let is_kin = session.his.as_ref().is_some_and(|his| his.is_kin);
        let waits = !is_kin || *own > *peer;
        match std::mem::replace(&mut session.ops, Ops::Nothing) {
            Ops::His(his_ops, his_known) => {
                let resolved = self.resolved_for(peer, &for_him);
                self.merge(now, peer, ours, his_ops, his_known);
                self.tell_resolved(peer, resolved);
            }
            _ if waits => session.ops = Ops::Held(ours, for_him),
            _ => {
                session.ops = Ops::Ours(ours);
                let resolved = self.resolved_for(peer, &for_him);
                self.tell_resolved(peer, resolved);
            }
        }
    }

    fn resolved_for(&self, peer: &Atom, ops: &[Op]) -> Option<Term> {
        let his = self.sessions.get(peer)?.his.as_ref()?;
        Some(cast(Term::tuple([
            Term::atom("resolved"),
            self.own(),
            Op::list(ops),
            node_versions(self.known.iter()),
            Term::atom("unused"),
            Term::nil(),
            his.tag.clone(),
        ])))
    }

    fn tell_resolved(&mut self, peer: &Atom, resolved: Option<Term>) {
        if let Some(resolved) = resolved {
            self.tell(peer, resolved);
        }
    }

    /// He has resolved the clashes on his side.
    pub(super) fn resolved(
        &mut self,
        now: Instant,
        peer: &Atom,
        (ops, known, tag): (&Term, &Term, &Term),
    ) {
        if !self.is_current(peer, tag) {
            return;
        }
        let (ops, known) = (Op::parse_all(ops), parse_nodes(known));
        let Some(session) = self.sessions.get_mut(peer) else {
            return;
        };
        match std::mem::replace(&mut session.ops, Ops::Nothing) {
            Ops::Ours(ours) => self.merge(now, peer, ours, ops, known),
            Ops::Held(ours, for_him) => {
                let resolved = self.resolved_for(peer, &for_him);
                self.merge(now, peer, ours, ops, known);
                self.tell_resolved(peer, resolved);
            }
            Ops::Nothing | Ops::His(..) => session.ops = Ops::His(ops, known),
        }
    }

    /// The two partitions become one.
    fn merge(
        &mut self,
        now: Instant,
        peer: &Atom,
        mut ops: Vec<Op>,
        his_ops: Vec<Op>,
        his_known: Vec<(Atom, i64)>,
    ) {
        let Some(session) = self.sessions.get_mut(peer) else {
            return;
        };
        let lock = session.lock.clone();
        ops.extend(his_ops);
        let list = Op::list(&ops);
        self.obey(ops, lock.as_ref());
        for (node, _) in &his_known {
            // With whom we know by hearsay alone we may still have to merge.
            if self.known.contains_key(node) || self.synced.contains(node) {
                self.end_session(now, node);
            }
        }
        let mut nodes = vec![(peer.clone(), VERSION)];
        nodes.extend(his_known);
        // Where the partitions overlapped, there are nodes that have lost each other and lack each
        // other's names: they must merge by themselves, not be told that they are one.
        nodes.retain(|(node, _)| *node != self.config.node && !self.known.contains_key(node));
        let lock = lock.map_or(Term::nil(), |lock| lock.to_term());
        let extra = [("vsn", Term::Int(VERSION)), ("lock", lock)];
        let extra = extra.map(|(key, value)| Term::tuple([Term::atom(key), value]));
        let message = cast(Term::tuple([
            Term::atom("new_nodes"),
            self.own(),
            list,
            Term::nil(),
            node_versions(nodes.iter().map(|(node, version)| (node, version))),
            Term::list(extra),
        ]));
        // From the process that frees the lock after it: both then arrive in this order.
        for node in self.known.keys() {
            self.effects.push_back(Effect::Send {
                from: self.config.locker.clone(),
                to: server_of(node),
                message: message.clone(),
            });
        }
        self.end_session(now, peer);
        let merged = nodes.iter().position(|(node, _)| node == peer);
        if let Some((node, version)) = merged.map(|at| nodes.swap_remove(at))
            && self.known.len() < MAX_KNOWN
        {
            self.known.insert(node, version);
        }
        self.hearsay.settle(peer);
        self.add_known(now, peer, nodes, true);
        self.has_synced(peer);
    }

    /// Somebody of our partition has merged it with another one.
    pub(super) fn new_nodes(
        &mut self,
        now: Instant,
        peer: &Atom,
        (ops, nodes, extra): (&Term, &Term, &Term),
    ) {
        if !self.may_change_names(peer) {
            return;
        }
        self.add_known(now, peer, parse_nodes(nodes), false);
        let lock = value_of(extra, "lock").and_then(LockId::parse);
        self.obey(Op::parse_all(ops), lock.as_ref());
    }

    /// A node of a partition that was merged with ours greets us.
    pub(super) fn in_sync(&mut self, now: Instant, peer: &Atom) {
        self.end_session(now, peer);
        if self.hearsay.settle(peer) {
            self.greet(peer);
        }
        self.has_synced(peer);
        self.strays.suspect(now);
    }

    fn obey(&mut self, ops: Vec<Op>, lock: Option<&LockId>) {
        let mut deletions = Vec::new();
        for op in ops {
            match op {
                Op::Insert(entry) => drop(self.insert_name(entry, Writer::Lock(lock))),
                Op::Delete(name) => deletions.push(name),
            }
        }
        for name in deletions {
            self.delete_name(&name);
        }
    }

    fn cancel_connect(&mut self, peer: &Atom, his_tag: &Term) {
        let message = Term::tuple([Term::atom("cancel_connect"), self.own(), his_tag.clone()]);
        self.tell(peer, message);
    }

    /// Whether he has not introduced himself, or there is no session at all.
    pub(super) fn is_unheard(&self, peer: &Atom) -> bool {
        let session = self.sessions.get(peer);
        session.is_none_or(|session| session.his.is_none())
    }

    fn is_current(&self, peer: &Atom, my_tag: &Term) -> bool {
        let session = self.sessions.get(peer);
        session.is_some_and(|session| *my_tag == Term::Int(session.my_tag))
    }
}
