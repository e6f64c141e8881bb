//! What one who asks the kernel may expect of it.

#![allow(clippy::disallowed_methods)] // Tests may read the clock.

use super::*;
use crate::mailbox::{Mailbox, MailboxOptions};
use enmesh_identity::Creation;
use enmesh_otp::{AutoConnect, KernelConfig};
use enmesh_proto::{AltactFlags, AltactTarget, Control, Direction, Flags};
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

/// Memory whose owner says whether the kernel could be asked when it was let go.
struct Watched(Arc<KernelDriver>, std::sync::mpsc::Sender<bool>);

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &[7; 1 << 16]
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.1.send(self.0.state.try_lock().is_ok());
    }
}

#[test]
fn memory_of_the_user_is_let_go_while_the_kernel_can_be_asked() {
    let driver = driver();
    let mailbox = Mailbox::new(&driver, &MailboxOptions::default()).unwrap();
    let own = mailbox.pid().clone();
    let (sender, receiver) = std::sync::mpsc::channel();
    let binary = bytes::Bytes::from_owner(Watched(Arc::clone(&driver), sender));
    let message = enmesh_term::Term::from(binary);
    let payload = crate::process::encode(&message);
    drop(message);
    let to = crate::Destination::from(own.clone());
    crate::send::try_send(&driver, &own, &to, payload).unwrap();
    assert!(receiver.recv().unwrap());
}

fn payload(term: &Term) -> Option<bytes::Bytes> {
    Some(enmesh_term::encode_bare(term).into())
}

/// What a peer may say to three processes: messages by pid and by name, messages that the kernel
/// must look into, exits that are trapped and one that is not.
fn said(kind: u32, number: i64, [plain, small, named]: &[Pid; 3]) -> Message {
    let from = Pid::new(Atom::from_static("b@127.0.0.1"), 1, 0, 9);
    let send = |to: &Pid| Control::Send {
        to: to.clone(),
        token: None,
    };
    let exit = |to: &Pid| Control::PayloadExit2 {
        from: from.clone(),
        to: to.clone(),
        token: None,
    };
    let control = match kind {
        0..4 => send(plain),
        4..6 => send(small),
        6..9 => send(named),
        9..12 => Control::RegSend {
            from: from.clone(),
            to: Atom::from_static("named"),
            token: None,
        },
        12 => exit(plain),
        13 if number % 8 == 0 => exit(named),
        13 => send(&from),
        _ => Control::Altact {
            flags: AltactFlags::default(),
            from: from.clone(),
            to: AltactTarget::Pid(plain.clone()),
            token: None,
        },
    };
    Message {
        control,
        payload: payload(&Term::Int(number)),
    }
}

/// What three processes get of that, and why they end; given in runs, or one by one to the kernel.
fn received(kinds: &[u32], in_runs: bool) -> String {
    let driver = driver();
    let peer = PeerInfo {
        name: "b@127.0.0.1".parse().unwrap(),
        creation: Creation::from_seed(9),
        flags: Flags::NONE,
        visible: true,
        direction: Direction::Accepted,
    };
    driver.nodeup(&peer, 1, Arc::default());
    let options = MailboxOptions::default;
    let each = [options().trap_exit(true), options().capacity(3), options()];
    let mut mailboxes = each.map(|options| Mailbox::new(&driver, &options).unwrap());
    let pids = [0, 1, 2].map(|at: usize| mailboxes[at].pid().clone());
    mailboxes[2].register(Atom::from_static("named")).unwrap();
    let numbered = kinds.iter().zip(0..);
    let mut messages = numbered.map(|(&kind, number)| said(kind, number, &pids));
    let name = atom_of(&peer.name);
    if in_runs {
        assert!(driver.deliver(&name, None, &mut messages).long.is_none());
    } else {
        messages.for_each(|it| driver.with(|kernel, now| kernel.handle_message(now, &name, it)));
    }
    let of_one = |mailbox: &mut Mailbox| {
        let mut all = Vec::new();
        loop {
            match mailbox.try_recv() {
                Ok(Some(received)) => all.push(format!("{received:?}")),
                end => break format!("{all:?} {end:?}"),
            }
        }
    };
    mailboxes.each_mut().map(of_one).join("\n")
}

#[test]
fn in_runs_processes_get_the_same_in_the_same_order_as_one_by_one() {
    let mut seed = 1_u32;
    let mut ended = 0;
    for _ in 0..300 {
        let kinds: Vec<u32> = (0..20)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) % 16
            })
            .collect();
        let one_by_one = received(&kinds, false);
        assert_eq!(received(&kinds, true), one_by_one, "{kinds:?}");
        ended += one_by_one.matches("Err(").count();
    }
    assert!(ended > 100, "processes end in the middle: {ended}");
}
