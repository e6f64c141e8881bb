//! What can go wrong between serde and terms.

use std::fmt::Display;

use crate::serde::tries;
use crate::{AtomTooLong, FromTermError, MAX_TYPED_DEPTH, PathStep};

/// A value could not become a term, or a term not the value.
///
/// ```
/// use enmesh_term::{SerdeError, Term, from_term};
///
/// let error = from_term::<u8>(&Term::Int(300)).unwrap_err();
/// assert!(matches!(error, SerdeError::Term(_) | SerdeError::Custom { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SerdeError {
    /// The term is not what the type needs.
    #[error(transparent)]
    Term(#[from] FromTermError),
    /// The value nests deeper than [`MAX_TYPED_DEPTH`].
    #[error("nested deeper than {MAX_TYPED_DEPTH} levels")]
    TooDeep,
    /// A name of the type is too long for an atom.
    #[error(transparent)]
    Name(#[from] AtomTooLong),
    /// The type's own implementation of serde's traits says this.
    #[error("{message}")]
    Custom {
        /// Its words.
        message: Box<str>,
    },
}

impl SerdeError {
    pub(super) fn custom(message: impl Display) -> Self {
        let message = message.to_string().into();
        Self::Custom { message }
    }

    /// The same error, seen from the term around.
    pub(super) fn within(self, step: impl FnOnce() -> PathStep) -> Self {
        match self {
            Self::Term(error) => Self::Term(error.within(step())),
            other => other,
        }
    }
}

impl serde::ser::Error for SerdeError {
    fn custom<T: Display>(message: T) -> Self {
        Self::custom(message)
    }
}

impl serde::de::Error for SerdeError {
    fn custom<T: Display>(message: T) -> Self {
        tries::failed();
        Self::custom(message)
    }
}
