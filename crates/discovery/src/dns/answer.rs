//! What two look-ups together say about the peers. No socket is touched here.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::{FailureKind, Update};

use crate::failure::failed;
use crate::source::MAX_PEERS_PER_UPDATE;

/// What the question for one address family brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Addresses, and how long they may be believed.
    Addresses {
        addresses: Vec<IpAddr>,
        ttl: Duration,
    },
    /// The name exists, without an address of this family.
    NoData,
    /// The name does not exist.
    NoName,
    /// There is no answer.
    Failed { kind: FailureKind, text: String },
}

/// What to say, and after which TTL to ask again; `None` where the look-up failed.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) update: Update,
    pub(super) ttl: Option<Duration>,
}

/// How addresses become names.
#[derive(Debug)]
pub(super) struct Naming {
    query: String,
    basename: String,
    own: NodeName,
}

impl Naming {
    pub(super) fn new(query: &str, basename: &str, own: &NodeName) -> Self {
        Self {
            query: query.to_owned(),
            basename: basename.to_owned(),
            own: own.clone(),
        }
    }

    /// Only two whole answers make a snapshot. What one family alone says adds peers and removes
    /// nobody while the other one fails, and no answer and an empty answer remove nobody either.
    pub(super) fn outcome(&self, v4: Answer, v6: Answer) -> Outcome {
        let mut found = Vec::new();
        let mut shortest: Option<Duration> = None;
        let mut failure = None;
        let mut no_name = true;
        for answer in [v4, v6] {
            match answer {
                Answer::Addresses { addresses, ttl } => {
                    found.extend(addresses);
                    shortest = Some(shortest.map_or(ttl, |shortest| shortest.min(ttl)));
                }
                Answer::NoData => no_name = false,
                Answer::NoName => {}
                Answer::Failed { kind, text } => failure = failure.or(Some((kind, text))),
            }
        }
        let query = &self.query;
        let update = match (shortest, failure) {
            (Some(_), None) => Update::snapshot(self.peers(found)),
            (Some(_), Some(_)) => Update::Changed {
                present: self.peers(found).into_iter().map(Into::into).collect(),
                gone: Vec::new(),
            },
            (None, Some((kind, text))) => failed(kind, text),
            (None, None) if no_name => failed(
                FailureKind::NotFound,
                format!(
                    "DNS knows no name {query}: is it spelled right, and has the headless \
                         Service a ready pod or publishNotReadyAddresses?"
                ),
            ),
            (None, None) => failed(
                FailureKind::Empty,
                format!("DNS knows {query} without any address"),
            ),
        };
        Outcome {
            update,
            ttl: shortest,
        }
    }

