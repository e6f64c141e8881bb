//! When each peer is dialled.

use std::time::{Duration, Instant};

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_proto::{Direction, LinkError};

use super::links::Stage;
use super::peers::Peer;
use super::{
    Action, Connection, DialFailure, DownReason, Failure, LinkId, Plan, PlanWarning, TlsFault,
};
use crate::{Sighting, Standing};

/// How long we wait for the connect of a peer that asked us to, before we dial it again; and how
/// long a dial is put off while somebody who claims to be the peer is being let in.
const WAIT_FOR_PEER: Duration = Duration::from_secs(1);

/// How often in a row a peer may make us wait before that counts as a failure.
const MAX_NOKS: u32 = 5;

/// The same when the user waits: what is said is the first pause, and each doubles up to
/// [`WAIT_FOR_PEER`]. The usual reason is that the peer has not noticed yet that a link of a moment
/// ago has ended, and that is over in a millisecond.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// How often in a row a peer may make the user wait: for about as long as [`MAX_NOKS`] make us.
const MAX_PAUSES: u32 = 14;

/// How long a dial of the user is put off while somebody who claims to be the peer is being let in.
const WAIT_FOR_CLAIM: Duration = Duration::from_millis(100);

/// How much later than those that are ready a peer is first dialled that may not be.
const UNREADY_DELAY: Duration = Duration::from_millis(250);

impl Plan {
    pub(super) fn want(&mut self, now: Instant, sighting: Sighting) {
        let Sighting {
            peer: addr,
            standing,
            life,
        } = sighting;
        if self.is_shut || *addr.name() == self.config.own {
            return;
        }
        let name = addr.name().clone();
        let Some(peer) = self.peers.entry(&name, self.config.max_peers) else {
            return self.refuse(name);
        };
        let was_not_believed = peer.is_not_believed();
        let is_another_life = std::mem::replace(&mut peer.life, life) != life;
        peer.standing = standing;
        if is_another_life || standing != Standing::Heard {
            peer.denials = 0;
        }
        let is_heard_again = was_not_believed && !peer.is_not_believed();
        if peer.wanted.as_ref() == Some(&addr) && !is_another_life && !is_heard_again {
            return;
        }
        // At another place, or in another life, the peer deserves a dial at once, whatever the old
        // one was worth. Who left and comes back does not, nor who moves all the time: a source
        // that flaps, or two that contradict each other, must not make us storm.
        let left = peer.left.take();
        let has_moved = peer.wanted.is_some()
            || is_another_life && left.is_some()
            || left.as_ref().is_some_and(|(old, _)| *old != addr);
        let has_stayed = |at| now.saturating_duration_since(at) >= self.config.stable_after;
        let mut at = now;
        if peer.up.is_some() {
            // There is nothing to forgive while the link is up: the news must not be used up.
        } else if has_moved && peer.moved_at.is_none_or(has_stayed) {
            peer.failures = 0;
            peer.is_cookie_doubted = false;
            peer.moved_at = Some(now);
            peer.has_moved = peer.dial.is_some();
        } else if let Some((_, not_before)) = left {
            at = not_before.max(now);
        } else if let Some(due) = peer.due() {
            at = due;
        } else if standing == Standing::Unready {
            at = now + UNREADY_DELAY;
        }
        peer.wanted = Some(addr);
        if peer.dial.is_none() && peer.up.is_none() && peer.target().is_some() {
            self.peers.schedule(&name, Some(at));
        }
    }

    /// Whether we are being ended. Dials that run go on: they are answered within a moment.
    pub(super) fn drain(&mut self, now: Instant, draining: bool) {
        self.is_draining = draining;
        if draining || self.is_shut {
            return;
        }
        for name in self.peers.names() {
            let is_idle = |peer: &&Peer| {
                peer.target().is_some()
                    && peer.up.is_none()
                    && peer.dial.is_none()
                    && peer.due().is_none()
            };
            if self.peers.get(&name).filter(is_idle).is_some() {
                self.peers.schedule(&name, Some(now));
            }
        }
    }

