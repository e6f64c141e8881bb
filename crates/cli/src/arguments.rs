//! The command line: one variant a sub-command, whose options live in the sub-command's file.

use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::agent::{self, AgentOptions};
use crate::check_config::{self, CheckConfigOptions};
use crate::config::Environment;
use crate::demo::{self, DemoOptions};
use crate::discover::{self, DiscoverOptions};
use crate::env::{self, EnvOptions};
use crate::epmd::{self, EpmdOptions};
use crate::exit::Failure;
use crate::inject::{self, InjectOptions};
use crate::install::{self, InstallOptions};
use crate::leave::{self, LeaveOptions};
use crate::manifests::{self, ManifestsOptions};
use crate::run::{self, RunOptions};
use crate::wait::{self, WaitOptions};

/// Find, join and watch clusters of Erlang, Elixir and Rust nodes.
#[derive(Debug, Parser)]
#[command(
    name = "enmesh",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(after_help = "\
Examples:
  enmesh demo                                     see it work, on this machine alone
  enmesh run --name r@127.0.0.1 --cookie-file F --topology 'strategy=epmd hosts=b@127.0.0.1'
  enmesh discover 'strategy=local_epmd'            who would be found?
  enmesh check-config enmesh.toml                 is the file right?

Exit codes: 0 ended well, 64 wrong usage, 78 wrong configuration, 1 anything else.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a member: find the peers, join them, log who comes and goes.
    Run(Box<RunOptions>),
    /// Steer a BEAM node that runs beside us: find its peers, have it join them, log who comes and
    /// goes.
    Agent(Box<AgentOptions>),
    /// Say who a topology names, without connecting to anybody.
    Discover(DiscoverOptions),
    /// Say what a configuration file means, or what is wrong with it.
    CheckConfig(CheckConfigOptions),
    /// Tell a member, or the agent of a BEAM node, to leave the cluster.
    Leave(LeaveOptions),
    /// Wait until a node has so many peers.
    Wait(WaitOptions),
    /// Print what a release in a pod must be told: its name, its cookie, its ports.
    Env(EnvOptions),
    /// Copy this program into a folder, for a container whose image does not have it.
    Install(InstallOptions),
    /// Serve as the Erlang port mapper in place of OTP's epmd.
    Epmd(EpmdOptions),
    /// Play a scaling Deployment on this machine and watch a cluster follow it.
    Demo(DemoOptions),
    /// Print what Kubernetes needs for a cluster: Deployment, Service, Role and the rest.
    Manifests(Box<ManifestsOptions>),
    /// Put the agent into a Deployment of your own.
    Inject(Box<InjectOptions>),
}

impl Command {
    /// Does it, until it has ended well or a failure ends it.
    pub(crate) fn run(self, environment: &Environment) -> Result<(), Failure> {
        match self {
            Self::Run(options) => run::run(&options, environment),
            Self::Agent(options) => agent::run(&options, environment),
            Self::CheckConfig(options) => check_config::run(&options, environment),
            Self::Discover(options) => discover::run(&options, environment),
            Self::Leave(options) => leave::run(&options, environment),
            Self::Wait(options) => wait::run(&options, environment),
            Self::Env(options) => env::run(&options, environment),
            Self::Install(options) => install::run(&options),
            Self::Epmd(options) => epmd::run(&options),
            Self::Demo(options) => demo::run(&options),
            Self::Manifests(options) => manifests::run(&options),
            Self::Inject(options) => inject::run(&options),
        }
    }
}

/// The longest that a command waits for anything; no clock reaches as far as a user may write.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a command is to wait, as `--timeout` says it.
pub(crate) fn patience(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time <= LONGEST_WAIT => Ok(time),
        Ok(_) => Err("longer than a year; allowed: a time up to 365days, as in 60s".to_owned()),
        Err(error) => Err(format!("{error}; allowed: a time up to 365days, as in 60s")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// The most columns of a line of help.
    const COLUMNS: usize = 100;

    /// Texts that are broken by hand are broken again where they are longer, which leaves lines of one word.
    #[test]
    fn no_line_of_help_is_longer_than_it_may_be() {
        let whole = Arguments::command();
        for command in std::iter::once(&whole).chain(whole.get_subcommands()) {
            let after = command.get_after_help().map(ToString::to_string);
            for line in after.unwrap_or_default().lines() {
                let length = line.chars().count();
                assert!(length <= COLUMNS, "{}: {line}", command.get_name());
            }
        }
    }

    #[test]
    fn a_wait_ends_within_a_year() {
        assert_eq!(patience("365days"), Ok(LONGEST_WAIT));
        assert_eq!(patience("0s"), Ok(Duration::ZERO));
        for text in ["366days", "500000000000years", "5", "", "-1s", "soon"] {
            let error = patience(text).unwrap_err();
            assert!(error.contains("as in 60s"), "{text}: {error}");
        }
    }
}
