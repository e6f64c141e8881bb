use proptest::prelude::*;

use super::*;

/// What libcluster 3.5.0 sends on OTP 25, and on OTP 26 and later.
const OTP_25: &str = "6865617274626561743a3a8374000000016400046e6f646564000b61403132372e302e302e31";
const OTP_26: &str = "6865617274626561743a3a83740000000177046e6f6465770b61403132372e302e302e31";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn heartbeat(name: &str) -> GossipPacket {
    GossipPacket::Heartbeat {
        name: name.parse().unwrap(),
        proof: None,
    }
}

/// A packet with this term, in hex and without the version byte.
#[track_caller]
fn check(term: &str, expected: Result<GossipPacket, GossipPacketError>) {
    let mut packet = b"heartbeat::\x83".to_vec();
    packet.extend(bytes(&term.replace(' ', "")));
    assert_eq!(GossipPacket::decode(&packet), expected);
}

#[test]
fn both_encodings_of_atoms_are_read_and_the_newer_is_written() {
    let packet = heartbeat("a@127.0.0.1");
    assert_eq!(GossipPacket::decode(&bytes(OTP_25)).as_ref(), Ok(&packet));
    assert_eq!(GossipPacket::decode(&bytes(OTP_26)).as_ref(), Ok(&packet));
    assert_eq!(packet.encode(), bytes(OTP_26));
}

#[test]
fn all_four_tags_of_atoms_are_read() {
    let a_at_b = || Ok(heartbeat("a@b"));
    check("74 00000001 64 0004 6e6f6465 64 0003 614062", a_at_b());
    check("74 00000001 73 04 6e6f6465 73 03 614062", a_at_b());
    check("74 00000001 76 0004 6e6f6465 76 0003 614062", a_at_b());
    check("74 00000001 77 04 6e6f6465 77 03 614062", a_at_b());
    // é in latin1 and in UTF-8.
    check(
        "74 00000001 77 04 6e6f6465 64 0003 e94062",
        Ok(heartbeat("é@b")),
    );
    check(
        "74 00000001 77 04 6e6f6465 77 04 c3a94062",
        Ok(heartbeat("é@b")),
    );
}

#[test]
fn the_longest_names_go_in_a_long_atom() {
    let packet = heartbeat(&format!("a@{}", "é".repeat(253)));
    let written = packet.encode();
    assert_eq!(written[23..26], [118, 1, 252]);
    assert_eq!(GossipPacket::decode(&written), Ok(packet));
}

#[test]
fn other_keys_and_bytes_after_the_term_do_not_count() {
    // #{node => 'a@b', version => 7} and two bytes.
    let term = "74 00000002 77 04 6e6f6465 77 03 614062 77 07 76657273696f6e 61 07 0000";
    check(term, Ok(heartbeat("a@b")));
}

#[test]
fn a_signed_heartbeat_names_its_node_and_a_goodbye_does_not() {
    let proof = GossipProof {
        creation: Creation::from_wire(7),
        millis: 1_700_000_000_123,
        code: [0xcc; 32],
    };
    let name: NodeName = "a@b".parse().unwrap();
    let code = "cc".repeat(32);
    let signed = format!(
        "74 00000002 77 04 6e6f6465 77 03 614062 \
         6d 00000006 656e6d657368 6d 0000002e 01 01 00000007 0000018bcfe5687b {code}"
    );
    let packet = GossipPacket::Heartbeat {
        name: name.clone(),
        proof: Some(proof),
    };
    assert_eq!(packet.encode()[12..], bytes(&signed.replace(' ', "")));
    check(&signed, Ok(packet));
    let goodbye = format!(
        "74 00000001 6d 00000006 656e6d657368 \
         6d 00000031 01 02 00000007 0000018bcfe5687b {code} 614062"
    );
    let packet = GossipPacket::Goodbye { name, proof };
    assert_eq!(packet.encode()[12..], bytes(&goodbye.replace(' ', "")));
    check(&goodbye, Ok(packet));
}

#[test]
fn what_our_key_holds_in_another_layout_does_not_count() {
    let ours = format!("01 01 00000007 0000018bcfe5687b {}", "cc".repeat(32));
    let later = ours.replacen("01", "02", 1);
    let other_kind = ours.replacen("01 01", "01 03", 1);
    let longer = format!("{ours} 00").replace("0000002e", "0000002f");
    for (length, ours) in [("2e", later), ("2e", other_kind), ("2f", longer)] {
        let key = format!("6d 00000006 656e6d657368 6d 000000{length} {ours}");
        let with_node = format!("74 00000002 77 04 6e6f6465 77 03 614062 {key}");
        check(&with_node, Ok(heartbeat("a@b")));
        check(
            &format!("74 00000001 {key}"),
            Err(GossipPacketError::NoNode),
        );
    }
    // An atom instead of the binary.
    check(
        "74 00000001 6d 00000006 656e6d657368 77 00",
        Err(GossipPacketError::NoNode),
    );
}

