//! Connected peers of which one of us believes that they are of the same partition, and one not.
//!
//! A node that notices late that a link was cut can take the new link's words for the old one's,
//! and one by whom two partitions merge can die before all have heard of it. OTP's nodes cut each
//! other off then. Ours ask the peer, and then merge anew with a member; a BEAM takes no second
//! merge on one link, and so it is told of us as its own partition would tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use enmesh_term::{Atom, Term};

use super::Global;
use super::wire::{VERSION, cast, parse_nodes, server_of};
use crate::effect::{CallFailed, Effect};

/// How long a disagreement must last: that which every merge brings with it is over by then.
const PERIOD: Duration = Duration::from_secs(5);

/// Who disagreed when it was last looked.
#[derive(Debug, Default)]
pub(super) struct Strays {
    suspects: BTreeSet<Atom>,
    /// Those of our partition who said that we are not of theirs.
    deniers: BTreeSet<Atom>,
    /// Whom we have asked whom they know.
    asked: BTreeMap<u64, Atom>,
    due: Option<Instant>,
}

impl Strays {
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// There may be one from now on.
    pub(super) fn suspect(&mut self, now: Instant) {
        self.due.get_or_insert(now + PERIOD);
    }

    pub(super) fn nodedown(&mut self, peer: &Atom) {
        self.suspects.remove(peer);
        self.deniers.remove(peer);
    }
}

impl Global {
    pub(super) fn strays_timeout(&mut self, now: Instant) {
        if self.strays.due.is_none_or(|due| due > now) {
            return;
        }
        for id in std::mem::take(&mut self.strays.asked).into_keys() {
            self.effects.push_back(Effect::CancelCall { id });
        }
        let is_stray = |peer: &&Atom| self.is_stray(peer);
        let strays: BTreeSet<Atom> = self.connected.iter().filter(is_stray).cloned().collect();
        let before = std::mem::replace(&mut self.strays.suspects, strays.clone());
        for peer in strays.intersection(&before) {
            if self.early.contains_key(peer) {
                // He has introduced himself, and so he does not take us for one of his.
                self.merge_anew(now, peer);
            } else {
                self.ask_whom_it_knows(peer);
            }
        }
        self.strays.due = (!strays.is_empty()).then_some(now + PERIOD);
    }

    pub(super) fn ask_whom_it_knows(&mut self, peer: &Atom) {
        let id = self.ask(server_of(peer), Term::atom("get_known"));
        self.strays.asked.insert(id, peer.clone());
    }

    fn is_stray(&self, peer: &Atom) -> bool {
        if self.known.contains_key(peer) {
            let is_denied = self.strays.deniers.contains(peer);
            is_denied || self.early.contains_key(peer) || !self.synced.contains(peer)
        } else {
            self.is_unheard(peer)
        }
    }

    /// Takes in whom a stray knows.
    pub(super) fn stray_answered(
        &mut self,
        now: Instant,
        call: u64,
        outcome: &Result<Term, CallFailed>,
    ) {
        let Some(peer) = self.strays.asked.remove(&call) else {
            return;
        };
        let Ok(known @ Term::List(_)) = outcome else {
            return;
        };
        let nodes = parse_nodes(known);
        let knows_us = nodes.iter().any(|(node, _)| *node == self.config.node);
        let was_denied = self.strays.deniers.remove(&peer) && !knows_us;
        if !self.connected.contains(&peer) {
            return;
        }
        if !was_denied && !self.is_stray(&peer) {
            if !knows_us && self.known.contains_key(&peer) {
                // Unless it is about to lose us it says so again.
                self.strays.deniers.insert(peer);
                self.strays.suspect(now);
            }
            return;
        }
        if self.kin.contains(&peer) && !(knows_us && self.known.contains_key(&peer)) {
            self.merge_anew(now, &peer);
        } else if !knows_us && self.hearsay.contains(&peer) {
            // We have not greeted him, and so his session with us is still open.
            self.disown(now, &peer);
        } else {
            self.knit(now, &peer, knows_us);
        }
    }

    /// The peer and we are of one partition from now on, without a merge. The names that one of
    /// us lacks are found by the next audits.
    fn knit(&mut self, now: Instant, peer: &Atom, knows_us: bool) {
        if !knows_us {
            let us = Term::tuple([self.own(), Term::Int(VERSION)]);
            let message = Term::tuple([
                Term::atom("new_nodes"),
                self.own(),
                Term::nil(),
                Term::nil(),
                Term::list([us]),
                Term::list([Term::tuple([Term::atom("vsn"), Term::Int(VERSION)])]),
            ]);
            self.tell(peer, cast(message));
        }
        self.end_session(now, peer);
        self.hearsay.settle(peer);
        if self.known.contains_key(peer) {
            self.greet(peer);
        } else {
            let node = (peer.clone(), VERSION);
            self.add_known(now, peer, vec![node], false);
        }
        self.has_synced(peer);
        self.audit_soon(now);
    }

    /// Begins a new session, whatever each of us took the other for.
    fn merge_anew(&mut self, now: Instant, peer: &Atom) {
        // He is of another partition, and what his own processes are called is for him to say.
        self.hearsay.settle(peer);
        self.known.remove(peer);
        self.synced.remove(peer);
        self.forget_names_of(peer);
        let his = self.early.remove(peer);
        self.end_session(now, peer);
        self.early.extend(his.map(|his| (peer.clone(), his)));
        self.begin_session(now, peer);
    }
}
