//! `enmesh leave`: a member, or the agent of a BEAM node, leaves the cluster.

use std::time::Duration;

use clap::Args;
use enmesh::{Event, Node, Raise, RpcError, Term};
use tokio::sync::mpsc;

use crate::arguments::patience;
use crate::config::Environment;
use crate::exit::Failure;
use crate::runtime;
use crate::visit::{Absent, Visit, VisitError, VisitOptions};

/// The function that a member serves for it, and its module.
const FUNCTION: (&str, &str) = ("enmesh", "leave");

/// The name of the process by which an agent watches its node.
const AGENT: &str = "enmesh_agent";

/// How often a node is dialled that lets the connection fall, or seems to be gone.
const TRIES: usize = 4;
/// How long after such a dial the next one comes.
const PAUSE: Duration = Duration::from_millis(500);

/// What `leave` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
A member (`enmesh run`) closes all its links together, says goodbye where its topologies can, dials
nobody any more, and ends. An agent (`enmesh agent`) stops connecting its node, and cuts the node's
links if its on_leave says so; it goes on until it is stopped. Whoever holds the cookie can do this.
A node that ends meanwhile has left; so has one for which nobody listens, if POD_IP says that it
would be in this pod.

The node is reached on this machine, at POD_IP, or at its own address, in this order. The cookie is
found as `enmesh run` finds it.

Examples:
  enmesh leave --config /etc/enmesh/enmesh.toml
  enmesh leave --name web@10.0.0.7 --cookie-file /etc/enmesh/cookie

In a Deployment, without a shell in the image:
  lifecycle: { preStop: { exec: { command: [\"/enmesh\", \"leave\"] } } }

Exit codes: 0 it has left, 64 wrong usage, 78 wrong configuration, 1 it could not be told.")]
pub(crate) struct LeaveOptions {
    #[command(flatten)]
    visit: VisitOptions,
    /// How long the member may take to end.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = patience)]
    timeout: Duration,
}

/// Tells the node, and waits until it has left.
pub(crate) fn run(options: &LeaveOptions, environment: &Environment) -> Result<(), Failure> {
    runtime::start()?.block_on(async {
        let Some(visit) = begin(&options.visit, environment).await? else {
            return Ok(());
        };
        let told = tell(&visit, options.timeout).await;
        visit.end().await;
        Ok(told?)
    })
}

/// Dials the node; `None` if it has ended already. The node beside an agent is told to end at the same moment as the agent's
/// preStop hook runs, so that the hook may come at any moment of that end.
async fn begin(
    options: &VisitOptions,
    environment: &Environment,
) -> Result<Option<Visit>, Failure> {
    let mut left = TRIES;
    let mut was_gone = false;
    loop {
        left -= 1;
        let config = options.read(environment, &[])?;
        match Visit::begin(config, environment).await {
            Ok(visit) => return Ok(Some(visit)),
            Err(Failure::Visit(VisitError::Unreachable {
                node,
                tried,
                state: Absent::Ended,
            })) if was_gone => {
                eprintln!("enmesh: {node} does not run here, so it has left: {tried}");
                return Ok(None);
            }
            // An epmd that is too busy to answer looks like one that is gone: so twice.
            Err(Failure::Visit(VisitError::Unreachable { state, .. }))
                if left > 0 && state != Absent::Unknown =>
            {
                was_gone = state == Absent::Ended;
                tokio::time::sleep(PAUSE).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

async fn tell(visit: &Visit, timeout: Duration) -> Result<(), VisitError> {
    let node = || visit.host().clone();
    let mut events = visit.node().events();
    let (module, function) = FUNCTION;
    match unless_gone(visit.call(module, function, Vec::new()).await) {
        Ok(Some(_)) => {}
        // It may be gone before its answer is.
        Ok(None) => return Ok(()),
        Err(RpcError::Failed { reason, .. }) if reason.is_atom("undef") => {
            return tell_agent(visit).await;
        }
        Err(error) => {
            return Err(VisitError::NoAnswer {
                node: node(),
                error,
            });
        }
    }
    let gone = async {
        loop {
            match events.next().await {
                Some(Event::Nodedown { peer, .. }) if peer.name == *visit.host() => return,
                Some(_) => {}
                None => return,
            }
        }
    };
    let still_there = |_| VisitError::StillThere {
        node: node(),
        after: timeout,
    };
    tokio::time::timeout(timeout, gone)
        .await
        .map_err(still_there)
}

/// A BEAM does not leave; whoever steers it does. One that ends meanwhile needs nobody to tell it.
async fn tell_agent(visit: &Visit) -> Result<(), VisitError> {
    let node = || visit.host().clone();
    let no_answer = |error| VisitError::NoAnswer {
        node: node(),
        error,
    };
    let agent = Term::atom(AGENT);
    let found = visit.call("erlang", "whereis", vec![agent.clone()]).await;
    let Some(found) = unless_gone(found).map_err(no_answer)? else {
        return Ok(());
    };
    if found.is_atom("undefined") {
        return Err(VisitError::NotOurs { node: node() });
    }
    // By a call, so that we know that it has been sent when we go.
    let message = vec![agent, Term::atom("leave")];
    let sent = visit.call("erlang", "send", message).await;
    unless_gone(sent).map(drop).map_err(no_answer)
}

/// What a call came to; `None` if the node let go of us during it, as it does when it ends.
fn unless_gone(said: Result<Term, RpcError>) -> Result<Option<Term>, RpcError> {
    match said {
        Ok(term) => Ok(Some(term)),
        Err(RpcError::NoConnection) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Serves the function that `enmesh leave` calls; the receiver hears of each call.
pub(crate) fn serve(node: &Node) -> mpsc::Receiver<Term> {
    let (told, leaving) = mpsc::channel(1);
    let (module, function) = FUNCTION;
    node.serve_function(module, function, move |call| {
        let told = told.clone();
        async move {
            if !call.args.is_empty() {
                return Err(Raise::Error(Term::atom("undef")));
            }
            // Full means that somebody has said so already.
            let _ = told.try_send(call.caller.into());
            Ok(Term::atom("ok"))
        }
    });
    leaving
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_ends_during_a_call_has_left_and_one_that_refuses_it_has_not() {
        assert_eq!(unless_gone(Err(RpcError::NoConnection)), Ok(None));
        let value = Term::atom("undefined");
        assert_eq!(unless_gone(Ok(value.clone())), Ok(Some(value)));
        let silent = RpcError::TimedOut(Duration::from_secs(10));
        for error in [RpcError::Refused(Term::atom("system_limit")), silent] {
            assert_eq!(unless_gone(Err(error.clone())), Err(error));
        }
    }
}
