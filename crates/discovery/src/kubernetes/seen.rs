//! What is known of one pod, by whatever objects told it.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::Arc;

/// Everything that is known of one pod. A field that the object does not tell is empty: slices and
/// Endpoints know neither labels nor restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// All addresses of the pod, the primary one first; never more than [`MAX_ADDRESSES`].
    pub(super) addresses: Vec<IpAddr>,
    pub(super) namespace: Arc<str>,
    /// The pod's own name.
    pub(super) pod: Option<String>,
    /// The host name by which the cluster's DNS knows it: `spec.hostname` of a pod, `hostname` of
    /// an endpoint.
    pub(super) hostname: Option<String>,
    /// `spec.subdomain`, which only pods tell.
    pub(super) subdomain: Option<String>,
    /// The Service that the slice or the Endpoints belong to; pods tell none.
    pub(super) service: Option<Arc<str>>,
    /// The pod's labels, not those of its Service.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    /// The names of its containers, in their order.
    pub(super) containers: Vec<String>,
    /// Its ports that have a name, of the containers or of the slice.
    pub(super) ports: Arc<[NamedPort]>,
    pub(super) uid: Option<Arc<str>>,
    /// How often its containers were started anew, all together.
    pub(super) restarts: u64,
    pub(super) ready: bool,
    /// It is being ended. Endpoints cannot tell.
    pub(super) terminating: bool,
    pub(super) target: Target,
}

/// The most addresses of a pod that are kept; Kubernetes itself knows one of each family.
pub(super) const MAX_ADDRESSES: usize = 4;

/// A port that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedPort {
    pub(super) name: String,
    pub(super) port: u16,
    /// The container that opens it, where a pod told it.
    pub(super) container: Option<String>,
}

/// What an endpoint stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Target {
    /// A pod, or the pod itself was read.
    Pod,
    /// Something else that Kubernetes knows, a Node or a virtual machine.
    Other,
    /// Somebody keeps the endpoint by hand.
    #[default]
    None,
}

/// Which pod it is: it stands in one slice for each family and Service, and is one all the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum PodId {
    /// What Kubernetes calls it.
    Uid(Arc<str>),
    /// An endpoint that somebody keeps by hand is known by its namespace and address.
    Place(Arc<str>, IpAddr),
}

impl Seen {
    /// A pod at these addresses of which nothing else is known.
    pub(super) fn at(addresses: Vec<IpAddr>, namespace: impl Into<Arc<str>>) -> Self {
        Self {
            addresses,
            namespace: namespace.into(),
            pod: None,
            hostname: None,
            subdomain: None,
            service: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            containers: Vec::new(),
            ports: Arc::default(),
            uid: None,
            restarts: 0,
            ready: true,
            terminating: false,
            target: Target::None,
        }
    }

    /// Which pod it is; none where it has neither uid nor address.
    pub(super) fn id(&self) -> Option<PodId> {
        let place = || {
            Some(PodId::Place(
                self.namespace.clone(),
                *self.addresses.first()?,
            ))
        };
        self.uid.clone().map(PodId::Uid).or_else(place)
    }

    /// Another number whenever the pod is another one, was started anew, or its readiness turned:
    /// whoever could not reach it may then try at once.
    pub(super) fn life(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.uid, self.restarts, self.ready).hash(&mut hasher);
        hasher.finish()
    }

    /// Takes in what another object says of the same pod. One that has begun to end stays so,
    /// whichever object has not heard of it yet.
    pub(super) fn merge(&mut self, other: &Self) {
        for address in &other.addresses {
            if self.addresses.len() < MAX_ADDRESSES && !self.addresses.contains(address) {
                self.addresses.push(*address);
            }
        }
        self.hostname = self.hostname.take().or_else(|| other.hostname.clone());
        self.service = self.service.take().or_else(|| other.service.clone());
        let further = |port: &&NamedPort| !self.ports.contains(port);
        let further: Vec<_> = other.ports.iter().filter(further).cloned().collect();
        if !further.is_empty() {
            self.ports = self.ports.iter().cloned().chain(further).collect();
        }
        self.ready |= other.ready;
        self.terminating |= other.terminating;
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.pod, self.addresses.first()) {
            (Some(pod), _) => write!(f, "{}/{pod}", self.namespace),
            (None, Some(address)) => write!(f, "{}/{address}", self.namespace),
            (None, None) => write!(f, "{}/?", self.namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(addresses: &[&str]) -> Seen {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        Seen::at(addresses.collect(), "ns")
    }

    #[test]
    fn a_pod_is_its_uid_else_its_place() {
        let mut seen = seen(&["10.0.0.1", "fd00::1"]);
        let place = PodId::Place("ns".into(), "10.0.0.1".parse().unwrap());
        assert_eq!(seen.id(), Some(place));
        seen.uid = Some("u1".into());
        assert_eq!(seen.id(), Some(PodId::Uid("u1".into())));
        assert_eq!(Seen::at(Vec::new(), "ns").id(), None);
    }

    #[test]
    fn a_life_is_told_by_uid_restarts_and_readiness() {
        let one = seen(&["10.0.0.1"]);
        assert_eq!(one.life(), one.clone().life());
        for other in [
            Seen {
                uid: Some("u1".into()),
                ..one.clone()
            },
            Seen {
                restarts: 1,
                ..one.clone()
            },
            Seen {
                ready: false,
                ..one.clone()
            },
        ] {
            assert_ne!(one.life(), other.life(), "{other:?}");
        }
        let moved = Seen {
            hostname: Some("h".to_owned()),
            ..one.clone()
        };
        assert_eq!(one.life(), moved.life());
    }

    #[test]
    fn what_two_slices_say_of_a_pod_is_one_pod() {
        let port = |name: &str| NamedPort {
            name: name.to_owned(),
            port: 9000,
            container: None,
        };
        let mut one = Seen {
            ready: false,
            ports: [port("a")].into(),
            ..seen(&["10.0.0.1"])
        };
        one.merge(&Seen {
            terminating: true,
            hostname: Some("h".to_owned()),
            ports: [port("a"), port("b")].into(),
            ..seen(&["fd00::1", "10.0.0.1"])
        });
        assert_eq!(one.addresses, seen(&["10.0.0.1", "fd00::1"]).addresses);
        assert!(one.ready && one.terminating);
        assert_eq!(one.hostname.as_deref(), Some("h"));
        assert_eq!(*one.ports, [port("a"), port("b")]);
    }
}
