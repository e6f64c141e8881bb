//! Equality, order and hash of terms.
//!
//! Terms come from peers, and so do maps inside the keys of maps inside the keys of maps. To look
//! at the same key twice on each such level would take time exponential in the depth; therefore
//! equality pairs keys up by hash, and the order sorts all maps from the inside out first.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use num_bigint::BigInt;

use crate::number::compare_numbers;
use crate::{NativeRecord, Term};

impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Atom(a), Self::Atom(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Binary(a), Self::Binary(b)) => a == b,
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => equal_maps(a, b),
            (Self::Pid(a), Self::Pid(b)) => a == b,
            (Self::Reference(a), Self::Reference(b)) => a == b,
            (Self::Port(a), Self::Port(b)) => a == b,
            (Self::Fun(a), Self::Fun(b)) => a == b,
            (Self::Export(a), Self::Export(b)) => a == b,
            (Self::Record(a), Self::Record(b)) => a == b,
            (Self::ImproperList(a, x), Self::ImproperList(b, y)) => a == b && x == y,
            (Self::BitString { bytes: a, bits: x }, Self::BitString { bytes: b, bits: y }) => {
                a == b && x == y
            }
            (Self::BigInt(a), Self::BigInt(b)) => a == b,
            (Self::Int(a), Self::BigInt(b)) | (Self::BigInt(b), Self::Int(a)) => {
                **b == BigInt::from(*a)
            }
            _ => false,
        }
    }
}

impl Eq for Term {}

impl PartialOrd for Term {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Term {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self, other, Maps::Unsorted)
    }
}

impl Hash for Term {
    fn hash<H: Hasher>(&self, state: &mut H) {
        rank(self).hash(state);
        match self {
            Self::Atom(atom) => atom.hash(state),
            Self::Int(int) => int.hash(state),
            Self::BigInt(big) => match i64::try_from(&**big) {
                Ok(int) => int.hash(state),
                Err(_) => big.hash(state),
            },
            Self::Float(float) => float.to_bits().hash(state),
            Self::Binary(bytes) => bytes.hash(state),
            Self::BitString { bytes, bits } => (bytes, bits).hash(state),
            Self::List(elements) | Self::Tuple(elements) => elements.hash(state),
            Self::ImproperList(elements, tail) => (elements, tail).hash(state),
            // A sum, because it is the same in any order.
            Self::Map(pairs) => pairs
                .iter()
                .map(hash_alone)
                .fold(pairs.len() as u64, u64::wrapping_add)
                .hash(state),
            Self::Pid(pid) => pid.hash(state),
            Self::Port(port) => port.hash(state),
            Self::Reference(reference) => reference.hash(state),
            Self::Fun(fun) => fun.hash(state),
            Self::Export(export) => export.hash(state),
            Self::Record(record) => record.hash(state),
        }
    }
}

