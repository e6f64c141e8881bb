//! What the real API server cannot easily be made to show.

mod credentials;
mod libcluster;
mod lookups;
mod names;
mod server;

use std::path::Path;
use std::time::Duration;

use enmesh_membership::FailureKind;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::kubernetes::LookupMode;
use crate::source::{Environment, MAX_PEERS_PER_UPDATE};
use server::{Reply, Server};
use tokio::time::Instant;

/// The longest that a test waits for an update.
const PATIENCE: Duration = Duration::from_secs(30);

fn pod(name: &str, ip: &str, version: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "prod", "resourceVersion": version.to_string()},
        "spec": {"containers": []},
        "status": {"phase": "Running", "podIP": ip},
    })
}

fn terminating(name: &str, ip: &str, version: u32) -> Value {
    let mut pod = pod(name, ip, version);
    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    pod
}

fn list(version: u32, items: &[Value]) -> Reply {
    let metadata = json!({"resourceVersion": version.to_string()});
    let body = json!({"apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": items});
    Reply::json(&body)
}

fn event(kind: &str, object: &Value) -> String {
    json!({"type": kind, "object": object}).to_string()
}

fn kubeconfig(folder: &Path, server: &str, more: &str) -> KubernetesConfig {
    let path = folder.join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: '{server}'{more}}}}}]\n\
         users: [{{name: u, user: {{token: our-token}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u, namespace: prod}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    KubernetesConfig {
        selector: Some("app=web,tier in (a, b)".to_owned()),
        lookup_mode: Some(LookupMode::Pods),
        kubeconfig: Some(path),
        ..KubernetesConfig::default()
    }
}

fn source(config: &KubernetesConfig) -> KubernetesSource {
    let context = SourceContext::new("web@10.0.0.9".parse().unwrap());
    KubernetesSource::new(config, &context.with_environment(Environment::default()))
}

/// A source that asks a server with this script.
async fn scripted(replies: Vec<Reply>) -> (KubernetesSource, Server) {
    scripted_as(replies, |_| {}).await
}

/// The same with another configuration.
async fn scripted_as(
    replies: Vec<Reply>,
    change: impl FnOnce(&mut KubernetesConfig),
) -> (KubernetesSource, Server) {
    let server = Server::start(replies, None).await;
    let folder = tempfile::tempdir().unwrap();
    let address = format!("http://{}", server.address());
    let mut config = kubeconfig(folder.path(), &address, "");
    // The file is read when the source is polled; a failed round may read it again.
    config.kubeconfig = Some(folder.keep().join("config"));
    change(&mut config);
    (source(&config), server)
}

async fn next(source: &mut KubernetesSource) -> Update {
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

#[track_caller]
fn check_changed(update: &Update, expected_present: &[&str], expected_gone: &[&str]) {
    match update {
        Update::Changed { present, gone } => {
            let names: Vec<_> = present.iter().map(|peer| peer.name().as_str()).collect();
            assert_eq!(names, expected_present);
            let names: Vec<_> = gone.iter().map(|name| name.as_str()).collect();
            assert_eq!(names, expected_gone);
        }
        other => panic!("{other:?} is no change"),
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
async fn pods_are_listed_and_watched() {
    let watch = [
        event("ADDED", &pod("p2", "10.0.0.2", 11)),
        event("MODIFIED", &pod("p2", "10.0.0.2", 12)),
        event("BOOKMARK", &pod("", "", 13)),
        event("MODIFIED", &terminating("p1", "10.0.0.1", 14)),
        event("DELETED", &terminating("p1", "10.0.0.1", 15)),
        event("DELETED", &pod("p2", "10.0.0.2", 16)),
    ];
    let first = list(10, &[pod("p1", "10.0.0.1", 9)]);
    let (mut source, server) = scripted(vec![first, Reply::Watch(watch.into())]).await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    check_changed(&next(&mut source).await, &["web@10.0.0.2"], &[]);
    check_changed(&next(&mut source).await, &[], &["web@10.0.0.1"]);
    check_changed(&next(&mut source).await, &[], &["web@10.0.0.2"]);
    let requests = server.requests();
    let selector = "labelSelector=app%3Dweb%2Ctier+in+%28a%2C+b%29";
    assert!(
        requests[0].starts_with("GET /api/v1/namespaces/prod/pods?"),
        "{}",
        requests[0]
    );
    assert!(requests[0].contains(selector), "{}", requests[0]);
    assert!(
        requests[0].contains("authorization: Bearer our-token"),
        "{}",
        requests[0]
    );
    for part in [
        "watch=true",
        "timeoutSeconds=40", // over HTTP/1.1,
        "resourceVersion=10",
        selector,
    ] {
        assert!(requests[1].contains(part), "{part} in {}", requests[1]);
    }
}

#[tokio::test]
async fn a_refusal_removes_nobody_and_heals() {
    let message = "pods is forbidden: User \"system:serviceaccount:prod:member\" cannot list";
    let good = list(10, &[pod("p1", "10.0.0.1", 9)]);
    let mut replies = vec![
        good.clone(),
        Reply::Watch(vec![event(
            "ERROR",
            &json!({"kind": "Status", "code": 500}),
        )]),
    ];
    // Told when it lasts.
    replies.extend(vec![Reply::status(403, "", message); 5]);
    replies.extend([Reply::status(401, "", "Unauthorized"), good]);
    let (mut source, _) = scripted(replies).await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    check_failed(&next(&mut source).await, FailureKind::Unreachable);
    let forbidden = next(&mut source).await;
    check_failed(&forbidden, FailureKind::Forbidden);
    check_failed(&next(&mut source).await, FailureKind::Unauthorized);
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    match forbidden {
        Update::Failed(failure) => {
            assert!(
                failure.detail().contains("--serviceaccount=prod:member"),
                "{failure}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_asks_for_time_gets_it() {
    let overloaded = Reply::status(429, "retry-after: 3\r\n", "too many requests");
    let (mut source, _) = scripted(vec![overloaded, list(10, &[])]).await;
    check_failed(&next(&mut source).await, FailureKind::Other);
    let since = Instant::now();
    check_snapshot(&next(&mut source).await, &[]);
    assert!(
        since.elapsed() >= Duration::from_millis(2_900),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn a_history_that_is_gone_is_listed_anew_without_a_word() {
    let gone = json!({"kind": "Status", "code": 410, "message": "too old", "reason": "Expired"});
    for watch in [
        Reply::Watch(vec![event("ERROR", &gone)]),
        Reply::status(410, "", "too old"),
    ] {
        let (mut source, _) = scripted(vec![
            list(10, &[pod("p1", "10.0.0.1", 9)]),
            watch,
            list(20, &[pod("p2", "10.0.0.2", 19)]),
        ])
        .await;
        check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
        check_snapshot(&next(&mut source).await, &["web@10.0.0.2"]);
    }
}

/// One of several API servers that is started anew is no failure; a connection that does not hold is.
#[tokio::test]
async fn a_watch_that_breaks_off_is_told_when_it_does_so_again() {
    let good = list(10, &[pod("p1", "10.0.0.1", 9)]);
    // A missing end of the last chunk would be taken for the end of the watch.
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno number\r\n";
    let cut = Reply::Bytes(head.to_owned());
    let more = list(11, &[pod("p2", "10.0.0.2", 11)]);
    let replies = vec![good.clone(), cut.clone(), more, cut, good];
    let (mut source, _) = scripted(replies).await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    check_snapshot(&next(&mut source).await, &["web@10.0.0.2"]);
    let again = next(&mut source).await;
    check_failed(&again, FailureKind::Unreachable);
    assert!(
        format!("{again:?}").contains("breaks off again"),
        "{again:?}"
    );
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
}

#[tokio::test]
async fn half_an_answer_and_garbage_are_failures() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"items\": [";
    let (mut source, _) = scripted(vec![
        Reply::Bytes(whole.to_owned()),
        Reply::Bytes("SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
        Reply::Whole {
            status: 200,
            headers: "",
            body: "<html>hello</html>".to_owned(),
        },
        Reply::Whole {
            status: 502,
            headers: "",
            body: "<html>bad gateway</html>".to_owned(),
        },
        list(10, &[]),
    ])
    .await;
    check_failed(&next(&mut source).await, FailureKind::Unreachable);
    check_failed(&next(&mut source).await, FailureKind::Unreachable);
    check_failed(&next(&mut source).await, FailureKind::Malformed);
    check_failed(&next(&mut source).await, FailureKind::Unreachable);
    check_snapshot(&next(&mut source).await, &[]);
}

#[tokio::test]
async fn garbage_in_a_watch_is_a_failure_and_a_new_list() {
    let (mut source, _) = scripted(vec![
        list(10, &[pod("p1", "10.0.0.1", 9)]),
        Reply::Watch(vec!["{\"type\": 7}".to_owned()]),
        list(20, &[pod("p1", "10.0.0.1", 9)]),
    ])
    .await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    check_failed(&next(&mut source).await, FailureKind::Malformed);
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
}

#[tokio::test]
async fn a_silent_server_is_noticed() {
    let (mut source, _) = scripted(vec![Reply::Silence]).await;
    let since = Instant::now();
    check_failed(&next(&mut source).await, FailureKind::TimedOut);
    assert!(
        since.elapsed() < Duration::from_secs(15),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn a_watch_that_died_without_a_word_is_noticed() {
    let first = list(10, &[pod("p1", "10.0.0.1", 9)]);
    let replies = vec![first.clone(), Reply::Watch(Vec::new())];
    let server = Server::start(replies, None).await;
    let folder = tempfile::tempdir().unwrap();
    let config = kubeconfig(folder.path(), &format!("http://{}", server.address()), "");
    let context = SourceContext::new("web@10.0.0.9".parse().unwrap());
    let context = context.with_environment(Environment::default());
    let mut source = KubernetesSource::with_watches_of(&config, &context, 1);
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    // Six seconds without an event, and ten without the head of an answer.
    check_failed(&next(&mut source).await, FailureKind::TimedOut);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn an_impatient_caller_neither_loses_anything_nor_hurries_the_source() {
    let mut replies = vec![Reply::status(403, "", "forbidden"); 2];
    replies.push(list(10, &[pod("p1", "10.0.0.1", 9)]));
    let (mut source, server) = scripted(replies).await;
    let begin = Instant::now();
    let mut updates = Vec::new();
    while updates.len() < 3 {
        assert!(begin.elapsed() < PATIENCE, "{updates:?}");
        let patience = Duration::from_millis(20);
        updates.extend(tokio::time::timeout(patience, source.next()).await);
    }
    check_failed(&updates[0], FailureKind::Forbidden);
    check_failed(&updates[1], FailureKind::Forbidden);
    check_snapshot(&updates[2], &["web@10.0.0.1"]);
    assert!(
        begin.elapsed() >= Duration::from_millis(1_100),
        "{:?}",
        begin.elapsed()
    );
    assert!(server.requests().len() <= 4, "{}", server.requests().len());
}

#[tokio::test]
async fn an_account_that_may_only_list_is_polled() {
    let list = |number: u32| {
        let pod = pod("p", &format!("10.0.0.{number}"), number);
        list(10 * number, &[pod])
    };
    let refused = Reply::status(403, "", "pods is forbidden: cannot watch");
    let replies = vec![list(1), refused, list(2), list(3), list(4)];
    let (mut source, server) = scripted_as(replies, |config| {
        config.polling_interval = Duration::from_millis(300);
    })
    .await;
    for number in 1..=4 {
        let name = format!("web@10.0.0.{number}");
        check_snapshot(&next(&mut source).await, &[&name]);
    }
    // A watch that was refused is not tried at each poll.
    let requests = server.requests();
    let watches = requests
        .iter()
        .map(|request| request.contains("watch=true"));
    let watches: Vec<bool> = watches.collect();
    assert_eq!(watches, [false, true, false, false, false], "{requests:#?}");
}

#[tokio::test]
async fn a_refusal_that_does_not_last_is_told_nobody() {
    let refused = || Reply::status(403, "", "pods is forbidden: RBAC: not yet");
    let (mut source, server) = scripted(vec![
        list(10, &[pod("p1", "10.0.0.1", 9)]),
        Reply::status(410, "", "too old"),
        refused(),
        refused(),
        list(20, &[pod("p2", "10.0.0.2", 19)]),
    ])
    .await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    check_snapshot(&next(&mut source).await, &["web@10.0.0.2"]);
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_server_that_ends_each_watch_at_once_is_not_hammered() {
    let ended = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let mut replies = vec![list(10, &[])];
    replies.extend(vec![Reply::Bytes(ended.to_owned()); 100]);
    let (mut source, server) = scripted(replies).await;
    check_snapshot(&next(&mut source).await, &[]);
    let more = tokio::time::timeout(Duration::from_millis(2_500), source.next()).await;
    assert!(more.is_err(), "{more:?}");
    assert!(
        (3..=4).contains(&server.requests().len()),
        "{}",
        server.requests().len()
    );
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let mut first = json!({"items": [pod("p1", "10.0.0.1", 9)]});
    first["metadata"] = json!({"resourceVersion": "10", "continue": "more"});
    let (mut source, server) = scripted(vec![
        Reply::json(&first),
        list(10, &[pod("p2", "10.0.0.2", 9)]),
    ])
    .await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1", "web@10.0.0.2"]);
    assert!(server.requests()[1].contains("continue=more"));
}

#[tokio::test]
async fn a_label_that_no_endpoints_carry_is_said() {
    for mode in [LookupMode::Endpoints, LookupMode::EndpointSlices] {
        let (mut source, _) = scripted_as(vec![list(10, &[])], |config| {
            config.lookup_mode = Some(mode);
        })
        .await;
        let update = next(&mut source).await;
        check_failed(&update, FailureKind::NotFound);
    }
}

#[tokio::test]
async fn an_absent_server_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut source = source(&kubeconfig(folder.path(), &address, ""));
    check_failed(&next(&mut source).await, FailureKind::Unreachable);
}

fn tls(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let certificate = CertificateDer::from(certified.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn the_server_s_certificate_must_be_our_ca_s() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let replies = vec![list(10, &[pod("p1", "10.0.0.1", 9)])];
    let server = Server::start(replies, Some(tls(&certified))).await;
    let address = format!("https://{}", server.address());
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.crt");
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&ca, other.cert.pem()).unwrap();
    let more = format!(", certificate-authority: '{}'", ca.display());
    let mut source = source(&kubeconfig(folder.path(), &address, &more));
    match next(&mut source).await {
        Update::Failed(failure) => assert!(failure.detail().contains("certificate"), "{failure}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.requests(), [""; 0]);
    // The CA is put right while the source runs.
    std::fs::write(&ca, certified.cert.pem()).unwrap();
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
}

#[tokio::test]
async fn a_pod_sends_the_token_of_its_service_account() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let replies = vec![
        Reply::status(401, "", "expired"),
        list(10, &[]),
        Reply::Watch(Vec::new()),
    ];
    let server = Server::start(replies, Some(tls(&certified))).await;
    let account = tempfile::tempdir().unwrap();
    for (file, content) in [
        ("token", "first\n"),
        ("namespace", "prod"),
        ("ca.crt", &certified.cert.pem()),
    ] {
        std::fs::write(account.path().join(file), content).unwrap();
    }
    let port = server.address().port().to_string();
    let environment = [
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", &port),
    ];
    let config = KubernetesConfig {
        selector: Some("app=web".to_owned()),
        lookup_mode: Some(LookupMode::Pods),
        service_account_path: account.path().to_owned(),
        ..KubernetesConfig::default()
    };
    let context = SourceContext::new("web@10.0.0.9".parse().unwrap());
    let context = context.with_environment(environment.into_iter().collect());
    let mut source = KubernetesSource::new(&config, &context);
    check_failed(&next(&mut source).await, FailureKind::Unauthorized);
    std::fs::remove_file(account.path().join("token")).unwrap();
    let update = next(&mut source).await;
    assert!(matches!(update, Update::Failed(_)), "{update:?}");
    std::fs::write(account.path().join("token"), "second\n").unwrap();
    check_snapshot(&next(&mut source).await, &[]);
    let requests = server.requests();
    assert!(
        requests[0].contains("authorization: Bearer first\r\n"),
        "{}",
        requests[0]
    );
    assert!(
        requests[1].contains("authorization: Bearer second\r\n"),
        "{}",
        requests[1]
    );
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_no_token_follows_it() {
    let elsewhere = Server::start(vec![list(10, &[])], None).await;
    let location: &'static str = format!("location: http://{}/\r\n", elsewhere.address()).leak();
    let redirect = |status| Reply::Whole {
        status,
        headers: location,
        body: String::new(),
    };
    let (mut source, _) = scripted(vec![redirect(302), redirect(307), list(10, &[])]).await;
    check_failed(&next(&mut source).await, FailureKind::Unreachable);
    check_failed(&next(&mut source).await, FailureKind::Unreachable);
    check_snapshot(&next(&mut source).await, &[]);
    assert_eq!(elsewhere.requests(), [""; 0]);
}

#[tokio::test]
async fn an_endless_answer_is_given_up() {
    let body = " ".repeat(super::super::transport::MAX_ANSWER_BYTES + 1);
    let huge = Reply::Whole {
        status: 200,
        headers: "",
        body,
    };
    let (mut source, _) = scripted(vec![huge, list(10, &[])]).await;
    check_failed(&next(&mut source).await, FailureKind::Malformed);
    check_snapshot(&next(&mut source).await, &[]);
}

#[tokio::test]
async fn what_is_over_the_bound_is_left_out() {
    let pods: Vec<_> = (0..MAX_PEERS_PER_UPDATE + 5)
        .map(|n| {
            pod(
                &format!("p{n}"),
                &format!("10.0.{}.{}", n / 256, n % 256),
                9,
            )
        })
        .collect();
    let (mut source, _) = scripted(vec![list(10, &pods)]).await;
    match next(&mut source).await {
        Update::Snapshot(peers) => assert_eq!(peers.len(), MAX_PEERS_PER_UPDATE),
        other => panic!("{other:?} is no snapshot"),
    }
}

#[tokio::test]
async fn an_account_that_lost_its_list_too_is_told_so_while_it_is_polled() {
    let forbidden = Reply::status(403, "", "pods is forbidden");
    let mut replies = vec![list(10, &[pod("p1", "10.0.0.1", 9)])];
    // The watch, and then lists until it is believed.
    replies.extend(vec![forbidden; 6]);
    replies.push(list(20, &[pod("p1", "10.0.0.1", 9)]));
    let (mut source, _) = scripted_as(replies, |config| {
        config.polling_interval = Duration::from_millis(300);
    })
    .await;
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    check_failed(&next(&mut source).await, FailureKind::Forbidden);
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
}
