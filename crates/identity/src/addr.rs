//! A peer and how to reach it.

use std::fmt;
use std::net::IpAddr;

use crate::NodeName;

/// A peer's name together with what is known of where to dial it. Name, address and port are
/// three different things: a source may know one, two or all of them.
///
/// Without an address the host part of the name is resolved; without a port epmd at the address
/// is asked, or the cluster's one fixed port is taken.
///
/// ```
/// use enmesh_identity::{NodeName, PeerAddr};
///
/// let name: NodeName = "web@db1".parse()?;
/// let peer = PeerAddr::new(name).with_port(9000);
/// assert_eq!((peer.name().as_str(), peer.port()), ("web@db1", Some(9000)));
/// # Ok::<(), enmesh_identity::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerAddr {
    name: NodeName,
    address: Option<IpAddr>,
    port: Option<u16>,
}

impl PeerAddr {
    /// A peer of which only the name is known.
    pub fn new(name: NodeName) -> Self {
        Self {
            name,
            address: None,
            port: None,
        }
    }

    /// The same peer, to be dialled at `address`.
    #[must_use]
    pub fn with_address(self, address: IpAddr) -> Self {
        Self {
            address: Some(address),
            ..self
        }
    }

    /// The same peer, whose distribution listens on `port`.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        Self {
            port: Some(port),
            ..self
        }
    }

    /// The peer's full name.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The address to dial: the one the source gave, else the one the host part spells. `None`
    /// means that the host part must be resolved.
    pub fn address(&self) -> Option<IpAddr> {
        self.address.or_else(|| self.name.host().as_ip())
    }

    /// The port of the peer's distribution, if the source knows it.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl From<NodeName> for PeerAddr {
    fn from(name: NodeName) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        match (self.address, self.port) {
            (None, None) => Ok(()),
            (Some(address), None) => write!(f, " at {address}"),
            (None, Some(port)) => write!(f, " at port {port}"),
            (Some(address), Some(port)) => {
                write!(f, " at {}", std::net::SocketAddr::new(address, port))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_address_wins_over_the_one_in_the_name() {
        let peer = PeerAddr::new("a@10.0.0.1".parse().unwrap());
        assert_eq!(peer.address(), Some("10.0.0.1".parse().unwrap()));
        let moved = peer
            .with_address("10.0.0.9".parse().unwrap())
            .with_port(9000);
        assert_eq!(moved.to_string(), "a@10.0.0.1 at 10.0.0.9:9000");
        assert_eq!(moved.address(), Some("10.0.0.9".parse().unwrap()));
    }

    #[test]
    fn a_host_name_is_no_address() {
        assert_eq!(
            PeerAddr::new("a@db.example".parse().unwrap()).address(),
            None
        );
    }
}
