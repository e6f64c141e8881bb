//! `cargo xtask sim`: the simulation, in a build that is fast and keeps every assertion.

use std::process::Command;

use crate::repository;
use crate::run::{self, Totals};

/// What `cargo xtask sim` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 300)]
    pub(crate) seeds: u64,
    /// How many nodes each run has.
    #[arg(long, default_value_t = 50)]
    pub(crate) nodes: usize,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many virtual seconds each run has.
    #[arg(long, default_value_t = 120)]
    pub(crate) seconds: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            seeds: 300,
            nodes: 50,
            seed: 1,
            seconds: 120,
        }
    }
}

/// Builds and runs it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    run::run(command(args), &mut Totals::default())
}

/// A process of its own, so that this program need not be built anew whenever a core changes.
pub(crate) fn command(args: &Args) -> Command {
    let fixed = "run --profile sim --package enmesh-sim --";
    let mut command = run::cargo(&repository::root(), fixed);
    for (flag, value) in [
        ("--seeds", args.seeds),
        ("--nodes", args.nodes as u64),
        ("--seed", args.seed),
        ("--seconds", args.seconds),
    ] {
        command.args([flag, &value.to_string()]);
    }
    command
}
