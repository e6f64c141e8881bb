//! Which objects are read, of several namespaces and families, and what they tell of ourselves.

use super::*;
use enmesh_membership::Standing;

const SLICES: &str = "GET /apis/discovery.k8s.io/v1/namespaces/prod/endpointslices?";
const ENDPOINTS: &str = "GET /api/v1/namespaces/prod/endpoints?";
const PODS: &str = "GET /api/v1/namespaces/prod/pods?";

/// An endpoint of the pod with this uid.
fn endpoint(uid: &str, ip: &str, terminating: bool) -> Value {
    json!({
        "addresses": [ip],
        "conditions": {"ready": !terminating, "serving": true, "terminating": terminating},
        "targetRef": {"kind": "Pod", "namespace": "prod", "name": uid, "uid": uid},
    })
}

fn slice(name: &str, version: u32, endpoints: &[Value]) -> Value {
    let labels = json!({"kubernetes.io/service-name": "web"});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": name, "namespace": "prod", "labels": labels,
            "resourceVersion": version.to_string(),
        },
        "endpoints": endpoints,
    })
}

fn endpoints(ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "prod", "resourceVersion": "9"},
        "subsets": [{"addresses": [{"ip": ip}]}],
    })
}

fn not_found() -> Reply {
    Reply::Whole {
        status: 404,
        headers: "",
        body: "404 page not found\n".to_owned(),
    }
}

async fn by_default(replies: Vec<Reply>) -> (KubernetesSource, Server) {
    scripted_as(replies, |config| config.lookup_mode = None).await
}

#[track_caller]
fn check_requests(server: &Server, expected: &[&str]) {
    let requests = server.requests();
    assert_eq!(requests.len(), expected.len(), "{requests:#?}");
    for (request, expected) in requests.iter().zip(expected) {
        assert!(request.starts_with(expected), "{request}");
    }
}

#[tokio::test]
async fn slices_are_read_by_default_and_a_change_costs_one_slice() {
    let one = endpoint("u1", "10.0.0.1", false);
    let two = endpoint("u2", "10.0.0.2", false);
    let list = list(
        10,
        &[
            slice("s1", 8, std::slice::from_ref(&one)),
            slice("s2", 9, &[two]),
        ],
    );
    let watch = vec![event(
        "MODIFIED",
        &slice("s1", 11, &[one, endpoint("u3", "10.0.0.3", false)]),
    )];
    let (mut source, server) = by_default(vec![list, Reply::Watch(watch)]).await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1", "web@10.0.0.2"]);
    check_changed(&next(&mut source).await, &["web@10.0.0.3"], &[]);
    check_requests(&server, &[SLICES, SLICES]);
}

#[tokio::test]
async fn endpoints_stand_in_for_slices_that_we_may_not_read_or_that_do_not_exist() {
    for refusal in [Reply::status(403, "", "forbidden"), not_found()] {
        let list = list(10, &[endpoints("10.0.0.1")]);
        let begin = Instant::now();
        let (mut source, server) = by_default(vec![refusal, list]).await;
        check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
        check_requests(&server, &[SLICES, ENDPOINTS]);
        assert!(begin.elapsed() < Duration::from_millis(400), "no back-off");
    }
}

#[tokio::test]
async fn slices_are_asked_for_again_when_the_stand_in_s_history_is_gone() {
    let gone = Reply::status(410, "", "too old");
    let again = list(20, &[slice("s1", 19, &[endpoint("u2", "10.0.0.2", false)])]);
    let (mut source, server) = by_default(vec![
        Reply::status(403, "", "forbidden"),
        list(10, &[endpoints("10.0.0.1")]),
        gone,
        again,
    ])
    .await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    check_snapshot(&next(&mut source).await, &["web@10.0.0.2"]);
    check_requests(&server, &[SLICES, ENDPOINTS, ENDPOINTS, SLICES]);
}

#[tokio::test]
async fn a_lookup_that_is_named_is_never_replaced_and_its_rule_is_told() {
    let forbidden = Reply::status(403, "", "endpointslices.discovery.k8s.io is forbidden");
    let (mut source, server) = scripted_as(vec![forbidden.clone(), forbidden], |config| {
        config.lookup_mode = Some(LookupMode::EndpointSlices);
    })
    .await;
    for _ in 0..2 {
        let update = next(&mut source).await;
        check_failed(&update, FailureKind::Forbidden);
        let text = format!("{update:?}");
        assert!(
            text.contains("--resource=endpointslices.discovery.k8s.io "),
            "{text}"
        );
    }
    check_requests(&server, &[SLICES, SLICES]);
}

#[tokio::test]
async fn where_nothing_may_be_read_the_rule_of_slices_is_told() {
    let forbidden = Reply::status(403, "", "forbidden");
    let (mut source, server) = by_default(vec![forbidden.clone(), forbidden]).await;
    let update = next(&mut source).await;
    check_failed(&update, FailureKind::Forbidden);
    let text = format!("{update:?}");
    assert!(
        text.contains("--resource=endpointslices.discovery.k8s.io "),
        "{text}"
    );
    check_requests(&server, &[SLICES, ENDPOINTS]);
}

