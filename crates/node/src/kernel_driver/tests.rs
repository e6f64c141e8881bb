//! What one who asks the kernel may expect of it.

#![allow(clippy::disallowed_methods)] // Tests may read the clock.

use super::*;
use crate::mailbox::{Mailbox, MailboxOptions};
use enmesh_identity::Creation;
use enmesh_otp::{AutoConnect, KernelConfig};
use enmesh_proto::Control;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn driver() -> Arc<KernelDriver> {
    let config = KernelConfig {
        node: "a@127.0.0.1".parse().unwrap(),
        creation: Creation::from_seed(9),
        visible: false,
        net_ticktime: Duration::from_secs(60),
        auto_connect: AutoConnect::Never,
        echo: false,
        seed: 7,
    };
    KernelDriver::new(
        Kernel::new(Instant::now(), config),
        1 << 20,
        Crew::new().unwrap(),
    )
}

#[test]
fn the_node_goes_on_after_a_step_of_the_kernel_has_panicked() {
    let driver = driver();
    let panicking = std::panic::AssertUnwindSafe(|| driver.with(|_, _| panic!("as planned")));
    assert!(std::panic::catch_unwind(panicking).is_err());
    let mut mailbox = Mailbox::new(&driver, &MailboxOptions::default()).unwrap();
    let own = mailbox.pid().clone();
    mailbox.try_send(&own, "still here").unwrap();
    assert!(mailbox.try_recv().unwrap().is_some());
}

/// How often a function asks the kernel, and how long it waits at most, until `done`.
fn longest_wait(driver: &KernelDriver, done: &AtomicBool) -> (u32, Duration) {
    let (mut asked, mut longest) = (0, Duration::ZERO);
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        driver.with(|kernel, _| kernel.counters());
        longest = longest.max(began.elapsed());
        asked += 1;
    }
    (asked, longest)
}

#[test]
fn nobody_waits_while_a_long_request_to_a_service_is_decoded() {
    let driver = driver();
    let peer = PeerInfo {
        name: "b@127.0.0.1".parse().unwrap(),
        creation: Creation::from_seed(3),
        flags: enmesh_proto::Flags::ours(true),
        visible: true,
        direction: enmesh_proto::Direction::Accepted,
    };
    driver.nodeup(&peer, 1, Arc::default());
    let from = Pid::new(atom_of(&peer.name), 40, 0, 3);
    let args = Term::List(vec![Term::Tuple(vec![Term::Int(1); 9]); 200_000]);
    let call = ["call", "no", "such"].map(Term::atom).into_iter();
    let call = Term::Tuple(call.chain([args, Term::atom("user")]).collect());
    let request = Term::tuple([from.clone().into(), call]);
    let message = || Message {
        control: Control::RegSend {
            from: from.clone(),
            to: Atom::from_static("rex"),
            token: None,
        },
        payload: Some(enmesh_term::encode_bare(&request).into()),
    };
    let messages: Vec<Message> = (0..3).map(|_| message()).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let link = scope.spawn(|| {
            let began = Instant::now();
            assert_eq!(
                driver.deliver(&atom_of(&peer.name), messages.into_iter()),
                0
            );
            done.store(true, Ordering::Relaxed);
            began.elapsed()
        });
        let (asked, longest) = longest_wait(&driver, &done);
        let all = link.join().unwrap();
        assert!(asked > 100, "asked {asked} times in {all:?}");
        assert!(longest < all / 6, "waited {longest:?} of {all:?}");
    });
}
