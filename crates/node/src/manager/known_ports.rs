//! Where peers listened a moment ago, so that whoever connects again at once asks no epmd.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use enmesh_identity::PeerAddr;

/// How long a peer is taken to be still there. It is tried there first only, and asked for anew if
/// it is not.
const FRESH: Duration = Duration::from_secs(1);

/// How many are remembered; one more pushes out the oldest.
const MAX_KNOWN: usize = 64;

/// The last known places, the newest last: where a link was that we have closed ourselves, or where
/// somebody answered as the peer would. A peer that ends by itself is asked for anew.
#[derive(Debug, Default)]
pub(super) struct KnownPorts(VecDeque<(Instant, PeerAddr, SocketAddr)>);

impl KnownPorts {
    pub(super) fn remember(&mut self, now: Instant, peer: PeerAddr, there: SocketAddr) {
        self.0.retain(|(_, known, _)| *known != peer);
        if self.0.len() == MAX_KNOWN {
            self.0.pop_front();
        }
        self.0.push_back((now, peer, there));
    }

    /// Where to try first. It is forgotten by that: what comes of it decides whether it is known.
    pub(super) fn take(&mut self, now: Instant, peer: &PeerAddr) -> Option<SocketAddr> {
        let is_fresh = |at: Instant| now.saturating_duration_since(at) < FRESH;
        self.0.retain(|(at, ..)| is_fresh(*at));
        let place = self.0.iter().position(|(_, known, _)| known == peer)?;
        self.0.remove(place).map(|(.., there)| there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: usize) -> PeerAddr {
        PeerAddr::new(format!("n{number}@h").parse().unwrap())
    }

    fn there(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn a_place_is_known_once_and_for_a_second() {
        let (mut known, now) = (KnownPorts::default(), Instant::now());
        known.remember(now, peer(1), there(1));
        known.remember(now, peer(1), there(2));
        known.remember(now, peer(2), there(3));
        assert_eq!(known.take(now, &peer(1).with_port(9)), None);
        assert_eq!(known.take(now, &peer(1)), Some(there(2)));
        assert_eq!(known.take(now, &peer(1)), None);
        assert_eq!(known.take(now + FRESH, &peer(2)), None);
    }

    #[test]
    fn the_oldest_makes_room() {
        let (mut known, now) = (KnownPorts::default(), Instant::now());
        for number in 0..=MAX_KNOWN {
            known.remember(now, peer(number), there(1));
        }
        assert_eq!(known.take(now, &peer(0)), None);
        assert_eq!(known.take(now, &peer(1)), Some(there(1)));
        assert_eq!(known.0.len(), MAX_KNOWN - 1);
    }
}
