//! What `connect` promises to those who wait for it.

#[path = "loopback/loopback.rs"]
mod loopback;

use std::net::Ipv4Addr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use enmesh::{ConnectError, Node, NodeName};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::timeout;

use crate::loopback::{PATIENCE, builder, free_port, name};

/// Looks at the view in the moment in which a caller is woken, in the thread that wakes it.
struct Witness {
    node: Node,
    seen: Mutex<Sender<Vec<NodeName>>>,
}

impl Wake for Witness {
    fn wake(self: Arc<Self>) {
        let _ = self.seen.lock().unwrap().send(self.node.nodes());
    }
}

#[tokio::test]
async fn whoever_is_told_of_a_connection_finds_it_in_the_view() {
    let port = free_port();
    let one = builder(12, port).start().await.unwrap();
    let other = builder(13, port).start().await.unwrap();
    let (seen, sights) = channel();
    let witness = Arc::new(Witness {
        node: one.clone(),
        seen: Mutex::new(seen),
    });
    let waker = Waker::from(witness);
    let mut connecting = Box::pin(one.connect(name(13)));
    let pending = connecting.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(pending.is_pending());
    let sight = sights.recv_timeout(PATIENCE).unwrap();
    assert_eq!(sight, [name(13)]);
    timeout(PATIENCE, connecting).await.unwrap().unwrap();
    drop(other);
}

#[tokio::test]
async fn callers_too_many_are_told_so_and_the_others_are_answered() {
    let port = free_port();
    let one = builder(14, port).start().await.unwrap();
    // The system takes the connection, and nobody says anything.
    let mute = std::net::TcpListener::bind((Ipv4Addr::new(127, 0, 0, 15), port)).unwrap();
    let calls = (0..1026).map(|_| one.connect(name(15)));
    let mut answers: FuturesUnordered<_> = calls.collect();
    let peer = name(15);
    let refused = ConnectError::TooManyCallers { peer };
    for _ in 0..2 {
        let answer = timeout(PATIENCE, answers.next()).await.unwrap();
        assert_eq!(answer, Some(Err(refused.clone())));
    }
    drop(mute);
    for _ in 0..1024 {
        let answer = timeout(PATIENCE, answers.next()).await.unwrap();
        assert!(
            matches!(answer, Some(Err(ConnectError::Failed { .. }))),
            "{answer:?}"
        );
    }
    assert!(answers.is_empty());
}
