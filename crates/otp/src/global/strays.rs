//! Connected peers of which one of us believes that they are of the same partition, and one not.
//!
//! A node that notices late that a link was cut can take the new link's words for the old one's.
//! OTP's nodes cut each other off then; ours just merge anew.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use enmesh_term::Atom;

use super::Global;

/// How long a disagreement must last: that which every merge brings with it is over by then.
const PERIOD: Duration = Duration::from_secs(5);

/// Who disagreed when it was last looked.
#[derive(Debug, Default)]
pub(super) struct Strays {
    suspects: BTreeSet<Atom>,
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
}

impl Global {
    pub(super) fn strays_timeout(&mut self, now: Instant) {
        if self.strays.due.is_none_or(|due| due > now) {
            return;
        }
        let is_stray = |peer: &&Atom| {
            if self.known.contains_key(*peer) {
                self.early.contains_key(*peer) || !self.synced.contains(*peer)
            } else {
                self.is_unheard(peer)
            }
        };
        let strays: BTreeSet<Atom> = self.connected.iter().filter(is_stray).cloned().collect();
        let before = std::mem::replace(&mut self.strays.suspects, strays.clone());
        for peer in strays.intersection(&before) {
            if self.hearsay.contains(peer) {
                // Who told us of him never told him of us.
                self.disown(now, peer);
                continue;
            }
            if self.known.contains_key(peer) && !self.early.contains_key(peer) {
                // His greeting was lost with another link, and he does not complain.
                self.has_synced(peer);
                continue;
            }
            // He does not take us for one of his, or never heard that we do not take him.
            self.known.remove(peer);
            self.synced.remove(peer);
            let his = self.early.remove(peer);
            self.end_session(now, peer);
            self.early.extend(his.map(|his| (peer.clone(), his)));
            self.begin_session(now, peer);
        }
        self.strays.due = (!strays.is_empty()).then_some(now + PERIOD);
    }
}