#[tokio::test]
async fn auto_picks_what_may_be_read_and_tells_somebody() {
    let pods = || list(10, &[pod("p1", "10.0.0.1", 9)]);
    let forbidden = || Reply::status(403, "", "forbidden");
    let empty = || list(10, &[]);
    for (replies, requests) in [
        (
            vec![forbidden(), forbidden(), pods()],
            &[SLICES, ENDPOINTS, PODS][..],
        ),
        (vec![empty(), empty(), pods()], &[SLICES, ENDPOINTS, PODS]),
        (
            vec![not_found(), list(10, &[endpoints("10.0.0.1")])],
            &[SLICES, ENDPOINTS],
        ),
        (
            vec![list(
                10,
                &[slice("s1", 9, &[endpoint("u1", "10.0.0.1", false)])],
            )],
            &[SLICES],
        ),
    ] {
        let (mut source, server) = scripted_as(replies, |config| {
            config.lookup_mode = Some(LookupMode::Auto);
        })
        .await;
        check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
        check_requests(&server, requests);
    }
}

#[tokio::test]
async fn auto_that_finds_nobody_anywhere_removes_nobody() {
    let (mut source, _) = scripted_as(vec![list(10, &[]); 3], |config| {
        config.lookup_mode = Some(LookupMode::Auto);
    })
    .await;
    check_failed(&next(&mut source).await, FailureKind::NotFound);
}

#[tokio::test]
async fn after_an_empty_list_an_object_is_told_and_all_are_listed_anew() {
    let first = slice("s1", 11, &[endpoint("u1", "10.0.0.1", false)]);
    let (mut source, server) = by_default(vec![
        list(10, &[]),
        Reply::Watch(vec![event("ADDED", &first)]),
        list(20, &[first]),
    ])
    .await;
    check_failed(&next(&mut source).await, FailureKind::NotFound);
    check_changed(&next(&mut source).await, &["web@10.0.0.1"], &[]);
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    check_requests(&server, &[SLICES, SLICES, SLICES]);
}

