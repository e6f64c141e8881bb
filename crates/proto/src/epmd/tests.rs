use enmesh_identity::Creation;
use proptest::prelude::*;

use super::*;
use crate::hex::bytes;

fn decode_request(input: &[u8]) -> Result<Option<Request>, RequestError> {
    RequestDecoder::new().feed(input)
}

/// Holds a request against its bytes in both directions.
fn check(request: Request, expected: &str) {
    assert_eq!(request.encode(), bytes(expected), "{request:?}");
    assert_eq!(decode_request(&bytes(expected)), Ok(Some(request)));
}

fn node(name: &str) -> NodeInfo {
    NodeInfo::new(name, 0xa389, NodeType::Visible)
}

#[test]
fn port_please_is_length_tag_then_alive_name() {
    check(Request::PortPlease { name: "a".into() }, "00 02 7a 61");
}

#[test]
fn a_registration_is_as_erl_sends_it() {
    check(
        Request::Alive2(node("b")),
        "000e 78 a389 4d 00 0006 0005 0001 'b' 0000",
    );
    let mut hidden = NodeInfo::new("é", 1, NodeType::Hidden);
    hidden.extra = vec![1, 2];
    check(
        Request::Alive2(hidden),
        "0011 78 0001 48 00 0006 0005 0002 c3a9 0002 0102",
    );
}

#[test]
fn the_short_requests_are_one_byte() {
    check(Request::Names, "0001 'n'");
    check(Request::Dump, "0001 'd'");
    check(Request::Kill, "0001 'k'");
    check(Request::Stop { name: "b".into() }, "0002 'sb'");
}

#[test]
fn a_nul_behind_a_name_is_tolerated() {
    let wanted = Request::PortPlease { name: "a".into() };
    assert_eq!(decode_request(b"\0\x03za\0"), Ok(Some(wanted)));
}

#[test]
fn what_is_no_request_is_refused() {
    let field = RequestError::Field;
    for (input, error) in [
        ("0000", RequestError::Empty),
        ("ffff", RequestError::TooLong { len: 0x10001 }),
        ("0bf2", RequestError::TooLong { len: 3060 }),
        ("0001 'nn'", RequestError::Excess),
        ("0001 'q'", RequestError::Unknown { tag: b'q' }),
        ("0001 'z'", field(FieldError::Name)),
        ("0003 'za' 0a", field(FieldError::Name)),
        ("0002 'z' ff", field(FieldError::Name)),
        (
            "000b 78 a389 4d 00 0006 0005 0001",
            field(FieldError::Short),
        ),
        (
            "000d 78 a389 4d 00 0006 0005 0500 'b' 00",
            field(FieldError::TooLong { len: 0x500 }),
        ),
    ] {
        assert_eq!(decode_request(&bytes(input)), Err(error), "{input}");
    }
}

#[test]
fn the_longest_name_is_255_characters() {
    let longest = "é".repeat(255);
    let request = Request::PortPlease {
        name: longest.clone(),
    };
    assert_eq!(decode_request(&request.encode()), Ok(Some(request)));
    let longer = Request::PortPlease {
        name: longest + "x",
    };
    assert_eq!(
        decode_request(&longer.encode()),
        Err(RequestError::Field(FieldError::Name))
    );
}

#[test]
fn a_port_answer_is_as_epmd_sends_it() {
    let found = PortReply::Found(node("b"));
    let expected = bytes("77 00 a389 4d 00 0006 0005 0001 'b' 0000");
    assert_eq!(found.encode(), expected);
    for cut in 0..expected.len() {
        assert_eq!(PortReply::decode(&expected[..cut]), Ok(None));
    }
    assert_eq!(PortReply::decode(&expected), Ok(Some(found)));
    assert_eq!(
        PortReply::decode(&[&expected[..], b"x"].concat()),
        Err(ReplyError::Excess)
    );
}

#[test]
fn an_unknown_node_is_a_code() {
    assert_eq!(PortReply::NotFound { code: 1 }.encode(), b"w\x01");
    assert_eq!(
        PortReply::decode(b"w\x01"),
        Ok(Some(PortReply::NotFound { code: 1 }))
    );
    assert_eq!(PortReply::decode(b"w"), Ok(None));
    assert_eq!(
        PortReply::decode(b"v\x01"),
        Err(ReplyError::Tag { tag: b'v' })
    );
}