    fn peers(&self, addresses: Vec<IpAddr>) -> Vec<PeerAddr> {
        let addresses: BTreeSet<IpAddr> =
            addresses.into_iter().map(|ip| ip.to_canonical()).collect();
        // The distribution of a BEAM runs over one family, and a dual-stack Service gives each
        // pod twice: what our own name says decides, unless nothing would be left.
        let like_ours = |ip: &IpAddr| match self.own.host().as_ip() {
            Some(own) => own.is_ipv4() == ip.is_ipv4(),
            None => true,
        };
        let narrow = addresses.iter().any(like_ours);
        addresses
            .into_iter()
            .filter(|ip| !narrow || like_ours(ip))
            .filter_map(|ip| NodeName::new(&self.basename, &ip.to_string()).ok())
            .take(MAX_PEERS_PER_UPDATE)
            .map(PeerAddr::new)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(own: &str) -> Naming {
        Naming::new("app.test", "node", &own.parse().unwrap())
    }

    fn addresses(texts: &[&str], ttl: u64) -> Answer {
        let addresses = texts.iter().map(|text| text.parse().unwrap()).collect();
        Answer::Addresses {
            addresses,
            ttl: Duration::from_secs(ttl),
        }
    }

    fn servfail() -> Answer {
        Answer::Failed {
            kind: FailureKind::Unreachable,
            text: "server failure".to_owned(),
        }
    }

    fn names(peers: &[enmesh_membership::Sighting]) -> Vec<&str> {
        peers.iter().map(|peer| peer.name().as_str()).collect()
    }

    #[track_caller]
    fn check_snapshot(outcome: &Outcome, expected: &[&str]) {
        match &outcome.update {
            Update::Snapshot(peers) => assert_eq!(names(peers), expected),
            other => panic!("{other:?} is no snapshot"),
        }
    }

    #[track_caller]
    fn check_failure(outcome: &Outcome, expected: FailureKind) {
        match &outcome.update {
            Update::Failed(failure) => assert_eq!(failure.kind(), expected),
            other => panic!("{other:?} is no failure"),
        }
        assert_eq!(outcome.ttl, None);
    }

    /// libcluster, dns_poll_test.exs: "adds new nodes".
    #[test]
    fn addresses_of_both_families_become_nodes() {
        let v6 = "2a09:8280:1:a270:b8f5:b9f7:8891:f3";
        let outcome = naming("own@host.test").outcome(
            addresses(&["10.0.0.1", "10.0.0.2"], 30),
            addresses(&[v6], 5),
        );
        check_snapshot(
            &outcome,
            &["node@10.0.0.1", "node@10.0.0.2", &format!("node@{v6}")],
        );
        assert_eq!(outcome.ttl, Some(Duration::from_secs(5)));
    }

    /// libcluster, dns_poll_test.exs and kubernetes_dns_test.exs: "removes nodes".
    #[test]
    fn a_whole_answer_is_the_whole_set() {
        let naming = naming("own@host.test");
        for other in [Answer::NoData, Answer::NoName] {
            check_snapshot(
                &naming.outcome(addresses(&["10.0.0.1"], 5), other),
                &["node@10.0.0.1"],
            );
        }
    }

    #[test]
    fn half_an_answer_adds_peers_and_removes_nobody() {
        let half = addresses(&["10.0.0.1"], 5);
        for outcome in [
            naming("own@host.test").outcome(half.clone(), servfail()),
            naming("own@host.test").outcome(servfail(), half),
        ] {
            match outcome.update {
                Update::Changed { present, gone } => {
                    assert_eq!(names(&present), ["node@10.0.0.1"]);
                    assert_eq!(gone, []);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// libcluster, kubernetes_dns_test.exs: "does not connect to anything if name is not
    /// resolved". There the known nodes are cut off; here they stay.
    #[test]
    fn an_absent_name_is_a_failure_and_no_empty_set() {
        let naming = naming("own@host.test");
        check_failure(
            &naming.outcome(Answer::NoName, Answer::NoName),
            FailureKind::NotFound,
        );
        check_failure(
            &naming.outcome(Answer::NoData, Answer::NoName),
            FailureKind::Empty,
        );
        check_failure(
            &naming.outcome(Answer::NoData, Answer::NoData),
            FailureKind::Empty,
        );
        check_failure(
            &naming.outcome(servfail(), Answer::NoName),
            FailureKind::Unreachable,
        );
    }

    #[test]
    fn the_family_of_our_own_name_decides_between_two() {
        let both = || (addresses(&["10.0.0.1"], 5), addresses(&["fd00::1"], 5));
        let (v4, v6) = both();
        check_snapshot(&naming("node@10.0.0.9").outcome(v4, v6), &["node@10.0.0.1"]);
        let (v4, v6) = both();
        check_snapshot(&naming("node@fd00::9").outcome(v4, v6), &["node@fd00::1"]);
        let only = addresses(&["10.0.0.1"], 5);
        check_snapshot(
            &naming("node@fd00::9").outcome(only, Answer::NoData),
            &["node@10.0.0.1"],
        );
    }

    #[test]
    fn an_address_that_stands_twice_is_one_peer() {
        let outcome = naming("own@host.test").outcome(
            addresses(&["10.0.0.1", "10.0.0.1"], 5),
            addresses(&["::ffff:10.0.0.1"], 5),
        );
        check_snapshot(&outcome, &["node@10.0.0.1"]);
    }
}
