//! Payloads that are decoded before the kernel is asked.

use enmesh_proto::{AltactFlags, AltactTarget, Control, Message};
use enmesh_term::{Atom, Pid, Reference, Term};

use super::wire::*;
use crate::{Mail, Prepared};

const B: Atom = Atom::from_static("b@h");

type MakeControl<'a> = &'a dyn Fn(&Pid) -> Control;

fn to_name(from: &Pid, name: &'static str) -> Control {
    Control::RegSend {
        from: from.clone(),
        to: Atom::from_static(name),
        token: None,
    }
}

fn to_alias(from: &Pid, alias: &Reference) -> Control {
    Control::AliasSend {
        from: from.clone(),
        alias: alias.clone(),
        token: None,
    }
}

fn urgent(flags: AltactFlags, from: &Pid, to: AltactTarget) -> Control {
    Control::Altact {
        flags,
        from: from.clone(),
        to,
        token: None,
    }
}

#[test]
fn the_kernel_says_which_payloads_it_reads_itself() {
    let (mut net, p, theirs) = Net::pair_of_processes();
    let now = net.now;
    let kernel = net.kernel("a@h");
    kernel.register(&p, Atom::from_static("box")).unwrap();
    let alias = kernel.alias(&p);
    let call = kernel.call(now, &p, &named("q", "b@h"), &Term::Int(1), "slot");
    let rex = kernel.whereis(&Atom::from_static("rex")).unwrap();
    let send = |to: &Pid| Control::Send {
        to: to.clone(),
        token: None,
    };
    let exit = Control::PayloadExit2 {
        from: theirs.clone(),
        to: p.clone(),
        token: None,
    };
    let plain = AltactFlags::default();
    let name = |name| AltactTarget::Name(Atom::from_static(name));
    let read = [
        send(&rex),
        to_name(&theirs, "rex"),
        to_name(&theirs, "global_name_server"),
        to_name(&theirs, "pg"),
        to_alias(&theirs, &call),
        exit,
        urgent(plain, &theirs, AltactTarget::Alias(call.clone())),
        urgent(plain, &theirs, name("net_kernel")),
        urgent(AltactFlags::EXIT, &theirs, AltactTarget::Pid(p.clone())),
    ];
    for control in read {
        assert!(kernel.reads(&control), "{control:?}");
    }
    let passed_on = [
        send(&p),
        to_name(&theirs, "box"),
        to_name(&theirs, "nobody"),
        to_alias(&theirs, &alias),
        urgent(plain, &theirs, AltactTarget::Pid(p.clone())),
        Control::Link {
            from: theirs.clone(),
            to: p,
        },
    ];
    for control in passed_on {
        assert!(!kernel.reads(&control), "{control:?}");
    }
}

/// What `control` and `payload` from `b@h` bring about on `a@h`, handled ahead or not.
fn outcome(ahead: bool, control: impl Fn(&Pid) -> Control, payload: &Term) -> String {
    let (mut net, p, theirs) = Net::pair_of_processes();
    let (f, now) = (Atom::from_static("f"), net.now);
    net.kernel("a@h").define(Atom::from_static("m"), f);
    net.kernel("a@h").set_trap_exit(&p, true);
    let message = Message {
        control: control(&theirs),
        payload: Some(bare(payload)),
    };
    let node = net.node("a@h");
    match ahead {
        true => {
            let mut message = Prepared::new(message);
            node.kernel.handle_prepared(now, &B, &mut message);
        }
        false => node.kernel.handle_message(now, &B, message),
    }
    node.drain();
    let counters = node.kernel.counters();
    format!(
        "{:?} {:?} {:?} {counters:?}",
        node.mail, node.out, node.others
    )
}

#[test]
fn what_was_decoded_ahead_is_handled_as_what_was_not() {
    let pid = Pid::new(B, 99, 0, 11);
    let call = |word, args| {
        let parts = [word, "m", "f"].map(Term::atom).into_iter();
        let parts = parts.chain([args, Term::atom("user")]);
        Term::tuple([pid.clone().into(), Term::Tuple(parts.collect())])
    };
    let p = |net: &mut Net| net.spawn("a@h", "p");
    let own = p(&mut Net::pair());
    let exit = |from: &Pid| Control::PayloadExit2 {
        from: from.clone(),
        to: own.clone(),
        token: None,
    };
    let mailbox = |_: &Pid| Control::Send {
        to: own.clone(),
        token: None,
    };
    let rex = |from: &Pid| to_name(from, "rex");
    let args = Term::List(vec![Term::Int(1), Term::atom("x")]);
    let known = call("call", args.clone());
    let checks: [(MakeControl<'_>, Term); 6] = [
        (&rex, known),
        (&rex, call("call", Term::Int(3))),
        (&rex, Term::atom("noise")),
        (&|from: &Pid| to_name(from, "net_kernel"), args.clone()),
        (&exit, Term::atom("boom")),
        (&mailbox, args),
    ];
    for (control, payload) in checks {
        let plain = outcome(false, control, &payload);
        assert_eq!(outcome(true, control, &payload), plain);
    }
    let started = outcome(true, rex, &call("call", Term::List(vec![Term::Int(5)])));
    assert!(started.contains("Start"), "{started}");
}

#[test]
fn a_payload_that_is_no_term_is_counted_once_when_it_was_read_ahead() {
    let mut net = Net::pair();
    let (theirs, now) = (net.spawn("b@h", "q"), net.now);
    let message = Message {
        control: to_name(&theirs, "rex"),
        payload: Some(bytes::Bytes::from_static(&[104, 9])),
    };
    let kernel = net.kernel("a@h");
    kernel.handle_prepared(now, &B, &mut Prepared::new(message));
    assert_eq!(kernel.counters().undecodable, 1);
}

#[test]
fn of_long_arguments_of_an_unknown_function_the_stack_holds_the_number() {
    let mut net = Net::pair();
    let (theirs, now) = (net.spawn("b@h", "q"), net.now);
    let args = Term::List(vec![Term::Int(7); 10_000]);
    let call = ["call", "no", "such"].map(Term::atom).into_iter();
    let call = Term::Tuple(call.chain([args, Term::atom("user")]).collect());
    let rex = named("rex", "a@h");
    let message = bare(&Term::tuple([theirs.clone().into(), call]));
    net.kernel("b@h").send(now, &theirs, &rex, message);
    net.run();
    let mail = net.node("b@h").take("q");
    let [Mail::Message(reply)] = mail.as_slice() else {
        panic!("{mail:?}");
    };
    assert!(reply.len() < 200, "{} bytes", reply.len());
    let text = term(reply).to_string();
    assert!(
        text.contains("undef") && text.contains("{no,such,10000,[]}"),
        "{text}"
    );
}
