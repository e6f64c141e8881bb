//! Sources on the multicast group of loopback, each test on a port of its own.

use std::net::{Ipv4Addr, UdpSocket};

use enmesh_identity::Creation;
use enmesh_membership::GossipAuth;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::*;

const GROUP: Ipv4Addr = Ipv4Addr::new(233, 252, 1, 32);

/// A port that nobody else has just now.
fn free_port() -> u16 {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn config(port: u16) -> GossipConfig {
    GossipConfig {
        port,
        multicast_if: Some("127.0.0.1".to_owned()),
        ..GossipConfig::default()
    }
}

fn context(name: &str) -> SourceContext {
    let context = SourceContext::new(name.parse().unwrap());
    context.with_creation(Creation::from_seed(7))
}

fn source(name: &str, config: &GossipConfig) -> GossipSource {
    GossipSource::new(config, config.secret.as_ref(), &context(name))
}

/// What is said next, in words; `nothing new` for an answer that names nobody.
async fn said(source: &mut GossipSource) -> String {
    let next = tokio::time::timeout(Duration::from_secs(100), source.next());
    match next.await.expect("an update in time") {
        Update::Changed { present, gone } if present.len() + gone.len() == 0 => {
            "nothing new".into()
        }
        Update::Changed { present, gone } => {
            let present = present
                .iter()
                .map(|seen| format!("{} {:?}", seen.name(), seen.standing));
            let gone = gone.iter().map(|name| format!("{name} gone"));
            present.chain(gone).collect::<Vec<_>>().join(", ")
        }
        Update::Failed(failure) => format!("failed: {failure}"),
        other => panic!("{other:?}"),
    }
}

async fn quiet(source: &mut GossipSource, time: Duration) {
    if let Ok(update) = tokio::time::timeout(time, source.next()).await {
        panic!("{update:?}");
    }
}

/// Somebody who is no source of ours, in the group.
fn stranger(port: u16) -> UdpSocket {
    let mut config = config(port);
    config.multicast_ttl = 0;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    let address = std::net::SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    socket.bind(&address.into()).unwrap();
    socket
        .join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST)
        .unwrap();
    socket.into()
}

fn packets(socket: &UdpSocket) -> Vec<Vec<u8>> {
    let mut buffer = [0; 2048];
    std::iter::from_fn(|| {
        socket
            .recv(&mut buffer)
            .ok()
            .map(|length| buffer[..length].to_vec())
    })
    .collect()
}

/// libcluster, gossip_test.exs: "starts GenServer and connects nodes". It asks only that the process
/// lives on a machine without this interface.
#[tokio::test]
async fn starts_gen_server_and_connects_nodes() {
    let secret = Secret::new("password");
    let config = GossipConfig {
        if_addr: Ipv4Addr::LOCALHOST.into(),
        multicast_if: Some("192.168.1.1".to_owned()),
        secret: Some(secret),
        ..GossipConfig::default()
    };
    let mut source = source("a@127.0.0.1", &config);
    let failed = said(&mut source).await;
    assert!(
        failed.starts_with("failed: interface 192.168.1.1 is not here"),
        "{failed}"
    );
    let begin = Instant::now();
    assert_eq!(said(&mut source).await, failed);
    assert!(
        begin.elapsed() >= Duration::from_millis(300),
        "it waits before it tries again"
    );
}

