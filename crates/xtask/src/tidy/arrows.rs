//! Which crate may name which, and what the pure ones may stand on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Finding;
use crate::repository::PURE;

/// "Depends on", as ARCHITECTURE.md draws it. A crate may name whatever it reaches by these.
/// Tests and tools (`sim`, `interop`, `xtask`) are not listed: they may name anything, and nothing
/// that is listed may name them, but tests may stand on the bench.
const ARROWS: [(&str, &[&str]); 12] = [
    ("identity", &[]),
    ("term", &[]),
    ("derive", &["term"]),
    ("proto", &["term", "identity"]),
    ("membership", &["term", "identity", "proto"]),
    ("otp", &["proto", "identity"]),
    ("epmd", &["proto", "identity"]),
    ("discovery", &["epmd", "membership", "identity"]),
    (
        "node",
        &["discovery", "otp", "membership", "identity", "derive"],
    ),
    ("agent", &["node"]),
    ("admin", &["node"]),
    ("cli", &["admin", "agent", "node", "discovery", "epmd"]),
];

/// The crate that starts real peers for tests.
const BENCH: &str = "interop";

/// Libraries that do IO, tell the time or make randomness.
const IMPURE: [&str; 17] = [
    "tokio",
    "tokio-util",
    "tokio-rustls",
    "tokio-stream",
    "async-std",
    "smol",
    "mio",
    "polling",
    "socket2",
    "rustix",
    "libc",
    "nix",
    "kube",
    "hickory-resolver",
    "rustls",
    "getrandom",
    "chrono",
];

/// Features by which `rand` takes randomness from the system.
const IMPURE_RAND: [&str; 5] = ["thread_rng", "os_rng", "sys_rng", "getrandom", "default"];

/// One dependency as a manifest has it.
#[derive(Debug, Clone)]
struct Dependency {
    package: String,
    features: Vec<String>,
    default_features: bool,
    for_tests: bool,
}

/// A member of the workspace: the name of its directory under `crates`, and what it depends on.
#[derive(Debug)]
struct Member {
    directory: String,
    package: String,
    dependencies: Vec<Dependency>,
}

pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    Ok(judge(&members(root)?))
}

/// What cargo itself makes of the manifests.
fn members(root: &Path) -> anyhow::Result<Vec<Member>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root)
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    packages.iter().map(member).collect()
}

fn member(package: &Value) -> anyhow::Result<Member> {
    let manifest = Path::new(
        package["manifest_path"]
            .as_str()
            .context("no manifest_path")?,
    );
    let directory = manifest
        .parent()
        .and_then(Path::file_name)
        .context("no directory")?;
    let dependencies = package["dependencies"]
        .as_array()
        .context("no dependencies")?;
    Ok(Member {
        directory: directory.to_string_lossy().into_owned(),
        package: package["name"].as_str().context("no name")?.to_owned(),
        dependencies: dependencies
            .iter()
            .map(dependency)
            .collect::<anyhow::Result<_>>()?,
    })
}

fn dependency(value: &Value) -> anyhow::Result<Dependency> {
    let features = value["features"].as_array().context("no features")?;
    Ok(Dependency {
        package: value["name"]
            .as_str()
            .context("no dependency name")?
            .to_owned(),
        features: features
            .iter()
            .filter_map(|f| f.as_str().map(str::to_owned))
            .collect(),
        default_features: value["uses_default_features"].as_bool().unwrap_or(true),
        for_tests: value["kind"].as_str() == Some("dev"),
    })
}

fn judge(members: &[Member]) -> Vec<Finding> {
    let ours: BTreeMap<&str, &str> = members
        .iter()
        .map(|m| (m.package.as_str(), m.directory.as_str()))
        .collect();
    let mut findings = Vec::new();
    for member in members {
        let mut find = |what: String| {
            let manifest = format!("crates/{}/Cargo.toml", member.directory);
            findings.push(Finding::new(manifest, 0, what));
        };
        let Some(reached) = reached(&member.directory) else {
            continue;
        };
        for dependency in &member.dependencies {
            if let Some(directory) = ours.get(dependency.package.as_str())
                && *directory != member.directory
                && !reached.contains(directory)
                && !(dependency.for_tests && *directory == BENCH)
            {
                find(format!(
                    "no arrow leads from {} to {directory}",
                    member.directory
                ));
            }
            if PURE.contains(&member.directory.as_str()) && !dependency.for_tests {
                impurities(dependency).into_iter().for_each(&mut find);
            }
            if dependency.package == "anyhow" && member.directory != "cli" && !dependency.for_tests
            {
                find("a library has typed errors, not anyhow".to_owned());
            }
        }
    }
    findings
}

