//! What we have the node do, while we are attached to it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use enmesh::{
    Atom, Cookie, DialFailure, Failure, Mailbox, Node, NodeName, PeerAddr, Pid, Process, Received,
    RpcError, Term,
};
use tokio::sync::{OnceCell, watch};
use tracing::{info, warn};

use crate::follower::{self, Heard};
use crate::hosts;
use crate::knock::{Calls, Doors};
use crate::waiting::Obstacle;

/// How long the node may take for what it does at once.
const QUICK: Duration = Duration::from_secs(10);

/// How long `net_kernel:connect_node/1` and its like may take: `net_setuptime` (7 s, at most 120 s)
/// for each phase, and a look-up of the host before it.
const SLOW: Duration = Duration::from_secs(55);

/// A connect that took as long as this was waited for in vain, and needs no explanation.
const WAITED_IN_VAIN: Duration = Duration::from_secs(5);

/// The node that we are attached to, from one end of our link to it to the other.
#[derive(Debug)]
pub(crate) struct Session {
    neighbour: Node,
    target: NodeName,
    /// The one to whom the process in the node reports.
    process: Process,
    follower: Pid,
    asked: AtomicI64,
    synced: watch::Sender<i64>,
    /// Whether the node's `global` answers the end of a link by cutting others.
    cuts_wide: bool,
    is_said: AtomicBool,
    /// How it finds others.
    doors: OnceCell<Doors>,
    pub(crate) release: String,
}

/// A session, where its reports come in, and the first of them.
pub(crate) struct Begun {
    pub(crate) session: Arc<Session>,
    pub(crate) reports: Mailbox,
    pub(crate) first: Heard,
}

impl Session {
    /// Starts the process that follows the node, over a link that is up.
    pub(crate) async fn begin(neighbour: &Node, target: &NodeName) -> Result<Begun, Obstacle> {
        let rpc = |module, function, args| neighbour.rpc(target, module, function, args, QUICK);
        let mut reports = neighbour
            .anonymous_mailbox()
            .map_err(|error| Obstacle::Ourselves(error.to_string()))?;
        let process = reports.process().clone();
        let source = vec![Term::charlist(follower::SOURCE)];
        let scanned = rpc("erl_scan", "string", source).await.map_err(refused)?;
        let tokens = nth_of_ok(scanned, "erl_scan:string/1")?;
        let parsed = rpc("erl_parse", "parse_exprs", vec![tokens]).await;
        let expressions = nth_of_ok(parsed.map_err(refused)?, "erl_parse:parse_exprs/1")?;
        let bindings = follower::bindings(process.pid());
        let call = vec![
            Term::atom("erl_eval"),
            Term::atom("exprs"),
            Term::list([expressions, bindings]),
        ];
        let spawned = rpc("erlang", "spawn", call).await.map_err(refused)?;
        let follower = spawned.as_pid().cloned();
        let follower = follower.ok_or_else(|| Obstacle::Refused("no process".to_owned()))?;
        process.monitor(&follower);
        let first = first_report(&mut reports).await?;
        let release = rpc("erlang", "system_info", vec![Term::atom("otp_release")]).await;
        let is_off = |key| async move {
            let args = vec![Term::atom("kernel"), Term::atom(key)];
            let value = rpc("application", "get_env", args).await;
            value.is_ok_and(|it| it == Term::tuple([Term::atom("ok"), Term::atom("false")]))
        };
        let cuts_wide =
            !is_off("prevent_overlapping_partitions").await && !is_off("connect_all").await;
        let session = Self {
            neighbour: neighbour.clone(),
            target: target.clone(),
            process,
            follower,
            asked: AtomicI64::new(0),
            synced: watch::Sender::new(0),
            cuts_wide,
            is_said: AtomicBool::new(false),
            doors: OnceCell::new(),
            release: release
                .ok()
                .and_then(|it| it.to_charlist_text())
                .unwrap_or_default(),
        };
        Ok(Begun {
            session: Arc::new(session),
            reports,
            first,
        })
    }

