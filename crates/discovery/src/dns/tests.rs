//! Look-ups against a name server on loopback, through the resolver that is used in earnest.

mod cases;
mod server;
mod services;

use hickory_resolver::config::ResolverOpts;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::*;
use crate::TopologyConfig;
use server::{Say, Server};

const PATIENCE: Duration = Duration::from_secs(20);

/// A source for the addresses of `query`, with one name server and the search list of a pod.
fn source(server: &Server, query: &str) -> DnsSource {
    source_of(server, vec![Question::addresses(query, "node")])
}

fn source_of(server: &Server, questions: Vec<Question>) -> DnsSource {
    source_as("own@host.test", server, questions)
}

fn source_as(own: &str, server: &Server, questions: Vec<Question>) -> DnsSource {
    let plan = plan(questions);
    let context = SourceContext::new(own.parse().unwrap());
    let nameservers = server.address().to_string().parse().unwrap();
    let setup = move || {
        let (config, _) = asking(&nameservers)?;
        let search = ["ns.svc.cluster.local.", "svc.cluster.local."];
        let search = search.map(|name| Name::from_ascii(name).unwrap()).into();
        let config = ResolverConfig::from_parts(None, search, config.name_servers().to_vec());
        let mut options = ResolverOpts::default();
        options.ndots = 5;
        options.timeout = Duration::from_millis(300);
        Ok((config, options))
    };
    DnsSource::with_setup(&plan, &context, Box::new(setup))
}

fn plan(questions: Vec<Question>) -> Plan {
    Plan {
        questions,
        interval: Duration::from_secs(5),
        lookup_timeout: crate::dns_keys::LOOKUP_TIMEOUT,
        nameservers: Nameservers::default(),
    }
}

async fn next(source: &mut DnsSource) -> Update {
    // Time that the test waits for nothing else than the next look-up.
    source.due = None;
    tokio::time::timeout(PATIENCE, source.next())
        .await
        .expect("an update in time")
}

#[track_caller]
fn check_snapshot(update: &Update, expected: &[&str]) {
    match update {
        Update::Snapshot(peers) => {
            let names: Vec<_> = peers.iter().map(|peer| peer.name().as_str()).collect();
            assert_eq!(names, expected);
        }
        other => panic!("{other:?} is no snapshot"),
    }
}

