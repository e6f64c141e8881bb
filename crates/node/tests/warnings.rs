//! What a human is told of peers that break the protocol.

#[path = "log/log.rs"]
mod log;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use enmesh::{Cookie, Creation, EpmdMode, Node, NodeName};
use enmesh_proto::{Action, Flags, Link, LinkConfig, LocalNode, Question, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::{Level, instrument::WithSubscriber};

use crate::log::Log;

const PATIENCE: Duration = Duration::from_secs(20);

async fn member(log: &Log) -> Node {
    let cookie = Cookie::new("secret").unwrap();
    let any = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = any.local_addr().unwrap().port();
    drop(any);
    let builder = Node::builder("r@127.0.0.1".parse().unwrap(), cookie)
        .visible(false)
        .listen(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .dist_port(port)
        .epmd(EpmdMode::None);
    let started = builder.start().with_subscriber(log.clone());
    started.await.unwrap()
}

/// A peer that holds the cookie, and whose link is up.
async fn peer(member: &Node, name: &str) -> TcpStream {
    let name: NodeName = name.parse().unwrap();
    let local = LocalNode {
        name: name.clone(),
        creation: Creation::from_seed(9),
        visible: false,
    };
    let mut config = LinkConfig::new(local, Cookie::new("secret").unwrap());
    // The frames of these tests have no distribution header.
    config.withheld = Flags::OPTIONAL;
    let config = Arc::new(config);
    let there = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), member.port());
    let mut stream = TcpStream::connect(there).await.unwrap();
    let now = Instant::now();
    let mut link = Link::dial(now, config, member.name().clone(), 7);
    let mut inbox = BytesMut::new();
    while !link.is_up() {
        if let Some(output) = link.take_output(now) {
            stream.write_all(&output).await.unwrap();
        }
        if timeout(PATIENCE, stream.read_buf(&mut inbox))
            .await
            .unwrap()
            .unwrap()
            == 0
        {
            panic!("closed in the handshake");
        }
        link.handle_bytes(now, &mut inbox).unwrap();
        while let Some(action) = link.poll_action() {
            if let Action::Ask(Question::Authenticated(_)) = action {
                link.handle_verdict(now, Verdict::Admit).unwrap();
            }
        }
    }
    stream
}

fn frame(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap();
    [&len.to_be_bytes(), body].concat()
}

/// REG_SEND to `rex` from the process `a@h` has.
fn to_rex(node: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = vec![112, 131, 104, 4, 97, 6, 88, 119];
    body.push(u8::try_from(node.len()).unwrap());
    body.extend(node.as_bytes());
    body.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
    body.extend(b"w\0w\x03rex");
    body.extend(payload);
    frame(&body)
}

#[tokio::test]
async fn each_peer_that_breaks_the_protocol_is_named_with_the_reason() {
    let log = Log::from(Level::WARN);
    let member = member(&log).await;
    for name in ["one@127.0.0.1", "two@127.0.0.1"] {
        let mut stream = peer(&member, name).await;
        // A control message without an operation.
        stream.write_all(&frame(&[112, 131, 106])).await.unwrap();
        let line = log.said(&[name]).await;
        let words = "a bad control message: not a tuple with an operation";
        assert!(
            line.contains("link refused") && line.contains(words),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_payload_that_cannot_be_decoded_is_said_and_costs_nothing_else() {
    let log = Log::from(Level::WARN);
    let member = member(&log).await;
    let mut stream = peer(&member, "one@127.0.0.1").await;
    for _ in 0..5 {
        let garbage = to_rex("one@127.0.0.1", &[131, 255]);
        stream.write_all(&garbage).await.unwrap();
    }
    let line = log.said(&["cannot be decoded"]).await;
    assert!(line.contains("one@127.0.0.1"), "{line}");
    assert_eq!(member.nodes(), ["one@127.0.0.1".parse().unwrap()]);
    // It is alive, and the flood was one line.
    let features = [&b"\x83h\x02X"[..], b"w\x0done@127.0.0.1"].concat();
    let rest = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
    let request = [&features[..], &rest, b"w\x10features_request"].concat();
    let request = to_rex("one@127.0.0.1", &request);
    stream.write_all(&request).await.unwrap();
    let mut answer = [0; 4];
    let read = stream.read_exact(&mut answer);
    timeout(PATIENCE, read).await.unwrap().unwrap();
    assert_ne!(answer, [0; 4]);
    assert_eq!(log.count("cannot be decoded"), 1);
}

/// Serves dials as `x@127.0.0.31`: the first `ends` of them come to their end as
/// soon as the member's digest has been read, and the next is let in.
async fn ending_peer(listener: &TcpListener, ends: usize) {
    let local = LocalNode {
        name: "x@127.0.0.31".parse().unwrap(),
        creation: Creation::from_seed(9),
        visible: false,
    };
    let cookie = Cookie::new("secret").unwrap();
    let config = Arc::new(LinkConfig::new(local, cookie));
    for number in 0.. {
        let (mut stream, _) = listener.accept().await.unwrap();
        let now = Instant::now();
        let (mut link, mut inbox) = (Link::accept(now, Arc::clone(&config), 7), BytesMut::new());
        'handshake: while !link.is_up() {
            stream.read_buf(&mut inbox).await.unwrap();
            link.handle_bytes(now, &mut inbox).unwrap();
            while let Some(action) = link.poll_action() {
                let verdict = match action {
                    Action::Ask(Question::Authenticated(_)) if number < ends => break 'handshake,
                    Action::Ask(Question::Authenticated(_)) => Verdict::Admit,
                    _ => Verdict::Accept,
                };
                link.handle_verdict(now, verdict).unwrap();
            }
            if let Some(output) = link.take_output(now) {
                stream.write_all(&output).await.unwrap();
            }
        }
        if link.is_up() {
            // Until the member ends it.
            while stream.read_buf(&mut inbox).await.unwrap_or(0) > 0 {}
        }
    }
}

#[tokio::test]
async fn a_peer_that_ends_in_the_handshake_once_is_not_said_to_have_another_cookie() {
    let log = Log::from(Level::WARN);
    let member = member(&log).await;
    let peer: NodeName = "x@127.0.0.31".parse().unwrap();
    let here = SocketAddr::new(Ipv4Addr::new(127, 0, 0, 31).into(), member.port());
    let listener = TcpListener::bind(here).await.unwrap();
    let connected = tokio::select! {
        connected = member.connect(peer.clone()) => connected,
        () = ending_peer(&listener, 1) => unreachable!("it serves for ever"),
    };
    connected.unwrap();
    assert_eq!(log.count("cookie"), 0);
    member.disconnect(&peer).await;
    // Of one that does so again nothing else is to be thought.
    let refused = tokio::select! {
        connected = member.connect(peer.clone()) => connected.unwrap_err(),
        () = ending_peer(&listener, 2) => unreachable!("it serves for ever"),
    };
    assert!(refused.to_string().contains("cookie"), "{refused}");
    log.said(&["x@127.0.0.31", "probably it has another cookie"])
        .await;
}
