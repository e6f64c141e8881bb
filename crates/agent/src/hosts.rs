//! Names of hosts that DNS does not know, written into the node that is to connect to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use enmesh::{NodeName, PeerAddr, RpcError, Term};
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::knock::Calls;
use crate::session::Session;

/// Where the node keeps for us what we have written: an application's environment, which needs no
/// such application. By it an agent that was killed is cleaned up after by the next one.
const NOTE: (&str, &str) = ("enmesh_agent", "hosts");

/// The hosts that we have written into the node's table, `inet_db`.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// By name. Bounded by the peers that the plan knows, and those that the node had before us.
    written: Mutex<BTreeMap<String, Written>>,
}

#[derive(Debug)]
struct Written {
    address: IpAddr,
    /// For whose sake.
    peers: BTreeSet<NodeName>,
    /// By an agent before us, for peers that are still connected. Whether a topology of ours knows
    /// them is not said, so that it goes with them.
    is_inherited: bool,
}

impl Hosts {
    /// Takes over what the node has from an agent before us, or from ourselves before we lost it:
    /// for the sake of `present` it stays, the rest is taken back.
    pub(crate) async fn take_over(&self, session: &Session, present: &BTreeSet<&NodeName>) {
        let taken = self.try_take_over(session, present).await;
        if let Err(error) = taken
            && !is_ending(session, &error).await
        {
            warn!(%error, "what was written into the node's table of hosts cannot be taken over");
        }
    }

    async fn try_take_over(
        &self,
        session: &Session,
        present: &BTreeSet<&NodeName>,
    ) -> Result<(), RpcError> {
        let noted = noted(session).await?;
        let mut written = self.written.lock().await;
        let mut stale = BTreeSet::new();
        for (host, address, mut peers) in noted {
            if written.get(&host).is_some_and(|it| it.address == address) {
                continue;
            }
            peers.retain(|peer| present.contains(peer));
            if peers.is_empty() || written.contains_key(&host) {
                stale.insert(address);
                continue;
            }
            let entry = Written {
                address,
                peers,
                is_inherited: true,
            };
            written.insert(host, entry);
        }
        if stale.is_empty() {
            return Ok(());
        }
        for &address in &stale {
            session.delete_host(address).await?;
        }
        note(session, &written).await?;
        for address in stale {
            write(session, &written, address).await?;
        }
        Ok(())
    }

    /// The node has lost `peer`. What is here for the sake of a topology stays.
    pub(crate) async fn lost(&self, session: &Session, peer: &NodeName) {
        let is_inherited = {
            let written = self.written.lock().await;
            let entry = written.get(peer.host().as_str());
            entry.is_some_and(|it| it.is_inherited)
        };
        if is_inherited {
            self.take_back(Some(session), peer).await;
        }
    }

    /// Makes sure that the node finds `peer` where its topology says that it is. What goes wrong is
    /// said; then the node goes by what it knows.
    pub(crate) async fn tell(&self, session: &Session, peer: &PeerAddr) {
        let host = peer.name().host();
        let (Some(address), None) = (peer.address(), host.as_ip()) else {
            return;
        };
        let told = self.try_tell(session, peer.name(), host.as_str(), address);
        if let Err(error) = told.await
            && !is_ending(session, &error).await
        {
            warn!(%peer, %error, "the peer's address cannot be written into the node");
        }
    }

