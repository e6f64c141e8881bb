//! Asking whoever listens for its name, as the handshake tells it before any cookie is used.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use enmesh_identity::NodeName;
use enmesh_proto::{Probe, ProbeFault, Probed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How many names the probes of one address take turns with. A BEAM keeps every name that it ever
/// heard, so there must not be a new one for each probe.
const NAMES: u64 = 16;

/// How often another name is tried while the peer is busy with somebody of ours.
const ATTEMPTS: u64 = 3;

/// Bytes that are kept free for the peer's answer, in which a status and a challenge usually fit.
/// Its messages may have 1,024 each, and whatever is longer ends the probe.
const ANSWER: usize = 512;

/// Asks whoever listens at `address` for its name, and closes the connection. It takes `timeout`
/// at most.
///
/// The peer tells its name before either side has used its cookie, so nothing is proven by it. We
/// ask as a hidden node with a name of its own (`enmesh-probe-3@10.1.2.3`, our address on this
/// connection after the `@`), so that no link of anybody is displaced; the peer tells nobody of us.
/// Cancel safe: a future that is dropped closes the connection.
///
/// ```no_run
/// # async fn example() -> Result<(), enmesh_discovery::ProbeError> {
/// use std::time::Duration;
///
/// let address = "10.244.0.15:9100".parse().expect("this is an address");
/// let told = enmesh_discovery::probe(address, Duration::from_secs(5)).await?;
/// println!("{} listens there", told.name);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If there is no name to be had within `timeout`.
pub async fn probe(address: SocketAddr, timeout: Duration) -> Result<Probed, ProbeError> {
    let asking = async {
        let seed = RandomState::new().hash_one(address);
        let mut attempt = 0;
        loop {
            attempt += 1;
            match ask(address, seed.wrapping_add(attempt) % NAMES).await {
                Err(ProbeError::Fault {
                    fault: ProbeFault::Busy,
                    ..
                }) if attempt < ATTEMPTS => {}
                outcome => return outcome,
            }
        }
    };
    let outcome = tokio::time::timeout(timeout, asking).await;
    outcome.unwrap_or(Err(ProbeError::TimedOut {
        address,
        after: timeout,
    }))
}

async fn ask(address: SocketAddr, place: u64) -> Result<Probed, ProbeError> {
    let broken = |source| ProbeError::Unreachable { address, source };
    let mut stream = TcpStream::connect(address).await.map_err(broken)?;
    let here = stream.local_addr().map_err(broken)?.ip();
    let own = NodeName::new(&format!("enmesh-probe-{place}"), &here.to_string())
        .expect("an address is a good host part");
    let mut output = BytesMut::new();
    let mut probe = Probe::new(own, &mut output);
    // Who closes at once may have said why, so that is read even if nothing can be written.
    let written = stream.write_all(&output).await;
    let mut inbox = BytesMut::with_capacity(ANSWER);
    loop {
        let read = match stream.read_buf(&mut inbox).await {
            Ok(read) => read,
            Err(source) if is_reset(&source) => 0,
            Err(source) => return Err(broken(source)),
        };
        let fault = |fault| ProbeError::Fault { address, fault };
        if let Some(probed) = probe.handle_bytes(&mut inbox).map_err(fault)? {
            return Ok(probed);
        }
        if read == 0 {
            written.map_err(broken)?;
            return Err(ProbeError::Closed { address });
        }
    }
}

/// Who closes while bytes of ours wait to be read resets the connection.
fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// Why nobody told a name. Nothing is left open.
///
/// ```
/// use std::time::Duration;
/// use enmesh_discovery::ProbeError;
///
/// let address = "10.244.0.15:9100".parse()?;
/// let error = ProbeError::TimedOut { address, after: Duration::from_secs(5) };
/// assert!(error.is_transient());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// There is no connection to the address, or it broke.
    #[error("nobody can be reached at {address}")]
    Unreachable {
        /// Who was asked.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The peer closed the connection and told no name.
    #[error(
        "{address} closed the connection and told no name; is it the distribution port of a node, \
         without TLS?"
    )]
    Closed {
        /// Who was asked.
        address: SocketAddr,
    },
    /// No name came in time.
    #[error("{address} told no name within {after:?}")]
    TimedOut {
        /// Who was asked.
        address: SocketAddr,
        /// How long it was waited for.
        after: Duration,
    },
    /// The peer did something else than telling its name.
    #[error("{address} tells no name")]
    Fault {
        /// Who was asked.
        address: SocketAddr,
        /// What it did instead.
        #[source]
        fault: ProbeFault,
    },
}

impl ProbeError {
    /// Whether the same may go better a little later. What speaks another protocol, or lets no
    /// strangers in, will do so then as well.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Closed { .. } | Self::TimedOut { .. } => true,
            Self::Fault { fault, .. } => *fault == ProbeFault::Busy,
        }
    }
}

#[cfg(test)]
mod tests;
