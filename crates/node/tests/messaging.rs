//! Processes of Rust members, on one node and between two, over loopback and without epmd.

#[path = "loopback/loopback.rs"]
mod loopback;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use enmesh::{
    Answer, CallError, Caller, Cookie, EpmdMode, Event, GenServer, Mailbox, MailboxOptions, Node,
    NodeTypes, Overflow, Process, Raise, Received, RpcError, SendError, Stop, Term, ToTerm,
};
use tokio::time::timeout;

use crate::loopback::{PATIENCE, builder, free_port, name};

async fn node(host: u8, port: u16) -> Node {
    builder(host, port).start().await.unwrap()
}

/// Two nodes, connected.
async fn pair() -> (Node, Node) {
    let port = free_port();
    let (one, other) = (node(2, port).await, node(3, port).await);
    one.connect(name(3)).await.unwrap();
    assert!(timeout(PATIENCE, other.wait_for_peers(1)).await.unwrap());
    (one, other)
}

async fn next(mailbox: &mut Mailbox) -> Received {
    timeout(PATIENCE, mailbox.recv())
        .await
        .expect("something in time")
        .expect("the process lives")
}

async fn message(mailbox: &mut Mailbox) -> Term {
    match next(mailbox).await {
        Received::Message(message) => message.term().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn atom(name: &'static str) -> Term {
    Term::atom(name)
}

struct Counter {
    value: i64,
    waiting: Vec<Caller>,
}

impl Counter {
    fn new() -> Self {
        Self {
            value: 0,
            waiting: Vec::new(),
        }
    }
}

impl GenServer for Counter {
    async fn handle_call(
        &mut self,
        request: Term,
        from: &Caller,
        me: &Process,
    ) -> Result<Answer, Stop> {
        match request.as_atom().map(|word| word.as_str()) {
            Some("get") => Ok(Answer::Reply(Term::Int(self.value))),
            Some("wait") => {
                self.waiting.push(from.clone());
                Ok(Answer::Later)
            }
            Some("release") => {
                for waiting in self.waiting.drain(..) {
                    me.reply(&waiting, "released").await.unwrap();
                }
                Ok(Answer::Reply(atom("ok")))
            }
            Some("panic") => panic!("as asked"),
            _ => Err(Stop::because(atom("bad_request"))),
        }
    }

    async fn handle_cast(&mut self, request: Term, _me: &Process) -> Result<(), Stop> {
        self.value += request.as_int().unwrap();
        Ok(())
    }
}

#[tokio::test]
async fn messages_arrive_in_the_order_of_sending_by_pid_and_by_name() {
    let (one, other) = pair().await;
    let mut here = other.mailbox("here").unwrap();
    let sender = one.anonymous_mailbox().unwrap();
    for n in 0..1000_i64 {
        if n % 2 == 0 {
            sender.send(here.pid(), &n).await.unwrap();
        } else {
            sender.send(("here", &name(3)), &n).await.unwrap();
        }
    }
    for n in 0..1000_i64 {
        assert_eq!(message(&mut here).await, Term::Int(n));
    }
    assert_eq!(here.try_recv().unwrap(), None);
    // And within one node.
    let local = other.anonymous_mailbox().unwrap();
    local.send("here", &("local", 1)).await.unwrap();
    let Received::Message(got) = next(&mut here).await else {
        panic!("no message");
    };
    assert_eq!(
        got.decode::<(String, i64)>().unwrap(),
        ("local".to_owned(), 1)
    );
}

#[tokio::test]
async fn a_message_to_a_node_that_is_not_connected_connects_it() {
    let port = free_port();
    let (one, other) = (node(2, port).await, node(3, port).await);
    let mut there = other.mailbox("there").unwrap();
    let sender = one.anonymous_mailbox().unwrap();
    for n in 0..10_i64 {
        sender.send(("there", &name(3)), &n).await.unwrap();
    }
    for n in 0..10_i64 {
        assert_eq!(message(&mut there).await, Term::Int(n));
    }
    assert_eq!(one.nodes(), [name(3)]);
}

#[tokio::test]
async fn a_monitor_of_a_node_that_cannot_be_reached_fires_noconnection() {
    let one = node(2, free_port()).await;
    let mut mailbox = one.anonymous_mailbox().unwrap();
    let monitor = mailbox.monitor(("nobody", &name(9)));
    match next(&mut mailbox).await {
        Received::Down {
            reference, reason, ..
        } => {
            assert_eq!(reference, monitor);
            assert_eq!(reason, atom("noconnection"));
        }
        other => panic!("{other:?}"),
    }
    let called = one.call(("nobody", &name(9)), "x", PATIENCE).await;
    assert_eq!(called, Err(CallError::NoConnection));
}

#[tokio::test]
async fn links_and_monitors_fire_when_a_mailbox_is_dropped_or_exits() {
    let (one, other) = pair().await;
    let trapping = MailboxOptions::default().trap_exit(true);
    let mut watcher = one.anonymous_mailbox_with(&trapping).unwrap();
    let watched = other.mailbox("watched").unwrap();
    let pid = watched.pid().clone();
    let by_pid = watcher.monitor(&pid);
    let by_name = watcher.monitor(("watched", &name(3)));
    watcher.link(&pid);
    // The other node has the signals once it has answered a later one.
    let gone = watcher.monitor(("nobody", &name(3)));
    match next(&mut watcher).await {
        Received::Down {
            reference, reason, ..
        } => assert_eq!((reference, reason), (gone, atom("noproc"))),
        other => panic!("{other:?}"),
    }
    watched.exit(atom("done"));
    let (mut downs, mut exits) = (Vec::new(), 0);
    for _ in 0..3 {
        match next(&mut watcher).await {
            Received::Down {
                reference, reason, ..
            } => {
                assert_eq!(reason, atom("done"));
                downs.push(reference);
            }
            Received::Exit { from, reason } => {
                assert_eq!((from, reason), (pid.clone(), atom("done")));
                exits += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(exits, 1);
    assert!(downs.contains(&by_pid) && downs.contains(&by_name));
    // The name is free again.
    drop(other.mailbox("watched").unwrap());
    let again = other.mailbox("watched").unwrap();
    drop(again);
}

#[tokio::test]
async fn an_exit_signal_ends_a_mailbox_that_does_not_trap() {
    let (one, other) = pair().await;
    let mut victim = one.anonymous_mailbox().unwrap();
    other.process().exit_other(victim.pid(), atom("enough"));
    let ended = timeout(PATIENCE, victim.recv()).await.unwrap().unwrap_err();
    assert!(ended.is("enough"), "{ended}");
}

#[tokio::test]
async fn a_server_is_called_and_cast_by_name_and_by_pid_here_and_there() {
    let (one, other) = pair().await;
    let server = other.start_server("counter", Counter::new()).unwrap();
    one.cast(("counter", &name(3)), &3).await.unwrap();
    one.cast(server.pid(), &4).await.unwrap();
    let get = atom("get");
    let got = one.call(("counter", &name(3)), &get, PATIENCE).await;
    assert_eq!(got, Ok(Term::Int(7)));
    let local = other.call("counter", &get, PATIENCE).await;
    assert_eq!(local, Ok(Term::Int(7)));
    // A reply that is given later, by another request.
    let wait = atom("wait");
    let waits = one.call(server.pid(), &wait, PATIENCE);
    let releases = async {
        // The request of the other caller may come first or last: release until it is there.
        loop {
            let released = other.call("counter", &atom("release"), PATIENCE).await;
            assert_eq!(released, Ok(atom("ok")));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let reply = tokio::select! {
        reply = waits => reply,
        () = releases => unreachable!(),
    };
    assert_eq!(reply, Ok("released".to_term()));
}

#[tokio::test]
async fn every_end_of_a_call_has_its_own_error() {
    let (one, other) = pair().await;
    let get = atom("get");
    let nobody = one.call(("nobody", &name(3)), &get, PATIENCE).await;
    assert_eq!(nobody, Err(CallError::NoProcess));
    let local = one.call("nobody", &get, PATIENCE).await;
    assert_eq!(local, Err(CallError::NoProcess));

    other.start_server("counter", Counter::new()).unwrap();
    let stopped = one.call(("counter", &name(3)), &atom("?"), PATIENCE).await;
    assert_eq!(stopped, Err(CallError::Exited(atom("bad_request"))));
    other.start_server("counter", Counter::new()).unwrap();
    let panicked = one
        .call(("counter", &name(3)), &atom("panic"), PATIENCE)
        .await;
    let reason = Term::tuple([atom("panic"), Term::binary("as asked")]);
    assert_eq!(panicked, Err(CallError::Exited(reason)));

    let _silent = other.mailbox("silent").unwrap();
    let patience = Duration::from_millis(50);
    let silent = one.call(("silent", &name(3)), &get, patience).await;
    assert_eq!(silent, Err(CallError::TimedOut(patience)));

    let there = name(3);
    let calling = one.call(("silent", &there), &get, PATIENCE);
    let cutting = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(one.disconnect(&name(3)).await);
    };
    let (cut, ()) = tokio::join!(calling, cutting);
    assert_eq!(cut, Err(CallError::NoConnection));

    let calling = one.call("silent_too", &get, PATIENCE);
    drop(calling);
    let _silent_too = one.mailbox("silent_too").unwrap();
    let calling = one.call("silent_too", &get, PATIENCE);
    let (shut, ()) = tokio::join!(calling, one.shutdown());
    assert!(
        matches!(shut, Err(CallError::ShutDown | CallError::Exited(_))),
        "{shut:?}"
    );
    let late = one.call("silent_too", &get, PATIENCE).await;
    assert_eq!(late, Err(CallError::ShutDown));
}

#[tokio::test]
async fn served_functions_return_raise_and_panic_to_remote_callers() {
    let (one, other) = pair().await;
    other.serve_function("rust", "act", |call| async move {
        assert_eq!(call.caller.as_str(), "n2@127.0.0.2");
        match call
            .args
            .first()
            .and_then(Term::as_atom)
            .map(|a| a.as_str())
        {
            Some("throw") => Err(Raise::Throw(atom("ball"))),
            Some("exit") => Err(Raise::Exit(atom("away"))),
            Some("error") => Err(Raise::Error(atom("badarg"))),
            Some("panic") => panic!("as asked"),
            _ => Ok(Term::List(call.args)),
        }
    });
    let act = |word: &'static str| one.rpc(other.name(), "rust", "act", vec![atom(word)], PATIENCE);
    assert_eq!(act("fine").await, Ok(Term::List(vec![atom("fine")])));
    assert_eq!(act("throw").await, Err(RpcError::Threw(atom("ball"))));
    assert_eq!(act("exit").await, Err(RpcError::Exited(atom("away"))));
    match act("error").await {
        Err(RpcError::Failed { reason, .. }) => assert_eq!(reason, atom("badarg")),
        other => panic!("{other:?}"),
    }
    let panicked = act("panic").await;
    assert!(
        matches!(&panicked, Err(error) if error.to_string().contains("as asked")),
        "{panicked:?}"
    );
    match one.rpc(other.name(), "no", "such", vec![], PATIENCE).await {
        Err(RpcError::Failed { reason, .. }) => assert_eq!(reason, atom("undef")),
        other => panic!("{other:?}"),
    }
    let nowhere = one.rpc(&name(9), "rust", "act", vec![], PATIENCE).await;
    assert_eq!(nowhere, Err(RpcError::NoConnection));
}

#[tokio::test]
async fn a_call_that_is_given_up_aborts_the_function() {
    struct Dropped(std::sync::mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (one, other) = pair().await;
    let (dropped, drops) = std::sync::mpsc::channel();
    other.serve_function("rust", "sleep", move |_| {
        let guard = Dropped(dropped.clone());
        async move {
            let _guard = guard;
            std::future::pending::<()>().await;
            Ok(Term::nil())
        }
    });
    let patience = Duration::from_millis(100);
    let called = one
        .rpc(other.name(), "rust", "sleep", vec![], patience)
        .await;
    assert_eq!(called, Err(RpcError::TimedOut(patience)));
    drops.recv_timeout(PATIENCE).expect("the task is dropped");
}

#[tokio::test]
async fn nodes_that_come_and_go_are_told_around_their_messages() {
    let port = free_port();
    let (one, other) = (node(2, port).await, node(3, port).await);
    let mut watcher = one.mailbox("watcher").unwrap();
    watcher.monitor_nodes(Some(NodeTypes::All));
    let sender = other.anonymous_mailbox().unwrap();
    for n in 0..100_i64 {
        sender.send(("watcher", &name(2)), &n).await.unwrap();
    }
    assert!(matches!(next(&mut watcher).await, Received::Nodeup { .. }));
    for n in 0..100_i64 {
        assert_eq!(message(&mut watcher).await, Term::Int(n));
    }
    other.shutdown().await;
    match next(&mut watcher).await {
        Received::Nodedown { node, reason, .. } => {
            assert_eq!(node, "n3@127.0.0.3");
            assert_eq!(reason, atom("connection_closed"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_full_mailbox_ends_its_process_and_stalls_nobody() {
    let (one, other) = pair().await;
    let small = MailboxOptions::default().capacity(100);
    let mut full = other.mailbox_with("full", &small).unwrap();
    let mut watcher = one.anonymous_mailbox().unwrap();
    watcher.monitor(full.pid());
    for n in 0..101_i64 {
        watcher.send(full.pid(), &n).await.unwrap();
    }
    match next(&mut watcher).await {
        Received::Down { reason, .. } => assert_eq!(reason, atom("mailbox_overflow")),
        other => panic!("{other:?}"),
    }
    let ended = full.recv().await.unwrap_err();
    assert!(ended.is("mailbox_overflow"), "{ended}");
}

#[tokio::test]
async fn a_full_mailbox_that_drops_the_newest_counts_them() {
    let (one, other) = pair().await;
    let small = MailboxOptions::default()
        .capacity(100)
        .overflow(Overflow::DropNewest);
    let mut full = other.mailbox_with("full", &small).unwrap();
    let mut last = other.mailbox("last").unwrap();
    let sender = one.anonymous_mailbox().unwrap();
    for n in 0..150_i64 {
        sender.send(full.pid(), &n).await.unwrap();
    }
    sender.send(last.pid(), "done").await.unwrap();
    message(&mut last).await;
    assert_eq!(full.dropped(), 50);
    for n in 0..100_i64 {
        assert_eq!(message(&mut full).await, Term::Int(n));
    }
    sender.send(full.pid(), &7).await.unwrap();
    assert_eq!(
        message(&mut full).await,
        Term::Int(7),
        "there is room again"
    );
}

#[tokio::test]
async fn what_is_too_large_or_too_much_is_told_to_the_sender() {
    let (one, other) = pair().await;
    let sink = other
        .anonymous_mailbox_with(&MailboxOptions::default().max_bytes(1 << 30))
        .unwrap();
    let sender = one.anonymous_mailbox().unwrap();
    let huge = Term::binary(vec![0; (128 << 20) + 1]);
    let refused = sender.send(sink.pid(), &huge).await;
    assert!(matches!(refused, Err(SendError::TooLarge { .. })));
    // Faster than any link: sooner or later the link has too much to write, and later it has not.
    let block = Term::binary(vec![0; 32 << 10]);
    let give_up = Instant::now() + PATIENCE;
    while sender.try_send(sink.pid(), &block) != Err(SendError::Busy) {
        assert!(Instant::now() < give_up, "never too much");
    }
    timeout(PATIENCE, sender.send(sink.pid(), &block))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_request_that_is_too_long_is_told_at_once() {
    let (one, other) = pair().await;
    let _server = other.start_server("counter", Counter::new()).unwrap();
    let huge = Term::binary(vec![0; (128 << 20) + 1]);
    let called = one.call(("counter", &name(3)), &huge, PATIENCE).await;
    assert!(matches!(called, Err(CallError::TooLarge { .. })));
    let args = vec![huge];
    let asked = one.rpc(&name(3), "m", "f", args, PATIENCE).await;
    assert!(matches!(asked, Err(RpcError::TooLarge { .. })));
}

/// Ten requests of 30 MiB are more than may pile up for a link, which must not end by them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_large_calls_wait_for_each_other_and_leave_the_link_alone() {
    let (one, other) = pair().await;
    other.serve_function("rust", "first", |mut call| async move {
        match call.args.pop() {
            Some(Term::Binary(bytes)) => Ok(Term::from(bytes.len() as u64)),
            other => Err(Raise::Error(other.unwrap_or_else(Term::nil))),
        }
    });
    let mut events = one.events();
    assert!(matches!(events.next().await, Some(Event::Nodeup { .. })));
    let block = Term::binary(vec![0; 30 << 20]);
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let (node, args) = (one.clone(), vec![block.clone()]);
            tokio::spawn(async move { node.rpc(&name(3), "rust", "first", args, PATIENCE).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(Term::Int(30 << 20)));
    }
    let nothing = timeout(Duration::from_millis(1), events.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test]
async fn a_user_who_blocks_the_only_thread_of_the_runtime_holds_up_no_link() {
    let port = free_port();
    let quick = |host: u8| {
        Node::builder(name(host), Cookie::new("secret").unwrap())
            .visible(false)
            .listen(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)))
            .dist_port(port)
            .epmd(EpmdMode::None)
            .net_ticktime(Duration::from_secs(1))
            .start()
    };
    let (one, other) = (quick(2).await.unwrap(), quick(3).await.unwrap());
    one.connect(name(3)).await.unwrap();
    let mut events = one.events();
    assert!(matches!(
        events.next().await,
        Some(enmesh::Event::Nodeup { .. })
    ));
    other.start_server("counter", Counter::new()).unwrap();
    // Both nodes' callers share this one thread.
    std::thread::sleep(Duration::from_secs(3));
    let got = one
        .call(("counter", &name(3)), &atom("get"), PATIENCE)
        .await;
    assert_eq!(got, Ok(Term::Int(0)));
    let quiet = timeout(Duration::from_millis(50), events.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[test]
fn nothing_needs_a_tokio_runtime_around_it() {
    futures::executor::block_on(async {
        let (one, other) = (node(2, free_port()).await, ());
        let () = other;
        one.start_server("counter", Counter::new()).unwrap();
        let got = one.call("counter", &atom("get"), PATIENCE).await;
        assert_eq!(got, Ok(Term::Int(0)));
        let patience = Duration::from_millis(20);
        let silent = one.mailbox("silent").unwrap();
        let timed_out = one.call(silent.pid(), &atom("get"), patience).await;
        assert_eq!(timed_out, Err(CallError::TimedOut(patience)));
    });
}
#[tokio::test]
async fn a_small_message_passes_a_large_one_of_another_process() {
    let (one, other) = pair().await;
    let big_options = MailboxOptions::default().max_bytes(1 << 30);
    let mut big = other.mailbox_with("big", &big_options).unwrap();
    let mut small = other.mailbox("small").unwrap();
    let (slow, quick) = (
        one.anonymous_mailbox().unwrap(),
        one.anonymous_mailbox().unwrap(),
    );
    let block = Term::binary(vec![7; 64 << 20]);
    slow.send(big.pid(), &block).await.unwrap();
    quick.send(small.pid(), "quick").await.unwrap();
    message(&mut small).await;
    assert_eq!(big.try_recv().unwrap(), None, "the large one is on its way");
    assert_eq!(message(&mut big).await, block);
}

#[tokio::test]
async fn a_server_that_kills_its_callers_harms_no_later_call() {
    struct Killer;
    impl GenServer for Killer {
        async fn handle_call(
            &mut self,
            _request: Term,
            from: &Caller,
            me: &Process,
        ) -> Result<Answer, Stop> {
            me.exit_other(from.pid(), atom("kill"));
            Ok(Answer::Reply(atom("ok")))
        }
    }
    let (one, other) = pair().await;
    other.start_server("killer", Killer).unwrap();
    for _ in 0..3 {
        let hello = atom("hello");
        let called = one.call(("killer", &name(3)), &hello, PATIENCE).await;
        assert_eq!(called, Ok(atom("ok")));
    }
}

#[tokio::test]
async fn reasons_fill_a_mailbox_as_messages_do() {
    let (one, other) = pair().await;
    let small = MailboxOptions::default().max_bytes(1 << 20).trap_exit(true);
    let mut full = other.mailbox_with("full", &small).unwrap();
    let sender = one.anonymous_mailbox().unwrap();
    for _ in 0..20 {
        sender.exit_other(full.pid(), Term::List(vec![Term::binary(vec![7; 100_000])]));
    }
    let deadline = Instant::now() + PATIENCE;
    // Whoever takes them at once makes room, so none is taken before all are there.
    while other.whereis(&enmesh::Atom::from_static("full")).is_some() {
        assert!(Instant::now() < deadline, "2 MB of reasons fit 1 MiB");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = full.recv().await.unwrap_err();
    assert!(ended.is("mailbox_overflow"), "{ended}");
}

#[tokio::test]
async fn nobody_fills_a_mailbox_that_drops_the_newest_with_exits() {
    let (one, other) = pair().await;
    let small = MailboxOptions::default()
        .capacity(100)
        .overflow(Overflow::DropNewest)
        .trap_exit(true);
    let mut full = other.mailbox_with("full", &small).unwrap();
    let mut watcher = one.anonymous_mailbox().unwrap();
    watcher.monitor(full.pid());
    for _ in 0..=65_636 {
        watcher.exit_other(full.pid(), atom("boom"));
    }
    match next(&mut watcher).await {
        Received::Down { reason, .. } => assert_eq!(reason, atom("mailbox_overflow")),
        other => panic!("{other:?}"),
    }
    assert!(full.recv().await.is_err());
}

/// What blocks its thread goes on when nobody waits for it any more, and what waits for a thread
/// waits on: all of them count.
#[tokio::test]
async fn functions_that_were_given_up_count_until_they_end() {
    let (one, other) = pair().await;
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let blocked = std::sync::Arc::clone(&held);
    other.serve_function("rust", "block", move |_| {
        let blocked = std::sync::Arc::clone(&blocked);
        async move {
            let _ = blocked.lock().unwrap_or_else(|e| e.into_inner()).recv();
            Ok(Term::nil())
        }
    });
    let call = |patience| one.rpc(other.name(), "rust", "block", vec![], patience);
    let limit = Err(RpcError::Refused(atom("system_limit")));
    let deadline = Instant::now() + PATIENCE;
    while call(Duration::from_millis(10)).await != limit {
        assert!(Instant::now() < deadline, "1,024 at most");
    }
    drop(hold);
    while call(PATIENCE).await != Ok(Term::nil()) {
        assert!(Instant::now() < deadline, "they have ended");
    }
}

#[tokio::test]
async fn results_that_no_link_takes_are_told_as_a_limit() {
    struct Long;
    impl GenServer for Long {
        async fn handle_call(
            &mut self,
            _request: Term,
            _from: &Caller,
            _me: &Process,
        ) -> Result<Answer, Stop> {
            Ok(Answer::Reply(Term::binary(vec![7; 129 << 20])))
        }
    }
    let (one, other) = pair().await;
    other.start_server("long", Long).unwrap();
    other.serve_function("rust", "long", |_| async {
        Ok(Term::binary(vec![7; 129 << 20]))
    });
    let called = one.call(("long", &name(3)), &atom("get"), PATIENCE).await;
    let limit = Term::tuple([atom("error"), atom("system_limit")]);
    assert_eq!(called, Ok(limit));
    let called = one
        .rpc(other.name(), "rust", "long", vec![], PATIENCE)
        .await;
    assert_eq!(called, Err(RpcError::Killed(atom("system_limit"))));
    assert!(one.disconnect(&name(3)).await, "the link is up");
}

#[tokio::test]
async fn three_functions_that_block_hold_up_no_other() {
    let (one, other) = pair().await;
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let (started, starts) = std::sync::mpsc::channel();
    other.serve_function("rust", "block", move |_| {
        let (held, started) = (std::sync::Arc::clone(&held), started.clone());
        async move {
            started.send(()).unwrap();
            let _ = held.lock().unwrap_or_else(|e| e.into_inner()).recv();
            Ok(Term::nil())
        }
    });
    other.serve_function("rust", "ready", |_| async { Ok(atom("ready")) });
    let call = |function| one.rpc(other.name(), "rust", function, vec![], PATIENCE);
    let blocked = async { tokio::join!(call("block"), call("block"), call("block")) };
    let ready = async {
        let all = move || (0..3).try_for_each(|_| starts.recv_timeout(PATIENCE));
        tokio::task::spawn_blocking(all).await.unwrap().unwrap();
        let ready = call("ready").await;
        drop(hold);
        ready
    };
    let (blocked, ready) = tokio::join!(blocked, ready);
    assert_eq!(ready, Ok(atom("ready")));
    assert_eq!(blocked.0, Ok(Term::nil()));
}

#[tokio::test]
async fn a_call_that_is_too_long_by_what_is_around_its_request_is_refused_at_once() {
    struct Silent;
    impl GenServer for Silent {
        async fn handle_call(
            &mut self,
            _request: Term,
            _from: &Caller,
            _me: &Process,
        ) -> Result<Answer, Stop> {
            Ok(Answer::Reply(atom("got it")))
        }
    }
    let (one, other) = pair().await;
    other.start_server("silent", Silent).unwrap();
    // A binary has five bytes around it.
    let longest = (128 << 20) - (4 << 10) - 5;
    for less in [0, 60] {
        let request = Term::binary(vec![7; longest - less]);
        let called = one.call(("silent", &name(3)), &request, PATIENCE).await;
        assert!(
            matches!(called, Err(CallError::TooLarge { .. })),
            "{called:?}"
        );
    }
    let request = Term::binary(vec![7; longest - 200]);
    let called = one.call(("silent", &name(3)), &request, PATIENCE).await;
    assert_eq!(called, Ok(atom("got it")));
}
