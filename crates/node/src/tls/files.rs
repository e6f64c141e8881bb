//! From three PEM files to what both sides of a handshake need.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::{TlsConfig, TlsConfigError};

/// More than this is no file of certificates. It bounds what a wrong path makes us read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What the three files hold, to see whether they have changed. It holds a secret and is never
/// shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    ca: Vec<u8>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contents(..)")
    }
}

/// Both sides of a handshake, made of one reading of the files.
#[derive(Clone, Debug)]
pub(super) struct Material {
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
    verifier: Arc<WebPkiServerVerifier>,
    chain: Arc<[CertificateDer<'static>]>,
}

impl Contents {
    /// What is in the files now.
    pub(super) fn read(config: &TlsConfig) -> Result<Self, TlsConfigError> {
        Ok(Self {
            cert: read(&config.cert_file)?,
            key: read(&config.key_file)?,
            ca: read(&config.ca_file)?,
        })
    }

    /// Makes everything of it, and proves that it fits together.
    pub(super) fn parse(&self, config: &TlsConfig) -> Result<Material, TlsConfigError> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(self.roots(&config.ca_file)?);
        let unusable = |source| TlsConfigError::Verifier {
            path: config.ca_file.clone(),
            source,
        };
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(unusable)?;
        let chain = certificates(&self.cert, &config.cert_file)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| TlsConfigError::of_pem(config.key_file.clone(), &error))?;
        let bad_pair = |source| TlsConfigError::BadPair {
            cert_file: config.cert_file.clone(),
            key_file: config.key_file.clone(),
            source,
        };
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(bad_pair)?
            .with_webpki_verifier(Arc::clone(&verifier))
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(bad_pair)?;
        // Links are few and long; a resumed session would outlive a change of the authority.
        client.resumption = Resumption::disabled();
        let server = self.server(config, &provider, roots, (chain.clone(), key))?;
        Ok(Material {
            client: Arc::new(client),
            server: Arc::new(server),
            verifier,
            chain: chain.into(),
        })
    }

    fn server(
        &self,
        config: &TlsConfig,
        provider: &Arc<CryptoProvider>,
        roots: Arc<RootCertStore>,
        (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    ) -> Result<ServerConfig, TlsConfigError> {
        let bad_pair = |source| TlsConfigError::BadPair {
            cert_file: config.cert_file.clone(),
            key_file: config.key_file.clone(),
            source,
        };
        let clients = match config.verify_client {
            true => WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
                .build()
                .map_err(|source| TlsConfigError::Verifier {
                    path: config.ca_file.clone(),
                    source,
                })?,
            false => WebPkiClientVerifier::no_client_auth(),
        };
        let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .map_err(bad_pair)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(bad_pair)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(server)
    }

    fn roots(&self, path: &Path) -> Result<RootCertStore, TlsConfigError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca, path)? {
            roots
                .add(certificate)
                .map_err(|source| TlsConfigError::BadAuthority {
                    path: path.to_owned(),
                    source,
                })?;
        }
        Ok(roots)
    }
}

impl Material {
    /// What a peer that trusts the same authority would say of our own certificate.
    pub(super) fn check_own(&self, host: &ServerName<'_>) -> std::io::Result<()> {
        let (own, chain) = self.chain.split_first().expect("a chain is never empty");
        self.verifier
            .verify_server_cert(own, chain, host, &[], UnixTime::now())
            .map(drop)
            .map_err(std::io::Error::other)
    }
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| TlsConfigError::BadPem {
            path: path.to_owned(),
        })?;
    match found.is_empty() {
        true => Err(TlsConfigError::NoCertificate {
            path: path.to_owned(),
        }),
        false => Ok(found),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsConfigError> {
    let unreadable = |source| TlsConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let mut file = File::open(path)
        .map_err(unreadable)?
        .take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if file.limit() == 0 {
        return Err(TlsConfigError::TooLong {
            path: path.to_owned(),
            max: MAX_FILE_BYTES,
        });
    }
    Ok(bytes)
}
