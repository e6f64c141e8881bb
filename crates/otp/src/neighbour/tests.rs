use super::*;
use enmesh_identity::Creation;
use enmesh_proto::Direction;
use proptest::prelude::*;

const US: &str = "r@h";
const THEM: &str = "b@h";

fn ours(id: u32) -> Pid {
    Pid::new(Atom::from_static(US), id, 0, 9)
}

fn theirs() -> Pid {
    Pid::new(Atom::from_static(THEM), 77, 1, 5)
}

fn reference() -> Reference {
    Reference::new(Atom::from_static(THEM), 5, &[1, 2, 3]).unwrap()
}

fn neighbour(flags: Flags) -> Neighbour {
    let pids = Pids::new(&US.parse().unwrap(), Creation::from_seed(9));
    let peer = PeerInfo {
        name: THEM.parse().unwrap(),
        creation: Creation::from_wire(5),
        flags,
        visible: true,
        direction: Direction::Accepted,
    };
    Neighbour::new(Arc::new(pids), &peer)
}

/// What the neighbour says to one message, payloads decoded.
fn answers(flags: Flags, control: Control, payload: Option<Term>) -> Vec<(Control, Option<Term>)> {
    let mut neighbour = neighbour(flags);
    let payload = payload.map(|term| enmesh_term::encode_bare(&term).into());
    neighbour.handle_message(&Message { control, payload });
    std::iter::from_fn(|| neighbour.poll_reply())
        .map(|Message { control, payload }| {
            let decode =
                |bytes: Bytes| enmesh_term::decode_bare(&bytes, &Limits::default()).unwrap();
            (control, payload.map(decode))
        })
        .collect()
}

fn call(name: &'static str, tag: Term, request: Term) -> Vec<(Control, Option<Term>)> {
    let from = Term::tuple([theirs().into(), tag]);
    let message = Term::tuple([Term::atom("$gen_call"), from, request]);
    let to = Atom::from_static(name);
    answers(
        Flags::ours(false),
        Control::RegSend {
            from: theirs(),
            to,
            token: None,
        },
        Some(message),
    )
}

fn alias_tag() -> Term {
    Term::improper(vec![Term::atom("alias")], reference().into())
}

fn is_auth() -> Term {
    Term::tuple([Term::atom("is_auth"), Term::atom("b@h")])
}

/// net_adm.erl, `ping/1`.
#[test]
fn a_ping_is_answered_yes_through_the_alias() {
    let said = call("net_kernel", alias_tag(), is_auth());
    let [(Control::AliasSend { from, alias, .. }, Some(reply))] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!((from.node().as_str(), alias), (US, &reference()));
    assert_eq!(reply, &Term::tuple([alias_tag(), Term::atom("yes")]));
}

#[test]
fn a_tag_without_alias_is_answered_to_the_process() {
    let said = call("net_kernel", Term::Reference(reference()), is_auth());
    let reply = Term::tuple([Term::Reference(reference()), Term::atom("yes")]);
    assert_eq!(
        said,
        [(
            Control::Send {
                to: theirs(),
                token: None
            },
            Some(reply)
        )]
    );
}

/// gen_server.erl of OTP 27, `mc_send`.
#[test]
fn the_nested_alias_of_a_multi_call_is_found() {
    let tag = Term::improper(vec![alias_tag()], reference().into());
    let said = call("net_kernel", tag.clone(), is_auth());
    assert!(
        matches!(&said[..], [(Control::AliasSend { alias, .. }, Some(reply))]
            if *alias == reference() && *reply == Term::tuple([tag, Term::atom("yes")])),
        "{said:?}"
    );
}

#[test]
fn a_call_that_is_not_served_is_an_error_and_not_silence() {
    let said = call("net_kernel", alias_tag(), Term::atom("nonsense"));
    assert!(
        matches!(&said[..], [(Control::AliasSend { .. }, Some(Term::Tuple(reply)))]
        if reply[1] == Term::tuple([Term::atom("error"), Term::atom("not_served")]))
    );
}

/// rpc.erl, `nodes_observer`.
#[test]
fn rex_tells_its_features() {
    let request = Term::tuple([theirs().into(), Term::atom("features_request")]);
    let to = Atom::from_static("rex");
    let control = Control::RegSend {
        from: theirs(),
        to,
        token: None,
    };
    let said = answers(Flags::ours(false), control, Some(request));
    let reply = Term::tuple([
        Term::atom("features_reply"),
        Term::atom("r@h"),
        Term::List(vec![Term::atom("erpc")]),
    ]);
    assert_eq!(
        said,
        [(
            Control::Send {
                to: theirs(),
                token: None
            },
            Some(reply)
        )]
    );
}

#[test]
fn a_monitor_of_what_is_not_there_fires_at_once() {
    let name = || ProcId::Name(Atom::from_static("nobody"));
    for to in [name(), ProcId::Pid(ours(3))] {
        let monitor = || Control::Monitor {
            from: theirs(),
            to: to.clone(),
            reference: reference(),
        };
        let with_payload = answers(Flags::ours(false), monitor(), None);
        let (from, to, reference) = (to.clone(), theirs(), reference());
        assert_eq!(
            with_payload,
            [(
                Control::PayloadMonitorExit {
                    from: from.clone(),
                    to: to.clone(),
                    reference: reference.clone()
                },
                Some(Term::atom("noproc"))
            )]
        );
        let reason = Term::atom("noproc");
        let without = answers(Flags::from_bits(0), monitor(), None);
        assert_eq!(
            without,
            [(
                Control::MonitorExit {
                    from,
                    to,
                    reference,
                    reason
                },
                None
            )]
        );
    }
}

