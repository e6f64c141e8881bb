//! From a peer's name, address and port to a connected socket.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use enmesh_epmd::EpmdError;
use enmesh_identity::PeerAddr;
use enmesh_membership::DialFailure;
use tokio::net::TcpStream;

/// How a node finds the ports of others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PortSource {
    /// Ask epmd, at this port of the peer's address.
    Epmd(u16),
    /// The whole cluster listens on one port.
    Fixed(u16),
}

/// What a dial needs to know of ourselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialer {
    pub(crate) ports: PortSource,
    /// Where we listen ourselves, so that we never dial ourselves.
    pub(crate) own: SocketAddr,
    /// For everything from the first look-up to the connected socket.
    pub(crate) timeout: Duration,
}

impl Dialer {
    /// Connects to `peer`: its address or what its host part resolves to, each address in turn;
    /// at its port, or what epmd there tells.
    pub(crate) async fn connect(self, peer: PeerAddr) -> Result<TcpStream, DialFailure> {
        match tokio::time::timeout(self.timeout, self.try_addresses(&peer)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DialFailure::TimedOut),
        }
    }

    async fn try_addresses(self, peer: &PeerAddr) -> Result<TcpStream, DialFailure> {
        let mut failure = DialFailure::NoSuchHost;
        for address in addresses(peer).await? {
            match self.try_address(peer, address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn try_address(self, peer: &PeerAddr, address: IpAddr) -> Result<TcpStream, DialFailure> {
        let port = match (peer.port(), self.ports) {
            (Some(port), _) | (None, PortSource::Fixed(port)) => port,
            (None, PortSource::Epmd(epmd)) => {
                let epmd = SocketAddr::new(address, epmd);
                let found = enmesh_epmd::port_please(epmd, peer.name().alive(), self.timeout).await;
                match found.map_err(|error| epmd_failure(&error))? {
                    Some(info) => info.port,
                    None => return Err(DialFailure::NotRegistered),
                }
            }
        };
        let stream = TcpStream::connect((address, port))
            .await
            .map_err(|error| io_failure(&error))?;
        if self.reaches_ourselves(&stream) {
            return Err(DialFailure::OwnAddress);
        }
        Ok(stream)
    }

    /// Whether the far end can only be our own listener. A listener on every address holds its
    /// port on each of them, loopback addresses included; both ends of a connection within one
    /// host share any other address.
    fn reaches_ourselves(self, stream: &TcpStream) -> bool {
        let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else {
            return false;
        };
        if !self.own.ip().is_unspecified() {
            return peer == self.own;
        }
        peer.port() == self.own.port() && (peer.ip().is_loopback() || peer.ip() == local.ip())
    }
}

async fn addresses(peer: &PeerAddr) -> Result<Vec<IpAddr>, DialFailure> {
    if let Some(address) = peer.address() {
        return Ok(vec![address]);
    }
    let host = peer.name().host().as_str();
    let found = tokio::net::lookup_host((host, 0))
        .await
        .map_err(|_| DialFailure::NoSuchHost)?;
    Ok(found.map(|address| address.ip()).collect())
}

fn epmd_failure(error: &EpmdError) -> DialFailure {
    match error {
        EpmdError::TimedOut { .. } => DialFailure::TimedOut,
        _ => DialFailure::EpmdUnreachable,
    }
}

fn io_failure(error: &std::io::Error) -> DialFailure {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => DialFailure::Refused,
        std::io::ErrorKind::TimedOut => DialFailure::TimedOut,
        _ => DialFailure::Unreachable,
    }
}
