//! Real nodes, steerings and sources; only whoever does not answer is made up.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use enmesh::{
    Change, Changes, ConditionChanges, Connected, Connector, Cookie, EpmdMode, Failure, Node,
    NodeName, PeerAddr, Steering, TopologyConfig,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;
use crate::subject::Stuck;

const PATIENCE: Duration = Duration::from_secs(30);

async fn member(name: &str, topology: Option<TopologyConfig>) -> Node {
    let loopback: IpAddr = [127, 0, 0, 1].into();
    let mut builder = Node::builder(name.parse().unwrap(), Cookie::new("secret").unwrap())
        .listen(loopback)
        .epmd(EpmdMode::System)
        .epmd_port(1);
    if let Some(topology) = topology {
        builder = builder.topology(topology);
    }
    builder.start().await.unwrap()
}

/// A topology that is written in a file, which need not be there.
fn written(path: &Path) -> TopologyConfig {
    let text = format!(
        "strategy=file name=web polling_interval=100 path={}",
        path.display()
    );
    text.parse().unwrap()
}

fn rules(min_peers: u32) -> Rules {
    Rules {
        min_peers,
        counts_hidden: false,
    }
}

/// Waits until readiness is told like this.
async fn becomes<S: Subject>(health: &Health<S>, wanted: &str) {
    let mut last = String::new();
    let waiting = async {
        loop {
            last = health.ready().await.to_string();
            if last == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(outcome.is_ok(), "wanted\n{wanted}found\n{last}");
}

#[tokio::test]
async fn ready_means_that_every_topology_has_answered_and_enough_peers_are_connected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("peers");
    let health = Health::new(rules(1));
    let starting = "[-]starting failed: it has not started yet\nreadyz check failed\n";
    becomes(&health, starting).await;
    assert_eq!(
        health.live().await.to_string(),
        "[+]starting ok\nlivez check passed\n"
    );
    let a = member("a@127.0.0.1", Some(written(&path))).await;
    health.running(a.clone());
    let unanswered = "[+]manager ok\n[+]draining ok\n\
        [-]topology web failed: no good answer yet: not_found; the log says more\n\
        [-]peers failed: 0 of 1 are connected\nreadyz check failed\n";
    becomes(&health, unanswered).await;
    fs::write(&path, "a@127.0.0.1\n").unwrap();
    let alone = "[+]manager ok\n[+]draining ok\n[+]topology web ok\n\
        [-]peers failed: 0 of 1 are connected\nreadyz check failed\n";
    becomes(&health, alone).await;
    // Who waits for peers lives.
    let live = "[+]manager ok\nlivez check passed\n";
    assert_eq!(health.live().await.to_string(), live);
    let b = member("b@127.0.0.1", None).await;
    fs::write(&path, format!("b@127.0.0.1 127.0.0.1:{}\n", b.port())).unwrap();
    let ready = "[+]manager ok\n[+]draining ok\n[+]topology web ok\n[+]peers ok\n\
        readyz check passed\n";
    becomes(&health, ready).await;
    // A source that fails later takes nothing back; a peer that goes does.
    fs::remove_file(&path).unwrap();
    b.shutdown().await;
    becomes(&health, alone).await;
    health.stopping();
    let stopping = "[-]stopping failed: it was told to end\nreadyz check failed\n";
    becomes(&health, stopping).await;
    assert!(health.live().await.is_ok());
    a.shutdown().await;
}

#[tokio::test]
async fn hidden_peers_count_where_it_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("peers");
    let a = member("a@127.0.0.1", None).await;
    fs::write(&path, format!("a@127.0.0.1 127.0.0.1:{}\n", a.port())).unwrap();
    let loopback: IpAddr = [127, 0, 0, 1].into();
    let hidden = Node::builder(
        "h@127.0.0.1".parse().unwrap(),
        Cookie::new("secret").unwrap(),
    )
    .listen(loopback)
    .epmd(EpmdMode::System)
    .epmd_port(1)
    .visible(false)
    .topology(written(&path));
    let hidden = hidden.start().await.unwrap();
    assert!(a.wait_for_peers(1).await);
    for (counts_hidden, wanted) in [(false, false), (true, true)] {
        let health = Health::new(Rules {
            min_peers: 1,
            counts_hidden,
        });
        health.running(a.clone());
        let report = health.ready().await;
        assert_eq!(report.is_ok(), wanted, "{report}");
    }
    hidden.shutdown().await;
    a.shutdown().await;
}

#[tokio::test]
async fn a_node_that_has_ended_by_itself_does_not_live() {
    let a = member("a@127.0.0.1", None).await;
    let health = Health::new(rules(0));
    health.running(a.clone());
    assert!(health.live().await.is_ok());
    a.shutdown().await;
    let dead = "[-]manager failed: it has ended by itself\nlivez check failed\n";
    assert_eq!(health.live().await.to_string(), dead);
    assert!(!health.ready().await.is_ok());
}

