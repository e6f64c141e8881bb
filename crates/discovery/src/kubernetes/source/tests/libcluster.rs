//! libcluster, test/kubernetes_test.exs, `start_link/1`, with what its cassettes hold. The cases that
//! are about names alone stand in `naming/tests.rs`.

use super::*;

const LOCALIZATION: &str = "airatel-service-localization";

/// The one address of both cassettes, as Endpoints.
fn endpoints(namespace: &str, ip: &str) -> Value {
    let target = json!({"kind": "Pod", "namespace": namespace, "name": "web-0", "uid": "u"});
    let address = json!({"ip": ip, "hostname": "my-hostname-0", "targetRef": target});
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": namespace, "resourceVersion": "9"},
        "subsets": [{"addresses": [address]}],
    })
}

/// What the topology of the cases connects to, asked of one list, and how it was asked for.
async fn connects(lookup: LookupMode, object: Value, more: &str) -> (Vec<String>, String) {
    let (mut source, server) = scripted_as(vec![list(10, &[object])], |config| {
        let text = format!(
            "strategy=Cluster.Strategy.Kubernetes kubernetes_node_basename=test_basename \
             kubernetes_selector=app=test_selector {more}"
        );
        let topology: crate::TopologyConfig = text.parse().unwrap();
        let crate::Strategy::Kubernetes(read) = topology.strategy else {
            panic!("{text} is another strategy");
        };
        let kubeconfig = config.kubeconfig.take();
        *config = KubernetesConfig {
            kubeconfig,
            lookup_mode: Some(lookup),
            ..read
        };
    })
    .await;
    let Update::Snapshot(peers) = next(&mut source).await else {
        panic!("no snapshot");
    };
    let names = peers.iter().map(|peer| peer.name().to_string()).collect();
    (names, server.requests()[0].clone())
}

#[tokio::test]
async fn calls_right_functions() {
    let object = endpoints(LOCALIZATION, "10.48.33.136");
    let more = "kubernetes_namespace=libcluster-test";
    let (names, request) = connects(LookupMode::Endpoints, object, more).await;
    assert_eq!(names, ["test_basename@10.48.33.136"]);
    let path = "GET /api/v1/namespaces/libcluster-test/endpoints?";
    assert!(request.starts_with(path), "{request}");
    assert!(
        request.contains("labelSelector=app%3Dtest_selector"),
        "{request}"
    );
}

#[tokio::test]
async fn connect_nodes_from_different_namespaces() {
    let object = endpoints("airatel-service-test", "10.48.33.134");
    let more = "kubernetes_namespace=airatel-service-test";
    let (names, request) = connects(LookupMode::Endpoints, object, more).await;
    assert_eq!(names, ["test_basename@10.48.33.134"]);
    let path = "GET /api/v1/namespaces/airatel-service-test/endpoints?";
    assert!(request.starts_with(path), "{request}");
}

#[tokio::test]
async fn works_with_cached_resources() {
    let object = endpoints(LOCALIZATION, "10.48.33.136");
    let more = "kubernetes_use_cached_resources=true";
    let (names, request) = connects(LookupMode::Endpoints, object, more).await;
    assert_eq!(names, ["test_basename@10.48.33.136"]);
    assert!(request.contains("resourceVersion=0"), "{request}");
}

#[tokio::test]
async fn works_with_no_cached_resources() {
    let object = endpoints(LOCALIZATION, "10.48.33.136");
    let more = "kubernetes_use_cached_resources=false";
    let (names, request) = connects(LookupMode::Endpoints, object, more).await;
    assert_eq!(names, ["test_basename@10.48.33.136"]);
    assert!(!request.contains("resourceVersion=0"), "{request}");
}

#[tokio::test]
async fn works_with_pods_and_cached_resources() {
    let more = "kubernetes_use_cached_resources=true";
    let object = pod("web-0", "10.48.33.136", 9);
    let (names, request) = connects(LookupMode::Pods, object, more).await;
    assert_eq!(names, ["test_basename@10.48.33.136"]);
    assert!(
        request.starts_with("GET /api/v1/namespaces/prod/pods?"),
        "{request}"
    );
    assert!(request.contains("resourceVersion=0"), "{request}");
}
