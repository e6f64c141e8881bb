//! Nodes that come and go.

use std::time::Duration;

use enmesh_term::{Atom, Term};

use super::wire::*;
use crate::{Action, Address, AutoConnect, Mail, NodeTypes};

fn connects(net: &mut Net, node: &str) -> usize {
    let node = net.node(node);
    node.drain();
    let wanted = |action: &&Action<Handle>| matches!(action, Action::Connect { .. });
    node.others.iter().filter(wanted).count()
}

#[test]
fn nodeup_comes_before_and_nodedown_after_everything_of_the_connection() {
    let mut net = Net::new(&["a@h", "b@h"]);
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
    let now = net.now;
    net.kernel("a@h").monitor_nodes(&p, Some(NodeTypes::All));
    net.connect("a@h", "b@h");
    net.run();
    let target = Address::Pid(q.clone());
    let reference = net.kernel("a@h").monitor(now, &p, &target);
    net.kernel("b@h")
        .send(now, &q, &p.clone().into(), bare(&Term::Int(1)));
    net.run();
    net.cut("a@h", "b@h");
    let node = Atom::from_static("b@h");
    let (visible, connection_id) = (true, 1);
    let expected = [
        Mail::Nodeup {
            node: node.clone(),
            visible,
            connection_id,
        },
        Mail::Message(bare(&Term::Int(1))),
        Mail::Down {
            reference,
            from: target,
            reason: Term::atom("noconnection"),
        },
        Mail::Nodedown {
            node,
            visible,
            connection_id,
            reason: Term::atom("connection_closed"),
        },
    ];
    assert_eq!(net.node("a@h").take("p"), expected);
}

#[test]
fn hidden_nodes_are_told_only_to_those_who_want_them() {
    let mut net = Net::new(&["a@h", "b@h"]);
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("a@h", "q"));
    let mut info = net.info("b@h");
    info.visible = false;
    let now = net.now;
    let kernel = net.kernel("a@h");
    kernel.monitor_nodes(&p, Some(NodeTypes::Visible));
    kernel.monitor_nodes(&q, Some(NodeTypes::Hidden));
    kernel.handle_nodeup(now, &info, 7);
    assert!(kernel.nodes(NodeTypes::Visible).is_empty());
    assert_eq!(kernel.nodes(NodeTypes::All), [Atom::from_static("b@h")]);
    assert!(net.node("a@h").take("p").is_empty());
    assert_eq!(net.node("a@h").take("q").len(), 1);
}

#[test]
fn signals_to_a_node_that_is_not_connected_wait_in_order() {
    let mut net = Net::new(&["a@h", "b@h"]);
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
    let now = net.now;
    for number in 0..3 {
        let payload = bare(&Term::Int(number));
        net.kernel("a@h").send(now, &p, &q.clone().into(), payload);
    }
    assert_eq!(connects(&mut net, "a@h"), 1);
    net.connect("a@h", "b@h");
    net.run();
    let got: Vec<Mail> = (0..3).map(|n| Mail::Message(bare(&Term::Int(n)))).collect();
    assert_eq!(net.node("b@h").take("q"), got);
}

#[test]
fn a_connect_that_fails_is_noconnection_for_links_monitors_and_requests() {
    let mut net = Net::new(&["a@h", "b@h"]);
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
    let now = net.now;
    let kernel = net.kernel("a@h");
    kernel.set_trap_exit(&p, true);
    kernel.link(now, &p, &q);
    kernel.monitor(now, &p, &q.clone().into());
    kernel.call(now, &p, &q.clone().into(), &Term::nil(), "slot");
    let mfa = (Atom::from_static("m"), Atom::from_static("f"), Term::nil());
    let node = Atom::from_static("b@h");
    kernel.spawn_request(now, &p, &node, mfa, true, false, "spawn");
    kernel.handle_connect_failed(now, &node);
    let mut mail = net.node("a@h").take("p");
    let exits = mail
        .iter()
        .position(|mail| *mail == exit(&q, "noconnection"));
    mail.remove(exits.expect("the link ends"));
    assert!(matches!(&mail[..], [Mail::Down { reason, .. }] if reason.is_atom("noconnection")));
    let slot = net.node("a@h").take("slot");
    assert!(matches!(&slot[..], [Mail::Down { .. }]), "{slot:?}");
    let refused = Mail::Refused(Atom::from_static("noconnection"));
    assert_eq!(net.node("a@h").take("spawn"), [refused]);
}

