//! Calls and requests to spawn.

use enmesh_proto::{Control, Flags, Message, ProcId, SpawnRequest, SpawnResult};
use enmesh_term::{Atom, Pid, Reference, Term};

use super::wire::*;
use crate::{Action, Address, JobOutcome, Mail};

const A: Atom = Atom::from_static("a@h");
const B: Atom = Atom::from_static("b@h");

/// The `From` and the request of a `$gen_call`.
fn gen_call(mail: &[Mail]) -> (Term, Term) {
    let [Mail::Message(payload)] = mail else {
        panic!("{mail:?}");
    };
    match term(payload).as_tuple() {
        Some([word, from, request]) if word.is_atom("$gen_call") => (from.clone(), request.clone()),
        other => panic!("{other:?}"),
    }
}

fn alias_of(from: &Term) -> Reference {
    match from.as_tuple() {
        Some([_, Term::ImproperList(_, tail)]) => tail.as_reference().unwrap().clone(),
        other => panic!("{other:?}"),
    }
}

fn reply(from: &Term, reply: Term) -> bytes::Bytes {
    let tag = from.as_tuple().unwrap()[1].clone();
    bare(&Term::tuple([tag, reply]))
}

#[test]
fn a_call_is_replied_to_through_its_alias_and_leaves_nothing_behind() {
    let (mut net, p, q) = Net::pair_of_processes();
    let now = net.now;
    let request = Term::atom("hello");
    let to = q.clone().into();
    net.kernel("a@h").call(now, &p, &to, &request, "slot");
    net.run();
    let (from, got) = gen_call(&net.node("b@h").take("q"));
    assert_eq!(got, request);
    let payload = reply(&from, Term::Int(7));
    let to = Address::Alias(alias_of(&from));
    net.kernel("b@h").send(now, &q, &to, payload.clone());
    net.run();
    assert_eq!(net.node("a@h").take("slot"), [Mail::Reply(Term::Int(7))]);
    // A second reply, and the end of the server, concern nobody.
    net.kernel("b@h").send(now, &q, &to, payload);
    net.kernel("b@h").exit(now, &q, Term::atom("boom"));
    net.run();
    assert!(net.node("a@h").take("slot").is_empty());
    assert!(net.node("a@h").take("p").is_empty());
}

#[test]
fn a_call_ends_when_its_server_does() {
    let (mut net, p, q) = Net::pair_of_processes();
    let now = net.now;
    let reference = net
        .kernel("a@h")
        .call(now, &p, &q.clone().into(), &Term::nil(), "slot");
    net.run();
    net.kernel("b@h").exit(now, &q, Term::atom("boom"));
    net.run();
    let down = Mail::Down {
        reference,
        from: q.into(),
        reason: Term::atom("boom"),
    };
    assert_eq!(net.node("a@h").take("slot"), [down]);
}

#[test]
fn a_forgotten_call_gets_nothing_more() {
    let (mut net, p, q) = Net::pair_of_processes();
    let now = net.now;
    let reference = net
        .kernel("a@h")
        .call(now, &p, &q.clone().into(), &Term::nil(), "slot");
    net.run();
    net.kernel("a@h").forget(now, &reference);
    let (from, _) = gen_call(&net.node("b@h").take("q"));
    let to = Address::Alias(alias_of(&from));
    net.kernel("b@h")
        .send(now, &q, &to, reply(&from, Term::Int(7)));
    net.run();
    net.cut("a@h", "b@h");
    assert!(net.node("a@h").take("slot").is_empty());
}

