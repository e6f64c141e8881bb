//! What erl_ext_dist says and what real nodes do, as hex in and hex out. The bytes were made, and
//! the refusals were tried, on OTP 25 and OTP 29.

use num_bigint::BigInt;

use crate::{
    Atom, DecodeError, Export, Limits, NativeRecord, Pid, Port, Reference, Term, TermRef, decode,
    decode_bare, decode_prefix, decode_ref, decode_ref_bare, decode_shared, decode_shared_bare,
    encode, encode_bare, inflate,
};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
    pairs
        .map(|pair| u8::from_str_radix(&pair, 16).expect("hex"))
        .collect()
}

/// A node writes `hex` for `term`, and so do we; both decoders read it.
#[track_caller]
fn check(term: impl Into<Term>, hex: &str) {
    let term = term.into();
    assert_eq!(encode(&term), bytes(hex), "encoding of {term}");
    assert_eq!(encode_bare(&term), bytes(hex)[1..], "encoding of {term}");
    check_read(term, hex);
}

/// `hex` is read as `term`, though we write something else.
#[track_caller]
fn check_read(term: impl Into<Term>, hex: &str) {
    let (term, bytes) = (term.into(), bytes(hex));
    let limits = Limits::default();
    assert_eq!(decode(&bytes, &limits), Ok(term.clone()));
    assert_eq!(
        decode_shared(&bytes::Bytes::from(bytes.clone()), &limits),
        Ok(term.clone())
    );
    assert_eq!(
        decode_ref(&bytes, &limits).and_then(|view| view.to_term()),
        Ok(term.clone())
    );
    let bare = bytes::Bytes::copy_from_slice(&bytes[1..]);
    assert_eq!(decode_bare(&bare, &limits), Ok(term.clone()));
    assert_eq!(decode_shared_bare(&bare, &limits), Ok(term.clone()));
    assert_eq!(
        decode_ref_bare(&bare, &limits).and_then(|view| view.to_term()),
        Ok(term.clone())
    );
    let mut longer = bytes.clone();
    longer.push(131);
    assert_eq!(decode_prefix(&longer, &limits), Ok((term, bytes.len())));
}

#[track_caller]
fn check_refused(hex: &str, error: DecodeError) {
    let bytes = bytes(hex);
    assert_eq!(decode(&bytes, &Limits::default()), Err(error));
    let borrowed = decode_ref(&bytes, &Limits::default()).and_then(|view| view.to_term());
    assert_eq!(borrowed, Err(error));
}

fn atom(name: &'static str) -> Atom {
    Atom::from_static(name)
}

#[test]
fn integers_take_the_shortest_form() {
    check(0, "83 61 00");
    check(255, "83 61 ff");
    check(256, "83 62 00000100");
    check(-1, "83 62 ffffffff");
    check(i32::MIN, "83 62 80000000");
    check(2_147_483_648_i64, "83 6e 04 00 00000080");
    check(i64::MIN, "83 6e 08 01 00000000 00000080");
    check(u64::MAX, "83 6e 08 00 ffffffff ffffffff");
}

#[test]
fn integers_of_more_than_255_bytes_are_large_bigs() {
    let hex = format!("83 6f 00000101 00 {} 01", "00".repeat(256));
    check(BigInt::from(1) << (8 * 256), &hex);
    check(
        BigInt::from(-1) << (8 * 254),
        &format!("83 6e ff 01 {} 01", "00".repeat(254)),
    );
}

#[test]
fn integers_are_read_in_any_form_that_a_node_reads() {
    check_read(5, "83 6e 03 00 05 00 00");
    check_read(-5, "83 6e 01 07 05");
    check_read(0, "83 6e 00 00");
    check_read(0, "83 6e 01 01 00");
    check_read(5, "83 6f 00000001 00 05");
    check_read(i64::MIN, "83 6f 00000009 01 00000000 00000080 00");
}

