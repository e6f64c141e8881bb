//! Rust functions that other nodes call by module and name.

use enmesh_term::{Atom, Term};

/// What a served function is called with.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Arguments {
    /// The arguments.
    pub args: Vec<Term>,
    /// The node that calls.
    pub caller: Atom,
}

/// How a served function ends other than by returning; the caller sees the same as of an Erlang
/// function that does so.
#[derive(Clone, Debug, PartialEq)]
pub enum Raise {
    /// As `throw/1`.
    Throw(Term),
    /// As `exit/1`.
    Exit(Term),
    /// As `error/1`.
    Error(Term),
}
