//! Over loopback, with clients that mean no good.

use std::net::Ipv4Addr;
use std::time::Instant;

use enmesh::{Cookie, EpmdMode, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::report::Rules;
use crate::subject::Stuck;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server of a node that is alone, and the end of it.
struct Bench {
    node: Node,
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Bench {
    async fn start(min_peers: u32) -> Self {
        let name = "a@127.0.0.1".parse().unwrap();
        let node = Node::builder(name, Cookie::new("topsecret").unwrap())
            .listen(Ipv4Addr::LOCALHOST.into())
            .epmd(EpmdMode::System)
            .epmd_port(1);
        let node = node.start().await.unwrap();
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let health = Arc::new(Health::new(Rules {
            min_peers,
            counts_hidden: false,
        }));
        health.running(node.clone());
        let (address, stop) = (server.address(), CancellationToken::new());
        let serving = tokio::spawn(server.serve(health, stop.clone()));
        Self {
            node,
            address,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What comes back before the connection ends.
    async fn answer(&self, request: &str) -> String {
        let talk = async {
            let mut socket = self.connect().await;
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.map(|_| answer)
        };
        let answer = tokio::time::timeout(PATIENCE, talk).await;
        answer.expect("the server ends the connection").unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
        self.node.shutdown().await;
    }
}

fn get(page: &str) -> String {
    format!("GET {page} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn check(answer: &str, status: &str, body: &str) {
    let (head, found) = answer.split_once("\r\n\r\n").expect("a whole answer");
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert_eq!(found, body, "{answer}");
}

#[tokio::test]
async fn there_are_two_pages_and_nothing_else() {
    let bench = Bench::start(1).await;
    let live = "[+]manager ok\nlivez check passed\n";
    check(&bench.answer(&get("/livez")).await, "200", live);
    check(&bench.answer(&get("/livez?verbose")).await, "200", live);
    let unready = "[+]manager ok\n[+]draining ok\n[-]peers failed: 0 of 1 are connected\n\
        readyz check failed\n";
    let answer = bench.answer(&get("/readyz")).await;
    check(&answer, "503", unready);
    let head = answer.to_ascii_lowercase();
    for line in [
        "content-type: text/plain; charset=utf-8",
        "cache-control: no-store",
    ] {
        assert!(head.contains(line), "{answer}");
    }
    let answer = bench
        .answer("HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    check(&answer, "200", "");
    for page in [
        "/",
        "/metrics",
        "/livez/",
        "/readyz/web",
        "/healthz",
        "//livez",
    ] {
        check(&bench.answer(&get(page)).await, "404", "");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = format!("{method} /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let answer = bench.answer(&request).await;
        check(&answer, "405", "");
        assert!(
            answer.to_ascii_lowercase().contains("allow: get,head"),
            "{answer}"
        );
    }
    bench.end().await;
}

#[tokio::test]
async fn a_connection_has_one_answer() {
    let bench = Bench::start(0).await;
    let both = format!("{}{}", get("/livez"), get("/readyz"));
    let answer = bench.answer(&both).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(
        answer.to_ascii_lowercase().contains("connection: close"),
        "{answer}"
    );
    bench.end().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let bench = Bench::start(0).await;
    let long = "x".repeat(2 * MAX_HEAD_BYTES);
    for request in [
        format!("GET /livez HTTP/1.1\r\nX: {long}"),
        format!("GET /{long}"),
        "GET /livez HTTP/1.1\r\n".to_owned() + &"X: y\r\n".repeat(200) + "\r\n",
    ] {
        let mut socket = bench.connect().await;
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        // The rest of the request is not read, so that all but the first bytes may be lost.
        match tokio::time::timeout(PATIENCE, socket.read_exact(&mut answer)).await {
            Ok(Ok(_)) => assert!(answer.starts_with(b"HTTP/1.1 4"), "{answer:?}"),
            Ok(Err(_)) => {}
            Err(_) => panic!("the connection stays open"),
        }
    }
    check(&bench.answer("\0\u{1}\u{2}\r\n\r\n").await, "400", "");
    assert!(bench.answer(&get("/livez")).await.contains("200"));
    bench.end().await;
}

#[tokio::test]
async fn clients_that_hold_on_to_their_connections_keep_nobody_out() {
    let bench = Bench::start(0).await;
    let mut held = Vec::new();
    for _ in 0..3 * MAX_CONNECTIONS {
        let mut socket = bench.connect().await;
        socket
            .write_all(b"GET /livez HTTP/1.1\r\nX: ")
            .await
            .unwrap();
        held.push(socket);
    }
    let began = Instant::now();
    assert!(bench.answer(&get("/livez")).await.contains("200"));
    assert!(began.elapsed() < CONNECTION_TIME, "{:?}", began.elapsed());
    let mut closed = 0;
    for socket in &mut held {
        let mut byte = [0; 1];
        match socket.try_read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => closed += 1,
        }
    }
    assert!(closed >= 2 * MAX_CONNECTIONS, "{closed}");
    // Those that were left have had their time some seconds later.
    for socket in &mut held {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "a connection stays open");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_stuck_node_is_told_as_dead() {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let health = Arc::new(Health::new(Rules::default()));
    health.running(Stuck);
    let address = server.address();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(health, stop.clone()));
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(get("/livez").as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let stuck = "[-]manager failed: no answer within 2 s\nlivez check failed\n";
    check(&answer, "503", stuck);
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_said() {
    let first = Server::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let error = Server::bind(first.address()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {}", first.address())
    );
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    let nobodys = SocketAddr::from(([192, 0, 2, 1], 9369));
    assert_eq!(Server::bind(nobodys).unwrap_err().address, nobodys);
}