#[test]
fn floats_are_eight_bytes_and_once_were_text() {
    check(1.5, "83 46 3ff8000000000000");
    let text = "312e35303030303030303030303030303030303030 30652b3030 0000000000";
    check_read(1.5, &format!("83 63 {text}"));
    check_refused(&format!("83 63 {}", "78".repeat(31)), DecodeError::BadFloat);
    check_refused(
        &format!("83 63 6e616e {}", "00".repeat(28)),
        DecodeError::BadFloat,
    );
    check_refused("83 46 7ff0000000000000", DecodeError::BadFloat);
    check_refused("83 46 7ff8000000000000", DecodeError::BadFloat);
}

#[test]
fn floats_that_no_node_reads_are_written_as_atoms() {
    assert_eq!(encode(&Term::Float(f64::NAN)), encode(&Term::atom("nan")));
    assert_eq!(
        encode(&Term::Float(f64::INFINITY)),
        encode(&Term::atom("infinity"))
    );
    assert_eq!(
        encode(&Term::Float(f64::NEG_INFINITY)),
        encode(&Term::atom("-infinity"))
    );
}

#[test]
fn atoms_are_utf8_and_once_were_latin1() {
    check(Term::atom("ok"), "83 77 02 6f6b");
    check(Term::atom(""), "83 77 00");
    check(Term::atom("é"), "83 77 02 c3a9");
    check_read(Term::atom("é"), "83 64 0001 e9");
    check_read(Term::atom("é"), "83 73 01 e9");
    check_read(Term::atom("ok"), "83 76 0002 6f6b");
    check_refused("83 77 01 e9", DecodeError::BadUtf8);
}

#[test]
fn atoms_have_255_characters_of_any_width() {
    let long = Atom::new(&"é".repeat(255)).expect("255 characters");
    check(long, &format!("83 76 01fe {}", "c3a9".repeat(255)));
    check_refused(
        &format!("83 76 0100 {}", "61".repeat(256)),
        DecodeError::AtomTooLong,
    );
    check_refused(
        &format!("83 64 0100 {}", "61".repeat(256)),
        DecodeError::AtomTooLong,
    );
    assert!(Atom::new(&"a".repeat(256)).is_err());
}

#[test]
fn lists_of_bytes_are_strings() {
    check(Term::charlist("abc"), "83 6b 0003 616263");
    check(Term::nil(), "83 6a");
    check(
        Term::list([1.into(), Term::atom("a")]),
        "83 6c 00000002 61 01 77 01 61 6a",
    );
    check_read(Term::nil(), "83 6b 0000");
    let long = Term::charlist(&"a".repeat(65536));
    check(long, &format!("83 6c 00010000 {} 6a", "6161".repeat(65536)));
}

#[test]
fn lists_have_any_tail_and_a_list_as_tail_goes_on() {
    let improper = Term::improper(vec![1.into()], 2.into());
    check(improper, "83 6c 00000001 61 01 61 02");
    check_read(Term::nil(), "83 6c 00000000 6a");
    check_read(1, "83 6c 00000000 61 01");
    let chain = "83 6c 00000001 61 01 6c 00000001 61 02 6b 0002 6162";
    check_read(Term::charlist("\u{1}\u{2}ab"), chain);
    let improper = Term::improper(vec![1.into(), 2.into()], Term::atom("t"));
    check_read(improper, "83 6c 00000001 61 01 6c 00000001 61 02 77 01 74");
}

#[test]
fn tuples_are_small_up_to_255_elements() {
    check(Term::tuple([]), "83 68 00");
    let hex = |head: &str, len| format!("83 {head} {}", "6a".repeat(len));
    check(Term::Tuple(vec![Term::nil(); 255]), &hex("68 ff", 255));
    check(
        Term::Tuple(vec![Term::nil(); 256]),
        &hex("69 00000100", 256),
    );
}

