//! Process groups: Rust processes in `pg` of BEAM nodes and the reverse.

use enmesh::{Atom, Mailbox, Node, PgEvent, Pid, ProcessGroups, Received, Term};
use enmesh_interop::{Beam, Epmd, NetNs, Otp, poll_until};

use crate::bench::{SOON, beam, says};
use crate::rust_node::{block_on, rust_node};

const BEAM: &str = "b1@127.0.0.1";
const US: &str = "rust@127.0.0.1";

/// The group of the tests.
fn workers() -> Atom {
    Atom::from_static("workers")
}

/// A BEAM with scope `pg`, whose process the name `scope` remembers.
fn with_pg(otp: Otp, ns: &NetNs, name: &str) -> Beam {
    let mut beam = beam(otp, ns, name, &[]);
    beam.eval("{ok, P} = pg:start(pg), persistent_term:put(scope, P)")
        .unwrap();
    beam
}

/// Nothing that we said has ended the BEAM's scope process.
fn still_serves(beam: &mut Beam) {
    let same = "pg:demonitor(pg, make_ref()), whereis(pg) =:= persistent_term:get(scope)";
    assert_eq!(beam.eval(same).unwrap(), "true", "{}", beam.name());
}

/// The members as numbers of the processes on their nodes, which differ from node to node in print.
fn counts(beam: &mut Beam, count: usize, of: &str) {
    let members = format!("length([P || P <- pg:get_members(pg, workers), node(P) =:= '{of}'])");
    says(beam, &members, &count.to_string());
}

fn wait_members(groups: &ProcessGroups, wanted: impl Fn(&[Pid]) -> bool) {
    poll_until("the group is as it should be", SOON, || {
        let members = groups.members(&workers());
        anyhow::ensure!(wanted(&members), "it has {members:?}");
        Ok(())
    })
    .unwrap();
}

/// Joins and leaves on either side are seen on the other, once or several times, until a process ends or a link does.
pub(crate) fn groups_are_shared(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut beam = with_pg(otp, &ns, BEAM);
    let node = rust_node(&ns, US);
    let groups = node.pg("pg").unwrap();
    let early = node.anonymous_mailbox().unwrap();
    groups.join(&workers(), early.pid());
    assert_eq!(beam.eval(&format!("net_adm:ping('{US}')")).unwrap(), "pong");
    counts(&mut beam, 1, US);
    let late = node.anonymous_mailbox().unwrap();
    groups.join(&workers(), late.pid());
    groups.join(&workers(), late.pid());
    counts(&mut beam, 3, US);
    assert!(groups.leave(&workers(), late.pid()));
    counts(&mut beam, 2, US);

    // The other way round; a member may be sent to.
    let watcher = node.anonymous_mailbox().unwrap();
    groups.monitor(&workers(), watcher.process());
    let join = "P = spawn(fun() -> receive {From, hi} -> From ! hello, receive stop -> ok end end end), \
        register(member, P), pg:join(pg, workers, [P, P])";
    assert_eq!(beam.eval(join).unwrap(), "ok");
    wait_members(&groups, |members| members.len() == 4);
    let theirs = groups
        .members(&workers())
        .into_iter()
        .find(|pid| pid.node() == BEAM)
        .unwrap();
    exchange(&node, &theirs);
    assert_eq!(
        beam.eval("pg:leave(pg, workers, whereis(member))").unwrap(),
        "ok"
    );
    wait_members(&groups, |members| members.len() == 3);
    beam.eval("member ! stop").unwrap();
    wait_members(&groups, |members| {
        members.iter().all(|pid| pid.node() == US)
    });
    told(watcher, &theirs);

    // A process that ends leaves as often as it joined.
    groups.join(&workers(), late.pid());
    counts(&mut beam, 3, US);
    drop(late);
    counts(&mut beam, 1, US);
    still_serves(&mut beam);

    // A link that ends takes all along, and a new one brings all back.
    assert_eq!(
        beam.eval(&format!("erlang:disconnect_node('{US}')"))
            .unwrap(),
        "true"
    );
    beam.eval("pg:join(pg, workers, spawn(fun() -> receive stop -> ok end end))")
        .unwrap();
    groups.join(&workers(), early.pid());
    assert_eq!(beam.eval(&format!("net_adm:ping('{US}')")).unwrap(), "pong");
    counts(&mut beam, 2, US);
    wait_members(&groups, |members| members.len() == 3);
    still_serves(&mut beam);
    block_on(node.shutdown());
    counts(&mut beam, 0, US);
    still_serves(&mut beam);
}