#[test]
fn a_registration_is_answered_with_a_creation_of_the_width_asked_for() {
    for (reply, expected) in [
        (
            AliveReply::Alive2X {
                result: 0,
                creation: Creation::from_wire(0x6b01_82a9),
            },
            "76 00 6b0182a9",
        ),
        (
            AliveReply::Alive2 {
                result: 1,
                creation: 99,
            },
            "79 01 0063",
        ),
    ] {
        let expected = bytes(expected);
        assert_eq!(reply.encode(), expected);
        for cut in 0..expected.len() {
            assert_eq!(AliveReply::decode(&expected[..cut]), Ok(None));
        }
        assert_eq!(AliveReply::decode(&expected), Ok(Some(reply)));
        assert_eq!(
            AliveReply::decode(&[&expected[..], b"x"].concat()),
            Err(ReplyError::Excess)
        );
        assert_eq!(reply.is_registered(), expected[1] == 0);
    }
    assert_eq!(AliveReply::decode(b"w"), Err(ReplyError::Tag { tag: b'w' }));
}

#[test]
fn the_names_are_lines_as_epmd_sends_them() {
    let reply = NamesReply {
        epmd_port: 4369,
        names: vec![("b".into(), 41865)],
    };
    let expected = bytes("00001111 'name b at port 41865' 0a");
    assert_eq!(reply.encode(), expected);
    assert_eq!(NamesReply::decode(&expected), Ok(reply));
    let nobody = NamesReply {
        epmd_port: 4369,
        names: Vec::new(),
    };
    assert_eq!(NamesReply::decode(&bytes("00001111")), Ok(nobody));
}

#[test]
fn a_bad_list_of_names_is_refused() {
    for (input, error) in [
        ("0000", ReplyError::Field(FieldError::Short)),
        ("00001111 'b at port 1'", ReplyError::Line),
        ("00001111 'name b at port 65536' 0a", ReplyError::Line),
        (
            "00001111 'name  at port 1' 0a",
            ReplyError::Field(FieldError::Name),
        ),
    ] {
        assert_eq!(NamesReply::decode(&bytes(input)), Err(error), "{input}");
    }
    assert_eq!(
        NamesReply::decode(&vec![b'\n'; MAX_NAMES + 1]),
        Err(ReplyError::TooLong)
    );
}

#[test]
fn a_name_may_look_like_a_line() {
    let names = vec![("x at port 1".to_owned(), 2)];
    let reply = NamesReply {
        epmd_port: 4369,
        names,
    };
    assert_eq!(NamesReply::decode(&reply.encode()), Ok(reply));
}

fn names() -> impl Strategy<Value = String> {
    "[!-~\u{a1}-\u{ff}]{1,255}"
}

fn nodes() -> impl Strategy<Value = NodeInfo> {
    let extra = prop::collection::vec(any::<u8>(), 0..100);
    (
        names(),
        any::<u16>(),
        any::<[u8; 2]>(),
        any::<[u16; 2]>(),
        extra,
    )
        .prop_map(
            |(name, port, [node_type, protocol], [high, low], extra)| NodeInfo {
                name,
                port,
                node_type: NodeType::from_code(node_type),
                protocol,
                high,
                low,
                extra,
            },
        )
}

proptest! {
    #[test]
    fn requests_decode_to_the_same_in_any_chunking(node in nodes(), size in 1usize..40) {
        let stop = Request::Stop { name: node.name.clone() };
        let please = Request::PortPlease { name: node.name.clone() };
        for request in [Request::Alive2(node), stop, please] {
            let encoded = request.encode();
            let mut decoder = RequestDecoder::new();
            let mut chunks = encoded.chunks(size).peekable();
            while let Some(chunk) = chunks.next() {
                let found = decoder.feed(chunk);
                prop_assert_eq!(found, Ok(chunks.peek().is_none().then(|| request.clone())));
            }
        }
    }

    #[test]
    fn answers_decode_to_the_same(node in nodes(), port in any::<u16>()) {
        let names = NamesReply { epmd_port: 4369, names: vec![(node.name.clone(), port); 3] };
        prop_assert_eq!(NamesReply::decode(&names.encode()), Ok(names));
        let found = PortReply::Found(node);
        prop_assert_eq!(PortReply::decode(&found.encode()), Ok(Some(found)));
    }

    #[test]
    fn any_bytes_give_a_value_or_an_error(
        tag in prop::sample::select(b"xzndksywv".to_vec()),
        rest in prop::collection::vec(any::<u8>(), 0..100),
        size in 1usize..40,
    ) {
        let body = [&[tag], &rest[..]].concat();
        let _ = Request::decode(&body);
        let _ = PortReply::decode(&body);
        let _ = AliveReply::decode(&body);
        let _ = NamesReply::decode(&body);
        let mut decoder = RequestDecoder::new();
        for chunk in rest.chunks(size) {
            if decoder.feed(chunk).is_err() {
                break;
            }
        }
    }
}
