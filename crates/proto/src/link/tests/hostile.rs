//! What a peer must not do with fragments and atoms.

use super::*;
use crate::hex::bytes;

/// What one packet, or several, end a link with that has all forms.
fn ends(packets: &[&str]) -> Option<LinkError> {
    let mut pair = Pair::up();
    for packet in packets {
        feed(&mut pair, &bytes(packet));
    }
    pair.acceptor.ended
}

fn feed(pair: &mut Pair, packet: &[u8]) {
    let len = (packet.len() as u32).to_be_bytes();
    pair.acceptor.read(pair.now, &[&len, packet].concat());
}

/// A send to us, with an empty header before it.
const SEND: &str = "00 68 03 61 02 77 00 58 77 03 'b@h' 00000001 00000000 00000007";

fn first(sequence: u64, count: u64, rest: &str) -> String {
    format!("83 45 {sequence:016x} {count:016x} {SEND} {rest}")
}

fn next(sequence: u64, number: u64, rest: &str) -> String {
    format!("83 46 {sequence:016x} {number:016x} {rest}")
}

#[test]
fn a_packet_of_another_form_than_the_negotiated_one_is_refused() {
    let pass_through = "70 83 68 03 61 02 77 00 58 77 03 'b@h' 00000001 00000000 00000007 83 6a";
    for packet in [pass_through, "83 47 00", "83", "84 44 00"] {
        assert_eq!(ends(&[packet]), Some(FrameError::NotHeader.into()));
    }
    let fragment = bytes(&first(1, 2, "6a"));
    let end = receive_without(Flags::FRAGMENTS, &fragment);
    assert_eq!(end.ended, Some(FrameError::NotHeader.into()));
    let atoms = bytes("83 44 01 08 00 01 'x'");
    let end = receive_without(Flags::DIST_HDR_ATOM_CACHE, &atoms);
    assert_eq!(end.ended, Some(FrameError::BadHeader.into()));
}

#[test]
fn an_atom_that_was_never_told_ends_the_link() {
    let unknown = Some(FrameError::UnknownAtom { slot: 0x105 }.into());
    assert_eq!(ends(&["83 44 01 01 05"]), unknown);
    let beyond = "83 44 01 08 05 00 68 03 61 02 52 00 58 52 01 00000001 00000000 00000007 6a";
    let error = ControlError::Term(enmesh_term::DecodeError::AtomCacheRef);
    assert_eq!(ends(&[beyond]), Some(error.into()));
}

#[test]
fn an_atom_of_the_payload_that_the_header_lacks_fails_alone() {
    let packet = "83 44 02 88 00 05 00 06 03 'b@h' \
                  68 03 61 02 52 00 58 52 01 00000001 00000000 00000007";
    let mut pair = Pair::up();
    feed(&mut pair, &bytes(&format!("{packet} 68 02 52 01 52 02")));
    feed(&mut pair, &bytes(&format!("{packet} 68 02 52 01 52 00")));
    pair.acceptor.expect_up();
    let payload = |at: usize| pair.acceptor.delivered[at].payload.clone().unwrap();
    let limits = enmesh_term::Limits::default();
    assert!(enmesh_term::decode_bare(&payload(0), &limits).is_err());
    let good = Term::tuple([Term::atom("b@h"), Term::atom("")]);
    assert_eq!(enmesh_term::decode_bare(&payload(1), &limits), Ok(good));
}

#[test]
fn fragments_out_of_order_end_the_link() {
    let sequence = 9;
    let order = || Some(FrameError::FragmentOrder { sequence }.into());
    assert_eq!(ends(&[&first(9, 0, "6a")]), order());
    assert_eq!(ends(&[&first(9, 3, "6a"), &next(9, 1, "6a")]), order());
    assert_eq!(ends(&[&first(9, 3, "6a"), &next(9, 3, "6a")]), order());
    let twice = Some(FrameError::SequenceTwice { sequence }.into());
    assert_eq!(ends(&[&first(9, 3, "6a"), &first(9, 3, "6a")]), twice);
    let unknown = || Some(FrameError::UnknownSequence { sequence }.into());
    assert_eq!(ends(&[&next(9, 1, "6a")]), unknown());
    let done = [&first(9, 2, "6a")[..], &next(9, 1, ""), &next(9, 1, "")];
    assert_eq!(ends(&done), unknown());
    assert_eq!(ends(&["83 46 0000"]), Some(FrameError::BadHeader.into()));
}

#[test]
fn a_number_may_be_used_again_and_one_fragment_is_a_message() {
    let mut pair = Pair::up();
    for _ in 0..3 {
        feed(&mut pair, &bytes(&first(9, 2, "68 01")));
        feed(&mut pair, &bytes(&next(9, 1, "6a")));
        feed(&mut pair, &bytes(&first(9, 1, "6a")));
    }
    pair.acceptor.expect_up();
    let payloads = pair.acceptor.delivered.iter();
    let payloads: Vec<_> = payloads.map(|it| it.payload.clone().unwrap()).collect();
    assert_eq!(payloads, [&b"h\x01j"[..], b"j"].repeat(3));
    assert_eq!(pair.acceptor.link.counters().frames_in, 6);
}

