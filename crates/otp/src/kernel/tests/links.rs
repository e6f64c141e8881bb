//! Links and exits.

use enmesh_proto::{Control, Flags, Message};
use enmesh_term::{Atom, Pid, Term};

use super::wire::*;
use crate::{Action, Mail};

/// A process on each of two connected nodes, that of `b@h` trapping exits.
fn linked() -> (Net, Pid, Pid) {
    let mut net = Net::pair();
    let p = net.spawn("a@h", "p");
    let q = net.spawn("b@h", "q");
    net.kernel("b@h").set_trap_exit(&q, true);
    let now = net.now;
    net.kernel("a@h").link(now, &p, &q);
    net.run();
    (net, p, q)
}

#[test]
fn the_end_of_a_process_reaches_the_one_linked_to_it() {
    let (mut net, p, _) = linked();
    let now = net.now;
    net.kernel("a@h").exit(now, &p, Term::atom("boom"));
    net.run();
    assert_eq!(net.node("b@h").take("q"), [exit(&p, "boom")]);
}

#[test]
fn an_exit_ends_the_process_that_does_not_trap_and_goes_on_from_it() {
    let (mut net, p, q) = linked();
    let r = net.spawn("a@h", "r");
    let now = net.now;
    net.kernel("a@h").set_trap_exit(&r, true);
    net.kernel("a@h").link(now, &p, &r);
    net.kernel("b@h").exit(now, &q, Term::atom("boom"));
    net.run();
    let ended = Action::Ended {
        handle: "p",
        reason: Term::atom("boom"),
    };
    assert!(net.node("a@h").others.contains(&ended));
    assert_eq!(net.node("a@h").take("r"), [exit(&p, "boom")]);
}

#[test]
fn a_normal_end_is_ignored_unless_exits_are_trapped() {
    let (mut net, p, q) = linked();
    let now = net.now;
    net.kernel("b@h").exit(now, &q, Term::atom("normal"));
    net.run();
    assert!(net.node("a@h").take("p").is_empty());
    assert!(
        net.kernel("a@h")
            .register(&p, Atom::from_static("alive"))
            .is_ok()
    );
}

#[test]
fn a_link_to_nobody_is_answered_noproc() {
    let (mut net, _, q) = linked();
    let ghost = Pid::new(Atom::from_static("a@h"), 999, 0, 10);
    let now = net.now;
    net.kernel("b@h").link(now, &q, &ghost);
    net.run();
    assert_eq!(net.node("b@h").take("q"), [exit(&ghost, "noproc")]);
}

#[test]
fn a_link_to_another_incarnation_is_noproc_without_a_word_to_the_peer() {
    let (mut net, _, q) = linked();
    let stale = Pid::new(Atom::from_static("a@h"), 1, 0, 77);
    let now = net.now;
    net.kernel("b@h").link(now, &q, &stale);
    net.kernel("b@h").unlink(now, &q, &stale);
    net.kernel("b@h")
        .exit_signal(now, &q, &stale, Term::atom("kill"));
    net.node("b@h").drain();
    assert_eq!(net.node("b@h").take("q"), [exit(&stale, "noproc")]);
    assert!(net.node("b@h").out.values().all(|queue| queue.is_empty()));
}

#[test]
fn kill_cannot_be_trapped_and_links_hear_killed() {
    let (mut net, p, q) = linked();
    let now = net.now;
    net.kernel("a@h").set_trap_exit(&p, true);
    net.kernel("b@h")
        .exit_signal(now, &q, &p, Term::atom("kill"));
    net.run();
    let ended = Action::Ended {
        handle: "p",
        reason: Term::atom("killed"),
    };
    assert!(net.node("a@h").others.contains(&ended));
    assert_eq!(net.node("b@h").take("q"), [exit(&p, "killed")]);
}

#[test]
fn exit_normal_from_another_is_ignored_and_from_itself_ends() {
    let mut net = Net::pair();
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("a@h", "q"));
    let now = net.now;
    let kernel = net.kernel("a@h");
    kernel.exit_signal(now, &q, &p, Term::atom("normal"));
    assert_eq!(kernel.register(&p, Atom::from_static("n")), Ok(()));
    kernel.exit_signal(now, &p, &p, Term::atom("normal"));
    assert_eq!(kernel.whereis(&Atom::from_static("n")), None);
}

/// erl_dist_protocol, "Link Protocol".
#[test]
fn an_unlink_is_acknowledged_before_any_later_signal() {
    let (mut net, p, q) = linked();
    let now = net.now;
    net.kernel("a@h").unlink(now, &p, &q);
    while net.carry("a@h", "b@h") {}
    net.kernel("b@h")
        .exit_signal(now, &q, &p, Term::atom("later"));
    net.node("b@h").drain();
    let queue = &net.node("b@h").out[&Atom::from_static("a@h")];
    let [
        Message {
            control: Control::UnlinkIdAck { id: 1, from, to },
            ..
        },
        Message {
            control: Control::PayloadExit2 { .. },
            ..
        },
    ] = [&queue[0], &queue[1]].map(Clone::clone)
    else {
        panic!("{queue:?}");
    };
    assert_eq!((from, to), (q, p));
}

#[test]
fn an_exit_that_crosses_an_unlink_is_ignored() {
    let (mut net, p, q) = linked();
    let now = net.now;
    net.kernel("a@h").set_trap_exit(&p, true);
    net.kernel("b@h").exit(now, &q, Term::atom("boom"));
    net.kernel("a@h").unlink(now, &p, &q);
    net.run();
    assert!(net.node("a@h").take("p").is_empty());
}

