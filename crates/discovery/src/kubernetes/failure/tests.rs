use std::io;

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
    assert!(failure.detail().len() < 500);
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