#[test]
fn what_names_no_node_is_refused() {
    check("74 00000000", Err(GossipPacketError::NoNode));
    check("77 04 6e6f6465", Err(GossipPacketError::NoNode));
    // #{node => <<"a@b">>}, #{<<"node">> => 'a@b'}, #{node => node}.
    check(
        "74 00000001 77 04 6e6f6465 6d 00000003 614062",
        Err(GossipPacketError::NoNode),
    );
    check(
        "74 00000001 6d 00000004 6e6f6465 77 03 614062",
        Err(GossipPacketError::NoNode),
    );
    let no_name = Err(GossipPacketError::Name(NameError::NotOneAt));
    check("74 00000001 77 04 6e6f6465 77 04 6e6f6465", no_name);
    // A line break would end up in a log.
    let bad = Err(GossipPacketError::Name(NameError::BadCharacter));
    check("74 00000001 77 04 6e6f6465 77 04 6140620a", bad);
}

#[test]
fn what_announces_more_than_it_has_is_refused() {
    let cut_off = || Err(GossipPacketError::Term(DecodeError::Truncated));
    check("74 ffffffff", cut_off());
    check("6d ffffffff", cut_off());
    check("74 00000001 77 04 6e6f6465 77 ff 61", cut_off());
    // Compressed: 4 GiB of zeroes in a few bytes would be no work for whoever sends them.
    check(
        "50 ffffffff 789c",
        Err(GossipPacketError::Term(DecodeError::Compressed)),
    );
    let deep = format!("{}6a", "6c00000001".repeat(17));
    check(
        &deep,
        Err(GossipPacketError::Term(DecodeError::TooDeep { limit: 16 })),
    );
}

#[test]
fn what_is_no_packet_is_refused() {
    for text in ["", "heartbeat", "heartbeat:", "Heartbeat::"] {
        assert_eq!(
            GossipPacket::decode(text.as_bytes()),
            Err(GossipPacketError::NoHeartbeat)
        );
    }
    // This one crashes libcluster's process.
    assert!(GossipPacket::decode(b"heartbeat::junk").is_err());
    let mut long = bytes(OTP_26);
    long.resize(MAX_PACKET_BYTES, 0);
    assert!(GossipPacket::decode(&long).is_ok());
    long.push(0);
    assert_eq!(GossipPacket::decode(&long), Err(GossipPacketError::TooLong));
}

fn proof() -> impl Strategy<Value = GossipProof> {
    (any::<u32>(), any::<u64>(), any::<[u8; 32]>()).prop_map(|(creation, millis, code)| {
        GossipProof {
            creation: Creation::from_wire(creation),
            millis,
            code,
        }
    })
}

pub(crate) fn packet() -> impl Strategy<Value = GossipPacket> {
    let name = "[!-?A-~¡-ÿ]{1,120}@[!-?A-~¡-ÿ]{1,120}";
    let name = name.prop_map(|name: String| name.parse::<NodeName>().unwrap());
    let heartbeat = (name, proptest::option::of(proof()), any::<bool>());
    heartbeat.prop_map(|(name, proof, leaves)| match proof {
        Some(proof) if leaves => GossipPacket::Goodbye { name, proof },
        proof => GossipPacket::Heartbeat { name, proof },
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(packet in packet()) {
        let written = packet.encode();
        prop_assert!(written.len() < 700);
        prop_assert_eq!(GossipPacket::decode(&written), Ok(packet));
    }

    #[test]
    fn any_bytes_are_a_packet_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
        let _ = GossipPacket::decode(&bytes);
        let mut framed = b"heartbeat::\x83\x74\0\0\0\x01".to_vec();
        framed.extend(&bytes);
        if let Ok(packet) = GossipPacket::decode(&framed) {
            prop_assert_eq!(GossipPacket::decode(&packet.encode()), Ok(packet));
        }
    }

    #[test]
    fn a_packet_that_was_changed_is_a_packet_or_an_error(
        packet in packet(),
        place in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut written = packet.encode();
        let place = place.index(written.len());
        written[place] = byte;
        let _ = GossipPacket::decode(&written);
        let _ = GossipPacket::decode(&written[..place]);
    }
}
