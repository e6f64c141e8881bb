//! Funs: closures of some node, and functions named by module.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::Atom;

/// A closure that some node made, kept as the very bytes it came in.
///
/// Only a BEAM can call it; to us it is a token to hand back unchanged. Two funs are equal when
/// their bytes are.
///
/// ```
/// use enmesh_term::Fun;
///
/// fn of_module(fun: &Fun) -> (&str, u8) {
///     (fun.module().as_str(), fun.arity())
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fun {
    parts: Arc<FunParts>,
}

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct FunParts {
    module: Atom,
    arity: u8,
    encoding: Bytes,
}

impl Fun {
    /// The fun of an encoding that was checked, tag included.
    pub(crate) fn from_checked(module: Atom, arity: u8, encoding: Bytes) -> Self {
        Self {
            parts: Arc::new(FunParts {
                module,
                arity,
                encoding,
            }),
        }
    }

    /// The module that made it.
    #[must_use]
    pub fn module(&self) -> &Atom {
        &self.parts.module
    }

    /// How many arguments it takes.
    #[must_use]
    pub fn arity(&self) -> u8 {
        self.parts.arity
    }

    /// Its encoding, from the tag on.
    #[must_use]
    pub fn encoding(&self) -> &[u8] {
        &self.parts.encoding
    }
}

impl fmt::Display for Fun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Fun<{}/{}>", self.module(), self.arity())
    }
}

impl fmt::Debug for Fun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A function named by module, name and arity: `fun lists:map/2`.
///
/// ```
/// use enmesh_term::{Atom, Export};
///
/// let map = Export::new(Atom::from_static("lists"), Atom::from_static("map"), 2);
/// assert_eq!(map.to_string(), "fun lists:map/2");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Export {
    parts: Arc<(Atom, Atom, u8)>,
}

impl Export {
    /// The function of these parts.
    #[must_use]
    pub fn new(module: Atom, function: Atom, arity: u8) -> Self {
        Self {
            parts: Arc::new((module, function, arity)),
        }
    }

    /// Its module.
    #[must_use]
    pub fn module(&self) -> &Atom {
        &self.parts.0
    }

    /// Its name.
    #[must_use]
    pub fn function(&self) -> &Atom {
        &self.parts.1
    }

    /// How many arguments it takes.
    #[must_use]
    pub fn arity(&self) -> u8 {
        self.parts.2
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "fun {}:{}/{}",
            self.module(),
            self.function(),
            self.arity()
        )
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
