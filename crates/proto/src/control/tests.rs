use bytes::BytesMut;
use enmesh_term::{DecodeError, Encoder, decode};
use proptest::prelude::*;

use super::decode::MAX_CONTROL;
use super::*;
use crate::hex::bytes;

/// A process of the BEAM that the messages were captured from.
const B: &str = "58 77 0b 'b@127.0.0.1' 00000055 00000000 6b0182a9";
/// Our own process of that time.
const R: &str = "58 77 0b 'r@127.0.0.1' 00000001 00000000 00000007";
/// A reference of the BEAM.
const REF: &str = "5a 0003 77 0b 'b@127.0.0.1' 6b0182a9 00015687 2c3c0001 57061255";

fn b() -> Pid {
    Pid::new(Atom::from_static("b@127.0.0.1"), 0x55, 0, 0x6b01_82a9)
}

fn r() -> Pid {
    Pid::new(Atom::from_static("r@127.0.0.1"), 1, 0, 7)
}

fn reference() -> Reference {
    let node = Atom::from_static("b@127.0.0.1");
    Reference::new(node, 0x6b01_82a9, &[0x1_5687, 0x2c3c_0001, 0x5706_1255]).unwrap()
}

fn encode(control: &Control) -> Vec<u8> {
    let mut output = BytesMut::new();
    control.encode_into(&mut output);
    output.to_vec()
}

/// Holds `control` against its bytes, with 131 in front of `parts`, in both directions.
fn check(control: Control, parts: &[&str]) {
    let expected = bytes(&format!("83 {}", parts.concat()));
    assert_eq!(encode(&control), expected, "{control:?}");
    let mut behind = expected.clone();
    behind.extend(b"\x83j");
    assert_eq!(
        Control::decode_prefix(&behind),
        Ok((control, expected.len()))
    );
}

#[test]
fn link_and_its_end_are_as_otp_25_sends_them() {
    check(Control::Link { from: b(), to: r() }, &["68 03 61 01", B, R]);
    check(
        Control::UnlinkId {
            id: 1,
            from: b(),
            to: r(),
        },
        &["68 04 61 23 61 01", B, R],
    );
    check(
        Control::UnlinkIdAck {
            id: 1,
            from: r(),
            to: b(),
        },
        &["68 04 61 24 61 01", R, B],
    );
    check(
        Control::PayloadExit {
            from: b(),
            to: r(),
            token: None,
        },
        &["68 03 61 18", B, R],
    );
    check(
        Control::PayloadExit2 {
            from: b(),
            to: r(),
            token: None,
        },
        &["68 03 61 1a", B, R],
    );
}

#[test]
fn an_unlink_id_may_need_all_64_bits() {
    let it = Control::UnlinkId {
        id: u64::MAX,
        from: b(),
        to: r(),
    };
    check(it, &["68 04 61 23 6e 08 00 ffffffffffffffff", B, R]);
}

#[test]
fn monitors_are_as_otp_25_sends_them() {
    let name = ProcId::Name(Atom::from_static("foo"));
    let (from, reference) = (b(), reference());
    check(
        Control::Monitor {
            from: from.clone(),
            to: ProcId::Pid(r()),
            reference: reference.clone(),
        },
        &["68 04 61 13", B, R, REF],
    );
    check(
        Control::Demonitor {
            from: from.clone(),
            to: ProcId::Pid(r()),
            reference: reference.clone(),
        },
        &["68 04 61 14", B, R, REF],
    );
    check(
        Control::Monitor {
            from,
            to: name.clone(),
            reference: reference.clone(),
        },
        &["68 04 61 13", B, "77 03 'foo'", REF],
    );
    check(
        Control::PayloadMonitorExit {
            from: name,
            to: b(),
            reference,
        },
        &["68 04 61 1c 77 03 'foo'", B, REF],
    );
}

#[test]
fn sends_are_as_otp_25_sends_them() {
    check(
        Control::Send {
            to: r(),
            token: None,
        },
        &["68 03 61 02 77 00", R],
    );
    let to = Atom::from_static("bar");
    check(
        Control::RegSend {
            from: b(),
            to,
            token: None,
        },
        &["68 04 61 06", B, "77 00 77 03 'bar'"],
    );
    check(
        Control::AliasSend {
            from: r(),
            alias: reference(),
            token: None,
        },
        &["68 03 61 21", R, REF],
    );
}

#[test]
fn a_trace_token_makes_another_operation() {
    let token = Some(Box::new(Term::nil()));
    check(
        Control::Send {
            to: r(),
            token: token.clone(),
        },
        &["68 04 61 0c 77 00", R, "6a"],
    );
    let reason = Box::new(Term::atom("x"));
    check(
        Control::Exit {
            from: b(),
            to: r(),
            reason,
            token,
        },
        &["68 05 61 0d", B, R, "6a 77 01 'x'"],
    );
}

