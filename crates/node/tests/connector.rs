//! A node as a connector, steered by a real source.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use enmesh::{Cookie, EpmdMode, Event, Node, Steering};

const PATIENCE: Duration = Duration::from_secs(30);

async fn member(name: &str) -> Node {
    let loopback: IpAddr = [127, 0, 0, 1].into();
    Node::builder(name.parse().unwrap(), Cookie::new("secret").unwrap())
        .listen(loopback)
        .epmd(EpmdMode::System)
        .epmd_port(1)
        .visible(false)
        .start()
        .await
        .unwrap()
}

/// The peers are found at addresses and ports that a file tells: there is no epmd.
#[tokio::test]
async fn a_node_is_steered_from_outside_as_it_is_from_inside() {
    let (a, b) = (member("a@127.0.0.1").await, member("b@127.0.0.1").await);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("peers");
    fs::write(&path, format!("b@127.0.0.1 127.0.0.1:{}\n", b.port())).unwrap();
    let topology = format!(
        "strategy=file name=list polling_interval=100 path={}",
        path.display()
    );
    let steering = Steering::builder(a.name().clone())
        .topology(topology.parse().unwrap())
        .start(a.clone())
        .unwrap();
    let mut events = steering.events();
    let mut next = async || tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
    let Some(Event::Nodeup { peer }) = next().await else {
        panic!("no nodeup");
    };
    assert_eq!(&peer.name, b.name());
    assert_eq!(peer.creation, b.creation());
    assert_eq!(peer.topologies.len(), 1);
    assert_eq!(a.nodes(), [b.name().clone()]);
    // A link that ends comes back.
    b.disconnect(a.name()).await;
    assert!(matches!(next().await, Some(Event::Nodedown { .. })));
    assert!(matches!(next().await, Some(Event::Nodeup { .. })));
    // The end of the steering is not the end of the link.
    steering.shutdown().await;
    assert_eq!(next().await, None);
    assert_eq!(a.nodes(), [b.name().clone()]);
    a.shutdown().await;
    b.shutdown().await;
}
