//! A small Kubernetes API: list and watch of pods over HTTPS, for whoever has the token.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{Either, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::DemoError;
use super::identity::Identity;
use super::pods::{APP, NAMESPACE, Pods};

/// How long a watch lasts if the client does not say.
const WATCH_TIME: Duration = Duration::from_secs(300);
/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// How long a connection may wait for its next request.
const IDLE_TIME: Duration = Duration::from_secs(300);
/// Lines of a watch that wait for the client; then we wait for it.
const WATCH_QUEUE: usize = 64;

type Body = Either<Full<Bytes>, Channel<Bytes, Infallible>>;

/// The API, running until it is stopped.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) pods: Arc<Pods>,
    watches: Arc<AtomicUsize>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What every request needs.
struct Server {
    token: String,
    pods: Arc<Pods>,
    watches: Arc<AtomicUsize>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Api {
    /// Serves on a free port of 127.0.0.1.
    pub(crate) async fn start(
        identity: Identity,
        directory: &std::path::Path,
    ) -> Result<(Self, std::path::PathBuf), DemoError> {
        let no_listener = |error| DemoError::NoAddress {
            address: Ipv4Addr::LOCALHOST,
            error,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(no_listener)?;
        let address = listener.local_addr().map_err(no_listener)?;
        let kubeconfig = identity.write_kubeconfig(directory, address)?;
        let api = Self {
            address,
            pods: Arc::new(Pods::new()),
            watches: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let server = Arc::new(Server {
            token: identity.token,
            pods: Arc::clone(&api.pods),
            watches: Arc::clone(&api.watches),
            stop: api.stop.clone(),
            tasks: api.tasks.clone(),
        });
        api.tasks.spawn(server.accept(listener, identity.acceptor));
        Ok((api, kubeconfig))
    }

    /// How many watches are open now.
    pub(crate) fn watches(&self) -> usize {
        self.watches.load(Ordering::Relaxed)
    }

    /// Ends every connection and waits for it.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Server {
    async fn accept(self: Arc<Self>, listener: TcpListener, acceptor: TlsAcceptor) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.tasks
                        .spawn(Arc::clone(&self).serve(stream, acceptor.clone()));
                }
                // Out of file descriptors: the clients try again by themselves.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, acceptor: TlsAcceptor) {
        let stop = self.stop.clone();
        let connection = async {
            let handshake = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream));
            let Ok(Ok(stream)) = handshake.await else {
                return;
            };
            let service = service_fn(|request| {
                let response = self.answer(&request);
                async { Ok::<_, Infallible>(response) }
            });
            // A client that goes away in the middle is its own business.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE_TIME)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = connection => {}
        }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let bearer = format!("Bearer {}", self.token);
        let authorization = request.headers().get(AUTHORIZATION);
        if authorization.is_none_or(|value| value.as_bytes() != bearer.as_bytes()) {
            return status(
                StatusCode::UNAUTHORIZED,
                "Unauthorized",
                "the token is not right",
            );
        }
        if request.uri().path() != format!("/api/v1/namespaces/{NAMESPACE}/pods") {
            return status(
                StatusCode::NOT_FOUND,
                "NotFound",
                "here are pods of one namespace",
            );
        }
        if request.method() != Method::GET {
            return status(
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "only get",
            );
        }
        match Query::parse(request.uri().query().unwrap_or_default()) {
            Err(reason) => status(StatusCode::BAD_REQUEST, "BadRequest", reason),
            Ok(Query {
                watch: None,
                selects,
            }) => {
                let mut list = self.pods.list();
                if !selects {
                    list["items"] = json!([]);
                }
                whole(StatusCode::OK, &list)
            }
            Ok(Query {
                watch: Some(watch),
                selects,
            }) => self.watch(&watch, selects),
        }
    }

    fn watch(&self, watch: &Watch, selects: bool) -> Response<Body> {
        let (sender, body) = Channel::new(WATCH_QUEUE);
        let open = OpenWatch::new(&self.watches);
        let pods = Arc::clone(&self.pods);
        let Watch { after, time } = *watch;
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _open = open;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(Instant::now() + time) => {}
                () = follow(&pods, after, selects, sender) => {}
            }
        });
        respond(StatusCode::OK, Either::Right(body))
    }
}

