//! The `enmesh` program as a child process, and its log.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::netns::NetNs;
use crate::output::Output;
use crate::process::{Process, run};

/// Names the program to test; without it the workspace's own is built.
const PROGRAM_VARIABLE: &str = "ENMESH_BIN";

/// The `enmesh` program, running. It ends when this is dropped.
pub struct Enmesh {
    process: Process,
    stdout: Output,
    stderr: Output,
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
            stderr: Output::collect(stderr),
        })
    }

    /// Where the program under test is: `ENMESH_BIN`, or the workspace's own, built once.
    pub fn program() -> Result<&'static Path> {
        program()
    }

    /// The first log object from the very beginning that `wanted` takes, waiting for it if need be.
    pub fn wait_for(&self, timeout: Duration, wanted: impl FnMut(&Value) -> bool) -> Result<Value> {
        self.wait_from(0, timeout, wanted)
    }

    /// Like [`Enmesh::wait_for`], looking only at what is logged after a [`Enmesh::mark`].
    pub fn wait_from(
        &self,
        mark: usize,
        timeout: Duration,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        self.stderr.wait_from(mark, timeout, |line| {
            let object: Value = serde_json::from_str(line).ok()?;
            wanted(&object).then_some(object)
        })
    }

    /// Waits for `"node connected"` with this `node`.
    pub fn wait_connected(&self, mark: usize, timeout: Duration, node: &str) -> Result<Value> {
        self.wait_from(mark, timeout, |object| {
            is_about(object, "node connected", node)
        })
        .with_context(|| format!("{node} was not connected"))
    }

    /// Waits for `"node disconnected"` with this `node`.
    pub fn wait_disconnected(&self, mark: usize, timeout: Duration, node: &str) -> Result<Value> {
        self.wait_from(mark, timeout, |object| {
            is_about(object, "node disconnected", node)
        })
        .with_context(|| format!("{node} was not disconnected"))
    }

    /// Waits until the newest membership event's `cluster` is exactly `nodes`, in any order.
    pub fn wait_cluster(&self, timeout: Duration, nodes: &[&str]) -> Result<()> {
        let mut wanted = nodes.to_vec();
        wanted.sort_unstable();
        crate::poll_until("the cluster is complete", timeout, || {
            let seen = self.cluster();
            if seen != wanted {
                bail!(
                    "the cluster is {seen:?}, wanted is {wanted:?}; its log:\n{}",
                    self.stderr.all().join("\n")
                );
            }
            Ok(())
        })
    }

    /// The `cluster` of the newest membership event, sorted; empty before the first.
    pub fn cluster(&self) -> Vec<String> {
        let objects = self.log();
        let newest = objects
            .iter()
            .rev()
            .find_map(|object| object["cluster"].as_array());
        let mut names: Vec<String> = newest
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        names.sort();
        names
    }

    /// All log objects so far; lines that are not JSON are left out.
    pub fn log(&self) -> Vec<Value> {
        let lines = self.stderr.all();
        lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// A place in the log, to wait from.
    pub fn mark(&self) -> usize {
        self.stderr.mark()
    }

    /// What it has printed on standard output.
    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// What it has printed on standard error, the log.
    pub fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// The process, for signals and its exit status.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Whether a log object has this message and this `node`.
fn is_about(object: &Value, message: &str, node: &str) -> bool {
    object["message"] == message && object["node"] == node
}

fn program() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PROGRAM.get_or_init(|| find_program().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("no enmesh program to test: {error}"),
    }
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
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args([
            "build",
            "--package",
            "enmesh-cli",
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(workspace);
    let messages = run(command)?;
    // Only cargo itself knows the target directory and the profile's folder in it.
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "enmesh")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo built no program of the name enmesh")
}
