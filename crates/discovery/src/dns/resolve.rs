//! The look-ups themselves, through hickory-resolver.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use enmesh_membership::FailureKind;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::answer::Answer;

/// The longest that one round of look-ups takes, all names of the search list together.
const ROUND_TIMEOUT: Duration = Duration::from_secs(20);

/// How many names of the search list are tried.
const MAX_CANDIDATES: usize = 16;

/// Gives the name servers and the search list.
pub(super) type Setup =
    Box<dyn Fn() -> Result<(ResolverConfig, ResolverOpts), NetError> + Send + Sync>;

/// The name servers and the search list of the system.
pub(super) fn system_setup() -> Result<(ResolverConfig, ResolverOpts), NetError> {
    hickory_resolver::system_conf::read_system_conf()
}

/// Asks for both families of one name, and stays with the name of the search list that answered.
pub(super) struct Lookups {
    query: String,
    setup: Setup,
    resolver: Option<(TokioResolver, Vec<Name>)>,
    /// The candidate that answered last. While it fails, no other name is put in its place.
    answered: Option<Name>,
}

impl Lookups {
    pub(super) fn new(query: &str, setup: Setup) -> Self {
        Self {
            query: query.to_owned(),
            setup,
            resolver: None,
            answered: None,
        }
    }

    /// The answers for A and AAAA.
    pub(super) async fn both(&mut self) -> (Answer, Answer) {
        let answers = match tokio::time::timeout(ROUND_TIMEOUT, self.round()).await {
            Ok(answers) => answers,
            Err(_) => {
                let failed = failed_answer(
                    FailureKind::TimedOut,
                    format!(
                        "DNS did not answer for {} within {ROUND_TIMEOUT:?}",
                        self.query
                    ),
                );
                (failed.clone(), failed)
            }
        };
        if !matches!(
            answers,
            (Answer::Addresses { .. }, _) | (_, Answer::Addresses { .. })
        ) {
            // The system's configuration may have changed under us, as it does with a network.
            self.resolver = None;
        }
        answers
    }

    async fn round(&mut self) -> (Answer, Answer) {
        let (resolver, candidates) = match self.resolver() {
            Ok(resolver) => resolver,
            Err(text) => {
                let failed = failed_answer(FailureKind::Other, text);
                return (failed.clone(), failed);
            }
        };
        let pinned = self.answered.iter();
        let mut last = (Answer::NoName, Answer::NoName);
        for (place, name) in pinned.chain(&candidates).enumerate() {
            let (v4, v6) = futures::join!(
                ask(&resolver, name, RecordType::A),
                ask(&resolver, name, RecordType::AAAA)
            );
            let answered = |answer: &Answer| matches!(answer, Answer::Addresses { .. });
            if answered(&v4) || answered(&v6) {
                self.answered = Some(name.clone());
                return (v4, v6);
            }
            let failed = |answer: &Answer| matches!(answer, Answer::Failed { .. });
            let pinned_failed =
                place == 0 && self.answered.is_some() && (failed(&v4) || failed(&v6));
            last = worse(last, (v4, v6));
            if pinned_failed {
                return last;
            }
        }
        self.answered = None;
        last
    }

    fn resolver(&mut self) -> Result<(TokioResolver, Vec<Name>), String> {
        if let Some(ready) = &self.resolver {
            return Ok(ready.clone());
        }
        let unusable = |error: NetError| format!("the DNS configuration cannot be used: {error}");
        let (config, mut options) = (self.setup)().map_err(unusable)?;
        // The TTL decides here when to ask again, so a second cache would only make it longer.
        options.cache_size = 0;
        let candidates = candidates(&self.query, config.search(), options.ndots);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let ready = (builder.build().map_err(unusable)?, candidates);
        self.resolver = Some(ready.clone());
        Ok(ready)
    }
}

/// The absolute names that `query` may stand for, in the order of resolv.conf(5).
fn candidates(query: &str, search: &[Name], ndots: usize) -> Vec<Name> {
    let Ok(mut absolute) = Name::from_utf8(query) else {
        return Vec::new();
    };
    if absolute.is_fqdn() {
        return vec![absolute];
    }
    let relative = absolute.clone();
    absolute.set_fqdn(true);
    let with_suffix = |suffix: &Name| {
        let mut name = relative.clone().append_domain(suffix).ok()?;
        name.set_fqdn(true);
        Some(name)
    };
    let mut names: Vec<Name> = search.iter().filter_map(with_suffix).collect();
    names.truncate(MAX_CANDIDATES - 1);
    let dots = query.matches('.').count();
    names.insert(if dots >= ndots { 0 } else { names.len() }, absolute);
    names
}

