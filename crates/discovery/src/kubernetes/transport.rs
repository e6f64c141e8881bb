//! What every request to the API server goes through: our token, and bounds on time, on bytes, and
//! on how often a watch is opened.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderValue, Request, Response, Uri, Version, header};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tower::{BoxError, Layer, Service};

/// The longest that the head of an answer may take.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of one answer to a LIST, and of one line of a watch.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The longest token that is sent.
const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// The shortest time from the opening of a watch to the opening of the next one: a server that
/// ends each watch at once would otherwise be asked without a pause.
const WATCH_PACE: Duration = Duration::from_secs(1);

/// How many seconds a watch is asked for over HTTP/1.1, where nothing else tells whether the server
/// lives: one that has died without a word is noticed within a minute.
const BLIND_WATCH_SECONDS: u32 = 40;

/// After how long without a byte such a watch is given up. Its end is said before.
const BLIND_SILENCE: Duration = Duration::from_secs(BLIND_WATCH_SECONDS as u64 + 5);

/// Why a request was given up on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TransportError {
    /// The head of the answer did not come.
    #[error("the API server did not answer within {HEAD_TIMEOUT:?}")]
    HeadTimedOut,
    /// A watch has not said anything, not even that it ends.
    #[error("the API server has not said anything for {BLIND_SILENCE:?}")]
    Silent,
    /// The answer is longer than anything sensible.
    #[error("the answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    /// The answer sends us somewhere else.
    #[error(
        "the answer redirects us elsewhere, and a token is not sent there; give the address of the \
         API server itself"
    )]
    Redirected,
    /// The token's file cannot be read, or holds no token.
    #[error("the token file of our account is missing or holds no token")]
    NoToken,
}

/// The bounds, and what a server said of when to come back.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    token_file: Option<PathBuf>,
    advice: Arc<AtomicU64>,
    watched: Arc<Mutex<Option<Instant>>>,
    /// Whether the last answer came over HTTP/1.1.
    is_blind: Arc<AtomicBool>,
}

impl Bounds {
    /// Bounds that put the token in this file on each request.
    pub(super) fn new(token_file: Option<PathBuf>) -> Self {
        Self {
            token_file,
            ..Self::default()
        }
    }

    /// The `Retry-After` of the last answer, if it had one; asking takes it away.
    pub(super) fn take_retry_after(&self) -> Option<Duration> {
        match self.advice.swap(0, Ordering::Relaxed) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        }
    }

    /// How long to wait before another watch is opened.
    fn pace(&self) -> Option<Duration> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let due = watched.map_or(now, |last| (last + WATCH_PACE).max(now));
        *watched = Some(due);
        (due > now).then(|| due - now)
    }

    /// The header with our token. It is read for each request: tokens are short-lived, requests
    /// are few, and white space at the end, which kube would choke on, is cut off.
    fn authorization(&self) -> Result<Option<HeaderValue>, TransportError> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let mut value = bearer(path).ok_or(TransportError::NoToken)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn note(&self, head: &http::response::Parts) {
        let is_blind = head.version < Version::HTTP_2;
        self.is_blind.store(is_blind, Ordering::Relaxed);
        let value = head
            .headers
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let seconds = value.and_then(|value| value.parse().ok()).unwrap_or(0);
        self.advice.store(seconds, Ordering::Relaxed);
    }
}

fn bearer(path: &Path) -> Option<HeaderValue> {
    let length = std::fs::metadata(path).ok()?.len();
    let token = if length > MAX_TOKEN_BYTES {
        None
    } else {
        std::fs::read_to_string(path).ok()
    }?;
    let token = token.trim();
    if token.is_empty() {
        None
    } else {
        HeaderValue::try_from(format!("Bearer {token}")).ok()
    }
}

impl<S> Layer<S> for Bounds {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded {
            inner,
            bounds: self.clone(),
        }
    }
}

/// A client within [`Bounds`].
pub(super) struct Bounded<S> {
    inner: S,
    bounds: Bounds,
}

impl<S, Q, B> Service<Request<Q>> for Bounded<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Send + 'static,
{
    type Response = Response<BoundedBody<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        match self.bounds.authorization() {
            Ok(None) => {}
            Ok(Some(value)) => {
                request.headers_mut().insert(header::AUTHORIZATION, value);
            }
            Err(error) => return Box::pin(async move { Err(error.into()) }),
        }
        let query = request.uri().query().unwrap_or_default();
        let lines = query.split('&').any(|pair| pair.starts_with("watch="));
        if lines && self.bounds.is_blind.load(Ordering::Relaxed) {
            shorten(request.uri_mut());
        }
        let pause = if lines { self.bounds.pace() } else { None };
        let bounds = self.bounds.clone();
        let response = self.inner.call(request);
        Box::pin(async move {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            let Ok(response) = tokio::time::timeout(HEAD_TIMEOUT, response).await else {
                return Err(TransportError::HeadTimedOut.into());
            };
            let (head, body) = response.map_err(Into::into)?.into_parts();
            bounds.note(&head);
            if head.status.is_redirection() {
                return Err(TransportError::Redirected.into());
            }
            let is_blind = lines && head.version < Version::HTTP_2;
            let silence = is_blind.then(|| Box::pin(tokio::time::sleep(BLIND_SILENCE)));
            let body = BoundedBody {
                body,
                lines,
                run: 0,
                silence,
            };
            Ok(Response::from_parts(head, body))
        })
    }
}