fn hash_alone(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Up to this many keys without elements are compared each with each.
const FEW_KEYS: usize = 16;

/// Whether two of the keys are equal.
pub(crate) fn has_duplicate<V>(pairs: &[(Term, V)]) -> bool {
    if have_distinct_fingerprints(pairs) {
        return false;
    }
    if pairs.len() <= FEW_KEYS && pairs.iter().all(|(key, _)| is_leaf(key)) {
        let mut keys = pairs.iter().enumerate();
        return keys.any(|(at, (key, _))| pairs[..at].iter().any(|(earlier, _)| earlier == key));
    }
    let hashed = by_hash(pairs);
    hashed
        .windows(2)
        .any(|two| two[0].0 == two[1].0 && two[0].1.0 == two[1].1.0)
}

/// Whether a look at a word of each of a few keys shows that no two are equal, as nearly always.
#[inline]
fn have_distinct_fingerprints<V>(pairs: &[(Term, V)]) -> bool {
    let mut seen = [0; FEW_KEYS];
    if pairs.len() > FEW_KEYS {
        return false;
    }
    for (at, (key, _)) in pairs.iter().enumerate() {
        let Some(fingerprint) = fingerprint(key) else {
            return false;
        };
        if seen[..at].contains(&fingerprint) {
            return false;
        }
        seen[at] = fingerprint;
    }
    true
}

/// A number that is the same for equal keys of the usual kinds.
#[inline]
fn fingerprint(key: &Term) -> Option<u64> {
    match key {
        Term::Atom(atom) => atom.fingerprint(),
        Term::Int(int) => Some(*int as u64),
        Term::Binary(bytes) => bytes.fingerprint(),
        _ => None,
    }
}

fn by_hash<V>(pairs: &[(Term, V)]) -> Vec<(u64, &(Term, V))> {
    let mut hashed: Vec<_> = pairs
        .iter()
        .map(|pair| (hash_alone(&pair.0), pair))
        .collect();
    hashed.sort_unstable_by_key(|(hash, _)| *hash);
    hashed
}

fn is_leaf(term: &Term) -> bool {
    !matches!(
        term,
        Term::List(_) | Term::ImproperList(..) | Term::Tuple(_) | Term::Map(_) | Term::Record(_)
    )
}

fn equal_maps(a: &[(Term, Term)], b: &[(Term, Term)]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let is_simple =
        |pair: &(&(Term, Term), &(Term, Term))| is_leaf(&pair.0.0) && pair.0.0 == pair.1.0;
    if a.iter().zip(b).all(|pair| is_simple(&pair)) {
        return a.iter().zip(b).all(|(a, b)| a.1 == b.1);
    }
    by_hash(a)
        .iter()
        .zip(by_hash(b))
        .all(|(a, b)| a.0 == b.0 && *a.1 == *b.1)
}

/// Whether the maps in the terms compared have their pairs in the order of the keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maps {
    Sorted,
    Unsorted,
}

fn compare(a: &Term, b: &Term, maps: Maps) -> Ordering {
    match (a, b) {
        (Term::Atom(a), Term::Atom(b)) => a.cmp(b),
        (Term::Reference(a), Term::Reference(b)) => a.cmp(b),
        (Term::Fun(a), Term::Fun(b)) => a.cmp(b),
        (Term::Export(a), Term::Export(b)) => a.cmp(b),
        (Term::Port(a), Term::Port(b)) => a.cmp(b),
        (Term::Pid(a), Term::Pid(b)) => a.cmp(b),
        (Term::Tuple(a), Term::Tuple(b)) => {
            a.len().cmp(&b.len()).then_with(|| compare_all(a, b, maps))
        }
        (Term::Record(a), Term::Record(b)) => compare_records(a, b, maps),
        (Term::Map(a), Term::Map(b)) => compare_maps(a, b, maps),
        _ => rank(a).cmp(&rank(b)).then_with(|| match a {
            Term::Int(_) | Term::BigInt(_) | Term::Float(_) => compare_numbers(a, b),
            Term::List(_) | Term::ImproperList(..) => compare_lists(a, b, maps),
            _ => compare_bits(a, b),
        }),
    }
}

/// Erlang's order of the kinds.
const fn rank(term: &Term) -> u8 {
    match term {
        Term::Int(_) | Term::BigInt(_) | Term::Float(_) => 0,
        Term::Atom(_) => 1,
        Term::Reference(_) => 2,
        Term::Fun(_) => 3,
        Term::Export(_) => 4,
        Term::Port(_) => 5,
        Term::Pid(_) => 6,
        Term::Tuple(_) => 7,
        Term::Record(_) => 8,
        Term::Map(_) => 9,
        Term::List(_) | Term::ImproperList(..) => LIST_RANK,
        Term::Binary(_) | Term::BitString { .. } => 11,
    }
}

const LIST_RANK: u8 = 10;

