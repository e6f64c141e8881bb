use std::collections::BTreeSet;

use enmesh_term::{Term, encode_bare, expand_atoms};
use proptest::prelude::*;

use super::*;
use crate::hex::bytes;

fn table(cache: &mut PeerAtoms, header: &str) -> Result<Vec<String>, FrameError> {
    let header = bytes(header);
    let mut rest = &header[..];
    cache.read_header(&mut rest)?;
    assert_eq!(rest, b"rest");
    let names = cache.copy_table();
    let names = names.iter().map(|atom| atom.as_str().to_owned());
    Ok(names.collect())
}

#[test]
fn a_header_is_as_otp_29_sends_it() {
    let mut cache = PeerAtoms::default();
    let first = "04 8c9d00 0b 0c 'm1@127.0.0.1' 05 00 7a 03 'rex' be 10 'features_request' 'rest'";
    let names = ["m1@127.0.0.1", "", "rex", "features_request"];
    assert_eq!(table(&mut cache, first).unwrap(), names);
    assert_eq!(
        table(&mut cache, "02 05 00 7a 05 'rest'").unwrap(),
        ["rex", ""]
    );
    assert_eq!(table(&mut cache, "00 'rest'").unwrap(), [""; 0]);
}

#[test]
fn a_slot_is_replaced_and_lengths_may_have_two_bytes() {
    let mut cache = PeerAtoms::default();
    table(&mut cache, "01 08 07 01 'a' 'rest'").unwrap();
    assert_eq!(
        table(&mut cache, "01 18 07 0001 'b' 'rest'").unwrap(),
        ["b"]
    );
    assert_eq!(table(&mut cache, "01 00 07 'rest'").unwrap(), ["b"]);
    let long = "é".repeat(255);
    let header = format!("01 18 07 01fe '{long}' 'rest'");
    assert_eq!(table(&mut cache, &header).unwrap(), [long]);
}

#[test]
fn a_bad_header_is_refused() {
    let bad = |header: &str| table(&mut PeerAtoms::default(), header).unwrap_err();
    for header in [
        "",
        "01",
        "01 08",
        "01 08 07",
        "01 08 07 02 'a'",
        "01 18 07 00",
    ] {
        assert_eq!(bad(header), FrameError::BadHeader, "{header}");
    }
    assert_eq!(bad("01 08 07 01 ff"), FrameError::BadHeader);
    let long = format!("01 18 07 0100 '{}'", "a".repeat(256));
    assert_eq!(bad(&long), FrameError::BadHeader);
    let twice = "02 88 00 07 01 'a' 07 01 'b'";
    assert_eq!(bad(twice), FrameError::BadHeader);
    assert_eq!(bad("01 03 07"), FrameError::UnknownAtom { slot: 0x307 });
}

/// Makes packets of terms and reads them as the peer does.
struct Way {
    own: OwnAtoms,
    peer: PeerAtoms,
    /// How long the last header was.
    header: usize,
}

impl Way {
    fn new() -> Self {
        Self {
            own: OwnAtoms::default(),
            peer: PeerAtoms::default(),
            header: 0,
        }
    }

    #[track_caller]
    fn carry(&mut self, terms: &[Term]) {
        self.own.begin();
        let (mut body, mut packet) = (BytesMut::new(), BytesMut::new());
        let plain: Vec<_> = terms.iter().map(encode_bare).collect();
        plain
            .iter()
            .for_each(|term| self.own.compress(term, &mut body));
        self.own.put_header(&mut packet);
        self.header = packet.len();
        packet.put_slice(&body);
        let mut rest = &packet[..];
        self.peer.read_header(&mut rest).unwrap();
        for term in plain {
            let mut again = BytesMut::new();
            let (used, is_expanded) =
                expand_atoms(rest, self.peer.table(), 1 << 20, &mut again).unwrap();
            let found = if is_expanded {
                &again[..]
            } else {
                &rest[..used]
            };
            assert_eq!(found, term);
            rest = &rest[used..];
        }
        assert!(rest.is_empty());
    }
}

fn atom(name: &str) -> Term {
    Term::Atom(Atom::new(name).unwrap())
}

#[test]
fn an_atom_is_told_once() {
    let mut way = Way::new();
    way.carry(&[atom("hello"), atom("hello")]);
    assert_eq!(way.header, 1 + 1 + 1 + 1 + 5);
    way.carry(&[atom("hello")]);
    assert_eq!(way.header, 1 + 1 + 1);
    way.carry(&[]);
    assert_eq!(way.header, 1);
}

#[test]
fn more_atoms_than_a_header_or_the_cache_holds_are_carried() {
    let mut way = Way::new();
    let many: Vec<_> = (0..300).map(|n| atom(&format!("atom{n}"))).collect();
    way.carry(&many);
    assert!(way.own.refs.len() <= MAX_REFS);
    for round in 0..20 {
        for n in 0..500 {
            way.carry(&[atom(&format!("a{}", n * (round + 1)))]);
        }
    }
    assert!(way.own.told.len() <= SLOTS && way.own.told.len() > SLOTS / 2);
}

#[test]
fn long_and_foreign_atoms_are_carried() {
    let mut way = Way::new();
    let long = "é".repeat(255);
    way.carry(&[atom(&long), atom("short"), atom("")]);
    assert!(way.own.has_long);
    way.carry(&[atom(&long), atom("日本")]);
    assert!(!way.own.has_long);
}

#[test]
fn slots_are_spread() {
    let slots: BTreeSet<usize> = (0..2048)
        .map(|n| slot_of(format!("node{n}@10.0.0.{}", n % 256).as_bytes()))
        .collect();
    // A random choice of 2048 out of 2048 leaves 37 % empty.
    assert!(slots.len() > 1150, "{}", slots.len());
}

proptest! {
    #[test]
    fn any_atoms_in_any_packets_arrive(
        packets in prop::collection::vec(prop::collection::vec(0u32..5000, 0..30), 1..20),
    ) {
        let mut way = Way::new();
        for names in packets {
            let name = |n: u32| match n % 50 {
                0 => atom(&"é".repeat(200 + n as usize % 56)),
                _ => atom(&format!("n{n}")),
            };
            way.carry(&names.into_iter().map(name).collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_bytes_are_a_header_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut cache = PeerAtoms::default();
        let mut rest = &bytes[..];
        while !rest.is_empty() && cache.read_header(&mut rest).is_ok() {
            prop_assert!(cache.table.len() <= MAX_REFS);
        }
    }
}
