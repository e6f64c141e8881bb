//! The one judge of links.

use std::time::{Duration, Instant};

use enmesh_identity::NodeName;
use enmesh_proto::{Direction, PeerInfo, Verdict};

use super::links::{Links, Stage};
use super::peers::Peers;
use super::{Action, Connection, ConnectionId, DownReason, LinkId, Plan, PlanWarning};

/// How long a dial without a socket keeps the peer's own dial out. A dial that has no socket by
/// then may be on a way that is cut in this direction only.
const FRESH_DIAL: Duration = Duration::from_secs(1);

impl Plan {
    /// Somebody claims a name. Nothing is proven, so no other link may suffer from the answer.
    pub(super) fn judge_inbound(&mut self, now: Instant, link: LinkId, name: NodeName) {
        if !matches!(self.links.get(link), Some(Stage::Setup { .. })) {
            return;
        }
        if self.away_until.is_some() {
            // Closed without a word, and that costs the peer nothing: a BEAM to which we say `nok`
            // holds up whoever wants us for 7 s (net_setuptime), and refuses our own connect just as
            // long if its name is the greater one; `not_allowed` sends our kind into its longest
            // back-off. No release from OTP 25 to 29 logs any of the three.
            return self.close(link, DownReason::Away);
        }
        let verdict = if self.is_shut || name == self.config.own {
            Verdict::NotAllowed
        } else {
            let peer = self.peers.get(&name);
            match peer.and_then(|peer| peer.dial) {
                _ if peer.is_some_and(|peer| peer.up.is_some()) => Verdict::AskAlive,
                None => Verdict::Accept,
                Some(dial) if self.config.own > name && self.is_promising(now, dial) => {
                    Verdict::Nok
                }
                Some(_) => Verdict::AcceptSimultaneous,
            }
        };
        match verdict {
            // The link ends by this answer; what it still reports is of no interest.
            Verdict::NotAllowed | Verdict::Nok => drop(self.links.remove(link)),
            _ => self.links.claim(link, name, verdict == Verdict::AskAlive),
        }
        self.answer(link, verdict);
    }

    /// The peer of our dial says that it has a link with us. If we have none, it is an old one.
    pub(super) fn judge_alive(&mut self, link: LinkId) {
        let Some(Stage::Dial { peer, .. }) = self.links.get(link) else {
            return;
        };
        let is_wanted = self.peers.get(peer).is_some_and(|peer| {
            peer.dial == Some(link) && peer.up.is_none() && peer.target().is_some()
        });
        self.answer(
            link,
            if is_wanted {
                Verdict::Continue
            } else {
                Verdict::GiveUp
            },
        );
    }

    /// The peer holds the cookie: now the one link of it that lives is chosen.
    pub(super) fn judge_authenticated(&mut self, now: Instant, link: LinkId, info: PeerInfo) {
        let was_asked_alive = match self.links.get(link) {
            Some(Stage::Setup {
                was_asked_alive, ..
            }) => *was_asked_alive,
            Some(Stage::Dial { .. }) => false,
            Some(Stage::Up { .. }) | None => return,
        };
        if info.name == self.config.own || !self.is_better(link, &info, was_asked_alive) {
            self.counters.discarded += 1;
            return self.discard(link);
        }
        if goes_second(&self.config.own, &self.peers, &self.links, &info) {
            return self.links.hold(link, info);
        }
        if self
            .peers
            .entry(&info.name, self.config.max_peers)
            .is_none()
        {
            self.refuse(info.name);
            return self.discard(link);
        }
        self.admit(now, link, info);
    }

    /// Judges the links that waited for dials of ours which are over.
    pub(super) fn judge_held(&mut self, now: Instant) {
        while let Some((link, info)) = self.take_held() {
            self.judge_authenticated(now, link, info);
        }
    }

