//! `enmesh demo`: a scaling Deployment, played on this machine alone.
//!
//! The members are this program, run as child processes, each on a loopback address of its own.
//! They find each other through the real `kubernetes` source; only the API that answers it is
//! the demo's own. What is measured is read from the members' logs.

mod api;
mod identity;
mod member;
mod pods;
mod story;
mod timeline;

use std::net::Ipv4Addr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::demo::api::Api;
use crate::demo::identity::{Identity, write_cookie};
use crate::demo::member::Members;
use crate::demo::story::Story;
use crate::demo::timeline::Timeline;
use crate::exit::Failure;
use crate::runtime;
use crate::signals::Signals;

/// The demo is over by then, true or not.
const TIME_LIMIT: Duration = Duration::from_secs(13);

/// What `demo` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Starts the members as processes on 127.0.0.2, 127.0.0.3 and so on, with a small Kubernetes API
beside them, and plays: scale up, one pod more, one killed, one deleted. Nothing leaves the
loopback interface and nothing is left behind. It ends by itself in less than 15 seconds.

Examples:
  enmesh demo
  enmesh demo --nodes 5 --pace fast

Exit codes: 0 every step was true, 64 wrong usage, 1 a step was not true.")]
pub(crate) struct DemoOptions {
    /// How many members there are at first, 2 to 12.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=12))]
    nodes: u8,
    /// calm: with pauses to read by; fast: without.
    #[arg(long, value_enum, default_value_t = Pace::Calm)]
    pace: Pace,
}

/// How fast the story goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pace {
    /// A pause after each step.
    Calm,
    /// No pauses.
    Fast,
}

impl Pace {
    fn pause(self) -> Duration {
        match self {
            Self::Calm => Duration::from_millis(1000),
            Self::Fast => Duration::ZERO,
        }
    }
}

/// Why the demo did not end with every step true. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// A loopback address cannot be used.
    #[error(
        "the demo needs {address}, which this system does not offer: {error}; bring it up with \
         `ip link set lo up` (Linux) or `ifconfig lo0 alias {address}` (macOS)"
    )]
    NoAddress {
        /// The address.
        address: Ipv4Addr,
        /// What the system said.
        error: std::io::Error,
    },
    /// No port was free on all addresses at once.
    #[error("no port is free on all of the demo's addresses; try again")]
    NoPort,
    /// Keys, certificates or secrets could not be made.
    #[error("cannot make the demo's keys: {reason}; see whether the system's clock is right")]
    Certificate {
        /// What went wrong.
        reason: String,
    },
    /// The temporary directory cannot be used.
    #[error("cannot write the demo's files: {error}; set TMPDIR to a directory with room")]
    Directory {
        /// What the system said.
        error: std::io::Error,
    },
    /// A member could not be started or signalled.
    #[error("cannot run a member: {error}; see whether the limit of processes is reached")]
    Process {
        /// What the system said.
        error: std::io::Error,
    },
    /// What a step waits for did not come in time.
    #[error("not true within the demo's time: {awaited}{log}")]
    TooLate {
        /// What should have come true.
        awaited: String,
        /// The last that the members logged.
        log: String,
    },
    /// Something happened that must not.
    #[error("{what}{log}")]
    Untrue {
        /// What happened.
        what: String,
        /// The last that the members logged.
        log: String,
    },
    /// A signal came.
    #[error("the demo was stopped by {0} before its end")]
    Stopped(&'static str),
}

/// Plays the story; whatever happens, every member has ended when this returns.
pub(crate) fn run(options: &DemoOptions) -> Result<(), Failure> {
    runtime::start()?.block_on(async {
        let mut signals = Signals::listen()?;
        Ok(play(options, &mut signals).await?)
    })
}

async fn play(options: &DemoOptions, signals: &mut Signals) -> Result<(), DemoError> {
    let directory = tempfile::Builder::new()
        .prefix("enmesh-demo-")
        .tempdir()
        .map_err(|error| DemoError::Directory { error })?;
    let cookie = write_cookie(directory.path())?;
    let (api, kubeconfig) = Api::start(Identity::new()?, directory.path()).await?;
    let count = usize::from(options.nodes);
    let mut members = Members::new(count + 1, cookie, kubeconfig)?;
    let timeline = Timeline::start();
    timeline.title(&format!(
        "{count} members on {} to {}, port {}; Kubernetes API on https://{}",
        members.address(0),
        members.address(count - 1),
        members.port(),
        api.address,
    ));
    let mut story = Story::new(&api, &mut members, timeline, options.pace.pause());
    let told = tokio::select! {
        biased;
        signal = signals.next() => Err(DemoError::Stopped(signal)),
        told = tokio::time::timeout(TIME_LIMIT, story.tell(count)) => {
            told.unwrap_or_else(|_| Err(story.too_late()))
        }
    };
    members.end().await;
    api.stop().await;
    told
}
