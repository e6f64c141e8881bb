//! Our registration, and the embedded mode, over loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use enmesh_epmd::{
    Keeper, KeeperConfig, Registration, RegistrationConfig, RegistrationState, Role, Server,
    ServerConfig, kill, names, port_please,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(5);

/// A free port outside of the range that the system hands out, so that it stays free while nobody
/// of us holds it.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 8_000).unwrap();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (start + step * 7) % 10_000;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn registration(alive: &str, epmd: SocketAddr) -> RegistrationConfig {
    let mut config = RegistrationConfig::new(alive, 9000);
    config.epmd = epmd;
    config
}

fn keeper(alive: &str, epmd: SocketAddr) -> Keeper {
    let mut config = KeeperConfig::new(registration(alive, epmd));
    config.server.listen = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    Keeper::start(config)
}

/// A server on `port` until the token is cancelled.
fn serve(port: u16) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let mut config = ServerConfig::default();
    config.listen = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    config.port = port;
    let server = Server::bind(config).unwrap();
    let stop = CancellationToken::new();
    let run = server.run(stop.clone());
    let task = tokio::spawn(async move {
        run.await;
    });
    (stop, task)
}

async fn wait<T>(watched: &mut watch::Receiver<T>, is_wanted: impl FnMut(&T) -> bool) {
    tokio::time::timeout(LIMIT, watched.wait_for(is_wanted))
        .await
        .unwrap()
        .unwrap();
}

fn is_registered(state: &RegistrationState) -> bool {
    matches!(state, RegistrationState::Registered { .. })
}

/// Waits until whoever serves knows these names.
async fn wait_names(epmd: SocketAddr, wanted: &[&str]) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let found = names(epmd, LIMIT).await.unwrap_or_default();
        if found
            .iter()
            .map(|(name, _)| name.as_str())
            .eq(wanted.iter().copied())
        {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?} instead of {wanted:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_registration_outlives_its_epmd_and_keeps_its_creation() {
    let port = free_port();
    let node = Registration::start(registration("a", local(port)));
    let mut state = node.state();
    wait(&mut state, |state| {
        matches!(state, RegistrationState::Retrying { .. })
    })
    .await;
    let (stop, task) = serve(port);
    let creation = node.registered().await.unwrap();
    stop.cancel();
    wait(&mut state, |state| !is_registered(state)).await;
    task.await.unwrap();
    // A server that knows nothing of the past begins at the clock's second, so that in the next
    // one it gives another creation, which is not ours to take.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let (_stop, _task) = serve(port);
    wait(&mut state, is_registered).await;
    assert_eq!(node.registered().await.unwrap(), creation);
    assert!(
        port_please(local(port), "a", LIMIT)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn stopping_ends_a_registration_that_never_came_about() {
    let node = Registration::start(registration("a", local(free_port())));
    let state = node.state();
    tokio::time::timeout(LIMIT, node.stop()).await.unwrap();
    // The task is gone, and with it the sender.
    assert!(state.has_changed().is_err());
}

#[tokio::test]
async fn an_epmd_that_closes_at_once_is_not_stormed() {
    let listener = tokio::net::TcpListener::bind(local(0)).await.unwrap();
    let node = Registration::start(registration("a", listener.local_addr().unwrap()));
    let begin = Instant::now();
    for attempt in 0_u64.. {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 16];
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(b"\x76\x00\x00\x00\x00\x07").await.unwrap();
        // A second lies between two attempts; without it there would be thousands.
        let passed = begin.elapsed();
        assert!(
            attempt <= passed.as_secs(),
            "attempt {attempt} after {passed:?}"
        );
        if attempt == 2 {
            break;
        }
    }
    assert_eq!(
        node.registered().await.map(|creation| creation.get()),
        Some(7)
    );
}

#[tokio::test(start_paused = true)]
async fn a_mute_epmd_is_given_up_in_time_and_tried_again() {
    let listener = tokio::net::TcpListener::bind(local(0)).await.unwrap();
    let node = Registration::start(registration("a", listener.local_addr().unwrap()));
    let begin = Instant::now();
    let mut state = node.state();
    let mut waiting = Box::pin(state.wait_for(|s| matches!(s, RegistrationState::Retrying { .. })));
    tokio::select! {
        retrying = &mut waiting => assert!(retrying.is_ok()),
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("still waiting"),
    }
    assert!(
        (10..=11).contains(&begin.elapsed().as_secs()),
        "{:?}",
        begin.elapsed()
    );
    drop(waiting);
    // Two connections: the one that was given up, and the next.
    for _ in 0..2 {
        listener.accept().await.unwrap();
    }
}

#[tokio::test]
async fn the_first_keeper_serves_and_the_second_takes_over_within_two_seconds() {
    let epmd = local(free_port());
    let first = keeper("a", epmd);
    assert_eq!(*first.role().borrow(), Role::Serving);
    let second = keeper("b", epmd);
    assert_eq!(*second.role().borrow(), Role::Client);
    wait_names(epmd, &["a", "b"]).await;
    let creation = second.registered().await.unwrap();

    let begin = Instant::now();
    first.stop().await;
    wait(&mut second.role(), |role| *role == Role::Serving).await;
    wait_names(epmd, &["b"]).await;
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(second.registered().await.unwrap(), creation);

    // The first comes back and is now the client.
    let first = keeper("a", epmd);
    assert_eq!(*first.role().borrow(), Role::Client);
    wait_names(epmd, &["a", "b"]).await;
    second.stop().await;
    wait_names(epmd, &["a"]).await;
    first.stop().await;
    assert!(names(epmd, LIMIT).await.is_err());
}

#[tokio::test]
async fn a_keeper_that_is_killed_leaves_the_port_and_comes_back() {
    let epmd = local(free_port());
    let mut config = KeeperConfig::new(registration("a", epmd));
    config.server.listen = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    config.server.relaxed = true;
    let keeper = Keeper::start(config);
    keeper.registered().await.unwrap();
    kill(epmd, LIMIT).await.unwrap();
    wait(&mut keeper.role(), |role| *role != Role::Serving).await;
    // Whoever asked for it has the time to serve instead.
    let (stop, task) = serve(epmd.port());
    wait(&mut keeper.role(), |role| *role == Role::Client).await;
    wait_names(epmd, &["a"]).await;
    stop.cancel();
    task.await.unwrap();
    wait(&mut keeper.role(), |role| *role == Role::Serving).await;
    wait_names(epmd, &["a"]).await;
    keeper.stop().await;
}

#[tokio::test]
async fn a_keeper_that_cannot_serve_says_so_and_still_registers() {
    let (epmd, elsewhere) = (local(free_port()), IpAddr::from([192, 0, 2, 1]));
    let mut config = KeeperConfig::new(registration("a", epmd));
    config.server.listen = vec![elsewhere];
    let keeper = Keeper::start(config);
    assert_eq!(*keeper.role().borrow(), Role::Nobody);
    let (_stop, _task) = serve(epmd.port());
    tokio::time::timeout(LIMIT, keeper.registered())
        .await
        .unwrap()
        .unwrap();
}
