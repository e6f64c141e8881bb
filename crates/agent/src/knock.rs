//! Whether anybody is where a peer should be, asked before the node connects it.
//!
//! A BEAM that connects an address at which nobody is, as that of a pod that has just gone, waits for it for seven seconds
//! (`net_setuptime`). If the peer's next life dials it meanwhile, that is refused for the sake of the attempt that hangs, and
//! `global` takes the one link that is missing for a partition and cuts others. So the same look-up as `inet_tcp_dist` makes for
//! the node is made beside `net_kernel` first, and whoever is not found so is not connected.

use std::time::Duration;

use enmesh::{DialFailure, Failure, NodeName, PeerAddr, RpcError, Term};
use tokio::time::Instant;

/// How long whoever is there may take to answer. A first packet that is lost is sent again after a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// A look-up that found nobody and took as long as this got no answer from the address.
const UNANSWERED: Duration = Duration::from_secs(1);

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
#[derive(Clone, Debug)]
pub(crate) struct Doors {
    /// The module that says where a node listens: `erl_epmd`, unless the node was started with `-epmd_module`.
    module: Term,
    family: Term,
    /// Whether that module asks the peer's host, rather than to know the port beforehand.
    asks: bool,
}

impl Doors {
    /// As the node was started.
    pub(crate) async fn of(node: &impl Calls) -> Self {
        let module = node.call("net_kernel", "epmd_module", Vec::new()).await;
        let module = module.unwrap_or_else(|_| Term::atom("erl_epmd"));
        let carrier = argument(node, "proto_dist").await.unwrap_or_default();
        let is_fixed = argument(node, "erl_epmd_port").await.is_some();
        Self {
            asks: module.is_atom("erl_epmd") && !is_fixed,
            module,
            family: Term::atom(if carrier.starts_with("inet6") {
                "inet6"
            } else {
                "inet"
            }),
        }
    }

    /// What would come of connecting the peer now, where that is certain to fail.
    pub(crate) async fn knock(&self, node: &impl Calls, peer: &PeerAddr) -> Verdict {
        let began = Instant::now();
        match self.find(node, peer.name()).await {
            Some(true) => Verdict::Connect,
            Some(false) if began.elapsed() >= UNANSWERED => {
                Verdict::Leave(DialFailure::TimedOut.into())
            }
            Some(false) => Verdict::Explain,
            None => Verdict::Connect,
        }
    }

    /// Whether the peer is there; `None` if that is for the node itself to find out.
    async fn find(&self, node: &impl Calls, peer: &NodeName) -> Option<bool> {
        let (alive, host) = (Term::charlist(peer.alive()), peer.host());
        let host = Term::charlist(host.as_str());
        let args = vec![alive.clone(), host, self.family.clone()];
        let found = self.ask(node, "address_please", args).await?;
        let (address, port) = match found.as_tuple()? {
            [ok, address] if ok.is_atom("ok") => (address, None),
            [ok, address, port, _] if ok.is_atom("ok") => (address, Some(port.clone())),
            _ => return None,
        };
        let port = match port {
            Some(port) => port,
            None => {
                let wait = Term::Int(PATIENCE.as_millis().try_into().ok()?);
                let args = vec![alive, address.clone(), wait];
                let said = self.ask(node, "port_please", args).await?;
                match said.as_tuple() {
                    Some([word, port, _]) if word.is_atom("port") => port.clone(),
                    // `noport`, `closed` or an error: so it would be for `net_kernel`.
                    _ => return Some(false),
                }
            }
        };
        if self.asks {
            return Some(true);
        }
        let wait = Term::Int(PATIENCE.as_millis().try_into().ok()?);
        let args = vec![address.clone(), port, Term::nil(), wait];
        // The socket is closed with the process of the call.
        let socket = node.call("gen_tcp", "connect", args).await.ok()?;
        Some(socket.as_tuple()?.first()?.is_atom("ok"))
    }

    async fn ask(
        &self,
        node: &impl Calls,
        function: &'static str,
        args: Vec<Term>,
    ) -> Option<Term> {
        let args = vec![self.module.clone(), Term::atom(function), Term::List(args)];
        node.call("erlang", "apply", args).await.ok()
    }
}

/// What to do about a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Have the node connect it.
    Connect,
    /// Nobody is there, and why can be found out at once.
    Explain,
    /// Nobody answers there.
    Leave(Failure),
}

/// The first value of one of the VM's flags; empty if it has none, `None` if it was not given.
async fn argument(node: &impl Calls, flag: &'static str) -> Option<String> {
    let said = node.call("init", "get_argument", vec![Term::atom(flag)]);
    let said = said.await.ok()?;
    let [ok, values] = said.as_tuple()? else {
        return None;
    };
    ok.is_atom("ok").then(|| {
        let first = |list: &Term| list.as_list()?.first().cloned();
        let value = first(values).and_then(|values| first(&values));
        value
            .and_then(|it| it.to_charlist_text())
            .unwrap_or_default()
    })
}

#[cfg(test)]
mod tests;