    fn take_held(&mut self) -> Option<(LinkId, PeerInfo)> {
        let (own, peers) = (&self.config.own, &self.peers);
        let is_time = |links: &Links, info: &PeerInfo| !goes_second(own, peers, links, info);
        self.links.take_held(is_time)
    }

    /// Whether the authenticated link is to take the place of the one that is up, if any.
    fn is_better(&self, link: LinkId, info: &PeerInfo, was_asked_alive: bool) -> bool {
        let Some(old) = self.connection(&info.name) else {
            return true;
        };
        // Whether the peer chose this link: it insisted when asked, or it admitted our dial, or
        // it is a later life of it, or it dialled anew although it had dialled the old one.
        was_asked_alive
            || info.direction == Direction::Dialled
            || info.creation != old.creation
            || (old.direction == Direction::Accepted && link > old.link)
    }

    fn admit(&mut self, now: Instant, link: LinkId, info: PeerInfo) {
        self.links.remove(link);
        self.yield_to(now, link, &info);
        self.last_connection += 1;
        let connection = Connection {
            name: info.name.clone(),
            creation: info.creation,
            connection: ConnectionId(self.last_connection),
            link,
            visible: info.visible,
            direction: info.direction,
        };
        self.links.up(connection.clone(), now);
        if let Some(peer) = self.peers.get_mut(&info.name) {
            peer.up = Some(link);
            peer.came_up();
        }
        self.peers.schedule(&info.name, None);
        self.actions.push_back(Action::Nodeup(connection));
        self.answer(link, Verdict::Admit);
    }

    /// Ends what has to give way to `link`.
    fn yield_to(&mut self, now: Instant, link: LinkId, info: &PeerInfo) {
        let Some(peer) = self.peers.get_mut(&info.name) else {
            return;
        };
        let old = peer.up.take();
        let links = &self.links;
        let dial = peer.dial.take_if(|dial| {
            // Our dial goes on while the peer may already have chosen it: closing it could then
            // cost both links. It ends by itself, or takes this one's place. Of one without a
            // socket the peer cannot know.
            *dial == link || self.config.own < info.name || !links.has_socket(*dial)
        });
        if let Some(old) = old {
            // The new link has to prove itself, and yet what was before the old one is forgiven.
            if self.has_been_stable(now, old)
                && let Some(peer) = self.peers.get_mut(&info.name)
            {
                peer.failures = 0;
            }
            self.close(old, DownReason::Superseded);
        }
        if let Some(dial) = dial.filter(|&dial| dial != link) {
            self.close(dial, DownReason::Unwanted);
        }
    }

    fn discard(&mut self, link: LinkId) {
        if let Some(Stage::Dial { peer, .. }) = self.links.remove(link) {
            self.forget_dial(&peer);
        }
        self.answer(link, Verdict::Discard);
    }

    pub(super) fn refuse(&mut self, peer: NodeName) {
        self.counters.refused_peers += 1;
        if self.counters.refused_peers == 1 {
            self.actions
                .push_back(Action::Warn(PlanWarning::TooManyPeers { peer }));
        }
    }

    /// Whether the dial has a socket, or is so young that it may still get one soon.
    fn is_promising(&self, now: Instant, dial: LinkId) -> bool {
        match self.links.get(dial) {
            Some(Stage::Dial {
                since, deadline, ..
            }) => deadline.is_none() || now.saturating_duration_since(*since) < FRESH_DIAL,
            _ => false,
        }
    }
}

/// Whether the peer's link has to wait for our own dial, which goes first: it is in the midst of its handshake with a peer of a
/// lesser name, which may have chosen it already. If both were admitted one after the other, a nodedown would stand between.
fn goes_second(own: &NodeName, peers: &Peers, links: &Links, info: &PeerInfo) -> bool {
    let Some(peer) = peers.get(&info.name) else {
        return false;
    };
    info.direction == Direction::Accepted
        && *own > info.name
        && peer.up.is_none()
        && peer.dial.is_some_and(|dial| links.has_socket(dial))
}
