//! Programs of users: a node embedded in Rust code, beside a BEAM.

use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use enmesh::{Atom, Builder, CallError, Cookie, EpmdMode, Node, NodeName, Term, ToTerm};
use enmesh_interop::{Beam, Epmd, NetNs, Otp, poll_until};

use crate::bench::{COOKIE, Member, SOON, beam, list, sees};
use crate::global::{Cluster, quick};
use crate::rust_node::block_on;

const BEAM: &str = "b0@127.0.0.1";
const US: &str = "r@127.0.0.1";
const OTHER: &str = "s@127.0.0.1";
const GUEST: &str = "g@127.0.0.1";

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
            let node = builder(US).start().await.unwrap();
            node.connect(beam_name()).await.unwrap();
            program(node).await
        })
    })
    .unwrap()
}

/// As [`with_node`], with no runtime but the node's: the program's thread drives the links, too.
fn under_node<T: Send>(ns: &NetNs, program: impl AsyncFnOnce(Node) -> T + Send) -> T {
    ns.enter(|| {
        let node = builder(GUEST).start_blocking().unwrap();
        node.block_on(async {
            node.connect(beam_name()).await.unwrap();
            program(node.clone()).await
        })
    })
    .unwrap()
}

fn builder(name: &str) -> Builder {
    Node::builder(name.parse().unwrap(), Cookie::new(COOKIE).unwrap())
        .visible(true)
        .epmd(EpmdMode::System)
        .listen(Ipv4Addr::LOCALHOST.into())
        .net_ticktime(Duration::from_secs(8))
}

fn beam_name() -> NodeName {
    BEAM.parse().unwrap()
}

/// Elixir's servers and supervised tasks on a BEAM, called from Rust.
pub(crate) fn rust_calls_elixir(otp: Otp) {
    check_calls(&mut Cluster::start(&[otp]));
}

/// The same with all releases at once.
#[test]
fn rust_calls_elixir_on_three_releases() {
    check_calls(&mut Cluster::start(&Otp::ALL));
}

fn check_calls(cluster: &mut Cluster) {
    let node = cluster.embed(US);
    let all = cluster.names();
    for beam in &mut cluster.beams {
        beam.eval(
            "true = code:add_path(\"/usr/lib/elixir/lib/elixir/ebin\"), {ok, _} = application:ensure_all_started(elixir), \
             Me = self(), spawn(fun() -> {ok, _} = 'Elixir.Task.Supervisor':start_link([{name, tasks}]), \
             {ok, _} = 'Elixir.Agent':start_link(fun() -> 41 end, [{name, agent}]), Me ! started, receive stop -> ok end end), \
             receive started -> ok end",
        )
        .unwrap();
        block_on(calls(&node, &beam.name().parse().unwrap(), &all));
    }
    block_on(node.shutdown());
}

async fn calls(node: &Node, beam: &NodeName, all: &[String]) {
    let mut mailbox = node.anonymous_mailbox().unwrap();
    let send = Term::List(vec![mailbox.pid().to_term(), Term::atom("from_a_task")]);
    let task = vec![
        Term::atom("tasks"),
        Term::atom("erlang"),
        Term::atom("send"),
        send,
    ];
    let started = node
        .rpc(beam, "Elixir.Task.Supervisor", "start_child", task, SOON)
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
        .call(("tasks", beam), &Atom::from_static("which_children"), SOON)
        .await
        .unwrap();
    assert_eq!(children, Term::List(vec![]), "the task has ended");
    let plus = vec![
        Term::atom("agent"),
        Term::atom("Elixir.Kernel"),
        Term::atom("+"),
        Term::List(vec![Term::Int(1)]),
    ];
    let sum = node.rpc(beam, "Elixir.Agent", "get", plus, SOON).await;
    assert_eq!(sum.unwrap(), Term::Int(42));
    let nobody = node
        .call(("nobody", beam), &Atom::from_static("hello"), SOON)
        .await;
    assert!(matches!(nobody, Err(CallError::NoProcess)), "{nobody:?}");
    let nodes = node.rpc(beam, "Elixir.Node", "list", vec![], SOON).await;
    let Term::List(mut nodes) = nodes.unwrap() else {
        panic!("no list of nodes");
    };
    nodes.sort_by_key(Term::to_string);
    let others = all.iter().filter(|name| *name != beam.as_str());
    let wanted: Vec<Term> = others.map(|name| Atom::new(name).unwrap().into()).collect();
    assert_eq!(nodes, wanted);
}

