//! What the manager does: it turns roster and plan, and does what the plan says.

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::{
    Action, Connection, DialFailure, DownReason, Intent, LinkId, Prune, Standing, Update,
};
use enmesh_proto::{Direction, LinkError, Verdict};
use rand::RngExt;

use super::{CHAT_EVERY, FLAP_EVERY, POLL_EVERY, Process, topology_name};
use crate::FaultKind;
use crate::event::{Event, Happening, Micros, Report, SECOND};
use crate::network::PORT;
use crate::outside::Outside;
use crate::plant::Plant;

impl Process {
    pub(super) fn report(&mut self, link: LinkId, report: Report, out: &mut Outside) {
        let now = out.instant();
        match report {
            Report::Question(question) => self.plan.handle_question(now, link, question),
            Report::Closed(error) => {
                if error == LinkError::Nok {
                    out.stats.noks += 1;
                }
                self.plan.handle_closed(now, link, &error);
            }
        }
    }

    /// Asks a source, and sees that the roster took exactly what it said.
    pub(super) fn poll(&mut self, topology: usize, out: &mut Outside) {
        let (updates, lie) = self.sources[topology].ask(&mut out.rng);
        if let Some(lie) = lie {
            out.stats.fire(lie);
            out.note(&[self.node], || {
                format!("a source of {} lies: {lie:?}", self.name)
            });
        }
        let name = topology_name(topology);
        if lie == Some(FaultKind::SourceReplaced) && out.rng.random_bool(0.5) {
            self.roster.replace_source(&name);
            out.watch.replaced(self.node, topology, &self.roster);
            if out.plants(Plant::ReplacingForgets) {
                let nobody = Update::Snapshot(Vec::new());
                self.roster.handle_update(out.instant(), &name, nobody);
            }
        }
        for mut update in updates {
            out.watch.update(self.node, topology, &update);
            if matches!(update, Update::Failed(_)) && out.plants(Plant::FailureEmptiesRoster) {
                update = Update::Snapshot(Vec::new());
            }
            self.roster.handle_update(out.instant(), &name, update);
        }
        out.watch.roster(self.node, &self.roster);
        let every = match lie {
            Some(
                FaultKind::SourceFlapping | FaultKind::SourceRestless | FaultKind::SourceDraining,
            ) => FLAP_EVERY,
            _ => POLL_EVERY,
        };
        let wait = every + out.rng.random_range(0..every / 5);
        self.happen_after(out, wait, Happening::Poll { topology });
    }

    /// Says something to somebody; now and then the user wants a link with somebody at once.
    pub(super) fn chat(&mut self, out: &mut Outside) {
        let links: Vec<_> = self.plan.connected().map(|up| up.link).collect();
        if !links.is_empty() {
            let link = links[out.rng.random_range(0..links.len())];
            self.say(link, out);
        }
        if out.rng.random_bool(0.05)
            && let Some((peer, _)) = self.roster.peers().next()
        {
            out.watch.user_connects(self.node, peer.name());
            self.plan.handle_connect(out.instant(), peer);
        }
        self.happen_after(out, CHAT_EVERY, Happening::Chat);
    }

    /// Does everything that roster and plan want done, and sets the timer.
    pub(super) fn settle(&mut self, out: &mut Outside) {
        loop {
            if let Some(action) = self.plan.poll_action() {
                self.act(action, out);
            } else if let Some(intent) = self.roster.poll_action() {
                self.intend(intent, out);
            } else {
                break;
            }
        }
        out.watch
            .tables(self.node, &self.plan, self.links.len() + self.dials.len());
        let deadlines = [self.roster.deadline(), self.plan.deadline()];
        if let Some(deadline) = deadlines.into_iter().flatten().min() {
            let at = out.micros(deadline).max(out.now + 1);
            if at < self.timer_at {
                self.timer_at = at;
                self.happen_at(out, at, Happening::Timer { at });
            }
        }
    }

