//! Global names, process groups and Phoenix.PubSub between visible Rust members.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use enmesh::{
    Atom, ConnectError, Cookie, DownReason, EpmdMode, Event, Failure, GlobalError, Mailbox, Node,
    NodeName, PgEvent, Pid, Received, SendError, Term, ToTerm,
};
use enmesh_identity::Creation;
use enmesh_proto::{Action, Control, Link, LinkConfig, LocalNode, Question, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// More than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn free_port() -> u16 {
    let any = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    any.local_addr().unwrap().port()
}

fn name(host: u8) -> NodeName {
    format!("n{host}@127.0.0.{host}").parse().unwrap()
}

async fn visible(host: u8, port: u16) -> Node {
    Node::builder(name(host), Cookie::new("secret").unwrap())
        .listen(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)))
        .dist_port(port)
        .epmd(EpmdMode::None)
        .start()
        .await
        .unwrap()
}

/// Waits until `read` gives what is wanted.
async fn until<T: PartialEq + std::fmt::Debug>(wanted: T, mut read: impl FnMut() -> T) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = read();
        if found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?} is not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn next(mailbox: &mut Mailbox) -> Received {
    timeout(PATIENCE, mailbox.recv()).await.unwrap().unwrap()
}

async fn register(node: &Node, global: &'static str, pid: &Pid) -> Result<(), GlobalError> {
    timeout(PATIENCE, node.register_global(&Term::atom(global), pid))
        .await
        .expect("an answer in time")
}

#[tokio::test]
async fn a_global_name_is_known_everywhere_until_its_process_ends() {
    let port = free_port();
    let (one, other) = (visible(2, port).await, visible(3, port).await);
    one.connect(name(3)).await.unwrap();
    let leader = one.anonymous_mailbox().unwrap();
    let rival = other.anonymous_mailbox().unwrap();
    let word = Term::atom("leader");
    assert_eq!(register(&one, "leader", leader.pid()).await, Ok(()));
    let pid = Some(leader.pid().clone());
    until(pid.clone(), || other.whereis_global(&word)).await;
    let taken = register(&other, "leader", rival.pid()).await;
    assert_eq!(taken, Err(GlobalError::Taken));
    assert_eq!(other.global_names(), std::slice::from_ref(&word));
    drop(leader);
    until(None, || other.whereis_global(&word)).await;
    until(None, || one.whereis_global(&word)).await;
    assert_eq!(register(&other, "leader", rival.pid()).await, Ok(()));
    until(Some(rival.pid().clone()), || one.whereis_global(&word)).await;
    assert!(
        timeout(PATIENCE, one.unregister_global(&word))
            .await
            .unwrap()
    );
    until(None, || other.whereis_global(&word)).await;
}

#[tokio::test]
async fn who_knows_one_member_is_led_to_all_by_global() {
    let port = free_port();
    let (one, two, three) = (
        visible(2, port).await,
        visible(3, port).await,
        visible(4, port).await,
    );
    one.connect(name(3)).await.unwrap();
    three.connect(name(3)).await.unwrap();
    for (node, others) in [(&one, [3, 4]), (&two, [2, 4]), (&three, [2, 3])] {
        until(others.map(name).to_vec(), || node.nodes()).await;
    }
    let view = three.view();
    let learned = view.peer(&name(2)).unwrap();
    let by_global = |node: &Node, host| {
        let view = node.view();
        let peer = view.peer(&name(host)).unwrap();
        peer.topologies.iter().any(|name| name.as_str() == "global")
    };
    assert!(
        by_global(&three, 2) || by_global(&one, 4),
        "one of them dialled what it learned: {learned:?}"
    );
}

#[tokio::test]
async fn who_is_told_to_go_comes_back_by_itself_also_to_who_had_dialled_it() {
    let port = free_port();
    let (one, other) = (visible(2, port).await, visible(3, port).await);
    // By this dial alone the two know each other: nobody else is there to tell of either.
    other.connect(name(2)).await.unwrap();
    let mut events = one.events();
    let mailbox = other.anonymous_mailbox().unwrap();
    let leader = one.anonymous_mailbox().unwrap();
    assert_eq!(register(&one, "leader", leader.pid()).await, Ok(()));
    let word = Term::atom("leader");
    let pid = Some(leader.pid().clone());
    until(pid.clone(), || other.whereis_global(&word)).await;

    let node = Term::Atom(Atom::new(name(3).as_str()).unwrap());
    let remove = Term::tuple([Term::atom("remove_connection"), node]);
    let server = ("global_name_server", &name(2));
    mailbox.send(server, &remove).await.unwrap();
    let told = Instant::now();
    until(None, || other.whereis_global(&word)).await;
    let refused = one.connect(name(3)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            ConnectError::Failed {
                failure: Failure::Away,
                ..
            }
        ),
        "{refused}"
    );

    until(pid, || other.whereis_global(&word)).await;
    let away = told.elapsed();
    assert!(away >= Duration::from_secs(4), "it was back after {away:?}");
    let mut story = Vec::new();
    while story.len() < 3 {
        match timeout(PATIENCE, events.next()).await.unwrap().unwrap() {
            Event::Nodeup { peer } => story.push((peer.name, None)),
            Event::Nodedown { peer, reason } => story.push((peer.name, reason)),
            other => panic!("{other:?}"),
        }
    }
    let peer = |reason| (name(3), reason);
    assert_eq!(
        story,
        [peer(None), peer(Some(DownReason::Away)), peer(None)]
    );
}

#[tokio::test]
async fn members_of_a_group_are_seen_from_everywhere_and_their_changes_told() {
    let port = free_port();
    let (one, other) = (visible(2, port).await, visible(3, port).await);
    let (here, there) = (one.pg("scope").unwrap(), other.pg("scope").unwrap());
    let worker = one.anonymous_mailbox().unwrap();
    here.join("workers", worker.pid());
    one.connect(name(3)).await.unwrap();
    let member = vec![worker.pid().clone()];
    until(member.clone(), || there.members("workers")).await;
    assert!(there.local_members("workers").is_empty());
    assert_eq!(there.groups(), ["workers".to_term()]);

    let mut watcher = other.anonymous_mailbox().unwrap();
    let monitor = there.monitor("workers", watcher.process());
    let second = one.anonymous_mailbox().unwrap();
    here.join("workers", second.pid());
    drop(worker);
    for (expected, who) in [
        (PgEvent::Join, second.pid().clone()),
        (PgEvent::Leave, member[0].clone()),
    ] {
        match next(&mut watcher).await {
            Received::Group {
                reference,
                event,
                group,
                pids,
            } => {
                assert_eq!((reference, event), (monitor.clone(), expected));
                assert_eq!((group, pids), ("workers".to_term(), vec![who]));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(here.leave("workers", second.pid()));
    assert!(!here.leave("workers", second.pid()));
    until(Vec::new(), || there.members("workers")).await;
}

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
    let scope = other.pg("Elixir.Phoenix.PubSub").unwrap();
    let group = Term::atom("Elixir.MyApp.PubSub.Adapter");
    until(2, || scope.members(&group).len()).await;
    until(2, || {
        let scope = one.pg("Elixir.Phoenix.PubSub").unwrap();
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
        let scope = one.pg("Elixir.Phoenix.PubSub").unwrap();
        scope.members(&group).len()
    })
    .await;
    let again = other.pubsub("MyApp.PubSub").unwrap();
    drop(again);
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
    const SCOPE: &str = "Elixir.Phoenix.PubSub";
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