#[test]
fn a_request_to_spawn_is_as_otp_25_sends_it() {
    let group_leader = Pid::new(Atom::from_static("b@127.0.0.1"), 0x47, 0, 0x6b01_82a9);
    let it = Control::SpawnRequest(Box::new(SpawnRequest {
        id: reference(),
        from: b(),
        group_leader,
        module: Atom::from_static("lists"),
        function: Atom::from_static("seq"),
        arity: 2,
        options: Term::list([Term::atom("monitor")]),
        token: None,
    }));
    check(
        it,
        &[
            "68 06 61 1d",
            REF,
            B,
            "58 77 0b 'b@127.0.0.1' 00000047 00000000 6b0182a9",
            "68 03 77 05 'lists' 77 03 'seq' 61 02",
            "6c 00000001 77 07 'monitor' 6a",
        ],
    );
}

#[test]
fn an_altact_signal_tells_by_its_flags_whom_it_is_for() {
    let exit = AltactFlags::EXIT.with(AltactFlags::PRIORITY);
    let it = Control::Altact {
        flags: exit,
        from: b(),
        to: AltactTarget::Pid(r()),
        token: None,
    };
    check(it, &["68 04 61 25 61 11", B, R]);
    let to = AltactTarget::Alias(reference());
    let it = Control::Altact {
        flags: AltactFlags::ALIAS,
        from: b(),
        to,
        token: None,
    };
    check(it, &["68 04 61 25 61 04", B, REF]);
}

#[test]
fn an_altact_signal_is_encoded_with_the_flags_of_its_target() {
    let to = AltactTarget::Name(Atom::from_static("rex"));
    let flags = AltactFlags::PRIORITY.with(AltactFlags::ALIAS);
    let it = Control::Altact {
        flags,
        from: b(),
        to,
        token: Some(Box::new(Term::nil())),
    };
    assert_eq!(
        encode(&it),
        bytes(&["83 68 05 61 25 61 0b", B, "77 03 'rex' 6a"].concat())
    );
}

#[test]
fn a_control_message_is_small_enough_to_be_moved() {
    assert!(size_of::<Control>() <= 104, "{}", size_of::<Control>());
}

/// Decoding must fail like this.
fn refuse(parts: &[&str], error: ControlError) {
    let input = bytes(&parts.concat());
    assert_eq!(Control::decode_prefix(&input), Err(error), "{parts:?}");
}

#[test]
fn what_is_no_operation_is_refused() {
    refuse(&[], ControlError::Term(DecodeError::Truncated));
    refuse(
        &["70"],
        ControlError::Term(DecodeError::BadVersion { found: 0x70 }),
    );
    refuse(&["83 61 01"], ControlError::NotOperation);
    refuse(&["83 68 00"], ControlError::NotOperation);
    refuse(&["83 68 01 77 01 'a'"], ControlError::NotOperation);
    for op in [-1, 0, 9, 10, 11, 14, 15, 17, 38, i64::MAX] {
        let mut input = Vec::new();
        Encoder::new(&mut input).tuple(1).int(op);
        assert_eq!(
            Control::decode_prefix(&input),
            Err(ControlError::UnknownOp { op })
        );
    }
}

#[test]
fn a_wrong_number_of_elements_is_refused() {
    refuse(
        &["83 68 02 61 01", B],
        ControlError::Arity { op: 1, arity: 2 },
    );
    refuse(
        &["83 68 04 61 01", B, R, "6a"],
        ControlError::Arity { op: 1, arity: 4 },
    );
    refuse(
        &["83 68 03 61 0c 77 00", R],
        ControlError::Arity { op: 12, arity: 3 },
    );
    refuse(
        &["83 68 01 61 25"],
        ControlError::Arity { op: 37, arity: 1 },
    );
}

#[test]
fn an_element_of_another_type_is_refused() {
    refuse(
        &["83 68 03 61 01", B, "61 00"],
        ControlError::Field { op: 1, index: 2 },
    );
    refuse(
        &["83 68 04 61 06", R, "77 00", R],
        ControlError::Field { op: 6, index: 3 },
    );
    refuse(
        &["83 68 04 61 23 62 ffffffff", B, R],
        ControlError::Field { op: 35, index: 1 },
    );
    let spawn = [
        "83 68 06 61 1d",
        REF,
        B,
        B,
        "68 03 77 00 77 00 62 00000100 6a",
    ];
    refuse(&spawn, ControlError::Field { op: 29, index: 4 });
}

