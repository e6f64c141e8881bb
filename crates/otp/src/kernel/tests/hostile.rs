//! Whatever a peer says: nothing panics, nothing grows without bound, and nothing leaves that
//! would cost us a link.

use enmesh_proto::{
    AltactFlags, AltactTarget, Control, Message, ProcId, SpawnRequest, SpawnResult,
};
use enmesh_term::{Atom, Pid, Reference, Term};
use proptest::prelude::*;

use super::wire::*;
use crate::kernel::peer::MAX_TIES;
use crate::{Action, JobOutcome, Mail};

const US: Atom = Atom::from_static("a@h");
const PEER: Atom = Atom::from_static("b@h");

/// Pids of ours that live, never lived, or are of another incarnation; of the peer, now and
/// before; of somebody else.
fn pid() -> impl Strategy<Value = Pid> {
    let ours = (1..16_u32).prop_map(|id| Pid::new(US, id, 0, 10));
    let stale = (1..16_u32).prop_map(|id| Pid::new(US, id, 0, 9));
    let wild = any::<(u32, u32)>().prop_map(|(id, serial)| Pid::new(US, id, serial, 10));
    let theirs = (1..8_u32, 10..13_u32).prop_map(|(id, made)| Pid::new(PEER, id, 0, made));
    let other = (1..8_u32).prop_map(|id| Pid::new(Atom::from_static("z@h"), id, 0, 4));
    prop_oneof![6 => ours, 1 => stale, 1 => wild, 4 => theirs, 1 => other]
}

fn reference() -> impl Strategy<Value = Reference> {
    let seed = (10 * 7919) as u32;
    let ours = (1..32_u32).prop_map(move |n| Reference::new(US, 10, &[n, 0, seed]).unwrap());
    let theirs = (1..8_u32).prop_map(|n| Reference::new(PEER, 11, &[n, 1, 2]).unwrap());
    prop_oneof![ours, theirs]
}

fn name() -> impl Strategy<Value = Atom> {
    const NAMES: [&str; 9] = [
        "server",
        "nobody",
        "net_kernel",
        "rex",
        "user",
        "logger",
        "global_name_server",
        "pg",
        "echo",
    ];
    (0..NAMES.len()).prop_map(|at| Atom::from_static(NAMES[at]))
}

fn process() -> impl Strategy<Value = ProcId> {
    prop_oneof![pid().prop_map(ProcId::Pid), name().prop_map(ProcId::Name)]
}

fn term() -> impl Strategy<Value = Term> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Term::Int),
        name().prop_map(Term::Atom),
        pid().prop_map(Term::from),
        reference().prop_map(Term::from),
        (0..12_usize).prop_map(|at| {
            let words = [
                "$gen_call",
                "$gen_cast",
                "system",
                "init_connect",
                "set_lock",
                "discover",
                "join",
                "leave",
                "sync",
                "alias",
                "call",
                "spawn",
            ];
            Term::atom(words[at])
        }),
        Just(Term::nil()),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let many = proptest::collection::vec(inner, 1..5);
        prop_oneof![
            3 => many.clone().prop_map(Term::tuple),
            1 => many.clone().prop_map(Term::List),
            1 => (many, reference()).prop_map(|(head, tail)| Term::improper(head, tail.into())),
        ]
    })
}

fn payload() -> impl Strategy<Value = bytes::Bytes> {
    let any = proptest::collection::vec(any::<u8>(), 0..32);
    prop_oneof![8 => term().prop_map(|term| bare(&term)), 1 => any.prop_map(Into::into)]
}

fn link() -> impl Strategy<Value = Control> {
    (0..8_u8, pid(), pid(), 0..4_u64, term()).prop_map(|(which, from, to, id, reason)| {
        let (reason, token) = (Box::new(reason), None);
        match which {
            0 => Control::Link { from, to },
            1 => Control::UnlinkId { id, from, to },
            2 => Control::UnlinkIdAck { id, from, to },
            3 => Control::Exit {
                from,
                to,
                reason,
                token,
            },
            4 => Control::Exit2 {
                from,
                to,
                reason,
                token,
            },
            5 => Control::PayloadExit { from, to, token },
            6 => Control::PayloadExit2 { from, to, token },
            _ => Control::GroupLeader { from, to },
        }
    })
}

fn monitor() -> impl Strategy<Value = Control> {
    let parts = (0..4_u8, pid(), process(), reference(), term());
    parts.prop_map(|(which, pid, process, reference, reason)| match which {
        0 => Control::Monitor {
            from: pid,
            to: process,
            reference,
        },
        1 => Control::Demonitor {
            from: pid,
            to: process,
            reference,
        },
        2 => Control::MonitorExit {
            from: process,
            to: pid,
            reference,
            reason: Box::new(reason),
        },
        _ => Control::PayloadMonitorExit {
            from: process,
            to: pid,
            reference,
        },
    })
}

fn message() -> impl Strategy<Value = Control> {
    let parts = (0..7_u8, pid(), pid(), name(), reference(), 0..32_u32);
    parts.prop_map(|(which, from, to, name, alias, flags)| {
        let token = None;
        match which {
            0 => Control::Send { to, token },
            1 => Control::SendSender { from, to, token },
            2 | 3 => Control::RegSend {
                from,
                to: name,
                token,
            },
            4 => Control::AliasSend { from, alias, token },
            _ => Control::Altact {
                flags: AltactFlags::from_bits(flags),
                from,
                to: match which {
                    5 => AltactTarget::Pid(to),
                    _ => AltactTarget::Name(name),
                },
                token,
            },
        }
    })
}