    fn intend(&mut self, mut intent: Intent, out: &mut Outside) {
        let now = out.instant();
        match &intent {
            Intent::Want(peer) => {
                let is_known = self.plan.knows(peer.name());
                out.watch.wanted(self.node, peer, is_known);
                if out.plants(Plant::LostWants) {
                    return;
                }
            }
            Intent::Leave(name) => {
                out.watch.left(self.node, name);
                if out.plants(Plant::LeaveClosesLink) {
                    self.plan.handle_disconnect(now, name);
                }
            }
            Intent::Drain(draining) => {
                out.watch.drains(self.node, *draining);
                if out.plants(Plant::LostDrains) {
                    return;
                }
            }
            Intent::Prune(_) => {}
        }
        if let Intent::Want(peer) = &mut intent
            && out.plants(Plant::LostStandings)
        {
            peer.standing = Standing::Ready;
        }
        if let Intent::Leave(name) = &intent
            && self.prune == Prune::Grace
            && out.plants(Plant::GraceIsCutShort)
        {
            let early = Intent::Prune(name.clone());
            self.plan.handle_intent(now, intent);
            return self.plan.handle_intent(now, early);
        }
        self.plan.handle_intent(now, intent);
    }

    fn act(&mut self, action: Action, out: &mut Outside) {
        match action {
            Action::Dial { link, peer } => self.dial(link, peer, out),
            Action::Answer { link, verdict } => {
                match verdict {
                    Verdict::AcceptSimultaneous => self.plant_claim(link, out),
                    Verdict::AskAlive => self.plant_claim_of_live(link, out),
                    _ => {}
                }
                self.answer(link, verdict, out);
                if verdict == Verdict::Nok {
                    out.stats.mix(link.get());
                }
            }
            Action::Close { link, reason } => self.close(link, reason, out),
            Action::Nodeup(up) => self.nodeup(&up, out),
            Action::Nodedown { connection, reason } => self.nodedown(&connection, reason, out),
            Action::DialFailed { peer, failure, .. } => {
                out.watch.dial_failed(self.node, &peer);
                self.tell(&peer, out, || {
                    format!("{} failed to dial {peer}: {failure}", self.name)
                });
            }
            Action::WrongCookie {
                peer, direction, ..
            } => {
                out.stats.wrong_cookies += 1;
                // A peer that dies at the wrong moment looks like one with another cookie, and proves
                // nothing of these faults.
                if direction == Direction::Accepted && out.impostors.contains(&peer) {
                    out.stats.fire(FaultKind::Impostor);
                } else if out.strayed.contains(&self.name) || out.strayed.contains(&peer) {
                    out.stats.fire(FaultKind::WrongCookie);
                }
                self.tell(&peer, out, || {
                    format!("{} finds a wrong cookie at {peer}", self.name)
                });
            }
            Action::Warn(_) => {}
        }
    }

    fn dial(&mut self, link: LinkId, mut peer: PeerAddr, out: &mut Outside) {
        if out.plants_once(Plant::DialsOwnName) {
            peer = PeerAddr::new(self.name.clone());
        } else if out.plants_once(Plant::DialsOwnAddress)
            && let Some(own) = PeerAddr::new(self.name.clone()).address()
        {
            peer = peer.with_address(own).with_port(PORT);
        }
        let times = if out.plants_once(Plant::DialStorm) {
            100
        } else {
            1
        };
        (0..times).for_each(|_| out.watch.dial(self.node, &peer));
        self.tell(peer.name(), out, || {
            format!("{} dials {peer} (link {link})", self.name)
        });
        if out.plants(Plant::NoDials) && out.now >= out.plant_from {
            self.dials.insert(link, None);
            return;
        }
        let target = peer.address().and_then(|address| out.net.node_at(address));
        let failure = match target {
            Some(target) if target == self.node => Some(DialFailure::OwnAddress),
            Some(_) => None,
            None => Some(DialFailure::Unreachable),
        };
        let conn = target.filter(|_| failure.is_none()).map(|target| {
            let from = (self.node, self.life, link);
            let conn = out
                .net
                .open(&mut out.rng, from, target, peer.name().clone());
            let wait = out.net.delay(&mut out.rng, conn);
            out.push_after(wait, Event::Syn { conn, attempt: 0 });
            conn
        });
        if let Some(failure) = failure {
            let wait: Micros = out.rng.random_range(0..SECOND / 2);
            self.happen_after(out, wait, Happening::DialFailed { link, failure });
        }
        self.dials.insert(link, conn);
    }