#[test]
fn a_deep_or_endless_control_message_is_refused() {
    let deep = format!("83 68 05 61 08 {B} {R} {} 6a", "68 01 ".repeat(65));
    refuse(
        &[&deep],
        ControlError::Term(DecodeError::TooDeep { limit: 64 }),
    );
    let mut long = bytes("83 68 01 6d 7fffffff");
    long.resize(2 * MAX_CONTROL, 0);
    assert_eq!(
        Control::decode_prefix(&long),
        Err(ControlError::Term(DecodeError::Truncated))
    );
}

fn atoms() -> impl Strategy<Value = Atom> {
    "[a-zé@.]{0,12}".prop_map(|name| Atom::new(&name).unwrap())
}

fn pids() -> impl Strategy<Value = Pid> {
    (atoms(), any::<[u32; 3]>())
        .prop_map(|(node, [id, serial, creation])| Pid::new(node, id, serial, creation))
}

fn references() -> impl Strategy<Value = Reference> {
    (
        atoms(),
        any::<u32>(),
        prop::collection::vec(any::<u32>(), 1..=5),
    )
        .prop_map(|(node, creation, ids)| Reference::new(node, creation, &ids).unwrap())
}

fn procs() -> impl Strategy<Value = ProcId> {
    prop_oneof![pids().prop_map(ProcId::Pid), atoms().prop_map(ProcId::Name)]
}

fn terms() -> impl Strategy<Value = Term> {
    prop_oneof![
        atoms().prop_map(Term::Atom),
        any::<i64>().prop_map(Term::Int),
        pids().prop_map(Term::from),
        (atoms(), any::<i64>()).prop_map(|(atom, int)| {
            Term::tuple([Term::Atom(atom), Term::list([Term::Int(int), Term::nil()])])
        }),
    ]
}

fn reasons() -> impl Strategy<Value = Box<Term>> {
    terms().prop_map(Box::new)
}

fn tokens() -> impl Strategy<Value = Option<Box<Term>>> {
    prop::option::of(terms().prop_map(Box::new))
}

fn ordinary() -> impl Strategy<Value = Control> {
    prop_oneof![
        Just(Control::NodeLink),
        (pids(), pids()).prop_map(|(from, to)| Control::Link { from, to }),
        (pids(), pids()).prop_map(|(from, to)| Control::Unlink { from, to }),
        (pids(), pids()).prop_map(|(from, to)| Control::GroupLeader { from, to }),
        (pids(), tokens()).prop_map(|(to, token)| Control::Send { to, token }),
        (pids(), atoms(), tokens()).prop_map(|(from, to, token)| Control::RegSend {
            from,
            to,
            token
        }),
        (pids(), pids(), tokens()).prop_map(|(from, to, token)| Control::SendSender {
            from,
            to,
            token
        }),
        (pids(), references(), tokens()).prop_map(|(from, alias, token)| Control::AliasSend {
            from,
            alias,
            token
        }),
        (any::<u64>(), pids(), pids()).prop_map(|(id, from, to)| Control::UnlinkId {
            id,
            from,
            to
        }),
        (any::<u64>(), pids(), pids()).prop_map(|(id, from, to)| Control::UnlinkIdAck {
            id,
            from,
            to
        }),
    ]
}

fn exits() -> impl Strategy<Value = Control> {
    prop_oneof![
        (pids(), pids(), reasons(), tokens()).prop_map(|(from, to, reason, token)| Control::Exit {
            from,
            to,
            reason,
            token
        }),
        (pids(), pids(), reasons(), tokens()).prop_map(|(from, to, reason, token)| {
            Control::Exit2 {
                from,
                to,
                reason,
                token,
            }
        }),
        (pids(), pids(), tokens()).prop_map(|(from, to, token)| Control::PayloadExit {
            from,
            to,
            token
        }),
        (pids(), pids(), tokens()).prop_map(|(from, to, token)| Control::PayloadExit2 {
            from,
            to,
            token
        }),
        (procs(), pids(), references(), reasons()).prop_map(|(from, to, reference, reason)| {
            Control::MonitorExit {
                from,
                to,
                reference,
                reason,
            }
        }),
        (procs(), pids(), references()).prop_map(|(from, to, reference)| {
            Control::PayloadMonitorExit {
                from,
                to,
                reference,
            }
        }),
        (pids(), procs(), references()).prop_map(|(from, to, reference)| Control::Monitor {
            from,
            to,
            reference
        }),
        (pids(), procs(), references()).prop_map(|(from, to, reference)| Control::Demonitor {
            from,
            to,
            reference
        }),
    ]
}

