//! SRV records, reverse names, and several questions at once.

use super::*;
use crate::dns_keys::PortFrom;

fn srv(query: &str, host_part: HostPart) -> Question {
    Question {
        records: Records::SRV,
        host_part,
        port: PortFrom::Srv,
        ..Question::addresses(query, "node")
    }
}

/// Every peer as `name`, or `name:port`.
#[track_caller]
fn check_peers(update: &Update, expected: &[&str]) {
    let Update::Snapshot(peers) = update else {
        panic!("{update:?} is no snapshot");
    };
    let shown: Vec<_> = peers
        .iter()
        .map(|sighting| match sighting.peer.port() {
            Some(port) => format!("{}:{port}", sighting.name()),
            None => sighting.name().to_string(),
        })
        .collect();
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_service_s_targets_are_host_names() {
    let server = Server::start().await;
    let records = vec!["srv 9000 web-0.test.", "srv 9001 web-1.test."];
    server.set("_dist._tcp.test.", RecordType::SRV, Say::Answer(5, records));
    let mut source = source_of(&server, vec![srv("_dist._tcp.test.", HostPart::Hostname)]);
    check_peers(
        &next(&mut source).await,
        &["node@web-0.test:9000", "node@web-1.test:9001"],
    );
    // The targets need no look-up of ours.
    assert_eq!(server.asked().len(), 1);
    for say in [
        Say::Code(ResponseCode::NXDomain),
        Say::Code(ResponseCode::ServFail),
        Say::Nothing,
        Say::Answer(5, vec!["srv 0 ."]),
        Say::CutOff(vec!["srv 9000 web-0.test."]),
    ] {
        server.set("_dist._tcp.test.", RecordType::SRV, say.clone());
        let update = next(&mut source).await;
        assert!(matches!(update, Update::Failed(_)), "{say:?}: {update:?}");
    }
}

#[tokio::test]
async fn a_service_s_targets_are_looked_up() {
    let server = Server::start().await;
    let records = vec!["srv 9000 web-0.test.", "srv 9001 web-1.test."];
    server.set("app.test.", RecordType::SRV, Say::Answer(5, records));
    for (name, address) in [("web-0.test.", "10.0.0.1"), ("web-1.test.", "10.0.0.2")] {
        server.set(name, RecordType::A, Say::Answer(5, vec![address]));
        server.set(name, RecordType::AAAA, Say::Nothing);
    }
    let mut source = source_of(&server, vec![srv("app.test.", HostPart::Address)]);
    check_peers(
        &next(&mut source).await,
        &["node@10.0.0.1:9000", "node@10.0.0.2:9001"],
    );
    server.set(
        "web-1.test.",
        RecordType::A,
        Say::Code(ResponseCode::ServFail),
    );
    check_part(&next(&mut source).await, &["node@10.0.0.1"]);
    server.set(
        "web-1.test.",
        RecordType::A,
        Say::Code(ResponseCode::NXDomain),
    );
    server.set(
        "web-1.test.",
        RecordType::AAAA,
        Say::Code(ResponseCode::NXDomain),
    );
    check_part(&next(&mut source).await, &["node@10.0.0.1"]);
}

#[tokio::test]
async fn aliases_before_a_service_are_followed() {
    let server = Server::start().await;
    let chain = vec!["one.test.", "srv 9000 web-0.test."];
    server.set("app.test.", RecordType::SRV, Say::Answer(5, chain));
    server.set(
        "app.test.",
        RecordType::CNAME,
        Say::Answer(5, vec!["one.test."]),
    );
    server.set(
        "one.test.",
        RecordType::SRV,
        Say::Answer(5, vec!["two.test."]),
    );
    server.set(
        "one.test.",
        RecordType::CNAME,
        Say::Answer(5, vec!["two.test."]),
    );
    let records = vec!["srv 9000 web-0.test."];
    server.set("two.test.", RecordType::SRV, Say::Answer(5, records));
    let mut source = source_of(&server, vec![srv("app.test.", HostPart::Hostname)]);
    check_peers(&next(&mut source).await, &["node@web-0.test:9000"]);
}

#[tokio::test]
async fn aliases_in_a_ring_are_a_failure() {
    let server = Server::start().await;
    for (name, alias) in [("one.test.", "two.test."), ("two.test.", "one.test.")] {
        for kind in [RecordType::SRV, RecordType::CNAME, RecordType::A] {
            server.set(name, kind, Say::Answer(5, vec![alias]));
        }
        server.set(name, RecordType::AAAA, Say::Nothing);
    }
    let mut services = source_of(&server, vec![srv("one.test.", HostPart::Hostname)]);
    check_failed(&next(&mut services).await, FailureKind::Malformed);
    let update = next(&mut source(&server, "one.test.")).await;
    assert!(matches!(update, Update::Failed(_)), "{update:?}");
}

#[tokio::test]
async fn addresses_are_named_by_their_reverse_names() {
    let server = Server::start().await;
    let addresses = vec!["10.0.0.1", "10.0.0.2"];
    server.set("web.test.", RecordType::A, Say::Answer(5, addresses));
    let ptr = |name| Say::Answer(5, vec![name]);
    let [one, two] = ["1.0.0.10.in-addr.arpa.", "2.0.0.10.in-addr.arpa."];
    server.set(one, RecordType::PTR, ptr("ptr a.web.test."));
    server.set(two, RecordType::PTR, ptr("ptr b.web.test."));
    let question = Question {
        records: Records {
            aaaa: false,
            ..Records::ADDRESSES
        },
        host_part: HostPart::Hostname,
        ..Question::addresses("web.test.", "node")
    };
    let mut source = source_of(&server, vec![question]);
    let update = next(&mut source).await;
    check_peers(&update, &["node@a.web.test", "node@b.web.test"]);
    let Update::Snapshot(peers) = update else {
        unreachable!("it was one above");
    };
    assert_eq!(peers[0].peer.address(), Some("10.0.0.1".parse().unwrap()));
    server.set(two, RecordType::PTR, Say::Code(ResponseCode::NXDomain));
    check_part(&next(&mut source).await, &["node@a.web.test"]);
}

#[tokio::test]
async fn more_targets_than_are_asked_for_at_once_are_all_looked_up() {
    let server = Server::start().await;
    let mut records = Vec::new();
    let mut expected = Vec::new();
    for number in 100..200 {
        let target = format!("web-{number}.test.");
        let address: &'static str = format!("10.0.1.{number}").leak();
        server.set(&target, RecordType::A, Say::Answer(5, vec![address]));
        server.set(&target, RecordType::AAAA, Say::Nothing);
        records.push(&*format!("srv 9000 {target}").leak());
        expected.push(format!("node@{address}:9000"));
    }
    server.set("app.test.", RecordType::SRV, Say::OverTcp(records));
    let mut source = source_of(&server, vec![srv("app.test.", HostPart::Address)]);
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    check_peers(&next(&mut source).await, &expected);
}

#[tokio::test]
async fn a_question_that_fails_does_not_keep_the_others_from_removing() {
    let server = Server::start().await;
    let two = vec!["10.0.0.1", "10.0.0.2"];
    server.set("a.test.", RecordType::A, Say::Answer(5, two));
    server.set("a.test.", RecordType::AAAA, Say::Nothing);
    server.set("b.test.", RecordType::A, Say::Answer(5, vec!["10.0.0.3"]));
    server.set("b.test.", RecordType::AAAA, Say::Nothing);
    let questions = ["a.test.", "b.test."].map(|name| Question::addresses(name, "node"));
    let mut source = source_of(&server, questions.into());
    let all = ["node@10.0.0.1", "node@10.0.0.2", "node@10.0.0.3"];
    check_peers(&next(&mut source).await, &all);
    server.set("a.test.", RecordType::A, Say::Answer(5, vec!["10.0.0.1"]));
    server.set("b.test.", RecordType::A, Say::Code(ResponseCode::ServFail));
    match next(&mut source).await {
        Update::Changed { present, gone } => {
            assert_eq!(present.len(), 1);
            assert_eq!(gone, ["node@10.0.0.2".parse().unwrap()]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_look_up_ends_with_its_timeout() {
    let server = Server::start().await;
    server.set("web.test.", RecordType::A, Say::Silence);
    let address = server.address();
    let text = format!("strategy=dns domain=web.test. lookup_timeout=300ms nameserver={address}");
    let topology: TopologyConfig = text.parse().unwrap();
    let context = SourceContext::new("own@host.test".parse().unwrap());
    let mut source = topology.source(&context).unwrap();
    let since = Instant::now();
    check_failed(&source.next().await, FailureKind::TimedOut);
    assert!(
        since.elapsed() < Duration::from_secs(3),
        "{:?}",
        since.elapsed()
    );
}
