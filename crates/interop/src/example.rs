//! The examples, built and running.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::enmesh::{PROGRAM_VARIABLE, workspace};
use crate::netns::NetNs;
use crate::output::Output;
use crate::process::{Process, run};

/// An example of crate `enmesh`, running. It ends when this is dropped.
pub struct Example {
    process: Process,
    stdout: Output,
}

impl Example {
    /// Starts the example `name` with these arguments in `ns`.
    pub fn start(ns: &NetNs, name: &str, args: &[&str]) -> Result<Self> {
        let mut command = ns.command(program(name)?);
        command.args(args).stdout(Stdio::piped());
        let mut process = Process::start(format!("example {name}"), command)?;
        let stdout = process.child_mut().stdout.take();
        Ok(Self {
            stdout: Output::collect(stdout.context("stdout is piped")?),
            process,
        })
    }

    /// What it has printed on standard output.
    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// The process, for signals and its exit status.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Where the example is: beside the program under test if the unit tests have built it there, else
/// built now.
fn program(name: &str) -> Result<PathBuf> {
    match beside(&Path::new("examples").join(name)) {
        Some(built) => Ok(built),
        None => build(&["--package", "enmesh", "--example", name], name),
    }
}

/// The program `name` of an example that is a package of its own; found as the others are.
pub fn example_program(name: &str) -> Result<PathBuf> {
    match beside(Path::new(name)) {
        Some(built) => Ok(built),
        None => build(&["--package", name, "--bin", name], name),
    }
}

/// What has been built beside the program under test.
fn beside(path: &Path) -> Option<PathBuf> {
    let program = PathBuf::from(std::env::var_os(PROGRAM_VARIABLE)?);
    let built = program.parent()?.join(path);
    built.is_file().then_some(built)
}

fn build(what: &[&str], name: &str) -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let format = ["--message-format", "json-render-diagnostics"];
    command
        .arg("build")
        .args(what)
        .args(format)
        .current_dir(workspace());
    let messages = run(command)?;
    // Only cargo itself knows the target directory and the profile's folder in it.
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built no program of the name {name}"))
}
