//! Topologies that change while the node runs, over loopback, without epmd.

#[path = "loopback/loopback.rs"]
mod loopback;

use std::time::Duration;

use enmesh::{
    AddTopologyError, DownReason, Event, Events, FailureKind, Node, Prune, TopologyConfig,
    TopologyError, TopologyName,
};
use tokio::time::timeout;

use crate::loopback::{PATIENCE, builder, free_port, name};

fn topology(text: &str) -> TopologyConfig {
    text.parse().unwrap()
}

/// A list of these hosts' nodes.
fn list(called: &str, hosts: &[u8]) -> TopologyConfig {
    let hosts: Vec<_> = hosts.iter().map(|&host| name(host).to_string()).collect();
    topology(&format!(
        "strategy=epmd name={called} hosts={}",
        hosts.join(",")
    ))
}

fn topology_name(text: &str) -> TopologyName {
    text.parse().unwrap()
}

/// The member of host 2, and others that know nobody.
async fn cluster(prune: Prune, others: &[u8]) -> (Node, Vec<Node>) {
    let port = free_port();
    // No epmd is there, whatever runs on this machine.
    let epmd = free_port();
    let node = builder(2, port).prune(prune).epmd_port(epmd);
    let node = node.start().await.unwrap();
    let mut peers = Vec::new();
    for &host in others {
        peers.push(builder(host, port).start().await.unwrap());
    }
    (node, peers)
}

/// The next event, as `+name` or `-name reason`.
async fn next(events: &mut Events) -> String {
    match timeout(PATIENCE, events.next()).await {
        Ok(Some(Event::Nodeup { peer })) => format!("+{}", peer.name),
        Ok(Some(Event::Nodedown { peer, reason })) => {
            format!("-{} {}", peer.name, reason.map_or("", DownReason::label))
        }
        other => panic!("{other:?}"),
    }
}

fn up(host: u8) -> String {
    format!("+{}", name(host))
}

fn pruned(host: u8) -> String {
    format!("-{} pruned", name(host))
}