/// Says hi to a member, which says hello.
fn exchange(node: &Node, member: &Pid) {
    let mut mailbox = node.anonymous_mailbox().unwrap();
    let own = Term::from(mailbox.pid().clone());
    block_on(mailbox.send(member, &Term::tuple([own, Term::atom("hi")]))).unwrap();
    let received = block_on(mailbox.recv()).unwrap();
    let message = received.into_message().expect("a message");
    assert_eq!(message.term().unwrap(), Term::atom("hello"));
}

/// Two joins and two leaves of one process, in this order.
fn told(mut watcher: Mailbox, member: &Pid) {
    let (mut joined, mut left) = (0, 0);
    while left < 2 {
        let received = block_on(watcher.recv()).unwrap();
        let Received::Group {
            event, group, pids, ..
        } = received
        else {
            panic!("{received:?}");
        };
        assert_eq!(group, Term::from(workers()));
        assert!(pids.iter().all(|pid| pid == member), "{pids:?}");
        match event {
            PgEvent::Join => joined += pids.len(),
            PgEvent::Leave => left += pids.len(),
        }
        assert!(left <= joined);
    }
    assert_eq!((joined, left), (2, 2));
}

/// Two members and two releases, of which one speaks the newer protocol: all know the same while members come and go.
#[test]
fn a_mixed_cluster_agrees_on_groups() {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    // pg of OTP 25 dies of the first word of pg of OTP 29, whoever else is there.
    let mut beams = [(Otp::R27, "b27@127.0.0.1"), (Otp::R29, "b29@127.0.0.1")]
        .map(|(otp, name)| with_pg(otp, &ns, name));
    let names = ["r1@127.0.0.1", "r2@127.0.0.1"];
    let nodes = names.map(|name| rust_node(&ns, name));
    let all = [names[0], names[1], "b29@127.0.0.1"];
    for name in all {
        assert_eq!(
            beams[0].eval(&format!("net_adm:ping('{name}')")).unwrap(),
            "pong"
        );
    }
    for beam in &mut beams {
        says(beam, "length(nodes())", "3");
    }
    let mailboxes = [0, 1].map(|at| nodes[at].anonymous_mailbox().unwrap());
    let groups = [0, 1].map(|at| nodes[at].pg("pg").unwrap());
    for round in 0..3 {
        for at in [0, 1] {
            groups[at].join(&workers(), mailboxes[at].pid());
        }
        for beam in &mut beams {
            let join = "P = spawn(fun() -> receive stop -> ok end end), pg:join(pg, workers, P), pg:join(pg, P, P)";
            assert_eq!(beam.eval(join).unwrap(), "ok");
        }
        let wanted = 4 * (round + 1);
        for beam in &mut beams {
            says(
                beam,
                "length(pg:get_members(pg, workers))",
                &wanted.to_string(),
            );
        }
        for group in &groups {
            wait_members(group, |members| members.len() == wanted);
        }
    }
    for beam in &mut beams {
        beam.eval("[P ! stop || P <- pg:get_local_members(pg, workers)]")
            .unwrap();
    }
    drop(mailboxes);
    for beam in &mut beams {
        says(beam, "pg:which_groups(pg)", "[]");
        still_serves(beam);
    }
    for group in &groups {
        poll_until("no group is left", SOON, || {
            anyhow::ensure!(group.groups().is_empty(), "{:?}", group.groups());
            Ok(())
        })
        .unwrap();
    }
}

/// The groups of the restless.
const GROUPS: [&str; 3] = ["a", "b", "c"];

/// A Rust node whose processes join, leave and end.
struct Restless {
    node: Node,
    groups: ProcessGroups,
    mailboxes: Vec<Mailbox>,
}

