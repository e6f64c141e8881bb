//! What goes over the wire to a BEAM in every form of packet, and comes back.

use std::collections::BTreeMap;
use std::ffi::OsString;

use bytes::Bytes;
use enmesh_proto::{Control, Flags, Message};
use enmesh_term::{Atom, Limits, Pid, Reference, Term, decode_bare, encode_bare};

use crate::driver::{Beam, Peer, config};

/// Sends back what it is sent: from itself, or each from a process of its own. It makes a fun, and
/// applies one that is sent.
const ECHO: &str = "
    register(echo, spawn(fun F() ->
        receive
            {P, spawned, M} -> spawn(fun() -> P ! {echoed, M} end);
            {P, make_fun, X} -> P ! {made, fun(Y) -> {applied, X, Y, some_atom} end};
            {P, apply, G, Y} -> P ! {result, G(Y)};
            {P, M} -> P ! {echoed, M}
        end, F() end)).";

fn us(number: u32) -> Pid {
    Pid::new(Atom::from_static("r@127.0.0.1"), number, 0, 7)
}

/// A link with a BEAM that echoes, without these flags.
fn connect(prefix: &[OsString], withheld: Flags) -> (Beam, Peer) {
    let beam = Beam::start(prefix, ECHO, &[]);
    let mut config = config("c");
    config.withheld = withheld;
    let mut peer = beam.dial(config);
    let flags = peer.up().flags;
    for flag in [Flags::DIST_HDR_ATOM_CACHE, Flags::FRAGMENTS] {
        assert_eq!(flags.contains(flag), !withheld.contains(flag));
    }
    // The node may be registered before its process is, so it is asked until it is heard.
    let probe = Term::tuple([us(0).into(), Term::Int(0)]);
    while peer.messages.iter().all(|it| receiver(it) != Some(0)) {
        send(&mut peer, 0, &probe);
        peer.step();
        assert_eq!(peer.ended, None);
    }
    (beam, peer)
}

fn send(peer: &mut Peer, number: u32, message: &Term) {
    let control = Control::RegSend {
        from: us(number),
        to: Atom::from_static("echo"),
        token: None,
    };
    let payload = Bytes::from(encode_bare(message));
    let sent = peer.link.send(u64::from(number), &control, Some(payload));
    sent.unwrap();
}

/// The number of the process that a message is for.
fn receiver(message: &Message) -> Option<u32> {
    match &message.control {
        Control::Send { to, .. } => Some(to.id()),
        _ => None,
    }
}

/// Waits for an answer to the process of that number.
fn answer(peer: &mut Peer, number: u32) -> Term {
    let is_it = |it: &Message| receiver(it) == Some(number);
    peer.until("answer", |peer| {
        peer.ended.is_some() || peer.messages.iter().any(is_it)
    });
    assert_eq!(peer.ended, None);
    let at = peer.messages.iter().position(is_it).unwrap();
    let payload = peer.messages.remove(at).payload.unwrap();
    decode_bare(&payload, &Limits::default()).unwrap()
}

fn atom(name: &str) -> Term {
    Term::Atom(Atom::new(name).unwrap())
}

fn check_echo(peer: &mut Peer, number: u32, message: Term) {
    let asked = Term::tuple([us(number).into(), message.clone()]);
    send(peer, number, &asked);
    let expected = Term::tuple([Term::atom("echoed"), message]);
    assert!(answer(peer, number) == expected, "process {number}");
}

/// Terms whose atoms are few, many, long, foreign, and hidden in all kinds of places.
fn terms() -> Vec<Term> {
    let pid = Pid::new(Atom::from_static("c@10.0.0.1"), 3, 1, 9);
    let reference = Reference::new(Atom::from_static("d@h"), 9, &[1, 2, 3]).unwrap();
    let names = (0..300).map(|n| atom(&format!("name{n}")));
    let wide = (0..40).map(|n| atom(&format!("{}{n}", "é".repeat(253))));
    let pairs = (0..5000).map(|n| Term::tuple([atom(&format!("e{}", n % 50)), n.into()]));
    let export = enmesh_term::Export::new(Atom::from_static("mod"), Atom::from_static("fun"), 3);
    vec![
        Term::atom(""),
        Term::List(names.collect()),
        Term::List(wide.collect()),
        Term::tuple([atom("日本"), atom("é"), atom(&"x".repeat(255)), atom("ß")]),
        Term::map([
            (Term::atom("key"), Term::from(pid.clone())),
            (Term::Reference(reference), Term::Export(export)),
        ]),
        Term::improper(vec![Term::atom("alias")], Term::from(pid)),
        Term::tuple([
            Term::binary("R\0w\x02ok"),
            Term::charlist("R\0"),
            1.5.into(),
        ]),
        Term::binary(vec![7; 100_000]),
        Term::List(pairs.collect()),
    ]
}

