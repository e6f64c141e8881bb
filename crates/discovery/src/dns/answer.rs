//! What the answers to one question say about the peers. No socket is touched here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::FailureKind;

use super::plan::{Families, HostPart, Question};
use crate::dns_keys::PortFrom;
use crate::source::MAX_PEERS_PER_UPDATE;

/// The largest number of targets or addresses of one question that are looked up further. What is
/// over is left out, and the answer counts as partial.
pub(super) const MAX_FOLLOW_UPS: usize = 1_000;

/// What the look-up of one name and type brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer<T> {
    /// Records, at least one, and how long they may be believed.
    Found { records: Vec<T>, ttl: Duration },
    /// The name exists, without a record of this type.
    NoData,
    /// The name does not exist.
    NoName,
    /// There is no answer.
    Failed(Why),
}

/// Why there is no answer, or a part only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) kind: FailureKind,
    pub(super) text: String,
    /// Whether no server has said anything at all; one that refuses is up.
    pub(super) is_unanswered: bool,
}

impl Why {
    pub(super) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            is_unanswered: false,
        }
    }

    /// The same where nobody answered.
    pub(super) fn unanswered(kind: FailureKind, text: impl Into<String>) -> Self {
        Self {
            is_unanswered: true,
            ..Self::new(kind, text)
        }
    }

    /// Says whom to look at, where these name servers did not do their work.
    pub(super) fn blame(&mut self, servers: &str) {
        if self.is_unanswered {
            self.text += &format!(
                "; is the name server {servers} up (in Kubernetes: kubectl -n kube-system get pods -l \
                 k8s-app=kube-dns), and do firewalls and NetworkPolicies let us reach its port 53?"
            );
        }
    }
}

/// An SRV record. Priority and weight choose among servers that do the same; every node of a
/// cluster is wanted, so they are not looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Service {
    pub(super) target: String,
    pub(super) port: u16,
}

/// The answers for the types that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) a: Option<Answer<IpAddr>>,
    pub(super) aaaa: Option<Answer<IpAddr>>,
    pub(super) srv: Option<Answer<Service>>,
}

/// What has to be looked up before the peers have names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FollowUps {
    /// Targets of SRV records, for their addresses.
    pub(super) targets: BTreeSet<String>,
    /// Addresses, for their reverse names.
    pub(super) addresses: BTreeSet<IpAddr>,
}

/// What the follow-ups brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Followed {
    /// A and AAAA of each target.
    pub(super) targets: BTreeMap<String, Addresses>,
    /// The reverse names of each address.
    pub(super) addresses: BTreeMap<IpAddr, Answer<String>>,
}

/// The addresses of one target, where that family was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) a: Option<Answer<IpAddr>>,
    pub(super) aaaa: Option<Answer<IpAddr>>,
}

/// What one question says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) peers: Vec<PeerAddr>,
    /// The shortest TTL of all that was found.
    pub(super) ttl: Option<Duration>,
    /// Why this is not the whole set; nobody may be removed for it then.
    pub(super) missing: Option<Why>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) own: NodeName,
    pub(super) epmd_port: u16,
}

impl Asker {
    /// Whether our own name holds an address of IPv4, or of IPv6; neither where it holds none.
    pub(super) fn is_v4(&self) -> Option<bool> {
        self.own.host().as_ip().map(|ip| ip.is_ipv4())
    }
}

impl Asked {
    /// The answer for addresses of IPv4, else for those of IPv6, if they were asked for.
    pub(super) fn of_family(&self, v4: bool) -> Option<&Answer<IpAddr>> {
        if v4 {
            self.a.as_ref()
        } else {
            self.aaaa.as_ref()
        }
    }

    pub(super) fn found_any(&self) -> bool {
        is_found(self.a.as_ref()) || is_found(self.aaaa.as_ref()) || is_found(self.srv.as_ref())
    }

    pub(super) fn failed_any(&self) -> bool {
        self.failures().next().is_some()
    }

    fn failures(&self) -> impl Iterator<Item = &Why> {
        let a = self.a.as_ref().and_then(why);
        let aaaa = self.aaaa.as_ref().and_then(why);
        a.into_iter()
            .chain(aaaa)
            .chain(self.srv.as_ref().and_then(why))
    }

    /// Says of each failure that the names which were asked before do not exist.
    pub(super) fn after_absent_names(&mut self, shown: &str) {
        fn prefix<T>(answer: Option<&mut Answer<T>>, shown: &str) {
            if let Some(Answer::Failed(why)) = answer {
                why.text = format!("{shown} is not in the search list, and {}", why.text);
            }
        }
        prefix(self.a.as_mut(), shown);
        prefix(self.aaaa.as_mut(), shown);
        prefix(self.srv.as_mut(), shown);
    }

    /// Whether nothing of the name is there.
    pub(super) fn is_absent(&self) -> bool {
        !self.found_any() && !self.failed_any() && !self.is_name()
    }

