//! What one connection of an epmd server does between two decisions of the server.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use enmesh_proto::epmd::{Request, RequestDecoder};
use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Bytes read at once; no request needs more than a few of these.
const READ_CHUNK: usize = 1024;

/// How a connection's task ended, for the server to go on from.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A whole request came.
    Asked {
        stream: TcpStream,
        origin: Origin,
        request: Request,
    },
    /// A registration has ended.
    Left { name: String, number: u64 },
    /// The connection is closed, and its request was to end the server.
    Killed,
    /// The connection is closed and nothing hangs on it.
    Closed,
}

/// Whence a connection comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) peer: SocketAddr,
    pub(crate) local: Option<IpAddr>,
}

impl Origin {
    pub(crate) fn of(stream: &TcpStream, peer: SocketAddr) -> Self {
        Self {
            peer,
            local: stream
                .local_addr()
                .ok()
                .map(|local| local.ip().to_canonical()),
        }
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.peer.ip().to_canonical().is_loopback()
    }

    /// Whether the other end is on this host: by loopback, or by one and the same address.
    pub(crate) fn is_same_host(&self) -> bool {
        self.is_loopback() || self.local == Some(self.peer.ip().to_canonical())
    }
}

/// Reads one request within `limit`; whoever takes longer, or sends something else, is closed.
pub(crate) async fn read(mut stream: TcpStream, origin: Origin, limit: Duration) -> Outcome {
    match tokio::time::timeout(limit, read_request(&mut stream)).await {
        Ok(Some(request)) => Outcome::Asked {
            stream,
            origin,
            request,
        },
        Ok(None) => Outcome::Closed,
        Err(_) => {
            tracing::debug!("no request in time");
            Outcome::Closed
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut decoder = RequestDecoder::new();
    let mut chunk = [0; READ_CHUNK];
    loop {
        let read = stream
            .read(&mut chunk)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        match decoder.feed(&chunk[..read]) {
            Ok(None) => {}
            Ok(request) => return request,
            Err(error) => {
                tracing::debug!(%error, "not a request");
                return None;
            }
        }
    }
}

/// Writes the whole answer and closes, for clients read an answer until the end of the stream;
/// then the outcome is `ended`.
pub(crate) async fn answer(
    stream: Arc<TcpStream>,
    answer: Vec<u8>,
    limit: Duration,
    ended: Outcome,
) -> Outcome {
    if !matches!(
        tokio::time::timeout(limit, write_all(&stream, &answer)).await,
        Ok(Ok(()))
    ) {
        tracing::debug!("answer not taken");
    }
    ended
}

/// Writes the answer to a registration, then waits for its end: the end of the stream, an error,
/// or any byte.
pub(crate) async fn hold(
    stream: Arc<TcpStream>,
    answer: Vec<u8>,
    name: String,
    number: u64,
) -> Outcome {
    if write_all(&stream, &answer).await.is_ok() {
        let mut byte = [0; 1];
        while stream.readable().await.is_ok() {
            match stream.try_read(&mut byte) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
    }
    Outcome::Left { name, number }
}

/// `write_all` through a shared stream, for the server keeps the other share to probe it.
async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a registration's connection still stands, asked of the system itself: its end may be
/// known there before our reactor tells the task that holds it.
pub(crate) fn is_alive(stream: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit(); 1];
    let peeked = SockRef::from(stream).peek(&mut byte);
    matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Ends a registration's connection from our side; the task that holds it sees the end of the
/// stream and ends.
pub(crate) fn close(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).shutdown(Shutdown::Both) {
        tracing::debug!(%error, "connection was closed already");
    }
}