/// Everything that arrows lead to from `directory`; `None` for tests and tools, which are free.
fn reached(directory: &str) -> Option<BTreeSet<&'static str>> {
    let arrows = |from: &str| {
        ARROWS
            .iter()
            .find(|(name, _)| *name == from)
            .map(|(_, to)| *to)
    };
    let mut open: Vec<&'static str> = arrows(directory)?.to_vec();
    let mut reached = BTreeSet::new();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(arrows(next).unwrap_or_default());
        }
    }
    Some(reached)
}

fn impurities(dependency: &Dependency) -> Vec<String> {
    let mut found = Vec::new();
    if IMPURE.contains(&dependency.package.as_str()) {
        found.push(format!(
            "a pure crate cannot stand on {}",
            dependency.package
        ));
    }
    if dependency.package == "rand" {
        let system = dependency
            .features
            .iter()
            .find(|f| IMPURE_RAND.contains(&f.as_str()));
        if dependency.default_features || system.is_some() {
            found.push("a pure crate takes its seeds as values: rand without the system's".into());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(directory: &str) -> Member {
        Member {
            directory: directory.to_owned(),
            package: format!("enmesh-{directory}"),
            dependencies: Vec::new(),
        }
    }

    /// What `from` is told when it depends on `on`.
    fn told(from: &str, on: Dependency) -> Vec<String> {
        let names = [
            "identity",
            "term",
            "proto",
            "membership",
            "epmd",
            "discovery",
            "node",
            "sim",
            "interop",
        ];
        let mut members: Vec<_> = names.into_iter().map(named).collect();
        let member = members.iter_mut().find(|m| m.directory == from).unwrap();
        member.dependencies.push(on);
        judge(&members)
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    fn on(package: &str) -> Dependency {
        Dependency {
            package: package.to_owned(),
            features: Vec::new(),
            default_features: false,
            for_tests: false,
        }
    }

    #[test]
    fn an_arrow_may_be_followed_over_several_crates() {
        assert!(told("node", on("enmesh-epmd")).is_empty());
        assert!(told("sim", on("enmesh-node")).is_empty());
    }

    #[test]
    fn an_arrow_is_not_followed_backwards() {
        assert_eq!(
            told("proto", on("enmesh-membership")),
            ["crates/proto/Cargo.toml: no arrow leads from proto to membership"]
        );
        assert_eq!(told("epmd", on("enmesh-discovery")).len(), 1);
        assert_eq!(
            told(
                "epmd",
                Dependency {
                    for_tests: true,
                    ..on("enmesh-node")
                }
            )
            .len(),
            1
        );
    }

    #[test]
    fn nothing_stands_on_the_tools() {
        assert_eq!(told("node", on("enmesh-sim")).len(), 1);
        assert_eq!(told("epmd", on("enmesh-interop")).len(), 1);
        let bench = Dependency {
            for_tests: true,
            ..on("enmesh-interop")
        };
        assert!(told("epmd", bench).is_empty());
    }

    #[test]
    fn a_pure_crate_has_no_runtime_and_no_system_randomness() {
        assert_eq!(told("proto", on("tokio")).len(), 1);
        assert!(
            told(
                "proto",
                Dependency {
                    for_tests: true,
                    ..on("tokio")
                }
            )
            .is_empty()
        );
        assert!(told("epmd", on("tokio")).is_empty());
        assert!(told("membership", on("rand")).is_empty());
        assert_eq!(
            told(
                "membership",
                Dependency {
                    default_features: true,
                    ..on("rand")
                }
            )
            .len(),
            1
        );
        let os = Dependency {
            features: vec!["thread_rng".into()],
            ..on("rand")
        };
        assert_eq!(told("membership", os).len(), 1);
    }

    #[test]
    fn libraries_have_typed_errors() {
        assert_eq!(told("node", on("anyhow")).len(), 1);
        assert!(told("sim", on("anyhow")).is_empty());
    }
}
