use serde_json::{Value, json};

use super::super::config::KubernetesConfig;
use super::super::name_mode::NameMode;
use super::super::naming::Naming;
use super::*;

fn naming(mode: NameMode) -> Naming {
    let config = KubernetesConfig {
        node_basename: Some("test_basename".to_owned()),
        mode,
        service_name: Some("my_service".to_owned()),
        ..KubernetesConfig::default()
    };
    Naming::new(
        &config,
        &"own@10.0.0.9".parse().unwrap(),
        "my_cluster.local",
    )
}

fn names<H: Holder + serde::de::DeserializeOwned>(object: Value, mode: NameMode) -> Vec<String> {
    let object: H = serde_json::from_value(object).unwrap();
    let seen = object.seen();
    let living = seen.iter().filter(|seen| !seen.terminating);
    let peers = living.flat_map(|seen| naming(mode).peers(seen));
    peers.map(|peer| peer.name().to_string()).collect()
}

/// A pod as a v1.36 API server tells it, without what nobody reads.
fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-6d4cf56db6-2xkqp",
            "namespace": "airatel-service-localization",
            "resourceVersion": "812",
            "labels": {"app": "web"}
        },
        "spec": {"containers": [{"name": "beam", "image": "beam"}], "nodeName": "node1"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False"}],
            "podIP": "10.48.33.136",
            "podIPs": [{"ip": "10.48.33.136"}]
        }
    })
}

fn endpoints() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "airatel-service-localization"},
        "subsets": [{
            "addresses": [{
                "ip": "10.48.33.136",
                "hostname": "my-hostname-0",
                "nodeName": "node1",
                "targetRef": {
                    "kind": "Pod",
                    "namespace": "airatel-service-localization",
                    "name": "web-0",
                    "uid": "7c5f9a5e-0000-0000-0000-000000000000"
                }
            }],
            "ports": [{"port": 4369, "protocol": "TCP"}]
        }]
    })
}

/// libcluster, kubernetes_test.exs: "works with pods".
#[test]
fn a_pod_is_a_peer_whether_it_is_ready_or_not() {
    assert_eq!(
        names::<Pod>(pod(), NameMode::Ip),
        ["test_basename@10.48.33.136"]
    );
}

#[test]
fn a_pod_that_has_ended_or_is_ending_or_has_no_address_is_none() {
    for (pointer, value) in [
        ("/status/phase", json!("Succeeded")),
        ("/status/phase", json!("Failed")),
        ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        ("/status", json!({"phase": "Pending"})),
        ("/status", json!(null)),
    ] {
        let mut pod = pod();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = if parent.is_empty() {
            &mut pod
        } else {
            pod.pointer_mut(parent).unwrap()
        };
        parent[key] = value;
        assert_eq!(names::<Pod>(pod, NameMode::Ip), [""; 0], "{pointer}");
    }
}

/// libcluster, kubernetes_test.exs: "works with pods and dns".
#[test]
fn a_pod_has_a_dns_name() {
    let expected = "test_basename@10-48-33-136.airatel-service-localization.pod.my_cluster.local";
    assert_eq!(names::<Pod>(pod(), NameMode::Dns), [expected]);
}

/// libcluster, kubernetes_test.exs: "works with hostname and cluster_name in ip_lookup_mode:
/// :pods".
#[test]
fn a_pod_has_the_host_name_of_its_spec_else_its_own_name_in_a_subdomain() {
    let tail = "my_service.airatel-service-localization.svc.my_cluster.local";
    let mut with = pod();
    with["spec"]["hostname"] = json!("my-hostname-0");
    let expected = format!("test_basename@my-hostname-0.{tail}");
    assert_eq!(names::<Pod>(with, NameMode::Hostname), [expected]);
    let expected = format!("test_basename@web-6d4cf56db6-2xkqp.{tail}");
    let mut within = pod();
    within["spec"]["subdomain"] = json!("my_service");
    assert_eq!(names::<Pod>(within, NameMode::Hostname), [expected]);
    assert_eq!(names::<Pod>(pod(), NameMode::Hostname), [""; 0]);
}

#[test]
fn a_dual_stack_pod_is_one_peer() {
    let mut pod = pod();
    pod["status"]["podIP"] = json!("fd00::5");
    pod["status"]["podIPs"] = json!([{"ip": "fd00::5"}, {"ip": "10.48.33.136"}]);
    assert_eq!(
        names::<Pod>(pod, NameMode::Ip),
        ["test_basename@10.48.33.136"]
    );
}

