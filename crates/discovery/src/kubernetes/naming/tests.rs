use super::super::lookup::LookupMode;
use super::super::seen::Target;
use super::*;
use proptest::prelude::*;

const OWN: &str = "own@10.0.0.9";

/// libcluster's tests name nodes by these.
fn config(mode: NameMode) -> KubernetesConfig {
    KubernetesConfig {
        node_basename: Some("test_basename".to_owned()),
        mode,
        service_name: Some("my_service".to_owned()),
        ..KubernetesConfig::default()
    }
}

fn templated(template: &str, port: &str) -> KubernetesConfig {
    KubernetesConfig {
        name_template: Some(template.parse().unwrap()),
        port: port.parse().unwrap(),
        service_name: None,
        lookup_mode: Some(LookupMode::Pods),
        ..config(NameMode::Template)
    }
}

fn naming(config: &KubernetesConfig, own: &str) -> Naming {
    Naming::new(config, &own.parse().unwrap(), "my_cluster.local")
}

fn port(name: &str, port: u16, container: &str) -> NamedPort {
    NamedPort {
        name: name.to_owned(),
        port,
        container: Some(container.to_owned()),
    }
}

/// A pod as the API tells it.
fn pod() -> Seen {
    let pairs = |pairs: &[(&str, &str)]| {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    };
    Seen {
        pod: Some("web-6d4cf56db6-2xkqp".to_owned()),
        labels: pairs(&[("app", "api"), ("tier", "front")]),
        annotations: pairs(&[
            ("example.org/dist-port", "9105"),
            ("example.org/node", "queue@10.9.9.9"),
            ("empty", ""),
        ]),
        containers: vec!["app".to_owned(), "worker".to_owned()],
        ports: [
            port("http", 4000, "app"),
            port("dist-app", 9100, "app"),
            port("dist-worker", 9101, "worker"),
        ]
        .into(),
        target: Target::Pod,
        ..at(&["10.48.33.136"])
    }
}

/// An endpoint with a host name, as libcluster's cassettes have it.
fn endpoint() -> Seen {
    Seen {
        hostname: Some("my-hostname-0".to_owned()),
        ..at(&["10.48.33.136"])
    }
}

fn at(addresses: &[&str]) -> Seen {
    let addresses = addresses.iter().map(|text| text.parse().unwrap());
    Seen::at(addresses.collect(), "airatel-service-localization")
}

fn peers(config: &KubernetesConfig, own: &str, seen: &Seen) -> Vec<(String, Option<u16>)> {
    let peers = naming(config, own).peers(seen);
    let shown = |peer: &PeerAddr| (peer.name().to_string(), peer.port());
    peers.iter().map(shown).collect()
}

fn names(config: &KubernetesConfig, own: &str, seen: &Seen) -> Vec<String> {
    let peers = peers(config, own, seen);
    peers.into_iter().map(|(name, _)| name).collect()
}

#[track_caller]
fn check(config: &KubernetesConfig, own: &str, seen: &Seen, name: &str) {
    assert_eq!(names(config, own, seen), [name]);
}

/// libcluster, kubernetes_test.exs: "works with pods".
#[test]
fn works_with_pods() {
    check(
        &config(NameMode::Ip),
        OWN,
        &pod(),
        "test_basename@10.48.33.136",
    );
    let v6 = at(&["fd00::1"]);
    check(&config(NameMode::Ip), OWN, &v6, "test_basename@fd00::1");
}

/// libcluster, kubernetes_test.exs: "works with dns and cluster_name".
#[test]
fn works_with_dns_and_cluster_name() {
    let tail = "airatel-service-localization.pod.my_cluster.local";
    let dns = config(NameMode::Dns);
    check(
        &dns,
        OWN,
        &endpoint(),
        &format!("test_basename@10-48-33-136.{tail}"),
    );
    check(
        &dns,
        OWN,
        &at(&["fd00::1"]),
        &format!("test_basename@fd00--1.{tail}"),
    );
}

/// libcluster, kubernetes_test.exs: "works with pods and dns".
#[test]
fn works_with_pods_and_dns() {
    let naming = Naming::new(
        &config(NameMode::Dns),
        &OWN.parse().unwrap(),
        "cluster.local",
    );
    let name = "test_basename@10-48-33-136.airatel-service-localization.pod.cluster.local";
    assert_eq!(naming.peers(&pod())[0].name().as_str(), name);
}

/// libcluster, kubernetes_test.exs: "works with hostname and cluster_name".
#[test]
fn works_with_hostname_and_cluster_name() {
    let name = "test_basename@my-hostname-0.my_service.airatel-service-localization.svc\
                .my_cluster.local";
    check(&config(NameMode::Hostname), OWN, &endpoint(), name);
}