/// Of two answerless rounds the one that says more: a failure, then an empty name, then none.
fn worse(one: (Answer, Answer), other: (Answer, Answer)) -> (Answer, Answer) {
    let rank = |answer: &Answer| match answer {
        Answer::Failed { .. } => 2,
        Answer::NoData => 1,
        _ => 0,
    };
    let weight = |pair: &(Answer, Answer)| rank(&pair.0).max(rank(&pair.1));
    if weight(&other) > weight(&one) {
        other
    } else {
        one
    }
}

async fn ask(resolver: &TokioResolver, name: &Name, kind: RecordType) -> Answer {
    match resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => read(name, &lookup),
        Err(error) => read_error(name, &error),
    }
}

fn read(name: &Name, lookup: &Lookup) -> Answer {
    if lookup.message().metadata.truncation {
        let text = format!("the DNS answer for {name} is cut off");
        return failed_answer(FailureKind::Malformed, text);
    }
    let address = |data: &RData| match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    };
    let addresses: Vec<_> = lookup
        .answers()
        .iter()
        .filter_map(|record| address(&record.data))
        .filter(can_be_a_peer_s)
        .collect();
    // The aliases on the way bound how long the addresses at their end may be believed.
    let ttl = lookup
        .answers()
        .iter()
        .map(|record| record.ttl)
        .min()
        .unwrap_or(0);
    if addresses.is_empty() {
        return Answer::NoData;
    }
    Answer::Addresses {
        addresses,
        ttl: Duration::from_secs(ttl.into()),
    }
}

/// Whether one host can have `ip`: 0.0.0.0, which is what some name servers say of names that they
/// block, would lead every dial back to ourselves.
fn can_be_a_peer_s(ip: &IpAddr) -> bool {
    let ip = ip.to_canonical();
    !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn read_error(name: &Name, error: &NetError) -> Answer {
    let (kind, text) = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => return Answer::NoName,
            ResponseCode::NoError => return Answer::NoData,
            code => (
                FailureKind::Unreachable,
                format!("DNS answers {code} for {name}"),
            ),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => (
            FailureKind::Unreachable,
            format!("DNS answers {code} for {name}"),
        ),
        NetError::Truncated => (
            FailureKind::Malformed,
            format!("the DNS answer for {name} is cut off, even over TCP"),
        ),
        NetError::Timeout => (
            FailureKind::TimedOut,
            format!("DNS did not answer for {name}"),
        ),
        NetError::Proto(error) => (
            FailureKind::Malformed,
            format!("the DNS answer for {name} is malformed: {error}"),
        ),
        other => (
            FailureKind::Unreachable,
            format!("DNS cannot be asked for {name}: {other}"),
        ),
    };
    failed_answer(kind, text)
}

fn failed_answer(kind: FailureKind, text: String) -> Answer {
    Answer::Failed { kind, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, ndots: usize, expected: &[&str]) {
        let search: Vec<Name> = ["ns.svc.cluster.local", "svc.cluster.local."]
            .map(|name| Name::from_utf8(name).unwrap())
            .into();
        let names: Vec<_> = candidates(query, &search, ndots)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, expected);
    }

    /// resolv.conf(5), "search" and "ndots".
    #[test]
    fn names_with_few_dots_are_searched_first() {
        let in_namespace = "web.ns.svc.cluster.local.";
        check("web", 5, &[in_namespace, "web.svc.cluster.local.", "web."]);
        let elsewhere = [
            "web.other.ns.svc.cluster.local.",
            "web.other.svc.cluster.local.",
        ];
        check("web.other", 5, &[elsewhere[0], elsewhere[1], "web.other."]);
        check("web.other", 1, &["web.other.", elsewhere[0], elsewhere[1]]);
    }

    #[test]
    fn a_name_with_a_dot_at_the_end_stands_for_itself() {
        check("web.other.", 5, &["web.other."]);
    }
}
