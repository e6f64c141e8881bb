use bytes::BytesMut;

use super::*;
use crate::{CachedReader, Limits, Pid, Reference, Term, decode_bare, encode_bare};

fn atom(name: &'static str) -> Atom {
    Atom::from_static(name)
}

/// Compresses every atom of a term, and expands it again.
#[track_caller]
fn check_both_ways(bare: &[u8]) -> Vec<u8> {
    let mut names: Vec<Atom> = Vec::new();
    let index = |name: &[u8]| {
        let name = Atom::new(std::str::from_utf8(name).expect("utf-8")).expect("short");
        let at = names.iter().position(|it| *it == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        u8::try_from(at).ok()
    };
    let mut small = BytesMut::from(&b"before"[..]);
    assert_eq!(compress_atoms(bare, &mut small, index), Ok(bare.len()));
    let small = &small[6..];
    let mut again = BytesMut::from(&b"before"[..]);
    let max = bare.len();
    let (used, is_changed) =
        expand_atoms(small, CachedAtoms::new(&names), max, &mut again).expect("known atoms");
    assert_eq!((used, is_changed), (small.len(), !names.is_empty()));
    if is_changed {
        assert_eq!(&again[6..], bare);
        let refused = expand_atoms(small, CachedAtoms::new(&names), max - 1, &mut again);
        assert!(matches!(refused, Err(DecodeError::TooLarge { .. })));
        let unknown = expand_atoms(small, CachedAtoms::new(&names[1..]), usize::MAX, &mut again);
        assert_eq!(unknown, Err(DecodeError::AtomCacheRef));
        assert_eq!(again.len(), 6 + bare.len(), "what fails leaves nothing");
    } else {
        assert_eq!((&again[..], small), (&b"before"[..], bare));
    }
    small.to_vec()
}

fn fun(name: &'static str, inner: &[u8]) -> Vec<u8> {
    // Arity, unique number, index, one free variable, module, old numbers, process.
    let mut rest = vec![2];
    rest.extend([7; 16]);
    rest.extend([0, 0, 0, 1, 0, 0, 0, 1]);
    rest.extend(encode_bare(&Term::atom(name)));
    rest.extend([97, 1, 98, 0, 0, 1, 0]);
    rest.extend(encode_bare(&Pid::new(atom("a@h"), 1, 0, 7).into()));
    rest.extend(inner);
    let mut fun = vec![112];
    fun.extend((rest.len() as u32 + 4).to_be_bytes());
    fun.extend(rest);
    fun
}

#[test]
fn every_place_of_an_atom_is_reached() {
    let pid = Pid::new(atom("a@h"), 1, 0, 7);
    let reference = Reference::new(atom("a@h"), 7, &[1, 2, 3]).unwrap();
    let term = Term::tuple([
        Term::atom("ok"),
        Term::from(pid),
        Term::Reference(reference),
        Term::improper(vec![Term::atom("alias")], Term::atom("ok")),
        Term::map([(Term::atom("k"), Term::list([Term::atom("v"), 1.5.into()]))]),
        Term::Export(crate::Export::new(atom("m"), atom("f"), 3)),
        Term::Port(crate::Port::new(atom("a@h"), 5, 7)),
        Term::charlist("abc"),
        Term::binary("R\0w\0"),
        Term::from(u64::MAX),
        Term::bit_string(&[0xa0], 3),
        crate::NativeRecord::new(
            atom("m"),
            atom("r"),
            true,
            vec![(atom("x"), Term::atom("y"))],
        )
        .into(),
    ]);
    let small = check_both_ways(&encode_bare(&term));
    assert!(!small.contains(&tag::SMALL_ATOM_UTF8) || small.len() < 150);
    // Older forms of identifiers.
    let older = b"h\x03g\x77\x01a\0\0\0\x01\0\0\0\0\x03r\0\x02\x77\x01a\x03\0\0\0\x01\0\0\0\x02\
        e\x77\x01a\0\0\0\x01\x03";
    check_both_ways(older);
}

#[test]
fn the_size_of_a_fun_follows_its_atoms() {
    let inner = encode_bare(&Term::tuple([Term::atom("inner"), Term::Int(1)]));
    let plain = fun("module", &inner);
    check_both_ways(&plain);
    let nested = fun("outer", &fun("module", &inner));
    let small = check_both_ways(&nested);
    let size = u32::from_be_bytes(*small[1..].first_chunk().unwrap());
    assert_eq!(size as usize, small.len() - 1);
    assert!(decode_bare(&nested, &Limits::default()).is_ok());
    // In the middle of other things, so that the places do not agree by chance.
    let mut list = vec![108, 0, 0, 0, 3];
    list.extend(encode_bare(&Term::atom("first")));
    list.extend(&nested);
    list.extend(&plain);
    list.push(106);
    check_both_ways(&list);
}

#[test]
fn what_is_cut_off_or_unknown_is_refused() {
    let mut out = BytesMut::new();
    let nested = fun("outer", &fun("module", b"a\x01"));
    for cut in 0..nested.len() {
        let result = expand_atoms(&nested[..cut], CachedAtoms::default(), 1000, &mut out);
        assert!(result.is_err(), "{cut}");
        assert!(out.is_empty());
    }
    for bad in [
        &b"l\xff\xff\xff\xffj"[..],
        b"m\xff\xff\xff\xffj",
        b"X\x61\x01",
        b"P\0\0\0\x01",
        b"\xff",
        b"R",
    ] {
        assert!(
            expand_atoms(bad, CachedAtoms::default(), 1000, &mut out).is_err(),
            "{bad:?}"
        );
    }
    let mut short_size = fun("m", b"j");
    short_size[4] -= 1;
    let refused = expand_atoms(&short_size, CachedAtoms::default(), 1000, &mut out);
    assert_eq!(refused, Err(DecodeError::BadFun));
}

#[test]
fn a_term_has_no_depth_for_the_pass() {
    let mut deep = b"h\x01".repeat(1_000_000);
    deep.extend(b"R\0");
    let mut out = BytesMut::new();
    let result = expand_atoms(&deep, CachedAtoms::new(&[atom("x")]), usize::MAX, &mut out);
    assert_eq!(result, Ok((deep.len(), true)));
    let funs = vec![112u8; 40_000];
    assert!(expand_atoms(&funs, CachedAtoms::default(), 1000, &mut BytesMut::new()).is_err());
}

#[test]
fn pieces_are_read_with_references_and_without() {
    let atoms = [atom("a@h"), atom("name")];
    let limits = Limits::default();
    let mut it = CachedReader::new(
        b"h\x05a\x06X\x52\0\0\0\0\x01\0\0\0\0\0\0\0\x07R\x01Z\0\x01\x77\x03b@h\0\0\0\x07\0\0\0\x05\
          h\x02R\x01w\x01xj",
        CachedAtoms::new(&atoms),
    );
    assert_eq!(it.pid(), Ok(None));
    assert_eq!(it.tuple(), Ok(Some(5)));
    assert_eq!(it.int(), Ok(Some(6)));
    assert_eq!(it.int(), Ok(None));
    assert_eq!(it.pid(), Ok(Some(Pid::new(atom("a@h"), 1, 0, 7))));
    assert_eq!(it.reference(), Ok(None));
    assert_eq!(it.atom(), Ok(Some(atom("name"))));
    assert_eq!(it.atom(), Ok(None));
    let reference = Reference::new(atom("b@h"), 7, &[5]).unwrap();
    assert_eq!(it.reference(), Ok(Some(reference)));
    let mut skipped = it;
    let pair = Term::tuple([Term::atom("name"), Term::atom("x")]);
    assert_eq!(it.term(&limits), Ok(pair));
    skipped.skip().unwrap();
    assert_eq!((it.rest(), skipped.rest()), (&b"j"[..], &b"j"[..]));
    let mut unknown = CachedReader::new(b"R\x02", CachedAtoms::new(&atoms));
    assert_eq!(unknown.atom(), Err(DecodeError::AtomCacheRef));
}

#[test]
fn references_may_mean_atoms_of_other_places() {
    let atoms = [atom("zero"), atom("one")];
    let cached = CachedAtoms::at(&atoms, &[1, 0, 9]);
    assert_eq!(cached.get(0), Some(&atoms[1]));
    assert_eq!(cached.get(1), Some(&atoms[0]));
    assert_eq!((cached.get(2), cached.get(3)), (None, None));
    assert!(!cached.is_empty() && CachedAtoms::at(&atoms, &[]).is_empty());
}