/// The user's code sits on its only thread; links, pings and locks do not notice.
pub(crate) fn a_blocked_runtime_harms_no_link(otp: Otp) {
    check_blocked(&[otp]);
}

/// The same with all releases at once.
#[test]
fn a_blocked_runtime_harms_no_link_to_three_releases() {
    check_blocked(&Otp::ALL);
}

fn check_blocked(releases: &[Otp]) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let names: Vec<String> = (0..releases.len())
        .map(|number| format!("b{number}@127.0.0.1"))
        .collect();
    let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
    let ticks = ["-kernel", "net_ticktime", "8"];
    let nodes = releases.iter().zip(&names);
    let mut beams: Vec<Beam> = nodes
        .map(|(otp, name)| beam(*otp, &ns, name, &ticks))
        .collect();
    let topology = list(&all);
    let args = ["--visible", "--net-ticktime", "8s", "--topology", &topology];
    let other = Member::start(&ns, OTHER, &args);
    other.enmesh.wait_cluster(SOON, &all).unwrap();
    all.extend([US, OTHER, GUEST]);
    for b in &mut beams {
        b.eval("spawn(fun() -> register(watch, self()), net_kernel:monitor_nodes(true), Loop = fun Loop(Downs) -> \
            receive {nodedown, N} -> Loop([N | Downs]); {From, downs} -> From ! {downs, Downs}, Loop(Downs); _ -> Loop(Downs) end \
            end, Loop([]) end), ok")
            .unwrap();
    }
    let (blocking, blocked) = mpsc::channel();
    std::thread::scope(|scope| {
        let ns = &ns;
        let others = all.len() - 1;
        let user = {
            let blocking = blocking.clone();
            async move |node| block(node, others, &blocking).await
        };
        let guest = async move |node| block(node, others, &blocking).await;
        let programs = [
            scope.spawn(move || with_node(ns, user)),
            scope.spawn(move || under_node(ns, guest)),
        ];
        for _ in &programs {
            blocked.recv().unwrap();
        }
        for b in &mut beams {
            let own = b.name().to_owned();
            let others: Vec<&str> = all.iter().copied().filter(|name| *name != own).collect();
            sees(b, &others);
        }
        all_is_well(&mut beams);
        for program in programs {
            program.join().unwrap();
        }
    });
    for b in &mut beams {
        poll_until("the programs are gone", SOON, || {
            let seen = b.connected()?;
            let is_there = seen.iter().any(|name| name == US || name == GUEST);
            anyhow::ensure!(!is_there, "it sees {seen:?}");
            Ok(())
        })
        .unwrap();
    }
}

/// A program that has its thread for itself for a long time.
async fn block(node: Node, others: usize, blocking: &mpsc::Sender<()>) {
    // Everybody is there: whom it was told of, and whom `global` has told it of.
    node.wait_for_peers(others).await;
    blocking.send(()).unwrap();
    // On purpose not an await.
    std::thread::sleep(BLOCKED);
    node.shutdown().await;
}

/// For as long as the programs are blocked.
fn all_is_well(beams: &mut [Beam]) {
    let begin = Instant::now();
    let mut rounds = 0;
    while begin.elapsed() < BLOCKED - Duration::from_secs(3) {
        for b in &mut *beams {
            for program in [US, GUEST] {
                assert_eq!(quick(b, &format!("net_adm:ping('{program}')")), "pong");
            }
            assert_eq!(quick(b, "global:sync()"), "ok");
            let lock = "global:set_lock({it, self()}), global:del_lock({it, self()})";
            assert_eq!(quick(b, lock), "true");
        }
        rounds += 1;
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(rounds > 20, "{rounds} rounds");
    for b in beams {
        let downs = "watch ! {self(), downs}, receive {downs, D} -> D end";
        assert_eq!(b.eval(downs).unwrap(), "[]");
    }
}
