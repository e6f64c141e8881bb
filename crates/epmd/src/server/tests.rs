use std::future;

use enmesh_proto::epmd::{NodeType, Request};
use tokio::io::AsyncReadExt as _;

use super::*;
use crate::connection::Origin;

fn server(change: impl FnOnce(&mut ServerConfig)) -> Server {
    let listen = vec![IpAddr::from([127, 0, 0, 1])];
    let mut config = ServerConfig {
        listen,
        port: 0,
        ..ServerConfig::default()
    };
    change(&mut config);
    Server::bind(config).unwrap()
}

/// Both ends of a connection: the server's first.
async fn connection(server: &Server) -> (TcpStream, TcpStream) {
    let address = server.local_addrs()[0];
    let client = TcpStream::connect(address).await.unwrap();
    (server.listeners[0].accept().await.unwrap().0, client)
}

fn node(name: &str) -> NodeInfo {
    NodeInfo::new(name, 4000, NodeType::Visible)
}

fn origin(peer: &str, local: &str) -> Origin {
    let peer = SocketAddr::new(peer.parse().unwrap(), 1);
    Origin {
        peer,
        local: Some(local.parse().unwrap()),
    }
}

fn here() -> Origin {
    origin("127.0.0.1", "127.0.0.1")
}

/// Lets a connection's task answer, and reads what it answers first.
async fn answer_of(mut client: TcpStream) -> Vec<u8> {
    let mut answer = vec![0; 6];
    match client.read_exact(&mut answer).await {
        Ok(_) => answer,
        Err(_) => Vec::new(),
    }
}

#[tokio::test]
async fn a_dead_connection_is_reaped_before_its_name_is_refused() {
    let mut server = server(|_| ());
    let (first, client) = connection(&server).await;
    server.handle_request(first, here(), Request::Alive2(node("a")), 0);
    drop(client);
    // No task has run since: only the system knows of the end.
    let (second, client) = connection(&server).await;
    server.handle_request(second, here(), Request::Alive2(node("a")), 0);
    assert_eq!(answer_of(client).await[..2], [b'v', 0]);
}

#[tokio::test]
async fn a_living_connection_keeps_its_name() {
    let mut server = server(|_| ());
    let (first, _client) = connection(&server).await;
    server.handle_request(first, here(), Request::Alive2(node("a")), 0);
    let (second, client) = connection(&server).await;
    server.handle_request(second, here(), Request::Alive2(node("a")), 0);
    assert_eq!(answer_of(client).await, [b'v', 1, 0, 0, 0, 99]);
}

#[tokio::test]
async fn another_host_registers_and_commands_nothing() {
    let away = || origin("10.0.0.2", "10.0.0.1");
    for request in [
        Request::Alive2(node("a")),
        Request::Dump,
        Request::Kill,
        Request::Stop { name: "a".into() },
    ] {
        let mut server = server(|config| config.relaxed = true);
        let (stream, client) = connection(&server).await;
        server.handle_request(stream, away(), request.clone(), 0);
        assert!(
            server.names.is_empty() && server.connections.is_empty(),
            "{request:?}"
        );
        assert!(answer_of(client).await.is_empty(), "{request:?}");
    }
}

#[tokio::test]
async fn this_host_registers_by_any_of_its_addresses() {
    for (peer, local) in [
        ("127.0.0.9", "127.0.0.1"),
        ("::1", "::1"),
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
    ] {
        let mut server = server(|_| ());
        let (stream, _client) = connection(&server).await;
        server.handle_request(stream, origin(peer, local), Request::Alive2(node("a")), 0);
        assert!(!server.names.is_empty(), "{peer}");
    }
}

#[tokio::test]
async fn an_older_node_gets_a_short_creation() {
    let mut server = server(|_| ());
    let (stream, mut client) = connection(&server).await;
    server.handle_request(
        stream,
        here(),
        Request::Alive2(NodeInfo {
            high: 5,
            ..node("a")
        }),
        0,
    );
    let mut answer = [0; 4];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..3], [b'y', 0, 0]);
    assert!((1..=3).contains(&answer[3]), "{answer:?}");
}

#[tokio::test]
async fn one_host_and_all_other_hosts_have_their_limits() {
    let peer = |last: u8| IpAddr::from([10, 0, 0, last]);
    let local = IpAddr::from([127, 0, 0, 1]);
    let mut server = server(|config| {
        config.max_connections = 10;
        config.max_per_peer = 2;
    });
    let fill = |server: &mut Server, peer| {
        assert_eq!(server.admit(peer), Ok(()));
        server.spawn(peer, future::pending());
    };
    fill(&mut server, peer(1));
    fill(&mut server, peer(1));
    assert_eq!(
        server.admit(peer(1)),
        Err("too many connections of this address")
    );
    for last in [2, 2, 3] {
        fill(&mut server, peer(last));
    }
    assert_eq!(
        server.admit(peer(4)),
        Err("too many connections of other hosts")
    );
    for _ in 0..5 {
        fill(&mut server, local);
    }
    assert_eq!(server.admit(local), Err("too many connections"));
}

#[tokio::test]
async fn a_connection_that_ends_makes_room() {
    let mut server = server(|config| config.max_connections = 1);
    let local = IpAddr::from([127, 0, 0, 1]);
    server.spawn(local, async { Outcome::Closed });
    assert!(server.admit(local).is_err());
    let ended = server.tasks.join_next_with_id().await.unwrap();
    server.handle_outcome(ended, 0);
    assert_eq!(server.admit(local), Ok(()));
}
