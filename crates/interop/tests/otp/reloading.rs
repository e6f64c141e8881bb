//! Topologies that change beside BEAM nodes, and a command that hears who comes and goes.

use std::path::Path;

use enmesh_interop::{Beam, Epmd, NetNs, Otp, poll_until};
use serde_json::{Value, json};

use crate::bench::{Member, SOON, beam, says, sees};

const US: &str = "r@127.0.0.1";
const FIRST: &str = "a@127.0.0.1";
const SECOND: &str = "b@127.0.0.1";

fn write(path: &Path, hook: &Path, hosts: &[&str]) {
    let script = format!("cat >> {}", hook.display());
    let command = json!(["/bin/sh", "-c", script]);
    let text = format!(
        "on_event = {command}\n[[topology]]\nstrategy = \"epmd\"\nname = \"web\"\nhosts = {hosts:?}\n"
    );
    std::fs::write(path, text).unwrap();
}

/// What the command has heard, as `message node`.
fn heard(hook: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(hook).unwrap_or_default();
    let events = text
        .lines()
        .map_while(|line| serde_json::from_str::<Value>(line).ok());
    let word = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    events
        .map(|event| format!("{} {}", word(&event, "message"), word(&event, "node")))
        .collect()
}

fn hears(hook: &Path, wanted: &[String]) {
    poll_until("the command hears of it", SOON, || {
        let heard = heard(hook);
        anyhow::ensure!(heard == wanted, "{heard:?}");
        Ok(())
    })
    .unwrap();
}

/// Counts how often the BEAM sees us go from now on.
fn watch(beam: &mut Beam) {
    let count = format!(
        "G = fun F(C) -> receive {{nodedown, '{US}', _}} -> F(C + 1); \
        {{get, P}} -> P ! {{downs, C}}, F(C) end end"
    );
    let watcher =
        format!("fun() -> net_kernel:monitor_nodes(true, [{{node_type, all}}]), {count}, G(0) end");
    let register = format!("register(watcher, spawn({watcher}))");
    assert_eq!(beam.eval(&register).unwrap(), "true");
}

/// SIGHUP and a file that changed let the member know another list; no link falls for it, and the
/// command hears of each BEAM that comes and goes as the log does.
pub(crate) fn topologies_change_and_links_stay(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut first = beam(otp, &ns, FIRST, &[]);
    let mut second = beam(otp, &ns, SECOND, &[]);
    let directory = tempfile::tempdir().unwrap();
    let (path, hook) = (
        directory.path().join("enmesh.toml"),
        directory.path().join("heard"),
    );
    write(&path, &hook, &[FIRST]);
    let config = path.to_str().unwrap();
    let mut us = Member::start(&ns, US, &["--hidden", "--config", config]);
    us.connected(0, FIRST);
    watch(&mut first);
    let up = |node: &str| format!("node connected {node}");

    write(&path, &hook, &[FIRST, SECOND]);
    let mark = us.mark();
    us.enmesh.process().hang_up().unwrap();
    assert_eq!(
        us.said(mark, "configuration was read again")["cause"],
        "SIGHUP"
    );
    us.connected(mark, SECOND);
    sees(&mut second, &[US]);
    hears(&hook, &[up(FIRST), up(SECOND)]);

    // The first is in no list any more; its link stays, and is not made again once it is lost.
    write(&path, &hook, &[SECOND]);
    let mark = us.mark();
    assert_eq!(
        us.said(mark, "configuration was read again")["cause"],
        "file"
    );
    sees(&mut first, &[US]);
    let downs = "begin watcher ! {get, self()}, receive {downs, C} -> C end end";
    says(&mut first, downs, "0");
    first.kill9().unwrap();
    us.disconnected(mark, FIRST);
    let mut first = beam(otp, &ns, FIRST, &[]);
    hears(
        &hook,
        &[up(FIRST), up(SECOND), format!("node disconnected {FIRST}")],
    );

    // And again, as one that is wanted.
    write(&path, &hook, &[FIRST, SECOND]);
    let mark = us.mark();
    us.connected(mark, FIRST);
    assert_eq!(
        us.count(|record| record["message"] == "node disconnected"),
        1
    );
    sees(&mut first, &[US]);
}
