//! What has no elements.

use bytes::Bytes;
use num_bigint::BigInt;

use crate::from_term::{FromTerm, FromTermError, Mismatch, TermView};
use crate::{
    Atom, Binary, Charlist, Export, Fun, NativeRecord, Pid, Port, Reference, Term, TermRef,
};

type Result<T> = std::result::Result<T, FromTermError>;

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl FromTerm for $int {
            fn from_view(term: TermView<'_>) -> Result<Self> {
                let fits = match term.as_int() {
                    Some(int) => Self::try_from(int).ok(),
                    None => Self::try_from(term.integer()?).ok(),
                };
                fits.ok_or_else(|| Mismatch::OutOfRange { expected: stringify!($int) }.into())
            }
        }
    )*};
}

integers!(
    i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize
);

impl FromTerm for BigInt {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        term.integer()
    }
}

impl FromTerm for f64 {
    /// Takes an integer up to 2^53 either way too, because Erlang code seldom writes `1.0` for 1.
    fn from_view(term: TermView<'_>) -> Result<Self> {
        if let Some(float) = term.as_float() {
            return Ok(float);
        }
        match term.as_int() {
            Some(int) if int.unsigned_abs() <= 1 << 53 => Ok(int as Self),
            Some(_) => Err(Mismatch::OutOfRange { expected: "f64" }.into()),
            None if term.is_atom("nan") => Ok(Self::NAN),
            None if term.is_atom("infinity") => Ok(Self::INFINITY),
            None if term.is_atom("-infinity") => Ok(Self::NEG_INFINITY),
            None => Err(term.mismatch("a float")),
        }
    }
}

impl FromTerm for f32 {
    /// Rounds to the nearest `f32`.
    fn from_view(term: TermView<'_>) -> Result<Self> {
        let wide = f64::from_view(term)?;
        let float = wide as Self;
        if float.is_infinite() && wide.is_finite() {
            return Err(Mismatch::OutOfRange { expected: "f32" }.into());
        }
        Ok(float)
    }
}

impl FromTerm for bool {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        if term.is_atom("true") {
            Ok(true)
        } else if term.is_atom("false") {
            Ok(false)
        } else {
            Err(term.mismatch("true or false"))
        }
    }
}

impl FromTerm for char {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        let point = u32::from_view(term)?;
        Self::from_u32(point).ok_or_else(|| Mismatch::OutOfRange { expected: "char" }.into())
    }
}

impl FromTerm for () {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        term.expect_atom("ok")
    }

    fn unit() -> Option<Self> {
        Some(())
    }
}

impl FromTerm for String {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        term.text().map(str::to_owned)
    }
}

impl FromTerm for Charlist {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        term.charlist().map(Self)
    }
}

impl FromTerm for Atom {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        term.atom()
    }
}

impl FromTerm for Binary {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        term.binary()
    }
}

impl FromTerm for Bytes {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        term.binary().map(Self::from)
    }
}

impl FromTerm for Term {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        term.to_term()
    }
}

impl FromTerm for Pid {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        let borrowed = |term: &TermRef<'_>| term.as_pid().map(|pid| pid.to_pid());
        term.leaf("a pid", |term| term.as_pid().cloned(), borrowed)
    }
}

impl FromTerm for Reference {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        let borrowed = |term: &TermRef<'_>| Some(term.as_reference()?.to_reference());
        term.leaf("a reference", |term| term.as_reference().cloned(), borrowed)
    }
}

/// Reads what has a variant of its own in both kinds of terms.
macro_rules! leaves {
    ($($leaf:ty, $variant:ident, $expected:literal, $to_owned:ident);* $(;)?) => {$(
        impl FromTerm for $leaf {
            fn from_view(term: TermView<'_>) -> Result<Self> {
                let owned = |term: &Term| match term {
                    Term::$variant(leaf) => Some(leaf.clone()),
                    _ => None,
                };
                let borrowed = |term: &TermRef<'_>| match term {
                    TermRef::$variant(leaf) => Some(leaf.$to_owned()),
                    _ => None,
                };
                term.leaf($expected, owned, borrowed)
            }
        }
    )*};
}

leaves! {
    Port, Port, "a port", to_port;
    Fun, Fun, "a fun", to_fun;
    Export, Export, "a function by name", to_export;
}

impl FromTerm for NativeRecord {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        match term.to_term()? {
            Term::Record(record) => Ok(record),
            _ => Err(term.mismatch("a native record")),
        }
    }
}
