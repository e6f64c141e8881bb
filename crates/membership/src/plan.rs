//! When to dial, and which of two colliding links lives.

mod action;
mod away;
mod backoff;
mod config;
mod dials;
mod judge;
mod links;
mod peers;
mod strangers;

use std::collections::VecDeque;
use std::time::Instant;

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_proto::{Direction, LinkError, Question, Verdict};

use self::backoff::Backoff;
use self::links::{Links, Stage};
use self::peers::Peers;
use self::strangers::Strangers;
use crate::Intent;

pub use self::action::{
    Action, Connection, ConnectionId, DialFailure, DownReason, Failure, LinkId, PlanWarning,
    TlsFault,
};
pub use self::config::PlanConfig;

/// Decides when which peer is dialled, and is the one judge of links: dialled or accepted, every
/// link of a node asks here before it lives, so that at most one link per peer is ever up.
///
/// Calling order: after each `handle_*`, call [`Plan::poll_action`] until it returns `None` and
/// do what it says in that order; call [`Plan::handle_timeout`] when [`Plan::deadline`] has
/// passed. `now` must never go back. Each dial and each accepted socket has a [`LinkId`]; its
/// end is reported once, by [`Plan::handle_dial_failed`] or [`Plan::handle_closed`], and reports
/// of a link that the plan itself has closed are ignored.
///
/// # Colliding links
/// Of two connections between the same two nodes that are set up at the same time, the one that
/// the *greater* name dialled lives, as between BEAM nodes (erl_dist_protocol, "Distribution
/// Handshake"). A name is only a claim until the peer is authenticated: so an accepted link
/// never ends our own dial by its claim, but only by its proof.
#[derive(Debug)]
pub struct Plan {
    config: PlanConfig,
    backoff: Backoff,
    peers: Peers,
    links: Links,
    strangers: Strangers,
    actions: VecDeque<Action>,
    last_connection: u64,
    counters: PlanCounters,
    is_shut: bool,
    /// Whether we are being ended, so that nobody is dialled for the roster's sake.
    is_draining: bool,
    /// Until when we stay away from everybody.
    away_until: Option<Instant>,
}

/// What a plan has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanCounters {
    /// Dials begun.
    pub dials: u64,
    /// Dials that came to nothing.
    pub failed_dials: u64,
    /// Sockets accepted.
    pub accepted: u64,
    /// Accepted links closed because there were too many handshakes at once.
    pub evicted_setups: u64,
    /// Peers neither dialled nor admitted because there were too many.
    pub refused_peers: u64,
    /// Links whose peer was authenticated and that were not needed any more.
    pub discarded: u64,
}

impl Plan {
    /// A plan that knows nobody.
    pub fn new(config: PlanConfig) -> Self {
        Self {
            backoff: Backoff::new(&config),
            config,
            peers: Peers::default(),
            links: Links::default(),
            strangers: Strangers::default(),
            actions: VecDeque::new(),
            last_connection: 0,
            counters: PlanCounters::default(),
            is_shut: false,
            is_draining: false,
            away_until: None,
        }
    }

    /// Takes in what the roster says.
    pub fn handle_intent(&mut self, now: Instant, intent: Intent) {
        match intent {
            Intent::Want(sighting) => self.want(now, sighting),
            Intent::Leave(name) => self.leave(now, &name),
            Intent::Prune(name) => self.drop_live(now, &name, DownReason::Pruned),
            Intent::Drain(draining) => self.drain(now, draining),
        }
        self.dial_due(now);
    }

    /// A socket came in; returns what the link is called from now on. If there are too many
    /// handshakes, the oldest is closed for it; after a shutdown it is closed itself.
    pub fn handle_accepted(&mut self, _now: Instant) -> LinkId {
        let link = self.links.accept();
        self.counters.accepted += 1;
        if self.is_shut {
            self.close(link, DownReason::Shutdown);
        } else if let Some(oldest) = self.links.oldest_setup_over(self.config.max_setups) {
            self.counters.evicted_setups += 1;
            self.close(oldest, DownReason::TooManySetups);
        }
        link
    }

    /// The system has no room for one more socket: the oldest handshake is closed for it.
    pub fn handle_no_room(&mut self, _now: Instant) {
        if let Some(oldest) = self.links.oldest_setup_over(0) {
            self.counters.evicted_setups += 1;
            self.close(oldest, DownReason::TooManySetups);
        }
    }

    /// The socket of a dial is there. From now on the link's own timers watch over it.
    pub fn handle_dialled(&mut self, _now: Instant, link: LinkId) {
        self.links.dialled(link);
    }

    /// A link asks; it is answered by an [`Action::Answer`] (or closed): at once, but for a peer's link that has been
    /// authenticated in the midst of our own dial of it, which goes first.
    pub fn handle_question(&mut self, now: Instant, link: LinkId, question: Question) {
        match question {
            Question::Inbound { name } => self.judge_inbound(now, link, name),
            Question::Alive => self.judge_alive(link),
            Question::Authenticated(info) => self.judge_authenticated(now, link, info),
        }
        self.dial_due(now);
    }

    /// A link has ended by itself.
    pub fn handle_closed(&mut self, now: Instant, link: LinkId, error: &LinkError) {
        match self.links.remove(link) {
            None | Some(Stage::Setup { claimed: None, .. }) => {}
            Some(Stage::Setup {
                claimed: Some(name),
                ..
            }) => {
                self.claim_ended(now, &name);
                // This is said, and our own dials are not slowed down by it: anybody can claim the
                // name. If it is the peer, our next dial finds that out for certain enough, and
                // waits for the longest back-off then.
                if error.is_wrong_cookie() {
                    self.say_wrong_cookie(now, name, Direction::Accepted, true);
                }
            }
            Some(Stage::Dial { peer, .. }) => self.dial_ended(now, &peer, error),
            Some(Stage::Up { connection, since }) => {
                self.fell(now, connection, since, DownReason::of(error));
            }
        }
        self.dial_due(now);
    }