/// Asks for a shorter watch.
fn shorten(uri: &mut Uri) {
    let shorter = |pair: &str| match pair.strip_prefix("timeoutSeconds=") {
        Some(seconds) => {
            let seconds = seconds.parse().unwrap_or(BLIND_WATCH_SECONDS);
            format!("timeoutSeconds={}", seconds.min(BLIND_WATCH_SECONDS))
        }
        None => pair.to_owned(),
    };
    let query = uri.query().unwrap_or_default().split('&').map(shorter);
    let path = format!("{}?{}", uri.path(), query.collect::<Vec<_>>().join("&"));
    let mut parts = uri.clone().into_parts();
    // What was a path and a query is one.
    parts.path_and_query = path.parse().ok();
    if let Ok(shortened) = Uri::from_parts(parts) {
        *uri = shortened;
    }
}

/// A body of which no part that must be held at once is too long: neither the whole, nor, in a
/// watch, one line.
pub(super) struct BoundedBody<B> {
    body: B,
    lines: bool,
    run: usize,
    /// When it is given up if nothing comes.
    silence: Option<Pin<Box<Sleep>>>,
}

impl<B> BoundedBody<B> {
    fn count(&mut self, data: &[u8]) -> Result<(), TransportError> {
        let last_line = if self.lines {
            data.iter().rposition(|&byte| byte == b'\n')
        } else {
            None
        };
        self.run = match last_line {
            Some(end) => data.len() - end - 1,
            None => self.run.saturating_add(data.len()),
        };
        if self.run > MAX_ANSWER_BYTES {
            Err(TransportError::TooLong)
        } else {
            Ok(())
        }
    }
}

impl<B> Body for BoundedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => {
                let silence = self
                    .silence
                    .as_mut()
                    .map(|silence| silence.as_mut().poll(context));
                return match silence {
                    Some(Poll::Ready(())) => Poll::Ready(Some(Err(TransportError::Silent.into()))),
                    _ => Poll::Pending,
                };
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        if let Some(silence) = &mut self.silence {
            silence.as_mut().reset(Instant::now() + BLIND_SILENCE);
        }
        let counted = frame
            .data_ref()
            .map_or(Ok(()), |data| self.count(data.chunk()));
        Poll::Ready(Some(counted.map(|()| frame).map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(lines: bool) -> BoundedBody<()> {
        BoundedBody {
            body: (),
            lines,
            run: 0,
            silence: None,
        }
    }

    /// A watch over HTTP/1.1 that never says anything more.
    struct Mute;

    impl Body for Mute {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_nothing_vouches_for_is_given_up_when_it_is_silent() {
        let silence = Some(Box::pin(tokio::time::sleep(BLIND_SILENCE)));
        let mut body = BoundedBody {
            body: Mute,
            lines: true,
            run: 0,
            silence,
        };
        let begin = Instant::now();
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let error = frame.unwrap().unwrap_err();
        assert!(error.is::<TransportError>(), "{error}");
        let waited = begin.elapsed();
        assert!(
            waited >= BLIND_SILENCE && waited < Duration::from_secs(60),
            "{waited:?}"
        );
    }

    #[test]
    fn a_watch_that_nothing_vouches_for_is_a_short_one() {
        let check = |asked: &str, expected: &str| {
            let mut uri: Uri = asked.parse().unwrap();
            shorten(&mut uri);
            assert_eq!(uri, *expected);
        };
        let path = "https://10.96.0.1/api/v1/namespaces/ns/pods?watch=true";
        check(
            &format!("{path}&timeoutSeconds=290&labelSelector=app%3Dweb"),
            &format!("{path}&timeoutSeconds=40&labelSelector=app%3Dweb"),
        );
        check(
            &format!("{path}&timeoutSeconds=1"),
            &format!("{path}&timeoutSeconds=1"),
        );
    }

    #[test]
    fn a_list_is_bounded_as_a_whole() {
        let mut body = body(false);
        let half = vec![b'\n'; MAX_ANSWER_BYTES / 2];
        assert_eq!(body.count(&half), Ok(()));
        assert_eq!(body.count(&half), Ok(()));
        assert_eq!(body.count(b"\n"), Err(TransportError::TooLong));
    }

    #[test]
    fn a_watch_is_bounded_by_the_line() {
        let mut body = body(true);
        let mut half = vec![b'x'; MAX_ANSWER_BYTES / 2];
        assert_eq!(body.count(&half), Ok(()));
        half[0] = b'\n';
        for _ in 0..3 {
            assert_eq!(body.count(&half), Ok(()));
        }
        half[0] = b'x';
        assert_eq!(body.count(&half), Ok(()));
        assert_eq!(body.count(&half), Err(TransportError::TooLong));
    }

    #[tokio::test(start_paused = true)]
    async fn watches_are_opened_at_a_pace() {
        let bounds = Bounds::default();
        assert_eq!(bounds.pace(), None);
        assert_eq!(bounds.pace(), Some(WATCH_PACE));
        assert_eq!(bounds.pace(), Some(2 * WATCH_PACE));
        tokio::time::sleep(5 * WATCH_PACE).await;
        assert_eq!(bounds.pace(), None);
    }
}
