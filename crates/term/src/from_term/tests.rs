//! What terms are as Rust values, and what is said of those that are not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use num_bigint::BigInt;
use proptest::prelude::*;

use crate::{
    Atom, Charlist, FromTerm, FromTermError, Limits, MAX_TYPED_DEPTH, Mismatch, PathStep, Term,
    TermView, ToTerm, decode_ref, encode,
};

/// Reads `term` in both ways, which must agree.
#[track_caller]
fn read<T: FromTerm + Debug>(term: &Term) -> Result<T, FromTermError> {
    let bytes = encode(term);
    let view = decode_ref(&bytes, &Limits::default()).expect("our own encoding");
    let (owned, borrowed) = (T::from_term(term), T::from_ref(view));
    assert_eq!(format!("{owned:?}"), format!("{borrowed:?}"));
    borrowed
}

#[track_caller]
fn takes<T: FromTerm + Debug + PartialEq>(term: Term, value: T) {
    assert_eq!(read(&term), Ok(value));
}

#[track_caller]
fn refuses<T: FromTerm + Debug>(term: Term, why: &str) {
    let error = read::<T>(&term).expect_err("another term");
    assert_eq!(error.to_string(), why);
}

fn text(text: &str) -> Term {
    Term::binary(text)
}

#[test]
fn integers_are_taken_if_they_fit() {
    takes(Term::Int(255), 255_u8);
    takes(Term::from(u64::MAX), u64::MAX);
    takes(Term::from(BigInt::from(i128::MIN)), i128::MIN);
    refuses::<u8>(Term::Int(256), "the number does not fit u8");
    refuses::<u32>(Term::Int(-1), "the number does not fit u32");
    refuses::<i64>(Term::from(u64::MAX), "the number does not fit i64");
    refuses::<u8>(Term::Float(1.0), "expected an integer, found a float");
    refuses::<char>(Term::Int(0xd800), "the number does not fit char");
}

#[test]
fn floats_take_integers_that_they_hold_exactly() {
    takes(Term::Int(-3), -3.0);
    takes(Term::Int(1 << 53), 9_007_199_254_740_992.0);
    refuses::<f64>(Term::Int((1 << 53) + 1), "the number does not fit f64");
    refuses::<f32>(Term::Float(1e300), "the number does not fit f32");
    takes(Term::atom("-infinity"), f64::NEG_INFINITY);
    assert!(read::<f32>(&Term::atom("nan")).expect("nan").is_nan());
}

#[test]
fn text_is_a_binary_unless_a_charlist_is_asked_for() {
    takes(text("é"), String::from("é"));
    refuses::<String>(Term::charlist("ab"), "expected a binary, found a list");
    refuses::<String>(Term::atom("ab"), "expected a binary, found an atom");
    refuses::<String>(Term::binary([0xff]), "the binary is not utf-8 text");
    takes(Term::charlist("é日"), Charlist::from("é日"));
    takes(Term::nil(), Charlist::from(""));
    refuses::<Charlist>(text("ab"), "expected a list, found a binary");
    refuses::<Charlist>(Term::list([Term::Int(-1)]), "the list is not a charlist");
}

#[test]
fn nothing_is_nil_or_undefined() {
    takes(Term::atom("nil"), None::<u8>);
    takes(Term::atom("undefined"), None::<Box<str>>);
    takes(Term::Int(1), Some(1));
    refuses::<Option<u8>>(Term::atom("none"), "expected an integer, found an atom");
}

#[test]
fn results_are_read_as_erlang_returns_them() {
    type Get = Result<u8, Atom>;
    let tagged = |tag, value| Term::tuple([Term::atom(tag), value]);
    takes::<Get>(tagged("ok", Term::Int(1)), Ok(1));
    takes::<Get>(
        tagged("error", Term::atom("enoent")),
        Err(Atom::from_static("enoent")),
    );
    takes(Term::atom("ok"), Ok::<(), Atom>(()));
    takes(Term::atom("error"), Err::<u8, ()>(()));
    refuses::<Get>(Term::atom("ok"), "expected one of ok, error");
    refuses::<Get>(
        tagged("ok", Term::nil()),
        "[1]: expected an integer, found a list",
    );
    refuses::<Get>(
        tagged("okay", Term::nil()),
        "[0]: expected one of ok, error",
    );
}