    /// Has the node connect `peer`, and waits until all has been reported that came before the
    /// answer.
    pub(crate) async fn connect(&self, peer: &PeerAddr) -> Result<(), Failure> {
        if let Ok(doors) = self.doors.get_or_try_init(|| Doors::of(self)).await {
            doors.knock(self, peer).await?;
        }
        let began = Instant::now();
        let connecting = self.call("net_kernel", "connect_node", vec![atom(peer.name())]);
        match connecting.await {
            Ok(answer) if answer.is_atom("true") => {
                self.sync().await;
                Ok(())
            }
            Ok(answer) if answer.is_atom("false") => {
                if began.elapsed() >= WAITED_IN_VAIN {
                    return Err(DialFailure::TimedOut.into());
                }
                Err(self.explain(peer).await.unwrap_or(Failure::Untold))
            }
            Err(RpcError::TimedOut(_)) => Err(DialFailure::TimedOut.into()),
            Err(RpcError::NoConnection | RpcError::ShutDown) => Err(Failure::GivenUp),
            // `ignored`: the node itself is not alive any more.
            Ok(_) | Err(_) => Err(Failure::Untold),
        }
    }

    /// Asks the process in the node for an answer that stands behind its reports.
    async fn sync(&self) {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let mut synced = self.synced.subscribe();
        let request = (Atom::from_static("sync"), number);
        if self.process.send(&self.follower, &request).await.is_ok() {
            let answered = synced.wait_for(|answered| *answered >= number);
            // Without an answer the session is about to end.
            let _ = tokio::time::timeout(QUICK, answered).await;
        }
    }

    /// The process in the node has answered.
    pub(crate) fn synced(&self, number: i64) {
        self.synced.send_if_modified(|known| {
            let is_news = number > *known;
            *known = number.max(*known);
            is_news
        });
    }

    /// Finds out in the node why it could not connect `peer`; `None` if that stays dark.
    async fn explain(&self, peer: &PeerAddr) -> Option<Failure> {
        let host = peer.name().host();
        let is_v6 = |address: IpAddr| address.is_ipv6();
        let is_v6 = host.as_ip().or(peer.address()).is_some_and(is_v6);
        let family = Term::atom(if is_v6 { "inet6" } else { "inet" });
        let args = vec![Term::charlist(host.as_str()), family];
        let found = self.call("inet", "getaddr", args).await.ok()?;
        let [ok, address] = found.as_tuple()? else {
            return None;
        };
        if !ok.is_atom("ok") {
            return Some(DialFailure::NoSuchHost.into());
        }
        let names = self.call("erl_epmd", "names", vec![address.clone()]);
        let names = names.await.ok()?;
        let [ok, names] = names.as_tuple()? else {
            return None;
        };
        if !ok.is_atom("ok") {
            return Some(DialFailure::EpmdUnreachable.into());
        }
        let port = names.as_list()?.iter().find_map(|pair| {
            let [name, port] = pair.as_tuple()? else {
                return None;
            };
            let name = name.to_charlist_text()?;
            (name == peer.name().alive()).then(|| port.clone())
        });
        let Some(port) = port else {
            return Some(DialFailure::NotRegistered.into());
        };
        let wait = Term::Int(2000);
        let args = vec![address.clone(), port, Term::nil(), wait];
        let socket = self.call("gen_tcp", "connect", args).await.ok()?;
        match socket.as_tuple()? {
            // The handshake went wrong, and the BEAM keeps to itself how.
            [ok, _] if ok.is_atom("ok") => Some(Failure::Closed),
            [_, why] if why.is_atom("econnrefused") => Some(DialFailure::Refused.into()),
            [_, why] if why.is_atom("timeout") => Some(DialFailure::TimedOut.into()),
            _ => Some(DialFailure::Unreachable.into()),
        }
    }

    /// Has the node disconnect `peer`, unless that would cut more.
    pub(crate) async fn disconnect(&self, peer: &NodeName) -> bool {
        let name = atom(peer);
        if self.cuts_wide && self.is_visible(&name).await {
            if !self.is_said.swap(true, Ordering::Relaxed) {
                warn!(
                    node = %self.target,
                    %peer,
                    "not disconnecting single nodes: global there would answer it by cutting more \
                     links (prevent_overlapping_partitions)"
                );
            }
            return false;
        }
        let answer = self.call("erlang", "disconnect_node", vec![name]).await;
        answer.is_ok_and(|answer| answer.is_atom("true"))
    }

