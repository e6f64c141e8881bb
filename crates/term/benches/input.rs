//! What is decoded and encoded, and how a borrowed term is walked.

use enmesh_term::{Atom, Pid, Reference, Term, TermRef, encode};

/// A thousand maps as an application sends them.
pub(crate) fn thousand_maps() -> Vec<u8> {
    let user = |id: i64| {
        Term::Map(vec![
            (Term::atom("id"), Term::Int(id)),
            (
                Term::atom("name"),
                Term::binary(format!("user number {id}")),
            ),
            (
                Term::atom("email"),
                Term::binary(format!("user{id}@example.org")),
            ),
            (Term::atom("active"), Term::from(id % 2 == 0)),
            (Term::atom("score"), Term::Float(id as f64 * 1.5)),
            (
                Term::atom("tags"),
                Term::list([Term::atom("staff"), Term::atom("admin")]),
            ),
            (
                Term::atom("seen"),
                Term::tuple([2026.into(), 11.into(), 21.into()]),
            ),
        ])
    };
    encode(&Term::List((0..1000).map(user).collect()))
}

/// What two nodes say to each other most: a small call.
pub(crate) fn call() -> Vec<u8> {
    let node = Atom::from_static("web@10.0.0.1");
    let pid = Pid::new(node.clone(), 117, 0, 1_700_000_000);
    let ids = [161_234, 2_345_678, 345_678_901];
    let tag = Reference::new(node, 1_700_000_000, &ids).expect("three words");
    let request = Term::tuple([Term::atom("get"), Term::binary("key-1")]);
    let from = Term::tuple([pid.into(), tag.into()]);
    encode(&Term::tuple([Term::atom("$gen_call"), from, request]))
}

/// Looks at every leaf, so that lazy elements are read.
pub(crate) fn visit(view: TermRef<'_>) -> usize {
    match view {
        TermRef::List(list) => list.iter().map(visit).sum(),
        TermRef::Tuple(tuple) => tuple.iter().map(visit).sum(),
        TermRef::Map(map) => map
            .iter()
            .map(|(key, value)| visit(key) + visit(value))
            .sum(),
        TermRef::Binary(bytes) => bytes.len(),
        TermRef::Int(int) => int as usize & 1,
        _ => 1,
    }
}