#[test]
fn a_call_to_a_peer_without_aliases_is_answered_to_a_process() {
    let without = all_flags().without(Flags::ALIAS | Flags::ALTACT_SIG);
    let mut net = Net::with_flags(&["a@h", "b@h"], without);
    net.connect("a@h", "b@h");
    net.run();
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
    let now = net.now;
    net.kernel("a@h")
        .call(now, &p, &q.clone().into(), &Term::nil(), "slot");
    net.run();
    let (from, _) = gen_call(&net.node("b@h").take("q"));
    let [Term::Pid(caller), Term::Reference(_)] = from.as_tuple().unwrap() else {
        panic!("{from:?}");
    };
    let to = Address::Pid((**caller).clone());
    net.kernel("b@h")
        .send(now, &q, &to, reply(&from, Term::Int(7)));
    net.run();
    assert_eq!(net.node("a@h").take("slot"), [Mail::Reply(Term::Int(7))]);
    assert!(net.node("a@h").take("p").is_empty());
}

#[test]
fn an_own_call_goes_the_same_way() {
    let mut net = Net::pair();
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("a@h", "q"));
    let now = net.now;
    net.kernel("a@h")
        .call(now, &p, &q.clone().into(), &Term::nil(), "slot");
    let (from, _) = gen_call(&net.node("a@h").take("q"));
    let to = Address::Alias(alias_of(&from));
    net.kernel("a@h")
        .send(now, &q, &to, reply(&from, Term::Int(7)));
    assert_eq!(net.node("a@h").take("slot"), [Mail::Reply(Term::Int(7))]);
    net.kernel("a@h")
        .call(now, &p, &named("nobody", "a@h"), &Term::nil(), "slot");
    let mail = net.node("a@h").take("slot");
    assert!(matches!(&mail[..], [Mail::Down { reason, .. }] if reason.is_atom("noproc")));
}

/// net_adm.erl, `ping/1`.
#[test]
fn a_ping_is_answered_yes() {
    let mut net = Net::pair();
    let p = net.spawn("a@h", "p");
    let now = net.now;
    let request = Term::tuple([Term::atom("is_auth"), Term::atom("a@h")]);
    let to = named("net_kernel", "b@h");
    net.kernel("a@h").call(now, &p, &to, &request, "slot");
    net.run();
    let yes = Mail::Reply(Term::atom("yes"));
    assert_eq!(net.node("a@h").take("slot"), [yes]);
}

/// `erpc:call(b@h, m, f, [1])`, from `a@h`, into the slot `slot`.
fn erpc(net: &mut Net, node: Atom) -> (enmesh_term::Pid, Reference) {
    let p = net.spawn("a@h", "p");
    let mark = Term::atom("mark");
    let args = [
        mark,
        Term::atom("m"),
        Term::atom("f"),
        Term::list([Term::Int(1)]),
    ];
    let (module, function) = (Atom::from_static("erpc"), Atom::from_static("execute_call"));
    let mfa = (module, function, Term::list(args));
    let now = net.now;
    let kernel = net.kernel("a@h");
    let reference = kernel.spawn_request(now, &p, &node, mfa, true, false, "slot");
    net.run();
    (p, reference)
}

fn started(net: &mut Net, node: &str) -> crate::JobId {
    let node = net.node(node);
    node.drain();
    let job = node.others.iter().find_map(|action| match action {
        Action::Start { job, caller, .. } if *caller == "a@h" => Some(*job),
        _ => None,
    });
    job.expect("a function was started")
}

fn define(net: &mut Net, node: &str) {
    net.kernel(node)
        .define(Atom::from_static("m"), Atom::from_static("f"));
}

#[test]
fn a_served_function_answers_erpc_from_another_node_and_from_ours() {
    for node in [A, B] {
        let mut net = Net::pair();
        let name = if node == A { "a@h" } else { "b@h" };
        define(&mut net, name);
        let (_, reference) = erpc(&mut net, node.clone());
        let [Mail::Spawned(pid)] = &net.node("a@h").take("slot")[..] else {
            panic!("not spawned");
        };
        let (now, job) = (net.now, started(&mut net, name));
        let outcome = JobOutcome::Returned(Term::Int(2));
        net.kernel(name).handle_job(now, job, outcome);
        net.run();
        let reason = Term::tuple([Term::atom("mark"), Term::atom("return"), Term::Int(2)]);
        let down = Mail::Down {
            reference,
            from: pid.clone().into(),
            reason,
        };
        assert_eq!(net.node("a@h").take("slot"), [down]);
    }
}