fn spawn() -> impl Strategy<Value = Control> {
    let parts = (
        any::<bool>(),
        reference(),
        pid(),
        pid(),
        0..4_u32,
        any::<bool>(),
    );
    parts.prop_map(|(asks, id, from, other, flags, bad)| {
        let token = None;
        if !asks {
            return Control::SpawnReply {
                id,
                to: from,
                flags,
                result: Box::new(SpawnResult::Started(other)),
                token,
            };
        }
        let mut options = Vec::new();
        for (bit, option) in [(1, "link"), (2, "monitor")] {
            if flags & bit != 0 {
                options.push(Term::atom(option));
            }
        }
        if bad {
            options.push(Term::atom("nonsense"));
        }
        Control::SpawnRequest(Box::new(SpawnRequest {
            id,
            from,
            group_leader: other,
            module: Atom::from_static("m"),
            function: Atom::from_static("f"),
            arity: 0,
            options: Term::List(options),
            token,
        }))
    })
}

/// Who says that a signal is from it, where a BEAM cuts the link if that is not one of ours.
fn sender(control: &Control) -> Option<&Pid> {
    match control {
        Control::RegSend { from, .. } | Control::AliasSend { from, .. } => Some(from),
        Control::Altact { from, .. } => Some(from),
        other => other.remote(),
    }
}

fn check(message: &Message) {
    let control = &message.control;
    assert_eq!(
        control.has_payload(),
        message.payload.is_some(),
        "{control:?}"
    );
    if let Some(from) = sender(control) {
        assert_eq!(from.node(), &US, "{control:?}");
    }
    if let Control::UnlinkId { to, .. }
    | Control::UnlinkIdAck { to, .. }
    | Control::PayloadExit { to, .. }
    | Control::PayloadExit2 { to, .. } = control
    {
        assert_eq!((to.node(), to.creation()), (&PEER, 11), "{control:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_a_peer_says_harms_nothing(
        said in proptest::collection::vec(
            (prop_oneof![link(), monitor(), message(), spawn()], payload()),
            1..64,
        )
    ) {
        let mut net = Net::pair();
        let now = net.now;
        let server = net.spawn("a@h", "p");
        net.spawn("a@h", "p");
        let kernel = net.kernel("a@h");
        kernel.register(&server, Atom::from_static("server")).unwrap();
        kernel.define(Atom::from_static("m"), Atom::from_static("f"));
        kernel.alias(&server);
        let peer = Pid::new(PEER, 1, 0, 11);
        kernel.link(now, &server, &peer);
        kernel.monitor(now, &server, &peer.clone().into());
        kernel.call(now, &server, &peer.into(), &Term::nil(), "slot");
        for (control, payload) in said {
            let payload = control.has_payload().then_some(payload);
            kernel.handle_message(now, &PEER, Message { control, payload });
        }
        net.node("a@h").drain();
        let jobs = net.node("a@h").others.clone();
        for action in jobs {
            if let Action::Start { job, .. } = action {
                let outcome = JobOutcome::Returned(Term::nil());
                net.kernel("a@h").handle_job(now, job, outcome);
            }
        }
        net.node("a@h").drain();
        net.node("a@h").out.get(&PEER).into_iter().flatten().for_each(check);
        net.cut("a@h", "b@h");
        let peer = net.kernel("a@h").peers.get(&PEER);
        prop_assert!(peer.is_none_or(|peer| peer.up().is_none() && peer.watched.is_empty()));
    }
}

/// The peer's own names are the only bound on how many monitors it can think of.
#[test]
fn a_peer_holds_only_so_many_links_and_monitors() {
    let mut net = Net::pair();
    let p = net.spawn("a@h", "p");
    let now = net.now;
    let from = Pid::new(PEER, 1, 0, 11);
    let kernel = net.kernel("a@h");
    for number in 0..=MAX_TIES as u32 {
        let control = Control::Monitor {
            from: from.clone(),
            to: ProcId::Pid(p.clone()),
            reference: Reference::new(PEER, 11, &[number & 0x3ffff, number >> 18]).unwrap(),
        };
        let message = Message {
            control,
            payload: None,
        };
        kernel.handle_message(now, &PEER, message);
    }
    let link = Control::Link {
        from: from.clone(),
        to: p,
    };
    let message = Message {
        control: link,
        payload: None,
    };
    kernel.handle_message(now, &PEER, message);
    net.node("a@h").drain();
    let answers = &net.node("a@h").out[&PEER];
    let reasons: Vec<Term> = answers
        .iter()
        .map(|message| super::wire::term(message.payload.as_ref().unwrap()))
        .collect();
    assert!(reasons.len() >= 2, "one monitor and the link are too many");
    let limit = |reason: &Term| reason.is_atom("system_limit");
    assert!(reasons.iter().all(limit));
    let peer = &net.kernel("a@h").peers[&PEER];
    assert_eq!(peer.watched.len() + peer.links.len(), MAX_TIES);
    net.cut("a@h", "b@h");
    assert_eq!(net.node("a@h").take("p"), Vec::<Mail>::new());
}
