//! The server, asked by our own client and by raw bytes, over loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use enmesh_epmd::{
    Ended, EpmdError, NodeInfo, NodeType, Registration, RegistrationConfig, RegistrationState,
    Server, ServerConfig, dump, kill, names, port_please, stop,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(5);

struct Running {
    epmd: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Ended>,
}

fn start(change: impl FnOnce(&mut ServerConfig)) -> Running {
    let mut config = ServerConfig::default();
    config.listen = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    config.port = 0;
    change(&mut config);
    let server = Server::bind(config).unwrap();
    let epmd = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    let stop = CancellationToken::new();
    let task = tokio::spawn(server.run(stop.clone()));
    Running { epmd, stop, task }
}

async fn registered(epmd: SocketAddr, alive: &str, port: u16) -> Registration {
    let mut config = RegistrationConfig::new(alive, port);
    config.epmd = epmd;
    let registration = Registration::start(config);
    tokio::time::timeout(LIMIT, registration.registered())
        .await
        .unwrap()
        .unwrap();
    registration
}

/// Waits until the server knows these names and no others.
async fn wait_names(epmd: SocketAddr, wanted: &[(&str, u16)]) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let found = names(epmd, LIMIT).await.unwrap();
        let same = found
            .iter()
            .map(|(name, port)| (name.as_str(), *port))
            .eq(wanted.iter().copied());
        if same {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?} instead of {wanted:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends raw bytes and reads until the server closes.
async fn raw(epmd: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(epmd).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A close with bytes of ours unread arrives as a reset.
    let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    answer
}

#[tokio::test]
async fn a_registered_name_is_found_and_listed_until_its_node_stops() {
    let server = start(|_| ());
    let mut config = RegistrationConfig::new("käse", 9001);
    config.epmd = server.epmd;
    config.node_type = NodeType::Hidden;
    let node = Registration::start(config);
    tokio::time::timeout(LIMIT, node.registered())
        .await
        .unwrap()
        .unwrap();
    let other = registered(server.epmd, "a", 9000).await;
    assert_eq!(
        port_please(server.epmd, "käse", LIMIT).await.unwrap(),
        Some(NodeInfo::new("käse", 9001, NodeType::Hidden))
    );
    assert_eq!(port_please(server.epmd, "b", LIMIT).await.unwrap(), None);
    wait_names(server.epmd, &[("a", 9000), ("käse", 9001)]).await;
    node.stop().await;
    wait_names(server.epmd, &[("a", 9000)]).await;
    other.stop().await;
    wait_names(server.epmd, &[]).await;
}

#[tokio::test]
async fn any_byte_on_a_registration_ends_it() {
    let server = start(|_| ());
    let mut stream = TcpStream::connect(server.epmd).await.unwrap();
    // ALIVE2_REQ: port 9000, visible, TCP, versions 6 and 5, "a", nothing extra.
    stream
        .write_all(b"\x00\x0e\x78\x23\x28\x4d\x00\x00\x06\x00\x05\x00\x01a\x00\x00")
        .await
        .unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..2], [b'v', 0]);
    wait_names(server.epmd, &[("a", 9000)]).await;
    stream.write_all(b"!").await.unwrap();
    wait_names(server.epmd, &[]).await;
}

#[tokio::test]
async fn creations_of_a_name_rise() {
    let server = start(|_| ());
    let mut last = 0;
    for _ in 0..5 {
        let node = registered(server.epmd, "a", 1).await;
        let creation = node.registered().await.unwrap().get();
        assert!(creation >= 4 && creation > last, "{creation} after {last}");
        last = creation;
        node.stop().await;
    }
}

#[tokio::test]
async fn a_name_in_use_is_refused_until_it_is_free() {
    let server = start(|_| ());
    let first = registered(server.epmd, "a", 1).await;
    let mut config = RegistrationConfig::new("a", 2);
    config.epmd = server.epmd;
    let second = Registration::start(config);
    let mut state = second.state();
    let refused =
        |state: &RegistrationState| matches!(state, RegistrationState::Refused { result: 1 });
    tokio::time::timeout(LIMIT, state.wait_for(refused))
        .await
        .unwrap()
        .unwrap();
    first.stop().await;
    tokio::time::timeout(LIMIT, second.registered())
        .await
        .unwrap()
        .unwrap();
    wait_names(server.epmd, &[("a", 2)]).await;
}

#[tokio::test]
async fn a_full_table_refuses() {
    let server = start(|config| config.max_names = 1);
    let _first = registered(server.epmd, "a", 1).await;
    let answer = raw(
        server.epmd,
        b"\x00\x0e\x78\x23\x28\x4d\x00\x00\x06\x00\x05\x00\x01b\x00\x00",
    )
    .await;
    assert_eq!(answer, [b'v', 1, 0, 0, 0, 99]);
}