#[tokio::test(start_paused = true)]
async fn two_on_one_machine_hear_each_other_and_goodbye() {
    for auth in [GossipAuth::Accept, GossipAuth::Require] {
        let config = GossipConfig {
            secret: Some(Secret::new("somepassword")),
            auth,
            ..config(free_port())
        };
        let mut a = source("a@127.0.0.1", &config);
        let mut b = source("b@127.0.0.1", &config);
        assert_eq!(said(&mut a).await, "nothing new");
        assert_eq!(said(&mut b).await, "nothing new");
        let (by_a, by_b) = tokio::join!(said(&mut a), said(&mut b));
        assert_eq!((&*by_a, &*by_b), ("b@127.0.0.1 Ready", "a@127.0.0.1 Ready"));
        b.farewell().await;
        assert_eq!(said(&mut a).await, "b@127.0.0.1 gone");
        // What of it comes twice says nothing new.
        quiet(&mut a, Duration::from_secs(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_heartbeat_comes_at_once_and_the_next_within_five_seconds() {
    let config = config(free_port());
    let ear = stranger(config.port);
    let mut a = source("a@127.0.0.1", &config);
    assert_eq!(said(&mut a).await, "nothing new");
    let begin = Instant::now();
    let mut heard = Vec::new();
    while heard.is_empty() {
        // The system has to say first that the socket can be written to; no time passes meanwhile.
        quiet(&mut a, Duration::ZERO).await;
        heard = packets(&ear);
        tokio::task::yield_now().await;
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
    let plain = b"heartbeat::\x83\x74\0\0\0\x01\x77\x04node\x77\x0ba@127.0.0.1";
    assert_eq!(heard, [plain.to_vec()]);
    let mut all = 0;
    for _ in 0..40 {
        quiet(&mut a, Duration::from_millis(5_001)).await;
        let heard = packets(&ear).len();
        assert!(heard >= 1, "five seconds without a heartbeat");
        all += heard;
    }
    // The mean pause is 2.5 s.
    assert!((50..=130).contains(&all), "{all} heartbeats in 200 s");
    // Nothing proves a goodbye without a secret, so none is said.
    a.farewell().await;
    assert_eq!(packets(&ear).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_heard_for_a_minute_is_silent_and_never_gone() {
    let config = config(free_port());
    let mut a = source("a@127.0.0.1", &config);
    let mouth = stranger(config.port);
    let heartbeat = b"heartbeat::\x83\x74\0\0\0\x01\x64\0\x04node\x64\0\x03b@h";
    assert_eq!(said(&mut a).await, "nothing new");
    let begin = Instant::now();
    for standing in ["Ready", "Silent", "Ready"] {
        if standing == "Ready" {
            mouth.send_to(heartbeat, (GROUP, config.port)).unwrap();
        }
        assert_eq!(said(&mut a).await, format!("b@h {standing}"));
    }
    let since = begin.elapsed().as_secs();
    assert!((60..=62).contains(&since), "{since} s");
    assert_eq!(said(&mut a).await, "b@h Silent");
    quiet(&mut a, Duration::from_secs(3_000)).await;
}

#[tokio::test(start_paused = true)]
async fn who_only_looks_hears_all_and_says_nothing() {
    let config = GossipConfig {
        secret: Some(Secret::new("somepassword")),
        ..config(free_port())
    };
    let ear = stranger(config.port);
    let looking = SourceContext::new("look@h".parse().unwrap());
    let mut look = GossipSource::new(&config, config.secret.as_ref(), &looking);
    let mut a = source("a@h", &config);
    assert_eq!(said(&mut look).await, "nothing new");
    assert_eq!(said(&mut a).await, "nothing new");
    let heard = tokio::select! {
        biased;
        update = said(&mut a) => panic!("{update}"),
        heard = said(&mut look) => heard,
    };
    assert_eq!(heard, "a@h Ready");
    assert!(!packets(&ear).is_empty());
    quiet(&mut look, Duration::from_secs(30)).await;
    look.farewell().await;
    assert_eq!(packets(&ear).len(), 0);
}

#[tokio::test]
async fn a_port_that_is_not_shared_is_a_failure_until_it_is_free() {
    let greedy = UdpSocket::bind("0.0.0.0:0").unwrap();
    let config = config(greedy.local_addr().unwrap().port());
    let mut a = source("a@h", &config);
    let failed = said(&mut a).await;
    assert!(
        failed.starts_with("failed: cannot listen on 0.0.0.0:"),
        "{failed}"
    );
    drop(greedy);
    assert_eq!(said(&mut a).await, "nothing new");
}

/// In real time: the flood goes on from a thread of its own.
#[tokio::test]
async fn a_flood_of_garbage_keeps_nobody_from_being_heard() {
    let config = GossipConfig {
        secret: Some(Secret::new("somepassword")),
        ..config(free_port())
    };
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flood = std::thread::spawn({
        let (stop, port) = (std::sync::Arc::clone(&stop), config.port);
        move || {
            // Another address than the members': garbage counts by where it comes from.
            let mouth = UdpSocket::bind("127.0.0.9:0").unwrap();
            let options = socket2::SockRef::from(&mouth);
            options.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..20 {
                    let _ = mouth.send_to(b"heartbeat::junk", (GROUP, port));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let mut a = source("a@h", &config);
    let mut b = source("b@h", &config);
    assert_eq!(said(&mut a).await, "nothing new");
    assert_eq!(said(&mut b).await, "nothing new");
    let (by_a, by_b) = tokio::join!(said(&mut a), said(&mut b));
    stop.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    assert_eq!((&*by_a, &*by_b), ("b@h Ready", "a@h Ready"));
}

#[test]
fn milliseconds_rise_however_often_they_are_asked() {
    let mut last = 0;
    for _ in 0..10_000 {
        let next = rising_millis();
        assert!(next > last);
        last = next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_packet_leaves_the_source_alive(packet in proptest::collection::vec(any::<u8>(), 0..5_000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let config = config(free_port());
            let mut a = source("a@h", &config);
            said(&mut a).await;
            let mouth = stranger(config.port);
            mouth.send_to(&packet, (GROUP, config.port)).unwrap();
            let b = b"heartbeat::\x83\x74\0\0\0\x01\x64\0\x04node\x64\0\x03b@h";
            mouth.send_to(b, (GROUP, config.port)).unwrap();
            assert_eq!(said(&mut a).await, "b@h Ready");
        });
    }
}