#[test]
fn binaries_may_end_within_a_byte() {
    check(Term::binary("x"), "83 6d 00000001 78");
    check(Term::bit_string(&[0xa0], 3), "83 4d 00000001 03 a0");
    // A node clears the bits that do not count, too.
    check_read(Term::bit_string(&[0xe0], 3), "83 4d 00000001 03 ff");
    check_read(Term::binary([0xff]), "83 4d 00000001 08 ff");
    check_read(Term::binary(""), "83 4d 00000000 00");
    for (hex, bytes, bits) in [
        ("00000000 01", 0, 1),
        ("00000000 08", 0, 8),
        ("00000001 00 ff", 1, 0),
        ("00000001 09 ff", 1, 9),
    ] {
        check_refused(
            &format!("83 4d {hex}"),
            DecodeError::BadBitString { bytes, bits },
        );
    }
}

#[test]
fn maps_keep_their_order_and_refuse_a_key_twice() {
    check(
        Term::map([(Term::atom("a"), 1.into())]),
        "83 74 00000001 77 01 61 61 01",
    );
    check(
        Term::Map(vec![(2.into(), 1.into()), (1.into(), 2.into())]),
        "83 74 00000002 6102 6101 6101 6102",
    );
    check_refused(
        "83 74 00000002 6101 6102 6101 6103",
        DecodeError::DuplicateKey,
    );
    check_refused(
        "83 74 00000002 6101 6102 62 00000001 6103",
        DecodeError::DuplicateKey,
    );
    let float = Term::Map(vec![(1.into(), 2.into()), (1.0.into(), 3.into())]);
    check(float, "83 74 00000002 6101 6102 46 3ff0000000000000 6103");
}

#[test]
fn a_key_twice_is_found_among_many_and_inside_maps() {
    let mut pairs: Vec<_> = (0..1000).map(|key| (Term::Int(key), Term::nil())).collect();
    assert!(decode(&encode(&Term::Map(pairs.clone())), &Limits::default()).is_ok());
    pairs[3].0 = 777.into();
    let refused = decode(&encode(&Term::Map(pairs)), &Limits::default());
    assert_eq!(refused, Err(DecodeError::DuplicateKey));
    // #{#{a => 1, b => 2} => 0, #{b => 2, a => 1} => 0}
    let (a, b) = ("77 01 61 61 01", "77 01 62 61 02");
    let twice = format!("83 74 00000002 74 00000002 {a} {b} 61 00 74 00000002 {b} {a} 61 00");
    check_refused(&twice, DecodeError::DuplicateKey);
}

#[test]
fn pids_ports_and_references_once_had_small_creations() {
    check(
        Pid::new(atom("a@b"), 7, 1, 9),
        "83 58 77 03 614062 00000007 00000001 00000009",
    );
    check_read(
        Pid::new(atom("a@b"), 7, 1, 1),
        "83 67 77 03 614062 00000007 00000001 01",
    );
    check_read(
        Port::new(atom("a@b"), 7, 1),
        "83 66 77 03 614062 00000007 01",
    );
    let reference = |ids: &[u32]| Reference::new(atom("a@b"), 7, ids).expect("few words");
    check(
        reference(&[1, 2, 3]),
        "83 5a 0003 77 03 614062 00000007 00000001 00000002 00000003",
    );
    check_read(
        reference(&[5, 6]),
        "83 72 0002 77 03 614062 07 00000005 00000006",
    );
    check_read(reference(&[5]), "83 65 77 03 614062 00000005 07");
    check_refused(
        "83 5a 0000 77 03 614062 00000007",
        DecodeError::BadReference { words: 0 },
    );
    let six = format!("83 5a 0006 77 03 614062 00000007 {}", "00000001".repeat(6));
    check_refused(&six, DecodeError::BadReference { words: 6 });
    check_refused("83 58 61 01", DecodeError::NotAnAtom { tag: 97 });
}

