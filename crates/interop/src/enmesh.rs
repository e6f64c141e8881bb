//! The `enmesh` program as a child process.

use std::ffi::OsStr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::member_log::MemberLog;
use crate::netns::NetNs;
use crate::output::Output;
use crate::process::{Process, run};

/// Names the program to test; without it the workspace's own is built.
pub(crate) const PROGRAM_VARIABLE: &str = "ENMESH_BIN";

/// The `enmesh` program, running. It ends when this is dropped; its [`MemberLog`] is reached through it.
pub struct Enmesh {
    process: Process,
    stdout: Output,
    log: MemberLog,
}

impl Enmesh {
    /// Starts `enmesh` with these arguments in `ns`.
    pub fn start<S: AsRef<OsStr>>(ns: &NetNs, args: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut command = ns.command(program()?);
        command.args(args);
        Self::start_command(command)
    }

    /// Starts a command that ends in running `enmesh`: one with an environment or a namespace of its own.
    ///
    /// Make it from [`NetNs::command`] or [`Cluster::command`](crate::Cluster::command) and [`Enmesh::program`].
    pub fn start_command(mut command: Command) -> Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start("enmesh", command)?;
        let stdout = process
            .child_mut()
            .stdout
            .take()
            .context("stdout is piped")?;
        let stderr = process
            .child_mut()
            .stderr
            .take()
            .context("stderr is piped")?;
        Ok(Self {
            process,
            stdout: Output::collect(stdout),
            log: MemberLog::of(Output::collect(stderr)),
        })
    }

    /// Where the program under test is: `ENMESH_BIN`, or the workspace's own, built once.
    pub fn program() -> Result<&'static Path> {
        program()
    }

    /// What it has printed on standard output.
    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// What it has printed on standard error, the log.
    pub fn stderr(&self) -> &Output {
        self.log.output()
    }

    /// The process, for signals and its exit status.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Deref for Enmesh {
    type Target = MemberLog;

    fn deref(&self) -> &MemberLog {
        &self.log
    }
}

fn program() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PROGRAM.get_or_init(|| find_program().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("no enmesh program to test: {error}"),
    }
}

/// The root of the workspace that is tested.
pub(crate) fn workspace() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../..")
}

fn find_program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(PROGRAM_VARIABLE) {
        let path = PathBuf::from(path);
        anyhow::ensure!(
            path.is_file(),
            "{PROGRAM_VARIABLE} names {}, which is no file",
            path.display()
        );
        return Ok(path);
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args([
            "build",
            "--package",
            "enmesh-cli",
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(workspace());
    let messages = run(command)?;
    // Only cargo itself knows the target directory and the profile's folder in it.
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "enmesh")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo built no program of the name enmesh")
}
