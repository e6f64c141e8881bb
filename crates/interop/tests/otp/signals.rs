//! Links, monitors, exits and aliases between processes of ours and of a BEAM, both ways.

use enmesh::{Atom, Mailbox, MailboxOptions, Node, NodeTypes, Pid, Received, Reference, Term};
use enmesh_interop::{Beam, Epmd, NetNs, Otp};

use crate::bench::{SOON, beam};
use crate::rust_node::{block_on, rust_node};

const BEAM: &str = "b@127.0.0.1";
const US: &str = "rust@127.0.0.1";

/// A process of the BEAM that does what it is told and passes on what it gets.
const WORKER: &str = "
    Loop = fun Loop(Last) -> receive
        {From, link} -> link(From), From ! {self(), done}, Loop(From);
        {From, link, Pid} -> link(Pid), From ! {self(), done}, Loop(From);
        {From, unlink, Pid} -> unlink(Pid), From ! {self(), done}, Loop(From);
        {From, monitor, What} -> From ! {self(), monitor(process, What)}, Loop(From);
        {From, demonitor, R} -> demonitor(R), From ! {self(), done}, Loop(From);
        {From, exit, Pid, Reason} -> exit(Pid, Reason), From ! {self(), done}, Loop(From);
        {From, alias} -> From ! {self(), alias()}, Loop(From);
        {From, send, To, Message} -> To ! Message, From ! {self(), done}, Loop(From);
        {From, urge, To, Message} ->
            apply(erlang, send, [To, Message, [priority]]), From ! {self(), done}, Loop(From);
        {From, urge_exit, To, Reason} ->
            apply(erlang, exit, [To, Reason, [priority]]), From ! {self(), done}, Loop(From);
        {From, urgent_alias} -> From ! {self(), alias([priority])}, Loop(From);
        {From, ping} -> From ! {self(), done}, Loop(From);
        {_, die, Reason} -> exit(Reason);
        Other -> Last ! {got, Other}, Loop(Last)
    end end,
    Pid = spawn(fun() -> process_flag(trap_exit, true), Loop(none) end),
    register(NAME, Pid), ok";

/// A BEAM and a node of ours, connected, and the mailbox from which workers are told what to do.
struct Pair {
    beam: Beam,
    node: Node,
    boss: Mailbox,
    _epmd: Epmd,
    _ns: NetNs,
}

impl Pair {
    fn start(otp: Otp) -> Self {
        let ns = NetNs::new().unwrap();
        let epmd = Epmd::start(&ns).unwrap();
        let mut beam = beam(otp, &ns, BEAM, &[]);
        let node = rust_node(&ns, US);
        assert_eq!(beam.eval(&format!("net_adm:ping('{US}')")).unwrap(), "pong");
        let boss = node.mailbox("boss").unwrap();
        Self {
            beam,
            node,
            boss,
            _epmd: epmd,
            _ns: ns,
        }
    }

    /// A worker under a name of its own, and its pid.
    fn worker(&mut self, name: &'static str) -> Worker {
        let made = self.beam.eval(&WORKER.replace("NAME", name)).unwrap();
        assert_eq!(made, "ok");
        let mut worker = Worker {
            name,
            pid: self.boss.pid().clone(),
        };
        worker.tell(&self.boss, [Term::atom("ping")]);
        let [pid, _] = pair(self.next());
        worker.pid = pid.as_pid().unwrap().clone();
        worker
    }

    /// Tells a worker, and waits for its answer.
    fn ask<const N: usize>(&mut self, worker: &Worker, order: [Term; N]) -> Term {
        worker.tell(&self.boss, order);
        let [from, answer] = pair(self.next());
        assert_eq!(from.as_pid(), Some(&worker.pid));
        answer
    }

