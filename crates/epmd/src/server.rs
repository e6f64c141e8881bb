//! An epmd that real BEAM nodes can use instead of OTP's.

mod answers;
mod config;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use enmesh_proto::epmd::NodeInfo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::connection::{self, Origin, Outcome};
use crate::listen::{self, BindError};
use crate::table::Table;

pub use config::ServerConfig;

/// Accepted connections that wait for the server; when full, accepting pauses.
const ACCEPT_QUEUE: usize = 32;

/// Pause after an accept that failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its token was cancelled.
    Cancelled,
    /// Somebody on this host asked it to end, as `epmd -kill` does.
    Killed,
}

/// An epmd: tells which port a name is on, for names that nodes of this host keep registered.
///
/// A registration is a connection. It ends with the connection, and every node registers anew with
/// whoever serves the port next, so that a server may end at any time. Names are registered by this
/// host only; anybody may ask for them.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    listeners: Vec<TcpListener>,
    names: Table<NodeInfo, Holder>,
    connections: HashMap<task::Id, IpAddr>,
    tasks: JoinSet<Outcome>,
    registrations: u64,
}

/// The connection that keeps a name.
#[derive(Debug)]
struct Holder {
    number: u64,
    stream: Arc<TcpStream>,
}

impl Server {
    /// Binds every address, or none. Needs a tokio runtime.
    pub fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let listeners = listen::listen(&config.listen, config.port)?;
        Ok(Self {
            names: Table::new(config.max_names),
            config,
            listeners,
            connections: HashMap::new(),
            tasks: JoinSet::new(),
            registrations: 0,
        })
    }

    /// The port that is served.
    pub fn port(&self) -> u16 {
        self.local_addrs()
            .first()
            .map_or(self.config.port, SocketAddr::port)
    }

    /// Every address and port that is served.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Serves until `stop` is cancelled or somebody kills it; then every connection is closed.
    pub async fn run(mut self, stop: CancellationToken) -> Ended {
        let addresses: Vec<_> = self
            .local_addrs()
            .iter()
            .map(SocketAddr::to_string)
            .collect();
        tracing::info!(addresses = addresses.join(" "), "serving epmd");
        let port = self.port();
        let (accepted, mut incoming) = mpsc::channel(ACCEPT_QUEUE);
        let mut accepting = JoinSet::new();
        for listener in std::mem::take(&mut self.listeners) {
            accepting.spawn(accept(listener, accepted.clone()));
        }
        drop(accepted);
        let ended = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ended::Cancelled,
                Some(ended) = self.tasks.join_next_with_id() => {
                    if let Some(ended) = self.handle_outcome(ended, port) {
                        break ended;
                    }
                }
                Some((stream, peer)) = incoming.recv() => self.handle_accepted(stream, peer),
            }
        };
        accepting.shutdown().await;
        self.tasks.shutdown().await;
        tracing::info!(?ended, "epmd ended");
        ended
    }

    fn handle_accepted(&mut self, stream: TcpStream, peer: SocketAddr) {
        if let Err(reason) = self.admit(peer.ip().to_canonical()) {
            tracing::debug!(%peer, reason, "connection closed");
            return;
        }
        let origin = Origin::of(&stream, peer);
        let limit = self.config.request_timeout;
        self.spawn(peer.ip(), connection::read(stream, origin, limit));
    }

    /// Whether one more connection of `peer` may come in. Other hosts share half of the
    /// connections, so that they cannot keep the nodes of this host from registering.
    fn admit(&self, peer: IpAddr) -> Result<(), &'static str> {
        let config = &self.config;
        if self.connections.len() >= config.max_connections {
            return Err("too many connections");
        }
        if peer.is_loopback() {
            return Ok(());
        }
        let (mut remote, mut own) = (0, 0);
        for other in self
            .connections
            .values()
            .filter(|other| !other.is_loopback())
        {
            remote += 1;
            own += usize::from(*other == peer);
        }
        match () {
            () if own >= config.max_per_peer => Err("too many connections of this address"),
            () if remote >= config.max_connections / 2 => {
                Err("too many connections of other hosts")
            }
            () => Ok(()),
        }
    }

    fn spawn(&mut self, peer: IpAddr, work: impl Future<Output = Outcome> + Send + 'static) {
        let task = self.tasks.spawn(work);
        self.connections.insert(task.id(), peer.to_canonical());
    }

    fn handle_outcome(
        &mut self,
        ended: Result<(task::Id, Outcome), JoinError>,
        port: u16,
    ) -> Option<Ended> {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "connection task died");
                }
                (error.id(), Outcome::Closed)
            }
        };
        self.connections.remove(&id);
        match outcome {
            Outcome::Asked {
                stream,
                origin,
                request,
            } => {
                self.handle_request(stream, origin, request, port);
            }
            Outcome::Left { name, number } => {
                if self
                    .names
                    .retire(&name, |holder| holder.number == number)
                    .is_some()
                {
                    tracing::debug!(name, "unregistered");
                }
            }
            Outcome::Killed => return Some(Ended::Killed),
            Outcome::Closed => {}
        }
        None
    }
}

/// Accepts for as long as the server takes them.
async fn accept(listener: TcpListener, accepted: mpsc::Sender<(TcpStream, SocketAddr)>) {
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok(connection) => {
                failing = false;
                if accepted.send(connection).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Said once, however long the system is out of descriptors.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
