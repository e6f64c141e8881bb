//! What the process registered as `global_name_server` takes.

use std::collections::BTreeSet;
use std::time::Instant;

use enmesh_term::{Atom, Pid, Term};

use super::Global;
use super::locks::{LockId, Taken, Writer};
use super::names::Entry;
use super::wire::{Caller, VERSION, mark};
use crate::effect::{Address, Effect};

/// The most `global:sync/0` that wait here; one more gets an error.
const MAX_SYNCERS: usize = 1024;

/// A `sync` that waits for nodes.
#[derive(Debug)]
pub(super) struct Syncer {
    caller: Caller,
    nodes: BTreeSet<Atom>,
}

impl Syncer {
    /// Where the caller is.
    pub(super) fn node(&self) -> &Atom {
        self.caller.pid.node()
    }
}

impl Global {
    /// Takes what arrived for one of the three processes from `peer`: calls, casts and plain
    /// messages. What is sent in the name of another node than `peer` is not believed.
    pub(crate) fn handle_message(&mut self, now: Instant, peer: &Atom, message: &Term) {
        let Some(parts) = message.as_tuple() else {
            return;
        };
        match parts {
            [word, from, request] if word.is_atom("$gen_call") => {
                if let Some(caller) = Caller::parse(from)
                    && let Some(reply) = self.call_of(&caller, request)
                {
                    self.reply(&caller, reply);
                }
            }
            [word, message] if word.is_atom("$gen_cast") => {
                if let Some([Term::Atom(word), parts @ ..]) = message.as_tuple() {
                    self.cast_of(now, peer, word.as_str(), parts);
                }
            }
            [word, from, _request] if word.is_atom("system") => {
                if let Some(caller) = Caller::parse(from) {
                    self.reply(&caller, not_served());
                }
            }
            [Term::Atom(word), parts @ ..] => self.info_of(now, peer, word.as_str(), parts),
            _ => {}
        }
    }

    /// The reply; `None` if it comes later.
    fn call_of(&mut self, caller: &Caller, request: &Term) -> Option<Term> {
        Some(match request {
            Term::Tuple(parts) => match &parts[..] {
                [word, lock] if word.is_atom("set_lock") => {
                    let lock = LockId::parse(lock);
                    lock.is_some_and(|lock| self.set_lock(&lock, caller)).into()
                }
                [word, lock] if word.is_atom("del_lock") => {
                    if let Some(watch) =
                        LockId::parse(lock).and_then(|lock| self.locks.free(&lock, &caller.pid))
                    {
                        self.effects.push_back(Effect::Demonitor { id: watch });
                    }
                    Term::from(true)
                }
                [word, name, pid, method, ..]
                    if word.is_atom("register") || word.is_atom("register_ext") =>
                {
                    let entry = Term::tuple([name.clone(), pid.clone(), method.clone()]);
                    match Entry::parse(&entry) {
                        Some(entry) => {
                            if self.may_change_names(caller.pid.node()) {
                                self.insert_name(entry, Writer::Process(&caller.pid));
                            }
                            Term::atom("yes")
                        }
                        None => not_served(),
                    }
                }
                [word, name] if word.is_atom("unregister") => {
                    if self.may_change_names(caller.pid.node()) {
                        self.delete_name(name);
                    }
                    Term::atom("ok")
                }
                [word, nodes] if word.is_atom("sync") => return self.sync(caller, nodes),
                [word, nodes] if word.is_atom("names_of") => self.names_of(nodes),
                _ => not_served(),
            },
            Term::Atom(word) => match word.as_str() {
                "get_known" => atoms(self.known.keys()),
                "get_synced" => atoms(self.synced.iter()),
                "get_protocol_version" => Term::Int(VERSION),
                "get_names_ext" => Term::nil(),
                "info" => self.info(),
                _ => not_served(),
            },
            _ => not_served(),
        })
    }

    fn cast_of(&mut self, now: Instant, peer: &Atom, word: &str, parts: &[Term]) {
        let is_peer = |node: &Term| node.as_atom() == Some(peer);
        match (word, parts) {
            ("init_connect", [version, node, init]) if is_peer(node) => {
                self.init_connect(now, peer, version, init);
            }
            ("lock_set", parts) => self.lock_set(now, peer, parts),
            ("exchange", [node, names, _names_ext, tag]) if is_peer(node) => {
                self.exchange(now, peer, names, tag);
            }
            ("resolved", [node, ops, known, _unused, _names_ext, tag]) if is_peer(node) => {
                self.resolved(now, peer, (ops, known, tag));
            }
            ("new_nodes", [node, ops, _names_ext, nodes, extra]) if is_peer(node) => {
                self.new_nodes(now, peer, (ops, nodes, extra));
            }
            ("in_sync", [node, is_known]) if is_peer(node) => {
                if *is_known == mark() && self.connected.contains(peer) {
                    self.kin.insert(peer.clone());
                }
                self.in_sync(now, peer);
            }
            // async_del_name and async_del_lock: OTP does nothing with them either.
            _ => {}
        }
    }

