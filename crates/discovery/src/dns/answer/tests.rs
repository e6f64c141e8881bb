use proptest::prelude::*;

use super::*;
use crate::dns::{QueryName, Records};

fn asker(own: &str) -> Asker {
    Asker {
        own: own.parse().unwrap(),
        epmd_port: 4369,
    }
}

fn addresses(texts: &[&str], ttl: u64) -> Option<Answer<IpAddr>> {
    Some(Answer::Found {
        records: texts.iter().map(|text| text.parse().unwrap()).collect(),
        ttl: Duration::from_secs(ttl),
    })
}

fn services(records: &[(&str, u16)]) -> Option<Answer<Service>> {
    let service = |&(target, port): &(&str, u16)| Service {
        target: target.to_owned(),
        port,
    };
    Some(Answer::Found {
        records: records.iter().map(service).collect(),
        ttl: Duration::from_secs(5),
    })
}

fn servfail<T>() -> Option<Answer<T>> {
    Some(Answer::Failed(Why::new(
        FailureKind::Unreachable,
        "server failure",
    )))
}

/// A and AAAA of a name, as `dns_poll` asks for them.
fn read(own: &str, a: Option<Answer<IpAddr>>, aaaa: Option<Answer<IpAddr>>) -> Reading {
    let asked = Asked { a, aaaa, srv: None };
    let question = Question::addresses("app.test", "node");
    question.read(&asked, &Followed::default(), &asker(own))
}

fn srv_question(host_part: HostPart, port: PortFrom) -> Question {
    Question {
        name: QueryName::Searched("app.test".to_owned()),
        basename: "node".to_owned(),
        records: Records::SRV,
        host_part,
        families: Families::Both,
        port,
    }
}

/// The peers as text, `name`, `name:port` or `name=address`.
fn shown(reading: &Reading) -> Vec<String> {
    let show = |peer: &PeerAddr| match (peer.port(), peer.name().host().as_ip(), peer.address()) {
        (Some(port), _, _) => format!("{}:{port}", peer.name()),
        (None, None, Some(address)) => format!("{}={address}", peer.name()),
        _ => peer.name().to_string(),
    };
    reading.peers.iter().map(show).collect()
}

#[track_caller]
fn check_whole(reading: &Reading, expected: &[&str]) {
    assert_eq!(shown(reading), expected);
    assert_eq!(reading.missing, None);
}

#[track_caller]
fn check_missing(reading: &Reading, expected: &[&str], kind: FailureKind, words: &str) {
    assert_eq!(shown(reading), expected);
    let why = reading.missing.as_ref().expect("something is missing");
    assert_eq!(why.kind, kind, "{why:?}");
    assert!(why.text.contains(words), "{why:?}");
}

#[test]
fn addresses_of_both_families_become_nodes() {
    let v6 = "2a09:8280:1:a270:b8f5:b9f7:8891:f3";
    let reading = read(
        "own@host.test",
        addresses(&["10.0.0.1", "10.0.0.2"], 30),
        addresses(&[v6], 5),
    );
    let expected = ["node@10.0.0.1", "node@10.0.0.2", &format!("node@{v6}")];
    check_whole(&reading, &expected);
    assert_eq!(reading.ttl, Some(Duration::from_secs(5)));
}

#[test]
fn a_name_without_one_family_is_whole() {
    let reading = read(
        "own@host.test",
        addresses(&["10.0.0.1"], 5),
        Some(Answer::NoData),
    );
    check_whole(&reading, &["node@10.0.0.1"]);
}

#[test]
fn a_family_that_fails_is_missing() {
    let half = || addresses(&["10.0.0.1"], 5);
    for (a, aaaa) in [(half(), servfail()), (servfail(), half())] {
        let reading = read("own@host.test", a, aaaa);
        check_missing(
            &reading,
            &["node@10.0.0.1"],
            FailureKind::Unreachable,
            "server failure",
        );
    }
}