#[test]
fn a_monitor_of_a_served_name_stays_quiet() {
    for name in ["net_kernel", "rex"] {
        let to = ProcId::Name(Atom::from_static(name));
        let control = Control::Monitor {
            from: theirs(),
            to,
            reference: reference(),
        };
        assert_eq!(answers(Flags::ours(true), control, None), []);
    }
}

#[test]
fn a_link_to_the_dead_is_an_exit_from_that_very_process() {
    let control = Control::Link {
        from: theirs(),
        to: ours(3),
    };
    let said = answers(Flags::ours(false), control, None);
    let exit = Control::PayloadExit {
        from: ours(3),
        to: theirs(),
        token: None,
    };
    assert_eq!(said, [(exit, Some(Term::atom("noproc")))]);
}

#[test]
fn an_unlink_is_acknowledged_even_when_there_is_no_link() {
    let said = answers(
        Flags::ours(false),
        Control::UnlinkId {
            id: 12,
            from: theirs(),
            to: ours(3),
        },
        None,
    );
    assert_eq!(
        said,
        [(
            Control::UnlinkIdAck {
                id: 12,
                from: ours(3),
                to: theirs()
            },
            None
        )]
    );
}

/// A BEAM cuts the link on a signal in the name of a process that is not of our node.
#[test]
fn nothing_is_said_in_the_name_of_another_node() {
    for control in [
        Control::Link {
            from: theirs(),
            to: theirs(),
        },
        Control::UnlinkId {
            id: 1,
            from: theirs(),
            to: theirs(),
        },
        Control::Monitor {
            from: theirs(),
            to: ProcId::Pid(theirs()),
            reference: reference(),
        },
    ] {
        assert_eq!(answers(Flags::ours(true), control, None), []);
    }
}

fn spawn(
    options: Vec<Term>,
    (module, function): (&str, &str),
    args: Term,
) -> Vec<(Control, Option<Term>)> {
    let request = Control::SpawnRequest {
        id: reference(),
        from: theirs(),
        group_leader: theirs(),
        module: Atom::new(module).unwrap(),
        function: Atom::new(function).unwrap(),
        arity: 1,
        options: Term::List(options),
        token: None,
    };
    answers(Flags::ours(false), request, Some(args))
}

#[test]
fn a_spawn_is_refused_as_a_beam_refuses_an_unknown_function() {
    let options = vec![Term::atom("link"), Term::atom("monitor")];
    let args = Term::List(vec![Term::Int(1)]);
    let said = spawn(options, ("m", "f"), args.clone());
    let [
        (
            Control::SpawnReply {
                id,
                to,
                flags: 3,
                result,
                ..
            },
            None,
        ),
        exit,
        down,
    ] = &said[..]
    else {
        panic!("{said:?}");
    };
    let SpawnResult::Started(pid) = result else {
        panic!("{result:?}")
    };
    assert_eq!((id, to), (&reference(), &theirs()));
    let frame = Term::tuple([Term::atom("m"), Term::atom("f"), args, Term::nil()]);
    let reason = Term::tuple([Term::atom("undef"), Term::List(vec![frame])]);
    let (from, to) = (pid.clone(), theirs());
    assert_eq!(
        *exit,
        (
            Control::PayloadExit {
                from,
                to,
                token: None
            },
            Some(reason.clone())
        )
    );
    let (from, to, reference) = (ProcId::Pid(pid.clone()), theirs(), reference());
    assert_eq!(
        *down,
        (
            Control::PayloadMonitorExit {
                from,
                to,
                reference
            },
            Some(reason)
        )
    );
}

/// erpc.erl, `execute_call/4`.
#[test]
fn an_rpc_ends_with_undef_in_the_words_of_erpc() {
    let (result, args) = (Term::Reference(reference()), Term::List(vec![Term::Int(1)]));
    let call = vec![
        result.clone(),
        Term::atom("m"),
        Term::atom("f"),
        args.clone(),
    ];
    let said = spawn(
        vec![Term::atom("monitor")],
        ("erpc", "execute_call"),
        Term::List(call),
    );
    let frame = Term::tuple([Term::atom("m"), Term::atom("f"), args, Term::nil()]);
    let stack = Term::List(vec![frame]);
    let reason = Term::tuple([result, Term::atom("error"), Term::atom("undef"), stack]);
    let [
        (Control::SpawnReply { flags: 2, .. }, None),
        (_, Some(told)),
    ] = &said[..]
    else {
        panic!("{said:?}");
    };
    assert_eq!(*told, reason);
}

#[test]
fn bad_options_are_named_so() {
    let said = spawn(vec![Term::atom("nonsense")], ("m", "f"), Term::nil());
    let refused = SpawnResult::Refused(Atom::from_static("badopt"));
    assert!(
        matches!(&said[..], [(Control::SpawnReply { flags: 0, result, .. }, None)] if *result == refused)
    );
}

#[test]
fn a_payload_that_does_not_decode_is_counted_and_nothing_more() {
    let mut neighbour = neighbour(Flags::ours(false));
    let to = Atom::from_static("net_kernel");
    let control = Control::RegSend {
        from: theirs(),
        to,
        token: None,
    };
    neighbour.handle_message(&Message {
        control,
        payload: Some(Bytes::from_static(&[104])),
    });
    assert_eq!(neighbour.poll_reply(), None);
    assert_eq!(neighbour.counters().undecodable, 1);
}

proptest! {
    #[test]
    fn any_payload_is_taken(bytes in proptest::collection::vec(any::<u8>(), 0..200), rex: bool) {
        let mut neighbour = neighbour(Flags::ours(false));
        let to = Atom::from_static(if rex { "rex" } else { "net_kernel" });
        let control = Control::RegSend { from: theirs(), to, token: None };
        neighbour.handle_message(&Message { control, payload: Some(bytes.into()) });
        while neighbour.poll_reply().is_some() {}
    }
}