#[tokio::test]
async fn the_name_of_a_service_selects_its_slices() {
    let list = list(10, &[slice("s1", 9, &[endpoint("u1", "10.0.0.1", false)])]);
    let (mut source, server) = scripted_as(vec![list], |config| {
        config.lookup_mode = None;
        config.service_name = Some("web".to_owned());
        config.field_selector = Some("metadata.namespace=prod".to_owned());
    })
    .await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    let request = &server.requests()[0];
    for part in [
        "labelSelector=kubernetes.io%2Fservice-name%3Dweb",
        "fieldSelector=metadata.namespace%3Dprod",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
}

#[tokio::test]
async fn a_dual_stack_pod_is_one_peer_of_our_own_family() {
    let six = slice("s6", 9, &[endpoint("u1", "fd00::1", false)]);
    let four = slice("s4", 9, &[endpoint("u1", "10.0.0.1", false)]);
    let (mut source, _) = by_default(vec![list(10, &[six, four])]).await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
}

#[tokio::test]
async fn a_terminating_pod_is_gone_and_our_own_ends_our_dialling() {
    let both = |first, own| {
        [
            endpoint("u1", "10.0.0.1", first),
            endpoint("u9", "10.0.0.9", own),
        ]
    };
    let watch = vec![
        event("MODIFIED", &slice("s1", 11, &both(true, false))),
        event("MODIFIED", &slice("s1", 12, &both(true, true))),
    ];
    let list = list(10, &[slice("s1", 9, &both(false, false))]);
    let (mut source, _) = by_default(vec![list, Reply::Watch(watch)]).await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1", "web@10.0.0.9"]);
    check_changed(&next(&mut source).await, &[], &["web@10.0.0.1"]);
    assert_eq!(next(&mut source).await, Update::Draining(true));
    check_changed(&next(&mut source).await, &[], &["web@10.0.0.9"]);
}

#[tokio::test]
async fn our_own_pod_s_deletion_ends_our_dialling() {
    let watch = vec![event("MODIFIED", &terminating("p9", "10.0.0.9", 11))];
    let list = list(10, &[pod("p9", "10.0.0.9", 9)]);
    let (mut source, _) = scripted(vec![list, Reply::Watch(watch)]).await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.9"]);
    assert_eq!(next(&mut source).await, Update::Draining(true));
}

#[tokio::test]
async fn not_being_ready_decides_only_whom_we_dial_first() {
    let unready = |ready: bool| {
        let mut pod = pod("p1", "10.0.0.1", if ready { 11 } else { 9 });
        let status = if ready { "True" } else { "False" };
        pod["status"]["conditions"] = json!([{"type": "Ready", "status": status}]);
        pod
    };
    for (ready, before) in [
        (Readiness::Any, Standing::Ready),
        (Readiness::Ready, Standing::Unready),
    ] {
        let watch = vec![event("MODIFIED", &unready(true))];
        let replies = vec![list(10, &[unready(false)]), Reply::Watch(watch)];
        let (mut source, _) = scripted_as(replies, |config| config.ready = ready).await;
        let Update::Snapshot(peers) = next(&mut source).await else {
            panic!("no snapshot");
        };
        assert_eq!(peers[0].standing, before);
        // That it has turned ready is told in both cases: a dial may now go otherwise.
        let Update::Changed { present, gone } = next(&mut source).await else {
            panic!("no change");
        };
        assert_eq!((present[0].standing, gone.len()), (Standing::Ready, 0));
        assert_ne!(present[0].life, peers[0].life);
    }
}

#[tokio::test]
async fn one_namespace_that_fails_hinders_no_other_and_removes_nobody() {
    let server = Server::start_routed(
        vec![
            ("/dev/pods?", Reply::status(403, "", "forbidden")),
            ("/prod/pods?", list(10, &[pod("p1", "10.0.0.1", 9)])),
            (
                "/prod/pods?",
                Reply::Watch(vec![event("ADDED", &pod("p2", "10.0.0.2", 11))]),
            ),
            ("/dev/pods?", list(10, &[pod("p3", "10.0.0.3", 9)])),
            (
                "/dev/pods?",
                Reply::Watch(vec![event("ADDED", &pod("p4", "10.0.0.4", 11))]),
            ),
        ],
        None,
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let address = format!("http://{}", server.address());
    let mut config = kubeconfig(folder.path(), &address, "");
    config.namespaces = vec!["prod".to_owned(), "dev".to_owned()];
    let mut source = source(&config);
    let mut present = Vec::new();
    let (mut failures, mut whole) = (0, None);
    while present.len() < 3 || whole.is_none() {
        match next(&mut source).await {
            Update::Failed(failure) => {
                assert!(failure.detail().contains("namespace dev"), "{failure}");
                failures += 1;
            }
            Update::Changed {
                present: more,
                gone,
            } => {
                assert_eq!(gone, []);
                present.extend(more);
            }
            Update::Snapshot(peers) => whole = Some(peers.len()),
            other @ Update::Draining(_) => panic!("{other:?}"),
        }
    }
    assert_eq!((failures, whole), (1, Some(3)));
}

/// libcluster, kubernetes_test.exs: "works with cached resources", "works with no cached
/// resources", "works with pods and cached resources".
#[tokio::test]
async fn the_server_may_answer_from_its_cache_only_where_that_is_said() {
    for mode in [LookupMode::Endpoints, LookupMode::Pods] {
        for cached in [true, false] {
            let objects = match mode {
                LookupMode::Pods => list(10, &[pod("p1", "10.48.33.136", 9)]),
                _ => list(10, &[endpoints("10.48.33.136")]),
            };
            let (mut source, server) = scripted_as(vec![objects], |config| {
                config.lookup_mode = Some(mode);
                config.use_cached_resources = cached;
            })
            .await;
            check_snapshot(&next(&mut source).await, &["web@10.48.33.136"]);
            let request = &server.requests()[0];
            assert_eq!(request.contains("resourceVersion=0"), cached, "{request}");
        }
    }
}

/// What is logged while it is the default of its thread: each event in one line, fields included.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("enmesh_discovery")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                line += &format!(" {field}={value:?}");
            },
        );
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

impl Log {
    /// The lines with all of these words.
    fn with(&self, words: &[&str]) -> usize {
        let lines = self.0.lock().unwrap();
        let holds = |line: &&String| words.iter().all(|word| line.contains(word));
        lines.iter().filter(holds).count()
    }
}

#[tokio::test]
async fn one_warning_names_the_rule_that_is_missing() {
    let log = Log::default();
    let _default = tracing::subscriber::set_default(log.clone());
    let forbidden = || Reply::status(403, "", "forbidden");
    let (mut source, _) = by_default(vec![
        forbidden(),
        list(10, &[endpoints("10.0.0.1")]),
        Reply::status(410, "", "too old"),
        forbidden(),
        list(20, &[endpoints("10.0.0.2")]),
    ])
    .await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    check_snapshot(&next(&mut source).await, &["web@10.0.0.2"]);
    let rule = "--resource=endpointslices.discovery.k8s.io ";
    assert_eq!(log.with(&["WARN", "resource=\"endpoints\"", rule]), 1);
    assert_eq!(log.with(&["WARN"]), 1);
}

#[tokio::test]
async fn which_lookup_was_picked_and_why_is_told_once() {
    let log = Log::default();
    let _default = tracing::subscriber::set_default(log.clone());
    let pods = || list(10, &[pod("p1", "10.0.0.1", 9)]);
    let (mut source, _) = scripted_as(
        vec![
            Reply::status(403, "", "forbidden"),
            list(10, &[]),
            pods(),
            Reply::status(410, "", "too old"),
            pods(),
        ],
        |config| config.lookup_mode = Some(LookupMode::Auto),
    )
    .await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    let picked = [
        "INFO",
        "lookup picked",
        "resource=\"pods\"",
        "reason=forbidden",
    ];
    assert_eq!(log.with(&picked), 1);
    assert_eq!(log.with(&["WARN"]), 0);
}