/// Many name servers never answer AAAA of IPv4 names well.
#[test]
fn a_family_that_is_not_ours_is_not_missed() {
    let reading = read("node@10.0.0.9", addresses(&["10.0.0.1"], 5), servfail());
    check_whole(&reading, &["node@10.0.0.1"]);
    let reading = read("node@fd00::9", addresses(&["10.0.0.1"], 5), servfail());
    check_missing(
        &reading,
        &["node@10.0.0.1"],
        FailureKind::Unreachable,
        "server failure",
    );
}

#[test]
fn an_absent_or_empty_name_is_a_failure_and_no_empty_set() {
    let failure = |a, aaaa| read("own@host.test", Some(a), Some(aaaa));
    let words = "DNS knows no name app.test";
    let reading = failure(Answer::NoName, Answer::NoName);
    check_missing(&reading, &[], FailureKind::NotFound, words);
    for (a, aaaa) in [
        (Answer::NoData, Answer::NoName),
        (Answer::NoData, Answer::NoData),
    ] {
        check_missing(&failure(a, aaaa), &[], FailureKind::Empty, "without any");
    }
    let reading = read("own@host.test", servfail(), Some(Answer::NoName));
    check_missing(&reading, &[], FailureKind::Unreachable, "server failure");
    assert_eq!(reading.ttl, None);
}

#[test]
fn the_family_of_our_own_name_decides_between_two() {
    let both = |own| read(own, addresses(&["10.0.0.1"], 5), addresses(&["fd00::1"], 5));
    check_whole(&both("node@10.0.0.9"), &["node@10.0.0.1"]);
    check_whole(&both("node@fd00::9"), &["node@fd00::1"]);
    let only = read(
        "node@fd00::9",
        addresses(&["10.0.0.1"], 5),
        Some(Answer::NoData),
    );
    check_whole(&only, &["node@10.0.0.1"]);
}

#[test]
fn an_address_that_stands_twice_is_one_peer() {
    let reading = read(
        "own@host.test",
        addresses(&["10.0.0.1", "10.0.0.1"], 5),
        addresses(&["::ffff:10.0.0.1"], 5),
    );
    check_whole(&reading, &["node@10.0.0.1"]);
}

#[test]
fn targets_become_host_names_with_the_port_that_is_wanted() {
    let asked = Asked {
        srv: services(&[("web-0.test", 9_000), ("Web-1.test", 9_001)]),
        ..Asked::default()
    };
    let read = |port| {
        let question = srv_question(HostPart::Hostname, port);
        let asker = asker("own@host.test");
        assert_eq!(question.follow_ups(&asked, &asker), FollowUps::default());
        question.read(&asked, &Followed::default(), &asker)
    };
    let with_ports = ["node@Web-1.test:9001", "node@web-0.test:9000"];
    check_whole(&read(PortFrom::Srv), &with_ports);
    check_whole(
        &read(PortFrom::Epmd),
        &["node@Web-1.test", "node@web-0.test"],
    );
}

/// A Service with two ports has two SRV records for each pod, where it is asked without a port's
/// name; and epmd's port is where to ask for the port.
#[test]
fn a_port_that_is_epmd_s_or_not_the_only_one_is_left_to_epmd() {
    let asked = Asked {
        srv: services(&[
            ("two.test", 9_000),
            ("two.test", 8_080),
            ("epmd.test", 4_369),
            ("both.test", 4_369),
            ("both.test", 9_000),
            ("none.test", 0),
        ]),
        ..Asked::default()
    };
    let question = srv_question(HostPart::Hostname, PortFrom::Srv);
    let reading = question.read(&asked, &Followed::default(), &asker("own@host.test"));
    check_whole(
        &reading,
        &[
            "node@both.test",
            "node@epmd.test",
            "node@none.test",
            "node@two.test",
        ],
    );
}