/// As far as both go.
fn compare_all(a: &[Term], b: &[Term], maps: Maps) -> Ordering {
    let mut orders = a.iter().zip(b).map(|(a, b)| compare(a, b, maps));
    orders
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// By definition, then by the fields as they come.
fn compare_records(a: &NativeRecord, b: &NativeRecord, maps: Maps) -> Ordering {
    let head = |r: &NativeRecord| {
        (
            r.module().clone(),
            r.name().clone(),
            r.flags(),
            r.fields().len(),
        )
    };
    let mut fields = a
        .fields()
        .iter()
        .zip(b.fields())
        .map(|((a_name, a), (b_name, b))| a_name.cmp(b_name).then_with(|| compare(a, b, maps)));
    let by_head = head(a).cmp(&head(b));
    by_head.then_with(|| {
        fields
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    })
}

/// By size, then by keys, then by values.
fn compare_maps(a: &[(Term, Term)], b: &[(Term, Term)], maps: Maps) -> Ordering {
    if a.len() != b.len() {
        return a.len().cmp(&b.len());
    }
    if maps == Maps::Unsorted {
        return compare_maps(&sorted(a), &sorted(b), Maps::Sorted);
    }
    let keys = a.iter().zip(b).map(|(a, b)| compare(&a.0, &b.0, maps));
    let values = a.iter().zip(b).map(|(a, b)| compare(&a.1, &b.1, maps));
    keys.chain(values)
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The pairs in the order of their keys, and all maps inside them too.
fn sorted(pairs: &[(Term, Term)]) -> Vec<(Term, Term)> {
    let mut sorted = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        sorted.push((with_sorted(key), with_sorted(value)));
    }
    sorted.sort_by(|a, b| compare(&a.0, &b.0, Maps::Sorted));
    sorted
}

fn with_sorted(term: &Term) -> Term {
    match term {
        Term::Map(pairs) => Term::Map(sorted(pairs)),
        Term::Tuple(elements) => Term::Tuple(all_with_sorted(elements)),
        Term::List(elements) => Term::List(all_with_sorted(elements)),
        Term::ImproperList(elements, tail) => Term::ImproperList(
            all_with_sorted(elements).into(),
            Box::new(with_sorted(tail)),
        ),
        Term::Record(record) => record_with_sorted(record),
        leaf => leaf.clone(),
    }
}

fn all_with_sorted(terms: &[Term]) -> Vec<Term> {
    let mut sorted = Vec::with_capacity(terms.len());
    for term in terms {
        sorted.push(with_sorted(term));
    }
    sorted
}

fn record_with_sorted(record: &NativeRecord) -> Term {
    let mut fields = Vec::with_capacity(record.fields().len());
    for (name, value) in record.fields() {
        fields.push((name.clone(), with_sorted(value)));
    }
    let (module, name) = (record.module().clone(), record.name().clone());
    Term::Record(NativeRecord::with_flags(
        module,
        name,
        record.flags(),
        fields,
    ))
}

/// Element by element. Where one list ends, its tail is compared with what is left of the other:
/// the empty list is less than any other list, and any other tail is ranked by its kind.
fn compare_lists(a: &Term, b: &Term, maps: Maps) -> Ordering {
    let ((a, a_tail), (b, b_tail)) = (list_parts(a), list_parts(b));
    compare_all(a, b, maps).then_with(|| match a.len().cmp(&b.len()) {
        Ordering::Less => a_tail.map_or(Ordering::Less, |tail| rank(tail).cmp(&LIST_RANK)),
        Ordering::Greater => b_tail.map_or(Ordering::Greater, |tail| LIST_RANK.cmp(&rank(tail))),
        Ordering::Equal => match (a_tail, b_tail) {
            (None, None) => Ordering::Equal,
            (None, Some(tail)) => LIST_RANK.cmp(&rank(tail)),
            (Some(tail), None) => rank(tail).cmp(&LIST_RANK),
            (Some(a), Some(b)) => compare(a, b, maps),
        },
    })
}

fn list_parts(term: &Term) -> (&[Term], Option<&Term>) {
    match term {
        Term::List(elements) => (elements, None),
        Term::ImproperList(elements, tail) => (elements, Some(tail)),
        _ => (&[], Some(term)),
    }
}

/// Bit by bit, the shorter one first.
fn compare_bits(a: &Term, b: &Term) -> Ordering {
    let ((a, a_bits), (b, b_bits)) = (bit_parts(a), bit_parts(b));
    let whole = |bytes: &[u8], bits: u8| bytes.len() * 8 + usize::from(bits);
    a.cmp(b).then(whole(a, a_bits).cmp(&whole(b, b_bits)))
}

/// Unused bits are zero, so that comparing bytes compares bits.
fn bit_parts(term: &Term) -> (&[u8], u8) {
    match term {
        Term::Binary(bytes) => (bytes, 8),
        Term::BitString { bytes, bits } => (bytes, *bits),
        _ => (&[], 8),
    }
}
