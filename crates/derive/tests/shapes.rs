//! What derived structs and enums are as terms, and back.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

use enmesh_derive::{FromTerm, ToTerm};
use enmesh_term::{
    Atom, Charlist, Encoder, FromTerm, Limits, MAX_TYPED_DEPTH, Mismatch, Pid, Term, ToTerm,
    decode, decode_ref, encode,
};
use proptest::prelude::*;

#[path = "../../term/tests/otp/any_term.rs"]
mod any_term;

use any_term::any_term;

/// Claims that `value` is printed so as a term, is the same on the wire, and is read back.
#[track_caller]
fn check<T: ToTerm + FromTerm + Debug + PartialEq>(value: T, printed: &str) {
    let term = value.to_term();
    assert_eq!(term.to_string(), printed);
    let mut bytes = Vec::new();
    value.encode_with(&mut Encoder::new(&mut bytes));
    assert_eq!(decode(&bytes, &Limits::default()), Ok(term.clone()));
    takes(&term, value);
}

/// Claims that `term` is read as `value`, owned and borrowed.
#[track_caller]
fn takes<T: FromTerm + Debug + PartialEq>(term: &Term, value: T) {
    assert_eq!(T::from_term(term).as_ref(), Ok(&value));
    let bytes = encode(term);
    let view = decode_ref(&bytes, &Limits::default()).expect("our own encoding");
    assert_eq!(T::from_ref(view), Ok(value));
}

#[track_caller]
fn refuses<T: FromTerm + Debug>(term: &Term, why: &str) {
    let error = T::from_term(term).expect_err("not of this type");
    assert_eq!(error.to_string(), why);
}

fn atom(name: &'static str) -> Term {
    Term::atom(name)
}

#[derive(Debug, Default, PartialEq, ToTerm, FromTerm)]
struct User {
    name: String,
    age: Option<u8>,
    #[term(rename = "e-mail", default)]
    mail: String,
    #[term(default = "seven")]
    lucky: u8,
    #[term(skip)]
    cached: u8,
}

fn seven() -> u8 {
    7
}

#[test]
fn a_struct_is_a_map_of_atoms() {
    let user = User {
        name: "joe".into(),
        cached: 0,
        ..User::default()
    };
    check(
        user,
        "#{name => <<\"joe\">>,age => nil,'e-mail' => <<>>,lucky => 0}",
    );
}

#[test]
fn a_map_may_have_more_keys_and_lack_those_with_a_default() {
    let term = Term::map([
        (atom("name"), Term::binary("joe")),
        (atom("cached"), Term::Int(3)),
        (Term::Int(9), Term::nil()),
    ]);
    let user = User {
        name: "joe".into(),
        lucky: 7,
        ..User::default()
    };
    takes(&term, user);
    refuses::<User>(&Term::map([]), "name: the key is missing");
    refuses::<User>(&Term::nil(), "expected a map, found a list");
    let twice = Term::Map(vec![
        (atom("age"), Term::Int(1)),
        (atom("age"), Term::Int(2)),
    ]);
    refuses::<User>(&twice, "age: the key occurs twice");
}

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
#[term(struct = "Elixir.MyApp.User", deny_unknown)]
struct Elixir {
    tags: Vec<User>,
}

#[test]
fn an_elixir_struct_names_its_module() {
    let empty = Elixir { tags: vec![] };
    check(empty, "#{'__struct__' => 'Elixir.MyApp.User',tags => []}");
    let tags = (atom("tags"), Term::nil());
    refuses::<Elixir>(&Term::map([tags.clone()]), "__struct__: the key is missing");
    let other = (atom("__struct__"), atom("Elixir.Other"));
    refuses::<Elixir>(
        &Term::map([tags.clone(), other]),
        "__struct__: expected the atom 'Elixir.MyApp.User'",
    );
    let right = (atom("__struct__"), atom("Elixir.MyApp.User"));
    refuses::<Elixir>(
        &Term::map([tags, right.clone(), (atom("x"), Term::nil())]),
        "[x]: the key is not known",
    );
    let wrong = Term::list([Term::map([(atom("name"), Term::Int(1))])]);
    refuses::<Elixir>(
        &Term::map([(atom("tags"), wrong), right]),
        "tags[0].name: expected a binary, found an integer",
    );
}

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
#[term(keys = "binary", rename_all = "camelCase")]
struct Json {
    first_name: String,
    r#type: u8,
}