/// dns_cluster looks targets up by inet:gethostbyname, which says IPv4.
#[test]
fn targets_become_addresses_of_one_family() {
    let asked = Asked {
        srv: services(&[("web-0.test", 9_000), ("web-1.test", 9_001)]),
        ..Asked::default()
    };
    let both = |a: &str, aaaa: &str| Addresses {
        a: addresses(&[a], 5),
        aaaa: addresses(&[aaaa], 3),
    };
    let followed = Followed {
        targets: [
            ("web-0.test".to_owned(), both("10.0.0.1", "fd00::1")),
            ("web-1.test".to_owned(), both("10.0.0.2", "fd00::2")),
        ]
        .into(),
        ..Followed::default()
    };
    let question = srv_question(HostPart::Address, PortFrom::Srv);
    let read = |own| {
        let asker = asker(own);
        let follow_ups = question.follow_ups(&asked, &asker);
        assert_eq!(follow_ups.targets.len(), 2);
        question.read(&asked, &followed, &asker)
    };
    let v4 = ["node@10.0.0.1:9000", "node@10.0.0.2:9001"];
    check_whole(&read("own@host.test"), &v4);
    check_whole(&read("own@10.0.0.9"), &v4);
    let v6 = ["node@fd00::1:9000", "node@fd00::2:9001"];
    check_whole(&read("own@fd00::9"), &v6);
}

#[test]
fn a_target_that_is_not_resolved_is_missing() {
    let asked = Asked {
        srv: services(&[("web-0.test", 1), ("web-1.test", 1)]),
        ..Asked::default()
    };
    let question = srv_question(HostPart::Address, PortFrom::Epmd);
    let known = Addresses {
        a: addresses(&["10.0.0.1"], 5),
        aaaa: Some(Answer::NoData),
    };
    let unknown = |a, aaaa| Addresses {
        a: Some(a),
        aaaa: Some(aaaa),
    };
    let failed = || servfail().unwrap();
    let v6 = || addresses(&["fd00::2"], 5).unwrap();
    for (second, kind, words) in [
        (
            unknown(Answer::NoName, Answer::NoName),
            FailureKind::NotFound,
            "web-1.test has no address",
        ),
        (
            unknown(Answer::NoData, failed()),
            FailureKind::Unreachable,
            "server failure",
        ),
        // The peer has a name of the other family only if it has none of this one.
        (
            unknown(failed(), v6()),
            FailureKind::Unreachable,
            "server failure",
        ),
    ] {
        let targets = [
            ("web-0.test".to_owned(), known.clone()),
            ("web-1.test".to_owned(), second),
        ];
        let followed = Followed {
            targets: targets.into(),
            ..Followed::default()
        };
        let reading = question.read(&asked, &followed, &asker("own@host.test"));
        check_missing(&reading, &["node@10.0.0.1"], kind, words);
    }
}

#[test]
fn reverse_names_keep_their_address_and_prefer_the_zone_that_was_asked() {
    let question = Question {
        host_part: HostPart::Hostname,
        ..Question::addresses("web.prod", "node")
    };
    let asker = asker("own@host.test");
    let asked = Asked {
        a: addresses(&["10.0.0.1", "10.0.0.2", "10.0.0.3"], 5),
        ..Asked::default()
    };
    let reverse = |names: &[&str]| Answer::Found {
        records: names.iter().map(|name| (*name).to_owned()).collect(),
        ttl: Duration::from_secs(2),
    };
    let follow_ups = question.follow_ups(&asked, &asker);
    let ips: Vec<IpAddr> = follow_ups.addresses.into_iter().collect();
    let names = [
        reverse(&[
            "a.api.prod.svc.test",
            "b.web.prod.svc.test",
            "c.WEB.prod.svc.test",
        ]),
        reverse(&["z.test", "y.webb.prod.test"]),
        Answer::NoName,
    ];
    let followed = Followed {
        addresses: ips.into_iter().zip(names).collect(),
        ..Followed::default()
    };
    let reading = question.read(&asked, &followed, &asker);
    check_missing(
        &reading,
        &[
            "node@b.web.prod.svc.test=10.0.0.1",
            "node@y.webb.prod.test=10.0.0.2",
        ],
        FailureKind::NotFound,
        "10.0.0.3 has no reverse name",
    );
    assert_eq!(reading.ttl, Some(Duration::from_secs(2)));
}

