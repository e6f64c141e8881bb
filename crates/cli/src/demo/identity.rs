//! What the demo's API is known by: a throw-away CA, a certificate, a token, and the KUBECONFIG
//! that names them.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{GetRandomFailed, ring};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::DemoError;
use super::pods::NAMESPACE;

/// Everything that the two sides need to trust each other for one run.
pub(crate) struct Identity {
    /// The server's side of TLS.
    pub(crate) acceptor: TlsAcceptor,
    /// The bearer token that the API wants.
    pub(crate) token: String,
    ca: String,
}

impl Identity {
    /// Fresh keys, known to nobody.
    pub(crate) fn new() -> Result<Self, DemoError> {
        Self::generate().map_err(|error| DemoError::Certificate {
            reason: error.to_string(),
        })
    }

    fn generate() -> Result<Self, Box<dyn std::error::Error>> {
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        ca.distinguished_name
            .push(DnType::CommonName, "enmesh demo");
        let ca_key = KeyPair::generate()?;
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate()?;
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        let certificate = server.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            token: secret().map_err(|_| "the system has no random bytes")?,
            ca: ca_pem,
        })
    }

    /// Writes a KUBECONFIG for the API at `address` into `directory`.
    pub(crate) fn write_kubeconfig(
        &self,
        directory: &Path,
        address: SocketAddr,
    ) -> Result<PathBuf, DemoError> {
        write_private(&directory.join("ca.crt"), &self.ca)?;
        let ca = directory.join("ca.crt");
        let path = directory.join("kubeconfig");
        let token = &self.token;
        let config = format!(
            "apiVersion: v1\n\
             kind: Config\n\
             current-context: demo\n\
             clusters:\n\
             - name: demo\n  cluster:\n    server: https://{address}\n    \
             certificate-authority: {}\n\
             users:\n\
             - name: demo\n  user:\n    token: {token}\n\
             contexts:\n\
             - name: demo\n  context:\n    cluster: demo\n    user: demo\n    \
             namespace: {NAMESPACE}\n",
            ca.display()
        );
        write_private(&path, &config)?;
        Ok(path)
    }
}

/// A file that holds a new cookie.
pub(crate) fn write_cookie(directory: &Path) -> Result<PathBuf, DemoError> {
    let path = directory.join("cookie");
    let cookie = secret().map_err(|_| DemoError::Certificate {
        reason: "the system has no random bytes".to_owned(),
    })?;
    write_private(&path, &cookie)?;
    Ok(path)
}

/// 256 bits that nobody can guess, as printable text.
fn secret() -> Result<String, GetRandomFailed> {
    use std::fmt::Write;

    let mut bytes = [0; 32];
    ring::default_provider().secure_random.fill(&mut bytes)?;
    let mut text = String::with_capacity(64);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes any text");
    }
    Ok(text)
}

fn write_private(path: &Path, text: &str) -> Result<(), DemoError> {
    let write = || -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = options.open(path)?;
        #[cfg(unix)]
        {
            use std::fs::Permissions;
            use std::os::unix::fs::PermissionsExt;

            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        file.write_all(text.as_bytes())
    };
    write().map_err(|error| DemoError::Directory { error })
}
