//! Whatever an authenticated peer sends, in chunks, is messages or ends the link; and a control
//! message that decodes is encoded to one that decodes to the same.
#![no_main]

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use enmesh_identity::{Cookie, Creation};
use enmesh_proto::{Action, Control, Link, LinkConfig, LocalNode, Question, Verdict};
use libfuzzer_sys::fuzz_target;

fn config(name: &str) -> Arc<LinkConfig> {
    let local = LocalNode {
        name: name.parse().unwrap(),
        creation: Creation::from_seed(7),
        visible: true,
    };
    Arc::new(LinkConfig::new(local, Cookie::new("c").unwrap()))
}

/// Does what the link asks for and gives the messages that it delivers.
fn drain(link: &mut Link, now: Instant, inbox: &mut BytesMut) -> (Vec<Control>, bool) {
    let mut controls = Vec::new();
    let mut alive = link.handle_bytes(now, inbox).is_ok();
    while let Some(action) = link.poll_action() {
        let verdict = match action {
            Action::Ask(Question::Inbound { .. }) => Verdict::Accept,
            Action::Ask(Question::Alive) => Verdict::Continue,
            Action::Ask(Question::Authenticated(_)) => Verdict::Admit,
            Action::Deliver(message) => {
                assert_eq!(message.payload.is_some(), message.control.has_payload());
                controls.push(message.control);
                continue;
            }
            Action::Close(_) => return (controls, false),
        };
        link.handle_verdict(now, verdict).unwrap();
        alive = link.handle_bytes(now, inbox).is_ok();
    }
    (controls, alive)
}

/// Two links that are up: the accepted one is returned.
fn up(now: Instant) -> (Link, BytesMut) {
    let mut dialler = Link::dial(now, config("a@h"), "b@h".parse().unwrap(), 1);
    let mut acceptor = Link::accept(now, config("b@h"), 2);
    let (mut to_dialler, mut to_acceptor) = (BytesMut::new(), BytesMut::new());
    while !(dialler.is_up() && acceptor.is_up()) {
        to_acceptor.extend_from_slice(&dialler.take_output(now).unwrap_or_default());
        drain(&mut acceptor, now, &mut to_acceptor);
        to_dialler.extend_from_slice(&acceptor.take_output(now).unwrap_or_default());
        drain(&mut dialler, now, &mut to_dialler);
    }
    (acceptor, to_acceptor)
}

fuzz_target!(|data: &[u8]| {
    let Some((&chunk, data)) = data.split_first() else { return };
    let now = Instant::now();
    if let Ok((control, used)) = Control::decode_prefix(data) {
        assert!(used <= data.len());
        check_again(&control);
    }
    let (mut link, mut inbox) = up(now);
    for bytes in data.chunks(usize::from(chunk).max(1)) {
        inbox.extend_from_slice(bytes);
        let (controls, alive) = drain(&mut link, now, &mut inbox);
        controls.iter().for_each(check_again);
        if !alive {
            return;
        }
    }
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
