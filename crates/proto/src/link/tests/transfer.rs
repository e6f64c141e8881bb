//! Messages of all sizes, in all forms, between two links.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;
use crate::outgoing::{BATCH, FRAGMENT};

/// A binary as a payload.
fn binary(len: usize, fill: u8) -> Bytes {
    Bytes::from(encode_bare(&Term::binary(vec![fill; len])))
}

/// To the process of that number, so that the receiver can tell flows apart.
fn to(number: u32) -> Control {
    let pid = Pid::new(Atom::from_static("b@h"), number, 0, 7);
    Control::Send {
        to: pid,
        token: None,
    }
}

fn number(message: &Message) -> u32 {
    match &message.control {
        Control::Send { to, .. } => to.id(),
        other => panic!("{other:?}"),
    }
}

/// The combinations of what changes the form of packets.
fn forms() -> [Flags; 4] {
    let cache = Flags::DIST_HDR_ATOM_CACHE;
    [
        Flags::NONE,
        cache,
        Flags::FRAGMENTS,
        cache | Flags::FRAGMENTS,
    ]
}

#[test]
fn with_fragments_alone_a_message_has_an_empty_header() {
    let mut pair = Pair::up_without(Flags::DIST_HDR_ATOM_CACHE);
    pair.dialler
        .link
        .send(0, &to(1), Some(Bytes::from_static(b"w\x01x")))
        .unwrap();
    let expected = crate::hex::bytes(
        "0000001e 83 44 00 68 03 61 02 77 00 58 77 03 'b@h' 00000001 00000000 00000007 77 01 'x'",
    );
    assert_eq!(pair.dialler.output(pair.now), expected);
}

#[test]
fn with_the_cache_an_atom_travels_once() {
    let mut pair = Pair::up();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let hello = Some(Bytes::from(encode_bare(&Term::atom("hello"))));
        pair.dialler.link.send(0, &to(1), hello.clone()).unwrap();
        let output = pair.dialler.output(pair.now);
        sizes.push(output.len());
        pair.acceptor.read(pair.now, &output);
        assert_eq!(pair.acceptor.delivered.pop().unwrap().payload, hello);
    }
    assert_eq!(sizes[1], sizes[2]);
    // The texts of '', 'b@h' and 'hello', each with its length.
    assert_eq!(sizes[0] - sizes[1], 1 + 4 + 6);
}

#[test]
fn a_large_message_travels_in_fragments_that_count_down_from_sequence_1() {
    let mut pair = Pair::up_without(Flags::DIST_HDR_ATOM_CACHE);
    let payload = binary(2 * FRAGMENT, 7);
    pair.dialler
        .link
        .send(0, &to(1), Some(payload.clone()))
        .unwrap();
    let output = pair.dialler.output(pair.now);
    let mut packets = Vec::new();
    let mut rest = BytesMut::from(&output[..]);
    while let Some(packet) = Prefix::Four.take(&mut rest, usize::MAX).unwrap() {
        packets.push(packet);
    }
    let heads: Vec<_> = packets.iter().map(|it| it[..18].to_vec()).collect();
    let head = |kind: &str, left: u8| {
        crate::hex::bytes(&format!(
            "83 {kind} 0000000000000001 00000000000000{left:02x}"
        ))
    };
    assert_eq!(heads, [head("45", 3), head("46", 2), head("46", 1)]);
    assert_eq!(packets[2].len(), 18 + payload.len() - 2 * FRAGMENT);
    pair.acceptor.read(pair.now, &output);
    let found = &pair.acceptor.delivered[0];
    assert_eq!((&found.control, &found.payload), (&to(1), &Some(payload)));
}