#[test]
fn an_unknown_function_is_spawned_and_ends_with_undef() {
    let mut net = Net::pair();
    erpc(&mut net, B);
    let mail = net.node("a@h").take("slot");
    let [Mail::Spawned(_), Mail::Down { reason, .. }] = &mail[..] else {
        panic!("{mail:?}");
    };
    let parts = reason.as_tuple().unwrap();
    assert!(
        parts[1].is_atom("error") && parts[2].is_atom("undef"),
        "{reason:?}"
    );
}

#[test]
fn a_job_is_aborted_when_its_requester_forgets_it_dies_or_is_cut_off() {
    for how in 0..3 {
        let mut net = Net::pair();
        define(&mut net, "b@h");
        let (p, reference) = erpc(&mut net, B);
        let (now, job) = (net.now, started(&mut net, "b@h"));
        match how {
            0 => net.kernel("a@h").forget(now, &reference),
            1 => net.kernel("a@h").exit(now, &p, Term::atom("boom")),
            _ => net.cut("a@h", "b@h"),
        }
        net.run();
        assert!(
            net.node("b@h").others.contains(&Action::Abort(job)),
            "{how}"
        );
        let outcome = JobOutcome::Returned(Term::Int(2));
        net.kernel("b@h").handle_job(now, job, outcome);
        net.run();
    }
}

#[test]
fn a_request_that_is_forgotten_before_its_answer_is_undone_after_it() {
    let mut net = Net::pair();
    define(&mut net, "b@h");
    let p = net.spawn("a@h", "p");
    let (now, mfa) = (
        net.now,
        (Atom::from_static("m"), Atom::from_static("f"), Term::nil()),
    );
    let kernel = net.kernel("a@h");
    let reference = kernel.spawn_request(now, &p, &B, mfa, true, false, "slot");
    kernel.forget(now, &reference);
    net.run();
    let job = started(&mut net, "b@h");
    assert!(net.node("b@h").others.contains(&Action::Abort(job)));
    assert!(net.node("a@h").take("slot").is_empty());
}

#[test]
fn options_that_never_travel_are_refused_and_every_request_is_answered() {
    let mut net = Net::pair();
    let p = net.spawn("a@h", "p");
    let option = Term::tuple([Term::atom("reply"), Term::atom("no")]);
    let id = Reference::new(A, 10, &[1, 2, 3]).unwrap();
    let control = Control::SpawnRequest(Box::new(SpawnRequest {
        id: id.clone(),
        from: p.clone(),
        group_leader: p.clone(),
        module: Atom::from_static("m"),
        function: Atom::from_static("f"),
        arity: 0,
        options: Term::list([option]),
        token: None,
    }));
    let message = enmesh_proto::Message {
        control,
        payload: Some(bare(&Term::nil())),
    };
    let now = net.now;
    net.kernel("b@h").handle_message(now, &A, message);
    net.node("b@h").drain();
    let answer = net
        .node("b@h")
        .out
        .get_mut(&A)
        .unwrap()
        .pop_front()
        .unwrap();
    let badopt = Control::SpawnReply {
        id,
        to: p,
        flags: 0,
        result: Box::new(SpawnResult::Refused(Atom::from_static("badopt"))),
        token: None,
    };
    assert_eq!(answer.control, badopt);
}

