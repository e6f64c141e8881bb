//! Global names of Rust programs, and what becomes of names that somebody missed.

use std::time::{Duration, Instant};

use enmesh::{Atom, GlobalError, Mailbox, Node, NodeName, Received, Term, ToTerm};
use enmesh_interop::{Beam, Epmd, NetNs, Otp};

use crate::bench::{Member, SOON, beam, list, says, sees};
use crate::rust_node::{block_on, rust_node};

/// Twice the time after which names are compared, and a while to mend them.
const MENDED: Duration = Duration::from_secs(45);

/// Two BEAMs of one cluster.
struct Beams {
    beams: [Beam; 2],
    ns: NetNs,
    _epmd: Epmd,
}

impl Beams {
    fn start(otp: Otp) -> Self {
        let ns = NetNs::new().unwrap();
        let epmd = Epmd::start(&ns).unwrap();
        let mut beams = ["b@127.0.0.1", "c@127.0.0.1"].map(|name| beam(otp, &ns, name, &[]));
        says(&mut beams[0], "net_adm:ping('c@127.0.0.1')", "pong");
        for beam in &mut beams {
            says(beam, "global:sync()", "ok");
        }
        Self {
            beams,
            ns,
            _epmd: epmd,
        }
    }

    /// What both BEAMs come to say.
    fn say(&mut self, expression: &str, wanted: &str) {
        for beam in &mut self.beams {
            says(beam, expression, wanted);
        }
    }
}

fn register(node: &Node, name: &'static str, mailbox: &Mailbox) -> Result<(), GlobalError> {
    block_on(node.register_global(&Term::atom(name), mailbox.pid(), SOON))
}

