//! What has elements, and what stands around another value.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use bytes::BufMut;

use crate::{Atom, Encoder, Term, ToTerm};

impl<T: ToTerm> ToTerm for Option<T> {
    fn to_term(&self) -> Term {
        self.as_ref()
            .map_or_else(|| Term::atom("nil"), ToTerm::to_term)
    }

    fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
        match self {
            None => {
                encoder.atom(&Atom::from_static("nil"));
            }
            Some(value) => value.encode_with(encoder),
        }
    }
}

impl<T: ToTerm, E: ToTerm> ToTerm for Result<T, E> {
    fn to_term(&self) -> Term {
        let (tag, value) = match self {
            Ok(value) if value.is_unit() => return Term::atom("ok"),
            Err(reason) if reason.is_unit() => return Term::atom("error"),
            Ok(value) => ("ok", value.to_term()),
            Err(reason) => ("error", reason.to_term()),
        };
        Term::tuple([Term::atom(tag), value])
    }

    fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
        const OK: Atom = Atom::from_static("ok");
        const ERROR: Atom = Atom::from_static("error");
        match self {
            Ok(value) if value.is_unit() => {
                encoder.atom(&OK);
            }
            Err(reason) if reason.is_unit() => {
                encoder.atom(&ERROR);
            }
            Ok(value) => value.encode_with(encoder.tuple(2).atom(&OK)),
            Err(reason) => reason.encode_with(encoder.tuple(2).atom(&ERROR)),
        }
    }
}

macro_rules! pointers {
    ($(($($generics:tt)*) $pointer:ty;)*) => {$(
        impl<$($generics)*> ToTerm for $pointer {
            fn to_term(&self) -> Term {
                (**self).to_term()
            }

            fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
                (**self).encode_with(encoder);
            }

            fn is_unit(&self) -> bool {
                (**self).is_unit()
            }
        }
    )*};
}

pointers! {
    (T: ToTerm + ?Sized) &T;
    (T: ToTerm + ?Sized) &mut T;
    (T: ToTerm + ?Sized) Box<T>;
    (T: ToTerm + ?Sized) Arc<T>;
    (T: ToTerm + ?Sized) Rc<T>;
    (T: ToTerm + ToOwned + ?Sized) Cow<'_, T>;
}

/// The list of `elements`.
fn list<'a, T: ToTerm + 'a>(elements: impl Iterator<Item = &'a T>) -> Term {
    Term::List(elements.map(ToTerm::to_term).collect())
}

/// Writes the list of `elements`.
fn encode_list<'a, T: ToTerm + 'a, B: BufMut>(
    elements: impl ExactSizeIterator<Item = &'a T>,
    encoder: &mut Encoder<'_, B>,
) {
    if elements.len() > 0 {
        encoder.list(elements.len());
        elements.for_each(|element| element.encode_with(encoder));
    }
    encoder.nil();
}

impl<T: ToTerm> ToTerm for [T] {
    fn to_term(&self) -> Term {
        list(self.iter())
    }

    fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
        match T::as_bytes(self) {
            Some(bytes) => {
                encoder.string(bytes);
            }
            None => encode_list(self.iter(), encoder),
        }
    }
}

macro_rules! like_slices {
    ($(($($generics:tt)*) $slice:ty;)*) => {$(
        impl<$($generics)*> ToTerm for $slice {
            fn to_term(&self) -> Term {
                self[..].to_term()
            }

            fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
                self[..].encode_with(encoder);
            }
        }
    )*};
}

like_slices! {
    (T: ToTerm) Vec<T>;
    (T: ToTerm, const N: usize) [T; N];
}

macro_rules! sets {
    ($(($($generics:tt)*) $set:ty;)*) => {$(
        impl<$($generics)*> ToTerm for $set {
            fn to_term(&self) -> Term {
                list(self.iter())
            }

            fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
                encode_list(self.iter(), encoder);
            }
        }
    )*};
}

sets! {
    (T: ToTerm) BTreeSet<T>;
    (T: ToTerm, S) HashSet<T, S>;
}

/// Writes a map. Keys that differ in Rust may be one as terms, and a node closes the link over a
/// map with a key twice: so the keys are made first and compared, and of equals the last wins.
fn encode_map<'a, K: ToTerm + 'a, V: ToTerm + 'a, B: BufMut>(
    pairs: impl Iterator<Item = (&'a K, &'a V)>,
    encoder: &mut Encoder<'_, B>,
) {
    let mut sorted: Vec<(Term, &V)> = pairs.map(|(key, value)| (key.to_term(), value)).collect();
    sorted.sort_by(|a, b| b.0.cmp(&a.0));
    sorted.reverse();
    sorted.dedup_by(|a, b| a.0 == b.0);
    encoder.map(sorted.len());
    for (key, value) in sorted {
        value.encode_with(encoder.term(&key));
    }
}

macro_rules! maps {
    ($(($($generics:tt)*) $map:ty;)*) => {$(
        impl<$($generics)*> ToTerm for $map {
            fn to_term(&self) -> Term {
                Term::map(self.iter().map(|(key, value)| (key.to_term(), value.to_term())))
            }

            fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
                encode_map(self.iter(), encoder);
            }
        }
    )*};
}

maps! {
    (K: ToTerm, V: ToTerm) BTreeMap<K, V>;
    (K: ToTerm, V: ToTerm, S) HashMap<K, V, S>;
}

macro_rules! tuples {
    ($($count:literal: $($element:ident $index:tt),*;)*) => {$(
        impl<$($element: ToTerm),*> ToTerm for ($($element,)*) {
            fn to_term(&self) -> Term {
                Term::tuple([$(self.$index.to_term()),*])
            }

            fn encode_with<BUF: BufMut>(&self, encoder: &mut Encoder<'_, BUF>) {
                encoder.tuple($count);
                $(self.$index.encode_with(encoder);)*
            }
        }
    )*};
}

tuples! {
    1: A 0;
    2: A 0, B 1;
    3: A 0, B 1, C 2;
    4: A 0, B 1, C 2, D 3;
    5: A 0, B 1, C 2, D 3, E 4;
    6: A 0, B 1, C 2, D 3, E 4, F 5;
    7: A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
    9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8;
    10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9;
    11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10;
    12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11;
}
