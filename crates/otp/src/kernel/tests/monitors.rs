//! Monitors and aliases.

use enmesh_term::{Atom, Pid, Term};

use super::wire::*;
use crate::{Address, Mail};

fn down(reference: &enmesh_term::Reference, from: &Address, reason: &'static str) -> Mail {
    Mail::Down {
        reference: reference.clone(),
        from: from.clone(),
        reason: Term::atom(reason),
    }
}

#[test]
fn the_end_of_a_process_fires_its_monitors_once() {
    let (mut net, p, q) = Net::pair_of_processes();
    let (now, target) = (net.now, Address::Pid(q.clone()));
    let reference = net.kernel("a@h").monitor(now, &p, &target);
    net.run();
    net.kernel("b@h").exit(now, &q, Term::atom("boom"));
    net.run();
    net.cut("a@h", "b@h");
    assert_eq!(
        net.node("a@h").take("p"),
        [down(&reference, &target, "boom")]
    );
}

#[test]
fn a_monitor_of_a_name_fires_with_the_name() {
    let (mut net, p, q) = Net::pair_of_processes();
    let now = net.now;
    net.kernel("b@h")
        .register(&q, Atom::from_static("server"))
        .unwrap();
    let target = named("server", "b@h");
    let reference = net.kernel("a@h").monitor(now, &p, &target);
    net.run();
    assert!(net.node("a@h").take("p").is_empty());
    net.kernel("b@h").exit(now, &q, Term::atom("boom"));
    net.run();
    assert_eq!(
        net.node("a@h").take("p"),
        [down(&reference, &target, "boom")]
    );
}

#[test]
fn a_monitor_of_nobody_fires_noproc_here_and_there() {
    let mut net = Net::pair();
    let p = net.spawn("a@h", "p");
    let stale = Pid::new(Atom::from_static("b@h"), 1, 0, 77);
    let targets = [
        named("nobody", "b@h"),
        named("nobody", "a@h"),
        Address::Pid(Pid::new(Atom::from_static("b@h"), 999, 0, 11)),
        Address::Pid(stale),
    ];
    for target in targets {
        let now = net.now;
        let reference = net.kernel("a@h").monitor(now, &p, &target);
        net.run();
        assert_eq!(
            net.node("a@h").take("p"),
            [down(&reference, &target, "noproc")]
        );
    }
}

#[test]
fn a_monitor_taken_back_never_fires() {
    let (mut net, p, q) = Net::pair_of_processes();
    let now = net.now;
    let reference = net.kernel("a@h").monitor(now, &p, &q.clone().into());
    net.run();
    assert!(net.kernel("a@h").demonitor(now, &p, &reference));
    assert!(!net.kernel("a@h").demonitor(now, &p, &reference));
    net.run();
    net.kernel("b@h").exit(now, &q, Term::atom("boom"));
    net.node("b@h").drain();
    assert!(net.node("b@h").out.values().all(|queue| queue.is_empty()));
    net.run();
    assert!(net.node("a@h").take("p").is_empty());
}

#[test]
fn a_lost_connection_fires_noconnection_and_forgets_the_peers_monitors() {
    let (mut net, p, q) = Net::pair_of_processes();
    let (now, target) = (net.now, Address::Pid(q.clone()));
    let reference = net.kernel("a@h").monitor(now, &p, &target);
    net.run();
    net.cut("a@h", "b@h");
    assert_eq!(
        net.node("a@h").take("p"),
        [down(&reference, &target, "noconnection")]
    );
    net.kernel("b@h").exit(now, &q, Term::atom("boom"));
    net.node("b@h").drain();
    assert!(
        net.node("b@h").others.is_empty(),
        "{:?}",
        net.node("b@h").others
    );
}

#[test]
fn a_message_to_an_alias_arrives_until_it_is_taken_back() {
    let (mut net, p, q) = Net::pair_of_processes();
    let now = net.now;
    let alias = net.kernel("a@h").alias(&p);
    let to = Address::Alias(alias.clone());
    let hello = bare(&Term::atom("hello"));
    net.kernel("b@h").send(now, &q, &to, hello.clone());
    net.run();
    assert_eq!(net.node("a@h").take("p"), [Mail::Message(hello.clone())]);
    assert!(net.kernel("a@h").unalias(&p, &alias));
    net.kernel("b@h").send(now, &q, &to, hello);
    net.run();
    assert!(net.node("a@h").take("p").is_empty());
}

#[test]
fn messages_go_by_pid_and_by_name_here_and_there() {
    let (mut net, p, q) = Net::pair_of_processes();
    let now = net.now;
    net.kernel("b@h")
        .register(&q, Atom::from_static("server"))
        .unwrap();
    net.kernel("a@h")
        .register(&p, Atom::from_static("server"))
        .unwrap();
    let hello = bare(&Term::atom("hello"));
    let ways: [Address; 4] = [
        q.into(),
        named("server", "b@h"),
        p.clone().into(),
        named("server", "a@h"),
    ];
    for to in &ways {
        net.kernel("a@h").send(now, &p, to, hello.clone());
    }
    net.run();
    let twice = [Mail::Message(hello.clone()), Mail::Message(hello)];
    assert_eq!(net.node("b@h").take("q"), twice.clone());
    assert_eq!(net.node("a@h").take("p"), twice);
}
