//! The chores of this repository; `cargo xtask help` lists them.

mod bench;
mod churn;
mod dist;
mod image;
mod kube;
mod peers;
mod repository;
mod run;
mod simulation;
mod suite;
mod tidy;

use clap::{Parser, Subcommand};

/// The chores of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make and check the Erlang releases that the tests talk to.
    Peers(peers::Args),
    /// Build, start, stop and use a real one-node Kubernetes.
    Kube(kube::Args),
    /// Check the rules of this repository that no compiler checks.
    Tidy,
    /// Install what the tests need where that can be done, then run everything.
    Test(suite::Args),
    /// What CI runs: `test`, with nothing left out.
    Ci,
    /// Measure nodes against nodes, OTP's and ours in turn, and print the ratios.
    Bench(bench::Args),
    /// Give a cluster with our members, and one of BEAMs alone, the same minutes of faults.
    Churn(churn::Args),
    /// Build the program that is shipped, static, its start-up code in one place.
    Dist(dist::Args),
    /// Put the program that is shipped into a container image, an OCI archive.
    Image(image::Args),
    /// Simulate many nodes over many seeds; tells the story of a seed that breaks a promise.
    Sim(simulation::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Peers(args) => peers::run(&args),
        Command::Kube(args) => kube::run(&args),
        Command::Tidy => tidy::run(),
        Command::Test(args) => suite::run(&args),
        Command::Ci => suite::run(&suite::Args::default()),
        Command::Bench(args) => bench::run(&args),
        Command::Churn(args) => churn::run(&args),
        Command::Dist(args) => dist::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Sim(args) => simulation::run(&args),
    }
}
