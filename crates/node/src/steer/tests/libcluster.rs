//! libcluster, test/strategy_test.exs: `connect_nodes/4` and `disconnect_nodes/4`, with a connector
//! in the place of the swappable functions. What is logged or sent as telemetry there is an event here.

use super::*;

const FOO: &str = "foo@some.host";

impl Bench {
    fn refuses(&self, name: &str, failure: Failure) {
        let refused = (name.to_owned(), failure);
        self.fake.refused.lock().unwrap().extend([refused]);
    }

    fn has_called(&self, call: &str) -> bool {
        self.calls().iter().any(|made| made == call)
    }
}

/// Foo is connected, by us, and then no topology names it.
async fn names_foo_no_more(keeps_links: bool) -> Bench {
    let mut bench = Bench::start(Prune::Immediate, OnLeave::Stay, keeps_links);
    bench.tells(nobody());
    bench.wants(&[FOO]).await;
    assert_eq!(bench.event().await, "+foo@some.host");
    bench.wants(&[]).await;
    bench
}

/// Whom it cannot connect is not connected, and hinders nobody else.
async fn fails(failure: Failure) {
    let mut bench = Bench::plain();
    bench.refuses(FOO, failure);
    bench.tells(nobody());
    bench.wants(&[FOO, "bar@some.host"]).await;
    assert_eq!(bench.event().await, "+bar@some.host");
    assert!(bench.is_quiet().await, "{failure:?} is no nodeup");
    assert_eq!(bench.connected(), ["bar@some.host"], "{failure:?}");
    assert!(bench.has_called("connect foo@some.host"));
}

#[tokio::test(start_paused = true)]
async fn does_not_connect_existing_nodes_again() {
    let mut bench = Bench::plain();
    bench.tells(Change::Everybody(vec![peer(FOO, 1)]));
    assert_eq!(bench.event().await, "+foo@some.host");
    for _ in 0..2 {
        bench.wants(&["own@h", FOO]).await;
        assert!(bench.is_quiet().await);
    }
    assert_eq!(bench.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn does_connect_new_nodes() {
    let mut bench = Bench::plain();
    bench.tells(nobody());
    bench.wants(&[FOO]).await;
    assert_eq!(bench.event().await, "+foo@some.host");
    assert_eq!(bench.calls(), ["connect foo@some.host"]);
    assert_eq!(bench.connected(), [FOO]);
}

/// libcluster's `false`.
#[tokio::test(start_paused = true)]
async fn handles_connect_failure() {
    fails(DialFailure::Refused.into()).await;
}

/// libcluster's `ignored`: whoever was to connect is no part of a network itself.
#[tokio::test(start_paused = true)]
async fn handles_connect_ignore() {
    fails(Failure::Untold).await;
}

#[tokio::test(start_paused = true)]
async fn does_not_disconnect_missing_nodes() {
    let mut bench = Bench::start(Prune::Immediate, OnLeave::Stay, false);
    bench.tells(Change::Everybody(vec![peer(FOO, 1)]));
    bench.wants(&[FOO]).await;
    assert_eq!(bench.event().await, "+foo@some.host");
    bench.refuses(FOO, DialFailure::Refused.into());
    bench.tells(down(FOO, 1, DownReason::ConnectionClosed));
    assert_eq!(bench.event().await, "-foo@some.host connection_closed");
    bench.wants(&[]).await;
    assert!(bench.is_quiet().await);
    assert!(!bench.has_called("disconnect foo@some.host"));
}

#[tokio::test(start_paused = true)]
async fn does_disconnect_new_nodes() {
    let mut bench = names_foo_no_more(false).await;
    assert_eq!(bench.event().await, "-foo@some.host pruned");
    assert!(bench.has_called("disconnect foo@some.host"));
    assert_eq!(bench.connected(), [""; 0]);
}

/// libcluster keeps whom it could not disconnect in its state, and so do we.
#[tokio::test(start_paused = true)]
async fn handles_disconnect_error() {
    let mut bench = names_foo_no_more(true).await;
    assert!(bench.is_quiet().await, "the link stands: no nodedown");
    assert!(bench.has_called("disconnect foo@some.host"));
    assert_eq!(bench.connected(), [FOO]);
}