    /// Whether `global` there knows the peer; if that is unclear, it does.
    async fn is_visible(&self, name: &Term) -> bool {
        let nodes = self.call("erlang", "nodes", Vec::new()).await;
        let Ok(nodes) = nodes else { return true };
        nodes.as_list().is_none_or(|nodes| nodes.contains(name))
    }

    /// Has the node cut all of its links together, as well as it can.
    pub(crate) async fn leave(&self, peers: &[NodeName]) {
        info!(node = %self.target, "the node is about to end: cutting its links");
        let exported = vec![Term::atom("global"), Term::atom("disconnect"), Term::Int(0)];
        let exported = self.call("erlang", "function_exported", exported).await;
        if exported.is_ok_and(|it| it.is_atom("true")) {
            match self.call("global", "disconnect", Vec::new()).await {
                // It has ended before, and its links with it.
                Ok(_) | Err(RpcError::NoConnection) => {}
                Err(error) => {
                    warn!(node = %self.target, %error, "the node's links could not be cut");
                }
            }
            return;
        }
        for peer in peers {
            let _ = self
                .call("erlang", "disconnect_node", vec![atom(peer)])
                .await;
        }
    }

    /// Gives the node another cookie; links that are up stay.
    pub(crate) async fn set_cookie(&self, cookie: &Cookie) -> Result<(), String> {
        let text = String::from_utf8_lossy(cookie.expose());
        let name = Atom::new(&text).map_err(|error| error.to_string())?;
        let set = self.call("erlang", "set_cookie", vec![name.into()]).await;
        // What the node says of a failure may hold the cookie.
        set.map(drop)
            .map_err(|_| "erlang:set_cookie/1 failed".to_owned())
    }

    /// Writes into the node's own table of hosts that `address` is called so.
    pub(crate) async fn add_host(&self, address: IpAddr, names: &[String]) -> Result<(), RpcError> {
        let names = names.iter().map(|name| Term::charlist(name)).collect();
        let args = vec![hosts::address_term(address), Term::List(names)];
        self.call("inet_db", "add_host", args).await.map(drop)
    }

    /// Takes an address out of that table.
    pub(crate) async fn delete_host(&self, address: IpAddr) -> Result<(), RpcError> {
        let args = vec![hosts::address_term(address)];
        self.call("inet_db", "del_host", args).await.map(drop)
    }
}

impl Calls for Session {
    async fn call(
        &self,
        module: &'static str,
        function: &'static str,
        args: Vec<Term>,
    ) -> Result<Term, RpcError> {
        let call = self
            .neighbour
            .rpc(&self.target, module, function, args, SLOW);
        call.await
    }
}

/// The name of a node as the atom that it is there.
fn atom(name: &NodeName) -> Term {
    // A name of a node has at most 255 characters.
    Atom::new(name.as_str()).map_or(Term::nil(), Term::from)
}

async fn first_report(reports: &mut Mailbox) -> Result<Heard, Obstacle> {
    let reading = async {
        loop {
            match reports.recv().await {
                Ok(Received::Message(message)) => {
                    let heard = message.term().ok().as_ref().and_then(follower::heard);
                    match heard {
                        Some(Heard::Taken(other)) => return Err(Obstacle::Taken(other)),
                        Some(first) => return Ok(first),
                        None => {}
                    }
                }
                Ok(Received::Down { reason, .. }) => {
                    let why = format!("the process that follows it ended: {reason}");
                    return Err(Obstacle::Refused(why));
                }
                Ok(_) => {}
                Err(ended) => return Err(Obstacle::Ourselves(ended.to_string())),
            }
        }
    };
    let silent = || Obstacle::Refused("the process that follows it says nothing".to_owned());
    let read = tokio::time::timeout(QUICK, reading).await;
    read.unwrap_or_else(|_| Err(silent()))
}

fn refused(error: RpcError) -> Obstacle {
    Obstacle::Refused(format!("it does not do what we ask: {error}"))
}

/// The second element of `{ok, It, …}`.
fn nth_of_ok(term: Term, what: &str) -> Result<Term, Obstacle> {
    match term {
        Term::Tuple(mut parts) if parts.len() >= 2 && parts[0].is_atom("ok") => {
            Ok(parts.swap_remove(1))
        }
        other => Err(Obstacle::Refused(format!("{what} says {other}"))),
    }
}
