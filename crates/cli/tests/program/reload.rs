//! Topologies that change while a member runs.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::members::{free_port, member};
use crate::running::{Running, enmesh, private_file};

const READ_AGAIN: &str = "configuration was read again";

/// A cluster of three members; the one of 127.0.0.1 is told by a file whom it knows.
struct World {
    directory: tempfile::TempDir,
    cookie: PathBuf,
    port: u16,
    others: Vec<Running>,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cookie = private_file(directory.path(), "cookie", "c\n");
        let port = free_port();
        let others = ["127.0.0.2", "127.0.0.3"].map(|address| {
            let mut other = Running::start(member(address, port, &cookie, &[], "json"));
            other.wait_for("node started", &format!("m@{address}"));
            other
        });
        Self {
            directory,
            cookie,
            port,
            others: others.into(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("enmesh.toml")
    }

    /// A file that names these hosts as topology `web`.
    fn text(&self, hosts: &[u8], more: &str) -> String {
        let hosts: Vec<_> = hosts
            .iter()
            .map(|host| format!("m@127.0.0.{host}"))
            .collect();
        format!(
            "name = \"m@127.0.0.1\"\nlisten = \"127.0.0.1\"\ncookie_file = {:?}\nepmd = \"none\"\n\
             dist_port = {}\nprune = \"immediate\"\nlog_format = \"json\"\n{more}\n\
             [[topology]]\nstrategy = \"epmd\"\nname = \"web\"\nhosts = {hosts:?}\n",
            self.cookie, self.port
        )
    }

    fn start(&self, path: &Path) -> Running {
        let mut command: Command = enmesh(&["run", "--config"]);
        command.arg(path);
        Running::start(command)
    }
}

/// All nodedowns that stand in the log so far.
fn nodedowns(running: &Running) -> Vec<String> {
    let downs = running.log().iter();
    let downs = downs.filter(|record| record["message"] == "node disconnected");
    downs
        .map(|record| record["node"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn at_sighup_topologies_change_and_links_that_stay_stay() {
    let world = World::new();
    let path = world.path();
    std::fs::write(&path, world.text(&[2], "")).unwrap();
    let mut first = world.start(&path);
    first.wait_for("node connected", "m@127.0.0.2");
    let more = "echo = true\n[[topology]]\nstrategy = \"epmd\"\nname = \"more\"\nhosts = [\"m@127.0.0.3\"]";
    std::fs::write(&path, world.text(&[2, 3], more)).unwrap();
    first.signal("HUP");
    let warned = first.wait_for_next("these settings are others now and count after a restart");
    assert_eq!(warned["keys"], json!(["echo"]));
    let read = first.wait_for_next(READ_AGAIN);
    assert_eq!(read["added"], json!(["more"]));
    assert_eq!(
        (&read["changed"], &read["kept"]),
        (&json!(["web"]), &json!([]))
    );
    first.wait_for("node connected", "m@127.0.0.3");
    assert_eq!(nodedowns(&first), [""; 0]);
    std::fs::write(&path, world.text(&[3], "")).unwrap();
    first.signal("HUP");
    let read = first.wait_for_next(READ_AGAIN);
    assert_eq!(
        (&read["cause"], &read["removed"]),
        (&json!("SIGHUP"), &json!(["more"]))
    );
    let gone = first.wait_for("node disconnected", "m@127.0.0.2");
    assert_eq!(gone["reason"], "pruned");
    assert_eq!(gone["cluster"], json!(["m@127.0.0.3"]));
    first.signal("TERM");
    assert_eq!(first.ended().code(), Some(0));
}

#[test]
fn a_file_that_changes_is_read_again_by_itself_once_it_is_whole_and_right() {
    let world = World::new();
    let path = world.path();
    std::fs::write(&path, world.text(&[2], "")).unwrap();
    let mut first = world.start(&path);
    first.wait_for("node connected", "m@127.0.0.2");
    std::fs::remove_file(&path).unwrap();
    let gone =
        first.wait_for_next("configuration file is gone or empty; what it said stays in force");
    assert_eq!(gone["level"], "WARN");
    std::fs::write(&path, "name = \"m@127.0.0.1\"\nnonsense = 1\n").unwrap();
    let refused =
        first.wait_for_next("configuration cannot be read again; the last good one stays in force");
    assert_eq!(refused["level"], "ERROR");
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("unknown key \"nonsense\""), "{error}");
    std::fs::write(&path, world.text(&[2, 3], "")).unwrap();
    let read = first.wait_for_next(READ_AGAIN);
    assert_eq!(
        (&read["cause"], &read["changed"]),
        (&json!("file"), &json!(["web"]))
    );
    first.wait_for("node connected", "m@127.0.0.3");
    assert_eq!(nodedowns(&first), [""; 0]);
}

/// Kubernetes mounts a ConfigMap as links into a directory that is swapped as a whole.
#[test]
fn a_config_map_that_is_swapped_is_read_again() {
    let world = World::new();
    let volume = world.directory.path().join("volume");
    let version = |name: &str, hosts: &[u8]| {
        let directory = volume.join(name);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("enmesh.toml"), world.text(hosts, "")).unwrap();
    };
    version("..1", &[2]);
    symlink("..1", volume.join("..data")).unwrap();
    symlink("..data/enmesh.toml", volume.join("enmesh.toml")).unwrap();
    let mut first = world.start(&volume.join("enmesh.toml"));
    first.wait_for("node connected", "m@127.0.0.2");
    version("..2", &[2, 3]);
    symlink("..2", volume.join("..data_tmp")).unwrap();
    std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    std::fs::remove_dir_all(volume.join("..1")).unwrap();
    first.wait_for_next(READ_AGAIN);
    first.wait_for("node connected", "m@127.0.0.3");
    assert_eq!(nodedowns(&first), [""; 0]);
    assert_eq!(world.others.len(), 2);
}