/// libcluster, kubernetes_test.exs: "works with no cached resources", "works with hostname and
/// cluster_name".
#[test]
fn endpoints_are_peers() {
    assert_eq!(
        names::<Endpoints>(endpoints(), NameMode::Ip),
        ["test_basename@10.48.33.136"]
    );
    let expected = "test_basename@my-hostname-0.my_service.airatel-service-localization.svc\
                    .my_cluster.local";
    assert_eq!(
        names::<Endpoints>(endpoints(), NameMode::Hostname),
        [expected]
    );
}

/// libcluster, kubernetes_test.exs: "connect nodes from different namespaces".
#[test]
fn an_endpoint_lives_in_its_target_s_namespace() {
    let mut endpoints = endpoints();
    let target = endpoints
        .pointer_mut("/subsets/0/addresses/0/targetRef/namespace")
        .unwrap();
    *target = json!("airatel-service-test");
    let expected = "test_basename@10-48-33-136.airatel-service-test.pod.my_cluster.local";
    assert_eq!(names::<Endpoints>(endpoints, NameMode::Dns), [expected]);
}

#[test]
fn endpoints_that_are_not_ready_count() {
    let mut endpoints = endpoints();
    endpoints["subsets"][0]["notReadyAddresses"] = json!([{"ip": "10.48.33.137"}]);
    let expected = ["test_basename@10.48.33.136", "test_basename@10.48.33.137"];
    assert_eq!(names::<Endpoints>(endpoints, NameMode::Ip), expected);
}

/// libcluster crashes on these: Endpoints that somebody keeps by hand.
#[test]
fn an_endpoint_without_a_target_is_a_peer() {
    let mut endpoints = endpoints();
    endpoints["subsets"][0]["addresses"] = json!([{"ip": "10.48.33.136"}]);
    let expected = "test_basename@10-48-33-136.airatel-service-localization.pod.my_cluster.local";
    assert_eq!(
        names::<Endpoints>(endpoints.clone(), NameMode::Dns),
        [expected]
    );
    assert_eq!(names::<Endpoints>(endpoints, NameMode::Hostname), [""; 0]);
}

#[test]
fn endpoints_without_subsets_or_with_bad_addresses_are_nobody() {
    let mut empty = endpoints();
    empty["subsets"] = json!(null);
    assert_eq!(names::<Endpoints>(empty, NameMode::Ip), [""; 0]);
    let mut bad = endpoints();
    bad["subsets"][0]["addresses"][0]["ip"] = json!("not an address");
    assert_eq!(names::<Endpoints>(bad, NameMode::Ip), [""; 0]);
}

fn slice() -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {
            "name": "web-9k2xq",
            "namespace": "airatel-service-localization",
            "labels": {"app": "web", "kubernetes.io/service-name": "web"}
        },
        "endpoints": [{
            "addresses": ["10.48.33.136"],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "hostname": "my-hostname-0",
            "nodeName": "node1",
            "targetRef": {
                "kind": "Pod",
                "namespace": "airatel-service-localization",
                "name": "web-0",
                "uid": "7c5f9a5e-0000-0000-0000-000000000000"
            }
        }],
        "ports": [
            {"name": "dist", "port": 9100, "protocol": "TCP"},
            {"name": "", "port": 4369},
            {"name": "every"}
        ]
    })
}

fn seen(slice: Value) -> Vec<Seen> {
    serde_json::from_value::<EndpointSlice>(slice)
        .unwrap()
        .seen()
}

#[test]
fn a_slice_tells_what_it_knows_of_a_pod() {
    let pod = seen(slice()).remove(0);
    assert_eq!(pod.pod.as_deref(), Some("web-0"));
    assert_eq!(pod.hostname.as_deref(), Some("my-hostname-0"));
    assert_eq!(pod.service.as_deref(), Some("web"));
    assert_eq!(pod.target, Target::Pod);
    assert!(pod.ready && !pod.terminating && pod.uid.is_some());
    let ports: Vec<_> = pod
        .ports
        .iter()
        .map(|port| (&*port.name, port.port))
        .collect();
    assert_eq!(ports, [("dist", 9100)]);
    let expected = ["test_basename@10.48.33.136"];
    assert_eq!(names::<EndpointSlice>(slice(), NameMode::Ip), expected);
}

