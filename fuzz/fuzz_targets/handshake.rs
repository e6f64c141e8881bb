//! Whatever a peer sends before it is authenticated, in chunks, waits or ends the link; it never
//! brings the link up, since the fuzzer does not know the cookie.
#![no_main]

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use enmesh_identity::{Cookie, Creation};
use enmesh_proto::{Action, Link, LinkConfig, LocalNode, Question, Verdict};
use libfuzzer_sys::fuzz_target;

fn config() -> Arc<LinkConfig> {
    let local = LocalNode {
        name: "r@h".parse().unwrap(),
        creation: Creation::from_seed(7),
        visible: true,
    };
    Arc::new(LinkConfig::new(local, Cookie::new("c").unwrap()))
}

fn run(mut link: Link, inbound: Verdict, chunk: usize, data: &[u8]) {
    let now = Instant::now();
    let mut inbox = BytesMut::new();
    for bytes in data.chunks(chunk) {
        inbox.extend_from_slice(bytes);
        let mut result = link.handle_bytes(now, &mut inbox);
        while let Some(action) = link.poll_action() {
            let verdict = match action {
                Action::Ask(Question::Inbound { .. }) => inbound,
                Action::Ask(Question::Alive) => Verdict::Continue,
                Action::Ask(Question::Authenticated(_)) => panic!("the cookie was guessed"),
                Action::Deliver(_) => panic!("a message before the link is up"),
                Action::Close(_) => return,
            };
            link.handle_verdict(now, verdict).unwrap();
            result = link.handle_bytes(now, &mut inbox);
        }
        if result.is_err() {
            return;
        }
    }
    assert!(!link.is_up());
    let _ = link.handle_eof();
}

fuzz_target!(|data: &[u8]| {
    let Some((&chunk, data)) = data.split_first() else { return };
    let (chunk, now) = (usize::from(chunk).max(1), Instant::now());
    let wanted = "b@h".parse().unwrap();
    run(Link::dial(now, config(), wanted, 1), Verdict::Accept, chunk, data);
    run(Link::accept(now, config(), 2), Verdict::Accept, chunk, data);
    run(Link::accept(now, config(), 2), Verdict::AskAlive, chunk, data);
});
