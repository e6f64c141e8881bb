//! Programs of users: a node embedded in Rust code, beside a BEAM.

use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use enmesh::{Atom, CallError, Cookie, EpmdMode, Node, NodeName, Term, ToTerm};
use enmesh_interop::{Epmd, NetNs, Otp};

use crate::bench::{COOKIE, SOON, beam, sees};
use crate::global::quick;

const BEAM: &str = "b@127.0.0.1";
const US: &str = "r@127.0.0.1";

/// How long the user's code never gives its thread back: several times `net_ticktime`.
const BLOCKED: Duration = Duration::from_secs(30);

/// A user's program: one runtime with one thread, and a visible node that knows the BEAM.
fn with_node<T: Send>(ns: &NetNs, program: impl AsyncFnOnce(Node) -> T + Send) -> T {
    ns.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let node = Node::builder(US.parse().unwrap(), Cookie::new(COOKIE).unwrap())
                .visible(true)
                .epmd(EpmdMode::System)
                .listen(Ipv4Addr::LOCALHOST.into())
                .net_ticktime(Duration::from_secs(8))
                .start()
                .await
                .unwrap();
            let beam: NodeName = BEAM.parse().unwrap();
            node.connect(beam).await.unwrap();
            program(node).await
        })
    })
    .unwrap()
}

/// Elixir's servers and supervised tasks on a BEAM, called from Rust.
pub(crate) fn rust_calls_elixir(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &["-kernel", "net_ticktime", "8"]);
    b.eval(
        "true = code:add_path(\"/usr/lib/elixir/lib/elixir/ebin\"), {ok, _} = application:ensure_all_started(elixir), \
         Me = self(), spawn(fun() -> {ok, _} = 'Elixir.Task.Supervisor':start_link([{name, tasks}]), \
         {ok, _} = 'Elixir.Agent':start_link(fun() -> 41 end, [{name, agent}]), Me ! started, receive stop -> ok end end), \
         receive started -> ok end",
    )
    .unwrap();
    with_node(&ns, async |node| {
        let beam: NodeName = BEAM.parse().unwrap();
        let mut mailbox = node.anonymous_mailbox().unwrap();
        let send = Term::List(vec![mailbox.pid().to_term(), Term::atom("from_a_task")]);
        let task = vec![
            Term::atom("tasks"),
            Term::atom("erlang"),
            Term::atom("send"),
            send,
        ];
        let started = node
            .rpc(&beam, "Elixir.Task.Supervisor", "start_child", task, SOON)
            .await
            .unwrap();
        let Term::Tuple(started) = started else {
            panic!("no task was started");
        };
        assert!(started[0].is_atom("ok"), "{:?}", started);
        let message = mailbox.recv().await.unwrap().into_message().unwrap();
        assert!(message.term().unwrap().is_atom("from_a_task"));
        // The supervisor and the agent are servers: a request of theirs, then one that they refuse by ending the caller's call.
        let children = node
            .call(("tasks", &beam), &Atom::from_static("which_children"), SOON)
            .await
            .unwrap();
        assert_eq!(children, Term::List(vec![]), "the task has ended");
        let plus = vec![
            Term::atom("agent"),
            Term::atom("Elixir.Kernel"),
            Term::atom("+"),
            Term::List(vec![Term::Int(1)]),
        ];
        let sum = node.rpc(&beam, "Elixir.Agent", "get", plus, SOON).await;
        assert_eq!(sum.unwrap(), Term::Int(42));
        let nobody = node
            .call(("nobody", &beam), &Atom::from_static("hello"), SOON)
            .await;
        assert!(matches!(nobody, Err(CallError::NoProcess)), "{nobody:?}");
        let nodes = node
            .rpc(&beam, "Elixir.Node", "list", vec![], SOON)
            .await
            .unwrap();
        assert_eq!(nodes, Term::List(vec![Term::atom(US)]));
        node.shutdown().await;
    });
}

/// The user's code sits on its only thread; links, pings and locks do not notice.
pub(crate) fn a_blocked_runtime_harms_no_link(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &["-kernel", "net_ticktime", "8"]);
    b.eval("spawn(fun() -> register(watch, self()), net_kernel:monitor_nodes(true), Loop = fun Loop(Downs) -> \
            receive {nodedown, N} -> Loop([N | Downs]); {From, downs} -> From ! {downs, Downs}, Loop(Downs); _ -> Loop(Downs) end \
            end, Loop([]) end), ok")
        .unwrap();
    let (blocking, blocked) = mpsc::channel();
    std::thread::scope(|scope| {
        let ns = &ns;
        let program = scope.spawn(move || {
            with_node(ns, async move |node| {
                blocking.send(()).unwrap();
                // On purpose not an await.
                std::thread::sleep(BLOCKED);
                node.shutdown().await;
            });
        });
        blocked.recv().unwrap();
        let begin = Instant::now();
        sees(&mut b, &[US]);
        let mut rounds = 0;
        while begin.elapsed() < BLOCKED - Duration::from_secs(2) {
            assert_eq!(quick(&mut b, &format!("net_adm:ping('{US}')")), "pong");
            assert_eq!(quick(&mut b, "global:sync()"), "ok");
            let lock = "global:set_lock({it, self()}), global:del_lock({it, self()})";
            assert_eq!(quick(&mut b, lock), "true");
            rounds += 1;
            std::thread::sleep(Duration::from_millis(500));
        }
        assert!(rounds > 20, "{rounds} rounds");
        let downs = "watch ! {self(), downs}, receive {downs, D} -> D end";
        assert_eq!(b.eval(downs).unwrap(), "[]");
        program.join().unwrap();
    });
    sees(&mut b, &[]);
}
