use super::super::config::KubernetesConfig;
use super::super::name_mode::NameMode;
use super::*;
use bytes::{BufMut as _, BytesMut};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(20);

/// What a listener says to whoever comes; nothing closes the connection without a word.
type Script = Arc<Mutex<Vec<u8>>>;

async fn listener(says: Vec<u8>) -> (u16, Script) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script: Script = Arc::new(Mutex::new(says));
    let answer = Arc::clone(&script);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = [0; 64];
            let _ = socket.read(&mut asked).await;
            let says = answer.lock().unwrap().clone();
            let _ = socket.write_all(&says).await;
        }
    });
    (port, script)
}

/// What a node says of itself.
pub(crate) fn node(name: &str) -> Vec<u8> {
    let mut bytes = BytesMut::from(&b"\0\x03sok"[..]);
    bytes.put_u16(u16::try_from(19 + name.len()).unwrap());
    bytes.put_u8(b'N');
    bytes.put_u64(0xD_07DF_7FBD);
    bytes.put_u64(0x1122_3344_0000_0007);
    bytes.put_u16(u16::try_from(name.len()).unwrap());
    bytes.put_slice(name.as_bytes());
    bytes.to_vec()
}

/// What an epmd says of its nodes.
fn epmd(nodes: &[(&str, u16)]) -> Vec<u8> {
    let mut bytes = BytesMut::from(&b"\0\0\x11\x11"[..]);
    for (name, port) in nodes {
        bytes.put_slice(format!("name {name} at port {port}\n").as_bytes());
    }
    bytes.to_vec()
}

fn asker(mode: NameMode, port: &str, epmd_port: u16) -> Asker {
    let config = KubernetesConfig {
        mode,
        port: port.parse().unwrap(),
        ..KubernetesConfig::default()
    };
    let own = "own@127.0.0.9".parse().unwrap();
    Asker::new(
        Arc::new(Naming::new(&config, &own, "cluster.local")),
        epmd_port,
    )
}

fn pod(uid: &str) -> Arc<Seen> {
    Arc::new(Seen {
        uid: Some(uid.into()),
        ..Seen::at(vec!["127.0.0.1".parse().unwrap()], "ns")
    })
}

fn names(peers: &[PeerAddr]) -> Vec<&str> {
    peers.iter().map(|peer| peer.name().as_str()).collect()
}

/// The names that the next pod tells which has other ones than before.
async fn next(asker: &mut Asker) -> Vec<String> {
    let (_, peers) = tokio::time::timeout(SOON, asker.next()).await.unwrap();
    names(&peers).iter().map(ToString::to_string).collect()
}

async fn says_nothing_for(asker: &mut Asker, time: Duration) {
    let news = tokio::time::timeout(time, asker.next()).await;
    assert!(news.is_err(), "{news:?}");
}

#[tokio::test]
async fn a_pod_tells_its_name() {
    let (port, _) = listener(node("queue@somewhere.else")).await;
    let mut asker = asker(NameMode::Ask, &port.to_string(), 1);
    assert_eq!(asker.see(&pod("u1")), []);
    assert!(!asker.has_heard_all());
    let (seen, peers) = asker.next().await;
    assert_eq!(
        (seen, names(&peers)),
        (pod("u1"), vec!["queue@somewhere.else"])
    );
    assert_eq!(peers[0].port(), Some(port));
    assert_eq!(peers[0].address(), Some("127.0.0.1".parse().unwrap()));
    assert!(asker.has_heard_all());
    assert_eq!(names(&asker.see(&pod("u1"))), ["queue@somewhere.else"]);
}

#[tokio::test]
async fn an_epmd_tells_all_nodes_of_a_pod() {
    let nodes = [("api", 40_000), ("queue", 40_001), ("rem-0-api", 40_002)];
    let (port, script) = listener(epmd(&nodes)).await;
    let mut asker = asker(NameMode::Epmd, "epmd", port);
    asker.see(&pod("u1"));
    assert_eq!(next(&mut asker).await, ["api@127.0.0.1", "queue@127.0.0.1"]);
    *script.lock().unwrap() = epmd(&[("api", 40_000), ("new", 40_009), ("queue", 40_001)]);
    let all = ["api@127.0.0.1", "new@127.0.0.1", "queue@127.0.0.1"];
    assert_eq!(next(&mut asker).await, all);
    // An epmd that knows nobody may have been started anew, so nobody is gone by that.
    *script.lock().unwrap() = epmd(&[]);
    says_nothing_for(&mut asker, Duration::from_secs(2)).await;
    assert_eq!(names(&asker.see(&pod("u1"))), all);
}