    async fn try_tell(
        &self,
        session: &Session,
        peer: &NodeName,
        host: &str,
        address: IpAddr,
    ) -> Result<(), RpcError> {
        // Outside of the lock: it may take as long as DNS takes.
        let known = look_up(session, host, address).await?;
        let mut written = self.written.lock().await;
        if known.contains(&address) {
            if let Some(entry) = written.get_mut(host).filter(|it| it.address == address) {
                entry.peers.insert(peer.clone());
                entry.is_inherited = false;
                note(session, &written).await?;
            }
            return Ok(());
        }
        put_file_first(session).await?;
        let old = written.remove(host);
        if let Some(old) = &old {
            session.delete_host(old.address).await?;
            write(session, &written, old.address).await?;
        }
        let mut peers = old.map(|old| old.peers).unwrap_or_default();
        peers.insert(peer.clone());
        let entry = Written {
            address,
            peers,
            is_inherited: false,
        };
        written.insert(host.to_owned(), entry);
        // Noted first: whoever comes after us must find all that there is.
        note(session, &written).await?;
        write(session, &written, address).await?;
        info!(%peer, %address, "the node was told the peer's address, for it cannot look it up");
        Ok(())
    }

    /// Takes out of the node's table what was written for the sake of `peer` alone.
    pub(crate) async fn take_back(&self, session: Option<&Session>, peer: &NodeName) {
        let mut written = self.written.lock().await;
        let host = peer.host();
        let Some(entry) = written.get_mut(host.as_str()) else {
            return;
        };
        entry.peers.remove(peer);
        if !entry.peers.is_empty() {
            return;
        }
        let address = entry.address;
        written.remove(host.as_str());
        if let Some(session) = session {
            // One that cannot be asked now has noted it, and is asked when we are attached again.
            if session.delete_host(address).await.is_ok() {
                let _ = note(session, &written).await;
            }
            let _ = write(session, &written, address).await;
        }
    }

    /// The node is another one, with a table of its own.
    pub(crate) async fn forget_all(&self) {
        self.written.lock().await.clear();
    }
}

/// Whether the node is gone or about to go, so that what it says of a call is about its end.
async fn is_ending(node: &impl Calls, error: &RpcError) -> bool {
    if matches!(error, RpcError::NoConnection) {
        return true;
    }
    match node.call("init", "get_status", Vec::new()).await {
        Ok(status) => status
            .as_tuple()
            .and_then(|parts| parts.first())
            .is_some_and(|inner| inner.is_atom("stopping")),
        Err(_) => true,
    }
}

/// Has the node keep what we have written, for whoever comes after us.
async fn note(session: &Session, written: &BTreeMap<String, Written>) -> Result<(), RpcError> {
    let entries = written.iter().map(|(host, entry)| {
        let peers = entry.peers.iter().map(|peer| Term::charlist(peer.as_str()));
        Term::tuple([
            Term::charlist(host),
            address_term(entry.address),
            Term::List(peers.collect()),
        ])
    });
    let (application, key) = NOTE;
    let args = vec![
        Term::atom(application),
        Term::atom(key),
        Term::List(entries.collect()),
    ];
    session.call("application", "set_env", args).await.map(drop)
}

/// What the node has kept; without what is no entry of ours.
async fn noted(session: &Session) -> Result<Vec<(String, IpAddr, BTreeSet<NodeName>)>, RpcError> {
    let (application, key) = NOTE;
    let args = vec![Term::atom(application), Term::atom(key)];
    let kept = session.call("application", "get_env", args).await?;
    Ok(match kept.as_tuple() {
        Some([_, entries]) => read_note(entries),
        _ => Vec::new(),
    })
}

fn read_note(entries: &Term) -> Vec<(String, IpAddr, BTreeSet<NodeName>)> {
    let read = |entry: &Term| {
        let [host, address, peers] = entry.as_tuple()? else {
            return None;
        };
        let peers = peers.as_list()?.iter();
        let peers = peers.filter_map(|peer| peer.to_charlist_text()?.parse().ok());
        Some((
            host.to_charlist_text()?,
            address_of(address)?,
            peers.collect(),
        ))
    };
    let entries = entries.as_list().unwrap_or_default();
    entries.iter().filter_map(read).collect()
}

