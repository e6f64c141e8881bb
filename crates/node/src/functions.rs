//! Rust functions that other nodes call by module and name.

use enmesh_term::{Atom, Term};

/// What a served function is called with.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::Term;
///
/// node.serve_function("rust", "whoami", |call| async move {
///     println!("asked with {} arguments", call.args.len());
///     Ok(Term::from(call.caller))
/// });
/// # Ok(()) }
/// ```
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
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::{Raise, Term};
///
/// node.serve_function("rust", "fail", |call| async move {
///     match call.args.len() {
///         0 => Err(Raise::Error(Term::atom("badarg"))),
///         1 => Err(Raise::Throw(Term::atom("ball"))),
///         _ => Err(Raise::Exit(Term::atom("shutdown"))),
///     }
/// });
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Raise {
    /// As `throw/1`.
    Throw(Term),
    /// As `exit/1`.
    Exit(Term),
    /// As `error/1`.
    Error(Term),
}
