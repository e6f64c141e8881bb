//! `enmesh run`: two members, their logs, and how they end.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::running::{PATIENCE, Running, enmesh, eventually, private_file};

/// A port that is free on both addresses now.
pub(crate) fn free_port() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if TcpListener::bind(("127.0.0.2", port)).is_ok() {
            return port;
        }
    }
}

pub(crate) fn member(
    address: &str,
    port: u16,
    cookie: &Path,
    more: &[&str],
    format: &str,
) -> Command {
    let mut command = enmesh(&["run", "--log-format", format, "--epmd", "none"]);
    command.args(["--dist-port", &port.to_string(), "--listen", address]);
    command
        .args(["--name", &format!("m@{address}"), "--cookie-file"])
        .arg(cookie)
        .args(more);
    command
}

#[test]
fn two_members_log_each_other_and_end_well_at_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c\n");
    let port = free_port();
    let mut first = Running::start(member("127.0.0.1", port, &cookie, &[], "json"));
    let started = first.wait_for("node started", "m@127.0.0.1");
    assert_eq!(started["level"], "INFO");
    assert_eq!(started["port"], json!(port));
    assert!(started["creation"].as_u64().unwrap() > 0);
    assert_eq!(started["epmd"], "none");

    let topology = "strategy=epmd name=web hosts=m@127.0.0.1";
    let mut second = Running::start(member(
        "127.0.0.2",
        port,
        &cookie,
        &["--topology", topology],
        "json",
    ));
    let connected = second.wait_for("node connected", "m@127.0.0.1");
    assert_eq!(connected["topology"], json!(["web"]));
    assert_eq!(connected["cluster"], json!(["m@127.0.0.1"]));
    let uninvited = first.wait_for("node connected", "m@127.0.0.2");
    assert_eq!(uninvited["topology"], json!([]));
    assert_eq!(uninvited["cluster"], json!(["m@127.0.0.2"]));

    second.signal("TERM");
    assert_eq!(second.ended().code(), Some(0));
    let gone = first.wait_for("node disconnected", "m@127.0.0.2");
    assert_eq!(gone["cluster"], json!([]));
    assert!(gone["reason"].is_string());
    first.signal("INT");
    assert_eq!(first.ended().code(), Some(0));
    assert!(
        first.rest_of_log().iter().all(Value::is_object),
        "each line is a JSON object"
    );
}

#[test]
fn odd_names_stay_whole_in_the_json_log() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c\n");
    let port = free_port();
    let mut first = Running::start(member("127.0.0.1", port, &cookie, &[], "json"));
    first.wait_for("node started", "m@127.0.0.1");
    let odd = "a,b\"\\\u{f6}@127.0.0.2";
    let mut second = enmesh(&["run", "--name", odd, "--listen", "127.0.0.2"]);
    second
        .args(["--epmd", "none", "--dist-port", &port.to_string()])
        .args(["--topology", "strategy=epmd hosts=m@127.0.0.1"])
        .arg("--cookie-file")
        .arg(&cookie);
    let _second = Running::start(second);
    let connected = first.wait_for("node connected", odd);
    assert_eq!(connected["cluster"], json!([odd]));
}

#[test]
fn a_cookie_file_that_others_can_read_only_warns() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "very-secret");
    std::fs::set_permissions(&cookie, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut running = Running::start(member("127.0.0.1", free_port(), &cookie, &[], "json"));
    running.wait_for("node started", "m@127.0.0.1");
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(0));
    let log = running.rest_of_log();
    let warning = |record: &&Value| record["message"] == "cookie file can be read by others";
    assert_eq!(log.iter().find(warning).expect("it warns")["level"], "WARN");
    assert!(
        log.iter()
            .all(|record| !record.to_string().contains("very-secret"))
    );
}

#[test]
fn the_hidden_flag_ends_the_member_with_its_stdin() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c");
    let mut command = member(
        "127.0.0.1",
        free_port(),
        &cookie,
        &["--exit-with-stdin"],
        "json",
    );
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    running.wait_for("node started", "m@127.0.0.1");
    drop(running.child.stdin.take());
    assert_eq!(running.ended().code(), Some(0));
}

#[test]
fn epmd_answers_until_a_signal_comes() {
    let port = free_port();
    let args = ["epmd", "--listen", "127.0.0.1", "--log-format", "json"];
    let mut command = enmesh(&args);
    command.args(["--port", &port.to_string()]);
    let mut running = Running::start(command);
    let mut answer = Vec::new();
    let mut stream = eventually("it listens", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // NAMES_REQ; with no name registered the answer is the port alone.
    stream.write_all(&[0, 1, b'n']).unwrap();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, u32::from(port).to_be_bytes());
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(0));
    assert!(
        running.rest_of_log().iter().all(Value::is_object),
        "each line is a JSON object"
    );
}

#[test]
fn a_text_log_has_no_colours_when_no_terminal_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c");
    std::fs::set_permissions(&cookie, std::fs::Permissions::from_mode(0o644)).unwrap();
    let log_of = |format: &str| {
        // With its stdin at an end the member ends as soon as it has begun.
        let mut command = member(
            "127.0.0.1",
            free_port(),
            &cookie,
            &["--exit-with-stdin"],
            format,
        );
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let text = log_of("text");
    assert!(
        text.contains("Z WARN  cookie file can be read by others file="),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
    let json = log_of("json");
    assert!(json.starts_with("{\"timestamp\":\""), "{json}");
}

/// The usual soft limit would keep a large cluster's links out.
#[test]
fn a_member_takes_as_many_descriptors_as_it_may_have() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c\n");
    let member = member("127.0.0.1", free_port(), &cookie, &[], "json");
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -S -n 64 && exec \"$0\" \"$@\""])
        .arg(member.get_program())
        .args(member.get_args());
    let mut member = Running::start(limited);
    member.wait_for("node started", "m@127.0.0.1");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", member.child.id())).unwrap();
    let files: Vec<&str> = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(files[3], files[4], "soft and hard limit: {limits}");
    assert_ne!(files[3], "64");
}
