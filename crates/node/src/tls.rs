//! TLS on the connections of the distribution: both sides, with certificates that may change while
//! we run.

mod error;
mod files;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use enmesh_identity::NodeName;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tracing::{info, warn};

use crate::builder::StartError;
use crate::transport::Stream;
pub use error::TlsConfigError;
pub(crate) use error::TlsError;
use files::{Contents, Material};

/// How often the files are looked at, at most; they are looked at when a connection begins.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where a node's certificates are, for links over TLS (`-proto_dist inet_tls`).
///
/// The files are PEM. They are read when a connection begins, at most once a second, so that new
/// ones count without a restart; while they are not right, the last good ones count. Links that are
/// up stay up.
///
/// As a client we show our certificate, and accept a peer whose own one is signed by an authority in
/// `ca_file` and is for the host part of the peer's name. An IP address as host needs an IP address
/// in the certificate; OTP 25 does not accept such certificates.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::{Cookie, Node, TlsConfig};
///
/// let tls = TlsConfig::new("/etc/tls/tls.crt", "/etc/tls/tls.key", "/etc/tls/ca.crt");
/// let node = Node::builder("rust@db1.example".parse()?, Cookie::new("secret")?)
///     .tls(tls)
///     .start()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// Our certificate, followed by those between it and the authority, if there are any.
    pub cert_file: PathBuf,
    /// Its private key, not encrypted.
    pub key_file: PathBuf,
    /// The authorities whose certificates are accepted.
    pub ca_file: PathBuf,
    /// Whether a peer that connects to us must show a certificate of such an authority; default
    /// yes. If not, the cookie alone keeps strangers out.
    pub verify_client: bool,
}

impl TlsConfig {
    /// These files, and peers that must show a certificate.
    pub fn new(
        cert_file: impl Into<PathBuf>,
        key_file: impl Into<PathBuf>,
        ca_file: impl Into<PathBuf>,
    ) -> Self {
        Self {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            ca_file: ca_file.into(),
            verify_client: true,
        }
    }

    /// The same, with another answer to whether a peer that connects must show a certificate.
    #[must_use]
    pub fn verify_client(mut self, verify: bool) -> Self {
        self.verify_client = verify;
        self
    }
}

/// Makes [`Stream`]s of TCP connections.
#[derive(Debug)]
pub(crate) struct Tls {
    config: TlsConfig,
    /// The host part of our own name, if a certificate can be for it.
    host: Option<ServerName<'static>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What the files held when they were last found good.
    contents: Contents,
    material: Material,
    looked_at: Instant,
    /// What was said of the files, so that it is said once.
    complaint: Option<String>,
}

impl Tls {
    /// Reads the files of `config` for the node `own`.
    ///
    /// # Errors
    /// If they cannot be used.
    pub(crate) fn load(config: &TlsConfig, own: &NodeName) -> Result<Self, StartError> {
        let contents = Contents::read(config)?;
        let material = contents.parse(config)?;
        let host = ServerName::try_from(own.host().as_str().to_owned()).ok();
        let tls = Self {
            config: config.clone(),
            host,
            state: Mutex::new(State {
                contents,
                material: material.clone(),
                looked_at: Instant::now(),
                complaint: None,
            }),
        };
        tls.check_own(&material);
        Ok(tls)
    }

    /// TLS on a connection that we opened to `peer`, within `timeout`.
    pub(crate) async fn dial(
        self: &Arc<Self>,
        socket: TcpStream,
        peer: &NodeName,
        timeout: Duration,
    ) -> Result<Stream, TlsError> {
        let host = peer.host().as_str();
        let name = ServerName::try_from(host.to_owned()).map_err(|source| TlsError::BadHost {
            host: host.to_owned(),
            source,
        })?;
        let connecting = async {
            let client = self.material().await.client;
            let connector = TlsConnector::from(client);
            let connected = connector.connect(name, socket).await;
            connected.map(TlsStream::from)
        };
        self.finish(connecting, timeout).await
    }

    /// TLS on a connection that somebody opened to us, within `timeout`.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        socket: TcpStream,
        timeout: Duration,
    ) -> Result<Stream, TlsError> {
        let accepting = async {
            let acceptor = TlsAcceptor::from(self.material().await.server);
            acceptor.accept(socket).await.map(TlsStream::from)
        };
        self.finish(accepting, timeout).await
    }

    async fn finish(
        self: &Arc<Self>,
        handshake: impl Future<Output = std::io::Result<TlsStream<TcpStream>>>,
        within: Duration,
    ) -> Result<Stream, TlsError> {
        match tokio::time::timeout(within, handshake).await {
            Ok(Ok(stream)) => Ok(Stream::tls(stream, self)),
            Ok(Err(error)) => Err(self.explain(error)),
            Err(_) => Err(TlsError::NoAnswer { within }),
        }
    }

    /// What an error of a stream means.
    pub(crate) fn explain(&self, error: std::io::Error) -> TlsError {
        let (cert_file, ca_file) = (self.config.cert_file.clone(), self.config.ca_file.clone());
        TlsError::of_io(error, cert_file, ca_file)
    }

    /// What to use for a connection that begins now.
    async fn material(self: &Arc<Self>) -> Material {
        let known = {
            let mut state = self.lock();
            let now = Instant::now();
            if now.saturating_duration_since(state.looked_at) < LOOK_EVERY {
                return state.material.clone();
            }
            // Others that come meanwhile use what there is.
            state.looked_at = now;
            state.contents.clone()
        };
        // A file system that hangs must not stop the ticks.
        let config = self.config.clone();
        let looked = tokio::task::spawn_blocking(move || look(&config, &known)).await;
        match looked {
            Ok(Ok(None)) => self.lock().complaint = None,
            Ok(Ok(Some((contents, material)))) => {
                info!(file = %self.config.cert_file.display(), "certificates were replaced");
                self.check_own(&material);
                let mut state = self.lock();
                state.contents = contents;
                state.material = material;
                state.complaint = None;
            }
            Ok(Err(error)) => self.complain(&error),
            // The runtime is on its way down.
            Err(_) => {}
        }
        self.lock().material.clone()
    }

    /// Says what is wrong with the files, once.
    fn complain(&self, error: &TlsConfigError) {
        let text = told(error);
        if self.lock().complaint.replace(text.clone()).as_ref() != Some(&text) {
            warn!(
                error = text,
                "certificates cannot be read again; the last good ones stay in use"
            );
        }
    }

    /// Says what peers will not like, before they refuse us.
    fn check_own(&self, material: &Material) {
        let file = self.config.cert_file.display();
        let Some(host) = &self.host else {
            warn!(%file, "the host part of our name can be in no certificate; peers will refuse us");
            return;
        };
        if let Err(error) = material.check_own(host) {
            warn!(
                %file,
                host = %host.to_str(),
                %error,
                "peers will refuse our certificate, unless they are told not to look"
            );
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the files hold, if that is not what is `known`.
fn look(
    config: &TlsConfig,
    known: &Contents,
) -> Result<Option<(Contents, Material)>, TlsConfigError> {
    let contents = Contents::read(config)?;
    if contents == *known {
        return Ok(None);
    }
    let material = contents.parse(config)?;
    Ok(Some((contents, material)))
}

/// The error and what caused it, in one line.
fn told(error: &TlsConfigError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
