//! Operation 37, which one bit of OTP 28 turns on.

use enmesh_proto::{AltactFlags, AltactTarget, Control, Flags, Message};
use enmesh_term::{Atom, Pid, Term};

use super::wire::*;
use crate::{Action, Address, Mail};

const PEER: Atom = Atom::from_static("b@h");

fn altact(net: &mut Net, flags: AltactFlags, to: AltactTarget, payload: &Term) {
    let from = Pid::new(PEER, 3, 0, 11);
    let control = Control::Altact {
        flags,
        from,
        to,
        token: None,
    };
    let message = Message {
        control,
        payload: Some(bare(payload)),
    };
    let now = net.now;
    net.kernel("a@h").handle_message(now, &PEER, message);
}

#[test]
fn messages_come_to_a_pid_a_name_and_an_alias_with_and_without_priority() {
    let mut net = Net::pair();
    let p = net.spawn("a@h", "p");
    let name = Atom::from_static("server");
    net.kernel("a@h").register(&p, name.clone()).unwrap();
    let alias = net.kernel("a@h").alias(&p);
    let hello = Term::atom("hello");
    let targets = [
        AltactTarget::Pid(p),
        AltactTarget::Name(name),
        AltactTarget::Alias(alias),
    ];
    for to in targets {
        altact(&mut net, AltactFlags::default(), to.clone(), &hello);
        altact(&mut net, AltactFlags::PRIORITY, to, &hello);
        let both = [Mail::Message(bare(&hello)), Mail::Priority(bare(&hello))];
        assert_eq!(net.node("a@h").take("p"), both);
    }
}

#[test]
fn an_exit_ends_the_process_of_a_pid_and_of_an_alias() {
    for by_alias in [false, true] {
        let mut net = Net::pair();
        let p = net.spawn("a@h", "p");
        let alias = net.kernel("a@h").alias(&p);
        let to = match by_alias {
            true => AltactTarget::Alias(alias),
            false => AltactTarget::Pid(p),
        };
        let flags = AltactFlags::EXIT.with(AltactFlags::PRIORITY);
        altact(&mut net, flags, to, &Term::atom("boom"));
        net.node("a@h").drain();
        let ended = Action::Ended {
            handle: "p",
            reason: Term::atom("boom"),
        };
        assert!(net.node("a@h").others.contains(&ended));
    }
}

#[test]
fn alias_messages_leave_in_the_form_that_the_peer_takes() {
    for flags in [
        all_flags(),
        all_flags().without(Flags::ALTACT_SIG),
        all_flags().without(Flags::ALTACT_SIG | Flags::ALIAS),
    ] {
        let mut net = Net::with_flags(&["a@h", "b@h"], flags);
        net.connect("a@h", "b@h");
        net.run();
        let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
        let alias = net.kernel("b@h").alias(&q);
        let now = net.now;
        let (to, hello) = (Address::Alias(alias), bare(&Term::atom("hello")));
        net.kernel("a@h").send(now, &p, &to, hello);
        net.node("a@h").drain();
        let queue = &net.node("a@h").out[&PEER];
        let controls: Vec<&Control> = queue.iter().map(|message| &message.control).collect();
        let right = match &controls[..] {
            [] => !flags.contains(Flags::ALIAS),
            [Control::AliasSend { .. }] => !flags.contains(Flags::ALTACT_SIG),
            [Control::Altact { .. }] => flags.contains(Flags::ALTACT_SIG),
            _ => false,
        };
        assert!(right, "{flags:?} {controls:?}");
    }
}
