//! What serde's data model is as terms, and back.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use proptest::prelude::*;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::{from_term, to_term};
use crate::{Atom, Limits, MAX_TYPED_DEPTH, Mismatch, Pid, SerdeError, Term, decode_ref, encode};

/// Claims that `value` is printed so as a term, and is read back from it.
#[track_caller]
fn check<T: Serialize + DeserializeOwned + Debug + PartialEq>(value: T, printed: &str) {
    let term = to_term(&value).expect("shallow");
    assert_eq!(term.to_string(), printed);
    takes(&term, value);
}

/// Claims that `term` is read as `value`, owned and borrowed.
#[track_caller]
fn takes<T: DeserializeOwned + Debug + PartialEq>(term: &Term, value: T) {
    assert_eq!(from_term(term).as_ref(), Ok(&value));
    let bytes = encode(term);
    let view = decode_ref(&bytes, &Limits::default()).expect("our own encoding");
    assert_eq!(from_term(&view), Ok(value));
}

#[track_caller]
fn refuses<T: DeserializeOwned + Debug>(term: &Term, why: &str) {
    let error = from_term::<T>(term).expect_err("not of this type");
    assert_eq!(error.to_string(), why);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
    age: Option<u8>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tag {
    BigOne,
    Named(String),
    Pair(u8, u8),
    Empty(),
    Struct { id: u64 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct New(i128);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Any {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Any>),
    Map(BTreeMap<String, Any>),
    Nothing,
}

#[test]
fn structs_are_maps_and_variants_are_atoms_or_tagged_tuples() {
    let tags = vec![
        Tag::BigOne,
        Tag::Named("a".into()),
        Tag::Pair(1, 2),
        Tag::Empty(),
        Tag::Struct { id: u64::MAX },
    ];
    let (name, age) = ("joe".to_owned(), None);
    check(
        User { name, age, tags },
        "#{age => nil,name => <<\"joe\">>,tags => [big_one,{named,<<\"a\">>},{pair,1,2},{empty},\
         {struct,#{id => 18446744073709551615}}]}",
    );
    check(Unit, "nil");
    check(New(i128::MIN), "-170141183460469231731687303715884105728");
    check((1_u8, 'a', true, 1.5_f32), "{1,97,true,1.5}");
    check(HashMap::from([(1, "a".to_owned())]), "#{1 => <<\"a\">>}");
}

#[test]
fn what_erlang_writes_otherwise_is_taken() {
    let user = |age| User {
        name: "joe".into(),
        age,
        tags: vec![],
    };
    let binary_keys = Term::map([
        (Term::binary("name"), Term::binary("joe")),
        (Term::Int(7), Term::atom("ignored")),
        (Term::atom("age"), Term::Int(3)),
    ]);
    takes(&binary_keys, user(Some(3)));
    let undefined = Term::map([
        (Term::atom("name"), Term::binary("joe")),
        (Term::atom("age"), Term::atom("undefined")),
    ]);
    takes(&undefined, user(None));
    takes(&Term::tuple([Term::Int(1), Term::Int(2)]), vec![1, 2]);
    takes(&Term::list([Term::Int(1), Term::Int(2)]), (1, 2));
    takes(&Term::charlist("ab"), vec![97, 98]);
    takes(&Term::Int(3), 3.0);
}

#[test]
fn text_may_be_borrowed_from_the_term() {
    let term = Term::list([Term::binary("a"), Term::binary("b")]);
    assert_eq!(from_term::<Vec<&str>>(&term), Ok(vec!["a", "b"]));
}

#[test]
fn an_error_names_the_way_to_it() {
    let tags = Term::list([Term::tuple([Term::atom("pair"), Term::Int(1), Term::nil()])]);
    let term = Term::map([
        (Term::atom("name"), Term::binary("joe")),
        (Term::atom("tags"), tags),
    ]);
    refuses::<User>(&term, "[tags][0][2]: expected an integer, found a list");
    refuses::<User>(&Term::map([]), "missing field `name`");
    let pair = |elements| Term::Tuple([vec![Term::atom("pair")], elements].concat());
    let long = pair(vec![Term::Int(1); 3]);
    refuses::<Tag>(&long, "expected 3 elements, found 4");
    refuses::<Tag>(&Term::tuple([]), "expected 1 elements, found 0");
    refuses::<Tag>(
        &Term::tuple([Term::atom("named")]),
        "expected 2 elements, found 1",
    );
    let unit = Term::tuple([Term::atom("big_one"), Term::Int(1)]);
    refuses::<Tag>(&unit, "expected 1 elements, found 2");
    refuses::<String>(&Term::atom("a"), "expected a binary, found an atom");
    refuses::<Unit>(&Term::Int(1), "expected the atom nil");
    let pid = Term::from(Pid::new(Atom::from_static("a@h"), 1, 2, 3));
    refuses::<Any>(&pid, "expected a term that serde knows, found a pid");
    let improper = Term::improper(vec![Term::Int(1)], Term::Int(2));
    refuses::<Vec<u8>>(&improper, "expected a list, found an improper list");
}

#[test]
fn a_type_that_looks_what_is_there_sees_it() {
    let text = |text: &str| Any::Text(text.into());
    let map = BTreeMap::from([(
        "k".to_owned(),
        Any::List(vec![Any::Nothing, Any::Bool(true)]),
    )]);
    let value = Any::List(vec![Any::Int(1), Any::Float(1.5), text("a"), Any::Map(map)]);
    check(value, "[1,1.5,<<\"a\">>,#{<<\"k\">> => [nil,true]}]");
    takes(&Term::atom("idle"), text("idle"));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nest(Vec<Nest>);

#[test]
fn depth_is_bounded_both_ways_and_what_is_ignored_costs_none() {
    let nested = |levels: usize| (1..levels).fold(Nest(vec![]), |inner, _| Nest(vec![inner]));
    let deepest = to_term(&nested(MAX_TYPED_DEPTH)).expect("as deep as allowed");
    assert_eq!(from_term(&deepest), Ok(nested(MAX_TYPED_DEPTH)));
    assert_eq!(
        to_term(&nested(MAX_TYPED_DEPTH + 1)),
        Err(SerdeError::TooDeep)
    );
    let deeper = Term::list([deepest]);
    refuses::<Nest>(
        &deeper,
        &format!("{}nested deeper than 128 levels", "[0]".repeat(128) + ": "),
    );
    let deep = (0..1000).fold(Term::nil(), |inner, _| Term::list([inner]));
    assert!(from_term::<IgnoredAny>(&deep).is_ok());
}

#[test]
fn keys_that_are_equal_as_terms_are_one() {
    let twice = BTreeMap::from([(None, 1), (Some(()), 2)]);
    let map = to_term(&twice).expect("a map");
    assert_eq!(map.to_string(), "#{nil => 2}");
}

#[test]
fn a_name_too_long_for_an_atom_is_an_error() {
    struct Long;
    impl Serialize for Long {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let name = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
            serializer.serialize_unit_variant("Long", 0, name)
        }
    }
    assert!(matches!(to_term(&Long), Err(SerdeError::Name(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn reading_undoes_writing(
        value: (Vec<String>, BTreeMap<u64, Option<bool>>, (i128, u128), [u8; 3], Vec<f64>, Result<char, String>),
    ) {
        let term = to_term(&value).expect("shallow");
        let owned: Result<_, SerdeError> = from_term(&term);
        prop_assert_eq!(owned.as_ref(), Ok(&value));
        let bytes = encode(&term);
        let view = decode_ref(&bytes, &Limits::default()).expect("our own encoding");
        prop_assert_eq!(from_term(&view), Ok(value));
    }
}

/// Both variants fit any list, so each level is tried twice for each try of the one around.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[allow(dead_code)] // Only that they are tried matters.
enum Alike {
    This(Vec<Alike>),
    That(Vec<Alike>),
    Number(i64),
}

#[test]
fn variants_of_serde_that_nest_alike_take_no_more_time_than_the_term_is_worth() {
    let nested = |depth, inmost| (0..depth).fold(inmost, |term, _| Term::List(vec![term]));
    assert!(from_term::<Alike>(&nested(100, Term::Int(1))).is_ok());
    let few = from_term::<Alike>(&nested(8, Term::atom("x")));
    assert!(matches!(few, Err(SerdeError::Custom { .. })), "{few:?}");
    // Of a hundred bytes, 2 to the power of 60 tries.
    let many = from_term::<Alike>(&nested(60, Term::atom("x"))).unwrap_err();
    assert_eq!(many, SerdeError::Term(Mismatch::TooManyTries.into()));
    // The next value has its own.
    assert!(from_term::<Alike>(&nested(100, Term::Int(1))).is_ok());
}

#[test]
fn too_many_tries_are_an_error_also_while_the_thread_unwinds() {
    struct ReadsAtTheEnd<'a>(&'a mut Option<SerdeError>);
    impl Drop for ReadsAtTheEnd<'_> {
        fn drop(&mut self) {
            let nested = (0..60).fold(Term::atom("x"), |term, _| Term::List(vec![term]));
            *self.0 = from_term::<Alike>(&nested).err();
        }
    }
    let mut error = None;
    let unwinding = std::panic::AssertUnwindSafe(|| {
        let _reads = ReadsAtTheEnd(&mut error);
        std::panic::resume_unwind(Box::new("as planned"))
    });
    let result: Result<(), _> = std::panic::catch_unwind(unwinding);
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&"as planned"));
    let expected = SerdeError::Term(Mismatch::TooManyTries.into());
    assert_eq!(error, Some(expected));
}

#[test]
fn a_long_value_of_variants_that_are_told_apart_is_read_whole() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Json {
        Null(()),
        Bool(bool),
        Number(f64),
        Text(String),
        List(Vec<Json>),
    }
    let row = Term::List(vec![Term::binary("a"), Term::Int(1), Term::atom("true")]);
    let deep = (0..50).fold(row.clone(), |term, _| Term::List(vec![term]));
    let rows = Term::List([vec![row; 5_000], vec![deep]].concat());
    let Ok(Json::List(read)) = from_term::<Json>(&rows) else {
        panic!("it was not read");
    };
    assert_eq!(read.len(), 5_001);
}

#[test]
fn a_panic_of_the_type_itself_is_still_one() {
    struct Broken;
    impl<'de> Deserialize<'de> for Broken {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            std::panic::resume_unwind(Box::new("as planned"))
        }
    }
    let read = std::panic::catch_unwind(|| from_term::<Broken>(&Term::nil()).is_ok());
    assert_eq!(read.unwrap_err().downcast_ref(), Some(&"as planned"));
}
