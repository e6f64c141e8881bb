//! Staying away from everybody for a while.

use std::time::{Duration, Instant};

use super::links::Stage;
use super::{DownReason, Failure, Plan};

impl Plan {
    /// The cluster has cut us off: every link is closed and every dial given up at once, and for
    /// `rejoin_after` nobody is dialled or let in. Then all who are wanted are dialled at once,
    /// whatever their back-off. Before that is over, what the roster says is only remembered, and
    /// [`Plan::handle_connect`] fails with [`Failure::Away`].
    ///
    /// When we are away already, the later of the two ends counts.
    pub fn handle_leave(&mut self, now: Instant, rejoin_after: Duration) {
        if self.is_shut {
            return;
        }
        let until = now + rejoin_after;
        self.away_until = Some(self.away_until.map_or(until, |old| old.max(until)));
        for link in self.links.ids() {
            let peer = match self.links.get(link) {
                Some(Stage::Dial { peer, .. }) => Some(peer.clone()),
                Some(Stage::Up { connection, .. }) => Some(connection.name.clone()),
                Some(Stage::Setup { .. }) | None => None,
            };
            self.close(link, DownReason::Away);
            if let Some(name) = peer
                && let Some(peer) = self.peers.get_mut(&name)
            {
                peer.dial = peer.dial.filter(|dial| *dial != link);
                peer.up = peer.up.filter(|up| *up != link);
            }
        }
        for name in self.peers.names() {
            let Some(peer) = self.peers.get_mut(&name) else {
                continue;
            };
            let (was_asked_for, is_wanted) = (peer.once.take().is_some(), peer.wanted.is_some());
            if was_asked_for {
                let retry_in = is_wanted.then_some(rejoin_after);
                self.report_failure(name.clone(), Failure::Away, retry_in, false);
            }
            if is_wanted {
                self.peers.schedule(&name, Some(until));
            }
            self.peers.release(&name);
        }
    }

    /// How long we still stay away; `None` if we do not.
    pub fn away_for(&self, now: Instant) -> Option<Duration> {
        self.away_until
            .map(|until| until.saturating_duration_since(now))
    }

    /// Ends the time away when it is over: everybody is due now.
    pub(super) fn come_back(&mut self, now: Instant) {
        if self.away_until.is_none_or(|until| until > now) {
            return;
        }
        self.away_until = None;
        for name in self.peers.names() {
            let Some(peer) = self.peers.get_mut(&name) else {
                continue;
            };
            if peer.wanted.is_some() && peer.up.is_none() && peer.dial.is_none() {
                peer.failures = 0;
                self.peers.schedule(&name, Some(now));
            }
        }
    }
}
