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