#[test]
fn keys_may_be_binaries_and_spelled_otherwise() {
    let json = Json {
        first_name: "joe".into(),
        r#type: 1,
    };
    check(
        json,
        "#{<<\"firstName\">> => <<\"joe\">>,<<\"type\">> => 1}",
    );
}

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
#[term(record = "point")]
struct Record {
    x: i64,
    #[term(skip)]
    hidden: u8,
    y: i64,
}

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
#[term(tuple)]
struct Named {
    x: i64,
    y: i64,
}

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
struct Pair(u8, String);

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
struct Id(u64);

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
#[term(tuple)]
struct One(u64);

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
struct HealthCheck;

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
#[term(rename = "EXIT")]
struct Exit;

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
#[term(record = "none")]
struct Nothing;

#[test]
fn structs_are_tuples_records_atoms_or_what_is_inside() {
    let (x, y, hidden) = (1, -2, 0);
    check(Record { x, hidden, y }, "{point,1,-2}");
    check(Named { x, y }, "{1,-2}");
    check(Pair(1, "a".into()), "{1,<<\"a\">>}");
    check(Id(9), "9");
    check(One(9), "{9}");
    check(HealthCheck, "health_check");
    check(Exit, "'EXIT'");
    check(Nothing, "{none}");
    let wrong = Term::tuple([atom("point"), Term::Int(1), Term::nil()]);
    refuses::<Record>(&wrong, "y: expected an integer, found a list");
    let other = Term::tuple([atom("line"), Term::Int(1), Term::Int(2)]);
    refuses::<Record>(&other, "[0]: expected the atom point");
    refuses::<Record>(&Term::tuple([]), "expected 3 elements, found 0");
    let pair = Term::tuple([Term::Int(1), Term::Int(1)]);
    refuses::<Pair>(&pair, "[1]: expected a binary, found an integer");
}

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
enum Command {
    Stop,
    #[term(rename = "STOP!")]
    StopNow,
    Ok,
    #[term(rename = "ok")]
    OkWith(Pid),
    Move(i64, i64),
    #[term(rename = "move")]
    MoveAll(Vec<i64>),
    LogIn {
        user: String,
        again: Option<bool>,
    },
    #[term(tuple)]
    LogOut {
        user: String,
    },
    #[term(record = "$gen_call")]
    Call(Box<Command>),
    #[term(struct = "Elixir.Event")]
    Event {
        id: u8,
    },
    #[term(untagged)]
    Number(i64),
    #[term(untagged)]
    Text {
        text: String,
    },
}

#[test]
fn variants_are_atoms_tagged_tuples_structs_or_untagged() {
    check(Command::Stop, "stop");
    check(Command::StopNow, "'STOP!'");
    check(Command::Ok, "ok");
    let pid = Pid::new(Atom::from_static("a@h"), 1, 2, 3);
    check(Command::OkWith(pid.clone()), &format!("{{ok,{pid}}}"));
    check(Command::Move(1, 2), "{move,1,2}");
    check(Command::MoveAll(vec![300]), "{move,[300]}");
    let (user, again) = ("joe".to_owned(), Some(true));
    let log_in = "{log_in,#{user => <<\"joe\">>,again => true}}";
    check(
        Command::LogIn {
            user: user.clone(),
            again,
        },
        log_in,
    );
    check(Command::LogOut { user }, "{log_out,<<\"joe\">>}");
    check(Command::Call(Box::new(Command::Stop)), "{'$gen_call',stop}");
    check(
        Command::Event { id: 1 },
        "#{'__struct__' => 'Elixir.Event',id => 1}",
    );
    check(Command::Number(5), "5");
    check(Command::Text { text: "x".into() }, "#{text => <<\"x\">>}");
}

#[test]
fn what_is_no_variant_is_said_with_all_that_are() {
    let names = "expected one of stop, 'STOP!', ok, ok, move, move, log_in, log_out, \
                 '$gen_call', 'Elixir.Event'";
    refuses::<Command>(&atom("start"), names);
    refuses::<Command>(&Term::tuple([atom("move")]), names);
    let bad = Term::tuple([atom("log_out"), Term::nil()]);
    refuses::<Command>(&bad, "user: expected a binary, found a list");
    let bad = Term::tuple([atom("log_in"), Term::map([])]);
    refuses::<Command>(&bad, "[1].user: the key is missing");
    let longer = Term::tuple([atom("log_out"), Term::nil(), Term::nil()]);
    refuses::<Command>(&longer, "expected 2 elements, found 3");
}

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
#[term(untagged, rename_all = "SCREAMING_SNAKE_CASE")]
enum Value {
    NotYet,
    Int(i64),
    Pair(i64, i64),
    Text(String),
    Both { id: u8 },
}

