//! `cargo xtask bench`: nodes against nodes, OTP's and ours in turn; or discovery on a real Kubernetes.

use std::process::Command;

use crate::repository;
use crate::run::{self, Totals};

/// What `cargo xtask bench` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often each figure is taken.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many milliseconds each figure takes.
    #[arg(long, default_value_t = 1000)]
    millis: u64,
    /// These rows only, separated by commas, such as `ping_1,one_way_small`.
    #[arg(long)]
    rows: Option<String>,
    /// These columns only beside OTP → OTP, separated by commas: `rr`, `rb`, `br`.
    #[arg(long)]
    columns: Option<String>,
    /// All links over TLS 1.3, and the rows that show what that costs.
    #[arg(long)]
    tls: bool,
    /// Discovery on a real Kubernetes instead: from an address added to a peer joined, 30 times, and what ten idle nodes ask
    /// of the API in ten minutes.
    #[arg(long)]
    discovery: bool,
    /// Members in pods of a real Kubernetes instead, at most twelve minutes: how fast they find and miss each other with each
    /// lookup (`--rows`), `--rounds` times at each size, and what idle ones ask of the API. ENMESH_STATIC_BIN names the static program.
    #[arg(long, conflicts_with = "discovery")]
    kubernetes: bool,
    /// How many members there are, one number after the other; with `--kubernetes`.
    #[arg(long, default_value = "3,10,30", requires = "kubernetes")]
    sizes: String,
    /// For how many seconds idle members are watched at least; with `--kubernetes`.
    #[arg(long, default_value_t = 330, requires = "kubernetes")]
    idle: u64,
}

/// Builds the bench and runs it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.discovery {
        let discovery = run::cargo(
            &repository::root(),
            "bench --package enmesh-interop --bench discovery",
        );
        return run::run(discovery, &mut Totals::default());
    }
    if args.kubernetes {
        return run::run(kubernetes(args), &mut Totals::default());
    }
    let fixed = "bench --package enmesh-interop --bench nodes --";
    let mut command = run::cargo(&repository::root(), fixed);
    command.args(["--rounds", &args.rounds.to_string()]);
    command.args(["--millis", &args.millis.to_string()]);
    for (flag, words) in [("--rows", &args.rows), ("--columns", &args.columns)] {
        if let Some(words) = words {
            command.args([flag, words]);
        }
    }
    if args.tls {
        command.arg("--tls");
    }
    run::run(command, &mut Totals::default())
}

fn kubernetes(args: &Args) -> Command {
    let fixed = "bench --package enmesh-interop --bench kubernetes --";
    let mut command = run::cargo(&repository::root(), fixed);
    command.args(["--rounds", &args.rounds.to_string()]);
    command.args(["--sizes", &args.sizes, "--idle", &args.idle.to_string()]);
    if let Some(lookups) = &args.rows {
        command.args(["--rows", lookups]);
    }
    command
}