impl Restless {
    fn new(ns: &NetNs, name: &str) -> Self {
        let node = rust_node(ns, name);
        let mailboxes = (0..4).map(|_| node.anonymous_mailbox().unwrap()).collect();
        let groups = node.pg("pg").unwrap();
        Self {
            node,
            groups,
            mailboxes,
        }
    }

    fn act(&mut self, chance: usize) {
        let group = Atom::from_static(GROUPS[chance % 3]);
        let mailbox = &mut self.mailboxes[chance / 3 % 4];
        match chance / 12 % 8 {
            0..4 => assert!(self.groups.join(&group, mailbox.pid())),
            4..7 => {
                self.groups.leave(&group, mailbox.pid());
            }
            _ => *mailbox = self.node.anonymous_mailbox().unwrap(),
        }
    }

    /// How often processes of each node are in each group, as the BEAM's own question prints it.
    fn counts(&self, nodes: &[&str]) -> String {
        let mut counts = Vec::new();
        for group in GROUPS {
            let members = self.groups.members(&Atom::from_static(group));
            for node in nodes {
                let count = members.iter().filter(|pid| pid.node() == *node).count();
                counts.push(format!("{{{group},'{node}',{count}}}"));
            }
        }
        format!("[{}]", counts.join(","))
    }
}

/// Processes join, leave and end and links end and come back at random, on two members and a BEAM: the BEAM's scope process
/// lives through it, and in the end all know the same.
pub(crate) fn restless_groups_end_equal(otp: Otp) {
    const RUST: [&str; 2] = ["r1@127.0.0.1", "r2@127.0.0.1"];
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut beam = with_pg(otp, &ns, BEAM);
    let worker = "register(W, spawn(fun() -> receive stop -> ok end end))";
    beam.eval(&format!("[{worker} || W <- [w0, w1, w2, w3]]"))
        .unwrap();
    let mut members = RUST.map(|name| Restless::new(&ns, name));
    let mut chance = 4_711_usize;
    for step in 0..400 {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (draw, group) = (chance >> 33, GROUPS[(chance >> 40) % 3]);
        let worker_name = format!("w{}", (chance >> 44) % 4);
        match step % 8 {
            0..5 => members[draw % 2].act(draw / 2),
            5 => drop(
                beam.eval(&format!("pg:join(pg, {group}, whereis({worker_name}))"))
                    .unwrap(),
            ),
            6 => drop(
                beam.eval(&format!("pg:leave(pg, {group}, whereis({worker_name}))"))
                    .unwrap(),
            ),
            _ if draw % 4 == 0 => {
                let again = format!(
                    "P = whereis({worker_name}), R = monitor(process, P), P ! stop, receive {{'DOWN', R, _, _, _}} -> ok end, {worker}"
                );
                beam.eval(&again.replace("(W,", &format!("({worker_name},")))
                    .unwrap();
            }
            _ if draw % 4 == 1 => drop(
                beam.eval(&format!("erlang:disconnect_node('{}')", RUST[draw / 4 % 2]))
                    .unwrap(),
            ),
            _ => drop(
                beam.eval(&format!("net_adm:ping('{}')", RUST[draw / 4 % 2]))
                    .unwrap(),
            ),
        }
    }
    let all = [BEAM, RUST[0], RUST[1]];
    says(
        &mut beam,
        &format!("[net_adm:ping('{}'), net_adm:ping('{}')]", RUST[0], RUST[1]),
        "[pong,pong]",
    );
    let nodes = all.map(|name| format!("'{name}'")).join(",");
    let question = format!(
        "[{{G, N, length([P || P <- pg:get_members(pg, G), node(P) =:= N])}} || G <- [a, b, c], N <- [{nodes}]]"
    );
    poll_until("all know the same", SOON, || {
        let asked = beam.eval(&question)?;
        for member in &members {
            let counts = member.counts(&all);
            anyhow::ensure!(
                asked == counts,
                "the BEAM says {asked}, {} says {counts}",
                member.node.name()
            );
        }
        let own = members.iter().all(|member| {
            let of = |group| member.groups.local_members(&Atom::from_static(group)).len();
            GROUPS.map(of).iter().sum::<usize>() > 0
        });
        anyhow::ensure!(own, "the draw left somebody without members");
        Ok(())
    })
    .unwrap();
    still_serves(&mut beam);
}
