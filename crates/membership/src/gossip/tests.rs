#![allow(clippy::disallowed_methods, reason = "tests begin somewhere in time")]

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::packet::tests::packet;
use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SECRET: &str = "somepassword";

fn gossip(own: &str, creation: u32, secret: Option<&str>, auth: GossipAuth) -> Gossip {
    Gossip::new(GossipConfig {
        own: own.parse().unwrap(),
        creation: Some(Creation::from_wire(creation)),
        secret: secret.map(GossipSecret::new),
        auth,
    })
}

fn plain(own: &str) -> Gossip {
    gossip(own, 7, None, GossipAuth::Accept)
}

fn names(update: Option<Update>) -> (Vec<String>, Vec<String>) {
    match update {
        None => (Vec::new(), Vec::new()),
        Some(Update::Changed { present, gone }) => (
            present.iter().map(|seen| seen.name().to_string()).collect(),
            gone.iter().map(|name| name.to_string()).collect(),
        ),
        Some(other) => panic!("{other:?}"),
    }
}

fn present(names: &[&str]) -> (Vec<String>, Vec<String>) {
    (
        names.iter().map(|&name| name.to_owned()).collect(),
        Vec::new(),
    )
}

#[test]
fn without_a_secret_we_say_what_libcluster_says() {
    let packet = plain("a@127.0.0.1").heartbeat(5, [0; 16]).unwrap();
    assert_eq!(
        packet,
        b"heartbeat::\x83\x74\0\0\0\x01\x77\x04node\x77\x0ba@127.0.0.1"
    );
    assert_eq!(plain("a@127.0.0.1").goodbye(5, [0; 16]), None);
}

#[test]
fn who_only_listens_says_nothing() {
    let mut listener = gossip("a@b", 7, Some(SECRET), GossipAuth::Accept);
    listener.config.creation = None;
    assert_eq!(listener.heartbeat(5, [0; 16]), None);
    assert_eq!(listener.goodbye(5, [0; 16]), None);
}

#[test]
fn members_hear_each_other_and_goodbye() {
    for auth in [GossipAuth::Accept, GossipAuth::Require] {
        let now = Instant::now();
        let a = gossip("a@h", 7, Some(SECRET), auth);
        let mut b = gossip("b@h", 8, Some(SECRET), auth);
        let packet = a.heartbeat(100, [1; 16]).unwrap();
        assert_eq!(b.handle_packet(now, HERE, &packet), None);
        assert_eq!(names(b.poll_update()), present(&["a@h"]));
        // Ourselves.
        let own = b.heartbeat(100, [2; 16]).unwrap();
        assert_eq!(b.handle_packet(now, HERE, &own), None);
        assert_eq!(names(b.poll_update()), present(&[]));
        let goodbye = a.goodbye(101, [3; 16]).unwrap();
        for _ in 0..3 {
            assert_eq!(b.handle_packet(now, HERE, &goodbye), None);
        }
        assert_eq!(names(b.poll_update()), (Vec::new(), vec!["a@h".to_owned()]));
        let counters = b.counters();
        assert_eq!(
            (counters.counted, counters.own, counters.replayed),
            (2, 1, 2)
        );
    }
}

#[test]
fn unsigned_heartbeats_count_with_one_warning() {
    let now = Instant::now();
    let mut a = plain("a@h");
    for (name, expected) in [("b@h", true), ("c@h", false), ("b@h", false)] {
        let packet = plain(name).heartbeat(1, [0; 16]).unwrap();
        let notice = a.handle_packet(now, HERE, &packet);
        let name = name.parse().unwrap();
        assert_eq!(notice, expected.then_some(GossipNotice::Unsigned { name }));
    }
    assert_eq!(names(a.poll_update()), present(&["b@h", "c@h"]));
}

/// What libcluster's nodes say that have the secret too.
fn sealed_and_unsigned(name: &str) -> Vec<u8> {
    let name = name.parse().unwrap();
    let packet = GossipPacket::Heartbeat { name, proof: None };
    GossipSecret::new(SECRET).seal(&packet.encode(), [5; 16])
}

#[test]
fn where_signatures_are_required_unsigned_heartbeats_do_not_count() {
    let now = Instant::now();
    let mut a = gossip("a@h", 7, Some(SECRET), GossipAuth::Require);
    let name = "b@h".parse().unwrap();
    let notice = a.handle_packet(now, HERE, &sealed_and_unsigned("b@h"));
    assert_eq!(notice, Some(GossipNotice::Refused { name }));
    assert_eq!(
        a.handle_packet(now, HERE, &sealed_and_unsigned("c@h")),
        None
    );
    assert_eq!(a.poll_update(), None);
    assert_eq!(a.counters().refused, 2);
    let mut a = gossip("a@h", 7, Some(SECRET), GossipAuth::Accept);
    a.handle_packet(now, HERE, &sealed_and_unsigned("b@h"));
    assert_eq!(names(a.poll_update()), present(&["b@h"]));
}

