//! Where an epmd server listens and what it bears.

use std::net::IpAddr;
use std::time::Duration;

use enmesh_proto::epmd::DEFAULT_PORT;

/// Where a server listens and what it bears.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Addresses to listen on, at most 16, to which loopback is added; none (default) means all of
    /// the host, IPv4 and IPv6.
    pub listen: Vec<IpAddr>,
    /// The TCP port; default 4369. 0 takes a free one, for tests.
    pub port: u16,
    /// Lets names be stopped, and the server be killed while nodes are registered. Default no.
    pub relaxed: bool,
    /// Connections at once, registrations included; default 1024. What comes above is closed. Half
    /// of them are kept for this host.
    pub max_connections: usize,
    /// Connections at once of one address of another host; default 64. What comes above is closed.
    pub max_per_peer: usize,
    /// Registered names; default 1000. What comes above is refused.
    pub max_names: usize,
    /// How long a request may take to arrive, and an answer to be taken; default 10 s. Whoever
    /// takes longer is closed.
    pub request_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            port: DEFAULT_PORT,
            relaxed: false,
            max_connections: 1024,
            max_per_peer: 64,
            max_names: 1000,
            request_timeout: Duration::from_secs(10),
        }
    }
}
