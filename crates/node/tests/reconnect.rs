//! What `connect` does right after `disconnect`: it asks no epmd, and yet finds who has moved.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use enmesh::{Builder, Cookie, EpmdMode, Node, NodeName};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn free_port() -> u16 {
    let any = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    any.local_addr().unwrap().port()
}

/// An epmd that takes every registration, and tells one port for whoever is asked for.
#[derive(Default)]
struct Epmd {
    told: AtomicU16,
    asked: AtomicU32,
    /// Registrations last as long as their connections.
    registered: Mutex<Vec<TcpStream>>,
}

impl Epmd {
    fn start() -> (Arc<Self>, u16) {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let epmd = Arc::<Self>::default();
        let serving = Arc::clone(&epmd);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serving.serve(stream);
            }
        });
        (epmd, port)
    }

    /// erl_dist_protocol, "Protocol between Node and EPMD".
    fn serve(&self, mut stream: TcpStream) {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut request = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut request).unwrap();
        if request[0] == b'x' {
            stream.write_all(&[118, 0, 0, 0, 0, 7]).unwrap();
            self.registered.lock().unwrap().push(stream);
            return;
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let port = self.told.load(Ordering::SeqCst).to_be_bytes();
        let mut answer = vec![119, 0, port[0], port[1], 77, 0, 0, 6, 0, 5];
        answer.extend([0, 1, b'b', 0, 0]);
        stream.write_all(&answer).unwrap();
    }
}

/// One that others find at a port of its own.
fn served(host: u8, text: &str, port: u16) -> Builder {
    Node::builder(name(text), Cookie::new("secret").unwrap())
        .visible(false)
        .listen(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)))
        .dist_port(port)
        .epmd(EpmdMode::None)
}

/// One that asks epmd for others.
async fn asker(host: u8, epmd: u16) -> Node {
    let started = Node::builder(
        name(&format!("a@127.0.0.{host}")),
        Cookie::new("secret").unwrap(),
    )
    .visible(false)
    .listen(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)))
    .epmd(EpmdMode::System)
    .epmd_port(epmd);
    started.start().await.unwrap()
}

async fn connect(node: &Node, peer: &NodeName) {
    let connected = timeout(PATIENCE, node.connect(peer.clone())).await;
    connected.unwrap().unwrap();
    assert_eq!(node.nodes(), std::slice::from_ref(peer));
}

#[tokio::test]
async fn who_connects_and_disconnects_by_turns_asks_epmd_once() {
    let (epmd, port) = Epmd::start();
    let peer = name("b@127.0.0.21");
    let b = served(21, "b@127.0.0.21", free_port());
    let b = b.start().await.unwrap();
    epmd.told.store(b.port(), Ordering::SeqCst);
    let a = asker(20, port).await;
    for _ in 0..30 {
        connect(&a, &peer).await;
        assert!(a.disconnect(&peer).await);
    }
    // Again only if this machine stood still for a second.
    let asked = epmd.asked.load(Ordering::SeqCst);
    assert!((1..10).contains(&asked), "{asked}");
}

/// The peer is elsewhere when it is dialled again, and at its old place is what `usurp` makes.
/// Also tells how long the peer was away, for its old place is known for a second.
async fn moves<U>(hosts: [u8; 2], usurp: impl AsyncFn(u16) -> U) -> (U, Duration) {
    let (epmd, port) = Epmd::start();
    let text = format!("b@127.0.0.{}", hosts[1]);
    let peer = name(&text);
    let b = served(hosts[1], &text, free_port()).start().await.unwrap();
    epmd.told.store(b.port(), Ordering::SeqCst);
    let a = asker(hosts[0], port).await;
    connect(&a, &peer).await;
    assert!(a.disconnect(&peer).await);
    let begin = Instant::now();
    let old = b.port();
    b.shutdown().await;
    let usurper = usurp(old).await;
    let b = served(hosts[1], &text, free_port()).start().await.unwrap();
    epmd.told.store(b.port(), Ordering::SeqCst);
    let away = begin.elapsed();
    connect(&a, &peer).await;
    assert_eq!(epmd.asked.load(Ordering::SeqCst), 2);
    (usurper, away)
}

#[tokio::test]
async fn a_peer_that_was_started_again_is_found_at_its_new_port() {
    moves([22, 23], async |_| ()).await;
}

#[tokio::test]
async fn a_peer_whose_port_another_node_has_taken_is_found() {
    let usurper = async |port| served(25, "c@127.0.0.25", port).start().await.unwrap();
    let (c, _) = moves([24, 25], usurper).await;
    assert_eq!(c.nodes(), []);
}

#[tokio::test]
async fn a_peer_whose_port_something_else_has_taken_is_found() {
    let met = Arc::new(AtomicU32::new(0));
    let usurper = async |port| {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 27), port)).unwrap();
        let met = Arc::clone(&met);
        std::thread::spawn(move || {
            for _stream in listener.incoming() {
                met.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let (_, away) = moves([26, 27], usurper).await;
    let met = met.load(Ordering::SeqCst);
    assert!(
        met == 1 || away > Duration::from_millis(900),
        "after {away:?}"
    );
}