/// "Consumers should interpret an unknown state as ready", says the API; and with
/// publishNotReadyAddresses a terminating pod stays ready.
#[test]
fn terminating_is_read_and_not_only_ready() {
    let mut slice = slice();
    slice["endpoints"][0]["conditions"] = json!({"ready": true, "terminating": true});
    assert!(seen(slice.clone())[0].terminating);
    assert_eq!(names::<EndpointSlice>(slice.clone(), NameMode::Ip), [""; 0]);
    for unknown in [
        json!(null),
        json!({}),
        json!({"ready": null, "terminating": null}),
    ] {
        slice["endpoints"][0]["conditions"] = unknown;
        let pod = seen(slice.clone()).remove(0);
        assert!(pod.ready && !pod.terminating);
    }
}

#[test]
fn a_slice_of_names_or_of_nothing_is_nobody() {
    let mut names = slice();
    names["addressType"] = json!("FQDN");
    names["endpoints"][0]["addresses"] = json!(["web.example.org"]);
    assert_eq!(seen(names), []);
    for nothing in [json!(null), json!([])] {
        let mut empty = slice();
        empty["endpoints"] = nothing;
        assert_eq!(seen(empty), []);
    }
}

#[test]
fn an_endpoint_that_is_no_pod_keeps_its_own_identity() {
    let mut slice = slice();
    slice["endpoints"][0]["targetRef"]["kind"] = json!("VirtualMachineInstance");
    let machine = seen(slice.clone()).remove(0);
    assert_eq!(
        (machine.pod.as_deref(), machine.target),
        (None, Target::Other)
    );
    slice["endpoints"][0]["targetRef"] = json!(null);
    let by_hand = seen(slice).remove(0);
    assert_eq!(
        (by_hand.uid.as_deref(), by_hand.target),
        (None, Target::None)
    );
    assert!(by_hand.id().is_some());
}

#[test]
fn a_pod_tells_everything() {
    let mut pod = pod();
    pod["metadata"]["uid"] = json!("u1");
    pod["metadata"]["annotations"] = json!({"enmesh/port": "9100"});
    pod["spec"] = json!({
        "hostname": "web-0",
        "subdomain": "web",
        "containers": [
            {"name": "beam", "ports": [{"name": "dist", "containerPort": 9100}]},
            {"name": "other", "ports": [{"containerPort": 80}, {"name": "x", "containerPort": 70000}]}
        ],
        "initContainers": [{"name": "side", "ports": [{"name": "late", "containerPort": 9101}]}],
    });
    pod["status"]["containerStatuses"] = json!([
        {"name": "beam", "restartCount": 2, "ready": true, "image": "", "imageID": ""},
        {"name": "other", "restartCount": 1, "ready": true, "image": "", "imageID": ""}
    ]);
    pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    let seen = serde_json::from_value::<Pod>(pod).unwrap().seen().remove(0);
    assert_eq!(seen.subdomain.as_deref(), Some("web"));
    assert_eq!(seen.containers, ["beam", "other"]);
    assert_eq!((seen.restarts, seen.ready), (3, true));
    assert_eq!(seen.labels["app"], "web");
    assert_eq!(seen.annotations["enmesh/port"], "9100");
    let port = |name: &str, port, container: &str| NamedPort {
        name: name.to_owned(),
        port,
        container: Some(container.to_owned()),
    };
    assert_eq!(
        *seen.ports,
        [port("dist", 9100, "beam"), port("late", 9101, "side")]
    );
}

proptest::proptest! {
    /// Whatever the API tells, nothing panics and nothing grows beyond what was told.
    #[test]
    fn any_slice_is_read(
        addresses in proptest::collection::vec(".{0,40}|[0-9.:a-f]{1,20}", 0..8),
        text in ".{0,300}",
        port in proptest::num::i32::ANY,
        flag in proptest::option::of(proptest::bool::ANY),
    ) {
        let slice = json!({
            "metadata": {"name": text, "namespace": text, "labels": {SERVICE_LABEL: text}},
            "addressType": text,
            "endpoints": [{
                "addresses": addresses, "hostname": text,
                "conditions": {"ready": flag, "terminating": flag},
                "targetRef": {"kind": text, "name": text, "uid": text, "namespace": text},
            }],
            "ports": [{"name": text, "port": port}],
        });
        for seen in seen(slice) {
            proptest::prop_assert!((1..=MAX_ADDRESSES).contains(&seen.addresses.len()));
            let _ = (naming(NameMode::Ip).peers(&seen), seen.life());
        }
    }
}
