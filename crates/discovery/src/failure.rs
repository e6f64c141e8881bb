//! Failures as the roster takes them.

use enmesh_membership::{FailureKind, SourceFailure, Update};

/// A failed look-up. `text` says what failed and, where somebody can do something, what.
pub(crate) fn failed(kind: FailureKind, text: impl Into<String>) -> Update {
    Update::Failed(SourceFailure::new(kind, text))
}
