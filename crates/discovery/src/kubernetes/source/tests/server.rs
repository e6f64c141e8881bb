//! An API server that says what it is told to say, one scripted answer for each request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A whole answer.
    Whole {
        status: u16,
        headers: &'static str,
        body: String,
    },
    /// The beginning of a watch, which then stays open until the server is told to go on.
    Watch(Vec<String>),
    /// These bytes, and then the connection ends.
    Bytes(String),
    /// Nothing, with the connection open.
    Silence,
}

impl Reply {
    pub(crate) fn json(body: &serde_json::Value) -> Self {
        Self::Whole {
            status: 200,
            headers: "",
            body: body.to_string(),
        }
    }

    pub(crate) fn status(status: u16, headers: &'static str, message: &str) -> Self {
        let body = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {},
            "message": message, "code": status,
        });
        Self::Whole {
            status,
            headers,
            body: body.to_string(),
        }
    }

    fn head_and_body(&self) -> Option<(String, bool)> {
        match self {
            Self::Whole {
                status,
                headers,
                body,
            } => {
                let length = body.len();
                let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\n");
                Some((
                    format!("{head}connection: close\r\n{headers}\r\n{body}"),
                    false,
                ))
            }
            Self::Watch(lines) => {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
                let chunk = |line: &String| format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
                Some((head + &lines.iter().map(chunk).collect::<String>(), true))
            }
            Self::Bytes(bytes) => Some((bytes.clone(), false)),
            Self::Silence => None,
        }
    }
}

#[derive(Default)]
struct Script {
    /// With what a request's first line must hold.
    replies: Vec<(&'static str, Reply)>,
    requests: Vec<String>,
}

/// The server; it ends with the runtime of its test.
#[derive(Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Server {
    /// Answers in the order of `replies`, and is silent when they are used up.
    pub(crate) async fn start(replies: Vec<Reply>, tls: Option<TlsAcceptor>) -> Self {
        let replies = replies.into_iter().map(|reply| ("", reply)).collect();
        Self::start_routed(replies, tls).await
    }

    /// Answers each request with the first reply not yet given whose text its first line holds.
    pub(crate) async fn start_routed(
        replies: Vec<(&'static str, Reply)>,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Script {
            replies,
            requests: Vec::new(),
        };
        let server = Self {
            address,
            script: Arc::new(Mutex::new(script)),
        };
        let acceptor = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (server, tls) = (acceptor.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => server.serve(socket).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                server.serve(socket).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, each with its head.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.script.lock().unwrap().requests.clone()
    }

    async fn serve(&self, mut socket: impl AsyncRead + AsyncWrite + Unpin) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match socket.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return,
            }
        }
        let reply = {
            let mut script = self.script.lock().unwrap();
            let request = String::from_utf8(request).unwrap();
            let first = request.lines().next().unwrap_or_default();
            let fits = |(text, _): &(&str, Reply)| first.contains(text);
            let place = script.replies.iter().position(fits);
            script.requests.push(request);
            match place {
                Some(place) => script.replies.remove(place).1,
                None => Reply::Silence,
            }
        };
        let stays = match reply.head_and_body() {
            None => true,
            Some((bytes, stays)) => {
                let _ = socket.write_all(bytes.as_bytes()).await;
                let _ = socket.flush().await;
                stays
            }
        };
        if stays {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        let _ = socket.shutdown().await;
    }
}