    /// The next message for the boss.
    fn next(&mut self) -> Term {
        match receive(&mut self.boss) {
            Received::Message(message) => message.term().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// What a worker passes on.
    fn got(&mut self) -> Term {
        let [word, got] = pair(self.next());
        assert!(word.is_atom("got"), "{word}");
        got
    }

    fn trapping(&self) -> Mailbox {
        let options = MailboxOptions::default().trap_exit(true);
        self.node.anonymous_mailbox_with(&options).unwrap()
    }
}

struct Worker {
    name: &'static str,
    pid: Pid,
}

impl Worker {
    fn tell<const N: usize>(&self, boss: &Mailbox, order: [Term; N]) {
        let mut parts = vec![boss.pid().clone().into()];
        parts.extend(order);
        let to = (Atom::from_static(self.name), Atom::from_static(BEAM));
        block_on(boss.send(to, &Term::tuple(parts))).unwrap();
    }

    fn die(&self, boss: &Mailbox, reason: &'static str) {
        self.tell(boss, [Term::atom("die"), Term::atom(reason)]);
    }
}

fn pair(term: Term) -> [Term; 2] {
    match term {
        Term::Tuple(parts) => <[Term; 2]>::try_from(parts).unwrap(),
        other => panic!("{other}"),
    }
}

fn receive(mailbox: &mut Mailbox) -> Received {
    let within = async { tokio::time::timeout(SOON, mailbox.recv()).await };
    block_on(within).expect("something comes in").unwrap()
}

fn exit_of(from: &Pid, reason: &'static str) -> Received {
    Received::Exit {
        from: from.clone(),
        reason: Term::atom(reason),
    }
}

fn exit_term(from: &Pid, reason: &'static str) -> Term {
    Term::tuple([Term::atom("EXIT"), from.clone().into(), Term::atom(reason)])
}

fn down_of(
    reference: &Reference,
    from: impl Into<enmesh::Address>,
    reason: &'static str,
) -> Received {
    Received::Down {
        reference: reference.clone(),
        from: from.into(),
        reason: Term::atom(reason),
    }
}

fn down_term(reference: &Term, what: Term, reason: &'static str) -> Term {
    let words = [Term::atom("DOWN"), reference.clone(), Term::atom("process")];
    let [down, reference, process] = words;
    Term::tuple([down, reference, process, what, Term::atom(reason)])
}

/// A link that either side sets up, and either side's end.
pub(crate) fn links_hold_both_ways(otp: Otp) {
    let mut pair = Pair::start(otp);
    // Theirs, and their end.
    let (a, mut ours) = (pair.worker("a"), pair.trapping());
    let order = [Term::atom("link"), ours.pid().clone().into()];
    pair.ask(&a, order);
    a.die(&pair.boss, "boom");
    assert_eq!(receive(&mut ours), exit_of(&a.pid, "boom"));

    // Ours, and our end.
    let b = pair.worker("b");
    ours.link(&b.pid);
    pair.ask(&b, [Term::atom("ping")]);
    let pid = ours.pid().clone();
    ours.exit(Term::atom("boom"));
    assert_eq!(pair.got(), exit_term(&pid, "boom"));

    // Taken back by us, then by them: their end concerns nobody, nor does ours.
    let mut ours = pair.trapping();
    ours.link(&b.pid);
    ours.unlink(&b.pid);
    ours.link(&b.pid);
    ours.unlink(&b.pid);
    let order = [Term::atom("link"), ours.pid().clone().into()];
    pair.ask(&b, order);
    let order = [Term::atom("unlink"), ours.pid().clone().into()];
    pair.ask(&b, order);
    let gone = ours.monitor(b.pid.clone());
    b.die(&pair.boss, "boom");
    assert_eq!(receive(&mut ours), down_of(&gone, b.pid.clone(), "boom"));

    // A link to a process that is gone, from both sides.
    ours.link(&b.pid);
    assert_eq!(receive(&mut ours), exit_of(&b.pid, "noproc"));
    let c = pair.worker("c");
    let pid = ours.pid().clone();
    drop(ours);
    pair.ask(&c, [Term::atom("link"), pid.clone().into()]);
    assert_eq!(pair.got(), exit_term(&pid, "noproc"));
}

/// `exit/2` of either side, and what cannot be trapped.
pub(crate) fn exits_arrive_both_ways(otp: Otp) {
    let mut pair = Pair::start(otp);
    let (a, mut ours) = (pair.worker("a"), pair.trapping());
    ours.link(&a.pid);
    let order = |reason| {
        [
            Term::atom("exit"),
            ours.pid().clone().into(),
            Term::atom(reason),
        ]
    };
    let (normal, kill) = (order("normal"), order("kill"));
    pair.ask(&a, normal);
    assert_eq!(receive(&mut ours), exit_of(&a.pid, "normal"));
    let pid = ours.pid().clone();
    pair.ask(&a, kill);
    let ended = block_on(ours.recv()).unwrap_err();
    assert!(ended.is("killed"), "{ended}");
    assert_eq!(pair.got(), exit_term(&pid, "killed"));

    let mut ours = pair.trapping();
    ours.exit_other(&a.pid, Term::atom("noise"));
    assert_eq!(pair.got(), exit_term(ours.pid(), "noise"));
    ours.link(&a.pid);
    ours.exit_other(&a.pid, Term::atom("kill"));
    assert_eq!(receive(&mut ours), exit_of(&a.pid, "killed"));
}

/// Monitors of pids and of names, of the living and of nobody.
pub(crate) fn monitors_fire_both_ways(otp: Otp) {
    let mut pair = Pair::start(otp);
    let (a, mut ours) = (pair.worker("a"), pair.trapping());
    let name = |name| (Atom::from_static(name), Atom::from_static(BEAM));
    let by_name = ours.monitor(name("a"));
    let by_pid = ours.monitor(a.pid.clone());
    let taken_back = ours.monitor(a.pid.clone());
    assert!(ours.demonitor(&taken_back));
    a.die(&pair.boss, "boom");
    let mut downs = [receive(&mut ours), receive(&mut ours)];
    let named = enmesh::Address::Name {
        name: Atom::from_static("a"),
        node: Atom::from_static(BEAM),
    };
    if matches!(&downs[0], Received::Down { reference, .. } if *reference == by_pid) {
        downs.swap(0, 1);
    }
    let wanted = [
        down_of(&by_name, named.clone(), "boom"),
        down_of(&by_pid, a.pid.clone(), "boom"),
    ];
    assert_eq!(downs, wanted);
    let nobody = ours.monitor(name("a"));
    assert_eq!(receive(&mut ours), down_of(&nobody, named, "noproc"));
    let nobody = ours.monitor(a.pid.clone());
    assert_eq!(receive(&mut ours), down_of(&nobody, a.pid, "noproc"));

    let b = pair.worker("b");
    ours.register(Atom::from_static("ours")).unwrap();
    let (pid, named) = (
        Term::from(ours.pid().clone()),
        Term::tuple([Term::atom("ours"), Term::atom(US)]),
    );
    let by_pid = pair.ask(&b, [Term::atom("monitor"), pid.clone()]);
    let by_name = pair.ask(&b, [Term::atom("monitor"), named.clone()]);
    let taken_back = pair.ask(&b, [Term::atom("monitor"), pid.clone()]);
    pair.ask(&b, [Term::atom("demonitor"), taken_back]);
    ours.exit(Term::atom("boom"));
    let downs = [pair.got(), pair.got()];
    for down in [
        down_term(&by_pid, pid.clone(), "boom"),
        down_term(&by_name, named.clone(), "boom"),
    ] {
        assert!(downs.contains(&down), "{down} in {downs:?}");
    }
    for what in [pid, named] {
        let nobody = pair.ask(&b, [Term::atom("monitor"), what.clone()]);
        assert_eq!(pair.got(), down_term(&nobody, what, "noproc"));
    }
}

/// Messages to aliases of either side, until they are taken back.
pub(crate) fn aliases_are_sent_to_both_ways(otp: Otp) {
    let mut pair = Pair::start(otp);
    let (a, mut ours) = (pair.worker("a"), pair.trapping());
    let theirs = pair.ask(&a, [Term::atom("alias")]);
    let theirs = theirs.as_reference().unwrap().clone();
    block_on(ours.send(theirs, &Term::atom("hello"))).unwrap();
    assert_eq!(pair.got(), Term::atom("hello"));

    let alias = ours.alias();
    let order = |word| [Term::atom("send"), alias.clone().into(), Term::atom(word)];
    pair.ask(&a, order("first"));
    let first = receive(&mut ours).into_message().unwrap();
    assert_eq!(first.term().unwrap(), Term::atom("first"));
    assert!(ours.unalias(&alias));
    pair.ask(&a, order("late"));
    pair.ask(
        &a,
        [
            Term::atom("send"),
            ours.pid().clone().into(),
            Term::atom("last"),
        ],
    );
    let last = receive(&mut ours).into_message().unwrap();
    assert_eq!(
        last.term().unwrap(),
        Term::atom("last"),
        "the alias was taken back"
    );
}

/// Since OTP 28 messages and exits can go before others, in an operation of their own.
pub(crate) fn urgent_signals_arrive_both_ways(otp: Otp) {
    let mut pair = Pair::start(otp);
    let (a, mut ours) = (pair.worker("a"), pair.trapping());
    let pid = Term::from(ours.pid().clone());
    if otp != Otp::R29 {
        // What is older takes the plain way.
        let order = [Term::atom("send"), pid, Term::atom("plain")];
        pair.ask(&a, order);
        let plain = receive(&mut ours).into_message().unwrap();
        assert_eq!(plain.term().unwrap(), Term::atom("plain"));
        return;
    }
    let alias = Term::from(ours.alias());
    let order = [Term::atom("send"), pid.clone(), Term::atom("plain")];
    pair.ask(&a, order);
    pair.ask(&a, [Term::atom("urge"), pid, Term::atom("urgent")]);
    // Both are here, as the worker has answered since.
    for word in ["urgent", "plain"] {
        let message = receive(&mut ours).into_message().unwrap();
        assert_eq!(message.term().unwrap(), Term::atom(word));
    }
    let order = [Term::atom("urge"), alias.clone(), Term::atom("hello")];
    pair.ask(&a, order);
    let hello = receive(&mut ours).into_message().unwrap();
    assert_eq!(hello.term().unwrap(), Term::atom("hello"));
    pair.ask(&a, [Term::atom("urge_exit"), alias, Term::atom("boom")]);
    assert_eq!(receive(&mut ours), exit_of(&a.pid, "boom"));

    let theirs = pair.ask(&a, [Term::atom("urgent_alias")]);
    let theirs = theirs.as_reference().unwrap().clone();
    block_on(ours.send(theirs, &Term::atom("hello"))).unwrap();
    assert_eq!(pair.got(), Term::atom("hello"));
}

/// All that hangs on a connection ends with it, and `nodedown` comes last.
pub(crate) fn a_lost_node_takes_everything_along(otp: Otp) {
    let mut pair = Pair::start(otp);
    let (a, mut ours) = (pair.worker("a"), pair.trapping());
    ours.monitor_nodes(Some(NodeTypes::All));
    ours.link(&a.pid);
    let monitor = ours.monitor(a.pid.clone());
    pair.ask(
        &a,
        [
            Term::atom("send"),
            ours.pid().clone().into(),
            Term::atom("before"),
        ],
    );
    pair.beam.kill9().unwrap();
    let before = receive(&mut ours).into_message().unwrap();
    assert_eq!(before.term().unwrap(), Term::atom("before"));
    let mut both = vec![receive(&mut ours), receive(&mut ours)];
    for wanted in [
        exit_of(&a.pid, "noconnection"),
        down_of(&monitor, a.pid.clone(), "noconnection"),
    ] {
        let at = both.iter().position(|received| *received == wanted);
        both.remove(at.unwrap_or_else(|| panic!("{wanted:?} in {both:?}")));
    }
    match receive(&mut ours) {
        Received::Nodedown { node, visible, .. } => {
            assert_eq!((node.as_str(), visible), (BEAM, true));
        }
        other => panic!("{other:?}"),
    }
    // Nothing came after it but what we say ourselves.
    block_on(ours.send(ours.pid().clone(), &Term::atom("after"))).unwrap();
    let after = receive(&mut ours).into_message().unwrap();
    assert_eq!(after.term().unwrap(), Term::atom("after"));
}