/// OTP 25 still writes the short form for ids below 2^28.
#[test]
fn ports_are_written_long_and_read_in_any_form() {
    let port = Port::new(atom("a@b"), 7, 9);
    check(
        port.clone(),
        "83 78 77 03 614062 00000000 00000007 00000009",
    );
    check_read(port, "83 59 77 03 614062 00000007 00000009");
}

#[test]
fn exports_name_a_function() {
    let export = Export::new(atom("lists"), atom("map"), 2);
    check(export.clone(), "83 71 77 05 6c69737473 77 03 6d6170 61 02");
    check_read(export, "83 71 77 05 6c69737473 77 03 6d6170 62 00000002");
    check_refused("83 71 77 01 6d 77 01 66 62 00000100", DecodeError::BadFun);
}

/// `fun(X) -> X + F end` of module `nr`, with F = 3.
const CLOSURE: &str = "83 70 00000044 01 b2ddad04ef0be258e786c1cc761a0942 00000000 00000000
    77 02 6e72 61 00 62 0596ed68 58 77 0d 6e6f6e6f6465406e6f686f7374 00000000 00000000 00000000";

#[test]
fn closures_are_kept_byte_by_byte() {
    let term = decode(&bytes(CLOSURE), &Limits::default()).expect("a closure");
    let Term::Fun(fun) = &term else {
        panic!("{term} is no fun")
    };
    assert_eq!((fun.module().as_str(), fun.arity()), ("nr", 1));
    assert_eq!(term.to_string(), "#Fun<nr/1>");
    check(term, CLOSURE);
}

#[test]
fn closures_are_checked_inside() {
    let whole = bytes(CLOSURE);
    let with = |at: usize, byte: u8| {
        let mut changed = whole.clone();
        changed[at] = byte;
        decode(&changed, &Limits::default())
    };
    assert_eq!(
        with(5, 0x45),
        Err(DecodeError::Truncated),
        "size beyond the end"
    );
    assert_eq!(
        with(5, 0x43),
        Err(DecodeError::Truncated),
        "size within the pid"
    );
    assert_eq!(
        with(5, 0x03),
        Err(DecodeError::BadFun),
        "size within itself"
    );
    assert_eq!(
        with(30, 0x01),
        Err(DecodeError::Truncated),
        "a free variable announced"
    );
    assert_eq!(
        with(35, 70),
        Err(DecodeError::BadFun),
        "an index that is a float"
    );
    let mut longer = whole.clone();
    longer[5] += 1;
    longer.push(106);
    let trailing = Err(DecodeError::Trailing { count: 1 });
    assert_eq!(
        decode(&longer, &Limits::default()),
        trailing,
        "a free variable not announced"
    );
}

