//! The order of integers and floats among one another.

use std::cmp::Ordering;

use num_bigint::BigInt;

use crate::Term;

/// Compares two numbers exactly; an integer is less than the float of the same value.
pub(crate) fn compare_numbers(a: &Term, b: &Term) -> Ordering {
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
        Term::BigInt(big) => BigInt::clone(big),
        Term::Int(int) => BigInt::from(*int),
        _ => BigInt::ZERO,
    }
}

fn compare_with_float(int: &Term, float: f64) -> Ordering {
    if !float.is_finite() {
        return 0.0_f64.total_cmp(&float);
    }
    let whole = float.trunc();
    let by_fraction = if float < whole {
        Ordering::Greater
    } else {
        Ordering::Less
    };
    to_big(int).cmp(&big_from_whole(whole)).then(by_fraction)
}

/// The integer that a float without fraction is.
fn big_from_whole(whole: f64) -> BigInt {
    let bits = whole.abs().to_bits();
    if bits == 0 {
        return BigInt::ZERO;
    }
    // A whole number that is not zero is normal, so it has the hidden bit.
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    let exponent = (bits >> 52) as i32 - 1075;
    let magnitude = match exponent {
        ..0 => BigInt::from(mantissa >> exponent.unsigned_abs()),
        _ => BigInt::from(mantissa) << exponent,
    };
    if whole < 0.0 { -magnitude } else { magnitude }
}
