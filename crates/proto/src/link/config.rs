//! What a link is told before it begins, and what it learns of the peer.

use std::time::Duration;

use enmesh_identity::{Cookie, Creation, NodeName};

use crate::flags::Flags;

/// Who we are, on every link alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalNode {
    /// Our name.
    pub name: NodeName,
    /// Our incarnation.
    pub creation: Creation,
    /// Whether we announce ourselves as a visible node.
    pub visible: bool,
}

/// Who began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// We did.
    Dialled,
    /// The peer did.
    Accepted,
}

/// An authenticated peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its name.
    pub name: NodeName,
    /// Its incarnation.
    pub creation: Creation,
    /// What both sides can do: the AND of the two announcements. PUBLISHED is in it only if both
    /// are visible.
    pub flags: Flags,
    /// Whether the peer itself is a visible node, whatever we are.
    pub visible: bool,
    /// Who began the connection.
    pub direction: Direction,
}

/// How the links of a node behave. Change the fields, then call [`LinkConfig::validate`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Who we are.
    pub local: LocalNode,
    /// The secret that both sides must hold.
    pub cookie: Cookie,
    /// How long each phase of the handshake may take: 7 s, at most 120 s.
    pub setup_time: Duration,
    /// After how long a silence a peer counts as dead: 60 s, 1 s to 1 day. It should be the same on
    /// all nodes of a cluster.
    pub net_ticktime: Duration,
    /// Into how many checks `net_ticktime` is divided: 4, in the range 4 to 1000.
    pub net_tickintensity: u32,
    /// The longest message in either direction, in bytes: 128 MiB, 1 KiB to 2 GiB. A peer that
    /// announces a longer one is cut off.
    pub max_message: usize,
    /// How much may wait to be written, in bytes: 64 MiB, at least 1 KiB. A send over it fails; one
    /// message alone may be bigger.
    pub max_output: usize,
}

/// Which value of a [`LinkConfig`] is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkConfigError {
    /// `setup_time`.
    #[error("setup_time must be more than 0 s and at most 120 s")]
    SetupTime,
    /// `net_ticktime`.
    #[error("net_ticktime must be 1 s to 1 day")]
    NetTicktime,
    /// `net_tickintensity`.
    #[error("net_tickintensity must be 4 to 1000")]
    NetTickintensity,
    /// `max_message`.
    #[error("max_message must be 1 KiB to 2 GiB")]
    MaxMessage,
    /// `max_output`.
    #[error("max_output must be at least 1 KiB")]
    MaxOutput,
}

const DEFAULT_SETUP_TIME: Duration = Duration::from_secs(7);
const MAX_SETUP_TIME: Duration = Duration::from_secs(120);
const DEFAULT_NET_TICKTIME: Duration = Duration::from_secs(60);
const MIN_NET_TICKTIME: Duration = Duration::from_secs(1);
const MAX_NET_TICKTIME: Duration = Duration::from_secs(24 * 60 * 60);
const DEFAULT_NET_TICKINTENSITY: u32 = 4;
const DEFAULT_MAX_MESSAGE: usize = 128 << 20;
const DEFAULT_MAX_OUTPUT: usize = 64 << 20;
const MIN_BYTES: usize = 1 << 10;
const MAX_MESSAGE: usize = 2 << 30;

impl LinkConfig {
    /// The defaults for `local`, whose cluster's secret is `cookie`.
    pub fn new(local: LocalNode, cookie: Cookie) -> Self {
        Self {
            local,
            cookie,
            setup_time: DEFAULT_SETUP_TIME,
            net_ticktime: DEFAULT_NET_TICKTIME,
            net_tickintensity: DEFAULT_NET_TICKINTENSITY,
            max_message: DEFAULT_MAX_MESSAGE,
            max_output: DEFAULT_MAX_OUTPUT,
        }
    }

    /// Whether every value is in its range.
    ///
    /// # Errors
    /// The first value that is not.
    pub fn validate(&self) -> Result<(), LinkConfigError> {
        if self.setup_time.is_zero() || self.setup_time > MAX_SETUP_TIME {
            return Err(LinkConfigError::SetupTime);
        }
        if !(MIN_NET_TICKTIME..=MAX_NET_TICKTIME).contains(&self.net_ticktime) {
            return Err(LinkConfigError::NetTicktime);
        }
        if !(4..=1000).contains(&self.net_tickintensity) {
            return Err(LinkConfigError::NetTickintensity);
        }
        if !(MIN_BYTES..=MAX_MESSAGE).contains(&self.max_message) {
            return Err(LinkConfigError::MaxMessage);
        }
        if self.max_output < MIN_BYTES {
            return Err(LinkConfigError::MaxOutput);
        }
        Ok(())
    }

    /// How long it is from one check of the ticks to the next.
    pub(crate) fn tick_interval(&self) -> Duration {
        self.net_ticktime / self.net_tickintensity.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_otp_and_valid() {
        let local = LocalNode {
            name: "r@h".parse().unwrap(),
            creation: Creation::from_seed(4),
            visible: true,
        };
        let mut config = LinkConfig::new(local, Cookie::new("c").unwrap());
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.tick_interval(), Duration::from_secs(15));
        config.net_tickintensity = 3;
        assert_eq!(config.validate(), Err(LinkConfigError::NetTickintensity));
        config.setup_time = Duration::from_secs(121);
        assert_eq!(config.validate(), Err(LinkConfigError::SetupTime));
    }
}
