//! The listening socket of the distribution.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::warnings::Warnings;

/// How many connections the system holds until they are accepted.
const BACKLOG: u32 = 1024;

/// The pause after a failed accept. The usual reason is that no file descriptor is left, and then
/// the manager ends a handshake meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// What comes of waiting for connections.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A socket, and where it comes from.
    Socket(TcpStream, SocketAddr),
    /// The system has no room for the socket that waits.
    NoRoom,
}

/// Binds the distribution's socket; port 0 takes any free one.
pub(crate) fn bind(address: IpAddr, port: u16) -> std::io::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A node that is started again must get its port back at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts in a task of its own until `stop`. If that task dies, the whole node stops: one that
/// nobody can reach any more must end where everybody sees it.
pub(crate) fn spawn(
    tasks: &TaskTracker,
    listener: TcpListener,
    accepted: mpsc::Sender<Accepted>,
    stop: &CancellationToken,
) {
    let death = stop.clone().drop_guard();
    let accepting = accept_loop(listener, accepted, stop.child_token());
    tasks.spawn(async move {
        let _death = death;
        accepting.await;
    });
}

/// Hands accepted sockets to the manager until `stop`.
async fn accept_loop(
    listener: TcpListener,
    accepted: mpsc::Sender<Accepted>,
    stop: CancellationToken,
) {
    let mut warnings = Warnings::default();
    loop {
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            outcome = listener.accept() => outcome,
        };
        match outcome {
            Ok((socket, from)) => {
                if accepted.send(Accepted::Socket(socket, from)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if let Some(held_back) = warnings.admit(Instant::now(), "", "cannot accept") {
                    warn!(%error, held_back, "cannot accept connections; trying again");
                }
                if is_for_want_of_room(&error) && accepted.send(Accepted::NoRoom).await.is_err() {
                    return;
                }
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}

/// Whether this process or the whole system has as many files open as it may.
fn is_for_want_of_room(error: &std::io::Error) -> bool {
    /// `ENFILE` and `EMFILE`, alike on every Unix, which `io::ErrorKind` has no stable name for.
    const TOO_MANY_FILES: [i32; 2] = [23, 24];
    error
        .raw_os_error()
        .is_some_and(|code| TOO_MANY_FILES.contains(&code))
}