#[test]
fn a_small_message_waits_for_one_batch_at_most() {
    let mut pair = Pair::up();
    let link = &mut pair.dialler.link;
    for flow in 1..=8 {
        let payload = binary(4 << 20, flow as u8);
        link.send(flow, &to(flow as u32), Some(payload)).unwrap();
    }
    let mut carried = 0;
    while link.has_output() {
        // The batch is on its way to the socket when the small message comes.
        let batch = link.take_output(pair.now).unwrap();
        assert!(batch.len() <= BATCH + FRAGMENT + 1024, "{}", batch.len());
        let small = Bytes::from_static(b"w\x05small");
        link.send(100, &to(100), Some(small)).unwrap();
        let next = link.take_output(pair.now).unwrap();
        carried += batch.len() + next.len();
        pair.acceptor.read(pair.now, &batch);
        let (head, rest) = next.split_at(next.len().min(200));
        pair.acceptor.read(pair.now, head);
        let last = pair.acceptor.delivered.pop();
        assert_eq!(last.as_ref().map(number), Some(100), "it leads the batch");
        pair.acceptor.read(pair.now, rest);
    }
    pair.acceptor.expect_up();
    assert!(carried > 32 << 20);
    let large: Vec<_> = pair.acceptor.delivered.iter().map(number).collect();
    assert_eq!(large, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn large_messages_take_turns() {
    let mut pair = Pair::up();
    let link = &mut pair.dialler.link;
    link.send(1, &to(1), Some(binary(32 << 20, 1))).unwrap();
    link.send(2, &to(2), Some(binary(1 << 20, 2))).unwrap();
    link.send(3, &to(3), Some(binary(1 << 20, 3))).unwrap();
    let mut carried = 0;
    while pair.acceptor.delivered.len() < 2 {
        let batch = pair.dialler.output(pair.now);
        carried += batch.len();
        pair.acceptor.read(pair.now, &batch);
    }
    assert!(carried < 4 << 20, "{carried}");
    let first: Vec<_> = pair.acceptor.delivered.iter().map(number).collect();
    assert_eq!(first, [2, 3]);
}

#[test]
fn what_a_flow_sends_behind_a_large_message_stays_behind_it() {
    let mut pair = Pair::up();
    let link = &mut pair.dialler.link;
    link.send(1, &to(1), Some(binary(1 << 20, 1))).unwrap();
    link.send(1, &to(2), Some(Bytes::from_static(b"j")))
        .unwrap();
    link.send(1, &to(3), Some(binary(1 << 20, 1))).unwrap();
    let unlink = Control::UnlinkId {
        id: 1,
        from: pid("a@h"),
        to: pid("b@h"),
    };
    link.send(1, &unlink, None).unwrap();
    link.send(2, &to(9), Some(Bytes::from_static(b"j")))
        .unwrap();
    pair.run();
    let delivered = &mut pair.acceptor.delivered;
    assert_eq!(delivered.pop().unwrap().control, unlink);
    let order: Vec<_> = delivered.iter().map(number).collect();
    assert_eq!(order, [9, 1, 2, 3]);
    assert!(!pair.dialler.link.has_output());
    assert_eq!(pair.dialler.link.pending_output(), 0);
}

#[test]
fn large_messages_do_not_keep_small_ones_out() {
    let mut limited = config("a@h", "c");
    limited.max_output = 1 << 20;
    let mut pair = Pair::new(limited, config("b@h", "c"));
    pair.run();
    let link = &mut pair.dialler.link;
    link.send(1, &to(1), Some(binary(900 << 10, 1))).unwrap();
    let more = link.send(2, &to(2), Some(binary(900 << 10, 1)));
    assert_eq!(more, Err(LinkError::OutputFull));
    for _ in 0..10 {
        link.send(3, &to(3), Some(binary(60 << 10, 1))).unwrap();
    }
    // Behind the large message the same bound holds.
    let full = (0..20).find_map(|_| link.send(1, &to(1), Some(binary(60 << 10, 1))).err());
    assert_eq!(full, Some(LinkError::OutputFull));
    assert!(link.pending_small() <= 1 << 20);
    pair.run();
    assert_eq!(pair.dialler.link.pending_output(), 0);
}

#[test]
fn a_peer_without_fragments_gets_large_messages_whole() {
    let mut pair = Pair::up_without(Flags::FRAGMENTS);
    let payload = binary(1 << 20, 1);
    let link = &mut pair.dialler.link;
    link.send(1, &to(1), Some(payload.clone())).unwrap();
    link.send(2, &to(2), Some(Bytes::from_static(b"j")))
        .unwrap();
    pair.run();
    let order: Vec<_> = pair.acceptor.delivered.iter().map(number).collect();
    assert_eq!(order, [1, 2]);
    assert_eq!(pair.acceptor.delivered[0].payload, Some(payload));
}

#[test]
fn a_payload_that_is_no_term_arrives_as_it_is() {
    for withheld in forms() {
        let mut pair = Pair::up_without(withheld);
        for payload in [&b"\xff\xff"[..], b"h\x02w\x01a", b"w\x01aw\x01b", b"R\x07"] {
            let payload = Bytes::copy_from_slice(payload);
            let link = &mut pair.dialler.link;
            link.send(0, &to(1), Some(payload.clone())).unwrap();
            pair.run();
            pair.acceptor.expect_up();
            let found = pair.acceptor.delivered.pop().unwrap().payload;
            assert_eq!(found, Some(payload), "{withheld}");
        }
    }
}

#[test]
fn ticks_go_between_fragments() {
    let mut pair = Pair::up();
    let link = &mut pair.dialler.link;
    link.send(1, &to(1), Some(binary(32 << 20, 1))).unwrap();
    // Each batch takes five seconds, and the acceptor says nothing but ticks.
    while pair.dialler.link.has_output() {
        let batch = pair.dialler.output(pair.now);
        pair.acceptor.read(pair.now, &batch);
        pair.pass_without_carrying(Duration::from_secs(5));
        let ticks = pair.acceptor.output(pair.now);
        pair.dialler.read(pair.now, &ticks);
        pair.dialler.expect_up();
        pair.acceptor.expect_up();
    }
    pair.run();
    assert_eq!(pair.acceptor.delivered.len(), 1);
    let ticks = pair.dialler.link.counters().ticks_in;
    assert!(ticks >= 30, "{ticks}");
}

/// Any term, with atoms that come again and atoms that do not.
fn terms() -> impl Strategy<Value = Term> {
    let atom = (0u32..3000).prop_map(|n| Term::Atom(Atom::new(&format!("atom{n}")).unwrap()));
    let few = (0u32..5).prop_map(|n| Term::Atom(Atom::new(&format!("few{n}")).unwrap()));
    let leaf = prop_oneof![
        atom,
        few,
        any::<i64>().prop_map(Term::Int),
        (0usize..200).prop_map(|len| Term::binary(vec![b'R'; len])),
        Just(pid("a@h").into()),
    ];
    leaf.prop_recursive(3, 20, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Term::Tuple),
            prop::collection::vec(inner, 0..6).prop_map(Term::List),
        ]
    })
}

