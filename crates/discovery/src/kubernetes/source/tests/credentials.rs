//! Who we are to the server, and whom we take for it, beyond a token and a CA.

use super::*;

/// What a command prints that tells a token.
const TOLD: &str = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",
"spec":{"interactive":false},"status":{"token":"told-token"}}"#;

/// A kubeconfig whose user has a command that waits for `folder/told`, five seconds at most, and
/// notes in `folder/runs` that it was run.
fn with_command(folder: &Path, server: &str) -> KubernetesConfig {
    let config = kubeconfig(folder, server, "");
    let path = folder.join("config");
    let script = folder.join("tell.sh");
    let lines = format!(
        "cd '{}'\necho run >> runs\nfor _ in $(seq 50); do\n[ -e told ] && exec cat told\n\
         sleep 0.1\ndone\nexit 1\n",
        folder.display()
    );
    std::fs::write(&script, lines).unwrap();
    let exec = format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['{}'], \
         interactiveMode: Never}}}}",
        script.display()
    );
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("{token: our-token}", &exec)).unwrap();
    config
}

#[tokio::test]
async fn a_command_that_takes_its_time_for_a_token_hinders_nobody() {
    let server = Server::start(vec![list(10, &[pod("p1", "10.0.0.1", 9)])], None).await;
    let folder = tempfile::tempdir().unwrap();
    let config = with_command(folder.path(), &format!("http://{}", server.address()));
    let mut source = source(&config);
    let begin = Instant::now();
    for _ in 0..3 {
        let patience = Duration::from_millis(100);
        let early = tokio::time::timeout(patience, source.next()).await;
        assert!(early.is_err(), "{early:?}");
    }
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "it was waited for"
    );
    std::fs::write(folder.path().join("told"), TOLD).unwrap();
    check_snapshot(&next(&mut source).await, &["web@10.0.0.1"]);
    let request = &server.requests()[0];
    assert!(
        request.contains("authorization: Bearer told-token"),
        "{request}"
    );
    // Once for a certificate and once for a token, however often the caller was impatient.
    let runs = std::fs::read_to_string(folder.path().join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_hangs_is_told_of_and_not_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = source(&with_command(folder.path(), "http://127.0.0.1:1"));
    for _ in 0..3 {
        let since = Instant::now();
        let Update::Failed(failure) = source.next().await else {
            panic!("it is no failure");
        };
        assert_eq!(failure.kind(), FailureKind::TimedOut);
        assert!(failure.detail().contains("try it by hand"), "{failure}");
        assert!(since.elapsed() >= Duration::from_secs(30));
    }
    let runs = std::fs::read_to_string(folder.path().join("runs"));
    assert!(runs.unwrap_or_default().lines().count() <= 1);
    std::fs::write(folder.path().join("told"), "").unwrap();
}

#[tokio::test]
async fn the_server_may_have_the_name_that_the_kubeconfig_gives_it() {
    let certified = rcgen::generate_simple_self_signed(["api.example".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, certified.cert.pem()).unwrap();
    for (name, refusal) in [
        ("", Some("certificate")),
        (", tls-server-name: other.example", Some("certificate")),
        (", tls-server-name: 'no name'", Some("tls-server-name")),
        (", tls-server-name: api.example", None),
    ] {
        let replies = vec![list(10, &[pod("p1", "10.0.0.1", 9)])];
        let server = Server::start(replies, Some(tls(&certified))).await;
        let address = format!("https://{}", server.address());
        let more = format!(", certificate-authority: '{}'{name}", ca.display());
        let mut source = source(&kubeconfig(folder.path(), &address, &more));
        match (next(&mut source).await, refusal) {
            (Update::Failed(failure), Some(word)) => {
                assert!(failure.detail().contains(word), "{name}: {failure}");
                assert_eq!(server.requests(), [""; 0]);
            }
            (update, _) => check_snapshot(&update, &["web@10.0.0.1"]),
        }
    }
}
