//! Who was found, and by whom.

use std::collections::BTreeMap;

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::{Sighting, Standing, TopologyName, Update};

/// What one topology says of its peers.
pub(super) type Peers = BTreeMap<NodeName, Sighting>;

/// A peer with the topologies that name it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) seen: Sighting,
    pub(super) topologies: Vec<TopologyName>,
}

/// Applies an update that speaks of peers. Tells whether it was the whole.
pub(super) fn apply(peers: &mut Peers, update: Update) -> bool {
    let put = |peers: &mut Peers, present: Vec<Sighting>| {
        peers.extend(present.into_iter().map(|seen| (seen.name().clone(), seen)));
    };
    match update {
        Update::Snapshot(present) => {
            peers.clear();
            put(peers, present);
            true
        }
        Update::Changed { present, gone } => {
            peers.retain(|name, _| !gone.contains(name));
            put(peers, present);
            false
        }
        Update::Draining(_) | Update::Failed(_) => false,
    }
}

/// All peers but ourselves, by name: with the first address and port that anybody tells and the
/// best standing, as a member would have it.
pub(super) fn merge(answers: Vec<(TopologyName, Peers)>, own: &NodeName) -> Vec<Found> {
    let mut merged: BTreeMap<NodeName, Found> = BTreeMap::new();
    for (topology, peers) in answers {
        for (name, seen) in peers.into_iter().filter(|(name, _)| name != own) {
            let known = merged.entry(name).or_insert_with(|| Found {
                seen: seen.clone(),
                topologies: Vec::new(),
            });
            known.topologies.push(topology.clone());
            known.seen = better(&known.seen, &seen);
        }
    }
    merged.into_values().collect()
}

fn better(known: &Sighting, other: &Sighting) -> Sighting {
    let name = known.name();
    let told = |seen: &Sighting| {
        // An address that the name itself spells is no knowledge of the source's.
        let spelt = name.host().as_ip();
        seen.peer
            .address()
            .filter(|address| Some(*address) != spelt)
    };
    let mut peer = PeerAddr::new(name.clone());
    if let Some(address) = told(known).or_else(|| told(other)) {
        peer = peer.with_address(address);
    }
    if let Some(port) = known.peer.port().or(other.peer.port()) {
        peer = peer.with_port(port);
    }
    Sighting::from(peer).with_standing(known.standing.min(other.standing))
}

/// The word for a standing, as strategies file and exec read it.
pub(super) fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Ready => "ready",
        Standing::Unready => "unready",
        Standing::Heard => "heard",
        Standing::Silent => "silent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str) -> PeerAddr {
        PeerAddr::new(name.parse().unwrap())
    }

    fn peers(all: Vec<Sighting>) -> Peers {
        let mut peers = Peers::new();
        assert!(apply(&mut peers, Update::Snapshot(all)));
        peers
    }

    #[test]
    fn answers_are_merged_by_name_and_we_are_left_out() {
        let first = peers(vec![
            Sighting::from(seen("a@10.0.0.1")).with_standing(Standing::Unready),
            seen("own@h").into(),
        ]);
        let second = peers(vec![
            seen("a@10.0.0.1").with_port(9).into(),
            seen("b@h").with_address("10.0.0.2".parse().unwrap()).into(),
        ]);
        let topology = |name: &str| name.parse::<TopologyName>().unwrap();
        let answers = vec![(topology("x"), first), (topology("y"), second)];
        let found = merge(answers, &"own@h".parse().unwrap());
        let texts: Vec<_> = found
            .iter()
            .map(|found| (found.seen.to_string(), found.topologies.len()))
            .collect();
        assert_eq!(
            texts,
            [
                ("a@10.0.0.1 at port 9".to_owned(), 2),
                ("b@h at 10.0.0.2".to_owned(), 1)
            ]
        );
    }

    #[test]
    fn changes_are_applied_and_are_never_the_whole() {
        let mut all = peers(vec![seen("a@h").into(), seen("b@h").into()]);
        let whole = apply(
            &mut all,
            Update::Changed {
                present: vec![seen("c@h").into()],
                gone: vec!["a@h".parse().unwrap()],
            },
        );
        assert!(!whole);
        assert_eq!(
            all.keys().map(NodeName::as_str).collect::<Vec<_>>(),
            ["b@h", "c@h"]
        );
    }
}