/// libcluster, kubernetes_test.exs: "works with hostname and cluster_name in ip_lookup_mode: :pods".
#[test]
fn works_with_hostname_and_cluster_name_in_ip_lookup_mode_pods() {
    let seen = Seen {
        hostname: Some("my-hostname-0".to_owned()),
        ..pod()
    };
    let name = "test_basename@my-hostname-0.my_service.airatel-service-localization.svc\
                .my_cluster.local";
    check(&config(NameMode::Hostname), OWN, &seen, name);
}

/// The pod's `hostname` says its own name then, and DNS knows it under the subdomain.
#[test]
fn a_pod_without_a_hostname_has_its_own_name_in_a_subdomain() {
    let hostname = config(NameMode::Hostname);
    assert_eq!(names(&hostname, OWN, &pod()), [""; 0]);
    let seen = Seen {
        subdomain: Some("my_service".to_owned()),
        ..pod()
    };
    let name = "test_basename@web-6d4cf56db6-2xkqp.my_service.airatel-service-localization.svc\
                .my_cluster.local";
    check(&hostname, OWN, &seen, name);
}

/// CoreDNS, plugin kubernetes: an endpoint's name is its host name, else its address with dashes.
#[test]
fn srv_names_are_the_targets_of_srv_records() {
    let srv = config(NameMode::Srv);
    let tail = "my_service.airatel-service-localization.svc.my_cluster.local";
    let dashed = format!("test_basename@10-48-33-136.{tail}");
    check(&srv, OWN, &pod(), &dashed);
    let six = format!("test_basename@fd00--1.{tail}");
    check(&srv, OWN, &at(&["fd00::1"]), &six);
    // A host name without a subdomain is the pod's own affair.
    check(&srv, OWN, &endpoint(), &dashed);
    let of_a_slice = Seen {
        service: Some("web".into()),
        ..endpoint()
    };
    let in_a_subdomain = Seen {
        subdomain: Some("web".to_owned()),
        ..endpoint()
    };
    for seen in [of_a_slice, in_a_subdomain] {
        check(
            &srv,
            OWN,
            &seen,
            &format!("test_basename@my-hostname-0.{tail}"),
        );
    }
}

#[test]
fn a_pod_s_name_is_short_or_long_as_ours_is() {
    let pods = config(NameMode::Pod);
    let short = "test_basename@web-6d4cf56db6-2xkqp";
    check(&pods, "own@web-6d4cf56db6-abcde", &pod(), short);
    let long = format!("{short}.my_service.airatel-service-localization.svc.my_cluster.local");
    check(&pods, "own@web-6d4cf56db6-abcde.x.y.svc.z", &pod(), &long);
    // A pod's name may have dots, and then it is no short name.
    let dotted = Seen {
        pod: Some("web.0".to_owned()),
        ..pod()
    };
    assert_eq!(names(&pods, "own@web-1", &dotted), [""; 0]);
    assert_eq!(names(&pods, "own@web-1", &endpoint()), [""; 0]);
}

#[test]
fn the_service_is_configured_or_told_or_that_of_the_subdomain_or_ours() {
    let mut srv = config(NameMode::Srv);
    let service = |config: &KubernetesConfig, own: &str, seen: &Seen| {
        let names = names(config, own, seen);
        names
            .first()
            .map(|name| name.split('.').nth(1).unwrap().to_owned())
    };
    let own = "own@10-0-0-9.ours.ns.svc.my_cluster.local";
    let mut seen = Seen {
        service: Some("of-slice".into()),
        subdomain: Some("of-pod".to_owned()),
        ..pod()
    };
    assert_eq!(service(&srv, own, &seen).as_deref(), Some("my_service"));
    srv.service_name = None;
    assert_eq!(service(&srv, own, &seen).as_deref(), Some("of-slice"));
    seen.service = None;
    assert_eq!(service(&srv, own, &seen).as_deref(), Some("of-pod"));
    seen.subdomain = None;
    assert_eq!(service(&srv, own, &seen).as_deref(), Some("ours"));
    assert_eq!(service(&srv, OWN, &seen), None);
}

