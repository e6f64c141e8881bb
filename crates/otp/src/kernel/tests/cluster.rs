//! Three nodes whose services speak with each other.

use std::time::Duration;

use enmesh_proto::Direction;
use enmesh_term::{Atom, Pid, Term};

use super::wire::*;
use crate::{Action, Mail, PgEvent};

const NAMES: [&str; 3] = ["a@h", "b@h", "c@h"];
const PG: Atom = Atom::from_static("pg");

/// Lets messages and timers have their way for so long.
fn pass(net: &mut Net, time: Duration) {
    let end = net.now + time;
    loop {
        net.run();
        let due = NAMES
            .iter()
            .filter_map(|name| net.nodes[name].kernel.deadline());
        let Some(next) = due.min().filter(|&next| next <= end) else {
            break;
        };
        net.now = next.max(net.now);
        let now = net.now;
        for name in NAMES {
            net.kernel(name).handle_timeout(now);
            net.node(name).drain();
        }
    }
    net.now = end;
}

fn cluster() -> Net {
    let mut net = Net::new(&NAMES);
    net.connect("a@h", "b@h");
    net.connect("b@h", "c@h");
    net.connect("a@h", "c@h");
    pass(&mut net, Duration::from_secs(20));
    net
}

fn whereis(net: &Net, name: &Term) -> [Option<Pid>; 3] {
    NAMES.map(|node| net.nodes[node].kernel.whereis_global(name))
}

#[test]
fn a_global_name_is_known_everywhere_until_its_process_ends() {
    let mut net = cluster();
    let p = net.spawn("b@h", "p");
    let (now, name) = (net.now, Term::atom("leader"));
    net.kernel("b@h")
        .register_global(now, name.clone(), &p, "slot");
    pass(&mut net, Duration::from_secs(5));
    assert_eq!(net.node("b@h").take("slot"), [Mail::Global(true)]);
    let known = Some(p.clone());
    assert_eq!(whereis(&net, &name), [known.clone(), known.clone(), known]);

    // Nobody else gets it, and it is sent to as any process is.
    let q = net.spawn("c@h", "q");
    let now = net.now;
    net.kernel("c@h")
        .register_global(now, name.clone(), &q, "slot");
    pass(&mut net, Duration::from_secs(5));
    assert_eq!(net.node("c@h").take("slot"), [Mail::Global(false)]);

    let now = net.now;
    net.kernel("b@h").exit(now, &p, Term::atom("boom"));
    pass(&mut net, Duration::from_secs(5));
    assert_eq!(whereis(&net, &name), [None, None, None]);
}

#[test]
fn a_global_name_goes_with_its_node_and_by_being_taken_back() {
    let mut net = cluster();
    // As with OTP, a process has one global name at most.
    let pids = [net.spawn("b@h", "p"), net.spawn("b@h", "q")];
    let names = [Term::atom("one"), Term::atom("two")];
    for (name, pid) in names.iter().zip(&pids) {
        let now = net.now;
        net.kernel("b@h")
            .register_global(now, name.clone(), pid, "slot");
        pass(&mut net, Duration::from_secs(5));
    }
    let now = net.now;
    net.kernel("b@h").unregister_global(now, &names[0], "slot");
    pass(&mut net, Duration::from_secs(5));
    assert_eq!(whereis(&net, &names[0]), [None, None, None]);
    assert_eq!(whereis(&net, &names[1])[0].as_ref(), Some(&pids[1]));
    net.cut("a@h", "b@h");
    net.cut("b@h", "c@h");
    pass(&mut net, Duration::from_secs(5));
    let [a, _, c] = whereis(&net, &names[1]);
    assert_eq!((a, c), (None, None));
}

#[test]
fn a_group_has_the_members_of_all_nodes_and_tells_who_asked() {
    let mut net = cluster();
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
    let (now, group) = (net.now, Term::atom("group"));
    let watcher = net.spawn("c@h", "w");
    let reference = net
        .kernel("c@h")
        .pg_monitor(&watcher, &PG, Some(group.clone()));
    net.kernel("c@h")
        .pg_monitor(&watcher, &PG, Some(Term::atom("other")));
    net.kernel("a@h").pg_join(now, &PG, group.clone(), &p);
    net.kernel("b@h").pg_join(now, &PG, group.clone(), &q);
    net.run();
    for name in NAMES {
        let mut members = net.kernel(name).pg_members(&PG, &group);
        members.sort();
        let mut both = [p.clone(), q.clone()];
        both.sort();
        assert_eq!(members, both, "{name}");
    }
    let local = net.kernel("a@h").pg_local_members(&PG, &group);
    assert_eq!(local, std::slice::from_ref(&p));
    net.kernel("a@h").exit(now, &p, Term::atom("boom"));
    assert!(net.kernel("b@h").pg_leave(now, &PG, &group, &q));
    net.run();
    let event = |event, pid: &Pid| Mail::Pg {
        reference: reference.clone(),
        event,
        group: group.clone(),
        pids: vec![pid.clone()],
    };
    let told = [
        event(PgEvent::Join, &p),
        event(PgEvent::Join, &q),
        event(PgEvent::Leave, &p),
        event(PgEvent::Leave, &q),
    ];
    assert_eq!(net.node("c@h").take("w"), told);
    assert!(
        NAMES
            .iter()
            .all(|name| net.nodes[name].kernel.pg_groups(&PG).is_empty())
    );
}

