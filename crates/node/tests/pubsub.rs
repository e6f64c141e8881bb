//! Phoenix.PubSub between visible Rust members.

#[path = "loopback/loopback.rs"]
mod loopback;
#[path = "loopback/visible.rs"]
mod visible;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use enmesh::{Atom, Cookie, Node, Pid, PubSubError, PubSubOptions, SendError, Subscription, Term};
use enmesh_identity::Creation;
use enmesh_proto::{Action, Control, Link, LinkConfig, LocalNode, Question, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::loopback::{PATIENCE, free_port, name};
use crate::visible::{until, visible};

const SCOPE: &str = "Elixir.Phoenix.PubSub";

#[tokio::test]
async fn what_is_broadcast_reaches_the_subscribers_of_the_topic_on_all_nodes() {
    let port = free_port();
    let (one, other) = (visible(2, port).await, visible(3, port).await);
    let (here, there) = (
        one.pubsub("MyApp.PubSub").unwrap(),
        other.pubsub("MyApp.PubSub").unwrap(),
    );
    let mut own = here.subscribe("orders").unwrap();
    let mut far = there.subscribe("orders").unwrap();
    let mut elsewhere = there.subscribe("invoices").unwrap();
    one.connect(name(3)).await.unwrap();
    let scope = other.pg(SCOPE).unwrap();
    let group = Term::atom("Elixir.MyApp.PubSub.Adapter");
    until(2, || scope.members(&group).len()).await;
    until(2, || {
        let scope = one.pg(SCOPE).unwrap();
        scope.members(&group).len()
    })
    .await;

    here.broadcast("orders", &("created", 42)).await.unwrap();
    for subscription in [&mut own, &mut far] {
        let message = timeout(PATIENCE, subscription.recv()).await.unwrap();
        let (word, id): (String, i64) = message.unwrap().decode().unwrap();
        assert_eq!((word.as_str(), id), ("created", 42));
    }
    here.broadcast("invoices", "paid").await.unwrap();
    let message = timeout(PATIENCE, elsewhere.recv()).await.unwrap().unwrap();
    assert_eq!(message.decode::<String>().unwrap(), "paid");

    // With its last handle gone a node is out of the PubSub.
    drop((there, far, elsewhere));
    until(1, || {
        let scope = one.pg(SCOPE).unwrap();
        scope.members(&group).len()
    })
    .await;
    let again = other.pubsub("MyApp.PubSub").unwrap();
    drop(again);
}

fn of_four() -> PubSubOptions {
    PubSubOptions::default().pool_size(4)
}

/// How many members each group of a pool of four has, as `node` sees it.
fn members(node: &Node) -> [usize; 4] {
    let scope = node.pg(SCOPE).unwrap();
    [1, 2, 3, 4].map(|worker| {
        let number = if worker > 1 {
            format!("_{worker}")
        } else {
            String::new()
        };
        let group = Atom::new(&format!("Elixir.MyApp.PubSub.Adapter{number}"));
        scope.members(&group.unwrap()).len()
    })
}

async fn number(subscription: &mut Subscription) -> i64 {
    let message = timeout(PATIENCE, subscription.recv()).await.unwrap();
    message.unwrap().decode().unwrap()
}

#[tokio::test]
async fn every_worker_of_a_pool_carries_something_and_each_handle_is_in_order() {
    let port = free_port();
    let (one, other) = (visible(2, port).await, visible(3, port).await);
    let here = one.pubsub_with("MyApp.PubSub", &of_four()).unwrap();
    let there = other.pubsub_with("MyApp.PubSub", &of_four()).unwrap();
    let mut far = there.subscribe("orders").unwrap();
    one.connect(name(3)).await.unwrap();
    until([2; 4], || members(&one)).await;
    let mut handles = Vec::new();
    for _ in 0..16 {
        handles.push(here.clone());
    }
    for round in 0..20_i64 {
        for (handle, number) in handles.iter().zip(0_i64..) {
            let number = number * 1_000 + round;
            handle.broadcast("orders", &number).await.unwrap();
        }
    }
    let mut next = [0; 16];
    for _ in 0..20 * 16 {
        let number = number(&mut far).await;
        let handle = usize::try_from(number / 1_000).unwrap();
        assert_eq!(number % 1_000, next[handle], "handle {handle}");
        next[handle] += 1;
    }
    assert_eq!(next, [20; 16]);

    // Without a group a quarter of the senders is not heard, and no more: each carries its part.
    let scope = other.pg(SCOPE).unwrap();
    let group = Term::atom("Elixir.MyApp.PubSub.Adapter_3");
    let worker = scope.local_members(&group)[0].clone();
    assert!(scope.leave(&group, &worker));
    until([2, 2, 1, 2], || members(&one)).await;
    for (handle, number) in handles.iter().zip(0_i64..) {
        handle.broadcast("orders", &number).await.unwrap();
    }
    // What goes to one node by name asks no group.
    for handle in &handles {
        handle
            .direct_broadcast(&name(3), "orders", &-1)
            .await
            .unwrap();
    }
    let (mut heard, mut direct) = (0, 0);
    while direct < 16 {
        match number(&mut far).await {
            -1 => direct += 1,
            _ => heard += 1,
        }
    }
    assert!((4..16).contains(&heard), "{heard} of 16 senders");
}

#[tokio::test]
async fn who_says_it_one_node_alone_and_we_alone() {
    let port = free_port();
    let (one, other) = (visible(2, port).await, visible(3, port).await);
    let here = one.pubsub_with("MyApp.PubSub", &of_four()).unwrap();
    let there = other.pubsub_with("MyApp.PubSub", &of_four()).unwrap();
    let mut speaker = here.subscribe("orders").unwrap();
    let mut own = here.subscribe("orders").unwrap();
    let mut far = there.subscribe("orders").unwrap();
    one.connect(name(3)).await.unwrap();
    until([2; 4], || members(&one)).await;
    here.broadcast_from(&speaker, "orders", &1).await.unwrap();
    here.direct_broadcast(&name(3), "orders", &2).await.unwrap();
    here.direct_broadcast(&name(2), "orders", &3).await.unwrap();
    here.local_broadcast("orders", &4);
    here.broadcast("orders", &5).await.unwrap();
    for (subscription, wanted) in [
        (&mut speaker, vec![3, 4, 5]),
        (&mut own, vec![1, 3, 4, 5]),
        (&mut far, vec![1, 2, 5]),
    ] {
        for wanted in wanted {
            assert_eq!(number(subscription).await, wanted);
        }
    }
}

#[tokio::test]
async fn who_opens_it_again_shares_it_until_the_last_handle_is_gone() {
    let port = free_port();
    let node = visible(2, port).await;
    let first = node.pubsub("MyApp.PubSub").unwrap();
    let second = node.pubsub("Elixir.MyApp.PubSub").unwrap();
    let mut orders = first.subscribe("orders").unwrap();
    second.broadcast("orders", &1).await.unwrap();
    assert_eq!(number(&mut orders).await, 1);
    let other = node.pubsub_with("MyApp.PubSub", &of_four());
    assert!(matches!(other, Err(PubSubError::OtherPool)), "{other:?}");
    drop((first, orders));
    let mut orders = second.subscribe("orders").unwrap();
    second.broadcast("orders", &2).await.unwrap();
    assert_eq!(number(&mut orders).await, 2);
    // A subscription is enough to hold it open.
    drop(second);
    let other = node.pubsub_with("MyApp.PubSub", &of_four());
    assert!(matches!(other, Err(PubSubError::OtherPool)), "{other:?}");
    drop(orders);
    assert_eq!(members(&node), [0; 4]);
    let other = node.pubsub_with("MyApp.PubSub", &of_four()).unwrap();
    assert_eq!(members(&node), [1; 4]);
    drop(other);
    // Somebody has ended a worker: who opens it then has a whole one.
    let half = node.pubsub_with("MyApp.PubSub", &of_four()).unwrap();
    let scope = node.pg(SCOPE).unwrap();
    let worker = scope.local_members(&Term::atom("Elixir.MyApp.PubSub.Adapter_2"));
    node.process().exit_other(&worker[0], Term::atom("kill"));
    until([1, 0, 1, 1], || members(&node)).await;
    let whole = node.pubsub_with("MyApp.PubSub", &of_four()).unwrap();
    assert_eq!(members(&node), [1; 4]);
    drop(half);
    assert_eq!(members(&node), [1; 4]);
    drop(whole);
    assert_eq!(members(&node), [0; 4]);
    node.shutdown().await;
    let late = node.pubsub("MyApp.PubSub");
    assert!(matches!(late, Err(PubSubError::Mailbox(_))), "{late:?}");
}

/// A visible peer that says these messages to registered processes of `member`, and then neither
/// writes nor reads any more.
async fn frozen(member: &Node, pid: &Pid, said: Vec<(&'static str, Term)>) -> TcpStream {
    let local = LocalNode {
        name: pid.node().as_str().parse().unwrap(),
        creation: Creation::from_seed(pid.creation()),
        visible: true,
    };
    let config = Arc::new(LinkConfig::new(local, Cookie::new("secret").unwrap()));
    let there = SocketAddr::new(Ipv4Addr::new(127, 0, 0, 2).into(), member.port());
    let mut stream = TcpStream::connect(there).await.unwrap();
    let now = Instant::now();
    let mut link = Link::dial(now, config, member.name().clone(), 7);
    let mut inbox = BytesMut::new();
    while !link.is_up() {
        if let Some(output) = link.take_output(now) {
            stream.write_all(&output).await.unwrap();
        }
        let read = timeout(PATIENCE, stream.read_buf(&mut inbox)).await;
        assert_ne!(read.unwrap().unwrap(), 0, "closed in the handshake");
        link.handle_bytes(now, &mut inbox).unwrap();
        while let Some(action) = link.poll_action() {
            if let Action::Ask(Question::Authenticated(_)) = action {
                link.handle_verdict(now, Verdict::Admit).unwrap();
            }
        }
    }
    for (name, message) in said {
        let control = Control::RegSend {
            from: pid.clone(),
            to: Atom::from_static(name),
            token: None,
        };
        let payload = Bytes::from(enmesh_term::encode_bare(&message));
        link.send(0, &control, Some(payload)).unwrap();
    }
    while let Some(output) = link.take_output(now) {
        stream.write_all(&output).await.unwrap();
    }
    stream
}

#[tokio::test]
async fn a_node_that_does_not_read_holds_up_no_broadcast_to_the_others() {
    let port = free_port();
    let (one, other) = (visible(2, port).await, visible(3, port).await);
    let here = one.pubsub("MyApp.PubSub").unwrap();
    let there = other.pubsub("MyApp.PubSub").unwrap();
    let mut far = there.subscribe("orders").unwrap();
    one.connect(name(3)).await.unwrap();
    let group = Term::atom("Elixir.MyApp.PubSub.Adapter");
    let scope = one.pg(SCOPE).unwrap();
    until(2, || scope.members(&group).len()).await;

    // Its scope process and its worker are one, which sorts before everybody.
    let pid = Pid::new(Atom::from_static("a@127.0.0.1"), 1, 0, 9);
    let discover = Term::tuple([Term::atom("discover"), pid.clone().into()]);
    let members = Term::tuple([group.clone(), Term::List(vec![pid.clone().into()])]);
    let sync = [
        Term::atom("sync"),
        pid.clone().into(),
        Term::List(vec![members]),
    ];
    let sync = Term::tuple([Term::atom("$gen_cast"), Term::tuple(sync)]);
    let _stream = frozen(&one, &pid, vec![(SCOPE, discover), (SCOPE, sync)]).await;
    until(3, || scope.members(&group).len()).await;
    let filler = one.anonymous_mailbox().unwrap();
    let much = Term::binary(vec![7; 32 * 1024]);
    let deadline = Instant::now() + PATIENCE;
    let mut busy = 0;
    while busy < 20 {
        assert!(Instant::now() < deadline, "nobody reads");
        match filler.try_send(&pid, &much) {
            Ok(()) => busy = 0,
            Err(SendError::Busy) => {
                busy += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    tokio::select! {
        biased;
        message = timeout(PATIENCE, far.recv()) => {
            assert_eq!(message.unwrap().unwrap().term().unwrap(), Term::Int(7));
        }
        sent = here.broadcast("orders", &Term::Int(7)) => panic!("one does not read: {sent:?}"),
    }
}
