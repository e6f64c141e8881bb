//! Programs of users: a node embedded in Rust code, beside a BEAM.

use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use enmesh::{Cookie, EpmdMode, Node, NodeName};
use enmesh_interop::{Epmd, NetNs, Otp};

use crate::bench::{COOKIE, beam, sees};
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