#[test]
fn hidden_peers_hear_nothing_of_global_and_pg() {
    let mut net = Net::new(&["a@h", "b@h"]);
    let mut info = net.info("b@h");
    info.flags = info.flags.without(enmesh_proto::Flags::PUBLISHED);
    info.direction = Direction::Dialled;
    let now = net.now;
    net.kernel("a@h").handle_nodeup(now, &info, 1);
    net.node("a@h").drain();
    assert!(net.node("a@h").out.is_empty(), "{:?}", net.node("a@h").out);
}

#[test]
fn the_echo_process_answers_and_has_a_global_name() {
    let mut net = Net::new(&["a@h", "b@h"]);
    let mut config = config("b@h", 11);
    config.echo = true;
    let now = net.now;
    *net.node("b@h") = Node::new(now, config);
    net.connect("a@h", "b@h");
    let p = net.spawn("a@h", "p");
    let message = Term::tuple([p.clone().into(), Term::atom("hello")]);
    net.kernel("a@h")
        .send(now, &p, &named("echo", "b@h"), bare(&message));
    net.run();
    let answer = Term::tuple([Term::atom("echo"), Term::atom("hello")]);
    assert_eq!(net.node("a@h").take("p"), [Mail::Message(bare(&answer))]);
    let name = Term::tuple([Term::atom("echo"), Term::atom("b@h")]);
    let echo = net.kernel("b@h").whereis(&Atom::from_static("echo"));
    assert!(echo.is_some());
    assert_eq!(net.kernel("b@h").whereis_global(&name), echo);
}

#[test]
fn what_cannot_be_served_or_joined_is_said() {
    let mut net = Net::new(&["a@h"]);
    let p = net.spawn("a@h", "p");
    let (now, group) = (net.now, Term::atom("group"));
    let kernel = net.kernel("a@h");
    let taken = Atom::from_static("rex");
    assert!(!kernel.pg_start(now, taken.clone()));
    assert!(!kernel.pg_join(now, &taken, group.clone(), &p));
    assert!(kernel.pg_start(now, PG), "it is served already");
    assert!(kernel.pg_join(now, &PG, group.clone(), &p));
    kernel.exit(now, &p, Term::atom("normal"));
    assert!(!kernel.pg_join(now, &PG, group, &p));
}

/// A driver may refuse what nobody but `global` needs: which nodes of the cluster are dialled is not for it to say.
#[test]
fn it_is_said_of_a_node_to_be_connected_whether_it_is_for_names_alone() {
    fn wanted(net: &mut Net) -> Vec<(String, bool)> {
        let others = std::mem::take(&mut net.node("a@h").others);
        let wanted = others.into_iter().filter_map(|action| match action {
            Action::Connect { node, for_names } => Some((node.to_string(), for_names)),
            _ => None,
        });
        wanted.collect()
    }
    let mut net = Net::new(&NAMES);
    let p = net.spawn("a@h", "p");
    net.connect("b@h", "c@h");
    pass(&mut net, Duration::from_secs(20));
    // It hears of the third node from the second one.
    net.connect("a@h", "b@h");
    pass(&mut net, Duration::from_secs(20));
    let (now, name) = (net.now, Term::atom("name"));
    net.kernel("a@h").register_global(now, name, &p, "slot");
    pass(&mut net, Duration::from_secs(1));
    let told = wanted(&mut net);
    let expected = ("c@h".to_owned(), true);
    assert!(
        !told.is_empty() && told.iter().all(|it| *it == expected),
        "{told:?}"
    );
    let now = net.now;
    net.kernel("a@h")
        .handle_connect_failed(now, &Atom::from_static("c@h"));
    pass(&mut net, Duration::from_millis(1));
    wanted(&mut net);
    net.kernel("a@h")
        .send(now, &p, &named("x", "d@h"), bare(&Term::Int(1)));
    net.node("a@h").drain();
    assert_eq!(wanted(&mut net), [("d@h".to_owned(), false)]);
}
