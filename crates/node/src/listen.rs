//! The listening socket of the distribution.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How many connections the system holds until they are accepted.
const BACKLOG: u32 = 1024;

/// The pause after a failed accept: the usual reason is that no file descriptor is left, which
/// passes when links end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

/// Hands accepted sockets to the manager until `stop`.
pub(crate) async fn accept_loop(
    listener: TcpListener,
    accepted: mpsc::Sender<(TcpStream, SocketAddr)>,
    stop: CancellationToken,
) {
    let mut failing = false;
    loop {
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            outcome = listener.accept() => outcome,
        };
        match outcome {
            Ok(socket) => {
                failing = false;
                if accepted.send(socket).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if !failing {
                    warn!(%error, "cannot accept connections; trying again");
                }
                failing = true;
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}
