//! Whatever a peer sends before it is authenticated, in chunks, waits or ends the link; it never
//! brings the link up, since the fuzzer does not know the cookie. So it is over TLS too, and for
//! peers that want a name.
#![no_main]

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use enmesh_identity::{Cookie, Creation};
use enmesh_proto::{Action, Link, LinkConfig, LocalNode, Question, Verdict};
use libfuzzer_sys::fuzz_target;

fn config(is_wide: bool) -> Arc<LinkConfig> {
    let local = LocalNode {
        name: "r@h".parse().unwrap(),
        creation: Creation::from_seed(7),
        visible: true,
    };
    let mut config = LinkConfig::new(local, Cookie::new("c").unwrap());
    config.wide_handshake = is_wide;
    config.name_seed = Some(7);
    Arc::new(config)
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
    let (config, chunk) = (config(chunk & 128 != 0), usize::from(chunk & 127).max(1));
    let (now, wanted) = (Instant::now(), "b@h".parse().unwrap());
    run(Link::dial(now, config.clone(), wanted, 1), Verdict::Accept, chunk, data);
    run(Link::accept(now, config.clone(), 2), Verdict::Accept, chunk, data);
    run(Link::accept(now, config, 2), Verdict::AskAlive, chunk, data);
});