/// Sends every change after `version` until the client is gone.
async fn follow(pods: &Pods, mut version: u64, selects: bool, mut sender: Sender<Bytes>) {
    let mut changed = pods.subscribe();
    loop {
        changed.mark_unchanged();
        for change in pods.changes_after(version) {
            version = change.version;
            let line = Bytes::from(format!("{}\n", change.event));
            if selects && sender.send_data(line).await.is_err() {
                return;
            }
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// Counts itself for as long as it lives.
struct OpenWatch {
    watches: Arc<AtomicUsize>,
}

impl OpenWatch {
    fn new(watches: &Arc<AtomicUsize>) -> Self {
        watches.fetch_add(1, Ordering::Relaxed);
        Self {
            watches: Arc::clone(watches),
        }
    }
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.watches.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a request asks of the pods.
#[derive(Debug, PartialEq, Eq)]
struct Query {
    /// Whether the label selector takes our pods; they are all alike.
    selects: bool,
    watch: Option<Watch>,
}

#[derive(Debug, PartialEq, Eq)]
struct Watch {
    after: u64,
    time: Duration,
}

impl Query {
    fn parse(query: &str) -> Result<Self, &'static str> {
        let (mut selects, mut watch, mut after, mut time) = (true, false, 0, WATCH_TIME);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = unescape(value).ok_or("an escape is broken")?;
            match key {
                "labelSelector" => selects = matches_labels(&value)?,
                "watch" => watch = matches!(value.as_str(), "true" | "1"),
                "resourceVersion" if value.is_empty() => after = 0,
                "resourceVersion" => {
                    after = value.parse().map_err(|_| "resourceVersion is no number")?;
                }
                "timeoutSeconds" => {
                    let seconds = value.parse().map_err(|_| "timeoutSeconds is no number")?;
                    time = Duration::from_secs(seconds).min(WATCH_TIME);
                }
                "sendInitialEvents" if value == "true" => {
                    return Err("a watch cannot begin with a list here");
                }
                // Pages, bookmarks and the like: with a few pods there is nothing to do.
                _ => {}
            }
        }
        Ok(Self {
            selects,
            watch: watch.then_some(Watch { after, time }),
        })
    }
}

/// Whether a selector of equalities (`app=demo,tier!=x`) takes a pod with the label `app` alone.
fn matches_labels(selector: &str) -> Result<bool, &'static str> {
    let mut all = true;
    for requirement in selector
        .split(',')
        .filter(|requirement| !requirement.is_empty())
    {
        all &= if let Some((key, value)) = requirement.split_once("!=") {
            !(key == "app" && value == APP)
        } else if let Some((key, value)) = requirement.split_once('=') {
            key == "app" && value.trim_start_matches('=') == APP
        } else {
            return Err("only equalities are understood in a labelSelector here");
        };
    }
    Ok(all)
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn status(code: StatusCode, reason: &str, message: &str) -> Response<Body> {
    let body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code.as_u16(),
    });
    whole(code, &body)
}

fn whole(code: StatusCode, body: &Value) -> Response<Body> {
    respond(code, Either::Left(Full::new(Bytes::from(body.to_string()))))
}

fn respond(code: StatusCode, body: Body) -> Response<Body> {
    Response::builder()
        .status(code)
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .expect("the parts are constants")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::demo::pods::Phase;

    const PODS: &str = "/api/v1/namespaces/demo/pods";

    fn server() -> Server {
        let pods = Pods::new();
        pods.create("demo-1", Ipv4Addr::new(127, 0, 0, 2));
        pods.set_phase("demo-1", Phase::Running);
        Server {
            token: "right".to_owned(),
            pods: Arc::new(pods),
            watches: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    fn ask(server: &Server, token: &str, uri: &str) -> Response<Body> {
        let request = Request::builder()
            .uri(uri)
            .header(AUTHORIZATION, format!("Bearer {token}"));
        server.answer(&request.body(()).unwrap())
    }

    async fn items(response: Response<Body>) -> usize {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let list: Value = serde_json::from_slice(&body).unwrap();
        list["items"].as_array().unwrap().len()
    }

    #[tokio::test]
    async fn only_the_token_opens_the_door() {
        let server = server();
        assert_eq!(ask(&server, "right", PODS).status(), StatusCode::OK);
        assert_eq!(
            ask(&server, "wrong", PODS).status(),
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(ask(&server, "", PODS).status(), StatusCode::UNAUTHORIZED);
        let nobody = Request::builder().uri(PODS).body(()).unwrap();
        assert_eq!(server.answer(&nobody).status(), StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn a_list_has_what_the_selector_takes() {
        let server = server();
        let list = |selector: &str| {
            ask(
                &server,
                "right",
                &format!("{PODS}?labelSelector={selector}"),
            )
        };
        for (selector, count) in [
            ("", 1),
            ("app%3Ddemo", 1),
            ("app==demo", 1),
            ("app=demo,tier!=front", 1),
            ("app=other", 0),
            ("app!=demo", 0),
            ("app=demo,tier=front", 0),
        ] {
            assert_eq!(items(list(selector)).await, count, "{selector}");
        }
        assert_eq!(list("app%20in%20(demo)").status(), StatusCode::BAD_REQUEST);
        assert_eq!(list("%zz").status(), StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn other_things_are_not_here() {
        let server = server();
        let status = |uri: &str| ask(&server, "right", uri).status();
        assert_eq!(
            status("/api/v1/namespaces/other/pods"),
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            status(&format!("{PODS}?resourceVersion=x")),
            StatusCode::BAD_REQUEST
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_goes_on_from_its_version_until_its_time_is_over() {
        let server = server();
        let response = ask(
            &server,
            "right",
            &format!("{PODS}?watch=1&resourceVersion=1&timeoutSeconds=3"),
        );
        assert_eq!(server.watches.load(Ordering::Relaxed), 1);
        let mut body = response.into_body();
        let mut next = async || -> Option<Value> {
            let data = body.frame().await?.unwrap().into_data().unwrap();
            assert!(data.ends_with(b"\n"));
            Some(serde_json::from_slice(&data).unwrap())
        };
        let first = next().await.unwrap();
        assert_eq!(first["type"], "MODIFIED");
        assert_eq!(first["object"]["status"]["podIP"], "127.0.0.2");
        server.pods.remove("demo-1");
        assert_eq!(next().await.unwrap()["type"], "DELETED");
        assert!(next().await.is_none(), "the time is over");
        server.tasks.close();
        server.tasks.wait().await;
        assert_eq!(server.watches.load(Ordering::Relaxed), 0);
    }
}
