//! The listening sockets of an epmd server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::TcpListener;

/// Connections that the kernel holds for us until they are accepted.
const BACKLOG: i32 = 128;

/// Addresses that one server listens on at most; more are refused.
pub(crate) const MAX_LISTEN: usize = 16;

/// Why a server cannot listen. Nothing stays bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody, most likely another epmd, holds the port.
    #[error("{address} is in use")]
    InUse {
        /// The address and port that somebody else holds.
        address: SocketAddr,
    },
    /// The system refuses the address for another reason.
    #[error("cannot listen on {address}")]
    Refused {
        /// The address and port that was asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// More addresses than a server takes.
    #[error("{given} addresses to listen on are more than {max}")]
    TooMany {
        /// How many addresses were asked for.
        given: usize,
        /// How many there may be.
        max: usize,
    },
}

impl BindError {
    /// Whether somebody else holds the port, so that one can be a client instead.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }
}

/// Listens on `addresses`, all of them on one port (0: whatever is free on the first).
///
/// An empty list means every address of the host, IPv4 and IPv6. Else loopback is added, for the
/// nodes of this host register there. Of an address family that the host does not have, the
/// addresses that were not asked for by name are left out.
pub(crate) fn listen(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, BindError> {
    if addresses.len() > MAX_LISTEN {
        return Err(BindError::TooMany {
            given: addresses.len(),
            max: MAX_LISTEN,
        });
    }
    let mut port = port;
    let mut listeners = Vec::new();
    for (address, required) in wanted(addresses) {
        let address = SocketAddr::new(address, port);
        match open(address) {
            Ok(listener) => {
                port = listener.local_addr().map_or(port, |bound| bound.port());
                listeners.push(listener);
            }
            Err(source) if source.kind() == io::ErrorKind::AddrInUse => {
                return Err(BindError::InUse { address });
            }
            Err(source) if required || !is_missing_family(&source) => {
                return Err(BindError::Refused { address, source });
            }
            Err(source) => tracing::debug!(%address, %source, "address family left out"),
        }
    }
    match listeners.is_empty() {
        false => Ok(listeners),
        true => Err(BindError::Refused {
            address: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
            source: io::ErrorKind::AddrNotAvailable.into(),
        }),
    }
}

/// The addresses to bind, each with whether it was asked for by name.
fn wanted(addresses: &[IpAddr]) -> Vec<(IpAddr, bool)> {
    if addresses.is_empty() {
        return vec![
            (Ipv4Addr::UNSPECIFIED.into(), false),
            (Ipv6Addr::UNSPECIFIED.into(), false),
        ];
    }
    let mut wanted: Vec<_> = addresses.iter().map(|address| (*address, true)).collect();
    for (loopback, any) in [
        (
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from(Ipv4Addr::UNSPECIFIED),
        ),
        (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into()),
    ] {
        if !addresses.contains(&loopback) && !addresses.contains(&any) {
            wanted.push((loopback, false));
        }
    }
    wanted
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own, so that peers' addresses keep their family.
        socket.set_only_v6(true)?;
    }
    // A port whose last connections still linger can be taken again at once. SO_REUSEPORT is left
    // alone: with it a second epmd could share the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Whether the error means that the host has no such address family, or no address of it.
fn is_missing_family(error: &io::Error) -> bool {
    /// `EAFNOSUPPORT` on Linux and on the BSDs, which `io::ErrorKind` has no stable name for.
    const NO_SUCH_FAMILY: [i32; 2] = [97, 47];
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.kind() == io::ErrorKind::Unsupported
        || error
            .raw_os_error()
            .is_some_and(|code| NO_SUCH_FAMILY.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_share_one_port() {
        let listeners = listen(&[Ipv4Addr::LOCALHOST.into()], 0).unwrap();
        let ports: Vec<_> = listeners
            .iter()
            .map(|l| l.local_addr().unwrap().port())
            .collect();
        assert!(
            ports[0] != 0 && ports.iter().all(|port| *port == ports[0]),
            "{ports:?}"
        );
    }

    #[tokio::test]
    async fn a_port_that_somebody_holds_is_in_use() {
        let first = listen(&[Ipv4Addr::LOCALHOST.into()], 0).unwrap();
        let port = first[0].local_addr().unwrap().port();
        assert!(listen(&[], port).unwrap_err().is_in_use());
        assert!(
            listen(&[Ipv4Addr::LOCALHOST.into()], port)
                .unwrap_err()
                .is_in_use()
        );
    }

    #[tokio::test]
    async fn an_address_of_another_host_is_refused_and_said() {
        let error = listen(&["192.0.2.1".parse().unwrap()], 0).unwrap_err();
        assert!(!error.is_in_use());
        assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:0");
    }

    #[tokio::test]
    async fn too_many_addresses_are_refused() {
        let many = vec![IpAddr::from(Ipv4Addr::LOCALHOST); MAX_LISTEN + 1];
        assert!(matches!(listen(&many, 0), Err(BindError::TooMany { .. })));
    }
}