/// A part of an answer: it adds, and removes nobody.
#[track_caller]
fn check_part(update: &Update, expected: &[&str]) {
    match update {
        Update::Changed { present, gone } => {
            let names: Vec<_> = present.iter().map(|peer| peer.name().as_str()).collect();
            assert_eq!(names, expected);
            assert_eq!(*gone, []);
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_failed(update: &Update, kind: FailureKind) {
    match update {
        Update::Failed(failure) => assert_eq!(failure.kind(), kind, "{failure}"),
        other => panic!("{other:?} is no failure"),
    }
}

#[tokio::test]
async fn both_families_are_asked_and_whole_answers_remove() {
    let server = Server::start().await;
    server.set(
        "web.test.",
        RecordType::A,
        Say::Answer(5, vec!["10.0.0.1", "10.0.0.2"]),
    );
    server.set(
        "web.test.",
        RecordType::AAAA,
        Say::Answer(5, vec!["fd00::1"]),
    );
    let mut source = source(&server, "web.test.");
    check_snapshot(
        &next(&mut source).await,
        &["node@10.0.0.1", "node@10.0.0.2", "node@fd00::1"],
    );
    server.set("web.test.", RecordType::A, Say::Answer(5, vec!["10.0.0.1"]));
    server.set("web.test.", RecordType::AAAA, Say::Nothing);
    check_snapshot(&next(&mut source).await, &["node@10.0.0.1"]);
}

#[tokio::test]
async fn no_answer_of_any_kind_removes_anybody() {
    let server = Server::start().await;
    let mut source = source(&server, "web.test.");
    for (say, kind) in [
        (Say::Code(ResponseCode::NXDomain), FailureKind::NotFound),
        (Say::Code(ResponseCode::ServFail), FailureKind::Unreachable),
        (Say::Code(ResponseCode::Refused), FailureKind::Unreachable),
        (Say::Nothing, FailureKind::Empty),
        (Say::CutOff(vec!["10.0.0.1"]), FailureKind::Malformed),
        (Say::Silence, FailureKind::TimedOut),
    ] {
        server.set("web.test.", RecordType::A, Say::Answer(5, vec!["10.0.0.1"]));
        server.set("web.test.", RecordType::AAAA, Say::Nothing);
        check_snapshot(&next(&mut source).await, &["node@10.0.0.1"]);
        server.set("web.test.", RecordType::A, say.clone());
        server.set("web.test.", RecordType::AAAA, say.clone());
        let update = next(&mut source).await;
        match update {
            Update::Failed(failure) => assert_eq!(failure.kind(), kind, "{say:?}: {failure}"),
            other => panic!("{say:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn addresses_that_no_host_has_are_no_peers() {
    let server = Server::start().await;
    let nobody = ["0.0.0.0", "224.0.0.1", "255.255.255.255"];
    let answer = [&nobody[..], &["10.0.0.1"]].concat();
    server.set("web.test.", RecordType::A, Say::Answer(5, answer));
    server.set("web.test.", RecordType::AAAA, Say::Answer(5, vec!["::"]));
    let mut source = source(&server, "web.test.");
    check_snapshot(&next(&mut source).await, &["node@10.0.0.1"]);
    server.set("web.test.", RecordType::A, Say::Answer(5, nobody.to_vec()));
    check_failed(&next(&mut source).await, FailureKind::Empty);
}

#[tokio::test]
async fn garbage_is_a_failure() {
    let server = Server::start().await;
    server.set("web.test.", RecordType::A, Say::Garbage);
    server.set("web.test.", RecordType::AAAA, Say::Garbage);
    let update = next(&mut source(&server, "web.test.")).await;
    assert!(matches!(update, Update::Failed(_)), "{update:?}");
}

#[tokio::test]
async fn one_family_that_fails_makes_the_answer_partial() {
    let server = Server::start().await;
    server.set("web.test.", RecordType::A, Say::Answer(5, vec!["10.0.0.1"]));
    server.set(
        "web.test.",
        RecordType::AAAA,
        Say::Code(ResponseCode::ServFail),
    );
    match next(&mut source(&server, "web.test.")).await {
        Update::Changed { present, gone } => {
            assert_eq!(present[0].name().as_str(), "node@10.0.0.1");
            assert_eq!(gone, []);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cut_off_answer_is_asked_for_over_tcp() {
    let server = Server::start().await;
    server.set(
        "web.test.",
        RecordType::A,
        Say::OverTcp(vec!["10.0.0.1", "10.0.0.2"]),
    );
    server.set("web.test.", RecordType::AAAA, Say::Nothing);
    let update = next(&mut source(&server, "web.test.")).await;
    check_snapshot(&update, &["node@10.0.0.1", "node@10.0.0.2"]);
}

/// libcluster crashes on an alias.
#[tokio::test]
async fn aliases_are_followed() {
    let server = Server::start().await;
    let answer = vec!["one.test.", "two.test.", "10.0.0.1"];
    server.set("web.test.", RecordType::A, Say::Answer(5, answer));
    server.set(
        "web.test.",
        RecordType::AAAA,
        Say::Answer(5, vec!["one.test."]),
    );
    server.set("one.test.", RecordType::AAAA, Say::Nothing);
    check_snapshot(
        &next(&mut source(&server, "web.test.")).await,
        &["node@10.0.0.1"],
    );
}

#[tokio::test]
async fn the_search_list_is_honoured_and_kept_to() {
    let server = Server::start().await;
    let (first, second) = ("web.ns.svc.cluster.local.", "web.svc.cluster.local.");
    server.set(second, RecordType::A, Say::Answer(5, vec!["10.0.0.1"]));
    server.set(second, RecordType::AAAA, Say::Nothing);
    // Whoever asks the outside world for AAAA of a name that is only known inside may be stuck.
    server.set("web.", RecordType::AAAA, Say::Silence);
    let mut source = source(&server, "web");
    check_snapshot(&next(&mut source).await, &["node@10.0.0.1"]);
    let asked = server.asked();
    assert!(
        asked
            .iter()
            .all(|(name, _)| name == first || name == second),
        "{asked:?}"
    );
    // While the name that answered fails, no other name is put in its place.
    server.set("web.", RecordType::A, Say::Answer(5, vec!["192.0.2.1"]));
    server.set(second, RecordType::A, Say::Code(ResponseCode::ServFail));
    check_failed(&next(&mut source).await, FailureKind::Unreachable);
    // Nor does one that answers in its place remove anybody, such as a wildcard, however long.
    server.set(second, RecordType::A, Say::Code(ResponseCode::NXDomain));
    server.set(second, RecordType::AAAA, Say::Code(ResponseCode::NXDomain));
    server.set("web.", RecordType::AAAA, Say::Nothing);
    for _ in 0..3 {
        check_part(&next(&mut source).await, &["node@192.0.2.1"]);
    }
    server.set("web.", RecordType::A, Say::Nothing);
    check_failed(&next(&mut source).await, FailureKind::Empty);
    server.set("web.", RecordType::A, Say::Answer(5, vec!["192.0.2.1"]));
    check_part(&next(&mut source).await, &["node@192.0.2.1"]);
    server.set(second, RecordType::A, Say::Answer(5, vec!["10.0.0.2"]));
    check_snapshot(&next(&mut source).await, &["node@10.0.0.2"]);
}

/// A name server that leaves AAAA without an answer would else hold up every round.
#[tokio::test]
async fn the_family_that_we_do_not_have_is_asked_for_where_there_is_none_of_ours() {
    let server = Server::start().await;
    let (ours, others) = (RecordType::A, RecordType::AAAA);
    server.set("web.test.", ours, Say::Answer(5, vec!["10.0.0.1"]));
    server.set("web.test.", others, Say::Silence);
    let questions = vec![Question::addresses("web.test.", "node")];
    let mut source = source_as("own@10.0.0.9", &server, questions);
    check_snapshot(&next(&mut source).await, &["node@10.0.0.1"]);
    assert!(server.asked().iter().all(|(_, kind)| *kind == ours));
    // An empty answer removes nobody, whatever the other family has.
    server.set("web.test.", ours, Say::Nothing);
    server.set("web.test.", others, Say::Answer(5, vec!["fd00::1"]));
    for _ in 0..2 {
        check_part(&next(&mut source).await, &["node@fd00::1"]);
    }
    server.set("web.test.", ours, Say::Answer(5, vec!["10.0.0.2"]));
    check_snapshot(&next(&mut source).await, &["node@10.0.0.2"]);
}

#[tokio::test]
async fn those_who_never_had_our_family_are_found_by_the_other_one() {
    let server = Server::start().await;
    server.set("web.test.", RecordType::A, Say::Answer(5, vec!["10.0.0.1"]));
    server.set("web.test.", RecordType::AAAA, Say::Nothing);
    let questions = vec![Question::addresses("web.test.", "node")];
    let mut source = source_as("own@fd00::9", &server, questions);
    check_snapshot(&next(&mut source).await, &["node@10.0.0.1"]);
}

/// `enmesh discover` waits for 15 s, and is to say what is wrong.
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_told_in_time() {
    let server = Server::start().await;
    for kind in [RecordType::A, RecordType::AAAA] {
        server.set("web.test.", kind, Say::Silence);
    }
    let address = server.address();
    let text = format!("strategy=dns_poll query=web.test. node_basename=node nameserver={address}");
    let topology: crate::TopologyConfig = text.parse().unwrap();
    let context = SourceContext::new("own@10.0.0.9".parse().unwrap());
    let since = Instant::now();
    let update = topology.source(&context).unwrap().next().await;
    check_failed(&update, FailureKind::TimedOut);
    let took = since.elapsed();
    assert!(took < Duration::from_secs(13), "{took:?}");
}

/// One after the other they would take the whole round, and the last ones would never be asked.
#[tokio::test]
async fn questions_that_nobody_answers_do_not_hold_up_each_other() {
    let server = Server::start().await;
    let names: Vec<String> = (0..31).map(|number| format!("s{number}.test.")).collect();
    for name in &names {
        for kind in [RecordType::A, RecordType::AAAA] {
            server.set(name, kind, Say::Silence);
        }
    }
    server.addresses("web.test.", &["10.0.0.1"]);
    let names = names.iter().map(String::as_str).chain(["web.test."]);
    let questions = names.map(|name| Question::addresses(name, "node"));
    let mut source = source_of(&server, questions.collect());
    let since = Instant::now();
    check_part(&next(&mut source).await, &["node@10.0.0.1"]);
    let took = since.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn the_next_look_up_waits_for_the_ttl() {
    let server = Server::start().await;
    server.set(
        "web.test.",
        RecordType::A,
        Say::Answer(2, vec!["one.test.", "10.0.0.1"]),
    );
    server.set("web.test.", RecordType::AAAA, Say::Nothing);
    let mut source = source(&server, "web.test.");
    next(&mut source).await;
    let since = Instant::now();
    tokio::time::timeout(PATIENCE, source.next()).await.unwrap();
    let waited = since.elapsed();
    assert!((1_900..4_000).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(server.asked().len(), 4);
}

/// After a while a pod that has just become ready would else be found 20 s late.
#[tokio::test]
async fn a_name_that_is_not_there_yet_is_asked_for_at_the_interval() {
    let server = Server::start().await;
    let mut source = source(&server, "web.test.");
    for _ in 0..10 {
        check_failed(&next(&mut source).await, FailureKind::NotFound);
    }
    let due = source.due.expect("a next time") - Instant::now();
    assert!(due <= source.interval, "{due:?}");
    server.set(
        "web.test.",
        RecordType::A,
        Say::Code(ResponseCode::ServFail),
    );
    check_failed(&next(&mut source).await, FailureKind::Unreachable);
    let due = source.due.expect("a next time") - Instant::now();
    assert!(due > source.interval, "{due:?}");
}

#[tokio::test]
async fn a_failure_behind_a_search_in_vain_says_so() {
    let server = Server::start().await;
    server.set("web.", RecordType::A, Say::Code(ResponseCode::Refused));
    match next(&mut source(&server, "web")).await {
        Update::Failed(failure) => {
            let text = failure.to_string();
            let begin =
                "web is not in the search list, and DNS answers Query Refused for A of web.";
            assert!(text.starts_with(begin), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_pause_is_the_ttl_within_bounds() {
    let seconds = Duration::from_secs;
    assert_eq!(pause(seconds(0), seconds(5)), seconds(1));
    assert_eq!(pause(seconds(3), seconds(5)), seconds(3));
    assert_eq!(pause(seconds(300), seconds(5)), seconds(5));
    let short = Duration::from_millis(200);
    assert_eq!(pause(seconds(0), short), short);
}

#[tokio::test]
async fn an_unusable_configuration_is_a_failure() {
    let context = SourceContext::new("own@host.test".parse().unwrap());
    let setup: Setup = Box::new(|| Err(std::io::Error::other("no resolv.conf").into()));
    let plan = plan(vec![Question::addresses("web", "node")]);
    let mut source = DnsSource::with_setup(&plan, &context, setup);
    check_failed(&next(&mut source).await, FailureKind::Other);
}