#[tokio::test]
async fn every_node_that_epmd_lists_is_asked_for_its_name() {
    let (one, _) = listener(node("api@one.example")).await;
    let (other, silence) = listener(Vec::new()).await;
    let (port, _) = listener(epmd(&[("api", one), ("queue", other)])).await;
    let mut asker = asker(NameMode::Ask, "epmd", port);
    asker.see(&pod("u1"));
    assert_eq!(next(&mut asker).await, ["api@one.example"]);
    *silence.lock().unwrap() = node("queue@two.example");
    assert_eq!(
        next(&mut asker).await,
        ["api@one.example", "queue@two.example"]
    );
    // Who tells nothing any more keeps the name that it had.
    *silence.lock().unwrap() = Vec::new();
    says_nothing_for(&mut asker, Duration::from_secs(2)).await;
    *silence.lock().unwrap() = node("else@two.example");
    assert_eq!(
        next(&mut asker).await,
        ["api@one.example", "else@two.example"]
    );
}

#[tokio::test]
async fn a_pod_is_asked_anew_at_once_when_something_happened_to_it() {
    let (port, script) = listener(Vec::new()).await;
    let mut asker = asker(NameMode::Ask, &port.to_string(), 1);
    asker.see(&pod("u1"));
    // By now it waits for longer than a second.
    says_nothing_for(&mut asker, Duration::from_millis(1600)).await;
    *script.lock().unwrap() = node("a@b");
    let restarted = Arc::new(Seen {
        restarts: 1,
        ..Seen::clone(&pod("u1"))
    });
    asker.see(&restarted);
    let news = tokio::time::timeout(Duration::from_millis(500), asker.next()).await;
    assert_eq!(names(&news.unwrap().1), ["a@b"]);
}

#[tokio::test]
async fn who_is_gone_or_going_is_not_asked() {
    let (port, _) = listener(node("a@b")).await;
    let mut asker = asker(NameMode::Ask, &port.to_string(), 1);
    for uid in ["u1", "u2", "u3"] {
        asker.see(&pod(uid));
    }
    asker.forget(&pod("u1").id().unwrap());
    asker.retain(&[pod("u2")]);
    let going = Arc::new(Seen {
        terminating: true,
        ..Seen::clone(&pod("u2"))
    });
    assert_eq!(asker.see(&going), []);
    assert!(asker.has_heard_all());
    says_nothing_for(&mut asker, Duration::from_millis(300)).await;
    assert_eq!((asker.pods.len(), asker.waiting.len()), (1, 0));
}

#[tokio::test]
async fn few_are_asked_at_once_and_all_in_the_end() {
    let (port, _) = listener(node("a@b")).await;
    let mut asker = asker(NameMode::Ask, &port.to_string(), 1);
    let count = 3 * MAX_ASKED_AT_ONCE;
    for number in 0..count {
        asker.see(&pod(&format!("u{number}")));
    }
    for _ in 0..count {
        assert_eq!(next(&mut asker).await, ["a@b"]);
        assert!(asker.asking.len() <= MAX_ASKED_AT_ONCE);
    }
    assert!(asker.has_heard_all());
}

#[tokio::test]
async fn a_question_that_was_put_aside_is_answered_all_the_same() {
    let (port, _) = listener(node("a@b")).await;
    let mut asker = asker(NameMode::Ask, &port.to_string(), 1);
    asker.see(&pod("u1"));
    for _ in 0..100 {
        if let Some((_, peers)) = futures::FutureExt::now_or_never(asker.next()) {
            assert_eq!(names(&peers), ["a@b"]);
            return;
        }
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no answer in a hundred attempts");
}

fn told(names: &[(&str, u16)], silent: &[u16]) -> Told {
    let peer = |(name, port): &(&str, u16)| PeerAddr::new(name.parse().unwrap()).with_port(*port);
    Told {
        peers: names.iter().map(peer).collect(),
        silent: silent.iter().copied().collect(),
    }
}

#[tokio::test]
async fn a_name_is_gone_when_it_was_missed_for_long_or_its_place_has_another() {
    let mut asked = Asked {
        seen: pod("u1"),
        nodes: Vec::new(),
        turn: 1,
        pace: Backoff::default(),
        failures: 0,
        heard: true,
        due: None,
    };
    let begin = Instant::now();
    let mut check = |after: Duration, told: Told, wanted: &[&str]| {
        asked.keep(begin + after, told);
        assert_eq!(names(&asked.peers()), wanted, "after {after:?}");
    };
    let second = Duration::from_secs(1);
    check(
        second,
        told(&[("a@h", 1), ("b@h", 2)], &[]),
        &["a@h", "b@h"],
    );
    check(2 * second, told(&[("a@h", 1)], &[]), &["a@h", "b@h"]);
    check(
        11 * second,
        told(&[("a@h", 1), ("b@h", 2)], &[]),
        &["a@h", "b@h"],
    );
    check(12 * second, told(&[("a@h", 1)], &[2]), &["a@h", "b@h"]);
    check(90 * second, told(&[("a@h", 1)], &[2]), &["a@h", "b@h"]);
    check(91 * second, told(&[("a@h", 1)], &[]), &["a@h", "b@h"]);
    check(101 * second, told(&[("a@h", 1)], &[]), &["a@h"]);
    check(102 * second, told(&[("c@h", 1)], &[]), &["c@h"]);
    check(
        103 * second,
        told(&[("d@h", 3), ("d@h", 4)], &[]),
        &["c@h", "d@h"],
    );
}