    pub(super) fn leave(&mut self, now: Instant, name: &NodeName) {
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        let Some(old) = peer.wanted.take() else {
            return;
        };
        if peer.once.is_none() {
            let dial = peer.dial.take();
            let mut not_before = peer.due();
            if dial.is_some() {
                peer.failures = peer.failures.saturating_add(1);
                not_before = Some(now + self.backoff.after(peer.failures));
            }
            peer.left = Some((old, not_before.unwrap_or(now)));
            if let Some(dial) = dial {
                self.close(dial, DownReason::Unwanted);
            }
            // Remembered for as long as any back-off may last, and then forgotten.
            let forget = not_before.map(|_| now + self.backoff.longest());
            self.peers.schedule(name, forget);
        }
        self.peers.release(name);
    }

    pub(super) fn connect_once(&mut self, now: Instant, addr: PeerAddr) {
        let name = addr.name().clone();
        if self.is_shut {
            return self.report_failure(name, Failure::GivenUp, None, false);
        }
        if self.config.is_own(&addr) {
            return self.report_failure(name, Failure::Dial(DialFailure::OwnAddress), None, true);
        }
        if let Some(left) = self.away_for(now) {
            let is_wanted = self.peers.get(&name).is_some_and(|it| it.wanted.is_some());
            let retry_in = is_wanted.then_some(left);
            return self.report_failure(name, Failure::Away, retry_in, false);
        }
        let Some(peer) = self.peers.entry(&name, self.config.max_peers) else {
            self.refuse(name.clone());
            return self.report_failure(name, Failure::Dial(DialFailure::Unreachable), None, true);
        };
        if peer.up.is_some() {
            return;
        }
        // Who asks again while the first one waits does not make it wait longer.
        let is_first = peer.once.replace(addr).is_none();
        if is_first {
            peer.noks = 0;
            peer.is_deferred = false;
        }
        if peer.dial.is_none() && (is_first || peer.due().is_none()) {
            self.peers.schedule(&name, Some(now));
        }
    }

    pub(super) fn disconnect(&mut self, now: Instant, name: &NodeName) {
        self.drop_live(now, name, DownReason::Disconnect);
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        let was_asked_for = peer.once.take().is_some();
        let (dial, is_wanted) = (peer.dial.take(), peer.wanted.is_some());
        if let Some(dial) = dial {
            self.close(dial, DownReason::Disconnect);
        }
        if was_asked_for {
            self.report_failure(name.clone(), Failure::GivenUp, None, false);
        }
        let due = is_wanted.then(|| now + self.backoff.longest());
        self.peers.schedule(name, due);
        self.peers.release(name);
    }

    /// Closes the live link by our own will. A wanted peer is dialled again after the longest
    /// back-off.
    pub(super) fn drop_live(&mut self, now: Instant, name: &NodeName, reason: DownReason) {
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        let Some(link) = peer.up.take() else { return };
        let is_stable = self.has_been_stable(now, link);
        let is_visible = self.links.connection(link).is_some_and(|up| up.visible);
        if self.config.visible && is_visible {
            let peer = name.clone();
            let warning = PlanWarning::VisibleClose { peer };
            self.actions.push_back(Action::Warn(warning));
        }
        self.close(link, reason);
        let longest = now + self.backoff.longest();
        self.count_fall(name, is_stable);
        self.remember_left(now, name);
        self.redial(name, Some(longest));
    }

    /// A live link has ended by itself.
    pub(super) fn fell(
        &mut self,
        now: Instant,
        connection: Connection,
        since: Instant,
        reason: DownReason,
    ) {
        let name = connection.name.clone();
        self.actions
            .push_back(Action::Nodedown { connection, reason });
        let is_stable = self.is_stable(now, since);
        if let Some(peer) = self.peers.get_mut(&name) {
            peer.up = None;
        }
        let failures = self.count_fall(&name, is_stable);
        let wait = self.backoff.after(failures);
        if failures > 0 {
            self.remember_left(now, &name);
        }
        self.redial(&name, Some(now + wait));
    }

    /// Keeps the back-off of a peer that has left and lost its link for as long as any may last:
    /// it may be back before, from a source that flaps.
    fn remember_left(&mut self, now: Instant, name: &NodeName) {
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        if let Some((_, not_before)) = &mut peer.left {
            *not_before = now + self.backoff.after(peer.failures);
            let forget = now + self.backoff.longest();
            self.peers.schedule(name, Some(forget));
        }
    }

