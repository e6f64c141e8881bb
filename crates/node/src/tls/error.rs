//! What goes wrong with certificates, in words that say which and what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use enmesh_membership::TlsFault;
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName, UnixTime, pem};
use tokio_rustls::rustls::server::VerifierBuilderError;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// Why the files of a [`crate::TlsConfig`] cannot be used. Their content is never in the text.
///
/// ```no_run
/// use enmesh::TlsConfigError;
///
/// fn hint(error: &TlsConfigError) -> &'static str {
///     match error {
///         TlsConfigError::Unreadable { .. } => "is the secret mounted?",
///         TlsConfigError::NoKey { .. } => "is the key encrypted?",
///         _ => "see docs/tls.md",
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// A file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is longer than anything sensible.
    #[error("{} is longer than {max} bytes: is it the right file?", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most that is read, in bytes.
        max: u64,
    },
    /// A file holds no certificate in PEM.
    #[error("{} holds no certificate (-----BEGIN CERTIFICATE-----)", .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file holds no private key in PEM.
    #[error(
        "{} holds no private key that is not encrypted (-----BEGIN PRIVATE KEY-----)",
        .path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A file is not whole, or not PEM.
    #[error("{} is damaged or not whole", .path.display())]
    BadPem {
        /// The file.
        path: PathBuf,
    },
    /// The authority's certificate cannot be used.
    #[error("{} holds a certificate that cannot be used as an authority", .path.display())]
    BadAuthority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Error,
    },
    /// No verifier can be made of the authorities.
    #[error("{} holds authorities that cannot be used", .path.display())]
    Verifier {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: VerifierBuilderError,
    },
    /// Our certificate cannot be used with its key.
    #[error(
        "the certificate in {} cannot be used with the key in {}",
        .cert_file.display(),
        .key_file.display()
    )]
    BadPair {
        /// The certificate's file.
        cert_file: PathBuf,
        /// The key's file.
        key_file: PathBuf,
        /// What is wrong with them.
        source: Error,
    },
}

impl TlsConfigError {
    /// The error of a PEM file; the parser's own words may hold a line of a key.
    pub(super) fn of_pem(path: PathBuf, error: &pem::Error) -> Self {
        match error {
            pem::Error::NoItemsFound => Self::NoKey { path },
            _ => Self::BadPem { path },
        }
    }
}

/// Why TLS did not come up on a connection, or broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The peer said too little for too long.
    #[error(
        "no tls handshake within {within:?}: most likely the peer speaks none (start it with \
         -proto_dist inet_tls)"
    )]
    NoAnswer { within: Duration },
    /// The peer sent something else.
    #[error(
        "the peer speaks no tls: start it with -proto_dist inet_tls, or all nodes of the cluster \
         without"
    )]
    NotSpoken,
    /// The peer closed the connection, or it broke.
    #[error(
        "the connection was closed during the tls handshake: the peer speaks no tls \
         (-proto_dist inet_tls), or its log says what it did not like"
    )]
    Closed,
    /// No authority of ours has signed the peer's certificate.
    #[error(
        "the peer's certificate is not signed by an authority in {}: put its authority's \
         certificate there, or give the peer one that ours has signed",
        .ca_file.display()
    )]
    Untrusted { ca_file: PathBuf },
    /// The peer's certificate is for others.
    #[error(
        "the peer's certificate is for {}, not for {wanted}, the host part of its name: it needs \
         that in its subjectAltName", listed(.presented)
    )]
    WrongName {
        wanted: String,
        presented: Vec<String>,
    },
    /// The time is outside of the peer's certificate's.
    #[error("the peer's certificate {}: renew it, or set the clocks right", expiry(.0))]
    Expired(CertificateError),
    /// The peer's certificate is wrong in another way.
    #[error("the peer's certificate cannot be accepted: {0}")]
    BadCertificate(CertificateError),
    /// A client showed no certificate.
    #[error(
        "the peer showed no certificate: give it one (certfile and keyfile of its ssl_dist_optfile, \
         in the part of the client too), or set verify_client = false"
    )]
    NoCertificate,
    /// The peer does not accept us.
    #[error(
        "the peer refused us ({alert:?}): it must trust the authority that signed {}, and that \
         certificate must be valid now and for the host part of our name", .cert_file.display()
    )]
    Refused {
        alert: AlertDescription,
        cert_file: PathBuf,
    },
    /// Nothing that both sides can do.
    #[error("no version or cipher of tls that both sides allow: {0:?}; we speak TLS 1.2 and 1.3")]
    NothingInCommon(PeerIncompatible),
    /// The peer's host can be in no certificate.
    #[error("the host part of the peer's name, {host}, can be in no certificate")]
    BadHost {
        host: String,
        source: InvalidDnsNameError,
    },
    /// What TLS itself says.
    #[error("tls: {0}")]
    Protocol(Error),
    /// What the system says.
    #[error("the connection broke during the tls handshake")]
    Io(#[source] io::Error),
}