    /// A live link that somebody else watches over has ended, for a reason that is known.
    pub fn handle_fell(&mut self, now: Instant, link: LinkId, reason: DownReason) {
        if let Some(Stage::Up { .. }) = self.links.get(link)
            && let Some(Stage::Up { connection, since }) = self.links.remove(link)
        {
            self.fell(now, connection, since, reason);
        }
        self.dial_due(now);
    }

    /// A dial has ended before there was a link: without a socket, or by somebody else's word.
    pub fn handle_dial_failed(&mut self, now: Instant, link: LinkId, failure: impl Into<Failure>) {
        if let Some(Stage::Dial { peer, .. }) = self.links.get(link) {
            let (peer, failure) = (peer.clone(), failure.into());
            self.links.remove(link);
            if failure == Failure::WrongCookie {
                self.say_wrong_cookie(now, peer.clone(), Direction::Dialled, false);
            }
            self.dial_failed(now, &peer, failure);
        }
        self.dial_due(now);
    }

    /// The user wants a link with this peer now: it is dialled once at once, whatever its
    /// back-off, unless it is being dialled already. A peer that asks us to wait for its own
    /// connect is asked again after a millisecond, and ever more rarely for about five seconds: it
    /// says so too of a link that has just ended. One that closes after our digest is dialled once
    /// more, before it is said to have another cookie. How it went is told by [`Action::Nodeup`] or
    /// [`Action::DialFailed`]; nothing is told if the peer is connected, so look before, nor when
    /// a shutdown comes between.
    pub fn handle_connect(&mut self, now: Instant, peer: PeerAddr) {
        self.connect_once(now, peer);
        self.dial_due(now);
    }

    /// The user wants this peer's link closed. Its dial is given up too; if the roster wants the
    /// peer, the next dial comes after the longest back-off. The peer may dial us meanwhile.
    pub fn handle_disconnect(&mut self, now: Instant, name: &NodeName) {
        self.disconnect(now, name);
        self.dial_due(now);
    }

    /// We end: every link is closed, nothing is dialled or accepted any more.
    pub fn handle_shutdown(&mut self, _now: Instant) {
        self.is_shut = true;
        self.away_until = None;
        for link in self.links.ids() {
            self.close(link, DownReason::Shutdown);
        }
        self.peers.clear();
    }

    /// Dials who is due and gives up dials that took too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.come_back(now);
        for (link, peer) in self.links.overdue_dials(now) {
            self.actions.push_back(Action::Close {
                link,
                reason: DownReason::TimedOut,
            });
            self.dial_failed(now, &peer, Failure::Dial(DialFailure::TimedOut));
        }
        self.dial_due(now);
    }

    /// When [`Plan::handle_timeout`] is due; `None` if nothing is pending.
    pub fn deadline(&self) -> Option<Instant> {
        let next_dial = self.peers.next_due().filter(|_| self.may_dial());
        [next_dial, self.links.next_overdue(), self.away_until]
            .into_iter()
            .flatten()
            .min()
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Who is connected, sorted by name.
    pub fn connected(&self) -> impl Iterator<Item = &Connection> {
        self.peers
            .up()
            .filter_map(|link| self.links.connection(link))
    }

    /// The live link with a peer.
    pub fn connection(&self, name: &NodeName) -> Option<&Connection> {
        self.peers
            .get(name)
            .and_then(|peer| peer.up)
            .and_then(|up| self.links.connection(up))
    }

    /// How many dials are running.
    pub fn dialling(&self) -> usize {
        self.links.dials()
    }

    /// How many accepted links are not authenticated yet.
    pub fn setups(&self) -> usize {
        self.links.setups()
    }

    /// Whether there is something to remember of this peer: it is wanted, dialled or connected.
    pub fn knows(&self, name: &NodeName) -> bool {
        self.peers.get(name).is_some()
    }

    /// How many peers there is something to remember of, as [`Plan::knows`] has it.
    pub fn known_peers(&self) -> usize {
        self.peers.len()
    }

    /// What was done so far.
    pub fn counters(&self) -> &PlanCounters {
        &self.counters
    }

    fn answer(&mut self, link: LinkId, verdict: Verdict) {
        self.actions.push_back(Action::Answer { link, verdict });
    }

    /// Ends a link of any stage by our own will, and says so if it was up.
    fn close(&mut self, link: LinkId, reason: DownReason) {
        let Some(stage) = self.links.remove(link) else {
            return;
        };
        self.actions.push_back(Action::Close { link, reason });
        if let Stage::Up { connection, .. } = stage {
            self.actions
                .push_back(Action::Nodedown { connection, reason });
        }
    }

    fn say_wrong_cookie(
        &mut self,
        now: Instant,
        peer: NodeName,
        direction: Direction,
        certain: bool,
    ) {
        let is_news = match self.peers.get_mut(&peer) {
            Some(known) => known.is_news_of_cookie(direction),
            None => self.strangers.is_news(now, &peer),
        };
        if is_news {
            self.actions.push_back(Action::WrongCookie {
                peer,
                direction,
                certain,
            });
        }
    }
}

#[cfg(test)]
mod tests;