#[test]
fn a_process_elsewhere_is_no_answer_to_a_request_to_spawn() {
    let mut net = Net::pair();
    let (p, elsewhere) = (
        net.spawn("a@h", "p"),
        Pid::new(Atom::from_static("c@h"), 9, 0, 1),
    );
    let (now, mfa) = (
        net.now,
        (Atom::from_static("m"), Atom::from_static("f"), Term::nil()),
    );
    let kernel = net.kernel("a@h");
    let id = kernel.spawn_request(now, &p, &B, mfa, true, true, "slot");
    let control = Control::SpawnReply {
        id,
        to: p.clone(),
        flags: 3,
        result: Box::new(SpawnResult::Started(elsewhere)),
        token: None,
    };
    for _ in 0..2 {
        let message = Message {
            control: control.clone(),
            payload: None,
        };
        net.kernel("a@h").handle_message(now, &B, message);
    }
    let refused = Mail::Refused(Atom::from_static("foreign_process"));
    assert_eq!(net.node("a@h").take("slot"), [refused]);
    net.cut("a@h", "b@h");
    assert_eq!(net.node("a@h").take("slot"), []);
    assert_eq!(net.node("a@h").take("p"), []);
}

#[test]
fn a_spawned_process_that_is_linked_is_linked_on_both_sides() {
    let mut net = Net::pair();
    define(&mut net, "b@h");
    let p = net.spawn("a@h", "p");
    net.kernel("a@h").set_trap_exit(&p, true);
    let (now, mfa) = (
        net.now,
        (Atom::from_static("m"), Atom::from_static("f"), Term::nil()),
    );
    net.kernel("a@h")
        .spawn_request(now, &p, &B, mfa, false, true, "slot");
    net.run();
    let [Mail::Spawned(pid)] = &net.node("a@h").take("slot")[..] else {
        panic!("not spawned");
    };
    let job = started(&mut net, "b@h");
    let outcome = JobOutcome::Exited(Term::atom("boom"));
    net.kernel("b@h").handle_job(now, job, outcome);
    net.run();
    assert_eq!(net.node("a@h").take("p"), [exit(pid, "boom")]);
}

#[test]
fn a_linked_process_that_nobody_waits_for_is_told_abandoned() {
    let mut net = Net::pair();
    define(&mut net, "b@h");
    let p = net.spawn("a@h", "p");
    let (now, mfa) = (
        net.now,
        (Atom::from_static("m"), Atom::from_static("f"), Term::nil()),
    );
    let kernel = net.kernel("a@h");
    let reference = kernel.spawn_request(now, &p, &B, mfa, false, true, "slot");
    kernel.forget(now, &reference);
    net.run();
    let job = started(&mut net, "b@h");
    assert!(
        net.node("b@h").others.contains(&Action::Abort(job)),
        "{:?}",
        net.node("b@h").others
    );
}

/// global.erl, `resolve_it/4`: asked where one of two processes lives that share a name.
#[test]
fn a_clash_of_global_names_is_settled_by_the_node_that_is_asked() {
    let (mut net, p, q) = Net::pair_of_processes();
    let method = Term::tuple([Term::atom("global"), Term::atom("random_exit_name")]);
    let args = [
        method,
        Term::atom("name"),
        p.clone().into(),
        q.clone().into(),
    ];
    let args = [
        Term::atom("mark"),
        Term::atom("global"),
        Term::atom("resolve_it"),
        Term::list(args),
    ];
    let mfa = (
        Atom::from_static("erpc"),
        Atom::from_static("execute_call"),
        Term::list(args),
    );
    let now = net.now;
    let kernel = net.kernel("a@h");
    kernel.spawn_request(now, &p, &B, mfa, true, false, "slot");
    net.run();
    let mail = net.node("a@h").take("slot");
    let [Mail::Spawned(_), Mail::Down { reason, .. }] = &mail[..] else {
        panic!("{mail:?}");
    };
    let less = if p < q { p.clone() } else { q.clone() };
    let kept = Term::tuple([Term::atom("mark"), Term::atom("return"), less.into()]);
    assert_eq!(*reason, kept);
    let (loser, node) = if p < q { ("q", "b@h") } else { ("p", "a@h") };
    let ended = Action::Ended {
        handle: loser,
        reason: Term::atom("killed"),
    };
    assert!(net.node(node).others.contains(&ended));
}

