//! `dist_auto_connect` of either side, the place of nodeup and nodedown among the messages, and what a slow network leaves of it.

use std::time::{Duration, Instant};

use enmesh::{Atom, AutoConnect, Cookie, Mailbox, Node, NodeName, NodeTypes, Received, Term};
use enmesh_interop::{Beam, Epmd, NetNs, Otp};

use crate::bench::{COOKIE, Member, SOON, beam, list, says, sees};
use crate::rust_node::block_on;

const BEAM: &str = "b@127.0.0.1";
const US: &str = "r@127.0.0.1";

/// A process that sends back what it gets, and sends a thousand numbers if it gets none.
const ECHO: &str = "Loop = fun Loop() -> receive \
        {From, count} -> [From ! N || N <- lists:seq(1, 1000)], Loop(); \
        {From, Word} -> From ! Word, Loop() end end, \
    register(echo, spawn(Loop)), ok";

/// A BEAM with a process that echoes, and a node of ours that knows nobody.
struct Bench {
    beam: Beam,
    node: Node,
    mailbox: Mailbox,
    _epmd: Epmd,
    ns: NetNs,
}

impl Bench {
    fn start(otp: Otp, when: AutoConnect) -> Self {
        let ns = NetNs::new().unwrap();
        let epmd = Epmd::start(&ns).unwrap();
        let mut beam = beam(otp, &ns, BEAM, &[]);
        assert_eq!(beam.eval(ECHO).unwrap(), "ok");
        let builder = Node::builder(US.parse().unwrap(), Cookie::new(COOKIE).unwrap());
        let builder = builder.visible(true).dist_auto_connect(when);
        let node = ns.enter(|| block_on(builder.start())).unwrap().unwrap();
        let mailbox = node.anonymous_mailbox().unwrap();
        mailbox.monitor_nodes(Some(NodeTypes::All));
        Self {
            beam,
            node,
            mailbox,
            _epmd: epmd,
            ns,
        }
    }

    fn next(&mut self) -> Received {
        next(&mut self.mailbox)
    }

    fn tell(&self, word: &'static str) {
        let to = (Atom::from_static("echo"), Atom::from_static(BEAM));
        let message = Term::tuple([self.mailbox.pid().clone().into(), Term::atom(word)]);
        block_on(self.mailbox.send(to, &message)).unwrap();
    }

    /// A message brings the node up, and what it answers comes after that.
    fn connects_by_itself(&mut self) {
        self.tell("hello");
        self.is_up();
        self.answers("hello");
    }

