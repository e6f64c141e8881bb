//! Functions of other nodes, called from here.

use std::sync::Arc;
use std::time::Duration;

use enmesh_otp::Mail;
use enmesh_term::{Atom, Term};

use crate::call::{Request, deadline};
use crate::destination::Destination;
use crate::kernel_driver::KernelDriver;
use crate::send::{self, TooLong};
use crate::slot::Outcome;

/// Why a remote call returned no value.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use enmesh::{NodeName, RpcError};
///
/// let web: NodeName = "web@10.0.0.7".parse()?;
/// match node.rpc(&web, "Elixir.Shop", "open", vec![], Duration::from_secs(5)).await {
///     Ok(value) => println!("{value}"),
///     Err(RpcError::Failed { reason, .. }) if reason.is_atom("undef") => println!("no such function"),
///     Err(other) => return Err(other.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The function threw this.
    #[error("the function threw {0}")]
    Threw(Term),
    /// The function called `exit/1` with this.
    #[error("the function exited with {0}")]
    Exited(Term),
    /// The function failed.
    #[error("the function failed: {reason}")]
    Failed {
        /// Why: `undef`, `badarg`, `{badmatch, _}`, an Elixir exception…
        reason: Term,
        /// Where, as Erlang's stack traces are.
        stack: Term,
    },
    /// The other node did not take the call.
    #[error("the node refused the call: {0}")]
    Refused(Term),
    /// The process that ran the function was ended by a signal of this reason.
    #[error("the process of the call was ended: {0}")]
    Killed(Term),
    /// The node cannot be reached, or its connection ended during the call; the function may have
    /// run.
    #[error("the connection to the node is gone")]
    NoConnection,
    /// No result in time; the function may still run.
    #[error("no result within {0:?}")]
    TimedOut(Duration),
    /// The arguments are longer than any link takes: 128 MiB. Nothing was sent.
    #[error("arguments of {len} bytes are longer than the {max} allowed")]
    TooLarge {
        /// Their length, in bytes.
        len: usize,
        /// The longest that is allowed, in bytes.
        max: usize,
    },
    /// Our node has shut down.
    #[error("the node has shut down")]
    ShutDown,
}

/// What the function's process puts into its exit reason, so that it can be told from others.
const TAG: &str = "enmesh_rpc";

/// As `erpc:call/5` does: a process on the other node, of its own, that ends with the result.
pub(crate) async fn call(
    driver: &Arc<KernelDriver>,
    node: &Atom,
    (module, function, args): (Atom, Atom, Vec<Term>),
    timeout: Duration,
) -> Result<Term, RpcError> {
    let to = Destination::Remote {
        name: Atom::from_static("erpc"),
        node: node.clone(),
    };
    let args = Term::List(vec![
        Term::atom(TAG),
        module.into(),
        function.into(),
        Term::List(args),
    ]);
    let length = send::length(driver, &args, 0)
        .map_err(|TooLong { len, max }| RpcError::TooLarge { len, max })?;
    let mfa = (
        Atom::from_static("erpc"),
        Atom::from_static("execute_call"),
        args,
    );
    let mut request = Request::new(driver, deadline(timeout));
    let begun = request.begin(&to, length, |kernel, now, slot| {
        let from = driver.client();
        kernel.spawn_request(now, from, node, mfa, true, false, slot)
    });
    let mut outcome = match begun.await {
        Err(outcome) => outcome,
        Ok(()) => request.outcome().await,
    };
    loop {
        match outcome {
            Outcome::Mail(Mail::Down { reason, .. }) => return result(reason),
            Outcome::Mail(Mail::Refused(reason)) if reason == *"noconnection" => {
                return Err(RpcError::NoConnection);
            }
            Outcome::Mail(Mail::Refused(reason)) => return Err(RpcError::Refused(reason.into())),
            Outcome::Mail(_) => outcome = request.outcome().await,
            Outcome::TimedOut => return Err(RpcError::TimedOut(timeout)),
            Outcome::ShutDown => return Err(RpcError::ShutDown),
        }
    }
}

/// erpc.erl, `execute_call/4`: the exit reason is `{Tag, return, Value}`, `{Tag, throw, Reason}`,
/// `{Tag, exit, Reason}`, `{Tag, error, Reason, Stack}` or `{Tag, error, {erpc, Reason}}`.
fn result(reason: Term) -> Result<Term, RpcError> {
    match reason {
        Term::Tuple(mut parts) if parts.first().is_some_and(|tag| tag.is_atom(TAG)) => {
            let kind = parts.get(1).and_then(Term::as_atom).cloned();
            let kind = kind.as_ref().map_or("", Atom::as_str);
            match (kind, parts.len()) {
                ("return", 3) => Ok(parts.remove(2)),
                ("throw", 3) => Err(RpcError::Threw(parts.remove(2))),
                ("exit", 3) => Err(RpcError::Exited(parts.remove(2))),
                ("error", 4) => {
                    let stack = parts.remove(3);
                    let reason = parts.remove(2);
                    Err(RpcError::Failed { reason, stack })
                }
                ("error", 3) => Err(RpcError::Refused(parts.remove(2))),
                _ => Err(RpcError::Killed(Term::Tuple(parts))),
            }
        }
        reason if reason.is_atom("noconnection") => Err(RpcError::NoConnection),
        reason => Err(RpcError::Killed(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(parts: Vec<Term>) -> Result<Term, RpcError> {
        result(Term::Tuple(parts))
    }

    #[test]
    fn every_ending_of_execute_call_has_its_own_outcome() {
        let (tag, value) = (Term::atom(TAG), Term::Int(7));
        let with = |kind: &'static str| vec![tag.clone(), Term::atom(kind), value.clone()];
        assert_eq!(ended(with("return")), Ok(value.clone()));
        assert_eq!(ended(with("throw")), Err(RpcError::Threw(value.clone())));
        assert_eq!(ended(with("exit")), Err(RpcError::Exited(value.clone())));
        assert_eq!(ended(with("error")), Err(RpcError::Refused(value.clone())));
        let mut failed = with("error");
        failed.push(Term::nil());
        assert_eq!(
            ended(failed),
            Err(RpcError::Failed {
                reason: value,
                stack: Term::nil()
            })
        );
    }

    #[test]
    fn any_other_reason_is_a_signal() {
        let lost = result(Term::atom("noconnection"));
        assert_eq!(lost, Err(RpcError::NoConnection));
        let killed = result(Term::atom("killed"));
        assert_eq!(killed, Err(RpcError::Killed(Term::atom("killed"))));
        let foreign = Term::tuple([Term::atom("other"), Term::atom("return"), Term::Int(1)]);
        assert_eq!(result(foreign.clone()), Err(RpcError::Killed(foreign)));
    }
}
