use std::io;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kube::Error;

use super::*;
use crate::kubernetes::transport::TransportError;

fn asked() -> Asked {
    asked_as(Lookup::Pods, None)
}

fn asked_as(lookup: Lookup, service: Option<&str>) -> Asked {
    Asked {
        server: "https://10.96.0.1:443".to_owned(),
        token_file: None,
        lookup,
        namespace: "prod".to_owned(),
        selection: Selection {
            labels: Some("app=web".to_owned()),
            fields: None,
            service: service.map(str::to_owned),
        },
    }
}

fn refused(code: u16, message: &str) -> watcher::Error {
    let status = Status::failure(message, "Reason").with_code(code);
    watcher::Error::InitialListFailed(Error::Api(status.boxed()))
}

#[track_caller]
fn failure(error: &watcher::Error) -> SourceFailure {
    match asked().verdict(error) {
        Verdict::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_forbidden_service_account_is_told_the_role_it_lacks() {
    let message = "pods is forbidden: User \"system:serviceaccount:apps:member\" cannot list \
                   resource \"pods\" in API group \"\" in the namespace \"prod\"";
    let failure = failure(&refused(403, message));
    assert_eq!(failure.kind(), FailureKind::Forbidden);
    assert_eq!(
        failure.detail(),
        format!(
            "forbidden: ServiceAccount member of namespace apps may not read pods in namespace \
             prod. Give it a Role with the verbs list and watch, or correct kubernetes_namespace, or \
             name what it may read by kubernetes_ip_lookup_mode: kubectl -n prod create role \
             enmesh-member-pods --verb=list,watch --resource=pods && kubectl -n prod create \
             rolebinding enmesh-member-pods --role=enmesh-member-pods \
             --serviceaccount=apps:member (the server says: {message})"
        )
    );
}

#[test]
fn a_forbidden_user_is_named_as_one() {
    let named = failure(&refused(
        403,
        "pods is forbidden: User \"jane\" cannot list",
    ));
    assert!(
        named
            .detail()
            .contains("rolebinding enmesh-pods --role=enmesh-pods --user=jane "),
        "{named}"
    );
    let hostile = failure(&refused(403, "User \"$(reboot)\" cannot list"));
    assert!(hostile.detail().contains("--user=NAME "), "{hostile}");
}

#[test]
fn each_status_has_its_kind() {
    for (code, kind) in [
        (400, FailureKind::Other),
        (401, FailureKind::Unauthorized),
        (403, FailureKind::Forbidden),
        (404, FailureKind::NotFound),
        (429, FailureKind::Other),
        (500, FailureKind::Unreachable),
        (503, FailureKind::Unreachable),
    ] {
        assert_eq!(
            failure(&refused(code, "said the server")).kind(),
            kind,
            "{code}"
        );
    }
}

#[test]
fn a_history_that_is_gone_is_no_failure() {
    let gone = Status::failure("too old resource version", "Expired").with_code(410);
    for error in [
        refused(410, "too old"),
        watcher::Error::WatchError(gone.clone().boxed()),
        watcher::Error::WatchStartFailed(Error::Api(gone.boxed())),
    ] {
        assert!(
            matches!(asked().verdict(&error), Verdict::Relist),
            "{error}"
        );
    }
}

#[test]
fn a_forbidden_watch_after_a_list_is_polled() {
    let status = Status::failure("cannot watch", "Forbidden").with_code(403);
    let error = watcher::Error::WatchStartFailed(Error::Api(status.boxed()));
    assert!(matches!(asked().verdict(&error), Verdict::Poll));
}

#[test]
fn our_own_bounds_are_recognised() {
    for (ours, kind) in [
        (TransportError::HeadTimedOut, FailureKind::TimedOut),
        (TransportError::TooLong, FailureKind::Malformed),
        (TransportError::NoToken, FailureKind::Unauthorized),
    ] {
        let error = watcher::Error::InitialListFailed(Error::Service(ours.into()));
        assert_eq!(failure(&error).kind(), kind);
    }
}

#[test]
fn a_connection_that_takes_too_long_is_a_time_out() {
    let cause = io::Error::new(io::ErrorKind::TimedOut, "deadline has elapsed");
    let error = watcher::Error::InitialListFailed(Error::Service(cause.into()));
    assert_eq!(failure(&error).kind(), FailureKind::TimedOut);
}

#[test]
fn a_server_s_words_are_cut_and_put_on_one_line() {
    let failure = failure(&refused(500, &"line\n".repeat(1_000)));
    assert!(failure.detail().len() < 600);
    assert!(!failure.detail().contains('\n'));
}

#[test]
fn the_readme_quotes_what_is_said() {
    let message = "pods is forbidden: User \"system:serviceaccount:prod:web\" cannot list";
    let said = failure(&refused(403, message));
    let (said, _) = said.detail().split_once(" (the server says").unwrap();
    let readme = include_str!("../../../../../README.md").replace("\n> ", " ");
    assert!(readme.contains(said), "{said}");
}

/// Every text of the page's table is what the code says, for ServiceAccount web of namespace prod.
#[test]
fn the_page_s_table_has_the_real_texts() {
    let page = include_str!("../../../../../docs/discovery/kubernetes.md");
    let (_, table) = page
        .split_once("| `error` | cause | cure |\n|---|---|---|\n")
        .unwrap();
    let mut told: Vec<String> = table
        .lines()
        .take_while(|line| line.starts_with("| "))
        .map(|line| line[2..].split(" | ").next().unwrap().to_owned())
        .collect();
    let account = tempfile::tempdir().unwrap();
    let file = account.path().join("token");
    let asked = Asked {
        token_file: Some(file.clone()),
        server: "https://10.96.0.1".to_owned(),
        ..asked_as(Lookup::Slices, None)
    };
    let claims = |bound: &str| {
        let end = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let end = if bound.contains("pod") {
            end.as_secs() - 60
        } else {
            end.as_secs() + 60
        };
        let account = format!(
            r#"{{"exp":{end},"kubernetes.io":{{"namespace":"prod","serviceaccount":{{"name":"web"}},{bound}}}}}"#
        );
        std::fs::write(
            &file,
            format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(account)),
        )
        .unwrap();
        asked.verdict(&refused(401, "Unauthorized"))
    };
    let broken = |error: kube::Error| asked.verdict(&watcher::Error::InitialListFailed(error));
    let system = |code| broken(Error::Service(io::Error::from_raw_os_error(code).into()));
    let named = Asked {
        selection: Selection {
            service: Some("web".to_owned()),
            ..Selection::default()
        },
        ..asked.clone()
    };
    let message =
        "endpointslices is forbidden: User \"system:serviceaccount:prod:web\" cannot list";
    let verdicts = [
        asked.verdict(&refused(403, message)),
        claims(r#""pod":{"name":"web-1"}"#),
        claims(r#""secret":{"name":"anchor"}"#),
        broken(Error::Service(TransportError::NoToken.into())),
        system(111),
        system(101),
        asked.verdict(&refused(503, "apiserver is shutting down")),
        broken(Error::Service(TransportError::HeadTimedOut.into())),
        Verdict::Failed(named.nothing()),
        Verdict::Failed(asked.nothing()),
    ];
    for verdict in verdicts {
        let Verdict::Failed(failure) = verdict else {
            panic!("{verdict:?}");
        };
        let (text, _) = failure
            .detail()
            .split_once(" (the server says")
            .unwrap_or((failure.detail(), ""));
        let text = text.replace(file.to_str().unwrap(), "/account/token");
        // The clock may have gone on by a second.
        let text = text.replace("expired 61s ago", "expired 60s ago");
        let place = told.iter().position(|row| *row == text);
        told.remove(place.unwrap_or_else(|| panic!("the page does not have: {text}")));
    }
    assert_eq!(told, [""; 0], "nobody says so");
    let hint = Asked {
        lookup: Lookup::Pods,
        ..asked
    }
    .nobody();
    assert!(page.contains(&hint), "{hint}");
}