pub(crate) fn messages_of_all_forms_come_back(prefix: &[OsString]) {
    let cache = Flags::DIST_HDR_ATOM_CACHE;
    for withheld in [
        Flags::NONE,
        cache,
        Flags::FRAGMENTS,
        cache | Flags::FRAGMENTS,
    ] {
        let (_beam, mut peer) = connect(prefix, withheld);
        for _ in 0..2 {
            for (number, term) in (1..).zip(terms()) {
                check_echo(&mut peer, number, term);
            }
        }
        check_fun(&mut peer);
    }
    replace_every_slot(prefix);
}

/// A closure's bytes announce their length, which is another with every atom that is referred to.
fn check_fun(peer: &mut Peer) {
    let shared = Term::tuple([Term::atom("some_atom"), Term::atom("echo")]);
    let make = [us(1).into(), Term::atom("make_fun"), shared.clone()];
    send(peer, 1, &Term::tuple(make));
    let Term::Tuple(made) = answer(peer, 1) else {
        panic!("a tuple was sent");
    };
    assert!(matches!(made[1], Term::Fun(_)));
    let argument = Term::atom("argument");
    let apply = [
        us(1).into(),
        Term::atom("apply"),
        made[1].clone(),
        argument.clone(),
    ];
    send(peer, 1, &Term::tuple(apply));
    let result = [
        Term::atom("applied"),
        shared,
        argument,
        Term::atom("some_atom"),
    ];
    let expected = Term::tuple([Term::atom("result"), Term::tuple(result)]);
    assert_eq!(answer(peer, 1), expected);
}

/// More atoms than the cache of either direction holds, and then the first ones again.
fn replace_every_slot(prefix: &[OsString]) {
    let (_beam, mut peer) = connect(prefix, Flags::NONE);
    for round in (0..60).chain(0..10) {
        let names = (0..100).map(|n| atom(&format!("a{}", round * 100 + n)));
        check_echo(&mut peer, 1, Term::List(names.collect()));
    }
}

/// Three large messages in each direction at once, and small ones meanwhile.
pub(crate) fn large_messages_and_small_ones_pass_each_other(prefix: &[OsString]) {
    let (_beam, mut peer) = connect(prefix, Flags::NONE);
    let large = |number: u32| {
        let bytes = (0..10 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
        let bytes: Vec<u8> = bytes.map(|byte| byte.wrapping_add(number as u8)).collect();
        Term::tuple([atom(&format!("large{number}")), Term::binary(bytes)])
    };
    for number in 1..=3 {
        let spawned = Term::atom("spawned");
        let message = Term::tuple([us(number).into(), spawned, large(number)]);
        send(&mut peer, number, &message);
    }
    let mut small_before_large = 0;
    let mut got = BTreeMap::new();
    peer.messages.clear();
    for round in 100.. {
        check_echo(&mut peer, round, Term::tuple([atom("small"), round.into()]));
        for message in peer.messages.drain(..) {
            // What was asked more than once while connecting is answered more than once.
            if let Some(number @ 1..=3) = receiver(&message) {
                got.insert(number, message.payload.unwrap());
            }
        }
        if got.len() == 3 {
            break;
        }
        small_before_large += 1;
    }
    // A queue in order would let none by: the first large answer needs nearly all of the large messages.
    assert!(small_before_large >= 2, "{small_before_large}");
    for (number, payload) in got {
        let term = decode_bare(&payload, &Limits::default()).unwrap();
        let expected = Term::tuple([Term::atom("echoed"), large(number)]);
        assert!(term == expected, "large message {number}");
    }
    assert_eq!(peer.ended, None);
}
