//! The socket and its clients, who are strangers.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::health::Health;
use crate::routes;
use crate::subject::Subject;

/// How many connections there are at a time; one more closes the oldest.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may take from its first byte to its last: it is for one request.
const CONNECTION_TIME: Duration = Duration::from_secs(5);

/// How long a request's head may be, in bytes, the least that hyper takes; a longer one is refused
/// with 431 or 414.
const MAX_HEAD_BYTES: usize = 8192;

/// How many connections the system holds until they are accepted. Where there is no room, it drops
/// what comes, and a probe has given up before it knocks again.
const BACKLOG: u32 = 1024;

/// The pause after a failed accept, for which there is usually no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address cannot be listened on: it is taken, or none of this machine's.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A socket that listens for HTTP.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens on `address`; port 0 takes any free one. Whoever connects waits until
    /// [`Server::serve`].
    ///
    /// # Errors
    /// See [`BindError`].
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let bind = || {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            // A program that is started again must get its port back at once.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let listener = socket.listen(BACKLOG)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bind().map_err(|source| BindError { address, source })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, and says in the log when the node becomes ready and when it is so no
    /// longer.
    pub async fn serve<S: Subject>(self, health: Arc<Health<S>>, stop: CancellationToken) {
        info!(address = %self.address, "http server listens");
        let router = routes::router(Arc::clone(&health));
        // Cancel safe: with both loops ends all that they hold.
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = health.follow() => {}
            () = accept(&self.listener, router) => {}
        }
    }
}

/// Accepts for ever.
async fn accept(listener: &TcpListener, router: Router) {
    let mut connections = Connections::default();
    let mut is_failing = false;
    loop {
        // Cancel safe: a connection waits until it is accepted, an ended task stays joinable.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.tasks.join_next() => continue,
        };
        match accepted {
            Ok((socket, _)) => {
                is_failing = false;
                connections.begin(socket, router.clone());
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    warn!(%error, "cannot accept connections of http; trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connections there are; dropped, they are closed.
#[derive(Debug, Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// The oldest first.
    handles: VecDeque<AbortHandle>,
}

impl Connections {
    /// Makes room, since a probe of the kubelet's must get in while others hold on to theirs.
    fn begin(&mut self, socket: TcpStream, router: Router) {
        self.handles.retain(|handle| !handle.is_finished());
        if self.handles.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.handles.pop_front()
        {
            oldest.abort();
        }
        let handle = self.tasks.spawn(answer(socket, router));
        self.handles.push_back(handle);
    }
}

/// Answers the one request of a connection. What is wrong with it concerns the client alone.
async fn answer(socket: TcpStream, router: Router) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(socket), service);
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

#[cfg(test)]
mod tests;
