//! A real BEAM node on the other end, found through an epmd that is the test itself.
//!
//! Everything is on loopback and on ports that the system chooses. A missing `erl` is a failure.
// This is the driver that the crate itself must not have.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "beam/driver.rs"]
mod driver;
#[path = "beam/endings.rs"]
mod endings;
#[path = "beam/wire.rs"]
mod wire;

use std::time::{Duration, Instant};

use bytes::Bytes;
use enmesh_identity::{Cookie, Creation};
use enmesh_proto::{Allowed, Control, Cookies, Direction, LinkError, Message};
use enmesh_term::{Atom, Limits, Pid, Term, decode_bare, encode_bare};

use driver::{Beam, PATIENCE, config};

const DIAL_US: &str = "net_kernel:connect_node('r@127.0.0.1').";
const ECHO: &str =
    "register(echo, spawn(fun F() -> receive {P, M} -> P ! {echoed, M} end, F() end)).";

#[test]
fn a_beam_is_dialled_and_echoes() {
    let beam = Beam::start(&[], ECHO, &[]);
    let mut peer = beam.dial(config("c"));
    let info = peer.up();
    assert_eq!(info.name.as_str(), "b@127.0.0.1");
    assert_eq!(info.creation, Creation::from_seed(5), "what epmd gave it");
    assert_eq!((info.visible, info.direction), (true, Direction::Dialled));
    // A BEAM greets a visible node by two messages.
    peer.until("greeting", |it| it.messages.len() >= 2);
    let to = |it: &Message| match &it.control {
        Control::RegSend { to, .. } => to.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(to(&peer.messages[0]), "rex");
    assert_eq!(to(&peer.messages[1]), "global_name_server");

    let us = Pid::new(Atom::from_static("r@127.0.0.1"), 1, 0, 7);
    let body = Bytes::from(encode_bare(&Term::tuple([
        us.clone().into(),
        Term::Int(42),
    ])));
    let echo = Control::RegSend {
        from: us.clone(),
        to: Atom::from_static("echo"),
        token: None,
    };
    peer.messages.clear();
    // The node may be registered before its process is, so the message is sent until it is heard.
    let deadline = Instant::now() + PATIENCE;
    while peer.messages.is_empty() {
        assert!(Instant::now() < deadline, "no echo; {:?}", peer.ended);
        peer.link.send(0, &echo, Some(body.clone())).unwrap();
        peer.step();
    }
    let echoed = &peer.messages[0];
    assert_eq!(
        echoed.control,
        Control::Send {
            to: us,
            token: None
        }
    );
    let term = decode_bare(echoed.payload.as_ref().unwrap(), &Limits::default()).unwrap();
    assert_eq!(term, Term::tuple([Term::atom("echoed"), Term::Int(42)]));
}

#[test]
fn a_beam_dials_us() {
    let beam = Beam::start(&[], DIAL_US, &[]);
    let mut peer = beam.accept(config("c"));
    let info = peer.up();
    assert_eq!(
        (info.name.as_str(), info.direction),
        ("b@127.0.0.1", Direction::Accepted)
    );
    peer.until("greeting", |it| it.messages.len() >= 2);
}

#[test]
fn another_cookie_shows_on_both_sides() {
    let beam = Beam::start(&[], DIAL_US, &[]);
    let dialled = beam.dial(config("other")).end();
    assert_eq!(
        dialled,
        LinkError::ClosedAfterDigest {
            peer: "b@127.0.0.1".parse().unwrap()
        }
    );
    let accepted = beam.accept(config("other")).end();
    assert_eq!(
        accepted,
        LinkError::WrongDigest {
            peer: "b@127.0.0.1".parse().unwrap()
        }
    );
}

#[test]
fn a_second_link_is_asked_about_and_takes_over() {
    let beam = Beam::start(&[], "ok.", &[]);
    let mut first = beam.dial(config("c"));
    first.up();
    let mut second = beam.dial(config("c"));
    second.up();
    assert!(second.asked_alive);
    assert_eq!(first.end(), LinkError::Closed);
    second.until("greeting", |it| it.messages.len() >= 2);
}

#[test]
fn an_idle_beam_with_a_short_ticktime_keeps_us() {
    let beam = Beam::start(&[], "ok.", &["-kernel", "net_ticktime", "4"]);
    let mut peer = beam.dial(config("c"));
    peer.up();
    let end = Instant::now() + Duration::from_secs(11);
    peer.until("end of the wait", |_| Instant::now() >= end);
    assert_eq!(peer.ended, None);
    let counters = peer.link.counters();
    assert!(
        counters.ticks_in >= 5 && counters.ticks_out >= 3,
        "{counters:?}"
    );
}

#[test]
fn a_beam_that_is_killed_closes_the_link() {
    let mut beam = Beam::start(&[], "ok.", &[]);
    let mut peer = beam.dial(config("c"));
    peer.up();
    beam.child.kill().unwrap();
    assert_eq!(peer.end(), LinkError::Closed);
}

#[test]
fn a_beam_without_a_name_is_given_one() {
    let connect = "true = net_kernel:connect_node(r@localhost), {r@localhost, _} = {hd(nodes(hidden)), node()}, \
                   {rex, r@localhost} ! {self(), node()}.";
    let (beam, _registered) = Beam::launch(&[], connect, &["-sname", "undefined"]);
    let mut config = config("c");
    config.local.name = "r@localhost".parse().unwrap();
    config.name_seed = Some(7);
    let mut peer = beam.accept(config);
    let info = peer.up();
    assert!(!info.visible);
    peer.until("message", |it| !it.messages.is_empty());
    let payload = peer.messages[0].payload.clone().unwrap();
    let term = decode_bare(&payload, &Limits::default()).unwrap();
    let Term::Tuple(parts) = &term else {
        panic!("{term}");
    };
    // The name that it now has is the one that it was given, and so is its creation.
    assert_eq!(parts[1], Term::Atom(Atom::new(info.name.as_str()).unwrap()));
    let Term::Pid(from) = &parts[0] else {
        panic!("{term}");
    };
    assert_eq!(from.creation(), info.creation.get());
}

#[test]
fn a_beam_that_is_not_allowed_stays_outside() {
    let beam = Beam::start(&[], DIAL_US, &[]);
    let mut config = config("c");
    config.allowed = Allowed::parse(["other@"]).unwrap();
    assert_eq!(beam.accept(config.clone()).end(), LinkError::NotAllowed);
    assert_eq!(beam.dial(config.clone()).end(), LinkError::NotAllowed);
    config.allowed = Allowed::parse(["127.0.0.1"]).unwrap();
    beam.dial(config).up();
}

#[test]
fn a_beam_may_have_a_cookie_for_us_alone() {
    let special =
        "erlang:set_cookie('r@127.0.0.1', special), net_kernel:connect_node('r@127.0.0.1').";
    let beam = Beam::start(&[], special, &[]);
    let mut config = config("other");
    let cookie = |text: &str| Cookie::new(text).unwrap();
    config.cookies =
        Cookies::new(cookie("other")).with("b@127.0.0.1".parse().unwrap(), cookie("special"));
    beam.accept(config).up();
}

#[test]
fn messages_of_all_forms_come_back_from_a_beam() {
    wire::messages_of_all_forms_come_back(&[]);
}

#[test]
fn large_messages_and_small_ones_pass_each_other() {
    wire::large_messages_and_small_ones_pass_each_other(&[]);
}

#[test]
fn another_cookie_alone_ends_in_order_after_our_digest() {
    endings::another_cookie_alone_ends_in_order_after_our_digest(&[]);
}
