//! The DNS strategies against CoreDNS, with zones that hold every case: what is found, and that no trouble removes anybody.

#[path = "coredns/questions.rs"]
mod questions;
#[path = "coredns/zones.rs"]
mod zones;

use std::time::{Duration, Instant};

use enmesh_interop::{Beam, CoreDns, Enmesh, NetNs, Otp};
use questions::{Said, Topology};
use zones::{ADDRESSES, ADDRESSES_LESS, ZONES, corefile, files};

const SERVER: &str = "nameserver=127.0.0.1";

/// Does `test` in the network of a CoreDNS with all zones.
fn with_coredns(test: impl FnOnce(&NetNs, &mut CoreDns) + Send) {
    let ns = NetNs::new().unwrap();
    let mut server = CoreDns::start(&ns, &corefile(ZONES), &files(ADDRESSES)).unwrap();
    ns.enter(|| test(&ns, &mut server)).unwrap();
}

/// What a topology with these keys says first.
fn first(keys: &str) -> Said {
    Topology::of(&format!("{keys} {SERVER}")).next()
}

#[track_caller]
fn check_whole(keys: &str, expected: &[&str]) {
    assert_eq!(first(keys), Said::all(expected), "{keys}");
}

#[track_caller]
fn check_failed(keys: &str, kind: &str, words: &str) {
    match first(keys) {
        Said::Failed { kind: found, text } => {
            assert_eq!(found, kind, "{keys}: {text}");
            assert!(text.contains(words), "{keys}: {text}");
        }
        other => panic!("{keys}: {other:?}"),
    }
}

#[track_caller]
fn check_part(keys: &str, expected: &[&str]) {
    assert_eq!(first(keys), Said::part(expected, &[]), "{keys}");
}

#[test]
fn addresses_aliases_and_services_are_found() {
    with_coredns(|_, _| {
        let both = ["web@10.1.0.1", "web@10.1.0.2", "web@fd00::1"];
        check_whole(
            "strategy=dns_poll query=web.zone.test. node_basename=web",
            &both,
        );
        let keys = "strategy=kubernetes_dns service=web.zone.test. application_name=web";
        check_whole(keys, &both);
        let keys = "strategy=dns_poll query=alias.zone.test. node_basename=web";
        check_whole(keys, &both);
        check_whole(
            "strategy=dns domain=web.zone.test. node_basename=web",
            &both[..2],
        );
        check_whole(
            "strategy=dns domain=web.zone.test. node_basename=web ipv6=true",
            &both[2..],
        );
        // gen_cluster and dns_cluster take the first part of our own name.
        check_whole("strategy=dns domain=v4.zone.test.", &["me@10.1.0.3"]);
        check_whole(
            "strategy=dns_cluster query=\"v4.zone.test. other/web.zone.test.\" resource_types=a",
            &["me@10.1.0.3", "other@10.1.0.1", "other@10.1.0.2"],
        );
        let named = ["web@a.hosts.test:9001", "web@b.hosts.test:9002"];
        for domain in ["_dist._tcp.zone.test.", "alias-srv.zone.test."] {
            check_whole(
                &format!("strategy=dns domain={domain} record_type=srv node_basename=web"),
                &named,
            );
        }
        check_whole(
            "strategy=dns domain=_dist._tcp.zone.test. record_type=srv port=epmd node_basename=web",
            &["web@a.hosts.test", "web@b.hosts.test"],
        );
        check_whole(
            "strategy=dns domain=_dist._tcp.zone.test. record_type=srv host_type=ip",
            &["me@10.1.0.1:9001", "me@10.1.0.2:9002"],
        );
        check_whole(
            "strategy=dns_cluster query=_dist._tcp.zone.test. resource_types=srv",
            &["me@10.1.0.1", "me@10.1.0.2"],
        );
        check_whole(
            "strategy=kubernetes_dns_srv service=app namespace=ns application_name=web",
            &["web@app-0.app.ns.svc.cluster.local"],
        );
        check_whole(
            "strategy=dns domain=v4.zone.test. host_type=hostname",
            &["me@c.hosts.test"],
        );
    });
}

