//! Whether anybody is where a peer should be, asked before the node connects it.
//!
//! A BEAM that connects an address at which nobody is, as that of a pod that has just gone, waits for it for seven seconds
//! (`net_setuptime`). If the peer's next life dials it meanwhile, that is refused for the sake of the attempt that hangs, and
//! `global` takes the one link that is missing for a partition and cuts others. So the port that `inet_tcp_dist` dials first for
//! the node, that of the peer's epmd or a fixed one, is dialled beside `net_kernel` before, and where nobody takes the connection
//! the peer is not connected.

use std::time::Duration;

use enmesh::{DialFailure, Failure, PeerAddr, RpcError, Term};

/// How long whoever is there may take to answer. A first packet that is lost is sent again after a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where epmds listen, unless the node was started with another port (`ERL_EPMD_PORT`).
const EPMD_PORT: i64 = 4369;

/// Those of OTP, which dial by TCP; what another one dials is its own affair.
const CARRIERS: [&str; 4] = ["inet_tcp", "inet6_tcp", "inet_tls", "inet6_tls"];

/// Calls a function of the node.
pub(crate) trait Calls: Sync {
    fn call(
        &self,
        module: &'static str,
        function: &'static str,
        args: Vec<Term>,
    ) -> impl Future<Output = Result<Term, RpcError>> + Send;
}

/// How the node finds others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doors {
    /// By the epmd of the peer's host, or at a port that all nodes have.
    Known {
        family: &'static str,
        port: i64,
        is_epmd: bool,
    },
    /// In a way of its own.
    Unknown,
}

impl Doors {
    /// As the node was started.
    ///
    /// # Errors
    /// If it does not say.
    pub(crate) async fn of(node: &impl Calls) -> Result<Self, RpcError> {
        let carrier = argument(node, "proto_dist").await?;
        let carrier = carrier.unwrap_or_else(|| CARRIERS[0].to_owned());
        let module = node.call("net_kernel", "epmd_module", Vec::new()).await?;
        if !CARRIERS.contains(&carrier.as_str()) || !module.is_atom("erl_epmd") {
            return Ok(Self::Unknown);
        }
        let number = |text: Option<String>| text?.parse().ok();
        let fixed = number(argument(node, "erl_epmd_port").await?);
        let epmd = number(argument(node, "epmd_port").await?);
        Ok(Self::Known {
            family: if carrier.starts_with("inet6") {
                "inet6"
            } else {
                "inet"
            },
            port: fixed.or(epmd).unwrap_or(EPMD_PORT),
            is_epmd: fixed.is_none(),
        })
    }

    /// Whether the peer may be there; what cannot be found out here is left to the node.
    ///
    /// # Errors
    /// If connecting it now is certain to fail so.
    pub(crate) async fn knock(&self, node: &impl Calls, peer: &PeerAddr) -> Result<(), Failure> {
        let Self::Known {
            family,
            port,
            is_epmd,
        } = self
        else {
            return Ok(());
        };
        let host = Term::charlist(peer.name().host().as_str());
        let found = node.call("inet", "getaddr", vec![host, Term::atom(family)]);
        let Some(address) = value_of_ok(found.await) else {
            return Ok(());
        };
        let wait = Term::Int(PATIENCE.as_millis().try_into().unwrap_or(i64::MAX));
        let args = vec![address, Term::Int(*port), Term::nil(), wait];
        // The socket is closed with the process of the call.
        let Ok(answer) = node.call("gen_tcp", "connect", args).await else {
            return Ok(());
        };
        let [word, why] = answer.as_tuple().unwrap_or_default() else {
            return Ok(());
        };
        let failed = |reason: &str| word.is_atom("error") && why.is_atom(reason);
        if failed("timeout") || failed("etimedout") {
            Err(DialFailure::TimedOut.into())
        } else if failed("ehostunreach") || failed("enetunreach") {
            Err(DialFailure::Unreachable.into())
        } else if failed("econnrefused") {
            let refused = match is_epmd {
                true => DialFailure::EpmdUnreachable,
                false => DialFailure::Refused,
            };
            Err(refused.into())
        } else {
            Ok(())
        }
    }
}

/// The first value of one of the VM's flags; `None` if it was not given.
async fn argument(node: &impl Calls, flag: &'static str) -> Result<Option<String>, RpcError> {
    let said = node.call("init", "get_argument", vec![Term::atom(flag)]);
    let first = |list: &Term| list.as_list()?.first().cloned();
    let value = value_of_ok(Ok(said.await?)).and_then(|all| first(&first(&all)?));
    Ok(value.and_then(|it| it.to_charlist_text()))
}

/// The value of `{ok, Value}`.
fn value_of_ok(said: Result<Term, RpcError>) -> Option<Term> {
    let Ok(Term::Tuple(parts)) = said else {
        return None;
    };
    match &parts[..] {
        [ok, value] if ok.is_atom("ok") => Some(value.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
