//! `cargo xtask churn`: minutes of faults on a cluster with our members, and the same on BEAMs alone.

use crate::repository;
use crate::run::{self, Totals};

/// What `cargo xtask churn` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many seconds of faults each cluster gets.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// What the script of faults is made of.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Give the same script to a cluster of BEAMs alone first.
    #[arg(long)]
    control: bool,
}

/// Runs one after the other: they would slow each other down.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let fixed = "test --package enmesh-interop --test churn -- --nocapture";
    let mut command = run::cargo(&repository::root(), fixed);
    if args.control {
        command.env("ENMESH_CHURN_CONTROL", "1");
    }
    command
        .env("ENMESH_CHURN_SECONDS", args.seconds.to_string())
        .env("ENMESH_CHURN_SEED", args.seed.to_string());
    run::run(command, &mut Totals::default())
}
