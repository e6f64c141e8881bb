//! The one socket by which a node sends its heartbeats and hears those of others.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::config::GossipConfig;

/// A socket on the port and in the group, and where heartbeats go.
#[derive(Debug)]
pub(super) struct GossipSocket {
    socket: UdpSocket,
    membership: Membership,
    to: SocketAddr,
}

/// Which group is joined, and on which interface.
#[derive(Clone, Copy, Debug)]
enum Membership {
    /// None: broadcast packets come to everybody who listens.
    None,
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, u32),
}

/// Why there is no socket, in words that name the fix.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("a socket cannot be made: {0}")]
    Make(#[source] io::Error),
    #[error(
        "interface {name} is not here ({error}); key `multicast_if` takes one that `ip address` shows"
    )]
    Interface { name: String, error: io::Error },
    #[error(
        "cannot listen on {address}: {error}; whatever has the port must share it (SO_REUSEADDR), or all \
         nodes must have another `port`"
    )]
    Bind {
        address: SocketAddr,
        error: io::Error,
    },
    #[error(
        "cannot join {group}: {error}; give `multicast_if` the interface that leads to the others, or the \
         system a route to the group, or use `broadcast_only`"
    )]
    Join { group: IpAddr, error: io::Error },
}

impl GossipSocket {
    /// Opens the socket and joins the group. Any number of programs on this machine may do so.
    pub(super) fn open(config: &GossipConfig) -> Result<Self, OpenError> {
        let address = SocketAddr::new(config.if_addr, config.port);
        let made = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        );
        let socket = made.map_err(OpenError::Make)?;
        shared(&socket).map_err(OpenError::Make)?;
        let membership = Membership::of(config, &socket)
            .and_then(|membership| membership.prepare(&socket, config).map(|()| membership))
            .map_err(|error| OpenError::Interface {
                name: config.multicast_if.clone().unwrap_or_default(),
                error,
            })?;
        socket
            .bind(&address.into())
            .map_err(|error| OpenError::Bind { address, error })?;
        let socket = UdpSocket::from_std(socket.into()).map_err(OpenError::Make)?;
        let opened = Self {
            socket,
            membership,
            to: SocketAddr::new(config.multicast_addr, config.port),
        };
        opened.join().map_err(|error| OpenError::Join {
            group: config.multicast_addr,
            error,
        })?;
        Ok(opened)
    }

    /// Joins the group where the routes lead to it now. A network may come, or change, after we
    /// have; to be in it already is all right.
    pub(super) fn join(&self) -> io::Result<()> {
        let socket = socket2::SockRef::from(&self.socket);
        let joined = match self.membership {
            Membership::None => Ok(()),
            Membership::V4(group, interface) => socket.join_multicast_v4(&group, &interface),
            Membership::V6(group, interface) => socket.join_multicast_v6(&group, interface),
        };
        match joined {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
            other => other,
        }
    }

    /// Sends to the group.
    pub(super) async fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.socket.send_to(packet, self.to).await.map(drop)
    }

    /// The next packet. Cancel safe.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, IpAddr)> {
        let (length, from) = self.socket.recv_from(buffer).await?;
        Ok((length, from.ip()))
    }

    /// One more packet, if it is there already.
    pub(super) fn receive_now(&self, buffer: &mut [u8]) -> Option<(usize, IpAddr)> {
        let (length, from) = self.socket.try_recv_from(buffer).ok()?;
        Some((length, from.ip()))
    }

    /// Where heartbeats go.
    pub(super) fn to(&self) -> SocketAddr {
        self.to
    }
}

impl Membership {
    fn of(config: &GossipConfig, socket: &Socket) -> io::Result<Self> {
        let interface = config.multicast_if.as_deref();
        match config.multicast_addr {
            _ if config.broadcast_only => Ok(Self::None),
            IpAddr::V4(group) => {
                let interface = interface.and_then(|address| address.parse().ok());
                Ok(Self::V4(group, interface.unwrap_or(Ipv4Addr::UNSPECIFIED)))
            }
            IpAddr::V6(group) => {
                let index = interface.map_or(Ok(0), |name| interface_index(socket, name));
                Ok(Self::V6(group, index?))
            }
        }
    }

    /// Sets what concerns sending: the interface, how far, and that nodes of this machine hear it.
    fn prepare(self, socket: &Socket, config: &GossipConfig) -> io::Result<()> {
        let ttl = u32::from(config.multicast_ttl);
        match self {
            Self::None => Ok(()),
            Self::V4(_, interface) => {
                socket.set_multicast_loop_v4(true)?;
                socket.set_multicast_ttl_v4(ttl)?;
                if interface.is_unspecified() {
                    return Ok(());
                }
                socket.set_multicast_if_v4(&interface)
            }
            Self::V6(_, interface) => {
                socket.set_only_v6(true)?;
                socket.set_multicast_loop_v6(true)?;
                socket.set_multicast_hops_v6(ttl)?;
                if interface == 0 {
                    return Ok(());
                }
                socket.set_multicast_if_v6(interface)
            }
        }
    }
}

/// libcluster means to set both; on Linux it sets the former alone, which is enough beside us.
fn shared(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    socket.set_reuse_port(true)?;
    if socket.domain()? == Domain::IPV4 {
        socket.set_broadcast(true)?;
    }
    socket.set_nonblocking(true)
}

/// The number of an interface that is given by name or number.
fn interface_index(socket: &Socket, name: &str) -> io::Result<u32> {
    match name.parse() {
        Ok(index) => Ok(index),
        Err(_) => index_of_name(socket, name),
    }
}

#[cfg(target_os = "linux")]
fn index_of_name(socket: &Socket, name: &str) -> io::Result<u32> {
    Ok(rustix::net::netdevice::name_to_index(socket, name)?)
}

#[cfg(not(target_os = "linux"))]
fn index_of_name(_socket: &Socket, _name: &str) -> io::Result<u32> {
    Err(io::Error::other(
        "only Linux knows interfaces by name here, give its number",
    ))
}
