//! Runs the simulation over many seeds; `cargo xtask sim` builds it optimised and calls it.

use clap::Parser;
use enmesh_sim::{Options, cli_run};

/// Many nodes made of the real machines under a seeded clock, network and every kind of fault. A
/// broken promise is told as the story of its seed.
#[derive(Debug, Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = Options::default().seed)]
    seed: u64,
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = Options::default().seeds)]
    seeds: u64,
    /// How many nodes each run has.
    #[arg(long, default_value_t = Options::default().nodes)]
    nodes: usize,
    /// How many virtual seconds each run has.
    #[arg(long, default_value_t = Options::default().seconds)]
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    let Arguments {
        seed,
        seeds,
        nodes,
        seconds,
    } = Arguments::parse();
    cli_run(&Options {
        seed,
        seeds,
        nodes,
        seconds,
    })
}