    /// A message is lost and a monitor fires: nobody connects.
    fn is_barred(&mut self) {
        self.tell("hello");
        let to = (Atom::from_static("echo"), Atom::from_static(BEAM));
        let monitor = self.mailbox.monitor(to);
        match self.next() {
            Received::Down {
                reference, reason, ..
            } => {
                assert_eq!(reference, monitor);
                assert!(reason.is_atom("noconnection"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(self.beam.connected().unwrap(), Vec::<String>::new());
    }

    fn connects_when_told(&mut self) {
        let beam: NodeName = BEAM.parse().unwrap();
        block_on(self.node.connect(beam)).unwrap();
        self.is_up();
        self.tell("hello");
        self.answers("hello");
    }

    fn is_up(&mut self) {
        match self.next() {
            Received::Nodeup { node, visible, .. } => {
                assert_eq!((node.as_str(), visible), (BEAM, true))
            }
            other => panic!("{other:?}"),
        }
    }

    fn answers(&mut self, word: &'static str) {
        let message = self.next().into_message().unwrap();
        assert!(message.term().unwrap().is_atom(word), "{message:?}");
    }

    fn is_cut_by_the_beam(&mut self) {
        let cut = format!("erlang:disconnect_node('{US}')");
        assert_eq!(self.beam.eval(&cut).unwrap(), "true");
        self.is_down();
    }

    fn is_down(&mut self) {
        match self.next() {
            Received::Nodedown { node, reason, .. } => {
                assert_eq!(node.as_str(), BEAM);
                assert!(reason.is_atom("connection_closed"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// What the three words mean for our signals, as they do for those of a BEAM.
pub(crate) fn our_signals_connect_as_configured(otp: Otp) {
    let mut bench = Bench::start(otp, AutoConnect::Always);
    for _ in 0..3 {
        bench.connects_by_itself();
        bench.is_cut_by_the_beam();
    }
    let mut bench = Bench::start(otp, AutoConnect::Once);
    bench.connects_by_itself();
    for _ in 0..2 {
        bench.is_cut_by_the_beam();
        bench.is_barred();
        bench.connects_when_told();
    }
    let mut bench = Bench::start(otp, AutoConnect::Never);
    bench.is_barred();
    // A connection that the peer makes serves both.
    let ping = format!("net_adm:ping('{US}')");
    assert_eq!(bench.beam.eval(&ping).unwrap(), "pong");
    bench.is_up();
    bench.tell("hello");
    bench.answers("hello");
    bench.is_cut_by_the_beam();
    bench.is_barred();
    bench.connects_when_told();
}

/// A BEAM that never connects by itself, or only once, is dialled and answers all the same.
pub(crate) fn a_beam_that_does_not_dial_is_dialled(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let ping = |node: &str| format!("net_adm:ping('{node}')");
    let idle = Member::start(&ns, "s@127.0.0.1", &[]);
    for (when, first) in [("never", "pang"), ("once", "pong")] {
        let mut b = beam(otp, &ns, BEAM, &["-kernel", "dist_auto_connect", when]);
        assert_eq!(b.eval(&ping("s@127.0.0.1")).unwrap(), first, "{when}");
        b.eval("erlang:disconnect_node('s@127.0.0.1')").unwrap();
        says(&mut b, "nodes(connected)", "[]");
        assert_eq!(b.eval(&ping("s@127.0.0.1")).unwrap(), "pang", "{when}");
        let r = Member::start(&ns, US, &["--echo", "--topology", &list(&[BEAM])]);
        r.connected(0, BEAM);
        assert_eq!(b.eval(&ping(US)).unwrap(), "pong", "{when}");
        let echo = format!("{{echo, '{US}'}} ! {{self(), hi}}, receive M -> M end");
        assert_eq!(b.eval(&echo).unwrap(), "{echo,hi}", "{when}");
        // Cut by the BEAM, which may not come back by itself, it is dialled again.
        let mark = r.mark();
        let cut = format!("erlang:disconnect_node('{US}')");
        assert_eq!(b.eval(&cut).unwrap(), "true");
        r.disconnected(mark, BEAM);
        r.connected(mark, BEAM);
        sees(&mut b, &[US]);
        assert_eq!(b.eval(&ping(US)).unwrap(), "pong", "{when}");
    }
    drop(idle);
}

/// Nodeup, all that the connection brings, what hung on it, nodedown: in this order, each time.
pub(crate) fn nodeup_and_nodedown_stand_around_the_messages(otp: Otp) {
    let mut bench = Bench::start(otp, AutoConnect::Always);
    let mut last = 0;
    for _ in 0..5 {
        let to = (Atom::from_static("echo"), Atom::from_static(BEAM));
        let monitor = bench.mailbox.monitor(to);
        bench.tell("count");
        // The BEAM closes behind the last number.
        bench.tell("bye");
        match bench.next() {
            Received::Nodeup { connection_id, .. } => {
                assert!(connection_id > last, "{connection_id} after {last}");
                last = connection_id;
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.node.nodes(), [BEAM.parse().unwrap()]);
        for number in 1..=1000 {
            let message = bench.next().into_message().unwrap();
            assert_eq!(message.decode::<i64>(), Ok(number));
        }
        bench.answers("bye");
        let cut = format!("erlang:disconnect_node('{US}')");
        assert_eq!(bench.beam.eval(&cut).unwrap(), "true");
        match bench.next() {
            Received::Down { reference, .. } => assert_eq!(reference, monitor),
            other => panic!("{other:?}"),
        }
        match bench.next() {
            Received::Nodedown { connection_id, .. } => assert_eq!(connection_id, last),
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.node.nodes(), []);
    }
}

/// Of a link that has just ended the BEAM may not be done setting it up, and then it says `nok` if
/// its name is the greater one. That costs a moment, and no nodeup or nodedown is lost or doubled.
pub(crate) fn connect_and_disconnect_by_turns(otp: Otp) {
    const TURNS: u32 = 200;
    for name in [BEAM, "z@127.0.0.1"] {
        let ns = NetNs::new().unwrap();
        let _epmd = Epmd::start(&ns).unwrap();
        let beam = beam(otp, &ns, name, &[]);
        let builder = Node::builder(US.parse().unwrap(), Cookie::new(COOKIE).unwrap());
        let node = ns.enter(|| block_on(builder.start())).unwrap().unwrap();
        let mut mailbox = node.anonymous_mailbox().unwrap();
        mailbox.monitor_nodes(Some(NodeTypes::All));
        let peer: NodeName = beam.name().parse().unwrap();
        let mut slow = 0;
        for turn in 0..TURNS {
            let begin = Instant::now();
            let outcome = block_on(node.connect(peer.clone()));
            slow += u32::from(begin.elapsed() > Duration::from_millis(900));
            outcome.unwrap_or_else(|error| panic!("turn {turn}: {error}"));
            // A BEAM of the lesser name takes the new link for the old one's rival, and closes both
            // if the old one has just come up there (`remarked` in net_kernel.erl): then it was
            // first. Whoever closes it, it is told once.
            block_on(node.disconnect(&peer));
            for wanted in ["up", "down"] {
                let told = news(next(&mut mailbox));
                assert_eq!(told, (wanted, name.to_owned(), true), "turn {turn}");
            }
        }
        // A pause of a second for each `nok` would be many; the machine itself may hang once.
        assert!(slow <= 1, "{slow} of {TURNS} with {name} took a second");
        assert_eq!(mailbox.try_recv(), Ok(None));
    }
}

/// Each process is told of the nodes of the type that it asked for, and of no other.
pub(crate) fn nodes_are_told_by_their_type(otp: Otp) {
    const HIDDEN: &str = "h@127.0.0.1";
    let mut bench = Bench::start(otp, AutoConnect::Never);
    let mut hidden = beam(otp, &bench.ns, HIDDEN, &["-hidden"]);
    let watch = |types| {
        let mailbox = bench.node.anonymous_mailbox().unwrap();
        mailbox.monitor_nodes(Some(types));
        mailbox
    };
    let (mut of_visible, mut of_hidden) = (watch(NodeTypes::Visible), watch(NodeTypes::Hidden));
    let ping = format!("net_adm:ping('{US}')");
    for beam in [&mut bench.beam, &mut hidden] {
        assert_eq!(beam.eval(&ping).unwrap(), "pong");
    }
    let cut = format!("erlang:disconnect_node('{US}')");
    for beam in [&mut bench.beam, &mut hidden] {
        assert_eq!(beam.eval(&cut).unwrap(), "true");
    }
    let told: Vec<_> = (0..4).map(|_| news(bench.next())).collect();
    for (node, visible) in [(BEAM, true), (HIDDEN, false)] {
        let of_it: Vec<_> = told.iter().filter(|it| it.1 == node).cloned().collect();
        let wanted = ["up", "down"].map(|what| (what, node.to_owned(), visible));
        assert_eq!(of_it, wanted);
        let mailbox = if visible {
            &mut of_visible
        } else {
            &mut of_hidden
        };
        for wanted in wanted {
            assert_eq!(news(next(mailbox)), wanted);
        }
        assert_eq!(mailbox.try_recv(), Ok(None));
    }
}

/// The next thing that comes in.
fn next(mailbox: &mut Mailbox) -> Received {
    let within = async { tokio::time::timeout(SOON, mailbox.recv()).await };
    block_on(within).expect("something comes in").unwrap()
}

/// What a nodeup or nodedown says.
fn news(received: Received) -> (&'static str, String, bool) {
    match received {
        Received::Nodeup { node, visible, .. } => ("up", node.as_str().to_owned(), visible),
        Received::Nodedown { node, visible, .. } => ("down", node.as_str().to_owned(), visible),
        other => panic!("{other:?}"),
    }
}

/// One message each way takes several times `net_ticktime`; the link lives, and small ones pass.
pub(crate) fn a_large_message_on_a_slow_network_trips_no_ticktime(otp: Otp) {
    const TICKTIME: &str = "4";
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &["-kernel", "net_ticktime", TICKTIME]);
    let topology = list(&[BEAM]);
    let args = [
        "--echo",
        "--net-ticktime",
        TICKTIME,
        "--topology",
        &topology,
    ];
    let r = Member::start(&ns, US, &args);
    r.connected(0, BEAM);
    sees(&mut b, &[US]);
    // Five megabytes a second for everything in the namespace.
    let slow = "qdisc add dev lo root tbf rate 40mbit burst 256kb latency 200ms";
    ns.run("tc", slow.split(' ')).unwrap();
    let echo = format!(
        "Me = self(), Sent = binary:copy(rand:bytes(1000000), 40), \
         spawn(fun() -> {{echo, '{US}'}} ! {{Me, Sent}} end), \
         Loop = fun Loop(Pings) -> receive {{echo, Got}} -> {{Got =:= Sent, Pings > 3}} after 500 -> \
            pong = net_adm:ping('{US}'), Loop(Pings + 1) end end, \
         Loop(0)"
    );
    let begin = Instant::now();
    let answer = b.eval_within(Duration::from_secs(120), &echo).unwrap();
    assert_eq!(answer, "{true,true}");
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(12), "not slow at all: {took:?}");
    let downs = r.count(|record| record["message"] == "node disconnected");
    assert_eq!(downs, 0, "after {took:?}");
}