/// Writes who is at `address`, if anybody is: the table has all names of an address in one entry.
async fn write(
    session: &Session,
    written: &BTreeMap<String, Written>,
    address: IpAddr,
) -> Result<(), RpcError> {
    let names: Vec<_> = written
        .iter()
        .filter(|(_, entry)| entry.address == address)
        .map(|(host, _)| host.clone())
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    session.add_host(address, &names).await
}

/// Where the node finds `host` by itself.
async fn look_up(session: &Session, host: &str, like: IpAddr) -> Result<Vec<IpAddr>, RpcError> {
    let family = if like.is_ipv4() { "inet" } else { "inet6" };
    let args = vec![Term::charlist(host), Term::atom(family)];
    let found = session.call("inet", "getaddrs", args).await?;
    let addresses = match found.as_tuple() {
        Some([ok, addresses]) if ok.is_atom("ok") => addresses.as_list().unwrap_or_default(),
        _ => &[],
    };
    Ok(addresses.iter().filter_map(address_of).collect())
}

/// Has the node look into its own table before it asks anybody.
async fn put_file_first(session: &Session) -> Result<(), RpcError> {
    let lookup = vec![Term::atom("lookup")];
    let old = session.call("inet_db", "res_option", lookup).await?;
    let old = old.as_list().unwrap_or_default();
    if old.first().is_some_and(|first| first.is_atom("file")) {
        return Ok(());
    }
    let file = Term::atom("file");
    let rest = old.iter().filter(|it| **it != file).cloned();
    let new = std::iter::once(file.clone()).chain(rest).collect();
    let args = vec![Term::List(new)];
    session.call("inet_db", "set_lookup", args).await.map(drop)
}

/// An address as Erlang has it: a tuple of four bytes, or of eight numbers of 16 bits.
pub(crate) fn address_term(address: IpAddr) -> Term {
    match address {
        IpAddr::V4(address) => Term::tuple(address.octets().map(Term::from)),
        IpAddr::V6(address) => Term::tuple(address.segments().map(Term::from)),
    }
}

fn address_of(term: &Term) -> Option<IpAddr> {
    let parts = term.as_tuple()?;
    let numbers: Option<Vec<u16>> = parts
        .iter()
        .map(|part| u16::try_from(part.as_int()?).ok())
        .collect();
    let numbers = numbers?;
    if let Ok(segments) = <[u16; 8]>::try_from(numbers.as_slice()) {
        return Some(IpAddr::from(segments));
    }
    let octets: Option<Vec<u8>> = numbers.iter().map(|&it| u8::try_from(it).ok()).collect();
    let octets = <[u8; 4]>::try_from(octets?).ok()?;
    Some(IpAddr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn addresses_go_there_and_back(address: IpAddr) {
            prop_assert_eq!(address_of(&address_term(address)), Some(address));
        }
    }

    /// A node in this state.
    struct In(&'static str);

    impl Calls for In {
        async fn call(
            &self,
            _module: &'static str,
            _function: &'static str,
            _args: Vec<Term>,
        ) -> Result<Term, RpcError> {
            match self.0 {
                "" => Err(RpcError::NoConnection),
                state => Ok(Term::tuple([Term::atom(state), Term::atom("started")])),
            }
        }
    }

    #[tokio::test]
    async fn a_node_that_ends_is_no_reason_to_warn() {
        let error = RpcError::Exited(Term::atom("terminating"));
        assert!(is_ending(&In("stopping"), &error).await);
        assert!(is_ending(&In(""), &error).await);
        assert!(!is_ending(&In("started"), &error).await);
        assert!(is_ending(&In("started"), &RpcError::NoConnection).await);
    }

    #[test]
    fn what_is_no_address_is_none() {
        for parts in [&[1, 2, 3][..], &[1, 2, 3, 256], &[1, 2, 3, -1], &[0; 9]] {
            let term = Term::Tuple(parts.iter().map(|&it| Term::Int(it)).collect());
            assert_eq!(address_of(&term), None, "{term}");
        }
    }
}