/// The driver lost the order, or what became of it.
#[test]
fn a_connect_of_which_nothing_is_heard_is_noconnection_after_two_minutes() {
    let mut net = Net::new(&["a@h", "b@h", "c@h"]);
    let p = net.spawn("a@h", "p");
    let (b, c) = (net.spawn("b@h", "q"), net.spawn("c@h", "q"));
    let (second, begin) = (Duration::from_secs(1), net.now);
    let kernel = net.kernel("a@h");
    kernel.call(begin, &p, &b.clone().into(), &Term::nil(), "lost");
    kernel.call(begin + second, &p, &c.into(), &Term::nil(), "up");
    assert_eq!(connects(&mut net, "a@h"), 2);
    net.connect("a@h", "c@h");
    let kernel = net.kernel("a@h");
    kernel.handle_timeout(begin + 119 * second);
    assert!(net.node("a@h").take("lost").is_empty());
    let kernel = net.kernel("a@h");
    let due = kernel.deadline().unwrap();
    assert!(due <= begin + 120 * second);
    kernel.handle_timeout(begin + 120 * second);
    let down = net.node("a@h").take("lost");
    assert!(matches!(&down[..], [Mail::Down { reason, .. }] if reason.is_atom("noconnection")));
    // What came up is not given up with it, and who is wanted once more is dialled once more.
    let kernel = net.kernel("a@h");
    kernel.handle_timeout(begin + 121 * second);
    assert_eq!(kernel.nodes(NodeTypes::All), [Atom::from_static("c@h")]);
    kernel.call(begin + 122 * second, &p, &b.into(), &Term::nil(), "again");
    assert_eq!(connects(&mut net, "a@h"), 3);
    assert!(net.node("a@h").take("up").is_empty());
}

#[test]
fn more_signals_than_may_wait_count_as_a_failed_connection() {
    let mut net = Net::new(&["a@h", "b@h"]);
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
    let now = net.now;
    net.kernel("a@h").monitor(now, &p, &q.clone().into());
    for _ in 0..4_096 {
        let payload = bare(&Term::Int(1));
        net.kernel("a@h").send(now, &p, &q.clone().into(), payload);
    }
    let mail = net.node("a@h").take("p");
    assert!(matches!(&mail[..], [Mail::Down { reason, .. }] if reason.is_atom("noconnection")));
}

#[test]
fn one_long_message_to_a_node_that_is_not_connected_costs_nobody_theirs() {
    let mut net = Net::new(&["a@h", "b@h"]);
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
    let other = net.spawn("a@h", "other");
    let now = net.now;
    let small = bare(&Term::Int(1));
    let long = bare(&Term::binary(vec![0; 20 << 20]));
    let kernel = net.kernel("a@h");
    kernel.send(now, &other, &q.clone().into(), small.clone());
    kernel.send(now, &p, &q.clone().into(), long.clone());
    net.connect("a@h", "b@h");
    net.run();
    let got = net.node("b@h").take("q");
    assert!(got == [Mail::Message(small), Mail::Message(long)]);
}

