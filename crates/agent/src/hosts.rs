//! Names of hosts that DNS does not know, written into the node that is to connect to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use enmesh::{NodeName, PeerAddr, RpcError, Term};
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::session::Session;

/// The hosts that we have written into the node's table, `inet_db`.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// By name. Bounded by the peers that the plan knows.
    written: Mutex<BTreeMap<String, Written>>,
}

#[derive(Debug)]
struct Written {
    address: IpAddr,
    /// For whose sake.
    peers: BTreeSet<NodeName>,
}

impl Hosts {
    /// Makes sure that the node finds `peer` where its topology says that it is. What goes wrong is
    /// said; then the node goes by what it knows.
    pub(crate) async fn tell(&self, session: &Session, peer: &PeerAddr) {
        let host = peer.name().host();
        let (Some(address), None) = (peer.address(), host.as_ip()) else {
            return;
        };
        let told = self.try_tell(session, peer.name(), host.as_str(), address);
        if let Err(error) = told.await
            && !matches!(error, RpcError::NoConnection)
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
            }
            return Ok(());
        }
        let was_first = put_file_first(session).await?;
        let old = written.remove(host);
        let mut stale: BTreeSet<_> = old.iter().map(|old| old.address).collect();
        // What an agent before us has written counts before DNS, and would go on counting.
        stale.extend(known.into_iter().filter(|_| was_first));
        for old in stale {
            session.delete_host(old).await?;
            write(session, &written, old).await?;
        }
        let mut peers = old.map(|old| old.peers).unwrap_or_default();
        peers.insert(peer.clone());
        written.insert(host.to_owned(), Written { address, peers });
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
            // A node that cannot be asked any more loses its table with its life.
            let _ = session.delete_host(address).await;
            let _ = write(session, &written, address).await;
        }
    }

    /// The node is another one, with a table of its own.
    pub(crate) async fn forget_all(&self) {
        self.written.lock().await.clear();
    }
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

/// Has the node look into its own table before it asks anybody; whether it did so before.
async fn put_file_first(session: &Session) -> Result<bool, RpcError> {
    let lookup = vec![Term::atom("lookup")];
    let old = session.call("inet_db", "res_option", lookup).await?;
    let old = old.as_list().unwrap_or_default();
    if old.first().is_some_and(|first| first.is_atom("file")) {
        return Ok(true);
    }
    let file = Term::atom("file");
    let rest = old.iter().filter(|it| **it != file).cloned();
    let new = std::iter::once(file.clone()).chain(rest).collect();
    let args = vec![Term::List(new)];
    session.call("inet_db", "set_lookup", args).await?;
    Ok(false)
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

    #[test]
    fn what_is_no_address_is_none() {
        for parts in [&[1, 2, 3][..], &[1, 2, 3, 256], &[1, 2, 3, -1], &[0; 9]] {
            let term = Term::Tuple(parts.iter().map(|&it| Term::Int(it)).collect());
            assert_eq!(address_of(&term), None, "{term}");
        }
    }
}