#[test]
fn a_forged_goodbye_is_not_honoured() {
    let now = Instant::now();
    let name: NodeName = "a@h".parse().unwrap();
    let b = gossip("a@h", 7, Some(SECRET), GossipAuth::Accept);
    let proof = GossipProof {
        creation: Creation::from_wire(7),
        millis: 500,
        code: [9; 32],
    };
    let goodbye = GossipPacket::Goodbye { name, proof };
    let mut sealed = gossip("b@h", 8, Some(SECRET), GossipAuth::Accept);
    sealed.handle_packet(now, HERE, &b.heartbeat(100, [1; 16]).unwrap());
    sealed.poll_update();
    // Somebody who found out the sealing key alone, who signs with another secret, who seals
    // nothing, and who was heard only without a secret.
    let secret = GossipSecret::new(SECRET);
    let other = GossipSecret::new("other").sign(goodbye.clone());
    for packet in [
        secret.seal(&goodbye.encode(), [1; 16]),
        secret.seal(&other.encode(), [1; 16]),
        secret.sign(goodbye.clone()).encode(),
    ] {
        sealed.handle_packet(now, HERE, &packet);
        assert_eq!(sealed.poll_update(), None);
    }
    let mut plainly = plain("b@h");
    plainly.handle_packet(now, HERE, &plain("a@h").heartbeat(1, [0; 16]).unwrap());
    plainly.poll_update();
    let notice = plainly.handle_packet(now, HERE, &goodbye.encode());
    assert!(matches!(notice, Some(GossipNotice::Refused { .. })));
    assert_eq!(plainly.poll_update(), None);
}

#[test]
fn a_heartbeat_with_a_wrong_signature_is_worth_less_than_one_without() {
    let now = Instant::now();
    let mut a = gossip("a@h", 7, Some(SECRET), GossipAuth::Accept);
    let liar = gossip("b@h", 7, Some("other"), GossipAuth::Accept);
    let GossipPacket::Heartbeat { name, .. } =
        GossipPacket::decode(&plain("b@h").heartbeat(1, [0; 16]).unwrap()).unwrap()
    else {
        panic!("a heartbeat");
    };
    let packet = liar
        .config
        .secret
        .as_ref()
        .unwrap()
        .sign(GossipPacket::Heartbeat {
            name,
            proof: Some(unsigned_proof(Creation::from_wire(7), 100)),
        });
    let sealed = GossipSecret::new(SECRET).seal(&packet.encode(), [1; 16]);
    let notice = a.handle_packet(now, HERE, &sealed);
    assert!(
        matches!(notice, Some(GossipNotice::Refused { .. })),
        "{notice:?}"
    );
    assert_eq!(a.poll_update(), None);
}

#[test]
fn what_cannot_be_read_is_said_once() {
    let now = Instant::now();
    let mut a = gossip("a@h", 7, Some(SECRET), GossipAuth::Accept);
    let unsealed = plain("b@h").heartbeat(1, [0; 16]).unwrap();
    let notice = a.handle_packet(now, HERE, &unsealed);
    assert_eq!(
        notice,
        Some(GossipNotice::Unreadable(GossipPacketError::Sealed))
    );
    assert_eq!(a.handle_packet(now, HERE, &unsealed), None);
    let mut b = plain("b@h");
    let notice = b.handle_packet(now, HERE, &sealed_and_unsigned("a@h"));
    assert_eq!(
        notice,
        Some(GossipNotice::Unreadable(GossipPacketError::NoHeartbeat))
    );
    let long = vec![0; MAX_PACKET_BYTES + 16];
    a.handle_packet(now, HERE, &long);
    assert_eq!(a.counters().unreadable, 3);
    assert_eq!((a.poll_update(), b.poll_update()), (None, None));
}

#[test]
fn a_beam_without_a_name_is_nobody() {
    let now = Instant::now();
    let mut a = plain("a@h");
    let packet = plain("nonode@nohost").heartbeat(1, [0; 16]).unwrap();
    assert_eq!(a.handle_packet(now, HERE, &packet), None);
    assert_eq!(a.poll_update(), None);
}

#[test]
fn a_source_of_garbage_is_limited_and_heard_again() {
    let begin = Instant::now();
    let mut a = plain("a@h");
    let mut notices = Vec::new();
    for _ in 0..10_000 {
        notices.extend(a.handle_packet(begin, HERE, b"heartbeat::junk"));
    }
    let [GossipNotice::Unreadable(_), GossipNotice::TooMany] = notices[..] else {
        panic!("{notices:?}");
    };
    assert_eq!(
        (a.counters().unreadable, a.counters().limited),
        (200, 9_800)
    );
    let packet = plain("b@h").heartbeat(1, [0; 16]).unwrap();
    a.handle_packet(begin, HERE, &packet);
    assert_eq!(a.poll_update(), None);
    // The garbage goes on, and yet a hundred packets a second are looked into.
    let later = begin + std::time::Duration::from_millis(10);
    a.handle_packet(later, HERE, &packet);
    assert_eq!(names(a.poll_update()), present(&["b@h"]));
}

proptest! {
    /// Whoever does not have the secret changes nobody, whatever is sent, recordings included.
    #[test]
    fn strangers_change_nobody(
        packets in proptest::collection::vec(
            (packet(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..64)),
            1..20,
        ),
    ) {
        let now = Instant::now();
        let mut a = gossip("a@h", 7, Some(SECRET), GossipAuth::Require);
        let b = gossip("b@h", 8, Some(SECRET), GossipAuth::Require);
        let recorded = b.heartbeat(100, [1; 16]).unwrap();
        a.handle_packet(now, HERE, &recorded);
        prop_assert_eq!(names(a.poll_update()), present(&["b@h"]));
        let other = GossipSecret::new("other");
        for (packet, signed, junk) in packets {
            let packet = if signed { other.sign(packet) } else { packet };
            a.handle_packet(now, HERE, &packet.encode());
            a.handle_packet(now, HERE, &other.seal(&packet.encode(), [3; 16]));
            a.handle_packet(now, HERE, &GossipSecret::new(SECRET).seal(&packet.encode(), [3; 16]));
            a.handle_packet(now, HERE, &junk);
            a.handle_packet(now, HERE, &recorded);
            prop_assert_eq!(a.poll_update(), None);
        }
    }
}
