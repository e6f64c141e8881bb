//! Control messages from bytes.

use enmesh_term::{DecodeError, Limits, Term};

use super::Control;

/// Why a control message cannot be understood.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It is no external term, or over a limit.
    #[error("not a term")]
    Term(#[from] DecodeError),
    /// It is a term, but no tuple that begins with a number.
    #[error("not a tuple with an operation")]
    NotOperation,
    /// No such operation.
    #[error("unknown operation {op}")]
    UnknownOp {
        /// Its number.
        op: i64,
    },
    /// The operation has another number of fields.
    #[error("operation {op} with {arity} elements")]
    Arity {
        /// Its number.
        op: i64,
        /// How many elements the tuple has.
        arity: usize,
    },
    /// A field is of another type.
    #[error("operation {op} with a wrong element {index}")]
    Field {
        /// Its number.
        op: i64,
        /// Which element of the tuple is wrong, from 0.
        index: usize,
    },
}

impl Control {
    /// The control message that `bytes` begin with, 131 included, and how long it is.
    ///
    /// # Errors
    /// If there is no term, or it is none of the protocol's.
    pub fn decode_prefix(bytes: &[u8]) -> Result<(Control, usize), ControlError> {
        let _ = bytes;
        todo!()
    }
}
