//! How a plan is set up.

use std::net::SocketAddr;
use std::time::Duration;

use enmesh_identity::{NodeName, PeerAddr};

/// How a [`Plan`](crate::Plan) is set up.
#[derive(Clone, Debug)]
pub struct PlanConfig {
    /// Our own name, which is never dialled and never let in.
    pub own: NodeName,
    /// Where we listen; a peer at one of these is never dialled. An unspecified address stands
    /// for the loopback ones.
    pub own_addrs: Vec<SocketAddr>,
    /// How long it may take from the beginning of a dial to the socket; default 7 s.
    pub dial_timeout: Duration,
    /// The first back-off after a dial failed; default 250 ms. Doubles with each failure.
    pub backoff_min: Duration,
    /// The longest back-off; default 10 s.
    pub backoff_max: Duration,
    /// Which part of a back-off is added or taken away by chance, 0 to 1; default 0.25.
    pub jitter: f64,
    /// How long a link must be up before the peer's back-off begins anew; default 5 s.
    pub stable_after: Duration,
    /// The most dials at one time; default 256. Further ones wait.
    pub max_dials: usize,
    /// The most accepted links that are not authenticated yet; default 512. When one more comes,
    /// the oldest is closed.
    pub max_setups: usize,
    /// The most peers that are wanted or connected; default 65,536. Further ones are neither
    /// dialled nor admitted.
    pub max_peers: usize,
    /// Where chance comes from.
    pub seed: u64,
    /// Whether we announce ourselves as a visible node.
    pub visible: bool,
}

impl PlanConfig {
    /// The defaults for the node named `own`.
    pub fn new(own: NodeName, seed: u64) -> Self {
        Self {
            own,
            own_addrs: Vec::new(),
            dial_timeout: Duration::from_secs(7),
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(10),
            jitter: 0.25,
            stable_after: Duration::from_secs(5),
            max_dials: 256,
            max_setups: 512,
            max_peers: 65_536,
            seed,
            visible: false,
        }
    }

    /// Whether dialling `peer` would reach ourselves, as far as is known before its host is
    /// resolved.
    pub(super) fn is_own(&self, peer: &PeerAddr) -> bool {
        if *peer.name() == self.own {
            return true;
        }
        let (Some(address), Some(port)) = (peer.address(), peer.port()) else {
            return false;
        };
        let address = address.to_canonical();
        self.own_addrs.iter().any(|own| {
            let own_ip = own.ip().to_canonical();
            let same = own_ip == address;
            let any =
                own_ip.is_unspecified() && (address.is_loopback() || address.is_unspecified());
            own.port() == port && (same || any)
        })
    }
}
