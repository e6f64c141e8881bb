//! `enmesh check-config`: what a configuration file means, or what is wrong with it.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::config::{Environment, Flags, Merged, print, read_file};
use crate::exit::Failure;

/// What `check-config` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Prints the configuration that `enmesh run --config FILE` would have in this environment, every
default filled in, as a file of its own. The cookie is never shown.

Examples:
  enmesh check-config enmesh.toml
  POD_IP=10.0.0.7 enmesh check-config enmesh.toml        the file says ${POD_IP}

Exit codes: 0 the file is right, 78 it is not.")]
pub(crate) struct CheckConfigOptions {
    /// The configuration file.
    file: PathBuf,
}

/// Prints the merged configuration, or fails with everything that is wrong with it.
pub(crate) fn run(options: &CheckConfigOptions, environment: &Environment) -> Result<(), Failure> {
    let file = read_file(&options.file, environment)?;
    let merged = Merged::new(Flags::default(), environment, Some(file));
    let text = print(&merged.read(environment)?);
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::System {
            doing: "cannot print the configuration",
            error,
        })
}
