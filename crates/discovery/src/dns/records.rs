//! What a resolver's answer holds. No socket is touched here.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use enmesh_membership::FailureKind;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::answer::{Answer, Service, Why};

/// The records of an answer that `pick` takes.
pub(super) fn read<T>(name: &Name, lookup: &Lookup, pick: fn(&RData) -> Option<T>) -> Answer<T> {
    if lookup.message().metadata.truncation {
        let text = format!("the DNS answer for {name} is cut off");
        return Answer::Failed(Why::new(FailureKind::Malformed, text));
    }
    let answers = lookup.answers();
    let records: Vec<_> = answers
        .iter()
        .filter_map(|record| pick(&record.data))
        .collect();
    // The aliases on the way bound how long what is at their end may be believed.
    let ttl = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
    if records.is_empty() {
        return Answer::NoData;
    }
    Answer::Found {
        records,
        ttl: Duration::from_secs(ttl.into()),
    }
}

/// The address of an A or AAAA record, if one host can have it: 0.0.0.0, which is what some name
/// servers say of names that they block, would lead every dial back to ourselves.
pub(super) fn address(data: &RData) -> Option<IpAddr> {
    let ip = match data {
        RData::A(a) => IpAddr::V4(a.0),
        RData::AAAA(aaaa) => IpAddr::V6(aaaa.0),
        _ => return None,
    };
    let ip = ip.to_canonical();
    let nobody = ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    (!nobody).then_some(ip)
}

/// An SRV record with a target; `.` says that the service is not there.
pub(super) fn service(data: &RData) -> Option<Service> {
    let RData::SRV(srv) = data else {
        return None;
    };
    Some(Service {
        target: host_name(&srv.target)?,
        port: srv.port,
    })
}

/// A reverse name.
pub(super) fn reverse_name(data: &RData) -> Option<String> {
    match data {
        RData::PTR(name) => host_name(&name.0),
        _ => None,
    }
}

/// The name that an alias stands for.
pub(super) fn alias(data: &RData) -> Option<Name> {
    match data {
        RData::CNAME(name) => Some(name.0.clone()),
        _ => None,
    }
}

/// A name that can stand behind the `@`, without the dot at its end. Its letters stay as they are:
/// names of nodes are compared exactly.
fn host_name(name: &Name) -> Option<String> {
    let text = name.to_ascii();
    let text = text.trim_end_matches('.');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (!text.is_empty() && text.bytes().all(allowed)).then(|| text.to_owned())
}

/// What an error of the resolver says about `name`.
pub(super) fn read_error<T>(name: &Name, kind: RecordType, error: &NetError) -> Answer<T> {
    let refused = |code: &ResponseCode| {
        let text = format!("DNS answers {code} for {kind} of {name}");
        Why::new(FailureKind::Unreachable, text)
    };
    let why = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => return Answer::NoName,
            ResponseCode::NoError => return Answer::NoData,
            code => refused(&code),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => refused(code),
        NetError::Truncated => Why::new(
            FailureKind::Malformed,
            format!("the DNS answer for {kind} of {name} is cut off, even over TCP"),
        ),
        NetError::Timeout => return no_answer_in_time(name, kind),
        NetError::Proto(error) => Why::new(
            FailureKind::Malformed,
            format!("the DNS answer for {kind} of {name} is malformed: {error}"),
        ),
        other => Why::unanswered(
            FailureKind::Unreachable,
            format!("DNS cannot be asked for {kind} of {name}: {other}"),
        ),
    };
    Answer::Failed(why)
}

/// There was no answer in time.
pub(super) fn no_answer_in_time<T>(name: &Name, kind: RecordType) -> Answer<T> {
    let text = format!("DNS did not answer in time for {kind} of {name}");
    Answer::Failed(Why::unanswered(FailureKind::TimedOut, text))
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{A, AAAA, PTR, SRV};
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    /// RFC 2782: "A Target of "." means that the service is decidedly not available".
    #[test]
    fn a_service_has_a_target_and_a_port() {
        let record = |target: &str| RData::SRV(SRV::new(10, 20, 9_000, name(target)));
        let expected = Service {
            target: "Web-0.test".to_owned(),
            port: 9_000,
        };
        assert_eq!(service(&record("Web-0.test.")), Some(expected));
        assert_eq!(service(&record(".")), None);
        let odd = Name::from_labels([&b"a@b"[..], b"test"]).unwrap();
        assert_eq!(service(&RData::SRV(SRV::new(10, 20, 9_000, odd))), None);
    }

    #[test]
    fn an_address_is_one_that_a_host_can_have() {
        let v4 = |text: &str| address(&RData::A(A(text.parse().unwrap())));
        assert_eq!(v4("10.0.0.1"), Some("10.0.0.1".parse().unwrap()));
        for nobody in ["0.0.0.0", "224.0.0.1", "255.255.255.255"] {
            assert_eq!(v4(nobody), None, "{nobody}");
        }
        let mapped = RData::AAAA(AAAA("::ffff:10.0.0.1".parse().unwrap()));
        assert_eq!(address(&mapped), Some("10.0.0.1".parse().unwrap()));
    }

    proptest! {
        /// A name server may put any bytes into a label.
        #[test]
        fn any_label_gives_a_host_name_or_nothing(
            labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..5)
        ) {
            let target = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
            let found = service(&RData::SRV(SRV::new(0, 0, 1, target.clone())));
            prop_assert_eq!(reverse_name(&RData::PTR(PTR(target))), found.clone().map(|s| s.target));
            if let Some(found) = found {
                let name = enmesh_identity::NodeName::new("a", &found.target);
                prop_assert!(name.is_ok(), "{name:?}");
            }
        }
    }
}
