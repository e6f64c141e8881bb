//! CoreDNS by itself, with zones of a test's own.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::kube::build_kube;
use crate::netns::NetNs;
use crate::output::Output;
use crate::process::Process;

const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A name server. It ends when this is dropped.
pub struct CoreDns {
    process: Option<Process>,
    folder: TempDir,
}

impl CoreDns {
    /// Starts CoreDNS in `ns` with this Corefile and these files in its working directory, and waits until it serves. The
    /// program is built with the rest of Kubernetes if it is not there yet.
    pub fn start(ns: &NetNs, corefile: &str, files: &[(&str, &str)]) -> Result<Self> {
        let mut server = Self {
            process: None,
            folder: tempfile::tempdir()?,
        };
        server.restart(ns, corefile, files)?;
        Ok(server)
    }

    /// Ends it and starts it anew, with other contents.
    pub fn restart(&mut self, ns: &NetNs, corefile: &str, files: &[(&str, &str)]) -> Result<()> {
        self.kill9()?;
        fs::write(self.folder.path().join("Corefile"), corefile)?;
        for (name, text) in files {
            fs::write(self.folder.path().join(name), text)?;
        }
        let mut command: Command = ns.command(build_kube()?.join("coredns"));
        command
            .current_dir(self.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut process = Process::start("coredns", command)?;
        let stdout = process.child_mut().stdout.take();
        Output::collect(stdout.context("stdout is piped")?)
            .wait_for(START_TIMEOUT, |line| {
                line.starts_with("CoreDNS-").then_some(())
            })
            .context("CoreDNS did not start")?;
        self.process = Some(process);
        Ok(())
    }

    /// Puts another text into a file while it runs; a zone counts when its serial number has risen.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let half = self.folder.path().join(".half");
        fs::write(&half, text)?;
        Ok(fs::rename(half, self.folder.path().join(name))?)
    }

    /// SIGKILL: nobody answers any more.
    pub fn kill9(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill9(),
            None => Ok(()),
        }
    }

    /// SIGSTOP: questions are swallowed.
    pub fn stop(&self) -> Result<()> {
        self.running()?.stop()
    }

    /// SIGCONT, the end of [`CoreDns::stop`].
    pub fn cont(&self) -> Result<()> {
        self.running()?.cont()
    }

    fn running(&self) -> Result<&Process> {
        self.process.as_ref().context("CoreDNS is not running")
    }
}
