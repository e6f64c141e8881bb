//! `cargo xtask kube`: a real one-node Kubernetes for tests and for looking around.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use anyhow::Result;
use clap::Subcommand;
use enmesh_interop::{Cluster, Lifetime, build_kube, down, ensure_debian_packages};

/// What `cargo xtask kube` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which cluster; several can be up at once.
    #[arg(long, default_value = "xtask")]
    name: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the pinned Kubernetes programs into the cache and install what Debian has.
    Build,
    /// Start the cluster and leave it running.
    Up,
    /// Stop the cluster and remove all that belongs to it.
    Down,
    /// Say what runs.
    Status,
    /// Run kubectl as the cluster's administrator.
    Kubectl {
        /// What kubectl gets.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run a program in the cluster's network, with KUBECONFIG set.
    Exec {
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<OsString>,
    },
}

/// Does what the sub-command says.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Build => {
            ensure_debian_packages()?;
            println!("{}", build_kube()?.display());
            Ok(())
        }
        Command::Up => {
            let cluster = Cluster::up(&args.name, Lifetime::Detached)?;
            eprintln!(
                "the cluster is in a network of its own: `cargo xtask kube kubectl …` and `… exec PROGRAM` enter it, or"
            );
            eprintln!("nsenter --net={} PROGRAM", cluster.netns().display());
            println!("export KUBECONFIG={}", cluster.kubeconfig().display());
            Ok(())
        }
        Command::Down => down(&args.name),
        Command::Status => {
            print!("{}", Cluster::attach(&args.name)?.status()?);
            Ok(())
        }
        Command::Kubectl { args: rest } => {
            become_program(Cluster::attach(&args.name)?.kubectl_command(rest))
        }
        Command::Exec { args: rest } => {
            let cluster = Cluster::attach(&args.name)?;
            let mut command = cluster.command(&rest[0]);
            command
                .args(&rest[1..])
                .env("KUBECONFIG", cluster.kubeconfig());
            become_program(command)
        }
    }
}

/// Replaces this process, so that signals, the terminal and the exit status are the program's own.
fn become_program(mut command: std::process::Command) -> Result<()> {
    Err(command.stdin(Stdio::inherit()).exec().into())
}