#[test]
fn native_records_have_names_first_and_then_values() {
    let record = |name, exported, fields: &[(&'static str, Term)]| {
        let fields = fields
            .iter()
            .map(|(name, value)| (atom(name), value.clone()))
            .collect();
        NativeRecord::new(atom("nr"), atom(name), exported, fields)
    };
    let pair = record("pair", false, &[("a", 3.into()), ("b", 2.into())]);
    assert_eq!(pair.get("b"), Some(&2.into()));
    assert_eq!(
        Term::from(pair.clone()).to_string(),
        "#nr:pair{a = 3,b = 2}"
    );
    check(
        pair,
        "83 43 00000002 00 77 02 6e72 77 04 70616972 77 01 61 77 01 62 61 03 61 02",
    );
    let public = record("pub", true, &[("x", Term::nil())]);
    check(
        public,
        "83 43 00000001 01 77 02 6e72 77 03 707562 77 01 78 6a",
    );
    check(
        record("none", false, &[]),
        "83 43 00000000 00 77 02 6e72 77 04 6e6f6e65",
    );
}

#[test]
fn compressed_terms_are_inflated() {
    let hex = "83 50 00000067 789ccb664849a4030000cccb26b4";
    let term = Term::charlist(&"a".repeat(100));
    let limits = Limits::default();
    assert_eq!(decode(&bytes(hex), &limits), Ok(term.clone()));
    assert_eq!(
        decode_prefix(&bytes(&format!("{hex} 83 6a")), &limits),
        Ok((term.clone(), 20))
    );
    let plain = inflate(&bytes(hex), &limits).expect("zlib").into_owned();
    assert_eq!(plain, encode(&term));
    assert_eq!(decode_bare(&bytes(hex)[1..], &limits), Ok(term));
    assert_eq!(
        decode_ref(&bytes(hex), &limits).err(),
        Some(DecodeError::Compressed)
    );
}

#[test]
fn compressed_terms_inflate_to_what_they_announce() {
    let refused = |hex: &str, limits: &Limits| decode(&bytes(hex), limits).err();
    let limits = Limits::default();
    for size in ["00000066", "00000068", "00000000", "06000000"] {
        let hex = format!("83 50 {size} 789ccb664849a4030000cccb26b4");
        assert_eq!(
            refused(&hex, &limits),
            Some(DecodeError::BadCompression),
            "{size}"
        );
    }
    let hex = "83 50 00000067 789ccb664849a4030000cccb26b4";
    let small = Limits::default().with_max_bytes(102);
    let too_large = DecodeError::TooLarge {
        bytes: 103,
        limit: 102,
    };
    assert_eq!(refused(hex, &small), Some(too_large));
    assert_eq!(
        refused(&hex[..40], &limits),
        Some(DecodeError::BadCompression)
    );
}

#[test]
fn what_only_one_node_or_nobody_understands_is_refused_by_name() {
    check_refused("83 52 00", DecodeError::AtomCacheRef);
    check_refused(
        "83 58 52 00 00000007 00000001 00000009",
        DecodeError::AtomCacheRef,
    );
    check_refused("83 79 00 00", DecodeError::LocalTerm);
    check_refused("83 75 00000000", DecodeError::ObsoleteFun);
    check_refused("83 68 01 83 61 01", DecodeError::UnknownTag { tag: 131 });
    check_refused("83 68 01 50 00000001", DecodeError::UnknownTag { tag: 80 });
    check_refused("82 6a", DecodeError::BadVersion { found: 130 });
    check_refused("", DecodeError::Truncated);
    check_refused("83", DecodeError::Truncated);
    check_refused("83 6a 6a", DecodeError::Trailing { count: 1 });
}

#[test]
fn announced_lengths_beyond_the_input_are_cut_off_terms() {
    for head in ["6c", "69", "74", "6d", "6f"] {
        check_refused(&format!("83 {head} ffffffff 6a 6a"), DecodeError::Truncated);
    }
    check_refused(
        "83 43 ffffffff 00 77 00 77 00 77 00",
        DecodeError::Truncated,
    );
    // The inner list has bytes for two elements, but one of them is owed to the outer one.
    let inner = bytes("83 6c 00000002 6c 00000002 6a 6a");
    assert_eq!(
        decode(&inner, &Limits::default()),
        Err(DecodeError::Truncated)
    );
}

#[test]
fn elements_are_limited_over_all_containers() {
    let term = Term::list(vec![
        Term::charlist("aaa"),
        Term::tuple([Term::nil(), Term::nil()]),
    ]);
    let decode_with = |terms| decode(&encode(&term), &Limits::default().with_max_terms(terms));
    assert_eq!(decode_with(7), Ok(term.clone()));
    assert_eq!(decode_with(6), Err(DecodeError::TooManyTerms));
    let borrowed = |terms| {
        TermRef::parse(&encode(&term), &Limits::default().with_max_terms(terms)).map(|_| ())
    };
    assert_eq!(borrowed(7), Ok(()));
    assert_eq!(borrowed(6), Err(DecodeError::TooManyTerms));
}
