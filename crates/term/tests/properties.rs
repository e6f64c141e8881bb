//! What holds for any term and for any bytes.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use bytes::{Bytes, BytesMut};
use enmesh_term::{
    APART_FROM, Atom, DecodeError, Encoder, Limits, MAX_DEPTH, MAX_DISPLAY_BYTES, NativeRecord,
    Term, TermRef, decode, decode_ref, decode_shared, encode, encode_into,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[path = "otp/any_term.rs"]
mod any_term;

use any_term::any_term;

fn hash_of(term: &Term) -> u64 {
    let mut hasher = DefaultHasher::new();
    term.hash(&mut hasher);
    hasher.finish()
}

/// Rebuilds the term through the borrowed view's own iterators alone.
fn rebuild(view: TermRef<'_>) -> Term {
    match view {
        TermRef::List(list) => {
            let mut iter = list.iter();
            let elements: Vec<Term> = iter.by_ref().map(rebuild).collect();
            match iter.improper_tail() {
                None => Term::List(elements),
                Some(tail) => Term::improper(elements, rebuild(tail)),
            }
        }
        TermRef::Tuple(tuple) => {
            let elements: Vec<Term> = tuple.iter().map(rebuild).collect();
            for (at, element) in elements.iter().enumerate() {
                assert_eq!(tuple.get(at).map(rebuild).as_ref(), Some(element));
            }
            assert!(tuple.get(elements.len()).is_none());
            Term::Tuple(elements)
        }
        TermRef::Map(map) => Term::Map(
            map.iter()
                .map(|(key, value)| (rebuild(key), rebuild(value)))
                .collect(),
        ),
        TermRef::Record(record) => {
            let fields = record
                .iter()
                .map(|(name, value)| (name.to_atom(), rebuild(value)));
            let (module, name) = (record.module.to_atom(), record.name.to_atom());
            NativeRecord::new(module, name, record.is_exported(), fields.collect()).into()
        }
        leaf => leaf.to_term().expect("a leaf has no keys"),
    }
}

/// All decoders agree on `bytes`, and what they read can be written and read again.
fn check_agreement(bytes: &[u8]) -> Result<(), TestCaseError> {
    let limits = Limits::default();
    let owned = decode(bytes, &limits);
    let shared = decode_shared(&Bytes::copy_from_slice(bytes), &limits);
    prop_assert_eq!(&owned, &shared);
    match decode_ref(bytes, &limits) {
        Ok(view) => {
            prop_assert_eq!(&view.to_term(), &owned);
            if let Ok(term) = &owned {
                prop_assert_eq!(&rebuild(view), term);
            }
        }
        Err(DecodeError::Compressed) => {}
        Err(_) => prop_assert!(owned.is_err()),
    }
    if let Ok(term) = &owned {
        prop_assert_eq!(&decode(&encode(term), &limits), &owned);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn decode_undoes_encode(term in any_term()) {
        let bytes = encode(&term);
        prop_assert_eq!(decode(&bytes, &Limits::default()), Ok(term.clone()));
        let mut out = BytesMut::new();
        encode_into(&term, &mut out);
        prop_assert_eq!(&out[..], &bytes[..]);
        check_agreement(&bytes)?;
    }

    #[test]
    fn any_bytes_are_a_term_or_an_error(mut bytes in vec(any::<u8>(), 0..200)) {
        bytes.insert(0, 131);
        check_agreement(&bytes)?;
    }

    #[test]
    fn bytes_that_look_like_terms_are_a_term_or_an_error(
        bytes in vec(prop_oneof![3 => 97_u8..121, 2 => 0_u8..4, 1 => prop::sample::select(vec![
            67_u8, 70, 77, 80, 82, 88, 89, 90, 131,
        ])], 0..60),
    ) {
        check_agreement(&[&[131], &bytes[..]].concat())?;
    }

    #[test]
    fn a_damaged_term_is_a_term_or_an_error(
        term in any_term(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = encode(&term);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        check_agreement(&bytes)?;
    }

    #[test]
    fn a_cut_term_is_an_error(term in any_term(), at in any::<prop::sample::Index>()) {
        let bytes = encode(&term);
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert_eq!(decode(cut, &Limits::default()), Err(DecodeError::Truncated));
        prop_assert_eq!(decode_ref(cut, &Limits::default()).err(), Some(DecodeError::Truncated));
    }

    #[test]
    fn equality_order_and_hash_agree(a in any_term(), b in any_term(), c in any_term()) {
        for (x, y) in [(&a, &b), (&b, &c), (&a, &a)] {
            prop_assert_eq!(x == y, x.cmp(y).is_eq());
            prop_assert_eq!(x.cmp(y), y.cmp(x).reverse());
        }
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn the_order_of_a_maps_pairs_does_not_matter(
        pairs in vec((any_term(), any_term()), 0..8), rotation in any::<prop::sample::Index>(),
    ) {
        let Term::Map(pairs) = Term::map(pairs) else { panic!("not a map") };
        let mut rotated = pairs.clone();
        if !rotated.is_empty() {
            rotated.rotate_left(rotation.index(pairs.len()));
        }
        let (a, b) = (Term::Map(pairs), Term::Map(rotated));
        prop_assert_eq!(&a, &b);
        prop_assert!(a.cmp(&b).is_eq());
        prop_assert_eq!(hash_of(&a), hash_of(&b));
    }

    #[test]
    fn printing_is_bounded(term in any_term()) {
        prop_assert!(term.to_string().len() <= MAX_DISPLAY_BYTES + "...".len());
    }

    #[test]
    fn an_atom_is_its_name(name in "\\PC{0,60}") {
        let atom = Atom::new(&name).expect("short");
        prop_assert_eq!(atom.as_str(), &name);
        prop_assert!(atom == *name);
        prop_assert_eq!(atom.cmp(&Atom::from_static("m")), name.as_str().cmp("m"));
    }
}

/// `levels` containers of one element (two for a map) inside one another.
fn nested(levels: usize, open: &[u8], close: &[u8]) -> Vec<u8> {
    let mut bytes = vec![131];
    bytes.extend(open.repeat(levels));
    bytes.push(106);
    bytes.extend(close.repeat(levels));
    bytes
}

/// List, improper tail, tuple, map by value, map by key, record.
const NESTS: [(&[u8], &[u8]); 6] = [
    (&[108, 0, 0, 0, 1], &[106]),
    (&[108, 0, 0, 0, 1, 104, 1], &[97, 1]),
    (&[104, 1], &[]),
    (&[116, 0, 0, 0, 1, 97, 1], &[]),
    (&[116, 0, 0, 0, 1], &[97, 1]),
    (&[67, 0, 0, 0, 1, 0, 119, 0, 119, 0, 119, 0], &[]),
];

fn on_two_mebibytes_of_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(work)
        .expect("a thread");
    thread.join().expect("no overflow and no failed assertion");
}

#[test]
fn the_deepest_terms_fit_the_stack_in_all_that_is_done_with_them() {
    on_two_mebibytes_of_stack(|| {
        for (open, close) in NESTS {
            // The second nest has two levels in one.
            let levels = if open.iter().skip(5).any(|&byte| byte == 104) {
                MAX_DEPTH / 2
            } else {
                MAX_DEPTH
            };
            let bytes = nested(levels, open, close);
            let limits = Limits::default();
            let term = decode(&bytes, &limits).expect("as deep as allowed");
            assert_eq!(encode(&term), bytes);
            let view = decode_ref(&bytes, &limits).expect("as deep as allowed");
            assert_eq!(view.to_term().as_ref(), Ok(&term));
            let copy = term.clone();
            assert!(copy == term && copy.cmp(&term).is_eq() && hash_of(&copy) == hash_of(&term));
            assert!(!format!("{term} {term:?}").is_empty());
            drop(copy);
        }
    });
}

#[test]
fn one_level_more_is_refused() {
    on_two_mebibytes_of_stack(|| {
        for (open, close) in NESTS {
            for levels in [MAX_DEPTH + 1, 200_000] {
                let bytes = nested(levels, open, close);
                let refused = DecodeError::TooDeep { limit: MAX_DEPTH };
                let limits = Limits::default().with_max_depth(usize::MAX);
                assert_eq!(decode(&bytes, &limits), Err(refused));
                assert_eq!(decode_ref(&bytes, &limits).err(), Some(refused));
            }
        }
    });
}

#[test]
fn funs_inside_funs_do_not_recurse_without_bound() {
    on_two_mebibytes_of_stack(|| {
        for inner in [
            &[113, 119, 0, 119, 0][..],
            &[112, 0, 0, 0, 99, 0],
            &[88],
            &[90, 0, 1],
        ] {
            assert!(decode(&nested(200_000, inner, &[]), &Limits::default()).is_err());
        }
        // Free variables that are funs with free variables.
        let mut fun = vec![106];
        for _ in 0..2000 {
            let head = [
                &[1; 21][..],
                &[0, 0, 0, 1, 119, 0, 97, 0, 97, 0, 88, 119, 0],
                &[0; 12],
            ];
            let body = [head.concat(), fun].concat();
            fun = [&[112][..], &(body.len() as u32 + 4).to_be_bytes(), &body].concat();
        }
        let refused = decode(&[&[131], &fun[..]].concat(), &Limits::default());
        assert_eq!(refused, Err(DecodeError::TooDeep { limit: MAX_DEPTH }));
    });
}

#[test]
fn lists_in_tails_are_one_list_of_any_length() {
    let mut bytes = vec![131];
    bytes.extend([108, 0, 0, 0, 1, 97, 1].repeat(200_000));
    bytes.push(106);
    let term = decode(&bytes, &Limits::default()).expect("one long list");
    assert_eq!(term.as_list().map(<[Term]>::len), Some(200_000));
    let view = decode_ref(&bytes, &Limits::default()).expect("one long list");
    assert_eq!(
        view.as_list().map(|list| list.iter().count()),
        Some(200_000)
    );
}

#[test]
fn maps_in_keys_of_maps_do_not_take_exponential_time() {
    // Two keys that differ in the innermost map only, so that each level is looked at.
    let key = |leaf: u8| {
        let mut bytes = [116, 0, 0, 0, 2, 97, 1, 97, 1].repeat(500);
        bytes.extend([97, leaf]);
        bytes.extend([97, 1].repeat(500));
        bytes
    };
    let bytes = [
        &[131, 116, 0, 0, 0, 2][..],
        &key(2),
        &[97, 0],
        &key(3),
        &[97, 0],
    ]
    .concat();
    let term = decode(&bytes, &Limits::default()).expect("two keys");
    let keys = term.as_map().expect("a map");
    assert_ne!(keys[0].0, keys[1].0);
    assert!(keys[0].0 < keys[1].0);
    let mut swapped = keys.to_vec();
    swapped.reverse();
    assert_eq!(Term::Map(swapped), term);
}

/// Terms in which binaries, short and long, lie at any place.
fn any_term_of_binaries() -> impl Strategy<Value = Term> {
    let binary = prop_oneof![
        0..20_usize,
        Just(APART_FROM - 1),
        Just(APART_FROM),
        Just(APART_FROM + 1),
    ];
    let leaf = prop_oneof![
        (binary, any::<u8>()).prop_map(|(len, byte)| Term::from(Bytes::from(vec![byte; len]))),
        any_term(),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let field = inner.clone();
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Term::Tuple),
            vec(inner.clone(), 0..4).prop_map(Term::List),
            (vec(inner.clone(), 1..3), inner.clone())
                .prop_map(|(elements, tail)| Term::improper(elements, tail)),
            vec((inner.clone(), inner), 0..3).prop_map(Term::Map),
            field.prop_map(|value| {
                let name = Atom::from_static("r");
                let fields = vec![(name.clone(), value)];
                NativeRecord::new(name.clone(), name, true, fields).into()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_goes_apart_belongs_where_it_is_said_to(
        terms in vec(any_term_of_binaries(), 1..4),
        before in vec(any::<u8>(), 0..9),
    ) {
        let (mut out, mut apart) = (BytesMut::from(&before[..]), Vec::new());
        let mut encoder = Encoder::without_version_apart(&mut out, &mut apart);
        let mut plain = Vec::new();
        for term in &terms {
            encoder.term(term);
            Encoder::without_version(&mut plain).term(term);
        }
        let (mut joined, mut taken) = (Vec::new(), before.len());
        for (at, binary) in apart {
            prop_assert!(binary.len() >= APART_FROM);
            joined.extend_from_slice(&out[taken..before.len() + at]);
            joined.extend_from_slice(&binary);
            taken = before.len() + at;
        }
        joined.extend_from_slice(&out[taken..]);
        prop_assert!(joined == plain);
    }
}
