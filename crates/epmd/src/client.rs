//! Questions to an epmd: one connection each.

use std::net::SocketAddr;
use std::time::Duration;

use enmesh_identity::Creation;
use enmesh_proto::epmd::{AliveReply, NamesReply, NodeInfo, PortReply, ReplyError, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::EpmdError;

/// How long a BEAM waits for an epmd's answer, and a [`crate::Registration`] by default.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read at most; a longer one is an error. A thousand names of the
/// greatest length fit.
const MAX_ANSWER: usize = 2 << 20;

/// Bytes that are read at once.
const READ_CHUNK: usize = 4096;

/// What came of an attempt to register.
pub(crate) enum Alive {
    /// The name is registered for as long as the stream stays open.
    Registered {
        stream: TcpStream,
        creation: Creation,
    },
    /// The epmd gave this result instead.
    Refused { result: u8 },
}

/// Where the node `alive` listens and what it is; `None` if the epmd at `epmd` knows no such node.
///
/// # Errors
/// If there is no good answer within `timeout`.
pub async fn port_please(
    epmd: SocketAddr,
    alive: &str,
    timeout: Duration,
) -> Result<Option<NodeInfo>, EpmdError> {
    let request = Request::PortPlease {
        name: alive.to_owned(),
    };
    let decode = |bytes: &[u8], _ended: bool| PortReply::decode(bytes);
    match ask(epmd, &request, timeout, decode).await?.0 {
        PortReply::Found(node) => Ok(Some(node)),
        PortReply::NotFound { .. } => Ok(None),
    }
}

/// Every name that is registered with the epmd at `epmd`, each with its node's port.
///
/// # Errors
/// If there is no good answer within `timeout`.
pub async fn names(epmd: SocketAddr, timeout: Duration) -> Result<Vec<(String, u16)>, EpmdError> {
    let decode = |bytes: &[u8], ended: bool| match ended {
        true => NamesReply::decode(bytes).map(Some),
        false => NamesReply::check_len(bytes.len()).map(|()| None),
    };
    let (reply, _) = ask(epmd, &Request::Names, timeout, decode).await?;
    Ok(reply.names)
}

/// What the epmd at `epmd`, which must be on this host, tells of its state, as text for a human.
///
/// # Errors
/// If there is no answer within `timeout`.
pub async fn dump(epmd: SocketAddr, timeout: Duration) -> Result<String, EpmdError> {
    let (text, _) = ask(epmd, &Request::Dump, timeout, to_the_end).await?;
    // The text has the port before it, in four bytes, and a NUL after each line.
    let text = text.get(4..).ok_or(EpmdError::Closed { epmd })?;
    Ok(String::from_utf8_lossy(text).replace('\0', ""))
}

/// Asks the epmd at `epmd`, which must be on this host, to end.
///
/// # Errors
/// [`EpmdError::Refused`] while nodes are registered, unless it was started relaxed; else if there
/// is no answer within `timeout`.
pub async fn kill(epmd: SocketAddr, timeout: Duration) -> Result<(), EpmdError> {
    match ask(epmd, &Request::Kill, timeout, to_the_end)
        .await?
        .0
        .as_slice()
    {
        b"OK" => Ok(()),
        b"" => Err(EpmdError::Closed { epmd }),
        _ => Err(EpmdError::Refused { epmd }),
    }
}

/// Asks the epmd at `epmd`, which must be on this host and relaxed, to forget `alive`. Tells
/// whether it was registered.
///
/// # Errors
/// [`EpmdError::Closed`] if the epmd is not relaxed, for then it gives no answer; else if there is
/// none within `timeout`.
pub async fn stop(epmd: SocketAddr, alive: &str, timeout: Duration) -> Result<bool, EpmdError> {
    let request = Request::Stop {
        name: alive.to_owned(),
    };
    match ask(epmd, &request, timeout, to_the_end).await?.0.as_slice() {
        b"STOPPED" => Ok(true),
        b"NOEXIST" => Ok(false),
        b"" => Err(EpmdError::Closed { epmd }),
        _ => Err(EpmdError::Refused { epmd }),
    }
}

/// Registers `node` for as long as the stream that comes back stays open.
pub(crate) async fn register(
    epmd: SocketAddr,
    node: NodeInfo,
    timeout: Duration,
) -> Result<Alive, EpmdError> {
    let decode = |bytes: &[u8], _ended: bool| AliveReply::decode(bytes);
    let (reply, stream) = ask(epmd, &Request::Alive2(node), timeout, decode).await?;
    Ok(match reply {
        AliveReply::Alive2X {
            result: 0,
            creation,
        } => Alive::Registered { stream, creation },
        AliveReply::Alive2 {
            result: 0,
            creation,
        } => Alive::Registered {
            stream,
            creation: Creation::from_wire(creation.into()),
        },
        AliveReply::Alive2X { result, .. } | AliveReply::Alive2 { result, .. } => {
            Alive::Refused { result }
        }
    })
}

/// Sends one request and gives `decode` everything that came, each time more came and once when
/// the stream has ended, until it makes an answer of it.
async fn ask<T>(
    epmd: SocketAddr,
    request: &Request,
    timeout: Duration,
    decode: impl Fn(&[u8], bool) -> Result<Option<T>, ReplyError>,
) -> Result<(T, TcpStream), EpmdError> {
    let asking = async {
        let bytes = request.encode();
        // What a name has too much is cut off by encoding, or refused by whoever reads it.
        if Request::decode(&bytes[2..]).as_ref() != Ok(request) {
            return Err(EpmdError::BadName);
        }
        let broken = |source| EpmdError::Unreachable { epmd, source };
        let mut stream = TcpStream::connect(epmd).await.map_err(broken)?;
        stream.write_all(&bytes).await.map_err(broken)?;
        let mut inbox = Vec::new();
        let mut chunk = [0; READ_CHUNK];
        loop {
            let read = stream.read(&mut chunk).await.map_err(broken)?;
            inbox.extend_from_slice(&chunk[..read]);
            if inbox.len() > MAX_ANSWER {
                return Err(EpmdError::TooLong {
                    epmd,
                    max: MAX_ANSWER,
                });
            }
            match decode(&inbox, read == 0) {
                Ok(Some(answer)) => return Ok((answer, stream)),
                Ok(None) if read == 0 => return Err(EpmdError::Closed { epmd }),
                Ok(None) => {}
                Err(source) => return Err(EpmdError::Malformed { epmd, source }),
            }
        }
    };
    match tokio::time::timeout(timeout, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(EpmdError::TimedOut {
            epmd,
            after: timeout,
        }),
    }
}

/// Everything that comes, of an answer that only its end delimits.
fn to_the_end(bytes: &[u8], ended: bool) -> Result<Option<Vec<u8>>, ReplyError> {
    Ok(ended.then(|| bytes.to_vec()))
}