#[test]
fn who_asks_without_a_mailbox_survives_every_signal() {
    let mut net = Net::pair();
    let asker = net.kernel("a@h").spawn_asker().unwrap();
    let q = net.spawn("b@h", "q");
    let now = net.now;
    net.kernel("b@h").link(now, &q, &asker);
    for reason in ["kill", "boom", "normal"] {
        let reason = Term::atom(reason);
        net.kernel("b@h")
            .exit_signal(now, &q, &asker, reason.clone());
        net.kernel("b@h")
            .send(now, &q, &asker.clone().into(), bare(&reason));
    }
    net.run();
    let to = q.clone().into();
    net.kernel("a@h")
        .call(now, &asker, &to, &Term::atom("hello"), "slot");
    net.run();
    let (from, _) = gen_call(&net.node("b@h").take("q"));
    let to = Address::Alias(alias_of(&from));
    let payload = reply(&from, Term::Int(7));
    net.kernel("b@h").send(now, &q, &to, payload);
    net.run();
    assert_eq!(net.node("a@h").take("slot"), [Mail::Reply(Term::Int(7))]);
}

/// Only `badopt` and `system_limit` are said in place of a process.
#[test]
fn arguments_that_cannot_be_read_end_the_process_and_not_the_request() {
    let mut net = Net::pair();
    let now = net.now;
    let peer = Pid::new(B, 1, 0, 11);
    let id = Reference::new(B, 11, &[1, 2, 3]).unwrap();
    let control = Control::SpawnRequest(Box::new(SpawnRequest {
        id: id.clone(),
        from: peer.clone(),
        group_leader: peer,
        module: Atom::from_static("erlang"),
        function: Atom::from_static("node"),
        arity: 0,
        options: Term::List(vec![Term::atom("monitor")]),
        token: None,
    }));
    let payload = Some(bytes::Bytes::from_static(&[108, 0, 0]));
    let message = Message { control, payload };
    net.kernel("a@h").handle_message(now, &B, message);
    net.node("a@h").drain();
    let said: Vec<Message> = net.node("a@h").out.remove(&B).unwrap().into();
    let [started, down] = &said[said.len() - 2..] else {
        panic!("{said:?}");
    };
    let Control::SpawnReply { result, .. } = &started.control else {
        panic!("{started:?}");
    };
    let SpawnResult::Started(pid) = &**result else {
        panic!("{started:?}");
    };
    let Control::PayloadMonitorExit {
        from, reference, ..
    } = &down.control
    else {
        panic!("{down:?}");
    };
    assert_eq!((from, reference), (&ProcId::Pid(pid.clone()), &id));
    assert_eq!(term(down.payload.as_ref().unwrap()), Term::atom("badarg"));
}

#[test]
fn who_has_ended_waits_for_nothing() {
    let (mut net, p, q) = Net::pair_of_processes();
    let now = net.now;
    let kernel = net.kernel("a@h");
    kernel.exit(now, &p, Term::atom("normal"));
    let to: Address = q.into();
    let reference = kernel.call(now, &p, &to, &Term::nil(), "call");
    let down = Mail::Down {
        reference,
        from: to,
        reason: Term::atom("noproc"),
    };
    let mfa = (Atom::from_static("m"), Atom::from_static("f"), Term::nil());
    kernel.spawn_request(now, &p, &B, mfa, true, false, "spawn");
    net.run();
    assert_eq!(net.node("a@h").take("call"), [down]);
    let refused = Mail::Refused(Atom::from_static("noproc"));
    assert_eq!(net.node("a@h").take("spawn"), [refused]);
    assert_eq!(net.node("b@h").take("q"), []);
}

