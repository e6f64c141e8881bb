//! `enmesh discover` as a program: its forms, its exit codes, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;

use crate::running::{PATIENCE, Running, enmesh, eventually, private_file};

/// Exit code, stdout, stderr.
fn outcome(args: &[&str]) -> (i32, String, String) {
    let output = enmesh(&[&["discover"], args].concat()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

fn topology_of(path: &Path) -> String {
    format!(
        "strategy=file polling_interval=100ms path={}",
        path.display()
    )
}

/// A `discover --watch` whose lines can be waited for.
struct Watching {
    running: Running,
    lines: Receiver<Value>,
}

impl Watching {
    fn start(args: &[&str]) -> Self {
        let mut running = Running::start(enmesh(&[&["discover", "--watch"], args].concat()));
        let stdout = BufReader::new(running.child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap();
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Self { running, lines }
    }

    /// The next event, with its name or number.
    fn next(&self) -> String {
        let event = self.lines.recv_timeout(PATIENCE).unwrap();
        assert!(event["time"].is_string(), "{event}");
        let detail = ["name", "peers", "kind"].map(|key| event[key].clone());
        let detail = detail.into_iter().find(|value| !value.is_null()).unwrap();
        format!("{} {detail}", event["event"].as_str().unwrap()).replace('"', "")
    }
}

#[test]
fn several_topologies_make_one_list() {
    let fixed = "strategy=epmd name=fixed hosts=b@10.0.0.2,me@10.0.0.9";
    let printed = "strategy=exec name=printed command=\"echo b@10.0.0.2 10.0.0.2:9\"";
    let args = |output| ["--name", "me@10.0.0.9", "--output", output, fixed, printed];
    let (code, stdout, stderr) = outcome(&args("table"));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert_eq!(
        stdout,
        "NAME        ADDRESS   PORT  STANDING  TOPOLOGIES\n\
         b@10.0.0.2  10.0.0.2  9     ready     fixed,printed\n"
    );
    assert_eq!(outcome(&args("names")).1, "b@10.0.0.2\n");
    assert_eq!(outcome(&args("addresses")).1, "10.0.0.2:9\n");
}

#[test]
fn its_json_is_what_strategies_file_and_exec_read() {
    let directory = tempfile::tempdir().unwrap();
    let fixed = "strategy=epmd hosts=b@10.0.0.2,c@h";
    let (_, json, _) = outcome(&["--output", "json", fixed]);
    let path = private_file(directory.path(), "peers.json", &json);
    let (code, names, stderr) = outcome(&["--output", "names", &topology_of(&path)]);
    assert_eq!((code, names.as_str()), (0, "b@10.0.0.2\nc@h\n"), "{stderr}");
}

#[test]
fn the_topologies_of_the_file_are_all_or_those_that_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let text = "name = \"me@10.0.0.9\"\n\
                [[topology]]\nstrategy = \"epmd\"\nname = \"x\"\nhosts = [\"x@h\", \"me@10.0.0.9\"]\n\
                [[topology]]\nstrategy = \"epmd\"\nname = \"y\"\nhosts = [\"y@h\"]\n";
    let config = private_file(directory.path(), "enmesh.toml", text);
    let config = config.to_str().unwrap();
    let names =
        |more: &[&str]| outcome(&[&["--config", config, "--output", "names"], more].concat());
    assert_eq!(names(&[]).1, "x@h\ny@h\n");
    assert_eq!(names(&["y"]).1, "y@h\n");
    let (code, _, stderr) = names(&["z"]);
    assert_eq!(code, 64);
    assert!(
        stderr.contains("\"z\" in the configuration, which has: x, y"),
        "{stderr}"
    );
    assert_eq!(names(&["y", "strategy=local_epmd"]).0, 64);
}

#[test]
fn a_source_that_fails_is_exit_code_1_with_the_reason_and_no_list() {
    let fixed = "strategy=epmd hosts=b@10.0.0.2";
    let failing = "strategy=exec name=broken command=\"ls /no/such/file\"";
    let (code, stdout, stderr) = outcome(&[fixed, failing]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    for part in [
        "enmesh: topology broken (exec) cannot be read: ls: ",
        "/no/such/file",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
    let slow = "strategy=exec command=\"sleep 100\"";
    let (code, _, stderr) = outcome(&["--timeout", "200ms", slow]);
    assert_eq!(code, 1);
    assert!(stderr.contains("gave no answer within 200ms"), "{stderr}");
}

#[test]
fn wrong_usage_and_wrong_configuration_have_their_codes() {
    for (code, args, said) in [
        (64, vec![], "there is no topology"),
        (
            64,
            vec!["--watch", "--output", "names", "strategy=local_epmd"],
            "JSON lines",
        ),
        (
            64,
            vec!["--name", "nobody", "strategy=local_epmd"],
            "nobody",
        ),
        (64, vec!["strategy=pigeon"], "pigeon"),
        (64, vec!["web"], "no topology named \"web\""),
    ] {
        let (got, stdout, stderr) = outcome(&args);
        assert_eq!((got, stdout.as_str()), (code, ""), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    }
    let (code, help, _) = outcome(&["--help"]);
    assert_eq!(code, 0);
    assert!(
        help.contains("Examples:") && help.contains("Exit codes:"),
        "{help}"
    );
}

#[test]
fn each_change_is_a_line_until_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    let path = private_file(directory.path(), "peers", "a@h\n");
    let mut watching = Watching::start(&[&topology_of(&path)]);
    assert_eq!(
        [watching.next(), watching.next()],
        ["added a@h", "complete 1"]
    );
    std::fs::write(&path, "b@h\n").unwrap();
    assert_eq!(
        [watching.next(), watching.next()],
        ["removed a@h", "added b@h"]
    );
    std::fs::write(&path, "b@").unwrap();
    assert_eq!(watching.next(), "failed malformed");
    std::fs::write(&path, "b@h\n").unwrap();
    assert_eq!(watching.next(), "complete 1");
    watching.running.signal("INT");
    assert_eq!(watching.running.ended().code(), Some(0));
}

#[test]
fn a_signal_ends_the_one_list_that_was_awaited() {
    let slow = "strategy=exec command=\"sleep 100\"";
    let mut running = Running::start(enmesh(&["discover", slow]));
    let child = format!("/proc/{0}/task/{0}/children", running.child.id());
    eventually("the command runs", || {
        let children = std::fs::read_to_string(&child).unwrap_or_default();
        (!children.is_empty()).then_some(())
    });
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(1));
}

/// The first line of a stream, and the rest unread.
fn first_line(child: &mut Child) -> (String, BufReader<ChildStdout>) {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    (line, reader)
}

#[test]
fn a_reader_that_goes_away_ends_it_though_nothing_changes() {
    let command: &mut Command =
        &mut enmesh(&["discover", "--watch", "strategy=epmd hosts=a@h,b@h"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (line, reader) = first_line(&mut child);
    assert!(line.contains("\"added\""), "{line}");
    drop(reader);
    let status = eventually("the program ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(said, "");
}

/// A reader that does not read must not keep a signal from ending the program.
#[test]
fn a_signal_ends_it_while_its_output_is_stuck() {
    let directory = tempfile::tempdir().unwrap();
    let names: String = (0..10_000)
        .map(|number| format!("node{number}@h\n"))
        .collect();
    let path = private_file(directory.path(), "peers", &names);
    let mut running = Running::start(enmesh(&["discover", "--watch", &topology_of(&path)]));
    let (line, _unread) = first_line(&mut running.child);
    assert!(line.contains("\"added\""), "{line}");
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(0));
}

/// In many pods HTTPS_PROXY is set, for others than the API server.
#[test]
fn a_proxy_of_the_environment_does_not_come_between_us_and_kubernetes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    thread::spawn(move || {
        let body = "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"metadata\":{\"name\":\"p\"},\
                    \"status\":{\"podIP\":\"10.0.0.2\"}}]}";
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        while let Ok((mut socket, _)) = listener.accept() {
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).unwrap();
            socket.write_all((head.clone() + body).as_bytes()).unwrap();
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: 'http://{server}'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c}}}}]\n"
    );
    let kubeconfig = private_file(directory.path(), "config", &text);
    let topology = "strategy=kubernetes kubernetes_selector=app=web \
                    kubernetes_ip_lookup_mode=pods kubernetes_node_basename=web";
    let mut command = enmesh(&["discover", "--output", "names", topology]);
    command
        .env("KUBECONFIG", kubeconfig)
        .env("HTTPS_PROXY", "http://127.0.0.1:1");
    let output = command.output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "web@10.0.0.2\n",
        "{}",
        String::from_utf8(output.stderr).unwrap()
    );
}
