//! The user's code on a thread that drives the links.

#[path = "loopback/loopback.rs"]
mod loopback;

use std::sync::mpsc;
use std::time::Duration;

use enmesh::{Answer, Caller, GenServer, Mailbox, Node, Process, Received, Stop, Term};
use tokio::task::LocalSet;

use crate::loopback::{PATIENCE, builder, free_port, name};

fn node(host: u8, port: u16) -> Node {
    let builder = builder(host, port).visible(true);
    builder.start_blocking().unwrap()
}

/// Two nodes, connected.
fn pair() -> (Node, Node) {
    let port = free_port();
    let (one, other) = (node(2, port), node(3, port));
    one.block_on(async {
        one.connect(name(3)).await.unwrap();
        assert!(other.wait_for_peers(1).await);
    });
    (one, other)
}

async fn message(mailbox: &mut Mailbox) -> Term {
    let received = tokio::time::timeout(PATIENCE, mailbox.recv()).await;
    match received.expect("something in time").unwrap() {
        Received::Message(message) => message.term().unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn echo(mut mailbox: Mailbox) {
    while let Ok(Received::Message(message)) = mailbox.recv().await {
        let Term::Tuple(parts) = message.term().unwrap() else {
            return;
        };
        let [Term::Pid(from), content] = &parts[..] else {
            return;
        };
        mailbox.send(&**from, content).await.unwrap();
    }
}

async fn ask(mailbox: &mut Mailbox, peer: u8, content: i64) -> Term {
    let question = (mailbox.pid().clone(), content);
    mailbox
        .send(("echo", &name(peer)), &question)
        .await
        .unwrap();
    message(mailbox).await
}

/// The echo of `node` on a thread of its own, until the node ends.
fn serve_echo(node: &Node) -> std::thread::JoinHandle<()> {
    let (node, mailbox) = (node.clone(), node.mailbox("echo").unwrap());
    std::thread::spawn(move || node.block_on(echo(mailbox)))
}

#[test]
fn two_threads_that_drive_their_own_links_talk() {
    let (one, other) = pair();
    let server = serve_echo(&other);
    one.block_on(async {
        let mut mailbox = one.anonymous_mailbox().unwrap();
        for number in 0..2000 {
            assert_eq!(ask(&mut mailbox, 3, number).await, Term::Int(number));
        }
        other.shutdown().await;
    });
    server.join().unwrap();
}

#[test]
fn code_that_blocks_its_thread_does_not_hold_up_the_links() {
    let (one, other) = pair();
    let served = serve_echo(&other);
    let (blocked, is_blocked) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let blocking = {
        let one = one.clone();
        std::thread::spawn(move || {
            one.block_on(async {
                // It has the lead first.
                let mut mailbox = one.anonymous_mailbox().unwrap();
                assert_eq!(ask(&mut mailbox, 3, 1).await, Term::Int(1));
                blocked.send(()).unwrap();
                released.recv_timeout(PATIENCE).unwrap();
                assert_eq!(ask(&mut mailbox, 3, 2).await, Term::Int(2));
            });
        })
    };
    is_blocked.recv_timeout(PATIENCE).unwrap();
    // The links of `one` are served, for its other processes as for those that ask from outside.
    other.block_on(async {
        let mut mailbox = other.anonymous_mailbox().unwrap();
        one.process().send(mailbox.pid(), &7).await.unwrap();
        assert_eq!(message(&mut mailbox).await, Term::Int(7));
        let answer = other
            .rpc(&name(2), "erlang", "node", vec![], PATIENCE)
            .await;
        assert_eq!(answer.unwrap(), Term::atom("n2@127.0.0.2"));
    });
    release.send(()).unwrap();
    blocking.join().unwrap();
    other.block_on(other.shutdown());
    served.join().unwrap();
}

struct Doubler;

impl GenServer for Doubler {
    async fn handle_call(
        &mut self,
        request: Term,
        _from: &Caller,
        _me: &Process,
    ) -> Result<Answer, Stop> {
        Ok(Answer::Reply(Term::Int(2 * request.as_int().unwrap_or(0))))
    }
}

#[test]
fn a_server_and_the_thread_that_calls_it_share_one_node_and_another() {
    let (one, other) = pair();
    one.start_server("double", Doubler).unwrap();
    other.start_server("double", Doubler).unwrap();
    // Calls to the own node, to the other, and from there, all at once and on tasks of one thread.
    one.block_on(LocalSet::new().run_until(async {
        let mut tasks = tokio::task::JoinSet::new();
        for (from, to) in [(&one, 2), (&one, 3), (&other, 2), (&other, 3)] {
            let from = from.clone();
            tasks.spawn_local(async move {
                for number in 0..300 {
                    let reply = from.call(("double", &name(to)), &number, PATIENCE).await;
                    assert_eq!(reply.unwrap(), Term::Int(2 * number));
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    }));
}

#[test]
fn many_threads_drive_one_node() {
    let (one, other) = pair();
    let served = serve_echo(&other);
    let threads: Vec<_> = (0..6)
        .map(|thread| {
            let one = one.clone();
            std::thread::spawn(move || {
                one.block_on(async {
                    let mut mailbox = one.anonymous_mailbox().unwrap();
                    for number in 0..300 {
                        let content = thread * 1000 + number;
                        assert_eq!(ask(&mut mailbox, 3, content).await, Term::Int(content));
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    other.block_on(other.shutdown());
    served.join().unwrap();
}

#[test]
fn servers_that_block_all_their_threads_hold_up_nobody_else() {
    struct Blocker(mpsc::Receiver<()>);
    impl GenServer for Blocker {
        async fn handle_call(
            &mut self,
            _request: Term,
            _from: &Caller,
            _me: &Process,
        ) -> Result<Answer, Stop> {
            self.0.recv_timeout(PATIENCE).unwrap();
            Ok(Answer::Reply(Term::atom("free")))
        }
    }
    let (one, other) = pair();
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .max(4);
    let mut releases = Vec::new();
    for number in 0..threads {
        let (release, released) = mpsc::channel();
        let server = Blocker(released);
        one.start_server(&format!("blocker{number}"), server)
            .unwrap();
        releases.push(release);
    }
    other.block_on(LocalSet::new().run_until(async {
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..threads {
            let other = other.clone();
            calls.spawn_local(async move {
                let server = enmesh::Atom::new(&format!("blocker{number}")).unwrap();
                let to = (server, &name(2));
                other.call(to, "block", PATIENCE).await.unwrap()
            });
        }
        // The node itself answers, before and after all its workers are blocked.
        for _ in 0..50 {
            let node = other
                .rpc(&name(2), "erlang", "node", vec![], PATIENCE)
                .await;
            assert_eq!(node.unwrap(), Term::atom("n2@127.0.0.2"));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for release in &releases {
            release.send(()).unwrap();
        }
        while let Some(reply) = calls.join_next().await {
            assert_eq!(reply.unwrap(), Term::atom("free"));
        }
    }));
}

#[test]
fn a_future_outlives_its_node_and_a_panic_harms_nobody() {
    let (one, other) = pair();
    let served = serve_echo(&other);
    let panicking = std::panic::AssertUnwindSafe(|| one.block_on(async { panic!("as planned") }));
    assert!(std::panic::catch_unwind(panicking).is_err());
    one.block_on(async {
        let mut mailbox = one.anonymous_mailbox().unwrap();
        assert_eq!(ask(&mut mailbox, 3, 1).await, Term::Int(1));
        one.shutdown().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(mailbox.recv().await.is_err());
        tokio::spawn(tokio::time::sleep(Duration::from_millis(1)))
            .await
            .unwrap();
    });
    assert_eq!(one.block_on(async { 7 }), 7);
    other.block_on(other.shutdown());
    served.join().unwrap();
}

/// Runs `story` on a thread of its own, and fails if it does not end.
fn ends_in_time(story: impl FnOnce() + Send + 'static) {
    let (end, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        story();
        let _ = end.send(());
    });
    let outcome = ended.recv_timeout(PATIENCE);
    assert_ne!(outcome, Err(mpsc::RecvTimeoutError::Timeout), "it hangs");
    thread.join().unwrap();
}

#[test]
fn a_node_without_links_ends_under_the_threads_that_wait_for_it() {
    ends_in_time(|| {
        let port = free_port();
        for _ in 0..300 {
            let one = node(4, port);
            let waits = {
                let one = one.clone();
                std::thread::spawn(move || one.block_on(one.ended()))
            };
            one.block_on(one.shutdown());
            waits.join().unwrap();
        }
    });
}

/// Waits, on its thread, until so many others do as well.
struct Meets(std::sync::Arc<std::sync::Barrier>, mpsc::Sender<()>);

impl GenServer for Meets {
    async fn handle_call(
        &mut self,
        _request: Term,
        _from: &Caller,
        _me: &Process,
    ) -> Result<Answer, Stop> {
        Err(Stop::normal())
    }

    async fn handle_cast(&mut self, _request: Term, _me: &Process) -> Result<(), Stop> {
        self.0.wait();
        self.1.send(()).unwrap();
        Ok(())
    }
}

#[test]
fn servers_whose_messages_come_together_do_not_wait_for_each_other() {
    ends_in_time(|| {
        const SERVERS: usize = 4;
        let (one, other) = pair();
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(SERVERS));
        let (met, meeting) = mpsc::channel();
        for number in 0..SERVERS {
            let server = Meets(std::sync::Arc::clone(&barrier), met.clone());
            one.start_server(&format!("meets{number}"), server).unwrap();
        }
        for round in 0..30 {
            other.block_on(async {
                for number in 0..SERVERS {
                    let to = enmesh::Atom::new(&format!("meets{number}")).unwrap();
                    other.process().cast((to, &name(2)), &1).await.unwrap();
                }
            });
            for _ in 0..SERVERS {
                let met = meeting.recv_timeout(PATIENCE / 2);
                met.unwrap_or_else(|error| panic!("round {round}: {error}"));
            }
            // Long enough for a quiet node, in every second round.
            std::thread::sleep(Duration::from_millis(20 * (round % 2)));
        }
    });
}

#[test]
fn what_a_server_sets_going_before_it_blocks_its_thread_runs() {
    struct First(mpsc::Receiver<()>, mpsc::Sender<()>);
    impl GenServer for First {
        async fn handle_call(
            &mut self,
            _request: Term,
            _from: &Caller,
            _me: &Process,
        ) -> Result<Answer, Stop> {
            Err(Stop::normal())
        }
        async fn handle_cast(&mut self, request: Term, me: &Process) -> Result<(), Stop> {
            let micros = request.as_int().unwrap_or(0).try_into().unwrap();
            std::thread::sleep(Duration::from_micros(micros));
            me.cast("second", &1).await.unwrap();
            self.0.recv_timeout(PATIENCE / 2).unwrap();
            self.1.send(()).unwrap();
            Ok(())
        }
    }
    struct Second(mpsc::Sender<()>);
    impl GenServer for Second {
        async fn handle_call(
            &mut self,
            _request: Term,
            _from: &Caller,
            _me: &Process,
        ) -> Result<Answer, Stop> {
            Err(Stop::normal())
        }
        async fn handle_cast(&mut self, _request: Term, _me: &Process) -> Result<(), Stop> {
            self.0.send(()).unwrap();
            Ok(())
        }
    }
    ends_in_time(|| {
        let (one, other) = pair();
        let (release, released) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        one.start_server("first", First(released, done)).unwrap();
        one.start_server("second", Second(release)).unwrap();
        for micros in (0..12_000_i64).step_by(100) {
            other.block_on(async {
                let to = enmesh::Atom::new("first").unwrap();
                other.process().cast((to, &name(2)), &micros).await.unwrap();
            });
            let done = is_done.recv_timeout(PATIENCE / 4);
            done.unwrap_or_else(|error| panic!("after {micros} us: {error}"));
        }
        drop(other);
        one.block_on(one.shutdown());
    });
}

#[tokio::test]
async fn under_a_runtime_of_tokios_it_panics_and_the_node_goes_on() {
    let builder = builder(5, free_port()).visible(true);
    let one = builder.start().await.unwrap();
    let other = one.clone();
    let nested = std::panic::AssertUnwindSafe(|| other.block_on(async {}));
    assert!(std::panic::catch_unwind(nested).is_err());
    one.start_server("double", Doubler).unwrap();
    let reply = one.call("double", &4, PATIENCE).await;
    assert_eq!(reply.unwrap(), Term::Int(8));
    one.shutdown().await;
}

/// Panics when the panic that carries it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("as planned");
    }
}

#[test]
fn workers_survive_panics_that_panic_when_they_are_dropped() {
    struct Bombs;
    impl GenServer for Bombs {
        async fn handle_call(
            &mut self,
            _request: Term,
            _from: &Caller,
            _me: &Process,
        ) -> Result<Answer, Stop> {
            std::panic::panic_any(Bomb)
        }
    }
    ends_in_time(|| {
        let one = node(6, free_port());
        one.start_server("double", Doubler).unwrap();
        for number in 0..8 {
            let server = format!("bombs{number}");
            let process = one.start_server(&server, Bombs).unwrap();
            let bombed = one.block_on(one.call(process.pid(), "go", PATIENCE));
            assert!(bombed.is_err());
            let reply = one.block_on(one.call("double", &4, PATIENCE));
            assert_eq!(reply.unwrap(), Term::Int(8));
        }
        one.block_on(one.shutdown());
    });
}

#[test]
fn a_server_ends_its_own_node_however_it_waits_for_that() {
    struct Ender(Node);
    impl GenServer for Ender {
        async fn handle_call(
            &mut self,
            _request: Term,
            _from: &Caller,
            _me: &Process,
        ) -> Result<Answer, Stop> {
            Ok(Answer::Later)
        }
        async fn handle_cast(&mut self, request: Term, _me: &Process) -> Result<(), Stop> {
            match request.as_int() {
                Some(_) => self.0.block_on(self.0.shutdown()),
                None => self.0.shutdown().await,
            }
            Ok(())
        }
    }
    ends_in_time(|| {
        let port = free_port();
        for request in [Term::Int(1), Term::atom("await"), Term::Int(2)] {
            let one = node(7, port);
            one.start_server("ender", Ender(one.clone())).unwrap();
            one.block_on(async {
                one.process().cast("ender", &request).await.unwrap();
                one.ended().await;
            });
        }
    });
}

#[test]
fn threads_drive_their_node_within_what_another_and_itself_run() {
    ends_in_time(|| {
        let (one, other) = pair();
        let served = serve_echo(&other);
        one.block_on(async {
            let mut mailbox = one.anonymous_mailbox().unwrap();
            for number in 0..50 {
                let mut deep =
                    || other.block_on(async { one.block_on(ask(&mut mailbox, 3, number)) });
                assert_eq!(deep(), Term::Int(number));
                assert_eq!(ask(&mut mailbox, 3, -1).await, Term::Int(-1));
            }
        });
        other.block_on(other.shutdown());
        served.join().unwrap();
    });
}
