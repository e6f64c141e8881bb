//! Equality, order and hash of terms.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use num_bigint::{BigInt, Sign};

use crate::Term;

impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Atom(a), Self::Atom(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Binary(a), Self::Binary(b)) => a == b,
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => {
                a.len() == b.len() && (a == b || sorted(a) == sorted(b))
            }
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
                *b == BigInt::from(*a)
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
        match (self, other) {
            (Self::Atom(a), Self::Atom(b)) => a.cmp(b),
            (Self::Reference(a), Self::Reference(b)) => a.cmp(b),
            (Self::Fun(a), Self::Fun(b)) => a.cmp(b),
            (Self::Export(a), Self::Export(b)) => a.cmp(b),
            (Self::Port(a), Self::Port(b)) => a.cmp(b),
            (Self::Pid(a), Self::Pid(b)) => a.cmp(b),
            (Self::Tuple(a), Self::Tuple(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            (Self::Record(a), Self::Record(b)) => a.cmp(b),
            (Self::Map(a), Self::Map(b)) => compare_maps(a, b),
            _ => rank(self)
                .cmp(&rank(other))
                .then_with(|| match (self, other) {
                    (Self::Int(_) | Self::BigInt(_) | Self::Float(_), _) => {
                        compare_numbers(self, other)
                    }
                    (Self::List(_) | Self::ImproperList(..), _) => compare_lists(self, other),
                    _ => compare_bits(self, other),
                }),
        }
    }
}

impl Hash for Term {
    fn hash<H: Hasher>(&self, state: &mut H) {
        rank(self).hash(state);
        match self {
            Self::Atom(atom) => atom.hash(state),
            Self::Int(int) => int.hash(state),
            Self::BigInt(big) => match i64::try_from(big) {
                Ok(int) => int.hash(state),
                Err(_) => big.hash(state),
            },
            Self::Float(float) => float.to_bits().hash(state),
            Self::Binary(bytes) => bytes.hash(state),
            Self::BitString { bytes, bits } => (bytes, bits).hash(state),
            Self::List(elements) | Self::Tuple(elements) => elements.hash(state),
            Self::ImproperList(elements, tail) => (elements, tail).hash(state),
            Self::Map(pairs) => sorted(pairs).hash(state),
            Self::Pid(pid) => pid.hash(state),
            Self::Port(port) => port.hash(state),
            Self::Reference(reference) => reference.hash(state),
            Self::Fun(fun) => fun.hash(state),
            Self::Export(export) => export.hash(state),
            Self::Record(record) => record.hash(state),
        }
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
        Term::List(_) | Term::ImproperList(..) => 10,
        Term::Binary(_) | Term::BitString { .. } => 11,
    }
}

fn sorted(pairs: &[(Term, Term)]) -> Vec<&(Term, Term)> {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted
}

/// By size, then by keys, then by values.
fn compare_maps(a: &[(Term, Term)], b: &[(Term, Term)]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| {
        let (a, b) = (sorted(a), sorted(b));
        let by_keys = a
            .iter()
            .map(|pair| &pair.0)
            .cmp(b.iter().map(|pair| &pair.0));
        by_keys.then_with(|| {
            a.iter()
                .map(|pair| &pair.1)
                .cmp(b.iter().map(|pair| &pair.1))
        })
    })
}

fn compare_numbers(a: &Term, b: &Term) -> Ordering {
    match (a, b) {
        (Term::Int(a), Term::Int(b)) => a.cmp(b),
        (Term::Float(a), Term::Float(b)) => a.total_cmp(b),
        (Term::Float(a), b) => compare_with_float(b, *a).reverse(),
        (a, Term::Float(b)) => compare_with_float(a, *b),
        (a, b) => to_big(a).cmp(&to_big(b)),
    }
}

fn to_big(term: &Term) -> BigInt {
    match term {
        Term::BigInt(big) => big.clone(),
        Term::Int(int) => BigInt::from(*int),
        _ => BigInt::ZERO,
    }
}

/// An integer against a float, exactly; an integer is less than the float of the same value.
fn compare_with_float(int: &Term, float: f64) -> Ordering {
    if !float.is_finite() {
        return 0.0_f64.total_cmp(&float);
    }
    let whole = float.trunc();
    let fraction = float - whole;
    to_big(int)
        .cmp(&big_from_whole(whole))
        .then(if fraction < 0.0 {
            Ordering::Greater
        } else {
            Ordering::Less
        })
}

/// The integer that a float without fraction is.
fn big_from_whole(whole: f64) -> BigInt {
    let bits = whole.abs().to_bits();
    let exponent = (bits >> 52) as i32 - 1075;
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    let sign = if whole < 0.0 { Sign::Minus } else { Sign::Plus };
    let magnitude = match exponent {
        // Less than one has no whole part.
        ..-52 => return BigInt::ZERO,
        -52..0 => BigInt::from(mantissa >> -exponent),
        _ => BigInt::from(mantissa) << exponent,
    };
    if sign == Sign::Minus {
        -magnitude
    } else {
        magnitude
    }
}

/// Element by element; then the empty list is greater than any other tail but a bit string.
fn compare_lists(a: &Term, b: &Term) -> Ordering {
    let ((a, a_tail), (b, b_tail)) = (list_parts(a), list_parts(b));
    let shared = a.len().min(b.len());
    a[..shared]
        .cmp(&b[..shared])
        .then_with(|| match (a.len() > shared, b.len() > shared) {
            // What is left of a longer list is a list that is not empty.
            (true, _) => compare_rest_with_tail(b_tail).reverse(),
            (_, true) => compare_rest_with_tail(a_tail),
            _ => match (a_tail, b_tail) {
                (None, None) => Ordering::Equal,
                (None, Some(tail)) => 10.cmp(&rank(tail)),
                (Some(tail), None) => rank(tail).cmp(&10),
                (Some(a), Some(b)) => a.cmp(b),
            },
        })
}

/// A tail (`None` for the empty list) against a list that is not empty.
fn compare_rest_with_tail(tail: Option<&Term>) -> Ordering {
    // The empty list is less than any other list.
    tail.map_or(Ordering::Less, |tail| rank(tail).cmp(&10))
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
    a.cmp(b).then(a_bits.cmp(&b_bits))
}

/// Unused bits are zero, so that comparing bytes compares bits.
fn bit_parts(term: &Term) -> (&[u8], u8) {
    match term {
        Term::Binary(bytes) => (bytes, 8),
        Term::BitString { bytes, bits } => (bytes, *bits),
        _ => (&[], 8),
    }
}
