//! Members among themselves, over loopback, without epmd.

#[path = "loopback/loopback.rs"]
mod loopback;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use enmesh::{
    Builder, ConnectError, Cookie, DownReason, EpmdMode, Event, Events, Node, NodeName, Prune,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::loopback::{PATIENCE, builder, free_port, name};

fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, host))
}

fn knowing(builder: Builder, hosts: &[u8]) -> Builder {
    let hosts: Vec<String> = hosts.iter().map(|&host| name(host).to_string()).collect();
    let topology = format!("strategy=epmd name=list hosts={}", hosts.join(","));
    builder.topology(topology.parse().unwrap())
}

async fn next(events: &mut Events) -> Event {
    timeout(PATIENCE, events.next())
        .await
        .expect("an event in time")
        .expect("the node runs")
}

async fn nodeup(events: &mut Events) -> NodeName {
    match next(events).await {
        Event::Nodeup { peer } => peer.name,
        other => panic!("{other:?}"),
    }
}

async fn nodedown(events: &mut Events) -> (NodeName, Option<DownReason>) {
    match next(events).await {
        Event::Nodedown { peer, reason } => (peer.name, reason),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn members_of_one_list_find_each_other_and_say_who_left() {
    let port = free_port();
    let mut nodes = Vec::new();
    for host in [2, 3, 4] {
        nodes.push(
            knowing(builder(host, port), &[2, 3, 4])
                .start()
                .await
                .unwrap(),
        );
    }
    for node in &nodes {
        assert!(timeout(PATIENCE, node.wait_for_peers(2)).await.unwrap());
        assert!(
            !node.nodes().contains(node.name()),
            "nobody connects to itself"
        );
    }
    let mut events = nodes[0].events();
    let there = [nodeup(&mut events).await, nodeup(&mut events).await];
    assert_eq!(
        there,
        [name(3), name(4)],
        "the stream begins with who is there"
    );

    nodes[2].shutdown().await;
    let (gone, reason) = nodedown(&mut events).await;
    assert_eq!(
        (gone, reason),
        (name(4), Some(DownReason::ConnectionClosed))
    );
    assert_eq!(nodes[0].nodes(), [name(3)]);

    let again = knowing(builder(4, port), &[2, 3, 4]).start().await.unwrap();
    assert_eq!(nodeup(&mut events).await, name(4));
    let peer = nodes[0].view().peer(&name(4)).unwrap().clone();
    assert_eq!(peer.creation, again.creation());
    assert_ne!(
        peer.creation,
        nodes[2].creation(),
        "another life has another creation"
    );
    assert_eq!(peer.topologies, ["list".parse().unwrap()]);
}

#[tokio::test]
async fn shutting_down_says_a_nodedown_for_everybody_and_then_ends_the_stream() {
    let port = free_port();
    let one = builder(2, port).start().await.unwrap();
    let other = builder(3, port).start().await.unwrap();
    one.connect(name(3)).await.unwrap();
    let mut events = one.events();
    assert_eq!(nodeup(&mut events).await, name(3));
    timeout(PATIENCE, one.shutdown()).await.unwrap();
    assert_eq!(
        nodedown(&mut events).await,
        (name(3), Some(DownReason::Shutdown))
    );
    assert_eq!(timeout(PATIENCE, events.next()).await.unwrap(), None);
    assert_eq!(one.connect(name(3)).await, Err(ConnectError::ShutDown));
    assert!(!one.disconnect(&name(3)).await);
    drop(other);
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_node() {
    let port = free_port();
    let stays = builder(2, port).start().await.unwrap();
    let goes = builder(3, port).start().await.unwrap();
    let mut events = stays.events();
    goes.connect(name(2)).await.unwrap();
    assert_eq!(nodeup(&mut events).await, name(3));
    let mut own_events = goes.events();
    drop(goes);
    assert_eq!(nodedown(&mut events).await.0, name(3));
    while timeout(PATIENCE, own_events.next())
        .await
        .unwrap()
        .is_some()
    {}
}

#[tokio::test]
async fn connect_and_disconnect_are_single_acts() {
    let port = free_port();
    let one = builder(2, port).start().await.unwrap();
    let other = builder(3, port).start().await.unwrap();
    let failed = one.connect(name(9)).await.unwrap_err();
    assert!(
        matches!(&failed, ConnectError::Failed { peer, .. } if *peer == name(9)),
        "{failed}"
    );
    assert_eq!(one.connect(name(2)).await, Err(ConnectError::Ourselves));

    one.connect(name(3)).await.unwrap();
    one.connect(name(3)).await.unwrap();
    assert_eq!((one.nodes(), other.nodes()), (vec![name(3)], vec![name(2)]));
    let mut events = one.events();
    assert_eq!(nodeup(&mut events).await, name(3));
    assert!(one.disconnect(&name(3)).await);
    assert_eq!(
        nodedown(&mut events).await,
        (name(3), Some(DownReason::Disconnect))
    );
    assert!(!one.disconnect(&name(3)).await, "there is no link any more");
    assert_eq!(one.nodes(), []);
}

/// At the default of a real cluster the user's program may block for as long as it likes.
#[test]
fn a_blocked_executor_starves_no_tick() {
    let port = free_port();
    let quick = |host| builder(host, port).net_ticktime(Duration::from_secs(1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (one, other) = runtime.block_on(async {
        let one = quick(2).start().await.unwrap();
        let other = quick(3).start().await.unwrap();
        one.connect(name(3)).await.unwrap();
        (one, other)
    });
    let connection = one.view().peer(&name(3)).unwrap().connection;
    // The only thread of the only runtime of the user does nothing for four ticktimes.
    runtime.block_on(async { std::thread::sleep(Duration::from_secs(4)) });
    assert_eq!(one.view().peer(&name(3)).unwrap().connection, connection);
    assert_eq!(other.nodes(), [name(2)]);
}

#[tokio::test]
async fn ten_pairs_that_dial_each_other_at_once_have_one_link_each() {
    let port = free_port();
    let mut pairs = Vec::new();
    for pair in 0..10 {
        let (low, high) = (20 + 2 * pair, 21 + 2 * pair);
        let one = builder(low, port).start().await.unwrap();
        let other = builder(high, port).start().await.unwrap();
        pairs.push((one, other));
    }
    let dials = pairs.iter().flat_map(|(one, other)| {
        [
            one.connect(other.name().clone()),
            other.connect(one.name().clone()),
        ]
    });
    // A dial that lost to the other direction is answered by the link that lives.
    let outcomes = timeout(PATIENCE, futures::future::join_all(dials))
        .await
        .unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    for (one, other) in &pairs {
        let mut events = one.events();
        assert_eq!(nodeup(&mut events).await, *other.name());
        one.shutdown().await;
        nodedown(&mut events).await;
        assert_eq!(
            events.next().await,
            None,
            "one nodeup, one nodedown, and no more"
        );
    }
}

#[tokio::test]
async fn another_cookie_keeps_everybody_out() {
    let port = free_port();
    let one = builder(2, port).start().await.unwrap();
    let stranger = Node::builder(name(3), Cookie::new("other").unwrap()).visible(false);
    let stranger = stranger
        .listen(address(3))
        .dist_port(port)
        .epmd(EpmdMode::None);
    let stranger = stranger.start().await.unwrap();
    let failed = stranger.connect(name(2)).await.unwrap_err();
    assert!(failed.to_string().contains("cookie"), "{failed}");
    let failed = one.connect(name(3)).await.unwrap_err();
    assert!(failed.to_string().contains("cookie"), "{failed}");
    assert_eq!((one.nodes(), stranger.nodes()), (vec![], vec![]));
}

#[tokio::test]
async fn a_slow_observer_is_led_to_the_present() {
    let port = free_port();
    let one = builder(2, port).start().await.unwrap();
    let other = builder(3, port).start().await.unwrap();
    let third = builder(4, port).start().await.unwrap();
    one.connect(name(3)).await.unwrap();
    let mut events = one.events();
    assert_eq!(nodeup(&mut events).await, name(3));
    // More events than are kept for anybody.
    for _ in 0..600 {
        one.connect(name(4)).await.unwrap();
        assert!(one.disconnect(&name(4)).await);
    }
    assert!(one.disconnect(&name(3)).await);
    one.connect(name(4)).await.unwrap();
    let Event::Lagged { missed } = next(&mut events).await else {
        panic!("not lagged")
    };
    assert_eq!(missed, 2 * 600 + 2);
    assert_eq!(nodedown(&mut events).await, (name(3), None));
    assert_eq!(nodeup(&mut events).await, name(4));
    // What was queued before does not make the next event another lag.
    assert!(one.disconnect(&name(4)).await);
    assert_eq!(
        nodedown(&mut events).await,
        (name(4), Some(DownReason::Disconnect))
    );
    drop((other, third));
}

#[tokio::test]
async fn garbage_costs_its_sender_the_connection_and_nobody_else_anything() {
    let port = free_port();
    let one = builder(2, port).start().await.unwrap();
    let other = builder(3, port).start().await.unwrap();
    one.connect(name(3)).await.unwrap();
    let there = SocketAddr::new(address(2), port);
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 600],
        &[0, 1, b'N'],
        &[0, 0],
    ] {
        let mut socket = TcpStream::connect(there).await.unwrap();
        socket.write_all(garbage).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Closed or reset, but not left open.
        let _ = timeout(PATIENCE, socket.read_to_end(&mut answer))
            .await
            .unwrap();
    }
    assert_eq!((one.nodes(), other.nodes()), (vec![name(3)], vec![name(2)]));
}

#[tokio::test]
async fn mute_strangers_are_bounded_and_do_not_keep_members_out() {
    let port = free_port();
    let one = builder(2, port).start().await.unwrap();
    let there = SocketAddr::new(address(2), port);
    let mut mute = Vec::new();
    for _ in 0..600 {
        mute.push(TcpStream::connect(there).await.unwrap());
    }
    let other = builder(3, port).start().await.unwrap();
    other.connect(name(2)).await.unwrap();
    assert_eq!(one.nodes(), [name(3)]);
    // The first ones had to go for the last ones: closed at once, long before the setup timer.
    let started = Instant::now();
    let closed = timeout(PATIENCE, mute[0].read(&mut [0; 1])).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn start_up_errors_say_what_to_change() {
    let port = free_port();
    let without_port = builder(2, 0).start().await.unwrap_err();
    assert!(
        without_port.to_string().contains("dist_port"),
        "{without_port}"
    );
    let ticktime = builder(2, port)
        .net_ticktime(Duration::ZERO)
        .start()
        .await
        .unwrap_err();
    assert!(ticktime.to_string().contains("net_ticktime"), "{ticktime}");
    let twice = knowing(knowing(builder(2, port), &[3]), &[4])
        .start()
        .await
        .unwrap_err();
    assert!(twice.to_string().contains("list"), "{twice}");
    let _holder = builder(2, port).start().await.unwrap();
    let taken = builder(2, port).start().await.unwrap_err();
    assert!(taken.to_string().contains(&port.to_string()), "{taken}");
}

#[tokio::test]
async fn pruning_needs_a_policy() {
    let port = free_port();
    let _peer = builder(3, port).start().await.unwrap();
    let keeps = builder(2, port)
        .prune(Prune::Immediate)
        .start()
        .await
        .unwrap();
    keeps.connect(name(3)).await.unwrap();
    // It dialled or was dialled, and no topology ever named it: it has not left any.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(keeps.nodes(), [name(3)]);
}