#[test]
fn lists_are_proper_and_of_one_type() {
    takes(Term::charlist("ab"), vec![97_u8, 98]);
    takes(Term::charlist("ab"), [97_u8, 98]);
    takes(Term::list([Term::nil()]), vec![Vec::<u8>::new()]);
    takes(Term::charlist("aab"), BTreeSet::from([97, 98]));
    refuses::<[u8; 3]>(Term::charlist("ab"), "expected 3 elements, found 2");
    refuses::<Vec<u8>>(text("ab"), "expected a list, found a binary");
    refuses::<Vec<u8>>(
        Term::improper(vec![Term::Int(1)], Term::Int(2)),
        "expected a list, found an improper list",
    );
}

#[test]
fn tuples_have_as_many_elements_as_asked_for() {
    takes(
        Term::tuple([Term::Int(1), text("a")]),
        (1, String::from("a")),
    );
    refuses::<(u8,)>(Term::tuple([]), "expected 1 elements, found 0");
}

#[test]
fn maps_have_no_key_twice_in_rust_either() {
    let map = Term::map([(text("a"), Term::Int(1)), (text("b"), Term::Int(2))]);
    takes(
        map,
        BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]),
    );
    let one = Term::map([(text("a"), Term::Int(1))]);
    takes(one, HashMap::from([("a".to_owned(), 1)]));
    let both = Term::map([
        (Term::atom("nil"), Term::Int(1)),
        (Term::atom("undefined"), Term::Int(2)),
    ]);
    refuses::<BTreeMap<Option<u8>, u8>>(both, "[undefined]: the key occurs twice");
}

#[test]
fn an_error_names_the_way_to_it() {
    type Deep = BTreeMap<String, Vec<(u8, Option<Arc<str>>)>>;
    let pair = Term::tuple([Term::Int(1), Term::Int(2)]);
    let term = Term::map([(text("k"), Term::list([pair]))]);
    let why = "[<<\"k\">>][0][1]: expected a binary, found an integer";
    refuses::<Deep>(term.clone(), why);
    let error = Deep::from_term(&term).expect_err("no text");
    let path: Vec<_> = error.path().cloned().collect();
    assert_eq!(
        path,
        [
            PathStep::Value(text("k")),
            PathStep::Index(0),
            PathStep::Index(1)
        ]
    );
    refuses::<Deep>(
        Term::map([(Term::Int(1), Term::nil())]),
        "[key]: expected a binary, found an integer",
    );
}

/// A list of lists of lists.
#[derive(Debug, PartialEq)]
struct Nest(Vec<Nest>);

impl FromTerm for Nest {
    fn from_view(term: TermView<'_>) -> Result<Self, FromTermError> {
        Vec::from_view(term).map(Self)
    }
}

#[test]
fn a_recursive_type_is_read_only_so_deep() {
    let nested = |levels: usize| (1..levels).fold(Term::nil(), |inner, _| Term::list([inner]));
    assert!(read::<Nest>(&nested(MAX_TYPED_DEPTH)).is_ok());
    for levels in [MAX_TYPED_DEPTH + 1, 1000] {
        let error = Nest::from_term(&nested(levels)).expect_err("too deep");
        assert_eq!(error.mismatch(), &Mismatch::TooDeep);
    }
    takes(nested(1000), nested(1000));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn reading_undoes_writing(
        value: (i64, Vec<String>, BTreeMap<u64, Option<bool>>, Result<char, i128>, [u8; 3], Vec<f64>),
    ) {
        let term = value.to_term();
        prop_assert_eq!(read(&term), Ok(value));
    }
}