#[test]
fn a_fragmented_message_without_payload_must_need_none() {
    let missing = Some(FrameError::PayloadMissing.into());
    assert_eq!(ends(&[&first(9, 2, ""), &next(9, 1, "")]), missing);
    let unlink = "00 68 04 61 23 61 01 58 77 03 'a@h' 00000001 00000000 00000007 \
                  58 77 03 'b@h' 00000001 00000000 00000007";
    let packet = format!("83 45 0000000000000001 0000000000000001 {unlink}");
    assert_eq!(ends(&[&packet]), None);
    let trailing = Some(FrameError::Trailing { len: 1 }.into());
    assert_eq!(ends(&[&format!("{packet} 6a")]), trailing);
}

#[test]
fn at_most_256_messages_are_incomplete() {
    let mut pair = Pair::up();
    for sequence in 1..=256 {
        feed(&mut pair, &bytes(&first(sequence, u64::MAX, "")));
    }
    pair.acceptor.expect_up();
    feed(&mut pair, &bytes(&first(257, 2, "")));
    let error = FrameError::TooManySequences;
    assert_eq!(pair.acceptor.ended, Some(error.into()));
}

#[test]
fn incomplete_messages_have_256_mib_at_most() {
    let mut pair = Pair::up();
    let part = vec![0; 1 << 20];
    let packet = |head: String| [bytes(&head), part.clone()].concat();
    for sequence in 0..4 {
        feed(&mut pair, &packet(first(sequence, 1 << 40, "")));
        // What their control messages take is less than the part that the last one lacks.
        for number in 1..64 - sequence / 3 {
            feed(&mut pair, &packet(next(sequence, (1 << 40) - number, "")));
        }
    }
    pair.acceptor.expect_up();
    feed(&mut pair, &packet(first(4, 2, "")));
    let error = FrameError::TooMuchPartial;
    assert_eq!(pair.acceptor.ended, Some(error.into()));
}

#[test]
fn control_messages_and_atoms_of_incomplete_messages_count_too() {
    // A trace token of empty lists: a byte each here, a whole term each once it is decoded.
    const NILS: u32 = 1_000_000;
    let token = [&NILS.to_be_bytes()[..], &vec![b'j'; NILS as usize + 1]].concat();
    let send_traced = "00 68 04 61 0c 77 00 58 77 03 'b@h' 00000001 00000000 00000007 6c";
    let ended = |count: u64| {
        let mut pair = Pair::up();
        for sequence in 1..=count {
            let head = format!("83 45 {sequence:016x} {:016x} {send_traced}", 2);
            feed(&mut pair, &[bytes(&head), token.clone()].concat());
        }
        pair.acceptor.ended
    };
    assert_eq!(ended(4), None);
    assert_eq!(ended(16), Some(FrameError::TooMuchPartial.into()));
}

#[test]
fn the_limit_of_a_message_counts_all_its_fragments() {
    let mut small = config("b@h", "c");
    small.max_message = 4096;
    let mut pair = Pair::new(config("a@h", "c"), small);
    pair.run();
    let part = vec![0; 1500];
    let packet = |head: String| [bytes(&head), part.clone()].concat();
    feed(&mut pair, &packet(first(1, 9, "")));
    feed(&mut pair, &packet(next(1, 8, "")));
    pair.acceptor.expect_up();
    feed(&mut pair, &packet(next(1, 7, "")));
    let error = FrameError::TooLarge {
        len: 4500,
        max: 4096,
    };
    assert_eq!(pair.acceptor.ended, Some(error.into()));
}

#[test]
fn references_that_mean_more_than_a_message_may_have_end_the_link() {
    let mut small = config("b@h", "c");
    small.max_message = 4096;
    let mut pair = Pair::new(config("a@h", "c"), small);
    pair.run();
    let long = "é".repeat(255);
    let head = format!("83 44 01 18 05 01fe '{long}' {}", &SEND[3..]);
    let fits = [bytes(&head), b"h\x07".to_vec(), b"R\0".repeat(7)].concat();
    feed(&mut pair, &fits);
    pair.acceptor.expect_up();
    let bomb = [bytes(&head), b"h\x09".to_vec(), b"R\0".repeat(9)].concat();
    feed(&mut pair, &bomb);
    let ended = pair.acceptor.ended.clone();
    let is_too_large = matches!(
        ended,
        Some(LinkError::BadFrame(FrameError::TooLarge { max: 4096, .. }))
    );
    assert!(is_too_large, "{ended:?}");
}

#[test]
fn a_fragmented_message_may_not_speak_for_another_node() {
    let monitor = "00 68 04 61 13 58 77 03 'x@h' 00000001 00000000 00000007 77 03 'rex' \
                   5a 0001 77 03 'x@h' 00000007 00000001";
    let packet = format!("83 45 0000000000000001 0000000000000001 {monitor}");
    assert!(matches!(
        ends(&[&packet]),
        Some(LinkError::ForeignProcess { .. })
    ));
}

proptest! {
    #[test]
    fn any_packets_with_headers_are_messages_or_end_the_link(
        packets in prop::collection::vec(
            (
                68u8..71,
                0u64..3,
                0u64..4,
                prop::collection::vec(any::<u8>(), 0..60),
                any::<bool>(),
            ),
            1..12,
        ),
    ) {
        let mut pair = Pair::up();
        for (kind, sequence, number, noise, is_send) in packets {
            let mut packet = vec![131, kind];
            if kind != 68 {
                packet.extend(sequence.to_be_bytes());
                packet.extend(number.to_be_bytes());
            }
            if is_send && kind != 70 {
                packet.extend(bytes(SEND));
            }
            packet.extend(noise);
            feed(&mut pair, &packet);
            prop_assert_eq!(pair.acceptor.link.is_up(), pair.acceptor.ended.is_none());
        }
    }
}
