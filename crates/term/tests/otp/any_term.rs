//! Any term that a node can have.

use enmesh_term::{Atom, Export, Pid, Port, Reference, Term};
use num_bigint::{BigInt, Sign};
use proptest::collection::vec;
use proptest::prelude::*;

fn any_atom() -> impl Strategy<Value = Atom> {
    prop_oneof![
        4 => "[a-z][a-z_@0-9]{0,30}",
        1 => "\\PC{0,40}",
        1 => "[é-ü]{200,255}",
    ]
    .prop_map(|name| Atom::new(&name).expect("at most 255 characters"))
}

fn any_node() -> impl Strategy<Value = Atom> {
    "[a-z]{1,8}@[a-z.0-9]{1,20}".prop_map(|name| Atom::new(&name).expect("short"))
}

// A node of OTP 25 writes ports below 2^28 in another form than later ones and we do; claims has
// these.
const FIRST_LONG_PORT: u64 = 1 << 28;

fn any_reference() -> impl Strategy<Value = Reference> {
    // A node of OTP 25 takes 18 bits of the first word only.
    (
        any_node(),
        1_u32..,
        0_u32..1 << 18,
        vec(any::<u32>(), 2..=4),
    )
        .prop_map(|(node, creation, first, mut ids)| {
            ids.insert(0, first);
            Reference::new(node, creation, &ids).expect("three to five words")
        })
}

fn any_leaf() -> impl Strategy<Value = Term> {
    prop_oneof![
        any::<i64>().prop_map(Term::Int),
        any::<i32>().prop_map(Term::from),
        any::<u8>().prop_map(Term::from),
        (
            any::<bool>(),
            prop_oneof![vec(any::<u8>(), 0..30), vec(any::<u8>(), 250..300)]
        )
            .prop_map(|(minus, bytes)| {
                let sign = if minus { Sign::Minus } else { Sign::Plus };
                Term::from(BigInt::from_bytes_le(sign, &bytes))
            }),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(Term::Float),
        any_atom().prop_map(Term::Atom),
        vec(any::<u8>(), 0..100).prop_map(Term::binary),
        (vec(any::<u8>(), 1..10), 1_u8..8).prop_map(|(bytes, bits)| Term::bit_string(&bytes, bits)),
        vec(any::<u8>().prop_map(Term::from), 0..20).prop_map(Term::List),
        (any_node(), 0_u32..1 << 15, 0_u32..1 << 13, 1_u32..)
            .prop_map(|(node, id, serial, creation)| Pid::new(node, id, serial, creation).into()),
        (any_node(), FIRST_LONG_PORT.., 1_u32..)
            .prop_map(|(node, id, creation)| Port::new(node, id, creation).into()),
        any_reference().prop_map(Term::from),
        (any_atom(), any_atom(), any::<u8>()).prop_map(|(m, f, a)| Export::new(m, f, a).into()),
    ]
}

/// Any term but a native record and a closure.
pub(crate) fn any_term() -> impl Strategy<Value = Term> {
    any_leaf().prop_recursive(6, 80, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Term::List),
            vec(inner.clone(), 0..8).prop_map(Term::Tuple),
            (vec(inner.clone(), 1..5), inner.clone())
                .prop_map(|(elements, tail)| Term::improper(elements, tail)),
            vec((inner.clone(), inner), 0..8).prop_map(Term::map),
        ]
    })
}
