//! What one who asks the kernel may expect of it.

#![allow(clippy::disallowed_methods)] // Tests may read the clock.

use super::*;
use crate::mailbox::{Mailbox, MailboxOptions};
use enmesh_identity::Creation;
use enmesh_otp::{AutoConnect, KernelConfig};
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