#[test]
fn an_untagged_enum_is_told_by_its_form() {
    check(Value::NotYet, "'NOT_YET'");
    check(Value::Int(1), "1");
    check(Value::Pair(1, 2), "{1,2}");
    check(Value::Text("a".into()), "<<\"a\">>");
    check(Value::Both { id: 1 }, "#{id => 1}");
    refuses::<Value>(&Term::nil(), "expected one of 'NOT_YET'");
}

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
struct Forms {
    #[term(charlist)]
    file: String,
    #[term(charlist)]
    mode: Option<String>,
    #[term(charlist)]
    args: Vec<String>,
    #[term(binary)]
    body: Vec<u8>,
    #[term(binary)]
    hash: Option<[u8; 2]>,
    #[term(undefined)]
    owner: Option<Pid>,
    host: Charlist,
}

#[test]
fn fields_have_other_forms_if_asked() {
    let forms = Forms {
        file: "é".into(),
        mode: None,
        args: vec!["日".into()],
        body: vec![255],
        hash: Some([1, 2]),
        owner: None,
        host: Charlist::from("日"),
    };
    check(
        forms,
        "#{file => [233],mode => nil,args => [[26085]],body => <<255>>,hash => <<1,2>>,\
         owner => undefined,host => [26085]}",
    );
    let term = Term::map([(atom("file"), Term::binary("é"))]);
    refuses::<Forms>(&term, "file: expected a list, found a binary");
}

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
struct Generic<T, const N: usize>
where
    T: Debug,
{
    all: [T; N],
    by_name: BTreeMap<String, T>,
    next: Option<Box<Generic<T, N>>>,
    #[term(skip)]
    marker: PhantomData<T>,
}

#[derive(ToTerm)]
struct Borrowed<'a, T: ?Sized> {
    text: &'a str,
    #[term(charlist)]
    path: &'a str,
    value: &'a T,
}

#[test]
fn types_have_parameters_and_lifetimes() {
    let generic = |next| Generic {
        all: [1_u8, 2],
        by_name: BTreeMap::new(),
        next,
        marker: PhantomData,
    };
    let term = generic(Some(Box::new(generic(None)))).to_term();
    takes(&term, generic(Some(Box::new(generic(None)))));
    let borrowed = Borrowed {
        text: "a",
        path: "é",
        value: "b",
    };
    let printed = "#{text => <<\"a\">>,path => [233],value => <<\"b\">>}";
    assert_eq!(borrowed.to_term().to_string(), printed);
}

/// Whatever is made of lists, tuples and maps.
#[derive(Debug, PartialEq, ToTerm, FromTerm)]
#[term(untagged)]
enum Any {
    Int(i64),
    Text(String),
    List(Vec<Any>),
    Pair(Box<Any>, Box<Any>),
    Map(BTreeMap<String, Any>),
    Struct { child: Box<Any> },
    Other(Term),
}

#[derive(Debug, PartialEq, ToTerm, FromTerm)]
enum Deep {
    End,
    Tuple(Box<Deep>),
    Map { child: Box<Deep> },
}

#[test]
fn the_deepest_value_fits_a_small_stack() {
    let work = || {
        // Three levels of the term for two of the value.
        let deep = |times| {
            (0..times).fold(Deep::End, |inner, _| {
                let child = Box::new(Deep::Tuple(Box::new(inner)));
                Deep::Map { child }
            })
        };
        check_without_print(&deep(MAX_TYPED_DEPTH / 3));
        let too_deep = deep(MAX_TYPED_DEPTH / 3 + 1).to_term();
        let error = Deep::from_term(&too_deep).expect_err("too deep");
        assert_eq!(error.mismatch(), &Mismatch::TooDeep);
    };
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    let thread = thread.spawn(work).expect("a thread");
    thread.join().expect("no overflow and no failed assertion");
}