fn payloads() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        8 => terms().prop_map(|term| Bytes::from(encode_bare(&term))),
        1 => (1usize..5 * FRAGMENT).prop_map(|len| binary(len, 3)),
        1 => (FRAGMENT - 8..FRAGMENT + 8).prop_map(|len| binary(len, 4)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_messages_arrive_whole_and_in_the_order_of_their_flow(
        messages in prop::collection::vec((0u64..4, payloads(), any::<bool>()), 1..40),
        form in 0usize..4,
        chunk in prop_oneof![1usize..100, 1000usize..100_000],
    ) {
        let mut pair = Pair::up_without(forms()[form]);
        pair.chunk = chunk;
        let mut sent: BTreeMap<u32, Vec<Bytes>> = BTreeMap::new();
        for (flow, payload, is_written) in messages {
            let link = &mut pair.dialler.link;
            link.send(flow, &to(flow as u32), Some(payload.clone())).unwrap();
            sent.entry(flow as u32).or_default().push(payload);
            if is_written {
                let batch = pair.dialler.output(pair.now);
                for chunk in batch.chunks(chunk) {
                    pair.acceptor.read(pair.now, chunk);
                }
            }
        }
        pair.run();
        pair.acceptor.expect_up();
        let mut got: BTreeMap<u32, Vec<Bytes>> = BTreeMap::new();
        for message in pair.acceptor.delivered.drain(..) {
            let to = number(&message);
            got.entry(to).or_default().push(message.payload.unwrap());
        }
        prop_assert_eq!(got, sent);
        prop_assert_eq!(
            pair.dialler.link.counters().bytes_out,
            pair.acceptor.link.counters().bytes_in
        );
    }
}

/// Buffers of reads that messages keep alive, and how long the messages are, all in bytes. The
/// reads are as those of a driver that makes room for so many bytes each time; of the messages
/// every one in `of` is kept.
fn kept_alive(len: usize, room: usize, of: usize) -> (usize, usize) {
    let mut pair = Pair::up();
    for _ in 0..64 {
        let payload = Some(Bytes::from(vec![7; len]));
        pair.dialler.link.send(1, &to_rex("a@h"), payload).unwrap();
    }
    let bytes = pair.dialler.output(pair.now);
    let (mut rest, mut inbox) = (&bytes[..], BytesMut::new());
    // By where they end: as long as they are, and those that are held. What holds them lives until
    // the end of the test, so no two have the same place.
    let (mut buffers, mut held) = (HashMap::new(), HashSet::new());
    let (mut copied, mut counted, mut number) = (0, 0, 0);
    let mut kept = Vec::new();
    while !rest.is_empty() {
        inbox.reserve(room);
        let end = inbox.as_ptr().addr() + inbox.capacity();
        let longest = buffers.entry(end).or_insert(0);
        *longest = inbox.capacity().max(*longest);
        let buffer = end - *longest..end;
        let part = rest.split_off(..rest.len().min(room)).unwrap();
        inbox.extend_from_slice(part);
        let link = &mut pair.acceptor.link;
        link.handle_bytes(pair.now, &mut inbox).unwrap();
        while let Some(action) = link.poll_action() {
            let Action::Deliver(message) = action else {
                panic!("{action:?}");
            };
            let payload = message.payload.unwrap();
            number += 1;
            if number % of != 0 {
                continue;
            }
            counted += payload.len();
            if buffer.contains(&payload.as_ptr().addr()) {
                held.insert(end);
            } else {
                copied += payload.len();
            }
            kept.push(payload);
        }
    }
    assert_eq!(number, 64);
    let held = held.iter().map(|end| buffers[end]).sum::<usize>();
    (copied + held, counted)
}

#[test]
fn messages_that_are_kept_hold_hardly_more_memory_than_they_are_long() {
    for len in [100, 16 << 10, 20_000, 40_000, 64 << 10] {
        for room in [4 << 10, 32 << 10, 128 << 10, 256 << 10] {
            for of in [1, 2, 16] {
                let (pinned, counted) = kept_alive(len, room, of);
                let most = 2 * counted + 1024;
                assert!(
                    pinned <= most,
                    "{pinned} bytes are held by {counted} in messages of {len}, one in {of} kept, \
                     {room} read at once"
                );
            }
        }
    }
}
