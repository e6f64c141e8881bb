//! What a link is told before it begins, and what it learns of the peer.

use std::sync::Arc;
use std::time::Duration;

use enmesh_identity::{Cookie, Creation, NodeName};

use crate::allowed::Allowed;
use crate::cookies::Cookies;
use crate::flags::Flags;
use crate::framing::Prefix;
use crate::spares::Spares;

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
    /// The secrets: what we hold for a peer, it must hold for us.
    pub cookies: Cookies,
    /// With whom links are allowed, in both directions: everybody. Another one that dials is told
    /// `not_allowed`; dialling another one ends at once, before a byte is written.
    pub allowed: Allowed,
    /// Whether each message of the handshake has its length in four bytes, as over TLS, instead of
    /// two, as over TCP: false.
    pub wide_handshake: bool,
    /// What the names are made of that peers without one are given (`erl -sname undefined`,
    /// `erl -remsh`): a random number of this node, secret. None, which is the default, turns such
    /// peers away with [`LinkError::DynamicName`](crate::LinkError::DynamicName).
    pub name_seed: Option<u64>,
    /// What we could do but do not announce: nothing. Only flags of [`Flags::OPTIONAL`].
    pub withheld: Flags,
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
    /// How much may wait to be written, in bytes: 64 MiB, at least 1 KiB. Messages that travel in
    /// fragments, and those that do not, each may be so much, so that large ones never keep small
    /// ones out. A send over it fails; one message alone may be bigger.
    pub max_output: usize,
    /// Memory of large messages, which all links of this configuration use in turn.
    pub(crate) spares: Arc<Spares>,
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
    /// `withheld`.
    #[error("withheld has flags that no link can be without")]
    Withheld,
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
            cookies: Cookies::new(cookie),
            allowed: Allowed::everybody(),
            wide_handshake: false,
            name_seed: None,
            withheld: Flags::NONE,
            setup_time: DEFAULT_SETUP_TIME,
            net_ticktime: DEFAULT_NET_TICKTIME,
            net_tickintensity: DEFAULT_NET_TICKINTENSITY,
            max_message: DEFAULT_MAX_MESSAGE,
            max_output: DEFAULT_MAX_OUTPUT,
            spares: Arc::default(),
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
        if !Flags::OPTIONAL.contains(self.withheld) {
            return Err(LinkConfigError::Withheld);
        }
        Ok(())
    }

    /// The flags that our side of a handshake says.
    pub(crate) fn announced(&self) -> Flags {
        Flags::ours(self.local.visible).without(self.withheld)
    }

    /// What stands before each message of the handshake.
    pub(crate) fn prefix(&self) -> Prefix {
        if self.wide_handshake {
            Prefix::Four
        } else {
            Prefix::Two
        }
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
        config.net_tickintensity = 4;
        config.withheld = Flags::SPAWN;
        assert_eq!(config.validate(), Err(LinkConfigError::Withheld));
        config.setup_time = Duration::from_secs(121);
        assert_eq!(config.validate(), Err(LinkConfigError::SetupTime));
    }
}