#[test]
fn a_call_that_no_link_takes_ends_at_once_and_leaves_nothing_behind() {
    let mut net = Net::pair();
    let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
    let now = net.now;
    let request = Term::binary(vec![0; crate::kernel::MAX_PAYLOAD - 40]);
    let to = q.into();
    net.kernel("a@h").call(now, &p, &to, &request, "slot");
    net.node("a@h").drain();
    let sent = net.node("a@h").out.get(&B).map_or(0, |out| out.len());
    assert_eq!(sent, 0, "not even a monitor");
    net.run();
    let mail = net.node("a@h").take("slot");
    assert!(
        matches!(&mail[..], [Mail::Down { reason, .. }] if reason.is_atom("system_limit")),
        "{mail:?}"
    );
}

#[test]
fn an_echo_that_no_link_takes_is_answered_with_the_limit() {
    let mut echoing = config("b@h", 11);
    echoing.echo = true;
    let mut net = Net::new(&["a@h", "b@h"]);
    let now = net.now;
    net.nodes.insert("b@h", Node::new(now, echoing));
    net.connect("a@h", "b@h");
    let p = net.spawn("a@h", "p");
    // As a BEAM may send it, which keeps no room for its control message.
    let long = Term::binary(vec![0; crate::kernel::MAX_PAYLOAD]);
    let from = Term::tuple([p.into(), Term::atom("tag")]);
    let call = Term::tuple([Term::atom("$gen_call"), from, long]);
    let message = Message {
        control: Control::RegSend {
            from: net.spawn("a@h", "other"),
            to: Atom::from_static("echo"),
            token: None,
        },
        payload: Some(bare(&call)),
    };
    net.kernel("b@h").handle_message(now, &A, message);
    net.run();
    let mail = net.node("a@h").take("p");
    let [Mail::Message(reply)] = mail.as_slice() else {
        panic!("{} mails", mail.len());
    };
    assert_eq!(term(reply).to_string(), "{tag,{error,system_limit}}");
}

/// rpc.erl: the process of such a function is monitored by `rex` alone. Seen with OTP 25, 27 and
/// 29: neither the caller's death nor the end of the link ends it.
#[test]
fn what_rex_runs_goes_on_whatever_becomes_of_the_caller() {
    let mut net = Net::pair();
    let (p, now) = (net.spawn("a@h", "p"), net.now);
    let kernel = net.kernel("b@h");
    kernel.define(Atom::from_static("m"), Atom::from_static("f"));
    let run = |word: &'static str| {
        let parts = [word, "m", "f"].map(Term::atom).into_iter();
        Term::Tuple(parts.chain([Term::nil(), Term::atom("user")]).collect())
    };
    let rex = named("rex", "b@h");
    let own = net.kernel("a@h");
    for word in ["call", "block_call"] {
        own.call(now, &p, &rex, &run(word), "slot");
    }
    let cast = Term::tuple([Term::atom("$gen_cast"), run("cast")]);
    own.send(now, &p, &rex, bare(&cast));
    let old = Term::tuple([p.clone().into(), run("call")]);
    own.send(now, &p, &rex, bare(&old));
    net.run();
    let started = std::mem::take(&mut net.node("b@h").others);
    let jobs: Vec<_> = started
        .iter()
        .map(|action| match action {
            Action::Start { job, .. } => *job,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(jobs.len(), 4);
    net.kernel("a@h").exit(now, &p, Term::atom("killed"));
    net.run();
    assert!(net.node("b@h").others.is_empty(), "none is ended by that");
    net.cut("a@h", "b@h");
    assert!(net.node("b@h").others.is_empty(), "and none by this");
    for job in jobs {
        let outcome = JobOutcome::Returned(Term::Int(1));
        net.kernel("b@h").handle_job(now, job, outcome);
    }
    net.node("b@h").drain();
    assert!(
        net.node("b@h").others.is_empty(),
        "nobody is dialled for a reply"
    );
    assert!(net.node("b@h").out.is_empty());
}