    fn close(&mut self, link: LinkId, reason: DownReason, out: &mut Outside) {
        out.watch.close(self.node, link, reason);
        let end = self.links.get(&link).map(|end| &end.link);
        let claimed = end.and_then(|link| link.claimed_name()).cloned();
        if let Some(peer) = claimed.or_else(|| self.dialled_peer(link, out)) {
            self.tell(&peer, out, || {
                format!("{} closes link {link} with {peer} ({reason})", self.name)
            });
        }
        if reason == DownReason::Unwanted
            && let Some(peer) = self.dialled_peer(link, out)
        {
            out.watch.gives_up(self.node, &peer);
        }
        match self.dials.remove(&link) {
            Some(Some(conn)) => out.net.conns[conn].ends[0].is_open = false,
            Some(None) => {}
            None => self.drop_link(link, out),
        }
    }

    /// Whom a link was dialled to.
    fn dialled_peer(&self, link: LinkId, out: &Outside) -> Option<NodeName> {
        let end = self.links.get(&link).filter(|end| end.side == 0);
        let conn = end.map(|end| end.conn).or_else(|| *self.dials.get(&link)?);
        conn.map(|conn| out.net.conns[conn].wanted.clone())
    }

    /// The claim of an accepted link ends our own dial, if that bug is planted.
    fn plant_claim(&self, link: LinkId, out: &mut Outside) {
        if let Some(peer) = self
            .links
            .get(&link)
            .and_then(|end| end.link.claimed_name())
            && out.plants_once(Plant::ClaimEndsDial)
        {
            out.watch.gives_up(self.node, peer);
        }
    }

    /// The claim of an accepted link ends a live link, if that bug is planted.
    fn plant_claim_of_live(&self, link: LinkId, out: &mut Outside) {
        let claimed = self.links.get(&link).map(|end| &end.link);
        let claimed = claimed.and_then(|link| link.claimed_name());
        if let Some(up) = claimed.and_then(|name| self.plan.connection(name))
            && out.plants_once(Plant::ClaimEndsLink)
        {
            let reason = DownReason::Superseded;
            out.watch.close(self.node, up.link, reason);
            out.watch.nodedown(self.node, up, reason);
        }
    }

    fn nodeup(&mut self, up: &Connection, out: &mut Outside) {
        out.stats.nodeups += 1;
        out.stats
            .mix(out.now ^ up.link.get() << 40 ^ (self.node as u64) << 56);
        out.last_nodeup = out.now;
        if out.plants_once(Plant::MissingNodeup) {
            return;
        }
        out.watch.nodeup(self.node, up);
        if out.plants_once(Plant::DoubleNodeup) {
            out.watch.nodeup(self.node, up);
        }
        self.tell(&up.name, out, || {
            let (connection, link) = (up.connection, up.link);
            format!(
                "{}: {} is up ({:?}, connection {connection}, link {link})",
                self.name, up.name, up.direction
            )
        });
    }

    fn nodedown(&mut self, down: &Connection, reason: DownReason, out: &mut Outside) {
        if reason == DownReason::Superseded {
            out.stats.superseded += 1;
        }
        out.stats.mix(out.now ^ down.link.get() << 24);
        if out.plants_once(Plant::LostNodedown) {
            return;
        }
        out.watch.nodedown(self.node, down, reason);
        if out.plants_once(Plant::DoubleNodedown) {
            out.watch.nodedown(self.node, down, reason);
        }
        if out.plants_once(Plant::LateMessage) {
            out.watch.message(self.node, down.link, 1, 1);
        }
        self.tell(&down.name, out, || {
            format!(
                "{}: {} is down ({reason}, connection {})",
                self.name, down.name, down.connection
            )
        });
    }

    /// Adds a line about this node and a peer to the story.
    fn tell(&self, peer: &NodeName, out: &mut Outside, line: impl FnOnce() -> String) {
        // Only a story needs to know who that is.
        if out.tells_story() {
            let involved = std::iter::once(self.node).chain(out.watch.index_of(peer));
            let involved: Vec<_> = involved.collect();
            out.note_between(&involved, line);
        }
    }
}
