use enmesh_identity::Creation;
use proptest::prelude::*;

use super::super::packet::tests::packet;
use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn secret() -> GossipSecret {
    GossipSecret::new("somepassword")
}

/// libcluster 3.5.0 with this secret and a vector of zeroes, on OTP 26 and later.
const SEALED: &str = "00000000000000000000000000000000506f109beae05de5db8c36f0e0274bd3\
                      d4ae12d8961a4e8a9ce5f799adc04bbb245ed3be7bf53a8340a032ddc46acd16";

#[test]
fn the_sealing_key_is_the_sha_256_of_the_secret() {
    assert_eq!(
        hex(&secret().sealing),
        "42a9798b99d4afcec9995e47a1d246b98ebc96be7a732323eee39d924006ee1d"
    );
    assert_ne!(secret().sealing, secret().signing);
}

#[test]
fn packets_are_sealed_as_libcluster_does() {
    let name = "a@127.0.0.1".parse().unwrap();
    let packet = GossipPacket::Heartbeat { name, proof: None };
    let sealed = secret().seal(&packet.encode(), [0; 16]);
    assert_eq!(hex(&sealed), SEALED);
    let plain = secret().open(&sealed).unwrap();
    assert_eq!(GossipPacket::decode(&plain), Ok(packet));
}

#[test]
fn what_is_not_sealed_with_the_secret_is_not_opened() {
    let sealed = secret().seal(&[7; 15], [9; 16]);
    for length in 0..sealed.len() {
        assert_eq!(secret().open(&sealed[..length]), None, "{length}");
    }
    let other = GossipSecret::new("somepassword\n");
    assert_ne!(other.open(&sealed), Some(vec![7; 15]));
}

/// HMAC-SHA256 of Python's standard library over the same bytes.
#[test]
fn codes_are_over_kind_creation_milliseconds_and_name() {
    let name = || "a@127.0.0.1".parse().unwrap();
    let proof = GossipProof {
        creation: Creation::from_wire(7),
        millis: 1_700_000_000_123,
        code: [0; 32],
    };
    let heartbeat = GossipPacket::Heartbeat {
        name: name(),
        proof: Some(proof),
    };
    let goodbye = GossipPacket::Goodbye {
        name: name(),
        proof,
    };
    for (packet, code) in [
        (
            heartbeat,
            "15e857b33007db89b6b207d2037a60f6eeaa5695a3731ca5be7b16aa103e57ba",
        ),
        (
            goodbye,
            "2192bde31028e3eaf932c8c7515b6be4bda5ce8caa3c397585b5c14c4d45a7fb",
        ),
    ] {
        assert!(!secret().has_signed(&packet));
        let signed = secret().sign(packet);
        assert_eq!(hex(&signed.proof().unwrap().code), code);
        assert!(secret().has_signed(&signed));
        assert!(!GossipSecret::new("otherpassword").has_signed(&signed));
    }
}

#[test]
fn a_secret_does_not_show_itself() {
    assert_eq!(format!("{:?}", secret()), "GossipSecret(..)");
}

fn changed(packet: &GossipPacket, bit: u32) -> GossipPacket {
    let (name, mut proof) = (packet.name().clone(), *packet.proof().unwrap());
    match bit {
        0..32 => {
            proof.creation = Creation::from_wire(proof.creation.get() ^ (1 << bit));
        }
        32..96 => proof.millis ^= 1 << (bit - 32),
        _ => proof.code[(bit as usize - 96) / 8] ^= 1 << (bit % 8),
    }
    match packet {
        GossipPacket::Heartbeat { .. } => GossipPacket::Heartbeat {
            name,
            proof: Some(proof),
        },
        GossipPacket::Goodbye { .. } => GossipPacket::Goodbye { name, proof },
    }
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(
        plain in proptest::collection::vec(any::<u8>(), 0..600),
        iv in any::<[u8; 16]>(),
        key in any::<Vec<u8>>(),
    ) {
        let secret = GossipSecret::new(&key);
        prop_assert_eq!(secret.open(&secret.seal(&plain, iv)), Some(plain));
    }

    #[test]
    fn any_bytes_are_opened_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = secret().open(&bytes);
    }

    #[test]
    fn a_signed_packet_that_was_changed_is_not_signed(packet in packet(), bit in 0..352_u32) {
        if packet.proof().is_some() {
            let signed = secret().sign(packet);
            prop_assert!(secret().has_signed(&signed));
            prop_assert!(!secret().has_signed(&changed(&signed, bit)));
            // Nobody makes a goodbye of a heartbeat, or the other way round.
            let (name, proof) = (signed.name().clone(), *signed.proof().unwrap());
            let other = match signed {
                GossipPacket::Heartbeat { .. } => GossipPacket::Goodbye { name, proof },
                GossipPacket::Goodbye { .. } => {
                    GossipPacket::Heartbeat { name, proof: Some(proof) }
                }
            };
            prop_assert!(!secret().has_signed(&other));
        } else {
            prop_assert!(!secret().has_signed(&secret().sign(packet)));
        }
    }
}
