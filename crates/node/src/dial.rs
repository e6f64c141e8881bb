//! From a peer's name, address and port to a connected socket.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use enmesh_epmd::EpmdError;
use enmesh_identity::PeerAddr;
use enmesh_membership::DialFailure;
use tokio::net::TcpStream;

use crate::tls::TlsError;
use crate::transport::{Stream, Transport};

/// How many addresses of one host are tried; what a resolver gives beyond them is left alone.
const MAX_ADDRESSES: usize = 8;

/// How a node finds the ports of others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PortSource {
    /// Ask epmd, at this port of the peer's address.
    Epmd(u16),
    /// The whole cluster listens on one port.
    Fixed(u16),
}

/// What a dial needs to know of ourselves.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub(crate) ports: PortSource,
    /// What is made of the connection.
    pub(crate) transport: Transport,
    /// Where we listen ourselves, so that we never dial ourselves.
    pub(crate) own: SocketAddr,
    /// For everything from the first look-up to the connected socket.
    pub(crate) timeout: Duration,
}

/// A connection to whoever listens where the peer should.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) stream: Stream,
    /// Whether nobody was asked for the place: it was known from before.
    pub(crate) is_known: bool,
}

/// Why there is no stream to the peer.
#[derive(Debug)]
pub(crate) enum DialError {
    /// There was no connection.
    Socket(DialFailure),
    /// There was one, and TLS did not come up on it.
    Tls(TlsError),
}

impl From<DialFailure> for DialError {
    fn from(failure: DialFailure) -> Self {
        Self::Socket(failure)
    }
}

impl Dialer {
    /// Connects to `peer`: where it was a moment ago, if that is known; else at its address or what
    /// its host part resolves to, each address in turn, at its port or what epmd there tells.
    pub(crate) async fn connect(
        self,
        peer: PeerAddr,
        known: Option<SocketAddr>,
    ) -> Result<Dialled, DialError> {
        let deadline = Instant::now() + self.timeout;
        let connecting = async {
            if let Some(there) = known {
                let part = self.timeout / 2;
                let trying = self.try_port(&peer, there, Instant::now() + part);
                if let Ok(Ok(stream)) = tokio::time::timeout(part, trying).await {
                    let is_known = true;
                    return Ok(Dialled { stream, is_known });
                }
            }
            let addresses = addresses(&peer).await?;
            let stream = self.try_addresses(&peer, &addresses, deadline).await?;
            let is_known = false;
            Ok(Dialled { stream, is_known })
        };
        match tokio::time::timeout(self.timeout, connecting).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DialFailure::TimedOut.into()),
        }
    }

    /// Each address has its part of the time that is left, so that one that swallows everything,
    /// as an IPv6 address without a way to it does, leaves some for the next.
    async fn try_addresses(
        &self,
        peer: &PeerAddr,
        addresses: &[IpAddr],
        deadline: Instant,
    ) -> Result<Stream, DialError> {
        let mut failure = DialFailure::NoSuchHost.into();
        for (&address, to_go) in addresses.iter().zip((1..=addresses.len()).rev()) {
            let left = deadline.saturating_duration_since(Instant::now());
            let part = left / u32::try_from(to_go).unwrap_or(u32::MAX);
            let trying = self.try_address(peer, address, Instant::now() + part);
            match tokio::time::timeout(part, trying).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = DialFailure::TimedOut.into(),
            }
        }
        Err(failure)
    }

    async fn try_address(
        &self,
        peer: &PeerAddr,
        address: IpAddr,
        deadline: Instant,
    ) -> Result<Stream, DialError> {
        let port = match (peer.port(), self.ports) {
            (Some(port), _) | (None, PortSource::Fixed(port)) => port,
            (None, PortSource::Epmd(epmd)) => {
                let epmd = SocketAddr::new(address, epmd);
                let found = enmesh_epmd::port_please(epmd, peer.name().alive(), self.timeout).await;
                match found.map_err(|error| epmd_failure(&error))? {
                    Some(info) => info.port,
                    None => return Err(DialFailure::NotRegistered.into()),
                }
            }
        };
        self.try_port(peer, SocketAddr::new(address, port), deadline)
            .await
    }

    async fn try_port(
        &self,
        peer: &PeerAddr,
        there: SocketAddr,
        deadline: Instant,
    ) -> Result<Stream, DialError> {
        let stream = TcpStream::connect(there)
            .await
            .map_err(|error| io_failure(&error))?;
        if self.reaches_ourselves(&stream) {
            return Err(DialFailure::OwnAddress.into());
        }
        let stream = self.transport.dial(stream, peer.name(), deadline).await;
        stream.map_err(DialError::Tls)
    }

    /// Whether the far end can only be our own listener. A listener on every address holds its
    /// port on each of them, loopback addresses included; both ends of a connection within one
    /// host share any other address.
    fn reaches_ourselves(&self, stream: &TcpStream) -> bool {
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
    Ok(found
        .map(|address| address.ip())
        .take(MAX_ADDRESSES)
        .collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::{TcpListener, TcpSocket};

    /// A listener whose backlog is full, so that the system lets further connects wait, and the
    /// connections that fill it.
    async fn deaf(address: SocketAddr) -> (TcpListener, Vec<tokio::task::JoinHandle<()>>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut waiting = Vec::new();
        let is_full = || async {
            let connect = TcpStream::connect(address);
            tokio::time::timeout(Duration::from_millis(300), connect).await
        };
        while let Ok(stream) = is_full().await {
            waiting.push(tokio::spawn(async move {
                let _stream = stream;
                std::future::pending::<()>().await;
            }));
        }
        (listener, waiting)
    }

    #[tokio::test]
    async fn an_address_that_swallows_everything_leaves_time_for_the_next() {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await;
        let good = listener.as_ref().unwrap().local_addr().unwrap();
        let bad = SocketAddr::new(Ipv4Addr::new(127, 0, 0, 3).into(), good.port());
        let _deaf = deaf(bad).await;
        let dialer = Dialer {
            ports: PortSource::Fixed(good.port()),
            transport: Transport {
                tls: None,
                setup_time: Duration::from_secs(3),
            },
            own: SocketAddr::new(Ipv4Addr::new(127, 0, 0, 9).into(), 1),
            timeout: Duration::from_secs(3),
        };
        let peer = PeerAddr::new("a@db.example".parse().unwrap());
        let deadline = Instant::now() + dialer.timeout;
        let addresses = [bad.ip(), good.ip()];
        let dialled = dialer.try_addresses(&peer, &addresses, deadline);
        let stream = tokio::time::timeout(dialer.timeout, dialled).await;
        let there = stream.unwrap().unwrap().socket().peer_addr();
        assert_eq!(there.unwrap(), good);
    }
}