    /// Whether the name exists: a name without records of one type exists all the same.
    pub(super) fn is_name(&self) -> bool {
        matches!(self.a, Some(Answer::NoData))
            || matches!(self.aaaa, Some(Answer::NoData))
            || matches!(self.srv, Some(Answer::NoData))
    }
}

impl Question {
    /// What has to be looked up once the question itself is answered.
    pub(super) fn follow_ups(&self, asked: &Asked, asker: &Asker) -> FollowUps {
        let mut follow_ups = FollowUps::default();
        match self.host_part {
            HostPart::Address => {
                let services = records(asked.srv.as_ref()).iter();
                let targets: BTreeSet<_> = services.map(|service| &service.target).collect();
                follow_ups.targets = targets.into_iter().take(MAX_FOLLOW_UPS).cloned().collect();
            }
            HostPart::Hostname => {
                let addresses = Gathering::default().addresses(asked, asker);
                follow_ups.addresses = addresses.into_iter().take(MAX_FOLLOW_UPS).collect();
            }
        }
        follow_ups
    }

    /// Puts everything together.
    ///
    /// The answer is whole only if nothing that was asked for failed, and whatever was found has
    /// become a peer. Where our own name holds an address and the answer has some of its family,
    /// the other family is not missed: the distribution of a BEAM runs over one.
    pub(super) fn read(&self, asked: &Asked, followed: &Followed, asker: &Asker) -> Reading {
        let mut gathering = Gathering::default();
        let addresses = gathering.addresses(asked, asker);
        match self.host_part {
            HostPart::Address => {
                for ip in addresses {
                    gathering.add(&self.basename, &ip.to_string(), |peer| peer);
                }
            }
            HostPart::Hostname => {
                for ip in addresses {
                    let answer = followed.addresses.get(&ip);
                    let zone = self.name.shown();
                    if let Some(name) = gathering.reverse_name(ip, answer, zone) {
                        gathering.add(&self.basename, &name, |peer| peer.with_address(ip));
                    }
                }
            }
        }
        if let Some(answer) = &asked.srv {
            gathering.note(answer);
            let ports = self.ports(records(Some(answer)), asker);
            for (target, port) in ports {
                let hosts = match self.host_part {
                    HostPart::Hostname => vec![target.to_owned()],
                    HostPart::Address => {
                        let answers = followed.targets.get(target);
                        let preferred = self.preferred_is_v4(asker);
                        gathering.target_addresses(target, answers, preferred)
                    }
                };
                for host in hosts {
                    gathering.add(&self.basename, &host, |peer| match port {
                        Some(port) => peer.with_port(port),
                        None => peer,
                    });
                }
            }
        }
        self.finish(asked, gathering)
    }

    fn finish(&self, asked: &Asked, gathering: Gathering) -> Reading {
        let name = self.name.shown();
        let nothing = || {
            if asked.is_name() {
                let what = if self.records.srv && !self.records.a && !self.records.aaaa {
                    "any SRV record: only a Service with a port has one"
                } else {
                    "any record that was asked for"
                };
                return Why::new(
                    FailureKind::Empty,
                    format!("DNS knows {name} without {what}"),
                );
            }
            let port = if self.records.srv { ", a port" } else { "" };
            let text = format!(
                "DNS knows no name {name}: is it spelled right, and has the headless Service{port} \
                 a ready pod or publishNotReadyAddresses?"
            );
            Why::new(FailureKind::NotFound, text)
        };
        let missing = match gathering.missing {
            None if gathering.peers.is_empty() => Some(nothing()),
            missing => missing,
        };
        Reading {
            peers: gathering.peers.into_values().collect(),
            ttl: gathering.ttl,
            missing,
        }
    }

    /// The one port of each target, if it is wanted and there is one.
    ///
    /// A Service that is asked without a port's name tells all of its ports, and epmd's port means
    /// "ask epmd", as no distribution listens there.
    fn ports<'a>(&self, services: &'a [Service], asker: &Asker) -> BTreeMap<&'a str, Option<u16>> {
        let mut ports: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
        for service in services {
            let ports = ports.entry(&service.target).or_default();
            ports.insert(service.port);
        }
        let usable =
            |port: &u16| self.port == PortFrom::Srv && *port != 0 && *port != asker.epmd_port;
        let one = |ports: BTreeSet<u16>| match ports.len() {
            1 => ports.first().copied().filter(usable),
            _ => None,
        };
        ports
            .into_iter()
            .map(|(target, ports)| (target, one(ports)))
            .collect()
    }

    /// Which family of a target's addresses is taken, where it has both: our own name's, else
    /// IPv4, as inet:gethostbyname does.
    fn preferred_is_v4(&self, asker: &Asker) -> bool {
        match self.families {
            Families::V4 => true,
            Families::V6 => false,
            Families::Both => asker.is_v4().unwrap_or(true),
        }
    }
}

