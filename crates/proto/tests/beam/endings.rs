//! How a handshake with a real BEAM ends that is not finished: by another cookie, or because the BEAM is killed meanwhile.

use std::ffi::OsString;
use std::process::Command;

use enmesh_proto::{LinkError, Phase};

use crate::driver::{Beam, Peer, config};

/// Stops the BEAM, so that it reads nothing more.
fn freeze(beam: &Beam) {
    let pid = beam.child.id().to_string();
    let stopped = Command::new("kill").args(["-STOP", &pid]).status();
    assert!(stopped.unwrap().success());
}

/// Writes what is held back to a BEAM that is frozen, kills it, and says how that ends the link.
fn killed_before_it_reads(mut beam: Beam, mut peer: Peer) -> LinkError {
    freeze(&beam);
    peer.holds_back = false;
    peer.write();
    beam.child.kill().unwrap();
    peer.end()
}

pub(crate) fn another_cookie_alone_ends_in_order_after_our_digest(prefix: &[OsString]) {
    let beam = Beam::start(prefix, "ok.", &[]);
    let refused = beam.dial(config("another")).end();
    assert!(
        matches!(refused, LinkError::ClosedAfterDigest { .. }),
        "{refused:?}"
    );
    let mut peer = beam.dial(config("c"));
    // Our name leaves, our digest does not.
    peer.write();
    peer.holds_back = true;
    peer.until("challenge", |it| it.link.pending_output() > 0);
    let phase = Phase::Ack;
    assert_eq!(
        killed_before_it_reads(beam, peer),
        LinkError::ClosedInSetup { phase }
    );
    let beam = Beam::start(prefix, "ok.", &[]);
    let mut peer = beam.dial(config("c"));
    peer.holds_back = true;
    let phase = Phase::Status;
    assert_eq!(
        killed_before_it_reads(beam, peer),
        LinkError::ClosedInSetup { phase }
    );
}
