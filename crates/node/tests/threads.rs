//! The threads of a node: what they cost while nothing happens, and that they end. One test, for
//! it counts those of the whole process.
#![cfg(target_os = "linux")]

#[path = "loopback/loopback.rs"]
mod loopback;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use enmesh::{Answer, Caller, GenServer, MailboxOptions, Node, Process, Stop, Term};

use crate::loopback::{PATIENCE, builder, free_port};

fn node() -> Node {
    let builder = builder(7, free_port()).visible(true);
    builder.start_blocking().unwrap()
}

/// The threads of this process, by their directories.
fn threads() -> Vec<std::path::PathBuf> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.map(|task| task.unwrap().path()).collect()
}

/// How often the threads of nodes have waited.
fn waits() -> u64 {
    let status = threads().into_iter().filter_map(|thread| {
        let status = std::fs::read_to_string(thread.join("status")).ok()?;
        status.starts_with("Name:\tenmesh").then_some(status)
    });
    let counts = status.map(|status| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    });
    counts.sum()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Doubles numbers, ends on `stop`, and on `block` keeps its thread until it is let go.
struct Server(Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>);

impl GenServer for Server {
    async fn handle_call(
        &mut self,
        request: Term,
        _from: &Caller,
        _me: &Process,
    ) -> Result<Answer, Stop> {
        if let Some((blocks, released)) = &self.0
            && request.is_atom("block")
        {
            blocks.send(()).unwrap();
            released.recv_timeout(PATIENCE).unwrap();
        }
        match request.as_int() {
            Some(number) => Ok(Answer::Reply(Term::Int(2 * number))),
            None => Err(Stop::normal()),
        }
    }
}

/// Starts and ends many servers, one after the other.
fn come_and_go(node: &Node) {
    for number in 0..10_000 {
        let options = MailboxOptions::default();
        let server = node.start_server_with(None, &options, Server(None));
        let pid = server.unwrap().pid().clone();
        node.block_on(async {
            if number % 100 == 0 {
                let reply = node.call(&pid, &number, PATIENCE).await;
                assert_eq!(reply.unwrap(), Term::Int(2 * number));
            }
            assert!(node.call(&pid, "stop", PATIENCE).await.is_err());
        });
    }
}

fn rests(node: &Node) {
    std::thread::scope(|scope| {
        let guest = scope.spawn(|| {
            node.block_on(async {
                let mut mailbox = node.mailbox("guest").unwrap();
                mailbox.recv().await.unwrap();
            });
        });
        until("a quiet second", || {
            let before = waits();
            std::thread::sleep(Duration::from_secs(1));
            waits() - before <= 2
        });
        let to = enmesh::Atom::from_static("guest");
        node.process().try_send(to, &1).unwrap();
        guest.join().unwrap();
    });
}

/// Ends while a server keeps its thread, a thread waits in vain, and another for the end.
fn ends_in_the_middle_of_everything(node: Node) {
    let (blocks, is_blocked) = mpsc::channel();
    let (release, released) = mpsc::channel();
    node.start_server("blocker", Server(Some((blocks, released))))
        .unwrap();
    let caller = {
        let node = node.clone();
        std::thread::spawn(move || {
            let called = node.block_on(node.call("blocker", &Term::atom("block"), PATIENCE));
            assert!(called.is_err());
        })
    };
    is_blocked.recv_timeout(PATIENCE).unwrap();
    let waiter = {
        let node = node.clone();
        std::thread::spawn(move || node.block_on(node.ended()))
    };
    let start = Instant::now();
    node.block_on(node.shutdown());
    assert!(start.elapsed() < PATIENCE / 4, "the server still blocks");
    waiter.join().unwrap();
    release.send(()).unwrap();
    caller.join().unwrap();
}

#[test]
fn threads_rest_while_nothing_happens_and_end_with_their_node() {
    let before = threads().len();
    let node_of_servers = node();
    come_and_go(&node_of_servers);
    assert!(threads().len() <= before + 1 + 2 + 4.max(num_threads()));
    rests(&node_of_servers);
    ends_in_the_middle_of_everything(node_of_servers);
    until("all threads end", || threads().len() == before);

    end_with_the_last_handle(node());
    until("all threads end without a word", || {
        threads().len() == before
    });
}

/// Holds the last handle of its own node, until it is let go.
struct Last(Node, mpsc::Receiver<()>);

impl GenServer for Last {
    async fn handle_call(
        &mut self,
        _request: Term,
        _from: &Caller,
        _me: &Process,
    ) -> Result<Answer, Stop> {
        assert!(!self.0.name().as_str().is_empty());
        Ok(Answer::Later)
    }

    async fn handle_cast(&mut self, _request: Term, _me: &Process) -> Result<(), Stop> {
        self.1.recv_timeout(PATIENCE).unwrap();
        Err(Stop::normal())
    }
}

fn end_with_the_last_handle(node: Node) {
    let (release, released) = mpsc::channel();
    node.start_server("last", Last(node.clone(), released))
        .unwrap();
    let me = node.process();
    node.block_on(me.cast("last", &1)).unwrap();
    drop((me, node));
    release.send(()).unwrap();
}

fn num_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
