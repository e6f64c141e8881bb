//! What a new configuration changes.

use crate::config::{Environment, Flags};

use super::*;

fn config(pairs: &[(&'static str, &str)], topologies: &[&str]) -> RunConfig {
    let settings = pairs
        .iter()
        .flat_map(|(key, text)| Flags::layer([(*key, &Some((*text).to_owned()))]));
    let topologies: Vec<_> = topologies.iter().map(|text| (*text).to_owned()).collect();
    let flags = Flags {
        settings: settings.collect(),
        topologies: &topologies,
        cookies: &[],
    };
    let environment = Environment::default();
    flags.read(None, &environment).unwrap()
}

#[test]
fn the_keys_that_differ_are_named_and_topologies_are_none_of_them() {
    let old = config(&[("name", "a@h"), ("echo", "true")], &[]);
    let new = config(
        &[
            ("name", "a@h"),
            ("dist_port", "9"),
            ("allow", "a@,b"),
            ("tls.cert_file", "c"),
            ("tls.key_file", "k"),
            ("tls.ca_file", "a"),
        ],
        &["strategy=local_epmd", "strategy=epmd hosts=a@b"],
    );
    let keys = different(&settings(&old), &settings(&new));
    let tls = [
        "tls.ca_file",
        "tls.cert_file",
        "tls.key_file",
        "tls.verify_client",
    ];
    let expected: Vec<_> = ["allow", "dist_port", "echo"]
        .into_iter()
        .chain(tls)
        .collect();
    assert_eq!(keys, expected);
    let same = different(&settings(&new), &settings(&new));
    assert_eq!(same, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_between_the_first_reading_and_the_watch_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("enmesh.toml");
    std::fs::write(&path, "name = 'a@h'").unwrap();
    let seen = Seen::look(Some(&path));
    let first = config(&[("name", "a@h")], &[]);
    std::fs::write(&path, "# now with a topology").unwrap();
    let read = || Ok(config(&[("name", "a@h")], &["strategy=local_epmd"]));
    let mut reloads = Reloads::listen(seen, &first, read).unwrap();
    // Time stands still while anybody is busy: this is no wait for a slow machine.
    let next = tokio::time::timeout(10 * EVERY, reloads.next());
    let reload = next.await.unwrap();
    assert_eq!((reload.cause, reload.topologies.len()), ("file", 1));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_watched() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    // To open it would wait for a writer for ever.
    assert_eq!(content(&pipe), None);
    assert_eq!(content(directory.path()), None);
}
