//! What has no elements.

use bytes::{BufMut, Bytes};
use num_bigint::BigInt;

use crate::{Atom, Binary, Encoder, Export, Fun, NativeRecord, Pid, Port, Reference, Term, ToTerm};

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl ToTerm for $int {
            fn to_term(&self) -> Term {
                Term::Int(i64::from(*self))
            }

            fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
                encoder.int(i64::from(*self));
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u16, u32);

impl ToTerm for u8 {
    fn to_term(&self) -> Term {
        Term::Int(i64::from(*self))
    }

    fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
        encoder.int(i64::from(*self));
    }

    fn as_bytes(values: &[Self]) -> Option<&[u8]> {
        Some(values)
    }
}

macro_rules! wide_integers {
    ($($int:ty),*) => {$(
        impl ToTerm for $int {
            fn to_term(&self) -> Term {
                i64::try_from(*self).map_or_else(|_| BigInt::from(*self).into(), Term::Int)
            }

            fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
                match i64::try_from(*self) {
                    Ok(int) => encoder.int(int),
                    Err(_) => encoder.bigint(&BigInt::from(*self)),
                };
            }
        }
    )*};
}

wide_integers!(i128, isize, u64, u128, usize);

impl ToTerm for BigInt {
    fn to_term(&self) -> Term {
        self.clone().into()
    }

    fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
        encoder.bigint(self);
    }
}

macro_rules! floats {
    ($($float:ty),*) => {$(
        impl ToTerm for $float {
            fn to_term(&self) -> Term {
                Term::Float(f64::from(*self))
            }

            fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
                encoder.float(f64::from(*self));
            }
        }
    )*};
}

floats!(f32, f64);

impl ToTerm for bool {
    fn to_term(&self) -> Term {
        (*self).into()
    }
}

impl ToTerm for char {
    fn to_term(&self) -> Term {
        u32::from(*self).into()
    }
}

impl ToTerm for () {
    fn to_term(&self) -> Term {
        Term::atom("ok")
    }

    fn is_unit(&self) -> bool {
        true
    }
}

impl ToTerm for str {
    fn to_term(&self) -> Term {
        Term::binary(self)
    }

    fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
        encoder.binary(self.as_bytes());
    }
}

impl ToTerm for String {
    fn to_term(&self) -> Term {
        self.as_str().to_term()
    }

    fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
        encoder.binary(self.as_bytes());
    }
}

impl ToTerm for Term {
    fn to_term(&self) -> Term {
        self.clone()
    }

    fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
        encoder.term(self);
    }
}

macro_rules! leaves {
    ($($leaf:ty => $write:ident),* $(,)?) => {$(
        impl ToTerm for $leaf {
            fn to_term(&self) -> Term {
                self.clone().into()
            }

            fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
                encoder.$write(self);
            }
        }
    )*};
}

leaves! {
    Atom => atom, Binary => shared, Bytes => shared_bytes, Pid => pid, Port => port,
    Reference => reference, Fun => fun, Export => export, NativeRecord => record,
}