    fn info_of(&mut self, now: Instant, peer: &Atom, word: &str, parts: &[Term]) {
        let is_peer = |node: &Term| node.as_atom() == Some(peer);
        match (word, parts) {
            ("init_connect_ack", [node, mine, his]) if is_peer(node) => {
                self.init_connect_ack(now, peer, mine, his);
            }
            ("cancel_connect", [node, mine]) if is_peer(node) => {
                self.connect_cancelled(now, peer, mine);
            }
            ("remove_connection", [node]) if is_peer(node) => self.cut_off(now),
            // The old form, for the locker itself.
            ("lock_set", parts) => self.lock_set(now, peer, parts),
            ("whereis", [name, from]) => {
                if let Some(caller) = Caller::parse(from) {
                    let found = self.whereis(name).cloned();
                    let found = found.map_or(Term::atom("undefined"), Term::from);
                    self.reply(&caller, found);
                }
            }
            // A process that another node runs for us, to settle a clash, may print something.
            ("io_request", [Term::Pid(from), reply_as, _request]) => {
                let refused = Term::tuple([Term::atom("error"), Term::atom("request")]);
                let reply = Term::tuple([Term::atom("io_reply"), reply_as.clone(), refused]);
                self.send(Address::Pid(Pid::clone(from)), reply);
            }
            // lost_connection: it is for BEAM nodes to cut each other off over it.
            _ => {}
        }
    }

    /// Whether the node is of our partition. A BEAM that was about to change a name when the life
    /// before ours died takes us for that, and then for nobody: what it told us now, it would tell
    /// us of no more, and the next merge would bring it back.
    pub(super) fn may_change_names(&self, node: &Atom) -> bool {
        *node == self.config.node || self.known.contains_key(node)
    }

    fn set_lock(&mut self, lock: &LockId, caller: &Caller) -> bool {
        let watch = self.next_id();
        let taken = self.locks.take(lock, &caller.pid, Some(watch));
        if taken == Taken::New {
            self.watch(watch, &caller.pid);
        }
        taken != Taken::Refused
    }

    /// Replies when all of these nodes are in our partition, or gone.
    fn sync(&mut self, caller: &Caller, nodes: &Term) -> Option<Term> {
        let nodes = nodes.as_list().unwrap_or_default();
        let nodes = nodes.iter().filter_map(Term::as_atom);
        let nodes: BTreeSet<Atom> = nodes
            .filter(|&node| self.connected.contains(node) && !self.synced.contains(node))
            .cloned()
            .collect();
        if nodes.is_empty() {
            return Some(Term::atom("ok"));
        }
        if self.syncers.len() >= MAX_SYNCERS {
            return Some(Term::tuple([
                Term::atom("error"),
                Term::atom("system_limit"),
            ]));
        }
        let caller = caller.clone();
        self.syncers.push(Syncer { caller, nodes });
        None
    }

    pub(super) fn has_synced(&mut self, node: &Atom) {
        self.synced.insert(node.clone());
        self.wait_no_more_for(node);
    }

    pub(super) fn wait_no_more_for(&mut self, node: &Atom) {
        let waiting = std::mem::take(&mut self.syncers);
        for mut syncer in waiting {
            syncer.nodes.remove(node);
            if syncer.nodes.is_empty() {
                self.reply(&syncer.caller, Term::atom("ok"));
            } else {
                self.syncers.push(syncer);
            }
        }
    }

    /// global.erl's record `state`, as far as it means something here.
    fn info(&self) -> Term {
        let truth = Term::from(true);
        let known = self.known.iter();
        let known = known.map(|(node, version)| (Term::Atom(node.clone()), Term::Int(*version)));
        Term::tuple([
            Term::atom("state"),
            Term::tuple([Term::atom("conf"), truth.clone(), truth]),
            Term::map(known),
            atoms(self.synced.iter()),
            Term::nil(),
            Term::nil(),
            self.own(),
            self.config.locker.clone().into(),
            self.config.registrar.clone().into(),
            Term::atom("no_trace"),
            Term::from(false),
        ])
    }

    fn reply(&mut self, caller: &Caller, reply: Term) {
        let (to, message) = caller.reply(reply);
        self.send(to, message);
    }

    fn send(&mut self, to: Address, message: Term) {
        self.effects.push_back(Effect::Send {
            from: self.config.server.clone(),
            to,
            message,
        });
    }
}

fn atoms<'a>(nodes: impl Iterator<Item = &'a Atom>) -> Term {
    Term::List(nodes.cloned().map(Term::Atom).collect())
}

fn not_served() -> Term {
    Term::tuple([Term::atom("error"), Term::atom("not_served")])
}
