//! Time and allocations of 100 messages through a link, each side alone:
//! `cargo bench -p enmesh-proto`.
// A driver has a clock.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use enmesh_identity::{Cookie, Creation};
use enmesh_proto::{Action, Control, Flags, Link, LinkConfig, LocalNode, Question, Verdict};
use enmesh_term::{Atom, Pid, Term, encode_bare};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

/// How many messages a sample has.
const COUNT: usize = 100;

/// The forms of packets, by what is not announced.
const FORMS: [(&str, Flags); 3] = [
    ("atom_cache", Flags::NONE),
    ("fragments_alone", Flags::DIST_HDR_ATOM_CACHE),
    ("pass_through", Flags::OPTIONAL),
];

fn withheld(form: &str) -> Flags {
    let form = FORMS.iter().find(|(name, _)| *name == form);
    form.expect("a known form").1
}

fn config(name: &str, withheld: Flags) -> Arc<LinkConfig> {
    let local = LocalNode {
        name: name.parse().expect("a name"),
        creation: Creation::from_seed(7),
        visible: true,
    };
    let mut config = LinkConfig::new(local, Cookie::new("c").expect("a cookie"));
    config.withheld = withheld;
    Arc::new(config)
}

/// Reads what is in the inbox, and counts the messages.
fn read(link: &mut Link, now: Instant, inbox: &mut BytesMut) -> usize {
    link.handle_bytes(now, inbox).expect("good packets");
    let mut count = 0;
    while let Some(action) = link.poll_action() {
        let verdict = match action {
            Action::Deliver(message) => {
                divan::black_box(message);
                count += 1;
                continue;
            }
            Action::Ask(Question::Inbound { .. }) => Verdict::Accept,
            Action::Ask(_) => Verdict::Admit,
            Action::Close(error) => panic!("{error}"),
        };
        link.handle_verdict(now, verdict).expect("asked for");
        link.handle_bytes(now, inbox).expect("good packets");
    }
    count
}

/// Two links that are up, with everything told that is told once.
fn pair(now: Instant, withheld: Flags) -> [Link; 2] {
    let peer = "enmesh-b@10.244.0.17".parse().expect("a name");
    let mut one = Link::dial(now, config("enmesh-a@10.244.0.16", withheld), peer, 1);
    let mut other = Link::accept(now, config("enmesh-b@10.244.0.17", withheld), 2);
    let (mut to_one, mut to_other) = (BytesMut::new(), BytesMut::new());
    for _ in 0..10 {
        to_other.extend_from_slice(&one.take_output(now).unwrap_or_default());
        read(&mut other, now, &mut to_other);
        to_one.extend_from_slice(&other.take_output(now).unwrap_or_default());
        read(&mut one, now, &mut to_one);
    }
    send(&mut one, &control(), &small());
    to_other.extend_from_slice(&one.take_output(now).expect("a message"));
    assert_eq!(read(&mut other, now, &mut to_other), 1);
    [one, other]
}

fn control() -> Control {
    let node = Atom::from_static("enmesh-b@10.244.0.17");
    Control::Send {
        to: Pid::new(node, 77, 0, 7),
        token: None,
    }
}

/// `{hello, 1, <<10 bytes>>}`.
fn small() -> Bytes {
    let parts = [Term::atom("hello"), Term::Int(1), Term::binary([7; 10])];
    Bytes::from(encode_bare(&Term::tuple(parts)))
}

fn send(link: &mut Link, control: &Control, payload: &Bytes) {
    let sent = link.send(1, control, Some(payload.clone()));
    sent.expect("it has room");
}

#[divan::bench(args = FORMS.map(|(name, _)| name))]
fn send_small(bencher: Bencher<'_, '_>, form: &str) {
    let now = Instant::now();
    let [mut one, _other] = pair(now, withheld(form));
    let (control, payload) = (control(), small());
    bencher.counter(ItemsCount::new(COUNT)).bench_local(|| {
        for _ in 0..COUNT {
            send(&mut one, &control, &payload);
        }
        one.take_output(now)
    });
}

#[divan::bench(args = FORMS.map(|(name, _)| name))]
fn receive_small(bencher: Bencher<'_, '_>, form: &str) {
    let now = Instant::now();
    let [mut one, mut other] = pair(now, withheld(form));
    let (control, payload) = (control(), small());
    for _ in 0..COUNT {
        send(&mut one, &control, &payload);
    }
    let output = one.take_output(now).expect("messages");
    let mut inbox = BytesMut::new();
    bencher.counter(ItemsCount::new(COUNT)).bench_local(|| {
        inbox.extend_from_slice(&output);
        assert_eq!(read(&mut other, now, &mut inbox), COUNT);
    });
}

/// 1 MiB through both sides, in fragments or whole.
#[divan::bench(args = FORMS.map(|(name, _)| name))]
fn carry_large(bencher: Bencher<'_, '_>, form: &str) {
    let now = Instant::now();
    let [mut one, mut other] = pair(now, withheld(form));
    let payload = Bytes::from(encode_bare(&Term::binary(vec![7; 1 << 20])));
    let (control, mut inbox) = (control(), BytesMut::new());
    bencher
        .counter(BytesCount::new(payload.len()))
        .bench_local(|| {
            send(&mut one, &control, &payload);
            let mut count = 0;
            while let Some(output) = one.take_output(now) {
                inbox.extend_from_slice(&output);
                count += read(&mut other, now, &mut inbox);
            }
            assert_eq!(count, 1);
        });
}