#[test]
fn too_many_follow_ups_are_left_out_and_missed() {
    let records: Vec<_> = (0..=MAX_FOLLOW_UPS)
        .map(|number| Service {
            target: format!("web-{number}.test"),
            port: 1,
        })
        .collect();
    let asked = Asked {
        srv: Some(Answer::Found {
            records,
            ttl: Duration::from_secs(5),
        }),
        ..Asked::default()
    };
    let question = srv_question(HostPart::Address, PortFrom::Epmd);
    let asker = asker("own@host.test");
    let follow_ups = question.follow_ups(&asked, &asker);
    assert_eq!(follow_ups.targets.len(), MAX_FOLLOW_UPS);
    let found = |target| {
        (
            target,
            Addresses {
                a: addresses(&["10.0.0.1"], 5),
                aaaa: None,
            },
        )
    };
    let followed = Followed {
        targets: follow_ups.targets.into_iter().map(found).collect(),
        ..Followed::default()
    };
    let reading = question.read(&asked, &followed, &asker);
    check_missing(
        &reading,
        &["node@10.0.0.1"],
        FailureKind::Other,
        "only 1000",
    );
}

fn any_answer() -> impl Strategy<Value = Option<Answer<IpAddr>>> {
    let found = prop::collection::vec(any::<IpAddr>(), 1..5);
    prop_oneof![
        Just(None),
        Just(Some(Answer::NoData)),
        Just(Some(Answer::NoName)),
        Just(servfail()),
        (found, any::<u32>()).prop_map(|(records, ttl)| Some(Answer::Found {
            records,
            ttl: Duration::from_secs(ttl.into()),
        })),
    ]
}

fn any_services() -> impl Strategy<Value = Option<Answer<Service>>> {
    let found = prop::collection::vec(("[a-c.@ ]{0,4}", any::<u16>()), 1..5);
    prop_oneof![
        Just(None),
        Just(Some(Answer::NoData)),
        Just(servfail()),
        found.prop_map(|records| {
            let services_of: Vec<_> = records.iter().map(|(t, p)| (t.as_str(), *p)).collect();
            services(&services_of)
        }),
    ]
}

proptest! {
    /// An answer without a peer is never whole, and a failure of the only family that could be
    /// ours is never overlooked.
    #[test]
    fn nobody_is_never_the_whole_set(
        a in any_answer(), aaaa in any_answer(), srv in any_services(),
        target in (any_answer(), any_answer()), own in prop_oneof![
            Just("own@host.test"), Just("own@10.0.0.9"), Just("own@fd00::9")
        ],
        hostname in any::<bool>(),
    ) {
        let host_part = if hostname { HostPart::Hostname } else { HostPart::Address };
        let question = Question {
            records: Records { srv: true, ..Records::ADDRESSES },
            ..srv_question(host_part, PortFrom::Srv)
        };
        let asker = asker(own);
        let asked = Asked { a, aaaa, srv };
        let follow_ups = question.follow_ups(&asked, &asker);
        let (a, aaaa) = target;
        let of_target = Addresses { a, aaaa };
        let followed = Followed {
            targets: follow_ups.targets.into_iter().map(|name| (name, of_target.clone())).collect(),
            addresses: follow_ups.addresses.into_iter().map(|ip| (ip, Answer::NoName)).collect(),
        };
        let reading = question.read(&asked, &followed, &asker);
        prop_assert!(!reading.peers.is_empty() || reading.missing.is_some());
        let relevant = if own == "own@10.0.0.9" { &asked.a } else { &asked.aaaa };
        let ours_failed = own != "own@host.test" && matches!(relevant, Some(Answer::Failed(_)));
        if ours_failed || matches!(asked.srv, Some(Answer::Failed(_))) {
            prop_assert!(reading.missing.is_some());
        }
    }
}
