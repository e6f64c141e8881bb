//! The way to the server: TCP or a socket of this machine, with TLS or without.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::PostgresConfig;
use super::frames::Frames;

/// Why there is no way to the server.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("ssl_ca_file {path}: {reason}")]
    Authorities { path: String, reason: String },
    #[error("the system has no certificates of authorities; name some by ssl_ca_file")]
    NoAuthorities,
    #[error("hostname {0:?} cannot stand in a certificate")]
    BadName(String),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
}

/// A stream of either kind.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

/// A stream without TLS.
pub(super) struct Plain {
    stream: Box<dyn Io>,
    /// Where messages begin; nothing where TLS comes first.
    frames: Option<Frames>,
}

/// Connects without TLS, which is negotiated later.
pub(super) async fn connect(config: &PostgresConfig) -> Result<Plain, StreamError> {
    let frames = (!config.ssl).then(Frames::default);
    #[cfg(unix)]
    if config.hostname.starts_with('/') {
        let path = Path::new(&config.hostname).join(format!(".s.PGSQL.{}", config.port));
        let stream = tokio::net::UnixStream::connect(path).await;
        let stream = Box::new(stream.map_err(StreamError::Connect)?);
        return Ok(Plain { stream, frames });
    }
    let stream = TcpStream::connect((config.hostname.as_str(), config.port)).await;
    let stream = stream.map_err(StreamError::Connect)?;
    // Heartbeats are small and must not wait for each other.
    stream.set_nodelay(true).map_err(StreamError::Connect)?;
    let stream = Box::new(stream);
    Ok(Plain { stream, frames })
}

/// TLS, once the server has agreed to it.
pub(super) struct Encrypt {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Encrypt {
    /// Reads the authorities anew, so that new ones count from the next connection on.
    pub(super) fn new(config: &PostgresConfig) -> Result<Self, StreamError> {
        let roots = match &config.ssl_ca_file {
            Some(path) => authorities_of(path)?,
            None => authorities_of_system()?,
        };
        let name = ServerName::try_from(config.hostname.clone());
        let name = name.map_err(|_| StreamError::BadName(config.hostname.clone()))?;
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(client));
        Ok(Self { connector, name })
    }
}

fn authorities_of(path: &Path) -> Result<RootCertStore, StreamError> {
    let refused = |reason: String| StreamError::Authorities {
        path: path.display().to_string(),
        reason,
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refused(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    match added {
        0 => Err(refused("it holds no certificate".to_owned())),
        _ => Ok(roots),
    }
}

fn authorities_of_system() -> Result<RootCertStore, StreamError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs().certs;
    match roots.add_parsable_certificates(found) {
        (0, _) => Err(StreamError::NoAuthorities),
        _ => Ok(roots),
    }
}

impl TlsConnect<Plain> for Encrypt {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: Plain) -> Self::Future {
        Box::pin(async move {
            let stream = self.connector.connect(self.name, stream).await?;
            let frames = Some(Frames::default());
            Ok(Encrypted { stream, frames })
        })
    }
}

/// A stream under TLS. The password is not bound to it: its certificate was verified.
pub(super) struct Encrypted {
    stream: tokio_rustls::client::TlsStream<Plain>,
    frames: Option<Frames>,
}

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

/// Both are what they hold, and read no message that is too large.
macro_rules! passes_on {
    ($($stream:ident),+) => {$(
        impl AsyncRead for $stream {
            fn poll_read(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let before = buffer.filled().len();
                std::task::ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
                let read = &buffer.filled()[before..];
                let frames = self.frames.as_mut();
                Poll::Ready(frames.map_or(Ok(()), |frames| frames.pass(read)))
            }
        }

        impl AsyncWrite for $stream {
            fn poll_write(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.stream).poll_write(context, bytes)
            }

            fn poll_flush(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.stream).poll_flush(context)
            }

            fn poll_shutdown(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.stream).poll_shutdown(context)
            }
        }
    )+};
}

passes_on!(Plain, Encrypted);