fn spawns() -> impl Strategy<Value = Control> {
    let function = (atoms(), atoms(), any::<u8>());
    let request = (references(), pids(), pids(), function, terms(), tokens()).prop_map(
        |(id, from, group_leader, (module, function, arity), options, token)| {
            Control::SpawnRequest(Box::new(SpawnRequest {
                id,
                from,
                group_leader,
                module,
                function,
                arity,
                options,
                token,
            }))
        },
    );
    let result = prop_oneof![
        pids().prop_map(SpawnResult::Started),
        atoms().prop_map(SpawnResult::Refused)
    ];
    let result = result.prop_map(Box::new);
    let reply = (references(), pids(), any::<u32>(), result, tokens()).prop_map(
        |(id, to, flags, result, token)| Control::SpawnReply {
            id,
            to,
            flags,
            result,
            token,
        },
    );
    let target = prop_oneof![
        pids().prop_map(AltactTarget::Pid),
        references().prop_map(AltactTarget::Alias),
        atoms().prop_map(AltactTarget::Name),
    ];
    let altact = (any::<u32>(), pids(), target, tokens()).prop_map(|(flags, from, to, token)| {
        let flags = AltactFlags::of(AltactFlags::from_bits(flags), &to, token.is_some());
        Control::Altact {
            flags,
            from,
            to,
            token,
        }
    });
    prop_oneof![request, reply, altact]
}

fn controls() -> impl Strategy<Value = Control> {
    prop_oneof![ordinary(), exits(), spawns()]
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(control in controls()) {
        let encoded = encode(&control);
        prop_assert!(decode(&encoded, &enmesh_term::Limits::default()).is_ok());
        prop_assert_eq!(Control::decode_prefix(&encoded), Ok((control, encoded.len())));
    }

    #[test]
    fn a_part_of_a_message_is_an_error(control in controls(), cut in any::<prop::sample::Index>()) {
        let encoded = encode(&control);
        prop_assert!(Control::decode_prefix(&encoded[..cut.index(encoded.len())]).is_err());
    }

    #[test]
    fn damaged_messages_give_a_value_or_an_error(
        control in controls(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut encoded = encode(&control);
        let at = at.index(encoded.len());
        encoded[at] = byte;
        if let Ok((control, _)) = Control::decode_prefix(&encoded) {
            let _ = encode(&control);
        }
    }

    #[test]
    fn any_bytes_give_a_value_or_an_error(
        op in 0u8..40,
        arity in 0u8..9,
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = Control::decode_prefix(&rest);
        let _ = Control::decode_prefix(&[&[131, 104, arity, 97, op], &rest[..]].concat());
    }
}

/// What a sender may count on: no control message is longer than its names and 100 bytes.
#[test]
fn a_control_message_is_hardly_longer_than_the_names_in_it() {
    let name = |len: usize| Atom::new(&"\u{1d11e}".repeat(len)).unwrap();
    let pid = Pid::new(name(255), u32::MAX, u32::MAX, u32::MAX);
    let reference = Reference::new(name(255), u32::MAX, &[u32::MAX; 5]).unwrap();
    let (from, to) = (pid.clone(), pid.clone());
    let long = Term::Binary(vec![0; 3000].into());
    let all = [
        Control::Send {
            to: to.clone(),
            token: None,
        },
        Control::RegSend {
            from: from.clone(),
            to: name(255),
            token: Some(Box::new(long.clone())),
        },
        Control::Exit {
            from: from.clone(),
            to: to.clone(),
            reason: Box::new(long),
            token: None,
        },
        Control::Monitor {
            from: from.clone(),
            to: ProcId::Name(name(255)),
            reference: reference.clone(),
        },
        Control::PayloadMonitorExit {
            from: ProcId::Name(name(1)),
            to: to.clone(),
            reference: reference.clone(),
        },
        Control::SpawnReply {
            id: reference.clone(),
            to: to.clone(),
            flags: u32::MAX,
            result: Box::new(SpawnResult::Started(to)),
            token: None,
        },
        Control::Altact {
            flags: AltactFlags::PRIORITY,
            from: from.clone(),
            to: AltactTarget::Alias(reference.clone()),
            token: None,
        },
        Control::SpawnRequest(Box::new(SpawnRequest {
            id: reference,
            from: from.clone(),
            group_leader: from,
            module: name(255),
            function: name(254),
            arity: 255,
            options: Term::List(vec![Term::atom("link"), Term::atom("monitor")]),
            token: None,
        })),
    ];
    for control in all {
        let mut bytes = bytes::BytesMut::new();
        control.encode_bare_into(&mut bytes);
        let (names, len) = (control.names(), bytes.len());
        assert!(len <= names + 100, "{len} of {names}: {control:?}");
        assert!(names <= len + 100, "{len} of {names}: {control:?}");
    }
}