#[test]
fn an_answer_that_does_not_fit_is_asked_for_over_tcp() {
    with_coredns(|ns, _| {
        let keys = "strategy=dns domain=many.zone.test.";
        let many: Vec<String> = (0..200).map(|n| format!("me@10.2.0.{n}")).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        many.sort_unstable();
        check_whole(keys, &many);
        // Without TCP the answer stays cut off, and a part of unknown size is no answer.
        let no_tcp = "add table inet no; \
                      add chain inet no input { type filter hook input priority 0; }; \
                      add rule inet no input tcp dport 53 reject";
        ns.run("nft", [no_tcp]).unwrap();
        match first(keys) {
            Said::Failed { text, .. } => println!("without TCP: {text}"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn what_is_no_answer_is_a_failure_that_says_which() {
    with_coredns(|_, _| {
        let poll = |name: &str| format!("strategy=dns_poll query={name} node_basename=web");
        check_failed(
            &poll("absent.zone.test."),
            "not_found",
            "no name absent.zone.test.",
        );
        check_failed(&poll("empty.zone.test."), "empty", "empty.zone.test.");
        check_failed(&poll("web.servfail.test."), "unreachable", "Server Failure");
        check_failed(&poll("web.refused.test."), "unreachable", "Refused");
        check_failed(&poll("ring.zone.test."), "empty", "ring.zone.test.");
        check_failed(
            &poll("dangling.zone.test."),
            "not_found",
            "dangling.zone.test.",
        );
        let srv = |name: &str| format!("strategy=dns domain={name} record_type=srv");
        check_failed(&srv("absent.zone.test."), "not_found", "a port");
        check_failed(&srv("web.zone.test."), "empty", "without any SRV record");
        check_failed(&srv("gone.zone.test."), "empty", "without any SRV record");
        check_failed(&srv("web.servfail.test."), "unreachable", "Server Failure");
        // Nobody answers at all.
        let silent = format!("{} lookup_timeout=500ms", srv("web.silent.test."));
        check_failed(&silent, "timed_out", "web.silent.test.");
    });
}

#[test]
fn half_an_answer_adds_and_says_nothing_of_the_rest() {
    with_coredns(|_, _| {
        let poll = "strategy=dns_poll query=web.half.test. node_basename=web";
        check_part(poll, &["web@10.1.0.1"]);
        // A target that cannot be resolved, and an address without a reverse name.
        let srv = "strategy=dns domain=broken-srv.zone.test. record_type=srv host_type=ip";
        check_part(srv, &["me@10.1.0.1:9001"]);
        let reverse = "strategy=dns domain=web.zone.test. host_type=hostname";
        check_part(reverse, &["me@a.hosts.test"]);
        let queries = "strategy=dns_cluster query=\"v4.zone.test. web.servfail.test.\"";
        check_part(queries, &["me@10.1.0.3"]);
    });
}

/// Two of three packets are lost, or come late: it is asked again.
#[test]
fn lost_and_late_packets_are_borne() {
    with_coredns(|_, _| {
        let erratic = ["web@192.0.2.53", "web@2001:db8::53"];
        for zone in ["lossy", "late"] {
            let keys = format!("strategy=dns_poll query=web.{zone}.test. node_basename=web");
            let mut topology = Topology::of(&format!("{keys} {SERVER}"));
            let found = std::iter::repeat_with(|| topology.next())
                .take(5)
                .find(|said| matches!(said, Said::All(_)));
            let found = found.unwrap_or_else(|| panic!("{zone}: nothing whole in five rounds"));
            let Said::All(peers) = found else {
                unreachable!("it was picked")
            };
            assert!(
                peers.iter().all(|peer| erratic.contains(&peer.as_str())),
                "{peers:?}"
            );
        }
    });
}

#[test]
fn the_next_look_up_comes_after_the_ttl_between_one_second_and_the_interval() {
    with_coredns(|_, _| {
        for (name, interval, wanted) in [
            ("ttl0", 5_000, 1_000..1_800),
            ("ttl2", 5_000, 2_000..2_800),
            ("ttl60", 3_000, 3_000..3_800),
            ("ttl60", 300, 300..1_000),
        ] {
            let keys =
                format!("strategy=dns domain={name}.zone.test. refresh_interval_ms={interval}");
            let mut topology = Topology::of(&format!("{keys} {SERVER}"));
            assert_eq!(topology.next(), Said::all(&["me@10.1.0.1"]));
            let begin = Instant::now();
            topology.next();
            let waited = begin.elapsed().as_millis();
            assert!(
                wanted.contains(&waited),
                "{name} every {interval} ms: {waited} ms"
            );
        }
    });
}

#[test]
fn no_trouble_of_the_server_removes_anybody_and_a_whole_answer_does() {
    with_coredns(|ns, server| {
        let keys = "strategy=dns_poll query=web.zone.test. node_basename=web";
        let mut topology = Topology::of(&format!("{keys} polling_interval=1s {SERVER}"));
        let whole = Said::all(&["web@10.1.0.1", "web@10.1.0.2", "web@fd00::1"]);
        assert_eq!(topology.next(), whole);
        let zones = |rule: &str| corefile(&format!("zone.test:53 {{\n{rule}\n}}\n"));
        let failed = |said: &Said| matches!(said, Said::Failed { .. });
        for trouble in [
            "template ANY ANY {\n rcode SERVFAIL\n }",
            "template ANY ANY {\n rcode NXDOMAIN\n }",
            "template ANY ANY {\n rcode REFUSED\n }",
            "template ANY ANY {\n rcode NOERROR\n }",
        ] {
            server.restart(ns, &zones(trouble), &[]).unwrap();
            let said = topology.next();
            assert!(failed(&said), "{trouble}: {said:?}");
        }
        server.kill9().unwrap();
        let said = topology.next();
        assert!(failed(&said), "no server: {said:?}");
        server
            .restart(ns, &corefile(ZONES), &files(ADDRESSES))
            .unwrap();
        assert_eq!(topology.next(), whole);
        server
            .restart(ns, &corefile(ZONES), &files(ADDRESSES_LESS))
            .unwrap();
        assert_eq!(topology.next(), Said::all(&["web@10.1.0.1"]));
    });
}

/// Nodes without epmd, each on a port of its own, which only their SRV records tell.
#[test]
fn a_member_joins_nodes_without_epmd_by_the_ports_of_their_services() {
    const SOON: Duration = Duration::from_secs(30);
    let ns = NetNs::new().unwrap();
    let zones = [("beams", zones::BEAMS)];
    let corefile = corefile("beams.test:53 {\n    file beams {\n        reload 100ms\n    }\n}\n");
    let mut server = CoreDns::start(&ns, &corefile, &zones).unwrap();
    let mut beams = Vec::new();
    for (otp, name, port) in [
        (Otp::R25, "app@127.0.0.2", "9001"),
        (Otp::R27, "app@127.0.0.3", "9002"),
    ] {
        let extra = ["-erl_epmd_port", port];
        beams.push(Beam::start(otp, &ns, name, "secret", &extra).unwrap());
    }
    let cookie = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(cookie.path(), "secret").unwrap();
    let topology = format!(
        "strategy=dns domain=_dist._tcp.beams.test. record_type=srv host_type=ip \
         node_basename=app {SERVER}"
    );
    let cookie = cookie.path().display().to_string();
    let member = Enmesh::start(
        &ns,
        [
            "run",
            "--hidden",
            "--log-format",
            "json",
            "--epmd",
            "none",
            "--dist-port",
            "9000",
            "--name",
            "rust@127.0.0.1",
            "--cookie-file",
            &cookie,
            "--topology",
            &topology,
        ],
    )
    .unwrap();
    member
        .wait_cluster(SOON, &["app@127.0.0.2", "app@127.0.0.3"])
        .unwrap();
    // Added to the zone and joined: one TTL, and no more than a second for the rest.
    let extra = ["-erl_epmd_port", "9003"];
    beams.push(Beam::start(Otp::R29, &ns, "app@127.0.0.4", "secret", &extra).unwrap());
    let mark = member.mark();
    let begin = Instant::now();
    server.write("beams", &zones::more_beams()).unwrap();
    member.wait_connected(mark, SOON, "app@127.0.0.4").unwrap();
    let took = begin.elapsed();
    println!(
        "joined {} ms after the zone has changed, the TTL is 2 s",
        took.as_millis()
    );
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    // A frozen name server changes nothing, and one that is gone neither.
    server.stop().unwrap();
    let mark = member.mark();
    let failed =
        |object: &serde_json::Value| object["source"] == "dns" && object["level"] == "WARN";
    member.wait_from(mark, SOON, failed).unwrap();
    server.kill9().unwrap();
    let all = ["app@127.0.0.2", "app@127.0.0.3", "app@127.0.0.4"];
    for (beam, name) in beams.iter_mut().zip(all) {
        assert_eq!(beam.connected().unwrap(), ["rust@127.0.0.1"], "{name}");
    }
    assert_eq!(member.cluster(), all);
}
