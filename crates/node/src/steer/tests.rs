//! A connector whose links are a set, beside the real roster and plan.

mod libcluster;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use enmesh_discovery::SourceContext;
use enmesh_membership::{
    GossipPacket, GossipSecret, PlanConfig, Prune, RosterConfig, Sighting, TopologyName, Update,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::TaskTracker;

use super::*;
use crate::events::{self, Events, Subscriptions};

/// What it was asked for, and what it is to answer.
#[derive(Debug, Default)]
struct Fake {
    calls: Mutex<Vec<String>>,
    refused: Mutex<BTreeMap<String, Failure>>,
    keeps_links: bool,
    changes: Mutex<Option<UnboundedReceiver<Change>>>,
}

#[derive(Clone, Debug)]
struct Shared(Arc<Fake>);

impl Connector for Shared {
    type Changes = Told;

    async fn connect(&self, peer: PeerAddr) -> Result<(), Failure> {
        let name = peer.name().to_string();
        self.0.calls.lock().unwrap().push(format!("connect {name}"));
        // A call takes its time, in which changes may come.
        tokio::time::sleep(Duration::from_millis(10)).await;
        match self.0.refused.lock().unwrap().get(&name) {
            Some(failure) => Err(*failure),
            None => Ok(()),
        }
    }

    async fn disconnect(&self, peer: NodeName) -> bool {
        let call = format!("disconnect {peer}");
        self.0.calls.lock().unwrap().push(call);
        !self.0.keeps_links
    }

    fn changes(&self) -> Told {
        Told(self.0.changes.lock().unwrap().take().unwrap())
    }

    async fn leave(&self, peers: Vec<NodeName>) {
        let mut names: Vec<_> = peers.iter().map(NodeName::to_string).collect();
        names.sort();
        let call = format!("leave {}", names.join(" "));
        self.0.calls.lock().unwrap().push(call);
    }

    fn forget(&self, peer: &NodeName) {
        self.0.calls.lock().unwrap().push(format!("forget {peer}"));
    }
}

struct Told(UnboundedReceiver<Change>);

impl Changes for Told {
    async fn next(&mut self) -> Option<Change> {
        self.0.recv().await
    }
}

/// A steering with one topology, and all its ends.
struct Bench {
    fake: Arc<Fake>,
    changes: UnboundedSender<Change>,
    updates: mpsc::Sender<Said>,
    subscriptions: Subscriptions,
    events: Events,
    stop: CancellationToken,
    _commands: mpsc::Sender<TopologyCommand>,
    task: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(prune: Prune, on_leave: OnLeave, keeps_links: bool) -> Self {
        let (changes, told) = unbounded_channel();
        let fake = Arc::new(Fake {
            keeps_links,
            changes: Mutex::new(Some(told)),
            ..Fake::default()
        });
        let own: NodeName = "own@h".parse().unwrap();
        let mut config = RosterConfig::new(own.clone());
        config.prune = prune;
        let mut roster = Roster::new(config);
        let context = SourceContext::new(own.clone());
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (mut sources, _) = Sources::new(context, tasks, stop.child_token());
        let config = "strategy=epmd name=list hosts=a@h".parse().unwrap();
        sources.add_silent(&mut roster, config);
        let plan = Plan::new(PlanConfig::new(own, 7));
        let (publisher, subscriptions) = events::channel();
        let connector = Arc::new(Shared(Arc::clone(&fake)));
        let who = (roster, sources);
        let steer = Steer::new(connector, who, plan, publisher, on_leave);
        let (updates, taken) = mpsc::channel(16);
        let (commands, taken_commands) = mpsc::channel(1);
        let inputs = Inputs {
            commands: taken_commands,
            updates: taken,
            stop: stop.clone(),
        };
        let events = subscriptions.events();
        Self {
            fake,
            changes,
            updates,
            events,
            subscriptions,
            stop,
            _commands: commands,
            task: tokio::spawn(steer.run(inputs)),
        }
    }

    fn plain() -> Self {
        Self::start(Prune::Never, OnLeave::Stay, false)
    }

    async fn wants(&self, names: &[&str]) {
        let peers = names.iter().map(|name| name.parse::<NodeName>().unwrap());
        let update = Update::snapshot(peers.map(Sighting::from));
        self.updates.send(said(update)).await.unwrap();
    }

    fn tells(&self, change: Change) {
        self.changes.send(change).unwrap();
    }

    /// The next event, as `+name` or `-name reason`.
    async fn event(&mut self) -> String {
        let wait = Duration::from_secs(3600);
        let event = tokio::time::timeout(wait, self.events.next()).await;
        match event.expect("an event comes") {
            Some(Event::Nodeup { peer }) => format!("+{}", peer.name),
            Some(Event::Nodedown { peer, reason }) => {
                format!("-{} {}", peer.name, reason.unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    /// Lets everything that is under way come to its end, and looks whether there was an event.
    async fn is_quiet(&mut self) -> bool {
        let wait = Duration::from_secs(2);
        let event = tokio::time::timeout(wait, self.events.next()).await;
        event.is_err()
    }

    fn calls(&self) -> Vec<String> {
        self.fake.calls.lock().unwrap().clone()
    }

    fn connected(&self) -> Vec<String> {
        let view = self.subscriptions.view();
        view.peers().map(|peer| peer.name.to_string()).collect()
    }
}

fn said(update: Update) -> Said {
    let topology: TopologyName = "list".parse().unwrap();
    Said::by_test(topology, update)
}

fn peer(name: &str, connection: u64) -> Connected {
    Connected {
        connection: Some(connection),
        ..Connected::new(name.parse().unwrap())
    }
}

fn down(name: &str, connection: u64, reason: DownReason) -> Change {
    Change::Down {
        name: name.parse().unwrap(),
        connection: Some(connection),
        reason,
    }
}

fn nobody() -> Change {
    Change::Everybody(Vec::new())
}

#[tokio::test(start_paused = true)]
async fn nobody_is_dialled_before_it_is_known_who_is_there() {
    let mut bench = Bench::plain();
    bench.wants(&["a@h", "b@h", "own@h"]).await;
    assert!(bench.is_quiet().await);
    assert_eq!(bench.calls(), Vec::<String>::new());
    bench.tells(Change::Everybody(vec![peer("a@h", 1), peer("z@h", 2)]));
    assert_eq!(bench.event().await, "+a@h");
    assert_eq!(bench.event().await, "+z@h");
    assert_eq!(bench.event().await, "+b@h");
    assert_eq!(bench.calls(), ["connect b@h"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_connected_and_is_reported_is_one_nodeup() {
    let mut bench = Bench::plain();
    bench.tells(nobody());
    bench.wants(&["a@h", "b@h"]).await;
    // The one is reported while it is being connected, the other one afterwards.
    tokio::time::sleep(Duration::from_millis(5)).await;
    bench.tells(Change::Up(peer("a@h", 1)));
    assert_eq!(bench.event().await, "+a@h");
    assert_eq!(bench.event().await, "+b@h");
    bench.tells(Change::Up(peer("b@h", 2)));
    assert!(bench.is_quiet().await);
    // The number that came later counts from then on.
    bench.tells(down("b@h", 1, DownReason::ConnectionClosed));
    assert!(bench.is_quiet().await);
    bench.tells(down("b@h", 2, DownReason::NetTickTimeout));
    assert_eq!(bench.event().await, "-b@h net_tick_timeout");
    assert_eq!(bench.event().await, "+b@h");
}

#[tokio::test(start_paused = true)]
async fn who_came_and_went_while_being_connected_is_gone() {
    let mut bench = Bench::plain();
    bench.tells(nobody());
    bench.wants(&["a@h"]).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    bench.tells(Change::Up(peer("a@h", 1)));
    bench.tells(down("a@h", 1, DownReason::ConnectionClosed));
    assert_eq!(bench.event().await, "+a@h");
    assert_eq!(bench.event().await, "-a@h connection_closed");
    // The answer of the first call is no nodeup; the next call is.
    assert_eq!(bench.event().await, "+a@h");
    assert_eq!(bench.calls(), ["connect a@h", "connect a@h"]);
}

/// By the real clock: back-offs are the plan's, and that reads it.
#[tokio::test]
async fn a_refused_peer_is_tried_again_with_back_off() {
    let mut bench = Bench::plain();
    let refused = ("a@h".to_owned(), DialFailure::Refused.into());
    bench.fake.refused.lock().unwrap().extend([refused]);
    bench.tells(nobody());
    let began = Instant::now();
    bench.wants(&["a@h"]).await;
    while bench.calls().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(began.elapsed() > Duration::from_millis(400), "no back-off");
    bench.fake.refused.lock().unwrap().clear();
    assert_eq!(bench.event().await, "+a@h");
}

#[tokio::test(start_paused = true)]
async fn while_away_nobody_falls_and_then_only_who_did() {
    let mut bench = Bench::plain();
    bench.tells(Change::Everybody(vec![
        peer("a@h", 1),
        peer("b@h", 2),
        peer("c@h", 3),
    ]));
    for name in ["+a@h", "+b@h", "+c@h"] {
        assert_eq!(bench.event().await, name);
    }
    bench.tells(Change::Away);
    bench.wants(&["d@h"]).await;
    assert!(bench.is_quiet().await);
    assert!(bench.calls().is_empty());
    // The one is still there, the other one anew, the third is not.
    bench.tells(Change::Everybody(vec![peer("a@h", 1), peer("b@h", 4)]));
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(bench.event().await);
    }
    events.sort();
    let wanted = [
        "+b@h",
        "+d@h",
        "-b@h connection_closed",
        "-c@h connection_closed",
    ];
    assert_eq!(events, wanted);
}

#[tokio::test(start_paused = true)]
async fn when_all_has_ended_nobody_is_connected_and_nobody_is_dialled() {
    let mut bench = Bench::plain();
    bench.wants(&["a@h"]).await;
    bench.tells(nobody());
    assert_eq!(bench.event().await, "+a@h");
    bench.tells(Change::Ended);
    assert_eq!(bench.event().await, "-a@h connection_closed");
    assert!(bench.is_quiet().await);
    assert_eq!(bench.calls(), ["connect a@h"]);
    bench.tells(nobody());
    assert_eq!(bench.event().await, "+a@h");
}

#[tokio::test(start_paused = true)]
async fn who_is_pruned_is_disconnected_by_the_connector() {
    let mut bench = Bench::start(Prune::Immediate, OnLeave::Stay, false);
    bench.tells(nobody());
    bench.wants(&["a@h", "b@h"]).await;
    assert_eq!(bench.event().await, "+a@h");
    assert_eq!(bench.event().await, "+b@h");
    bench.wants(&["a@h"]).await;
    assert_eq!(bench.event().await, "-b@h pruned");
    assert!(bench.is_quiet().await);
    assert!(bench.calls().contains(&"forget b@h".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_keeps_its_links_keeps_them_in_the_view() {
    let mut bench = Bench::start(Prune::Immediate, OnLeave::Stay, true);
    bench.tells(nobody());
    bench.wants(&["a@h"]).await;
    assert_eq!(bench.event().await, "+a@h");
    bench.wants(&[]).await;
    assert!(bench.is_quiet().await);
    assert_eq!(bench.connected(), ["a@h"]);
    assert!(bench.calls().contains(&"disconnect a@h".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_being_ended_dials_nobody_and_leaves_if_told_to() {
    for on_leave in [OnLeave::Stay, OnLeave::Disconnect] {
        let mut bench = Bench::start(Prune::Never, on_leave, false);
        bench.tells(Change::Everybody(vec![peer("a@h", 1), peer("b@h", 2)]));
        assert_eq!(bench.event().await, "+a@h");
        assert_eq!(bench.event().await, "+b@h");
        let draining = said(Update::Draining(true));
        bench.updates.send(draining).await.unwrap();
        bench.wants(&["a@h", "c@h"]).await;
        assert!(bench.is_quiet().await);
        let leaving: &[&str] = match on_leave {
            OnLeave::Stay => &[],
            OnLeave::Disconnect => &["leave a@h b@h"],
        };
        assert_eq!(bench.calls(), leaving);
        // Called off, everybody is dialled again.
        let draining = said(Update::Draining(false));
        bench.updates.send(draining).await.unwrap();
        assert_eq!(bench.event().await, "+c@h");
        // The connector's own word counts as long as whoever it is of lives.
        bench.tells(Change::Leaving);
        bench.tells(down("a@h", 1, DownReason::Disconnect));
        assert_eq!(bench.event().await, "-a@h disconnect");
        bench.tells(Change::Away);
        bench.tells(Change::Everybody(vec![peer("b@h", 2), peer("c@h", 3)]));
        assert!(bench.is_quiet().await);
        // A preStop hook also runs before a container is started anew, and its agent stays.
        bench.tells(Change::Ended);
        let mut gone = [bench.event().await, bench.event().await];
        gone.sort();
        assert_eq!(gone, ["-b@h connection_closed", "-c@h connection_closed"]);
        bench.tells(nobody());
        let mut back = [bench.event().await, bench.event().await];
        back.sort();
        assert_eq!(back, ["+a@h", "+c@h"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_steering_is_no_nodedown() {
    let mut bench = Bench::plain();
    bench.tells(nobody());
    bench.wants(&["a@h"]).await;
    assert_eq!(bench.event().await, "+a@h");
    bench.stop.cancel();
    assert_eq!(bench.events.next().await, None);
    bench.task.await.unwrap();
    assert_eq!(bench.fake.calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_stopped_just_after_its_node_still_tells_that_the_links_are_gone() {
    for ends in [true, false] {
        let mut bench = Bench::plain();
        bench.tells(nobody());
        bench.wants(&["a@h"]).await;
        assert_eq!(bench.event().await, "+a@h");
        bench.tells(Change::Away);
        assert!(bench.is_quiet().await);
        let begin = tokio::time::Instant::now();
        bench.stop.cancel();
        assert!(!bench.task.is_finished());
        if ends {
            tokio::time::sleep(Duration::from_millis(300)).await;
            bench.tells(Change::Ended);
            assert_eq!(bench.event().await, "-a@h connection_closed");
        }
        // Where nothing is heard, the links are as they were.
        assert_eq!(bench.events.next().await, None);
        bench.task.await.unwrap();
        assert!(begin.elapsed() <= LAST_LOOK, "{:?}", begin.elapsed());
    }
}

/// A goodbye for a node that goes on would have others prune it.
#[tokio::test]
async fn only_for_a_node_that_ends_goodbye_is_said() {
    for leaves in [false, true] {
        let ear = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = ear.local_addr().unwrap().port();
        let topology = format!(
            "strategy=gossip broadcast_only=true if_addr=127.0.0.2 multicast_addr=127.0.0.1 \
             port={port} secret=s"
        );
        let (changes, told) = unbounded_channel();
        let fake = Arc::new(Fake {
            changes: Mutex::new(Some(told)),
            ..Fake::default()
        });
        let steering = crate::Steering::builder("own@h".parse().unwrap())
            .topology(topology.parse().unwrap())
            .on_leave(OnLeave::Disconnect)
            .start(Shared(Arc::clone(&fake)))
            .unwrap();
        let mut packet = [0; 1500];
        let heard = tokio::time::timeout(Duration::from_secs(20), ear.recv(&mut packet));
        let hello = heard.await.expect("a heartbeat comes").unwrap();
        assert!(!is_goodbye(&packet[..hello]));
        if leaves {
            changes.send(Change::Leaving).unwrap();
            while fake.calls.lock().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        steering.shutdown().await;
        let mut goodbyes = 0;
        while let Ok(length) = ear.try_recv(&mut packet) {
            goodbyes += usize::from(is_goodbye(&packet[..length]));
        }
        assert_eq!(goodbyes > 0, leaves);
    }
}

fn is_goodbye(packet: &[u8]) -> bool {
    let plain = GossipSecret::new("s").open(packet).unwrap();
    let packet = GossipPacket::decode(&plain).unwrap();
    matches!(packet, GossipPacket::Goodbye { .. })
}