fn check_without_print(deep: &Deep) {
    let mut bytes = Vec::new();
    deep.encode_with(&mut Encoder::new(&mut bytes));
    let view = decode_ref(&bytes, &Limits::default()).expect("our own encoding");
    assert_eq!(Deep::from_ref(view).as_ref(), Ok(deep));
    assert_eq!(Deep::from_term(&deep.to_term()).as_ref(), Ok(deep));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_term_is_a_value_or_an_error_whoever_owns_it(term in any_term(), tag in 0..4) {
        let tag = ["move", "log_in", "ok", "point"][usize::try_from(tag).expect("small")];
        for term in [term.clone(), Term::tuple([atom(tag), term.clone()]), Term::list([term])] {
            let bytes = encode(&term);
            let view = decode_ref(&bytes, &Limits::default()).expect("our own encoding");
            prop_assert_eq!(Command::from_ref(view).ok(), Command::from_term(&term).ok());
            prop_assert_eq!(Any::from_ref(view).ok(), Any::from_term(&term).ok());
            prop_assert_eq!(Vec::<Value>::from_ref(view).ok(), Vec::from_term(&term).ok());
        }
    }

    #[test]
    fn reading_undoes_writing(
        file in ".*", mode: Option<String>, args: Vec<String>, body: Vec<u8>, hash: Option<[u8; 2]>,
    ) {
        let host = Charlist(file.clone());
        let forms = Forms { file, mode, args, body, hash, owner: None, host };
        let mut bytes = Vec::new();
        forms.encode_with(&mut Encoder::new(&mut bytes));
        let view = decode_ref(&bytes, &Limits::default()).expect("our own encoding");
        prop_assert_eq!(Forms::from_ref(view), Forms::from_term(&forms.to_term()));
        prop_assert_eq!(Forms::from_ref(view), Ok(forms));
    }
}

/// Nothing tells the first two apart but what lies at the very bottom.
#[derive(Debug, PartialEq, ToTerm, FromTerm)]
#[term(untagged)]
enum Twins {
    Left { child: Box<Twins>, side: u8 },
    Right { child: Box<Twins>, side: String },
    Leaf(u8),
}

fn twins(depth: usize, side: &Term, leaf: Term) -> Term {
    (0..depth).fold(leaf, |child, _| {
        let (keys, values) = (["child", "side"], [child, side.clone()]);
        Term::Map(keys.map(Term::atom).into_iter().zip(values).collect())
    })
}

#[test]
fn a_term_that_fits_only_at_its_bottom_is_tried_within_bounds() {
    let both = |term: &Term| {
        let encoded = encode(term);
        let borrowed = decode_ref(&encoded, &Limits::default()).expect("a term");
        let (owned, borrowed) = (Twins::from_term(term), Twins::from_ref(borrowed));
        assert_eq!(owned.is_ok(), borrowed.is_ok());
        owned
    };
    // In the first, all fails at the bottom; in the second, at each level after its child was read.
    let depth = MAX_TYPED_DEPTH - 1;
    let misfit = twins(depth, &Term::Int(1), Term::atom("misfit"));
    let right = twins(depth, &Term::binary("b"), Term::Int(1));
    for term in [misfit, right] {
        let error = both(&term).expect_err("too many tries");
        assert_eq!(error.mismatch(), &Mismatch::TooManyTries);
    }
    let left = twins(depth, &Term::Int(1), Term::Int(1));
    assert!(both(&left).is_ok(), "the first try fits at each level");
    let shallow = twins(5, &Term::binary("b"), Term::Int(1));
    assert!(both(&shallow).is_ok());
}

fn check_any(value: &Any) {
    let term = value.to_term();
    let encoded = encode(&term);
    let borrowed = decode_ref(&encoded, &Limits::default()).expect("a term");
    assert_eq!(Any::from_term(&term).as_ref(), Ok(value));
    assert_eq!(Any::from_ref(borrowed).as_ref(), Ok(value));
}

#[test]
fn one_wrong_form_at_each_level_is_never_too_many() {
    let deepest = (1..MAX_TYPED_DEPTH).fold(Any::Int(1), |child, _| {
        let child = Box::new(child);
        Any::Struct { child }
    });
    check_any(&deepest);
    let wide = Any::List((0..100_000).map(|_| Any::Text("a".to_owned())).collect());
    check_any(&wide);
}

/// As its own only field, without a container between.
#[derive(Debug, PartialEq, FromTerm)]
struct Again(Option<Box<Again>>);

#[derive(Debug, PartialEq, FromTerm)]
#[term(untagged)]
enum Same {
    Leaf(u8),
    Again(Box<Same>),
}

#[test]
fn a_type_that_is_its_own_only_field_reads_no_term_for_ever() {
    assert_eq!(Again::from_term(&Term::atom("nil")), Ok(Again(None)));
    let error = Again::from_term(&Term::Int(1)).expect_err("never ends");
    assert_eq!(error.mismatch(), &Mismatch::TooDeep);
    assert_eq!(Same::from_term(&Term::Int(1)), Ok(Same::Leaf(1)));
    assert!(Same::from_term(&Term::atom("misfit")).is_err());
}