/// Waits until the node has, or has not, a process of that name.
fn until(node: &Node, name: &'static str, has: bool) {
    let begin = Instant::now();
    while node.whereis_global(&Term::atom(name)).is_some() != has {
        assert!(begin.elapsed() < SOON, "{name} is not as it should be");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn connect(node: &Node) {
    let peer: NodeName = "b@127.0.0.1".parse().unwrap();
    block_on(node.connect(peer)).unwrap();
}

/// A process of ours has a name that BEAM nodes find and send to, and the other way round.
pub(crate) fn a_rust_program_has_global_names(otp: Otp) {
    let mut cluster = Beams::start(otp);
    let node = rust_node(&cluster.ns, "rust@127.0.0.1");
    connect(&node);
    cluster.say("lists:member('rust@127.0.0.1', nodes())", "true");
    cluster.say("global:sync()", "ok");

    let mut shop = node.anonymous_mailbox().unwrap();
    assert_eq!(register(&node, "shop", &shop), Ok(()));
    cluster.say("node(global:whereis_name(shop))", "'rust@127.0.0.1'");
    for beam in &mut cluster.beams {
        let send = "global:send(shop, {order, node()}), ok";
        assert_eq!(beam.eval(send).unwrap(), "ok");
        let Received::Message(message) = block_on(shop.recv()).unwrap() else {
            panic!("no message");
        };
        let own = Term::Atom(Atom::new(beam.name()).unwrap());
        assert_eq!(
            message.term().unwrap(),
            Term::tuple([Term::atom("order"), own])
        );
    }

    // Nobody else may have it, here or there, and the process no other.
    let rival = node.anonymous_mailbox().unwrap();
    assert_eq!(register(&node, "shop", &rival), Err(GlobalError::Taken));
    assert_eq!(register(&node, "second", &shop), Err(GlobalError::Taken));
    let claim = "global:register_name(shop, spawn(fun() -> receive stop -> ok end end))";
    assert_eq!(cluster.beams[1].eval(claim).unwrap(), "no");
    let claim = claim.replace("shop", "till");
    assert_eq!(cluster.beams[1].eval(&claim).unwrap(), "yes");
    assert_eq!(register(&node, "till", &rival), Err(GlobalError::Taken));
    let till = node.whereis_global(&Term::atom("till")).unwrap();
    block_on(rival.send(till, &Term::atom("stop"))).unwrap();
    until(&node, "till", false);
    assert_eq!(register(&node, "till", &rival), Ok(()));
    cluster.say("node(global:whereis_name(till))", "'rust@127.0.0.1'");

    // Taken back, and gone with its process.
    assert_eq!(
        block_on(node.unregister_global(&Term::atom("till"), SOON)),
        Ok(())
    );
    cluster.say("global:whereis_name(till)", "undefined");
    assert_eq!(register(&node, "till", &rival), Ok(()));
    cluster.say("node(global:whereis_name(till))", "'rust@127.0.0.1'");
    drop(shop);
    cluster.say("global:whereis_name(shop)", "undefined");
    block_on(node.shutdown());
    cluster.say("global:whereis_name(till)", "undefined");
}

/// Both have a process of the name when they meet: the one on the greater node is killed.
pub(crate) fn a_clash_of_a_rust_program_is_settled(otp: Otp) {
    for (name, survives) in [("a@127.0.0.1", true), ("rust@127.0.0.1", false)] {
        let mut cluster = Beams::start(otp);
        let node = rust_node(&cluster.ns, name);
        let mut shop = node.anonymous_mailbox().unwrap();
        assert_eq!(register(&node, "shop", &shop), Ok(()));
        let claim = "P = spawn(fun() -> receive stop -> ok end end), register(local_shop, P), \
                     global:register_name(shop, P)";
        assert_eq!(cluster.beams[1].eval(claim).unwrap(), "yes");
        connect(&node);
        let owner = if survives { name } else { "c@127.0.0.1" };
        cluster.say("node(global:whereis_name(shop))", &format!("'{owner}'"));
        let is_alive = if survives { "false" } else { "true" };
        says(
            &mut cluster.beams[1],
            "whereis(local_shop) =/= undefined",
            is_alive,
        );
        if survives {
            assert_eq!(
                cluster.beams[0]
                    .eval("global:send(shop, hello), ok")
                    .unwrap(),
                "ok"
            );
            assert!(matches!(block_on(shop.recv()), Ok(Received::Message(_))));
        } else {
            assert!(block_on(shop.recv()).is_err(), "our process was killed");
            let found = node.whereis_global(&Term::atom("shop"));
            assert_eq!(found.unwrap().node().as_str(), owner);
        }
        block_on(node.shutdown());
    }
}

/// What only one BEAM was told, as if it had been cut off from the others just then, and what it
/// was not told, is the same everywhere some time after the next node has come.
pub(crate) fn what_a_beam_missed_is_mended(otp: Otp) {
    let mut cluster = Beams::start(otp);
    let node = rust_node(&cluster.ns, "rust@127.0.0.1");
    connect(&node);
    cluster.say("lists:member('rust@127.0.0.1', nodes())", "true");
    cluster.say("global:sync()", "ok");
    let [kept, free] = [(); 2].map(|()| node.anonymous_mailbox().unwrap());
    assert_eq!(register(&node, "kept", &kept), Ok(()));
    let [_, beam] = &mut cluster.beams;
    // Calls as of a registrar that has the lock, but to one node alone.
    let ask = |what: &str| {
        format!(
            "global:trans({{global, self()}}, fun() -> gen_server:call(global_name_server, {what}) end, [node()])"
        )
    };
    assert_eq!(beam.eval(&ask("{unregister, kept}")).unwrap(), "ok");
    beam.eval("register(holder, spawn(fun() -> receive stop -> ok end end))")
        .unwrap();
    let secret = "{register, secret, whereis(holder), fun global:random_exit_name/3}";
    assert_eq!(beam.eval(&ask(secret)).unwrap(), "yes");
    let stale = "{register, stale, P, fun global:random_exit_name/3}";
    let spread = format!("receive P -> {} end", ask(stale));
    let to = format!("register(teller, self()), {spread}");
    let told = std::thread::scope(|scope| {
        let told = scope.spawn(|| beam.eval(&to).unwrap());
        let peer: NodeName = "c@127.0.0.1".parse().unwrap();
        let send = || block_on(free.send(("teller", &peer), &free.pid().to_term()));
        let begin = Instant::now();
        while !told.is_finished() && begin.elapsed() < SOON {
            send().unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
        told.join().unwrap()
    });
    assert_eq!(told, "yes");
    let seen = "[global:whereis_name(kept), is_pid(global:whereis_name(secret)), \
                is_pid(global:whereis_name(stale))]";
    assert_eq!(beam.eval(seen).unwrap(), "[undefined,true,true]");
    assert_eq!(node.whereis_global(&Term::atom("secret")), None);
    // It forgets us as well, as OTP does when it takes a node for lost.
    let forget = "sys:replace_state(global_name_server, fun(S) -> \
                  setelement(3, S, maps:remove('rust@127.0.0.1', element(3, S))) end), \
                  lists:member('rust@127.0.0.1', gen_server:call(global_name_server, get_known))";
    assert_eq!(beam.eval(forget).unwrap(), "false");

    let next = Member::start(
        &cluster.ns,
        "next@127.0.0.1",
        &["--visible", "--topology", &list(&["b@127.0.0.1"])],
    );
    let [_, beam] = &mut cluster.beams;
    sees(beam, &["b@127.0.0.1", "next@127.0.0.1", "rust@127.0.0.1"]);
    let knows = "lists:member('rust@127.0.0.1', gen_server:call(global_name_server, get_known))";
    for (expression, wanted) in [
        ("node(global:whereis_name(kept))", "'rust@127.0.0.1'"),
        ("global:whereis_name(stale)", "undefined"),
        ("node(global:whereis_name(secret))", "'c@127.0.0.1'"),
        (knows, "true"),
    ] {
        beam.wait_eval(MENDED, expression, wanted).unwrap();
    }
    until(&node, "secret", true);
    cluster.say("global:sync()", "ok");
    // Nobody was harmed, and all goes on.
    for beam in &cluster.beams {
        for line in beam.output().all() {
            let is_harm = ["overlapping", "unexpected message", "terminating", "rash"];
            assert!(!is_harm.iter().any(|word| line.contains(word)), "{line}");
        }
    }
    assert_eq!(register(&node, "last", &free), Ok(()));
    cluster.say("node(global:whereis_name(last))", "'rust@127.0.0.1'");
    drop(next);
    block_on(node.shutdown());
}