    /// Whether this live link has lasted long enough to forgive what was before it.
    pub(super) fn has_been_stable(&self, now: Instant, link: LinkId) -> bool {
        match self.links.get(link) {
            Some(Stage::Up { since, .. }) => self.is_stable(now, *since),
            _ => false,
        }
    }

    fn is_stable(&self, now: Instant, since: Instant) -> bool {
        now.saturating_duration_since(since) >= self.config.stable_after
    }

    /// A link that was up fell; early falls in a row count like failed dials.
    fn count_fall(&mut self, name: &NodeName, is_stable: bool) -> u32 {
        let Some(peer) = self.peers.get_mut(name) else {
            return 0;
        };
        peer.failures = match is_stable {
            true => 0,
            false => peer.failures.saturating_add(1),
        };
        peer.failures
    }

    /// The link of a dial ended before it was up.
    pub(super) fn dial_ended(&mut self, now: Instant, name: &NodeName, error: &LinkError) {
        let pause = match error {
            // This was our own will. So is a discarded link, of which nothing is heard any more: one
            // that is still known here has lost its task, and fails like any other.
            LinkError::GivenUp => Some(WAIT_FOR_PEER),
            LinkError::Nok => self.pause_for_peer(name),
            LinkError::ClosedAfterDigest { .. } => self.pause_in_doubt(name),
            _ => None,
        };
        if let Some(pause) = pause {
            self.forget_dial(name);
            return self.redial(name, Some(now + pause));
        }
        self.end_dial(now, name);
        let failure = Failure::of(error);
        if failure == Failure::WrongCookie && self.connection(name).is_none() {
            let certain = !matches!(error, LinkError::ClosedAfterDigest { .. });
            self.say_wrong_cookie(now, name.clone(), Direction::Dialled, certain);
        }
        self.dial_failed(now, name, failure);
    }

    pub(super) fn dial_failed(&mut self, now: Instant, name: &NodeName, failure: Failure) {
        self.counters.failed_dials += 1;
        self.end_dial(now, name);
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        peer.once = None;
        if peer.up.is_some() {
            // The other direction made it; what became of this one is of no interest.
            return;
        }
        peer.failures = peer.failures.saturating_add(1);
        peer.is_cookie_doubted = failure == Failure::WrongCookie;
        if is_denial(failure) {
            peer.was_denied();
        }
        let has_moved = std::mem::take(&mut peer.has_moved);
        let wait = if has_moved {
            peer.failures = 0;
            Duration::ZERO
        } else if is_hopeless(failure) {
            self.backoff.longest()
        } else {
            self.backoff.after(peer.failures)
        };
        let is_news = peer.said != Some(failure) && failure != Failure::WrongCookie;
        peer.said = Some(failure);
        let retry_in = peer.wanted.is_some().then_some(wait);
        self.report_failure(name.clone(), failure, retry_in, is_news);
        self.redial(name, Some(now + wait));
    }

    /// The peer's own link may have waited for this dial.
    fn end_dial(&mut self, now: Instant, name: &NodeName) {
        if let Some(peer) = self.peers.get_mut(name) {
            peer.dial = None;
            self.judge_held(now);
        }
    }

    /// The dial is over and nobody is to blame.
    pub(super) fn forget_dial(&mut self, name: &NodeName) {
        if let Some(peer) = self.peers.get_mut(name) {
            peer.dial = None;
            self.peers.release(name);
        }
    }

    /// Dials whoever is due while there is room.
    pub(super) fn dial_due(&mut self, now: Instant) {
        self.judge_held(now);
        while self.may_dial() {
            let Some(name) = self.peers.pop_due(now) else {
                return;
            };
            let is_claimed = self.links.is_claimed(&name);
            let Some(peer) = self.peers.get_mut(&name) else {
                continue;
            };
            if peer.up.is_some() || peer.dial.is_some() {
                continue;
            }
            if self.is_draining && peer.once.is_none() {
                self.peers.release(&name);
                continue;
            }
            if is_claimed && !peer.is_deferred {
                // Once only: a stranger who claims the name must not keep us from the peer.
                peer.is_deferred = true;
                let wait = match peer.once {
                    Some(_) => WAIT_FOR_CLAIM,
                    None => WAIT_FOR_PEER,
                };
                self.peers.schedule(&name, Some(now + wait));
                continue;
            }
            peer.is_deferred = false;
            let Some(target) = peer.target().cloned() else {
                // It left, or fell silent, so long ago that its back-off need not be remembered.
                self.peers.release(&name);
                continue;
            };
            if self.config.is_own(&target) {
                self.dial_failed(now, &name, Failure::Dial(DialFailure::OwnAddress));
                continue;
            }
            let link = self
                .links
                .dial(name.clone(), now, now + self.config.dial_timeout);
            if let Some(peer) = self.peers.get_mut(&name) {
                peer.dial = Some(link);
            }
            self.counters.dials += 1;
            self.actions.push_back(Action::Dial { link, peer: target });
        }
    }