/// A [`Reading`] while it is put together.
#[derive(Debug, Default)]
struct Gathering {
    peers: BTreeMap<NodeName, PeerAddr>,
    ttl: Option<Duration>,
    missing: Option<Why>,
}

impl Gathering {
    /// The addresses that answer the question itself, and what they lack.
    fn addresses(&mut self, asked: &Asked, asker: &Asker) -> BTreeSet<IpAddr> {
        let of_ours = asker.is_v4().and_then(|v4| asked.of_family(v4));
        let answers = if is_found(of_ours) {
            [of_ours, None]
        } else {
            [asked.a.as_ref(), asked.aaaa.as_ref()]
        };
        let mut addresses = BTreeSet::new();
        for answer in answers.into_iter().flatten() {
            self.note(answer);
            addresses.extend(records(Some(answer)).iter().map(IpAddr::to_canonical));
        }
        addresses
    }

    /// The addresses of a target, of the preferred family if it has any of that.
    fn target_addresses(
        &mut self,
        target: &str,
        answers: Option<&Addresses>,
        prefer_v4: bool,
    ) -> Vec<String> {
        let Some(answers) = answers else {
            let text = format!("of the SRV targets only {MAX_FOLLOW_UPS} were looked up");
            self.miss(Why::new(FailureKind::Other, text));
            return Vec::new();
        };
        let (a, aaaa) = (answers.a.as_ref(), answers.aaaa.as_ref());
        let [first, second] = if prefer_v4 { [a, aaaa] } else { [aaaa, a] };
        // The other family stands in only where this one is known not to be there.
        let unknown = first.and_then(why);
        let taken = if is_found(first) || unknown.is_some() {
            first
        } else {
            second
        };
        match taken {
            Some(answer @ Answer::Found { records, .. }) => {
                self.note(answer);
                let texts = records.iter().map(|ip| ip.to_canonical().to_string());
                texts.collect()
            }
            Some(Answer::Failed(why)) => {
                self.miss(why.clone());
                Vec::new()
            }
            _ => {
                let text = format!("the SRV target {target} has no address");
                self.miss(Why::new(FailureKind::NotFound, text));
                Vec::new()
            }
        }
    }

    /// The reverse name of an address. Of several the one below `zone` is taken, and of those
    /// the first by the alphabet, so that no order of records renames a peer.
    fn reverse_name(
        &mut self,
        ip: IpAddr,
        answer: Option<&Answer<String>>,
        zone: &str,
    ) -> Option<String> {
        match answer {
            Some(answer @ Answer::Found { records, .. }) => {
                self.note(answer);
                let zone = format!(".{}.", zone.trim_end_matches('.').to_ascii_lowercase());
                let below =
                    |name: &&String| format!("{}.", name.to_ascii_lowercase()).contains(&zone);
                let below = records.iter().filter(below).min();
                below.or_else(|| records.iter().min()).cloned()
            }
            Some(Answer::Failed(why)) => {
                self.miss(why.clone());
                None
            }
            Some(Answer::NoData | Answer::NoName) => {
                let text = format!(
                    "{ip} has no reverse name: in Kubernetes only the endpoints of a headless \
                     Service have one"
                );
                self.miss(Why::new(FailureKind::NotFound, text));
                None
            }
            None => {
                let text = format!("only {MAX_FOLLOW_UPS} reverse names were looked up");
                self.miss(Why::new(FailureKind::Other, text));
                None
            }
        }
    }

    fn note<T>(&mut self, answer: &Answer<T>) {
        match answer {
            Answer::Found { ttl, .. } => {
                self.ttl = Some(self.ttl.map_or(*ttl, |shortest| shortest.min(*ttl)));
            }
            Answer::Failed(why) => self.miss(why.clone()),
            Answer::NoData | Answer::NoName => {}
        }
    }

    /// The first thing that is missing is what people are told.
    fn miss(&mut self, why: Why) {
        self.missing.get_or_insert(why);
    }

    fn add(&mut self, basename: &str, host: &str, know: impl FnOnce(PeerAddr) -> PeerAddr) {
        let Ok(name) = NodeName::new(basename, host) else {
            self.miss(Why::new(
                FailureKind::Malformed,
                format!("{basename}@{host} is no node name"),
            ));
            return;
        };
        if self.peers.len() >= MAX_PEERS_PER_UPDATE {
            return;
        }
        let peer = know(PeerAddr::new(name.clone()));
        let known = self.peers.entry(name).or_insert_with(|| peer.clone());
        if known.port().is_none() && peer.port().is_some() {
            *known = peer;
        }
    }
}

fn records<T>(answer: Option<&Answer<T>>) -> &[T] {
    match answer {
        Some(Answer::Found { records, .. }) => records,
        _ => &[],
    }
}

fn is_found<T>(answer: Option<&Answer<T>>) -> bool {
    matches!(answer, Some(Answer::Found { .. }))
}

fn why<T>(answer: &Answer<T>) -> Option<&Why> {
    match answer {
        Answer::Failed(why) => Some(why),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
