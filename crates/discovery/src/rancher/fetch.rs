//! One GET over HTTP/1.1 without TLS.

use std::time::Duration;

use enmesh_membership::FailureKind;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The longest that a question may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes.
const MAX_BODY_BYTES: usize = 8 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] http::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("more than {MAX_BODY_BYTES} bytes are not read")]
    TooLong,
    #[error("the answer ended too soon: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {TIMEOUT:?}")]
    TimedOut,
}

impl FetchError {
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::Connect(_) | Self::Http(_) | Self::Body(_) => FailureKind::Unreachable,
            Self::Status(status) => match status.as_u16() {
                401 => FailureKind::Unauthorized,
                403 => FailureKind::Forbidden,
                404 => FailureKind::NotFound,
                _ => FailureKind::Other,
            },
            Self::TooLong => FailureKind::Malformed,
            Self::TimedOut => FailureKind::TimedOut,
            Self::Request(_) => FailureKind::Other,
        }
    }
}

/// The body of a good answer.
pub(super) async fn get((host, port, path): (&str, u16, &str)) -> Result<Bytes, FetchError> {
    let asking = async {
        let stream = TcpStream::connect((host, port)).await;
        let stream = stream.map_err(FetchError::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let bracketed = host.contains(':').then(|| format!("[{host}]"));
        let host = bracketed.as_deref().unwrap_or(host);
        let request = Request::get(path)
            .header(HOST, format!("{host}:{port}"))
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "enmesh")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())?;
        let answer = async {
            let response = sender.send_request(request).await?;
            if response.status() != StatusCode::OK {
                return Err(FetchError::Status(response.status()));
            }
            let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect();
            let body = body.await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    FetchError::TooLong
                } else {
                    FetchError::Body(error)
                }
            })?;
            Ok(body.to_bytes())
        };
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // What the connection has read by its end may not have been taken yet.
            _ = connection => answer.await,
        }
    };
    tokio::time::timeout(TIMEOUT, asking)
        .await
        .unwrap_or(Err(FetchError::TimedOut))
}