    pub(super) fn may_dial(&self) -> bool {
        !self.is_shut
            && self.away_until.is_none()
            && self.links.dials() < self.config.max_dials.max(1)
    }

    /// Puts the peer into the queue again if somebody wants it, and forgets it otherwise.
    fn redial(&mut self, name: &NodeName, at: Option<Instant>) {
        let Some(peer) = self.peers.get(name) else {
            return;
        };
        let is_idle = peer.up.is_none() && peer.dial.is_none();
        // Of a peer that is silent now the back-off is kept, for it may be heard again before.
        if is_idle && (peer.once.is_some() || peer.wanted.is_some()) {
            self.peers.schedule(name, at);
        }
        self.peers.release(name);
    }

    /// How long to wait for the connect of a peer that refused ours for it; `None` if it has done
    /// so too often.
    fn pause_for_peer(&mut self, name: &NodeName) -> Option<Duration> {
        let Some(peer) = self.peers.get_mut(name) else {
            return Some(WAIT_FOR_PEER);
        };
        let (pause, max) = match peer.once {
            Some(_) => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << peer.noks.min(MAX_PAUSES));
                (doubled.min(WAIT_FOR_PEER), MAX_PAUSES)
            }
            None => (WAIT_FOR_PEER, MAX_NOKS),
        };
        peer.noks += 1;
        if peer.noks > max {
            peer.noks = 0;
            return None;
        }
        Some(pause)
    }

    /// How long to wait before a peer that closed after our digest is asked whether it meant that;
    /// `None` if it did the same before. A peer that ended by itself in that moment will not be
    /// there, or be another, and is not to be said to have another cookie.
    fn pause_in_doubt(&mut self, name: &NodeName) -> Option<Duration> {
        let peer = self.peers.get_mut(name)?;
        if std::mem::replace(&mut peer.is_cookie_doubted, true) {
            return None;
        }
        self.counters.failed_dials += 1;
        Some(self.backoff.after(1))
    }

    /// Somebody who claimed this name is gone, unproven: a dial that was put off for it goes now.
    pub(super) fn claim_ended(&mut self, now: Instant, name: &NodeName) {
        let is_deferred = self.peers.get(name).is_some_and(|peer| peer.is_deferred);
        if is_deferred && !self.links.is_claimed(name) {
            self.peers.schedule(name, Some(now));
        }
    }

    pub(super) fn report_failure(
        &mut self,
        peer: NodeName,
        failure: Failure,
        retry_in: Option<Duration>,
        first: bool,
    ) {
        self.actions.push_back(Action::DialFailed {
            peer,
            failure,
            retry_in,
            first,
        });
    }
}

/// Whether somebody was there who knows of no such node.
fn is_denial(failure: Failure) -> bool {
    let denials = [
        Failure::WrongName,
        Failure::Dial(DialFailure::NotRegistered),
    ];
    denials.contains(&failure)
}

/// Whether dialling again soon cannot help: somebody has to put something right first.
fn is_hopeless(failure: Failure) -> bool {
    match failure {
        Failure::WrongCookie
        | Failure::WrongName
        | Failure::NotAllowed
        | Failure::Incompatible
        | Failure::SpeaksTls
        | Failure::Dial(DialFailure::OwnAddress) => true,
        Failure::Dial(DialFailure::Tls(fault)) => fault != TlsFault::NoAnswer,
        Failure::Dial(_)
        | Failure::GivenUp
        | Failure::Away
        | Failure::Nok
        | Failure::TimedOut
        | Failure::Closed
        | Failure::Untold => false,
    }
}