#[test]
fn auto_names_are_like_our_own() {
    for (own, form) in [
        ("a@10.0.0.1", HostForm::Ip),
        ("a@fd00::1", HostForm::Ip),
        ("a@web-0", HostForm::ShortPod),
        ("a@10-0-0-1.ns.pod.cluster.local", HostForm::Dns),
        ("a@10-0-0-1.web.ns.svc.cluster.local", HostForm::Srv),
        ("a@fd00--1.web.ns.svc.cluster.local", HostForm::Srv),
        ("a@web-0.web.ns.svc.cluster.local", HostForm::Named),
        ("a@box.example.org", HostForm::Ip),
    ] {
        assert_eq!(HostForm::like(&own.parse().unwrap()), form, "{own}");
    }
    let auto = config(NameMode::Auto);
    let own = "a@web-0.web.ns.svc.my_cluster.local";
    let tail = "my_service.airatel-service-localization.svc.my_cluster.local";
    check(
        &auto,
        own,
        &endpoint(),
        &format!("test_basename@my-hostname-0.{tail}"),
    );
    check(
        &auto,
        own,
        &pod(),
        &format!("test_basename@web-6d4cf56db6-2xkqp.{tail}"),
    );
}

#[test]
fn a_template_takes_what_the_pod_has() {
    for (template, name) in [
        ("{label:app}@{ip}", "api@10.48.33.136"),
        (
            "{basename}-{label:tier}@{ip}",
            "test_basename-front@10.48.33.136",
        ),
        ("n{port:http}@{dashed_ip}.x", "n4000@10-48-33-136.x"),
        ("{annotation:example.org/node}", "queue@10.9.9.9"),
        (
            "w@{pod}.{namespace}.{domain}",
            "w@web-6d4cf56db6-2xkqp.airatel-service-localization.my_cluster.local",
        ),
    ] {
        check(&templated(template, "epmd"), OWN, &pod(), name);
    }
    for template in [
        "{label:x}@{ip}",
        "{annotation:empty}@{ip}",
        "a@{subdomain}.x",
        "{port}@{ip}",
    ] {
        assert_eq!(
            names(&templated(template, "epmd"), OWN, &pod()),
            [""; 0],
            "{template}"
        );
    }
    // A short name among long ones would never be connected.
    assert_eq!(
        names(&templated("a@{label:app}", "epmd"), OWN, &pod()),
        [""; 0]
    );
}

#[test]
fn a_template_makes_a_node_of_each_container_or_port() {
    let by_container = templated("{container}@{ip}", "epmd");
    let both = ["app@10.48.33.136", "worker@10.48.33.136"];
    assert_eq!(names(&by_container, OWN, &pod()), both);
    let by_port = templated("{port_name}@{ip}", "dist-*");
    let found = peers(&by_port, OWN, &pod());
    assert_eq!(
        found,
        [
            (both[0].to_owned(), Some(9100)),
            (both[1].to_owned(), Some(9101))
        ]
    );
    let its_container = templated("{container}@{ip}", "dist-worker");
    assert_eq!(
        peers(&its_container, OWN, &pod()),
        [(both[1].to_owned(), Some(9101))]
    );
    // All of one name are one node, at the first of its places.
    let one_name = templated("a@{ip}", "dist-*");
    assert_eq!(
        peers(&one_name, OWN, &pod()),
        [("a@10.48.33.136".to_owned(), Some(9100))]
    );
}

#[test]
fn a_port_is_fixed_or_named_or_annotated_or_epmd_s() {
    let port = |port: &str| {
        let config = KubernetesConfig {
            port: port.parse().unwrap(),
            ..config(NameMode::Ip)
        };
        let found = peers(&config, OWN, &pod());
        found.first().map(|(_, port)| *port)
    };
    assert_eq!(port("epmd"), Some(None));
    assert_eq!(port("9100"), Some(Some(9100)));
    assert_eq!(port("dist-worker"), Some(Some(9101)));
    assert_eq!(port("dist-*"), Some(Some(9100)));
    assert_eq!(port("annotation:example.org/dist-port"), Some(Some(9105)));
    assert_eq!(port("annotation:example.org/node"), None);
    assert_eq!(port("annotation:other"), None);
    assert_eq!(port("other"), None);
}

#[test]
fn an_epmd_s_names_are_nodes_but_for_remote_shells() {
    let epmd = KubernetesConfig {
        service_name: None,
        ..config(NameMode::Epmd)
    };
    let listed = |own: &str, names: &[(&str, u16)]| {
        let names: Vec<_> = names
            .iter()
            .map(|(name, port)| ((*name).to_owned(), *port))
            .collect();
        let peers = naming(&epmd, own).listed(&pod(), &names);
        let shown = |peer: &PeerAddr| (peer.name().to_string(), peer.port().unwrap());
        peers.iter().map(shown).collect::<Vec<_>>()
    };
    let names = [
        ("api", 40_000),
        ("rem-1f3c-api", 40_001),
        ("queue", 40_002),
        ("no name", 1),
        ("dead", 0),
    ];
    assert_eq!(
        listed(OWN, &names),
        [
            ("api@10.48.33.136".to_owned(), 40_000),
            ("queue@10.48.33.136".to_owned(), 40_002)
        ]
    );
    assert_eq!(
        listed("own@web-1", &names[..1]),
        [("api@web-6d4cf56db6-2xkqp".to_owned(), 40_000)]
    );
    let many: Vec<_> = (0..1000).map(|number| (format!("n{number}"), 1)).collect();
    assert_eq!(
        naming(&epmd, OWN).listed(&pod(), &many).len(),
        MAX_NODES_PER_POD
    );
}

