//! The stories with a real Kubernetes, each of which has its own.

use std::path::Path;

use anyhow::bail;

use super::{ONCE_MORE, STATIC_PROGRAM, alone, program, test_programs};
use crate::run::{self, Totals};

/// How many test programs with a Kubernetes of their own run at once. They mostly wait, too, but the
/// start of a cluster keeps both cores busy.
const CLUSTERS: usize = 2;

/// Of the test programs with a Kubernetes those that take longest, which are to begin first.
const LONGEST: [&str; 9] = [
    "kube_rollout",
    "kube_release",
    "kube_scaling",
    "kube_api_gone",
    "kube_pod_faults",
    "kube_api_faults",
    "kubernetes_lookups",
    "kube_ready",
    "kube_shapes",
];

/// Picks scenarios by name; the others are left out and fail nothing.
const PICKED: &str = "ENMESH_SCENARIOS";

/// Has everything tried.
const FULL: &str = "ENMESH_FULL";

/// Runs them, some of them side by side. Says of each that was run once more how that ended.
pub(super) fn run_all(
    root: &Path,
    shipped: &Path,
    full: bool,
    totals: &mut Totals,
    remarks: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut targets = test_programs(&root.join("crates/interop/tests"))?;
    targets.retain(|target| target.starts_with("kube"));
    let rank = |target: &String| LONGEST.iter().position(|name| name == target);
    targets.sort_by_key(|target| rank(target).unwrap_or(LONGEST.len()));
    if targets.is_empty() {
        bail!("there are no such tests");
    }
    let program = program()?;
    let command = |target: &String| {
        let mut test = run::cargo(root, "test --package enmesh-interop --test");
        test.arg(target)
            .env("ENMESH_BIN", &program)
            .env(STATIC_PROGRAM, shipped)
            // Whoever looks at one story by hand still tells all of them here.
            .env_remove(PICKED)
            .env_remove(FULL);
        if full {
            test.env(FULL, "1");
        }
        test
    };
    let commands = targets.iter().map(command).collect();
    let failed = run::run_side_by_side(commands, CLUSTERS, totals)?;
    if failed.len() > ONCE_MORE {
        let failed: Vec<_> = failed.iter().map(|place| &targets[*place][..]).collect();
        bail!("{} programs failed: {}", failed.len(), failed.join(", "));
    }
    let outcomes = failed.into_iter().map(|place| {
        let target = &targets[place];
        println!("\n{target} failed beside another cluster: once more, alone");
        let outcome = run::run(command(target), totals);
        remarks.push(alone(target, outcome.is_ok()));
        outcome
    });
    // All of them, whatever becomes of the first.
    let outcomes: Vec<_> = outcomes.collect();
    outcomes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository;

    #[test]
    fn those_that_are_named_are_there() {
        let programs = test_programs(&repository::root().join("crates/interop/tests")).unwrap();
        for name in LONGEST {
            assert!(programs.iter().any(|program| program == name), "{name}");
        }
    }

    #[test]
    fn the_tests_know_the_variables_by_these_names() {
        let file = repository::root().join("crates/interop/src/kube/scenarios.rs");
        let text = std::fs::read_to_string(file).unwrap();
        for name in [PICKED, FULL] {
            assert!(text.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}
