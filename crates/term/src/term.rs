//! The owned term.

use std::sync::Arc;

use bytes::Bytes;
use num_bigint::BigInt;

use crate::{Atom, Binary, Export, Fun, NativeRecord, Pid, Port, Reference};

/// Any Erlang term.
///
/// Equality is Erlang's `=:=`: 1 and 1.0 differ, floats are compared by their bits (0.0 and -0.0
/// differ, as from OTP 27 on), maps are equal whatever the order of their pairs. The order is
/// Erlang's, with an integer before the float of the same value (as map keys are ordered).
///
/// Comparing, printing, encoding and dropping recurse once a level; decoded terms are at most
/// [`MAX_DEPTH`](crate::MAX_DEPTH) levels deep.
///
/// ```
/// use enmesh_term::Term;
///
/// let term = Term::tuple([Term::atom("ok"), Term::list([Term::Int(1), Term::from(2.5)])]);
/// assert_eq!(term.to_string(), "{ok,[1,2.5]}");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Term {
    /// An atom.
    Atom(Atom),
    /// An integer of 64 bits.
    Int(i64),
    /// An integer that needs more; [`Term::from`] makes the right one of the two.
    BigInt(Box<BigInt>),
    /// A float. Erlang has no infinities and no NaN: they are encoded as the atoms `infinity`,
    /// `'-infinity'` and `nan`, because a peer would close the link over such a float.
    Float(f64),
    /// A binary.
    Binary(Binary),
    /// A bit string that is not of whole bytes; [`Term::bit_string`] clears the unused bits.
    BitString {
        /// All of its bytes.
        bytes: Arc<[u8]>,
        /// How many bits of the last byte count, 1 to 7, the high ones.
        bits: u8,
    },
    /// A proper list; strings and the empty list too.
    List(Vec<Term>),
    /// A list with a tail that is not a list; [`Term::improper`] takes care of that.
    ImproperList(Box<[Term]>, Box<Term>),
    /// A tuple.
    Tuple(Vec<Term>),
    /// A map with any keys, none of them twice, in any order.
    Map(Vec<(Term, Term)>),
    /// A process identifier.
    Pid(Box<Pid>),
    /// A port identifier.
    Port(Port),
    /// A reference.
    Reference(Reference),
    /// A closure.
    Fun(Fun),
    /// A function by name.
    Export(Export),
    /// A native record of OTP 29.
    Record(NativeRecord),
}

impl Term {
    /// The empty list.
    #[must_use]
    pub const fn nil() -> Self {
        Self::List(Vec::new())
    }

    /// The atom of a name written in the program.
    ///
    /// # Panics
    /// Over 255 characters.
    #[must_use]
    pub const fn atom(name: &'static str) -> Self {
        Self::Atom(Atom::from_static(name))
    }

    /// A tuple.
    #[must_use]
    pub fn tuple(elements: impl Into<Vec<Self>>) -> Self {
        Self::Tuple(elements.into())
    }

    /// A proper list.
    #[must_use]
    pub fn list(elements: impl Into<Vec<Self>>) -> Self {
        Self::List(elements.into())
    }

    /// The list `elements` with `tail` behind it, whatever that is: a list as tail is appended.
    #[must_use]
    pub fn improper(mut elements: Vec<Self>, tail: Self) -> Self {
        match tail {
            tail if elements.is_empty() => tail,
            Self::List(more) => {
                elements.extend(more);
                Self::List(elements)
            }
            Self::ImproperList(more, tail) => {
                elements.extend(more);
                Self::ImproperList(elements.into(), tail)
            }
            tail => Self::ImproperList(elements.into(), Box::new(tail)),
        }
    }