#[test]
fn a_dual_stack_pod_is_one_peer_of_our_own_family() {
    let both = at(&["fd00::1", "10.48.33.136"]);
    let ip = config(NameMode::Ip);
    check(&ip, OWN, &both, "test_basename@10.48.33.136");
    check(&ip, "own@fd00::9", &both, "test_basename@fd00::1");
    check(
        &ip,
        "own@10-0-0-9.ns.pod.x",
        &both,
        "test_basename@10.48.33.136",
    );
    check(
        &ip,
        "own@web-0.web.ns.svc.x",
        &both,
        "test_basename@fd00::1",
    );
    let of_a_slice = Seen {
        service: Some("web".into()),
        ..both
    };
    check(
        &ip,
        "own@web-0.web.ns.svc.x",
        &of_a_slice,
        "test_basename@10.48.33.136",
    );
    assert_eq!(names(&ip, OWN, &at(&[])), [""; 0]);
}

#[test]
fn the_basename_is_our_own_unless_given() {
    let own = KubernetesConfig::default();
    check(&own, "web@10.0.0.9", &pod(), "web@10.48.33.136");
}

#[test]
fn a_name_that_is_no_node_name_is_left_out() {
    let long = Seen {
        hostname: Some("h".repeat(255)),
        ..endpoint()
    };
    assert_eq!(names(&config(NameMode::Hostname), OWN, &long), [""; 0]);
    let two_ats = Seen {
        labels: [("app".to_owned(), "a@b".to_owned())].into(),
        ..pod()
    };
    assert_eq!(
        names(&templated("{label:app}@{ip}", "epmd"), OWN, &two_ats),
        [""; 0]
    );
}

fn modes() -> impl Strategy<Value = NameMode> {
    use NameMode::{Ask, Auto, Dns, Epmd, Hostname, Ip, Pod, Srv, Template};
    let all = vec![Ask, Auto, Dns, Epmd, Hostname, Ip, Pod, Srv, Template];
    proptest::sample::select(all)
}

proptest! {
    #[test]
    fn whatever_a_pod_is_its_names_are_few_and_sound(
        mode in modes(),
        own in prop_oneof![
            Just("own@10.0.0.9"), Just("own@web-0"), Just("own@a.b.c.svc.d"), Just("own@::1"),
        ],
        texts in proptest::collection::vec(".{0,300}", 6),
        port in prop_oneof![
            Just("epmd"), Just("1"), Just("a"), Just("*"), Just("annotation:a"),
        ],
        addresses in proptest::collection::vec(any::<std::net::IpAddr>(), 0..4),
        count in 0..200usize,
    ) {
        let config = KubernetesConfig {
            mode,
            node_basename: None,
            ..templated("{label:a}{container}@{ip}{annotation:a}{port_name}", port)
        };
        let seen = Seen {
            pod: Some(texts[0].clone()),
            hostname: Some(texts[1].clone()),
            subdomain: Some(texts[2].clone()),
            labels: [("a".to_owned(), texts[3].clone())].into(),
            annotations: [("a".to_owned(), texts[4].clone())].into(),
            containers: vec![texts[5].clone(); count],
            ports: (0..count).map(|number| NamedPort {
                name: texts[5].clone(),
                port: u16::try_from(number).unwrap(),
                container: None,
            }).collect::<Vec<_>>().into(),
            ..Seen::at(addresses, "ns")
        };
        let naming = naming(&config, own);
        let names: Vec<_> = texts.iter().map(|text| (text.clone(), 1)).collect();
        for peer in naming.peers(&seen).into_iter().chain(naming.listed(&seen, &names)) {
            prop_assert!(peer.name().as_str().chars().count() <= 255);
            prop_assert!(seen.addresses.contains(&peer.address().unwrap()));
        }
        prop_assert!(naming.peers(&seen).len() <= MAX_NODES_PER_POD);
        if let Ok(places) = naming.places(&seen) {
            prop_assert!(places.len() <= MAX_NODES_PER_POD);
        }
    }
}