#[tokio::test]
async fn a_topology_that_is_added_connects_and_one_that_is_removed_closes_no_link() {
    let (node, peers) = cluster(Prune::Never, &[3]).await;
    node.add_topology(list("more", &[3])).await.unwrap();
    assert!(timeout(PATIENCE, node.wait_for_peers(1)).await.unwrap());
    let view = node.view();
    let peer = view.peer(&name(3)).unwrap();
    assert_eq!(peer.topologies, [topology_name("more")]);
    assert!(node.remove_topology(&topology_name("more")).await);
    assert!(!node.remove_topology(&topology_name("more")).await);
    assert_eq!(node.topologies().await, []);
    assert_eq!(node.nodes(), [name(3)]);
    // Nobody is dialled any more: who goes stays away.
    for peer in peers {
        peer.shutdown().await;
    }
    timeout(PATIENCE, async {
        while !node.nodes().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    node.shutdown().await;
}

#[tokio::test]
async fn with_prune_immediate_the_peers_of_a_removed_topology_are_cut() {
    let (node, _peers) = cluster(Prune::Immediate, &[3, 4]).await;
    let mut events = node.events();
    node.add_topology(list("one", &[3])).await.unwrap();
    node.add_topology(list("two", &[3, 4])).await.unwrap();
    let both = [next(&mut events).await, next(&mut events).await];
    assert!(both.contains(&up(3)) && both.contains(&up(4)), "{both:?}");
    // The other one names the third too.
    assert!(node.remove_topology(&topology_name("two")).await);
    assert_eq!(next(&mut events).await, pruned(4));
    assert!(node.remove_topology(&topology_name("one")).await);
    assert_eq!(next(&mut events).await, pruned(3));
    node.shutdown().await;
}

#[tokio::test]
async fn nobody_who_is_in_the_old_list_and_the_new_one_goes_down_in_between() {
    let (node, _peers) = cluster(Prune::Immediate, &[3, 4, 5]).await;
    let mut events = node.events();
    let changes = node
        .set_topologies(vec![list("kept", &[5]), list("web", &[3, 4])])
        .await
        .unwrap();
    assert_eq!(changes.added, ["kept", "web"].map(topology_name));
    let mut there = Vec::new();
    for _ in 0..3 {
        there.push(next(&mut events).await);
    }
    there.sort();
    assert_eq!(there, [up(3), up(4), up(5)]);

    let changes = node
        .set_topologies(vec![list("web", &[4]), list("kept", &[5])])
        .await
        .unwrap();
    assert_eq!(changes.changed, [topology_name("web")]);
    assert_eq!(changes.kept, [topology_name("kept")]);
    assert_eq!((changes.added, changes.removed), (vec![], vec![]));
    assert_eq!(next(&mut events).await, pruned(3));
    let order: Vec<_> = node
        .topologies()
        .await
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(order, ["web", "kept"].map(topology_name));

    // The third comes back: had anybody else gone, that would have been told before.
    node.set_topologies(vec![list("web", &[3, 4]), list("kept", &[5])])
        .await
        .unwrap();
    assert_eq!(next(&mut events).await, up(3));
    node.shutdown().await;
}

#[tokio::test]
async fn another_source_that_does_not_answer_removes_nobody() {
    let (node, _peers) = cluster(Prune::Immediate, &[3]).await;
    node.add_topology(list("web", &[3])).await.unwrap();
    assert!(timeout(PATIENCE, node.wait_for_peers(1)).await.unwrap());
    // Nobody serves epmd at the port that the node was told.
    let dead = topology("strategy=local_epmd name=web polling_interval=100ms");
    let changes = node.set_topologies(vec![dead]).await.unwrap();
    assert_eq!(changes.changed, [topology_name("web")]);
    let status = timeout(PATIENCE, async {
        loop {
            let mut statuses = node.topologies().await;
            match statuses.pop() {
                Some(status) if status.failure.is_some() => return status,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await
    .unwrap();
    assert_eq!((status.strategy, status.peers), ("local_epmd", 1));
    assert!(!status.answered);
    assert_eq!(status.failure.unwrap().kind(), FailureKind::Unreachable);
    assert_eq!(node.nodes(), [name(3)]);
    node.shutdown().await;
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let (node, _peers) = cluster(Prune::Never, &[]).await;
    node.add_topology(list("web", &[3])).await.unwrap();
    let before = node.topologies().await;
    let twice = vec![list("new", &[4]), list("new", &[5])];
    let duplicate = |called| {
        let name = topology_name(called);
        TopologyError::Name(AddTopologyError::Duplicate { name })
    };
    assert_eq!(node.set_topologies(twice).await, Err(duplicate("new")));
    assert_eq!(
        node.add_topology(list("web", &[4])).await,
        Err(duplicate("web"))
    );
    let mut broken = list("broken", &[4]);
    broken.stabilisation_window = Duration::MAX;
    let refused = node.set_topologies(vec![broken]).await;
    assert!(
        matches!(refused, Err(TopologyError::Source { .. })),
        "{refused:?}"
    );
    let many = (0..65).map(|i| list(&format!("t{i}"), &[4])).collect();
    let refused = node.set_topologies(many).await;
    assert_eq!(refused, Err(AddTopologyError::TooMany.into()));
    let now: Vec<_> = node.topologies().await;
    assert_eq!(now.len(), 1);
    assert_eq!(now[0].name, before[0].name);
    node.shutdown().await;
}

#[tokio::test]
async fn a_node_that_has_shut_down_says_so() {
    let (node, _peers) = cluster(Prune::Never, &[]).await;
    node.shutdown().await;
    assert_eq!(
        node.add_topology(list("web", &[3])).await,
        Err(TopologyError::ShutDown)
    );
    assert_eq!(
        node.set_topologies(vec![]).await,
        Err(TopologyError::ShutDown)
    );
    assert!(!node.remove_topology(&topology_name("web")).await);
    assert_eq!(node.topologies().await, []);
}

#[tokio::test]
async fn the_names_that_global_tells_of_are_no_topology_to_be_changed() {
    let port = free_port();
    let node = builder(2, port).visible(true).start().await.unwrap();
    let global = topology_name("global");
    assert!(!node.remove_topology(&global).await);
    let refused = node.add_topology(list("global", &[3])).await;
    let name = global;
    assert_eq!(refused, Err(AddTopologyError::Duplicate { name }.into()));
    node.shutdown().await;
}