    /// A map of these pairs; of two with equal keys, the later one wins, as in `maps:from_list/1`.
    #[must_use]
    pub fn map(pairs: impl IntoIterator<Item = (Self, Self)>) -> Self {
        let mut sorted: Vec<(Self, Self)> = pairs.into_iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut unique: Vec<(Self, Self)> = Vec::with_capacity(sorted.len());
        for pair in sorted {
            match unique.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => unique.push(pair),
            }
        }
        Self::Map(unique)
    }

    /// A charlist, Erlang's string: the list of the text's code points.
    #[must_use]
    pub fn charlist(text: &str) -> Self {
        Self::List(
            text.chars()
                .map(|c| Self::Int(i64::from(u32::from(c))))
                .collect(),
        )
    }

    /// A binary of the text's UTF-8, Elixir's string.
    #[must_use]
    pub fn binary(bytes: impl AsRef<[u8]>) -> Self {
        Self::Binary(Binary::copy_from_slice(bytes.as_ref()))
    }

    /// The bit string of `bytes` with `bits` bits in the last, unused bits cleared: a binary if
    /// `bits` is 8 or more, or if there are no bytes.
    #[must_use]
    pub fn bit_string(bytes: &[u8], bits: u8) -> Self {
        let mut owned = bytes.to_vec();
        match owned.last_mut() {
            Some(last) if bits < 8 => {
                *last &= !(0xff_u8 >> bits);
                Self::BitString {
                    bytes: Arc::from(owned),
                    bits,
                }
            }
            _ => Self::Binary(Binary::from(owned)),
        }
    }

    /// The atom, if it is one.
    #[must_use]
    pub const fn as_atom(&self) -> Option<&Atom> {
        if let Self::Atom(atom) = self {
            Some(atom)
        } else {
            None
        }
    }

    /// Whether it is the atom of this name.
    #[must_use]
    pub fn is_atom(&self, name: &str) -> bool {
        self.as_atom().is_some_and(|atom| atom == name)
    }

    /// The integer, if it is one of 64 bits.
    #[must_use]
    pub const fn as_int(&self) -> Option<i64> {
        if let Self::Int(int) = self {
            Some(*int)
        } else {
            None
        }
    }

    /// The float, if it is one.
    #[must_use]
    pub const fn as_float(&self) -> Option<f64> {
        if let Self::Float(float) = self {
            Some(*float)
        } else {
            None
        }
    }

    /// The bytes, if it is a binary.
    #[must_use]
    pub const fn as_binary(&self) -> Option<&Binary> {
        if let Self::Binary(bytes) = self {
            Some(bytes)
        } else {
            None
        }
    }

    /// The elements, if it is a proper list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(elements) = self {
            Some(elements)
        } else {
            None
        }
    }

    /// The elements, if it is a tuple.
    #[must_use]
    pub fn as_tuple(&self) -> Option<&[Self]> {
        if let Self::Tuple(elements) = self {
            Some(elements)
        } else {
            None
        }
    }

    /// The pairs, if it is a map.
    #[must_use]
    pub fn as_map(&self) -> Option<&[(Self, Self)]> {
        if let Self::Map(pairs) = self {
            Some(pairs)
        } else {
            None
        }
    }

    /// The value under `key`, if it is a map that has it.
    #[must_use]
    pub fn get(&self, key: &Self) -> Option<&Self> {
        self.as_map()?
            .iter()
            .find(|(found, _)| found == key)
            .map(|(_, value)| value)
    }

    /// The pid, if it is one.
    #[must_use]
    pub fn as_pid(&self) -> Option<&Pid> {
        if let Self::Pid(pid) = self {
            Some(pid)
        } else {
            None
        }
    }

    /// The port, if it is one.
    #[must_use]
    pub const fn as_port(&self) -> Option<&Port> {
        if let Self::Port(port) = self {
            Some(port)
        } else {
            None
        }
    }

    /// The reference, if it is one.
    #[must_use]
    pub const fn as_reference(&self) -> Option<&Reference> {
        if let Self::Reference(reference) = self {
            Some(reference)
        } else {
            None
        }
    }

    /// The text of a charlist: `None` if it is no list of code points.
    #[must_use]
    pub fn to_charlist_text(&self) -> Option<String> {
        let code_point = |term: &Self| char::from_u32(u32::try_from(term.as_int()?).ok()?);
        self.as_list()?.iter().map(code_point).collect()
    }
}

macro_rules! from_parts {
    ($($part:ty => $variant:ident),* $(,)?) => {$(
        impl From<$part> for Term {
            fn from(part: $part) -> Self {
                Self::$variant(part.into())
            }
        }
    )*};
}

from_parts! {
    Atom => Atom, Pid => Pid, Port => Port, Reference => Reference, Fun => Fun, Export => Export,
    NativeRecord => Record, f64 => Float, Bytes => Binary, Binary => Binary, Vec<Term> => List,
    i64 => Int, i32 => Int, i16 => Int, i8 => Int, u32 => Int, u16 => Int, u8 => Int,
}

impl From<bool> for Term {
    fn from(truth: bool) -> Self {
        Self::atom(if truth { "true" } else { "false" })
    }
}

impl From<u64> for Term {
    fn from(int: u64) -> Self {
        i64::try_from(int).map_or_else(|_| Self::BigInt(Box::new(int.into())), Self::Int)
    }
}

impl From<BigInt> for Term {
    fn from(int: BigInt) -> Self {
        i64::try_from(&int).map_or_else(|_| Self::BigInt(Box::new(int)), Self::Int)
    }
}
