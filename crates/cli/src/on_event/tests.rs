//! The command, as a shell runs it.

use std::path::Path;
use std::time::{Instant, SystemTime};

use tracing::Level;

use super::*;
use crate::log::Fields;

/// More than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

async fn run(script: &str, longest: Duration) -> Result<(), RunError> {
    program::run(&shell(script), b"{}\n", longest).await
}

fn event(message: &str, node: &str) -> Record {
    let mut fields = Fields {
        message: message.to_owned(),
        ..Fields::default()
    };
    fields.set("node", node.into());
    Record {
        time: SystemTime::UNIX_EPOCH,
        level: Level::INFO,
        fields,
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_run_ends_as_its_command_does() {
    run("read line && test \"$line\" = '{}'", PATIENCE)
        .await
        .unwrap();
    let failed = run("echo why >&2; exit 3", PATIENCE).await.unwrap_err();
    assert_eq!((failed.code(), failed.stderr()), (Some(3), Some("why")));
    let command = ["/nowhere/at/all".to_owned()];
    let failed = program::run(&command, b"", PATIENCE).await.unwrap_err();
    assert!(matches!(failed, RunError::Start(_)), "{failed}");
}

#[tokio::test]
async fn a_command_that_reads_nothing_or_says_much_is_not_waited_for() {
    let long = vec![b'x'; 1 << 20];
    program::run(&shell("exit 0"), &long, PATIENCE)
        .await
        .unwrap();
    let script = "head -c 1000000 /dev/zero | tr '\\0' e >&2; exit 1";
    let failed = run(script, PATIENCE).await.unwrap_err();
    assert_eq!(failed.stderr().unwrap().len(), 1_024);
}

#[tokio::test]
async fn what_takes_too_long_is_killed_with_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pids");
    let script = format!("sleep 1000 & echo $! $$ > {}; wait", path.display());
    // Long enough for a shell to start on a machine that is busy.
    let failed = run(&script, Duration::from_secs(4)).await.unwrap_err();
    assert!(matches!(failed, RunError::TookTooLong(_)), "{failed}");
    let pids = read(&path);
    assert_eq!(pids.split_whitespace().count(), 2);
    for pid in pids.split_whitespace() {
        let stat = format!("/proc/{pid}/stat");
        // It is gone, or waits for its parent to hear of it.
        let is_over = || {
            let stat = read(Path::new(&stat));
            stat.is_empty() || stat.contains(") Z ")
        };
        until("the process is gone", is_over).await;
    }
}

#[tokio::test]
async fn events_come_one_after_the_other_as_lines_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events");
    // Were two to run at a time, their lines would be mixed.
    let file = path.display();
    let script = format!("echo begin >> {file}; cat >> {file}; sleep 0.02; echo end >> {file}");
    let (queue, on_event) = on_event(shell(&script));
    for node in ["b@h", "c@h", "d@h"] {
        queue.offer(&event("node connected", node));
        queue.offer(&event("node started", node));
    }
    queue.offer(&event("node disconnected", "b@h"));
    let ended = CancellationToken::new();
    ended.cancel();
    tokio::time::timeout(PATIENCE, on_event.run(ended))
        .await
        .unwrap();
    let line = |message, node| {
        format!(
            "begin\n{{\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"level\":\"INFO\",\
             \"message\":\"{message}\",\"node\":\"{node}\"}}\nend\n"
        )
    };
    let expected = ["b@h", "c@h", "d@h"].map(|node| line("node connected", node));
    let expected = expected.concat() + &line("node disconnected", "b@h");
    assert_eq!(read(&path), expected);
}

#[tokio::test]
async fn what_is_over_the_bound_is_counted_and_nobody_waits() {
    let (queue, on_event) = on_event(shell("exit 0"));
    for _ in 0..MAX_WAITING_EVENTS + 7 {
        queue.offer(&event("node connected", "b@h"));
    }
    assert_eq!(queue.lost.load(Ordering::Relaxed), 7);
    assert_eq!(on_event.waiting.len(), MAX_WAITING_EVENTS);
}

#[tokio::test(start_paused = true)]
async fn with_the_node_the_command_ends_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events");
    let script = format!("echo begun >> {}; exec sleep 1000", path.display());
    let (queue, on_event) = on_event(shell(&script));
    for _ in 0..3 {
        queue.offer(&event("node connected", "b@h"));
    }
    let ended = CancellationToken::new();
    ended.cancel();
    let started = tokio::time::Instant::now();
    on_event.run(ended).await;
    assert_eq!(started.elapsed(), LAST_RUNS);
}
