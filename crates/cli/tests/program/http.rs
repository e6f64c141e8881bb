//! `/livez` and `/readyz` of members and agents.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::members::{free_port, member};
use crate::running::{PATIENCE, Running, enmesh, eventually, private_file};

/// The status and the body of a page, if it comes in a second, as a probe of Kubernetes wants it.
fn page(address: &str, path: &str) -> Option<(u16, String)> {
    let mut socket = TcpStream::connect(address).ok()?;
    let second = Some(Duration::from_secs(1));
    socket.set_read_timeout(second).unwrap();
    socket.set_write_timeout(second).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// Where it listens.
fn address(running: &mut Running) -> String {
    let listens = running.wait_for_next("http server listens");
    listens["address"].as_str().unwrap().to_owned()
}

/// A member `m@127.0.0.1` that has started, and where it listens for HTTP.
fn listening(port: u16, cookie: &Path, more: &[&str]) -> (Running, String) {
    let mut running = Running::start(member("127.0.0.1", port, cookie, more, "json"));
    let at = address(&mut running);
    running.wait_for("node started", "m@127.0.0.1");
    (running, at)
}

/// Waits until the page has this status and says this.
fn becomes(address: &str, path: &str, status: u16, line: &str) {
    eventually(&format!("{path} has {status} and {line}"), || {
        let (found, body) = page(address, path)?;
        (found == status && body.contains(line)).then_some(())
    });
}

const HTTP: [&str; 2] = ["--http-listen", "127.0.0.1:0"];

#[test]
fn a_member_is_ready_while_its_peers_are_there_and_says_so_once() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "topsecret\n");
    let port = free_port();
    let topology = "strategy=epmd name=web hosts=m@127.0.0.2";
    let more = [&HTTP[..], &["--min-peers", "1", "--topology", topology]].concat();
    let (mut first, at) = listening(port, &cookie, &more);
    becomes(&at, "/readyz", 503, "[+]topology web ok\n");
    becomes(
        &at,
        "/readyz",
        503,
        "[-]peers failed: 0 of 1 are connected\n",
    );
    becomes(&at, "/livez", 200, "[+]manager ok\nlivez check passed\n");
    for round in 1..=2 {
        let mut second = Running::start(member("127.0.0.2", port, &cookie, &[], "json"));
        becomes(&at, "/readyz", 200, "[+]peers ok\nreadyz check passed\n");
        first.wait_for_next("ready");
        second.signal("TERM");
        assert_eq!(second.ended().code(), Some(0));
        let unready = first.wait_for_next("no longer ready");
        assert_eq!(unready["reason"], "peers: 0 of 1 are connected", "{round}");
        assert_eq!(unready["level"], "WARN");
        becomes(&at, "/readyz", 503, "[-]peers failed");
    }
    first.signal("TERM");
    assert_eq!(first.ended().code(), Some(0));
    let log = first.rest_of_log();
    let count = |message: &str| log.iter().filter(|it| it["message"] == message).count();
    assert_eq!(
        (count("ready"), count("no longer ready")),
        (2, 2),
        "{log:#?}"
    );
    assert_eq!(page(&at, "/livez"), None, "nobody is left who answers");
}

#[test]
fn an_agent_without_its_node_lives_and_is_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "topsecret\n");
    let port = free_port().to_string();
    let mut agent = enmesh(&["agent", "--node", "web@127.0.0.1", "--log-format", "json"]);
    agent
        .args(["--epmd", "none", "--dist-port", &port])
        .args(HTTP);
    agent.arg("--cookie-file").arg(&cookie);
    let mut agent = Running::start(agent);
    let at = address(&mut agent);
    becomes(&at, "/livez", 200, "[+]manager ok\n");
    becomes(
        &at,
        "/readyz",
        503,
        "[-]node failed: the agent is not attached to it; its log says why\n",
    );
    agent.signal("TERM");
    assert_eq!(agent.ended().code(), Some(0));
}

#[test]
fn a_member_that_is_frozen_does_not_answer_and_does_again_when_it_is_thawed() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c\n");
    let port = free_port();
    let (first, at) = listening(port, &cookie, &HTTP);
    becomes(&at, "/livez", 200, "[+]manager ok\n");
    first.signal("STOP");
    let frozen = page(&at, "/livez");
    first.signal("CONT");
    assert_eq!(frozen, None);
    becomes(&at, "/livez", 200, "[+]manager ok\n");
}

/// Thousands of connections that hold on, and others that talk nonsense; meanwhile the node meets a
/// peer, and whoever asks is answered.
#[test]
fn hostile_clients_harm_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c\n");
    let port = free_port();
    let (mut first, at) = listening(port, &cookie, &HTTP);
    let mut held = std::collections::VecDeque::new();
    for number in 0..2000 {
        let mut socket = TcpStream::connect(&at).unwrap();
        let said = match number % 3 {
            0 => &b"GET /livez HTTP/1.1\r\nX: "[..],
            1 => b"",
            _ => &[0xff; 4096],
        };
        // It may have been closed already.
        let _ = socket.write_all(said);
        held.push_back(socket);
        if held.len() > 500 {
            held.pop_front();
        }
        if number == 1000 {
            becomes(&at, "/livez", 200, "[+]manager ok\n");
        }
    }
    let began = Instant::now();
    becomes(&at, "/readyz", 200, "readyz check passed\n");
    let topology = "strategy=epmd name=web hosts=m@127.0.0.1";
    let more = ["--topology", topology];
    let _second = Running::start(member("127.0.0.2", port, &cookie, &more, "json"));
    first.wait_for("node connected", "m@127.0.0.2");
    assert!(began.elapsed() < PATIENCE);
    let open = std::fs::read_dir(format!("/proc/{}/fd", first.child.id())).unwrap();
    let descriptors = open.count();
    assert!(descriptors < 200, "{descriptors}");
}
