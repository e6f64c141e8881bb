//! How the program ends: exit codes by `sysexits.h`, and what is said of a failure.

use std::error::Error;
use std::process::ExitCode;

use clap::error::ErrorKind;
use enmesh::StartError;

use crate::config::ConfigErrors;
use crate::demo::DemoError;
use crate::discover::DiscoverError;
use crate::inject::InjectError;
use crate::manifests::SettingsError;
use crate::visit::VisitError;

/// `EX_USAGE`: the command line was wrong.
const USAGE: u8 = 64;
/// `EX_CONFIG`: the configuration was wrong.
const CONFIGURATION: u8 = 78;
/// Anything else that went wrong.
const OTHER: u8 = 1;

/// Why a sub-command did not end well. Its text says what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A flag, an environment variable or the file holds something that is not allowed.
    #[error(transparent)]
    Configuration(#[from] ConfigErrors),
    /// The member could not start; nothing of it runs.
    #[error("the member did not start: {}; {}", chain(error), start_advice(error))]
    Start {
        /// What the node said.
        error: StartError,
    },
    /// The port mapper could not listen.
    #[error(
        "cannot serve epmd on port {port}: {}; see who holds the port (epmd -names, ss -ltnp), \
         or give another with --port",
        chain(error)
    )]
    Epmd {
        /// The port that was asked for.
        port: u16,
        /// What the server said.
        error: enmesh_epmd::BindError,
    },
    /// Nobody would be told whether the member lives.
    #[error(
        "the http server did not start: {}; see who holds the port (ss -ltnp) and whose address \
         it is, or give another --http-listen",
        chain(error)
    )]
    Http {
        /// What the server said.
        error: enmesh_admin::BindError,
    },
    /// A step of the demo was not true, or it could not begin.
    #[error("{0}")]
    Demo(#[from] DemoError),
    /// There is no list of peers.
    #[error("{0}")]
    Discover(#[from] DiscoverError),
    /// A source ended though nobody asked it to.
    #[error("a source ended by itself, which is a mistake of ours; starting again is safe")]
    SourceDied,
    /// A node could not be asked or told what the command is about.
    #[error(transparent)]
    Visit(#[from] VisitError),
    /// What is asked for cannot be deployed.
    #[error(transparent)]
    Manifests(#[from] SettingsError),
    /// The agent cannot be put where it was asked to.
    #[error(transparent)]
    Inject(#[from] InjectError),
    /// The operating system refused something that the program cannot do without.
    #[error("{doing}: {error}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// The member ended though nobody asked it to.
    #[error("the member ended by itself; its log says why, and starting it again is safe")]
    Died,
    /// A failure that stands in the log already.
    #[error("{0}")]
    Logged(Box<Self>),
    /// A second signal came while the first was being served.
    #[error("stopped at once by a second signal; links were cut, not closed")]
    Impatient,
}

impl Failure {
    /// The exit code that stands for the failure.
    pub(crate) fn exit_code(&self) -> ExitCode {
        self.code().into()
    }

    /// Whether nobody has been told of it yet.
    pub(crate) fn is_untold(&self) -> bool {
        !matches!(self, Self::Logged(_))
    }

    /// The same as a number.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Logged(failure) => failure.code(),
            Self::Manifests(_) => USAGE,
            Self::Configuration(errors) if errors.is_usage() => USAGE,
            Self::Configuration(_) => CONFIGURATION,
            Self::Start { error } => match error {
                StartError::Setting { .. }
                | StartError::Topologies(_)
                | StartError::Topology { .. } => CONFIGURATION,
                _ => OTHER,
            },
            Self::Discover(error) if error.is_usage() => USAGE,
            Self::Inject(error) if error.is_usage() => USAGE,
            Self::Discover(error) if error.is_configuration() => CONFIGURATION,
            Self::Discover(_)
            | Self::SourceDied
            | Self::Epmd { .. }
            | Self::Http { .. }
            | Self::Demo(_)
            | Self::Visit(_)
            | Self::Inject(_)
            | Self::System { .. }
            | Self::Died
            | Self::Impatient => OTHER,
        }
    }
}

/// Prints what clap has to say: help and version end well, anything else is a usage error (64,
/// where clap itself would take 2).
pub(crate) fn of_clap(error: &clap::Error) -> ExitCode {
    // A closed stdout or stderr leaves nobody to tell.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => {
            crate::env::refuse_usage(USAGE);
            USAGE.into()
        }
    }
}

/// An error and its sources in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

fn start_advice(error: &StartError) -> &'static str {
    match error {
        StartError::Listen { .. } => {
            "see who holds the port (ss -ltnp), or give another --dist-port or --listen"
        }
        StartError::NameInUse { .. } => {
            "stop that node (epmd -names lists it), or give another --name"
        }
        StartError::Setting { .. } | StartError::Topologies(_) | StartError::Topology { .. } => {
            "put it right and start again"
        }
        _ => "the log says more",
    }
}