#[test]
fn a_link_begun_anew_while_the_unlink_is_under_way_stands_on_both_sides() {
    let (mut net, p, q) = linked();
    let now = net.now;
    net.kernel("a@h").unlink(now, &p, &q);
    net.kernel("a@h").link(now, &p, &q);
    net.run();
    net.kernel("a@h").exit(now, &p, Term::atom("boom"));
    net.run();
    assert_eq!(net.node("b@h").take("q"), [exit(&p, "boom")]);
}

#[test]
fn a_link_that_crosses_an_unlink_is_ignored_on_both_sides() {
    let (mut net, p, q) = linked();
    let now = net.now;
    // The other side links anew before it has heard of the unlink.
    net.kernel("b@h").unlink(now, &q, &p);
    net.kernel("b@h").link(now, &q, &p);
    net.kernel("a@h").unlink(now, &p, &q);
    net.run();
    net.kernel("a@h").exit(now, &p, Term::atom("boom"));
    net.run();
    assert!(net.node("b@h").take("q").is_empty());
}

#[test]
fn an_unlink_of_no_link_and_of_another_incarnation_is_acknowledged() {
    let (mut net, p, q) = linked();
    let stale = Pid::new(Atom::from_static("b@h"), 5, 0, 77);
    for to in [q, stale] {
        let control = Control::UnlinkId {
            id: 9,
            from: p.clone(),
            to: to.clone(),
        };
        let now = net.now;
        let node = net.node("b@h");
        let message = Message {
            control,
            payload: None,
        };
        let from = Atom::from_static("a@h");
        node.kernel.handle_message(now, &from, message);
        node.drain();
        let answer = node.out.get_mut(&from).unwrap().pop_front().unwrap();
        let ack = Control::UnlinkIdAck {
            id: 9,
            from: to,
            to: p.clone(),
        };
        assert_eq!(answer.control, ack);
    }
}

#[test]
fn a_lost_connection_ends_links_with_noconnection() {
    let (mut net, p, _) = linked();
    net.cut("a@h", "b@h");
    assert_eq!(net.node("b@h").take("q"), [exit(&p, "noconnection")]);
    let ended = Action::Ended {
        handle: "p",
        reason: Term::atom("noconnection"),
    };
    assert!(net.node("a@h").others.contains(&ended));
}

#[test]
fn reasons_travel_in_the_control_message_to_peers_without_exit_payload() {
    let mut net = Net::with_flags(&["a@h", "b@h"], all_flags().without(Flags::EXIT_PAYLOAD));
    net.connect("a@h", "b@h");
    net.run();
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
    let now = net.now;
    net.kernel("b@h").set_trap_exit(&q, true);
    net.kernel("a@h").link(now, &p, &q);
    net.run();
    net.kernel("a@h").exit(now, &p, Term::atom("boom"));
    net.node("a@h").drain();
    let queue = &net.node("a@h").out[&Atom::from_static("b@h")];
    assert!(
        matches!(queue[0].control, Control::Exit { .. }),
        "{queue:?}"
    );
    net.run();
    assert_eq!(net.node("b@h").take("q"), [exit(&p, "boom")]);
}

#[test]
fn a_long_chain_of_links_falls_without_recursion() {
    let mut net = Net::pair();
    let now = net.now;
    let kernel = net.kernel("a@h");
    let pids: Vec<Pid> = (0..100_000)
        .map(|_| kernel.spawn("p", false).unwrap())
        .collect();
    for pair in pids.windows(2) {
        kernel.link(now, &pair[0], &pair[1]);
    }
    kernel.exit(now, &pids[0], Term::atom("boom"));
    net.node("a@h").drain();
    assert_eq!(net.node("a@h").others.len(), 99_999);
}

#[test]
fn an_exit_without_a_link_is_ignored() {
    let (mut net, p, q) = Net::pair_of_processes();
    let control = Control::Exit {
        from: q,
        to: p.clone(),
        reason: Box::new(Term::atom("boom")),
        token: None,
    };
    let now = net.now;
    let message = Message {
        control,
        payload: None,
    };
    let kernel = net.kernel("a@h");
    kernel.set_trap_exit(&p, true);
    kernel.handle_message(now, &Atom::from_static("b@h"), message);
    assert_eq!(net.node("a@h").take("p"), Vec::<Mail>::new());
}

/// It would reach nobody, and who waits for it would wait for ever.
#[test]
fn a_reason_that_no_link_takes_is_told_as_a_limit() {
    let mut net = Net::pair();
    let p = net.spawn("a@h", "p");
    let (q, r) = (net.spawn("b@h", "q"), net.spawn("b@h", "r"));
    let now = net.now;
    net.kernel("b@h").set_trap_exit(&q, true);
    net.kernel("b@h").link(now, &q, &p);
    let reference = net.kernel("b@h").monitor(now, &r, &p.clone().into());
    net.run();
    let long = Term::binary(vec![7; crate::kernel::MAX_PAYLOAD]);
    net.kernel("a@h").exit(now, &p, long);
    net.run();
    assert_eq!(net.node("b@h").take("q"), [exit(&p, "system_limit")]);
    let down = Mail::Down {
        reference,
        from: p.into(),
        reason: Term::atom("system_limit"),
    };
    assert_eq!(net.node("b@h").take("r"), [down]);
}