/// A connector that says what the test says.
struct Told(Mutex<Option<mpsc::UnboundedReceiver<Change>>>);

struct Following(mpsc::UnboundedReceiver<Change>);

impl Connector for Told {
    type Changes = Following;

    async fn connect(&self, _: PeerAddr) -> Result<(), Failure> {
        Err(Failure::Untold)
    }

    async fn disconnect(&self, _: NodeName) -> bool {
        false
    }

    fn changes(&self) -> Following {
        Following(locked(&self.0).take().unwrap())
    }
}

impl Changes for Following {
    async fn next(&mut self) -> Option<Change> {
        self.0.recv().await
    }
}

#[tokio::test]
async fn an_agent_is_ready_while_it_is_attached_and_its_node_is_not_about_to_end() {
    let (change, changes) = mpsc::unbounded_channel();
    let steering = Steering::builder("web@127.0.0.1".parse().unwrap());
    let connector = Told(Mutex::new(Some(changes)));
    let steering = steering.start(connector).unwrap();
    let health = Health::new(rules(1));
    health.running(steering.clone());
    let away = |peers: &str| {
        format!(
            "[+]manager ok\n[+]draining ok\n\
             [-]node failed: the agent is not attached to it; its log says why\n\
             {peers}\nreadyz check failed\n"
        )
    };
    becomes(&health, &away("[-]peers failed: 0 of 1 are connected")).await;
    assert!(health.live().await.is_ok());
    let peer = Connected::new("b@127.0.0.1".parse().unwrap());
    change.send(Change::Everybody(vec![peer])).unwrap();
    let ready = "[+]manager ok\n[+]draining ok\n[+]node ok\n[+]peers ok\nreadyz check passed\n";
    becomes(&health, ready).await;
    // The node's links live on while nobody hears of them.
    change.send(Change::Away).unwrap();
    becomes(&health, &away("[+]peers ok")).await;
    change.send(Change::Everybody(Vec::new())).unwrap();
    let alone = "[+]manager ok\n[+]draining ok\n[+]node ok\n\
        [-]peers failed: 0 of 1 are connected\nreadyz check failed\n";
    becomes(&health, alone).await;
    change.send(Change::Leaving).unwrap();
    let leaving = "[+]manager ok\n[-]draining failed: our own end is announced\n[+]node ok\n\
        [-]peers failed: 0 of 1 are connected\nreadyz check failed\n";
    becomes(&health, leaving).await;
    steering.shutdown().await;
    assert!(!health.live().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_stuck_is_told_in_time_however_many_ask() {
    let health = Arc::new(Health::new(rules(0)));
    health.running(Stuck);
    let began = tokio::time::Instant::now();
    let mut asking = JoinSet::new();
    for _ in 0..100 {
        let health = Arc::clone(&health);
        asking.spawn(async move { health.live().await.to_string() });
    }
    let stuck = "[-]manager failed: no answer within 2 s\nlivez check failed\n";
    for answer in asking.join_all().await {
        assert_eq!(answer, stuck);
    }
    assert!(began.elapsed() < Duration::from_millis(2100));
    let stuck = "[-]manager failed: no answer within 2 s\nreadyz check failed\n";
    assert_eq!(health.ready().await.to_string(), stuck);
}

/// Counts how often it is asked.
#[derive(Clone)]
struct Counted(Node, Arc<AtomicUsize>);

impl Subject for Counted {
    const STEERS: bool = false;

    async fn condition(&self) -> Option<Condition> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.condition().await
    }

    fn changes(&self) -> ConditionChanges {
        self.0.condition_changes()
    }
}

#[tokio::test]
async fn a_node_is_looked_at_when_something_has_changed_and_else_never() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("peers");
    fs::write(&path, "a@127.0.0.1\n").unwrap();
    let a = member("a@127.0.0.1", Some(written(&path))).await;
    let health = Arc::new(Health::new(rules(1)));
    let following = Arc::clone(&health);
    let following = tokio::spawn(async move { following.follow().await });
    let asked = Arc::new(AtomicUsize::new(0));
    health.running(Counted(a.clone(), Arc::clone(&asked)));
    let asked = || asked.load(Ordering::SeqCst);
    let until = async |done: &dyn Fn() -> bool| {
        let waiting = async {
            while !done() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    };
    let alone = "[+]manager ok\n[+]draining ok\n[+]topology web ok\n\
        [-]peers failed: 0 of 1 are connected\nreadyz check failed\n";
    becomes(&health, alone).await;
    // The file is read ten times a second all the while.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = asked();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(asked(), before);
    assert!(!*locked(&health.was_ready));
    let b = member("b@127.0.0.1", None).await;
    fs::write(&path, format!("b@127.0.0.1 127.0.0.1:{}\n", b.port())).unwrap();
    until(&|| *locked(&health.was_ready)).await;
    b.shutdown().await;
    until(&|| !*locked(&health.was_ready)).await;
    a.shutdown().await;
    following.abort();
}
