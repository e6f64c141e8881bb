//! Comparing with each peer what the processes of the two of us are called.
//!
//! Nodes whose partitions overlap can miss a change of names, and nothing in the protocol would
//! ever tell them. Of what a process is called its own node is the judge: so after each coming
//! and going of a node, each of the others is asked a few times for the names of its processes
//! and of ours. Where that differs from what is known here, it is looked at again under the lock
//! of the cluster, and mended by what any registration does.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use enmesh_term::{Atom, Pid, Term};

use super::Global;
use super::names::Entry;
use super::resolve::{Settled, runnable, settle};
use super::wire::server_of;
use crate::effect::{CallFailed, Effect};

/// How long between two peers that are asked; what a merge brings with it is over by then.
const PERIOD: Duration = Duration::from_secs(10);

/// How often all are asked after a change.
const ROUNDS: u8 = 2;

/// The most names that are told at a time; of a longer list only what is in it counts, and of one
/// that is longer all the same only as many are looked at.
pub(super) const MAX_TOLD: usize = 10_000;

/// Of how many nodes a peer is told the names at a time: its own and ours.
const MAX_NODES: usize = 2;

/// Whom to ask, and who was asked.
#[derive(Debug, Default)]
pub(super) struct Audit {
    queue: VecDeque<Atom>,
    rounds: u8,
    asked: Option<(u64, Atom)>,
    due: Option<Instant>,
}

impl Audit {
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

/// What a peer calls its processes and ours.
#[derive(Debug)]
pub(super) struct Listing {
    entries: BTreeMap<Term, Entry>,
    is_complete: bool,
}

/// What is to be done about one difference.
#[derive(Debug)]
pub(super) enum Mend {
    /// We lack it, or have it of another process.
    Take(Entry),
    /// We have it, and nobody is called so.
    Drop(Term),
    /// He lacks it, or has it of another process.
    Give(Entry),
    /// He has it, and nobody is called so.
    Revoke(Term),
    /// Each of us has a process of that name.
    Clash { ours: Entry, theirs: Entry },
}

impl Listing {
    /// The reply of a member, or of `ets:select/3` on a BEAM.
    pub(super) fn parse(reply: &Term) -> Option<Self> {
        if reply.is_atom("$end_of_table") {
            return Some(Self::of(&[], true));
        }
        let [entries, rest] = reply.as_tuple()? else {
            return None;
        };
        Some(Self::of(entries.as_list()?, rest.is_atom("$end_of_table")))
    }

    fn of(entries: &[Term], is_complete: bool) -> Self {
        let is_complete = is_complete && entries.len() <= MAX_TOLD;
        let entries = entries.iter().take(MAX_TOLD).filter_map(Entry::parse);
        Self {
            entries: entries.map(|it| (it.name.clone(), it)).collect(),
            is_complete,
        }
    }
}

impl Global {
    /// Somebody may have missed a change of names.
    pub(super) fn audit_soon(&mut self, now: Instant) {
        self.audit.rounds = ROUNDS;
        self.audit.due.get_or_insert(now + PERIOD);
    }

    pub(super) fn audit_timeout(&mut self, now: Instant) {
        if self.audit.due.is_none_or(|due| due > now) {
            return;
        }
        if let Some((id, _)) = self.audit.asked.take() {
            self.effects.push_back(Effect::CancelCall { id });
        }
        if self.audit.queue.is_empty() && self.audit.rounds > 0 {
            self.audit.rounds -= 1;
            self.audit.queue = self.all_from_ours_on();
        }
        let peer = loop {
            let Some(peer) = self.audit.queue.pop_front() else {
                self.audit.due = None;
                return;
            };
            if self.known.contains_key(&peer) && self.connected.contains(&peer) {
                break peer;
            }
        };
        self.ask_whom_it_knows(&peer);
        let id = self.ask_for_names(&peer);
        self.audit.asked = Some((id, peer));
        self.audit.due = Some(now + PERIOD);
    }

    /// Whom we know, beginning behind our own name: all notice a change at the same time, and are
    /// not all to ask the same node.
    fn all_from_ours_on(&self) -> VecDeque<Atom> {
        let own = &self.config.node;
        let (before, behind): (VecDeque<Atom>, VecDeque<Atom>) =
            self.known.keys().cloned().partition(|node| node < own);
        behind.into_iter().chain(before).collect()
    }