impl TlsError {
    /// The kind of the fault, for a dial's failure and for telling alike ones apart from others.
    pub(crate) fn fault(&self) -> TlsFault {
        match self {
            Self::NoAnswer { .. } => TlsFault::NoAnswer,
            Self::NotSpoken | Self::Closed => TlsFault::NotSpoken,
            Self::Untrusted { .. } => TlsFault::Untrusted,
            Self::WrongName { .. } | Self::BadHost { .. } => TlsFault::WrongName,
            Self::Expired(_) => TlsFault::Expired,
            Self::Refused { .. } => TlsFault::Refused,
            Self::BadCertificate(_)
            | Self::NoCertificate
            | Self::NothingInCommon(_)
            | Self::Protocol(_)
            | Self::Io(_) => TlsFault::Other,
        }
    }

    /// Whether whoever dialled went without saying what it did not like, as a probe of the port does.
    pub(crate) fn is_wordless(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// What an error of the stream means; `cert_file` and `ca_file` are ours.
    pub(super) fn of_io(error: io::Error, cert_file: PathBuf, ca_file: PathBuf) -> Self {
        let broke = |kind| {
            matches!(
                kind,
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
            )
        };
        let kind = error.kind();
        match error.downcast::<Error>() {
            Ok(error) => Self::of_tls(error, cert_file, ca_file),
            Err(_) if broke(kind) => Self::Closed,
            Err(error) => Self::Io(error),
        }
    }

    fn of_tls(error: Error, cert_file: PathBuf, ca_file: PathBuf) -> Self {
        match error {
            Error::InvalidMessage(_) => Self::NotSpoken,
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::AlertReceived(alert) => Self::Refused { alert, cert_file },
            Error::PeerIncompatible(what) => Self::NothingInCommon(what),
            Error::InvalidCertificate(error) => match error {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Self::Untrusted { ca_file }
                }
                CertificateError::NotValidForNameContext {
                    expected,
                    presented,
                } => Self::WrongName {
                    wanted: host_of(&expected),
                    presented,
                },
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Expired(error),
                error => Self::BadCertificate(error),
            },
            error => Self::Protocol(error),
        }
    }
}

/// The name as people write it.
fn host_of(name: &ServerName<'_>) -> String {
    name.to_str().into_owned()
}

fn listed(names: &[String]) -> String {
    match names.is_empty() {
        true => "no name at all".to_owned(),
        false => names.join(", "),
    }
}

/// Since when, or from when on, in words.
fn expiry(error: &CertificateError) -> String {
    let days = |earlier: &UnixTime, later: &UnixTime| {
        let seconds = later.as_secs().saturating_sub(earlier.as_secs());
        match seconds / 86_400 {
            0 => format!("{seconds} s"),
            days => format!("{days} days"),
        }
    };
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            format!("has expired {} ago", days(not_after, time))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("will be valid in {}", days(time, not_before))
        }
        _ => "is not valid at this time".to_owned(),
    }
}