#[test]
fn more_bytes_than_may_wait_for_all_nodes_fail_the_node_that_they_are_for() {
    let mut net = Net::new(&["a@h", "b@h"]);
    let p = net.spawn("a@h", "p");
    let now = net.now;
    let payload = bytes::Bytes::from(vec![0; 16 << 20]);
    let kernel = net.kernel("a@h");
    let mut monitors = Vec::new();
    for name in ["v@h", "w@h", "x@h", "y@h", "z@h"] {
        let to = named("server", name);
        monitors.push(kernel.monitor(now, &p, &to));
        kernel.send(now, &p, &to, payload.clone());
    }
    let mail = net.node("a@h").take("p");
    let [Mail::Down { reference, .. }] = &mail[..] else {
        panic!("{mail:?}");
    };
    assert_eq!(Some(reference), monitors.last());
    // Room is free again as soon as one is connected or given up.
    let kernel = net.kernel("a@h");
    kernel.handle_connect_failed(now, &Atom::from_static("v@h"));
    let to = named("server", "z@h");
    let again = kernel.monitor(now, &p, &to);
    kernel.send(now, &p, &to, payload);
    let mail = net.node("a@h").take("p");
    let of = |mail: &Mail| matches!(mail, Mail::Down { reference, .. } if *reference == again);
    assert!(!mail.iter().any(of), "{mail:?}");
}

#[test]
fn what_waited_for_another_incarnation_ends_when_the_node_comes() {
    let mut net = Net::new(&["a@h", "b@h"]);
    let p = net.spawn("a@h", "p");
    let stale = enmesh_term::Pid::new(Atom::from_static("b@h"), 1, 0, 77);
    let now = net.now;
    let kernel = net.kernel("a@h");
    kernel.set_trap_exit(&p, true);
    kernel.link(now, &p, &stale);
    let reference = kernel.monitor(now, &p, &stale.clone().into());
    net.connect("a@h", "b@h");
    let expected = Mail::Down {
        reference,
        from: stale.clone().into(),
        reason: Term::atom("noproc"),
    };
    let mail = net.node("a@h").take("p");
    assert!(
        mail.contains(&expected) && mail.contains(&exit(&stale, "noproc")),
        "{mail:?}"
    );
    net.run();
}

#[test]
fn auto_connect_never_and_once_mean_what_net_kernel_means() {
    for (mode, first, again) in [
        (AutoConnect::Never, 0, 0),
        (AutoConnect::Once, 1, 0),
        (AutoConnect::Always, 1, 1),
    ] {
        let mut net = Net::new(&["a@h", "b@h"]);
        let mut config = config("a@h", 10);
        config.auto_connect = mode;
        let now = net.now;
        *net.node("a@h") = Node::new(now, config);
        let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
        let hello = bare(&Term::Int(1));
        net.kernel("a@h")
            .send(now, &p, &q.clone().into(), hello.clone());
        assert_eq!(connects(&mut net, "a@h"), first, "{mode:?}");
        net.connect("a@h", "b@h");
        net.run();
        net.cut("a@h", "b@h");
        net.node("a@h").others.clear();
        net.kernel("a@h").send(now, &p, &q.clone().into(), hello);
        assert_eq!(connects(&mut net, "a@h"), again, "{mode:?}");
        let reference = net.kernel("a@h").monitor(now, &p, &q.clone().into());
        let mail = net.node("a@h").take("p");
        let down = Mail::Down {
            reference,
            from: q.into(),
            reason: Term::atom("noconnection"),
        };
        assert_eq!(mail.contains(&down), again == 0, "{mode:?}");
    }
}

#[test]
fn an_answer_to_a_node_that_has_gone_does_not_bring_it_back() {
    let mut net = Net::pair();
    let now = net.now;
    let (module, function) = (Atom::from_static("m"), Atom::from_static("f"));
    net.kernel("a@h").define(module, function);
    let q = net.spawn("b@h", "q");
    let call = [
        Term::atom("call"),
        Term::atom("m"),
        Term::atom("f"),
        Term::nil(),
        Term::atom("user"),
    ];
    let rex = named("rex", "a@h");
    net.kernel("b@h")
        .call(now, &q, &rex, &Term::tuple(call), "slot");
    net.run();
    let job = net
        .node("a@h")
        .others
        .iter()
        .find_map(|action| match action {
            Action::Start { job, .. } => Some(*job),
            _ => None,
        });
    net.cut("a@h", "b@h");
    net.node("a@h").others.clear();
    let outcome = crate::JobOutcome::Returned(Term::nil());
    net.kernel("a@h").handle_job(now, job.unwrap(), outcome);
    assert_eq!(connects(&mut net, "a@h"), 0);
}
