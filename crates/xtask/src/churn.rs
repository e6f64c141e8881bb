//! `cargo xtask churn`: minutes of faults on a cluster with our members, then the same on BEAMs alone.

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
    /// Leave out the control, the cluster of BEAMs alone.
    #[arg(long)]
    without_control: bool,
}

/// Runs both, one after the other: they would slow each other down.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let fixed = "test --package enmesh-interop --test churn -- --nocapture --test-threads 1";
    let mut command = run::cargo(&repository::root(), fixed);
    if args.without_control {
        command.args(["--skip", "under_faults_alone"]);
    }
    command
        .env("ENMESH_CHURN_SECONDS", args.seconds.to_string())
        .env("ENMESH_CHURN_SEED", args.seed.to_string());
    run::run(command, &mut Totals::default())
}
