//! Latency and allocations of what every message costs: `cargo bench -p enmesh-otp --bench kernel`.

#![allow(clippy::disallowed_methods)] // A bench may read the clock.

use std::time::{Duration, Instant};

use bytes::Bytes;
use divan::Bencher;
use enmesh_identity::Creation;
use enmesh_otp::{Address, AutoConnect, Kernel, KernelConfig};
use enmesh_proto::{Control, Direction, Flags, Message, PeerInfo};
use enmesh_term::{Atom, Pid, Term, encode_bare};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

const PEER: Atom = Atom::from_static("b@h");

/// A kernel with one peer and 1,000 mailboxes, and the pids of these.
fn kernel(now: Instant) -> (Kernel<u64>, Vec<Pid>) {
    let config = KernelConfig {
        node: "a@h".parse().expect("a good name"),
        creation: Creation::from_seed(9),
        visible: true,
        net_ticktime: Duration::from_secs(60),
        auto_connect: AutoConnect::Always,
        echo: false,
        seed: 1,
    };
    let mut kernel = Kernel::new(now, config);
    let peer = PeerInfo {
        name: "b@h".parse().expect("a good name"),
        creation: Creation::from_wire(5),
        flags: Flags::ours(true),
        visible: true,
        direction: Direction::Accepted,
    };
    kernel.handle_nodeup(now, &peer, 1);
    let pids = (0..1_000).map(|handle| kernel.spawn(handle, false).expect("room"));
    let pids = pids.collect();
    while kernel.poll_action().is_some() {}
    (kernel, pids)
}

fn payload() -> Bytes {
    Bytes::from(encode_bare(&Term::tuple([
        Term::atom("hello"),
        Term::Int(7),
    ])))
}

/// A message of a peer to a mailbox, from the control message to the action.
#[divan::bench]
fn send_to_a_mailbox(bencher: Bencher<'_, '_>) {
    let now = Instant::now();
    let (mut kernel, pids) = kernel(now);
    let payload = payload();
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % pids.len();
        let control = Control::Send {
            to: pids[at].clone(),
            token: None,
        };
        let message = Message {
            control,
            payload: Some(payload.clone()),
        };
        kernel.handle_message(now, &PEER, message);
        kernel.poll_action()
    });
}

/// The same to a registered name.
#[divan::bench]
fn send_to_a_name(bencher: Bencher<'_, '_>) {
    let now = Instant::now();
    let (mut kernel, pids) = kernel(now);
    let name = Atom::from_static("server");
    kernel
        .register(&pids[7], name.clone())
        .expect("a free name");
    let payload = payload();
    bencher.bench_local(|| {
        let control = Control::RegSend {
            from: Pid::new(PEER, 1, 0, 5),
            to: name.clone(),
            token: None,
        };
        let message = Message {
            control,
            payload: Some(payload.clone()),
        };
        kernel.handle_message(now, &PEER, message);
        kernel.poll_action()
    });
}

/// A message from one mailbox to another of the same node.
#[divan::bench]
fn send_at_home(bencher: Bencher<'_, '_>) {
    let now = Instant::now();
    let (mut kernel, pids) = kernel(now);
    let (payload, to) = (payload(), Address::Pid(pids[7].clone()));
    bencher.bench_local(|| {
        kernel.send(now, &pids[3], &to, payload.clone());
        kernel.poll_action()
    });
}

/// A call of a process of a peer: monitor, message, and the end of both.
#[divan::bench]
fn call_and_forget(bencher: Bencher<'_, '_>) {
    let now = Instant::now();
    let (mut kernel, pids) = kernel(now);
    let to = Address::Pid(Pid::new(PEER, 1, 0, 5));
    let request = Term::atom("ping");
    bencher.bench_local(|| {
        let reference = kernel.call(now, &pids[3], &to, &request, 7);
        kernel.forget(now, &reference);
        while kernel.poll_action().is_some() {}
    });
}