#[tokio::test]
async fn answers_are_closed_and_rubbish_is_closed_without_one() {
    let server = start(|_| ());
    // erl_dist_protocol, "Get the Distribution Port of a Node" and "Get All Registered Names".
    assert_eq!(raw(server.epmd, b"\x00\x02\x7aa").await, [119, 1]);
    let port = u32::from(server.epmd.port()).to_be_bytes();
    assert_eq!(raw(server.epmd, b"\x00\x01\x6e").await, port);
    for rubbish in [
        &b"\x00\x00"[..],
        b"\x00\x01\xff",
        b"\xff\xff\x7a",
        b"\x00\x01\x6e\x6e",
        b"\x00\x01\x7a",
    ] {
        assert_eq!(raw(server.epmd, rubbish).await, b"", "{rubbish:?}");
    }
    assert_eq!(raw(server.epmd, b"\x00\x01\x6e").await, port);
}

#[tokio::test]
async fn a_request_in_single_bytes_is_answered() {
    let server = start(|_| ());
    let mut stream = TcpStream::connect(server.epmd).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"\x00\x02\x7aa" {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [119, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_after_ten_seconds() {
    let server = start(|_| ());
    let before = Instant::now();
    let mut stream = TcpStream::connect(server.epmd).await.unwrap();
    stream.write_all(b"\x00\x02").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty());
    let took = before.elapsed();
    assert!((10..=11).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn connections_above_the_limit_are_closed() {
    let server = start(|config| config.max_connections = 2);
    let _first = registered(server.epmd, "a", 1).await;
    let mut silent = TcpStream::connect(server.epmd).await.unwrap();
    // The third is closed, the second still waits for its request.
    assert_eq!(raw(server.epmd, b"").await, b"");
    silent.write_all(b"\x00\x02\x7aa").await.unwrap();
    let mut answer = [0; 8];
    assert!(silent.read(&mut answer).await.unwrap() > 2);
    assert_eq!(answer[..2], [119, 0]);
}

#[tokio::test]
async fn it_is_not_killed_while_nodes_are_registered() {
    let server = start(|_| ());
    let node = registered(server.epmd, "a", 1).await;
    assert!(matches!(
        kill(server.epmd, LIMIT).await,
        Err(EpmdError::Refused { .. })
    ));
    node.stop().await;
    wait_names(server.epmd, &[]).await;
    kill(server.epmd, LIMIT).await.unwrap();
    let ended = tokio::time::timeout(LIMIT, server.task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended, Ended::Killed);
}

#[tokio::test]
async fn a_relaxed_one_stops_names_and_is_killed_with_them() {
    let server = start(|config| config.relaxed = true);
    let node = registered(server.epmd, "a", 1).await;
    let mut state = node.state();
    assert!(stop(server.epmd, "a", LIMIT).await.unwrap());
    let lost = |state: &RegistrationState| matches!(state, RegistrationState::Retrying { .. });
    tokio::time::timeout(LIMIT, state.wait_for(lost))
        .await
        .unwrap()
        .unwrap();
    assert!(!stop(server.epmd, "b", LIMIT).await.unwrap());
    kill(server.epmd, LIMIT).await.unwrap();
    assert_eq!(server.task.await.unwrap(), Ended::Killed);
}

#[tokio::test]
async fn a_strict_one_does_not_even_answer_a_stop() {
    let server = start(|_| ());
    let _node = registered(server.epmd, "a", 1).await;
    assert!(matches!(
        stop(server.epmd, "a", LIMIT).await,
        Err(EpmdError::Closed { .. })
    ));
    wait_names(server.epmd, &[("a", 1)]).await;
}

#[tokio::test]
async fn a_dump_tells_living_and_former_names() {
    let server = start(|_| ());
    registered(server.epmd, "old", 1).await.stop().await;
    wait_names(server.epmd, &[]).await;
    let _node = registered(server.epmd, "new", 7).await;
    let text = dump(server.epmd, LIMIT).await.unwrap();
    assert!(
        text.contains("active name     <new> at port 7, fd = "),
        "{text}"
    );
    assert!(text.contains("old/unused name <old>"), "{text}");
}

#[tokio::test]
async fn cancelling_closes_everything() {
    let server = start(|_| ());
    let node = registered(server.epmd, "a", 1).await;
    server.stop.cancel();
    assert_eq!(server.task.await.unwrap(), Ended::Cancelled);
    let lost = |state: &RegistrationState| matches!(state, RegistrationState::Retrying { .. });
    tokio::time::timeout(LIMIT, node.state().wait_for(lost))
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(
        names(server.epmd, LIMIT).await,
        Err(EpmdError::Unreachable { .. })
    ));
}