    /// Asks a peer for the names of its processes and ours.
    pub(super) fn ask_for_names(&mut self, peer: &Atom) -> u64 {
        let nodes = [self.own(), Term::Atom(peer.clone())];
        if self.kin.contains(peer) {
            let request = Term::tuple([Term::atom("names_of"), Term::list(nodes)]);
            return self.ask(server_of(peer), request);
        }
        let entry = Term::tuple([Term::atom("$1"), Term::atom("$2"), Term::atom("$3")]);
        let found = Term::tuple([
            Term::atom("$1"),
            Term::atom("$2"),
            Term::atom("$3"),
            Term::atom("_"),
        ]);
        let node = Term::tuple([Term::atom("node"), Term::atom("$2")]);
        let is = |which| Term::tuple([Term::atom("=:="), node.clone(), which]);
        let [own, his] = nodes.map(is);
        let guard = Term::tuple([Term::atom("orelse"), own, his]);
        let clause = [
            found,
            Term::list([guard]),
            Term::list([Term::tuple([entry])]),
        ];
        let args = Term::list([
            Term::atom("global_names"),
            Term::list([Term::tuple(clause)]),
            Term::Int(i64::try_from(MAX_TOLD).unwrap_or(i64::MAX)),
        ]);
        self.ask_rex(peer, ("ets", "select"), args)
    }

    /// What another member is told that asks so; of more nodes than it needs not the further ones.
    pub(super) fn names_of(&self, nodes: &Term) -> Term {
        let nodes: Vec<&Atom> = nodes
            .as_list()
            .unwrap_or_default()
            .iter()
            .filter_map(Term::as_atom)
            .take(MAX_NODES)
            .collect();
        let mut found = self.names.entries_of(|node| nodes.contains(&node));
        let told: Vec<Term> = found
            .by_ref()
            .take(MAX_TOLD)
            .map(|it| it.to_term())
            .collect();
        let rest = match found.next() {
            None => "$end_of_table",
            Some(_) => "more",
        };
        Term::tuple([Term::List(told), Term::atom(rest)])
    }

    pub(super) fn audit_answered(
        &mut self,
        now: Instant,
        call: u64,
        outcome: &Result<Term, CallFailed>,
    ) {
        let Some((_, peer)) = self.audit.asked.take_if(|(id, _)| *id == call) else {
            return;
        };
        let listing = outcome.as_ref().ok().and_then(Listing::parse);
        // While names are being changed they differ for a moment.
        if self.locks.is_global_taken() {
            return self.audit.queue.push_back(peer);
        }
        if let Some(listing) = listing
            && !self.differences(&peer, &listing).is_empty()
        {
            self.mend(now, peer);
        }
    }

    /// What is to be done so that the peer and we have the same.
    pub(super) fn differences(&self, peer: &Atom, listing: &Listing) -> Vec<Mend> {
        let own = &self.config.node;
        let mut mends = Vec::new();
        for theirs in listing.entries.values() {
            let is_his = theirs.pid.node() == peer;
            if !is_his && theirs.pid.node() != own {
                continue;
            }
            let Some(ours) = self.names.entry(&theirs.name) else {
                mends.push(if is_his {
                    Mend::Take(theirs.clone())
                } else {
                    Mend::Revoke(theirs.name.clone())
                });
                continue;
            };
            if ours.pid == theirs.pid {
                continue;
            }
            let is_ours = ours.pid.node() == own;
            if is_his && is_ours {
                let theirs = theirs.clone();
                mends.push(Mend::Clash { ours, theirs });
            } else if !is_his {
                mends.push(Mend::Give(ours));
            } else if ours.pid.node() == peer {
                mends.push(Mend::Take(theirs.clone()));
            }
        }
        if listing.is_complete {
            let missing = |it: &Entry| !listing.entries.contains_key(&it.name);
            let concerned = self.names.entries_of(|node| node == own || node == peer);
            for ours in concerned.filter(missing) {
                if ours.pid.node() == own {
                    mends.push(Mend::Give(ours));
                } else {
                    mends.push(Mend::Drop(ours.name));
                }
            }
        }
        mends
    }

    /// What settles a clash that no merge has seen.
    pub(super) fn settle_late(&mut self, ours: &Entry, theirs: &Entry) -> Vec<Mend> {
        let method = runnable(&ours.method);
        let pids: (&Pid, &Pid) = (&theirs.pid, &ours.pid);
        let settled = settle(&self.config.server, &method, &ours.name, pids);
        let (settled, effects) = settled.unwrap_or((Settled::Keep(theirs.pid.clone()), vec![]));
        self.effects.extend(effects);
        match settled {
            Settled::Keep(pid) if pid == ours.pid => vec![Mend::Give(ours.clone())],
            Settled::Keep(_) => vec![Mend::Take(theirs.clone())],
            Settled::Nobody => {
                let name = || ours.name.clone();
                vec![Mend::Drop(name()), Mend::Revoke(name())]
            }
        }
    }
}
