//! What Rust values are as terms, and that both ways of writing them say the same.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use num_bigint::BigInt;

use crate::{Atom, Binary, Charlist, Encoder, Limits, Pid, Term, ToTerm, decode};

/// Claims that `value` is the term printed as `printed`, as a tree and on the wire.
#[track_caller]
fn check(value: impl ToTerm, printed: &str) {
    let term = value.to_term();
    assert_eq!(term.to_string(), printed);
    let mut bytes = Vec::new();
    value.encode_with(&mut Encoder::new(&mut bytes));
    assert_eq!(decode(&bytes, &Limits::default()), Ok(term));
}

#[test]
fn numbers_are_numbers_of_any_width() {
    check(-128_i8, "-128");
    check(u16::MAX, "65535");
    check(u64::MAX, "18446744073709551615");
    check(i128::MIN, "-170141183460469231731687303715884105728");
    check(usize::MAX, "18446744073709551615");
    check(
        BigInt::from(u128::MAX),
        "340282366920938463463374607431768211455",
    );
    check(1.5_f32, "1.5");
    check('é', "233");
}

#[test]
fn what_is_no_finite_number_is_an_atom_on_the_wire() {
    for (float, name) in [
        (f64::NAN, "nan"),
        (f64::INFINITY, "infinity"),
        (f64::NEG_INFINITY, "-infinity"),
    ] {
        let mut bytes = Vec::new();
        float.encode_with(&mut Encoder::new(&mut bytes));
        let term = decode(&bytes, &Limits::default()).expect("an atom");
        assert!(term.is_atom(name), "{term}");
    }
}

#[test]
fn text_is_a_binary_and_never_an_atom() {
    check("true", "<<\"true\">>");
    check(String::from("nil"), "<<\"nil\">>");
    check(Cow::Borrowed("x"), "<<\"x\">>");
    check(Box::<str>::from("x"), "<<\"x\">>");
}

#[test]
fn a_charlist_is_a_list_of_code_points_beyond_bytes_too() {
    assert_eq!(Charlist::from("ab").to_term(), Term::charlist("ab"));
    for text in ["", "ab", "é", "日本"] {
        let mut bytes = Vec::new();
        Charlist::from(text).encode_with(&mut Encoder::new(&mut bytes));
        let term = decode(&bytes, &Limits::default()).expect("a list");
        assert_eq!(term.to_charlist_text().as_deref(), Some(text));
    }
}

#[test]
fn what_is_there_or_not_is_nil_or_the_value() {
    check(None::<u8>, "nil");
    check(Some(1_u8), "1");
    check(Some(&&1_u8), "1");
}

#[test]
fn results_are_tagged_and_bare_where_nothing_is_inside() {
    check(Ok::<_, ()>(1), "{ok,1}");
    check(Err::<(), _>("no"), "{error,<<\"no\">>}");
    check(Ok::<_, Atom>(()), "ok");
    check(Ok::<_, Atom>(Box::new(())), "ok");
    check(Err::<u8, _>(()), "error");
}

#[test]
fn sequences_are_lists_and_tuples_are_tuples() {
    check([] as [u8; 0], "[]");
    check(vec![300, -1], "[300,-1]");
    check(
        vec![1_u8, 2, 3],
        &Term::List([1, 2, 3].map(Term::Int).into()).to_string(),
    );
    check(BTreeSet::from(["b", "a"]), "[<<\"a\">>,<<\"b\">>]");
    check((1, true, Atom::from_static("x")), "{1,true,x}");
    check((1,), "{1}");
    check(
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
        "{1,2,3,4,5,6,7,8,9,10,11,12}",
    );
}

#[test]
fn maps_are_maps_without_a_key_twice() {
    let map = BTreeMap::from([(1, "a"), (2, "b")]);
    check(map, "#{1 => <<\"a\">>,2 => <<\"b\">>}");
    // Both keys are the atom nil; the greater one comes last.
    let twice = BTreeMap::from([(None, 1), (Some(Atom::from_static("nil")), 2)]);
    check(twice, "#{nil => 2}");
    let hashed: HashMap<u8, u8> = (0..100).map(|n| (n, n)).collect();
    check(
        &hashed,
        &Term::map((0..100).map(|n| (Term::Int(n), Term::Int(n)))).to_string(),
    );
}

#[test]
fn what_only_erlang_has_stays_what_it_is() {
    let pid = Pid::new(Atom::from_static("a@h"), 1, 2, 3);
    assert_eq!(Arc::new(pid.clone()).to_term(), Term::from(pid));
    check(Bytes::from_static(b"ab"), "<<\"ab\">>");
    check(Binary::copy_from_slice(&[255]), "<<255>>");
    check(Term::nil(), "[]");
}
