//! Stories that share a cluster: side by side, each in a namespace of its own.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};

use super::cluster::Cluster;

/// A name, which is its namespace's as well (with `-` for `_`), and the story, which is told the namespace.
pub type Scenario<'a> = (
    &'a str,
    &'a (dyn Fn(&Cluster, &str) -> Result<()> + Sync + 'a),
);

/// Set by `cargo xtask test --full`: the whole product of scenarios, where else a table covers them.
const FULL_VARIABLE: &str = "ENMESH_FULL";

/// Parts of the names of the scenarios that are told, separated by commas, for somebody who looks at these alone; without it all are.
const PICKED_VARIABLE: &str = "ENMESH_SCENARIOS";

/// Whether everything is to be tried, however long it takes.
pub fn full() -> bool {
    std::env::var_os(FULL_VARIABLE).is_some_and(|value| value == "1")
}

/// How many stories run at once. Each mostly waits, but the start of its pods keeps both cores of a small machine busy, and
/// what is too late there is no fault.
const SIDE_BY_SIDE: usize = 6;

/// When a story has failed: of how many starts of each container the log is shown, and how many lines of each.
const LAST_STARTS: usize = 2;
const LAST_LINES: usize = 8;

/// Runs each in a namespace of its own, some side by side, and says how long it took.
///
/// A namespace is deleted when its story has ended well; of one that has not, the pods and events are printed.
///
/// # Panics
///
/// When any has failed, with the names of all that have.
pub fn scenarios(cluster: &Cluster, all: &[Scenario<'_>]) {
    scenarios_at_once(cluster, SIDE_BY_SIDE, all);
}

/// The same, so many side by side.
///
/// # Panics
///
/// As [`scenarios`] does.
pub fn scenarios_at_once(cluster: &Cluster, at_once: usize, all: &[Scenario<'_>]) {
    let next = AtomicUsize::new(0);
    let picked = std::env::var(PICKED_VARIABLE).ok();
    let teller = || {
        let mut failures = Vec::new();
        while let Some((name, story)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !is_picked(picked.as_deref(), name) {
                println!("scenario {name}: left out by {PICKED_VARIABLE}");
                continue;
            }
            if let Err(error) = run_one(cluster, name, *story) {
                failures.push(format!("{name}: {error:#}"));
            }
        }
        failures
    };
    let failures: Vec<String> = thread::scope(|scope| {
        let tellers: Vec<_> = (0..at_once).map(|_| scope.spawn(teller)).collect();
        let ended = tellers.into_iter().map(|teller| teller.join());
        ended
            .flat_map(|failures| failures.expect("a story's panic is caught"))
            .collect()
    });
    assert!(
        failures.is_empty(),
        "{} of {} scenarios failed:\n{}",
        failures.len(),
        all.len(),
        failures.join("\n\n")
    );
}

fn is_picked(picked: Option<&str>, name: &str) -> bool {
    let Some(picked) = picked else { return true };
    let mut parts = picked.split(',').map(str::trim);
    parts.any(|part| !part.is_empty() && name.contains(part))
}

fn run_one(
    cluster: &Cluster,
    name: &str,
    story: &(dyn Fn(&Cluster, &str) -> Result<()> + Sync),
) -> Result<()> {
    let namespace = name.replace('_', "-");
    let begin = Instant::now();
    cluster.ensure_namespace(&namespace)?;
    let outcome = catch_unwind(AssertUnwindSafe(|| story(cluster, &namespace)))
        .unwrap_or_else(|panic| Err(told(&*panic)));
    let took = begin.elapsed().as_secs_f64();
    match &outcome {
        Ok(()) => {
            println!("scenario {name}: ok, {took:.1} s");
            cluster.kubectl(["delete", "namespace", &namespace, "--wait=false"])?;
        }
        Err(error) => {
            let left = ["get", "pods,events", "--output=wide", "-n", &namespace];
            let left = cluster.kubectl(left).unwrap_or_else(|why| why.to_string());
            let words = last_words(cluster, &namespace);
            println!("scenario {name}: FAILED, {took:.1} s: {error:#}\n{left}\n{words}");
        }
    }
    outcome
}

/// The ends of the logs of all containers, whether they still run or not.
fn last_words(cluster: &Cluster, namespace: &str) -> String {
    let own = |folder: &PathBuf| {
        let name = folder.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(&format!("{namespace}_")))
    };
    let pods = entries(&cluster.file("pod-logs")).into_iter().filter(own);
    let mut text = String::new();
    for container in pods.flat_map(|pod| entries(&pod)) {
        // Each start has a file of its own.
        for file in entries(&container).into_iter().rev().take(LAST_STARTS) {
            let log = fs::read(&file).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(LAST_LINES)..];
            text += &format!("{}:\n{}\n", file.display(), end.join("\n"));
        }
    }
    text
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// What a panic says.
fn told(panic: &(dyn std::any::Any + Send)) -> anyhow::Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    anyhow!("{}", text.unwrap_or("it panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_a_part_names_are_picked_and_without_names_all() {
        for (picked, name, wanted) in [
            (None, "ip", true),
            (Some("ip"), "ip", true),
            (Some("dns, ip"), "ip", true),
            (Some("steered-ip"), "scaling-steered-ip-dns", true),
            (Some("ip-dns"), "ip", false),
            (Some(""), "ip", false),
            (Some("dns,"), "ip", false),
        ] {
            assert_eq!(is_picked(picked, name), wanted, "{picked:?} {name}");
        }
    }
}
