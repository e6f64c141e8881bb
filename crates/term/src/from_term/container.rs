//! What has elements, and what stands around another value.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::rc::Rc;
use std::sync::Arc;

use crate::from_term::{FromTerm, FromTermError, Mismatch, PathStep, TermView};

type Result<T> = std::result::Result<T, FromTermError>;

impl<T: FromTerm> FromTerm for Option<T> {
    /// `None` of `nil` and of `undefined`.
    fn from_view(term: TermView<'_>) -> Result<Self> {
        if term.is_atom("nil") || term.is_atom("undefined") {
            return Ok(None);
        }
        T::from_view(term).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: FromTerm, E: FromTerm> FromTerm for std::result::Result<T, E> {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        const EXPECTED: Mismatch = Mismatch::UnknownVariant {
            expected: &["ok", "error"],
        };
        let [tag, value] = match term.tuple_of() {
            Ok(parts) => parts,
            Err(_) => {
                let ok = T::unit().filter(|_| term.is_atom("ok")).map(Ok);
                let error = || E::unit().filter(|_| term.is_atom("error")).map(Err);
                return ok.or_else(error).ok_or_else(|| EXPECTED.into());
            }
        };
        let within = |error: FromTermError| error.within_index(1);
        if tag.is_atom("ok") {
            T::from_view(value).map(Ok).map_err(within)
        } else if tag.is_atom("error") {
            E::from_view(value).map(Err).map_err(within)
        } else {
            Err(FromTermError::new(EXPECTED).within_index(0))
        }
    }
}

macro_rules! pointers {
    ($($pointer:ident),*) => {$(
        impl<T: FromTerm> FromTerm for $pointer<T> {
            fn from_view(term: TermView<'_>) -> Result<Self> {
                T::from_view(term).map(Self::new)
            }

            fn absent() -> Option<Self> {
                T::absent().map(Self::new)
            }

            fn unit() -> Option<Self> {
                T::unit().map(Self::new)
            }
        }

        impl FromTerm for $pointer<str> {
            fn from_view(term: TermView<'_>) -> Result<Self> {
                term.text().map(Self::from)
            }
        }

        impl<T: FromTerm> FromTerm for $pointer<[T]> {
            fn from_view(term: TermView<'_>) -> Result<Self> {
                Vec::from_view(term).map(Self::from)
            }
        }
    )*};
}

pointers!(Box, Arc, Rc);

impl<T: ToOwned<Owned: FromTerm> + ?Sized> FromTerm for Cow<'_, T> {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        T::Owned::from_view(term).map(Self::Owned)
    }

    fn absent() -> Option<Self> {
        T::Owned::absent().map(Self::Owned)
    }
}

/// Reads each element of a list and hands it on.
fn each<T: FromTerm>(term: TermView<'_>, mut put: impl FnMut(T)) -> Result<()> {
    let mut elements = term.list()?;
    for (at, element) in elements.by_ref().enumerate() {
        put(T::from_view(element).map_err(|error| error.within_index(at))?);
    }
    elements.finish()
}

impl<T: FromTerm> FromTerm for Vec<T> {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        let mut all = Self::new();
        each(term, |element| all.push(element))?;
        Ok(all)
    }
}

impl<T: FromTerm + Ord> FromTerm for BTreeSet<T> {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        let mut all = Self::new();
        each(term, |element| {
            all.insert(element);
        })?;
        Ok(all)
    }
}

impl<T: FromTerm + Eq + Hash, S: BuildHasher + Default> FromTerm for HashSet<T, S> {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        let mut all = Self::default();
        each(term, |element| {
            all.insert(element);
        })?;
        Ok(all)
    }
}

impl<T: FromTerm, const N: usize> FromTerm for [T; N] {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        let all: Vec<T> = Vec::from_view(term)?;
        Self::try_from(all).map_err(|all| {
            let found = all.len();
            Mismatch::Length { expected: N, found }.into()
        })
    }
}

/// Reads each pair of a map and hands it on; `put` says whether the key was new.
fn each_pair<K: FromTerm, V: FromTerm>(
    term: TermView<'_>,
    mut put: impl FnMut(K, V) -> bool,
) -> Result<()> {
    let (_, pairs) = term.map()?;
    for (key_view, value) in pairs {
        let at_value = |error: FromTermError| match key_view.to_term() {
            Ok(key) => error.within(PathStep::Value(key)),
            Err(_) => error.within(PathStep::Key),
        };
        let key = K::from_view(key_view).map_err(|error| error.within(PathStep::Key))?;
        let value = V::from_view(value).map_err(at_value)?;
        if !put(key, value) {
            return Err(at_value(Mismatch::DuplicateKey.into()));
        }
    }
    Ok(())
}

impl<K: FromTerm + Ord, V: FromTerm> FromTerm for BTreeMap<K, V> {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        let mut all = Self::new();
        each_pair(term, |key, value| all.insert(key, value).is_none())?;
        Ok(all)
    }
}

impl<K: FromTerm + Eq + Hash, V: FromTerm, S: BuildHasher + Default> FromTerm for HashMap<K, V, S> {
    fn from_view(term: TermView<'_>) -> Result<Self> {
        let mut all = Self::default();
        each_pair(term, |key, value| all.insert(key, value).is_none())?;
        Ok(all)
    }
}

macro_rules! tuples {
    ($($count:literal: $($element:ident $index:tt),*;)*) => {$(
        impl<$($element: FromTerm),*> FromTerm for ($($element,)*) {
            fn from_view(term: TermView<'_>) -> Result<Self> {
                let mut elements = term.elements_of($count)?;
                Ok(($(
                    $element::from_view(elements.element())
                        .map_err(|error| error.within_index($index))?,
                )*))
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
