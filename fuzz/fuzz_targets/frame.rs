//! Whatever an authenticated peer sends in any form of packet, in chunks or in whole packets, is
//! messages or ends the link; a control message that decodes is encoded to one that decodes to the
//! same; and what is delivered can be sent on and arrives as it was.
#![no_main]

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use enmesh_identity::{Cookie, Creation};
use enmesh_proto::{Action, Control, Flags, Link, LinkConfig, LocalNode, Message, Question, Verdict};
use libfuzzer_sys::fuzz_target;

fn config(name: &str, withheld: Flags) -> Arc<LinkConfig> {
    let local = LocalNode {
        name: name.parse().unwrap(),
        creation: Creation::from_seed(7),
        visible: true,
    };
    let mut config = LinkConfig::new(local, Cookie::new("c").unwrap());
    config.withheld = withheld;
    Arc::new(config)
}

/// Does what the link asks for and gives the messages that it delivers.
fn drain(link: &mut Link, now: Instant, inbox: &mut BytesMut) -> (Vec<Message>, bool) {
    let mut messages = Vec::new();
    let mut alive = link.handle_bytes(now, inbox).is_ok();
    while let Some(action) = link.poll_action() {
        let verdict = match action {
            Action::Ask(Question::Inbound { .. }) => Verdict::Accept,
            Action::Ask(Question::Alive) => Verdict::Continue,
            Action::Ask(Question::Authenticated(_)) => Verdict::Admit,
            Action::Deliver(message) => {
                assert_eq!(message.payload.is_some(), message.control.has_payload());
                messages.push(message);
                continue;
            }
            Action::Close(_) => return (messages, false),
        };
        link.handle_verdict(now, verdict).unwrap();
        alive = link.handle_bytes(now, inbox).is_ok();
    }
    (messages, alive)
}

/// Two links that are up.
fn up(now: Instant, withheld: Flags) -> [(Link, BytesMut); 2] {
    let mut dialler = Link::dial(now, config("a@h", withheld), "b@h".parse().unwrap(), 1);
    let mut acceptor = Link::accept(now, config("b@h", Flags::NONE), 2);
    let (mut to_dialler, mut to_acceptor) = (BytesMut::new(), BytesMut::new());
    while !(dialler.is_up() && acceptor.is_up()) {
        to_acceptor.extend_from_slice(&dialler.take_output(now).unwrap_or_default());
        drain(&mut acceptor, now, &mut to_acceptor);
        to_dialler.extend_from_slice(&acceptor.take_output(now).unwrap_or_default());
        drain(&mut dialler, now, &mut to_dialler);
    }
    [(dialler, to_dialler), (acceptor, to_acceptor)]
}

/// Sends the message over another pair of links: it arrives as it is.
fn check_carried(now: Instant, withheld: Flags, messages: &[Message]) {
    let [(mut from, _), (mut to, mut inbox)] = up(now, withheld);
    let from_here = |it: &&Message| it.control.remote().is_none_or(|pid| pid.node() == "a@h");
    // The flags of operation 37 are put right by encoding.
    let is_plain = |it: &&Message| !matches!(it.control, Control::Altact { .. });
    let sent: Vec<_> = messages.iter().filter(from_here).filter(is_plain).collect();
    for message in &sent {
        from.send(7, &message.control, message.payload.clone()).expect("it has room");
    }
    while let Some(output) = from.take_output(now) {
        inbox.extend_from_slice(&output);
    }
    let (got, alive) = drain(&mut to, now, &mut inbox);
    assert!(alive);
    assert!(got.iter().eq(sent));
}

fuzz_target!(|data: &[u8]| {
    let Some((&[form, chunk], data)) = data.split_first_chunk() else { return };
    let now = Instant::now();
    if let Ok((control, used)) = Control::decode_prefix(data) {
        assert!(used <= data.len());
        check_again(&control);
    }
    let withheld = match form % 4 {
        0 => Flags::NONE,
        1 => Flags::DIST_HDR_ATOM_CACHE,
        2 => Flags::FRAGMENTS,
        _ => Flags::OPTIONAL,
    };
    let [_, (mut link, mut inbox)] = up(now, withheld);
    let mut delivered = Vec::new();
    for bytes in data.chunks(usize::from(chunk).max(1)) {
        // Half of the inputs are whole packets, or hardly any would get beyond their lengths.
        if form & 4 != 0 {
            let head = if form & 8 != 0 { &[131, 68 + form / 16 % 3][..] } else { &[] };
            inbox.extend_from_slice(&((head.len() + bytes.len()) as u32).to_be_bytes());
            inbox.extend_from_slice(head);
        }
        inbox.extend_from_slice(bytes);
        let (messages, alive) = drain(&mut link, now, &mut inbox);
        messages.iter().for_each(|it| check_again(&it.control));
        delivered.extend(messages);
        if !alive {
            break;
        }
    }
    check_carried(now, withheld, &delivered);
});

fn check_again(control: &Control) {
    let mut output = BytesMut::new();
    control.encode_into(&mut output);
    let (again, used) = Control::decode_prefix(&output).expect("what we encode is valid");
    assert_eq!(used, output.len());
    // The flags of operation 37 are put right by encoding.
    if !matches!(control, Control::Altact { .. }) {
        assert_eq!(again, *control);
    }
}
