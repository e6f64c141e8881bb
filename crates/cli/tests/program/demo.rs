//! `enmesh demo`, from end to end, and that it leaves nothing behind.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::running::{Running, enmesh, eventually};

fn demo(directory: &Path, args: &[&str]) -> Command {
    let mut command = enmesh(&["demo"]);
    command.env("TMPDIR", directory).args(args);
    command
}

/// The processes whose environment names `directory`: the demo's members, for their KUBECONFIG is
/// in it.
fn members(directory: &Path) -> Vec<String> {
    let wanted = format!("KUBECONFIG={}", directory.display());
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let is_member = |process: &std::fs::DirEntry| {
        // A process that has just ended, or another user's, has no environment to read.
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        environment
            .windows(wanted.len())
            .any(|part| part == wanted.as_bytes())
    };
    let id = |process: std::fs::DirEntry| process.file_name().into_string().unwrap();
    processes.filter(is_member).map(id).collect()
}

#[test]
fn every_step_is_true_and_nothing_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let output = demo(directory.path(), &["--pace", "fast"])
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(start.elapsed() < Duration::from_secs(15));
    for step in [
        "kubectl scale deployment/demo --replicas=3",
        "each of 3 members lists the 2 others",
        "kubectl scale deployment/demo --replicas=4",
        "each of 4 members lists the 3 others",
        "kill -9 demo@127.0.0.3",
        "all 3 others log \"node disconnected\"",
        "kubectl delete pod demo-4",
        "demo@127.0.0.5 ended well",
        "Every step was true, and no process is left.",
    ] {
        assert!(stdout.contains(step), "{step} is not in\n{stdout}");
    }
    assert_eq!(members(directory.path()), Vec::<String>::new());
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "no file is left"
    );
}

/// Starts a demo and waits until its members run.
fn begun(directory: &Path) -> Running {
    let running = Running::start(demo(directory, &[]));
    eventually("the members run", || {
        (members(directory).len() >= 3).then_some(())
    });
    running
}

#[test]
fn a_signal_ends_it_at_once_with_nobody_left() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = begun(directory.path());
    running.signal("INT");
    assert_eq!(running.ended().code(), Some(1));
    assert_eq!(members(directory.path()), Vec::<String>::new());
}

#[test]
fn members_end_by_themselves_when_the_demo_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = begun(directory.path());
    running.signal("KILL");
    running.ended();
    eventually("the members end", || {
        members(directory.path()).is_empty().then_some(())
    });
}

#[test]
fn a_step_that_is_not_true_fails_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = begun(directory.path());
    let victim = members(directory.path()).swap_remove(0);
    assert!(
        Command::new("kill")
            .args(["-s", "KILL", &victim])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(running.ended().code(), Some(1));
    let log = running.rest_of_log();
    let said = |record: &serde_json::Value| {
        let text = record.as_str().unwrap_or_default();
        text.starts_with("enmesh: demo@127.0.0.")
            && (text.contains(" ended") || text.contains(" lost "))
    };
    assert!(log.iter().any(said), "{log:#?}");
    assert_eq!(members(directory.path()), Vec::<String>::new());
}

#[test]
fn without_loopback_it_fails_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let inside = demo(directory.path(), &["--pace", "fast"]);
    let mut outside = Command::new("unshare");
    outside
        .args(["--net", "--map-root-user"])
        .arg(inside.get_program())
        .args(inside.get_args());
    outside.env("TMPDIR", directory.path()).stdin(Stdio::null());
    let output = outside.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("which this system does not offer"),
        "{stderr}"
    );
    assert!(stderr.contains("ip link set lo up"), "{stderr}");
}
