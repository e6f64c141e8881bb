//! What no test from outside can bring about.

use std::net::{Ipv4Addr, SocketAddr};

use enmesh_discovery::SourceContext;
use enmesh_identity::{Cookie, Creation};
use enmesh_membership::{PlanConfig, RosterConfig};
use enmesh_otp::{AutoConnect, Kernel, KernelConfig};
use enmesh_proto::LocalNode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::*;
use crate::dial::PortSource;
use crate::events;
use crate::transport::Transport;

fn kernel(name: &NodeName) -> Arc<KernelDriver> {
    let config = KernelConfig {
        node: name.clone(),
        creation: Creation::from_seed(9),
        visible: false,
        net_ticktime: Duration::from_secs(60),
        auto_connect: AutoConnect::Always,
        echo: false,
        seed: 7,
    };
    KernelDriver::new(
        Kernel::new(Instant::now(), config),
        1 << 20,
        crate::crew::Crew::new().unwrap(),
    )
}

fn manager() -> Manager {
    let name: NodeName = "a@127.0.0.1".parse().unwrap();
    let local = LocalNode {
        name: name.clone(),
        creation: Creation::from_seed(9),
        visible: false,
    };
    let dialer = Dialer {
        ports: PortSource::Fixed(1),
        transport: Transport {
            tls: None,
            setup_time: Duration::from_secs(7),
        },
        own: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1),
        timeout: Duration::from_secs(7),
    };
    let context = SourceContext::new(name.clone());
    let (sources, _) = Sources::new(context, TaskTracker::new(), CancellationToken::new());
    let who = Who {
        roster: Roster::new(RosterConfig::new(name.clone())),
        sources,
        learned: None,
    };
    Manager::new(
        who,
        Plan::new(PlanConfig::new(name.clone(), 7)),
        events::channel().0,
        Arc::new(LinkConfig::new(local, Cookie::new("secret").unwrap())),
        kernel(&name),
        dialer,
    )
}

/// `'N'` with every mandatory flag.
const SEND_NAME: &[u8] = b"\0\x1aN\0\0\0\x0d\x07\xdf\x7f\xbd\0\0\0\x09\0\x0bb@127.0.0.2";

#[tokio::test]
async fn a_link_that_waits_for_the_turn_of_its_report_does_not_hold_up_the_shutdown() {
    let mut manager = manager();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let there = listener.local_addr().unwrap();
    let mut peer = TcpStream::connect(there).await.unwrap();
    let (socket, from) = listener.accept().await.unwrap();
    manager.accept(socket, from);
    // Nobody takes reports now, and there is no room for one more.
    let stale = manager.plan.handle_accepted(Instant::now());
    while manager
        .links
        .report
        .try_send(Report::Dialled(stale, None))
        .is_ok()
    {}
    peer.write_all(SEND_NAME).await.unwrap();
    // The link's task comes to its question, and waits.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let grace = Duration::from_secs(60);
    let started = Instant::now();
    manager.shut_down(started + grace).await;
    assert!(started.elapsed() < grace / 2, "{:?}", started.elapsed());
}

#[tokio::test]
async fn without_room_for_a_socket_the_oldest_handshake_ends() {
    let mut manager = manager();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let there = listener.local_addr().unwrap();
    let mut peers = Vec::new();
    for _ in 0..2 {
        peers.push(TcpStream::connect(there).await.unwrap());
        let (socket, from) = listener.accept().await.unwrap();
        manager.handle_accepted(Accepted::Socket(socket, from));
    }
    manager.handle_accepted(Accepted::NoRoom);
    manager.pump();
    let patience = Duration::from_secs(5);
    let closed = tokio::time::timeout(patience, peers[0].read(&mut [0; 1])).await;
    assert_eq!(closed.unwrap().unwrap(), 0);
    let open = peers[1].try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(open.kind(), std::io::ErrorKind::WouldBlock);
}

/// Others still know a pod that Kubernetes has told to be gone, and `global` goes to see everybody whom they know.
#[tokio::test]
async fn for_names_alone_nobody_is_dialled_who_is_told_to_be_gone_and_for_the_user_anybody() {
    let mut manager = manager();
    let topology: TopologyName = "t".parse().unwrap();
    manager.roster.add_topology(topology.clone()).unwrap();
    let gone: NodeName = "b@127.0.0.2".parse().unwrap();
    let update = Update::Changed {
        present: Vec::new(),
        gone: vec![gone.clone()],
    };
    let other: NodeName = "c@127.0.0.2".parse().unwrap();
    let dials = |manager: &mut Manager, node: &NodeName, for_names| {
        let mut orders = Orders::default();
        orders.connect(node.clone(), for_names).unwrap();
        manager.handle_orders(orders);
        let dials = manager.plan.dialling();
        manager.plan.handle_disconnect(Instant::now(), node);
        dials
    };
    let now = Instant::now();
    manager.roster.handle_update(now, &topology, update);
    assert_eq!(dials(&mut manager, &gone, true), 0);
    assert_eq!(dials(&mut manager, &gone, false), 1);
    assert_eq!(dials(&mut manager, &other, true), 1);
    // Whoever is being ended comes back to nobody either.
    let update = Update::Draining(true);
    manager.roster.handle_update(now, &topology, update);
    assert_eq!(dials(&mut manager, &other, true), 0);
    assert_eq!(dials(&mut manager, &other, false), 1);
}
