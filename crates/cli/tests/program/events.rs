//! The command that is run for each node that comes or goes.

use serde_json::{Value, json};

use crate::members::{free_port, member};
use crate::running::{Running, eventually, private_file};

#[test]
fn the_event_command_hears_what_the_log_says_even_if_the_log_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c\n");
    let port = free_port();
    let heard = directory.path().join("heard");
    let hook = json!(["sh", "-c", format!("cat >> {}", heard.display())]).to_string();
    let mut first = member(
        "127.0.0.1",
        port,
        &cookie,
        &["--log-level", "error"],
        "text",
    );
    first.args(["--on-event", &hook]).env("PATH", env!("PATH"));
    let mut first = Running::start(first);
    let topology = ["--topology", "strategy=epmd name=web hosts=m@127.0.0.1"];
    let start = || Running::start(member("127.0.0.2", port, &cookie, &topology, "json"));
    let events = || -> Vec<Value> {
        let text = std::fs::read_to_string(&heard).unwrap_or_default();
        text.lines()
            .map_while(|line| serde_json::from_str(line).ok())
            .collect()
    };
    let mut second = start();
    let connected = eventually("a nodeup", || events().first().cloned());
    assert_eq!(connected["message"], "node connected");
    assert_eq!(connected["node"], "m@127.0.0.2");
    assert_eq!(connected["cluster"], json!(["m@127.0.0.2"]));
    second.signal("TERM");
    second.ended();
    let gone = eventually("a nodedown", || events().get(1).cloned());
    assert_eq!(gone["message"], "node disconnected");
    assert_eq!(
        (&gone["reason"], &gone["cluster"]),
        (&json!("connection_closed"), &json!([]))
    );
    let mut second = start();
    eventually("a nodeup again", || events().get(2).cloned());
    // What the end brings is heard of too.
    first.signal("TERM");
    assert_eq!(first.ended().code(), Some(0));
    assert_eq!(events().len(), 4);
    assert_eq!(events()[3]["reason"], "shutdown");
    assert_eq!(first.rest_of_log(), [] as [Value; 0]);
    second.signal("TERM");
    second.ended();
}

#[test]
fn a_command_that_fails_is_said_with_its_code_and_words_and_the_member_lives() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c\n");
    let port = free_port();
    let hook = json!(["/bin/sh", "-c", "echo sorry >&2; exit 7"]).to_string();
    let mut first = member("127.0.0.1", port, &cookie, &[], "json");
    first.args(["--on-event", &hook]);
    let mut first = Running::start(first);
    first.wait_for("node started", "m@127.0.0.1");
    let topology = ["--topology", "strategy=epmd name=web hosts=m@127.0.0.1"];
    let mut second = Running::start(member("127.0.0.2", port, &cookie, &topology, "json"));
    let failed = first.wait_for_next("event command failed");
    assert_eq!(
        (&failed["code"], &failed["stderr"]),
        (&json!(7), &json!("sorry"))
    );
    assert_eq!(
        (&failed["level"], &failed["command"]),
        (&json!("WARN"), &json!("/bin/sh"))
    );
    second.signal("TERM");
    second.ended();
    first.wait_for("node disconnected", "m@127.0.0.2");
}
