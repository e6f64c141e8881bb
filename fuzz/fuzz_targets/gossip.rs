//! Any bytes are a packet or an error, what was read can be written and read again, and whoever
//! does not have the secret changes nobody: `cargo +nightly fuzz run gossip`.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use enmesh_identity::Creation;
use enmesh_membership::{Gossip, GossipAuth, GossipConfig, GossipPacket, GossipSecret};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let secret = GossipSecret::new("somepassword");
    let framed = [b"heartbeat::\x83", input].concat();
    for bytes in [input, &framed] {
        if let Ok(packet) = GossipPacket::decode(bytes) {
            let written = packet.encode();
            assert_eq!(GossipPacket::decode(&written).as_ref(), Ok(&packet));
            assert!(!secret.has_signed(&packet), "a signature was guessed");
        }
        let _ = secret.open(bytes);
    }
    let mut gossip = Gossip::new(GossipConfig {
        own: "a@h".parse().expect("a name"),
        creation: Some(Creation::from_wire(7)),
        secret: Some(secret.clone()),
        auth: GossipAuth::Require,
    });
    let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for packet in [input.to_vec(), secret.seal(&framed, [0; 16])] {
        gossip.handle_packet(Instant::now(), from, &packet);
        assert_eq!(gossip.poll_update(), None);
    }
});
