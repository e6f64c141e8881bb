//! OTP's own epmd in a namespace.

use std::time::Duration;

use anyhow::Result;

use crate::netns::NetNs;
use crate::process::{Process, poll_until};

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// OTP's epmd on the usual port 4369 of one namespace.
pub struct Epmd {
    process: Process,
}

impl Epmd {
    /// Starts one and waits until it answers.
    pub fn start(ns: &NetNs) -> Result<Self> {
        let mut epmd = Self {
            process: Process::start("epmd", ns.command("epmd"))?,
        };
        poll_until("epmd answers", START_TIMEOUT, || {
            // An epmd that finds the port taken ends quietly, and the one that has it would answer in its place.
            anyhow::ensure!(
                epmd.process.try_exit()?.is_none(),
                "epmd has ended, is its port taken?"
            );
            ns.run("epmd", ["-names"])
        })?;
        Ok(epmd)
    }

    /// The registered names, sorted.
    pub fn names(ns: &NetNs) -> Result<Vec<String>> {
        let listing = ns.run("epmd", ["-names"])?;
        let mut names: Vec<String> = listing
            .lines()
            .filter_map(|line| line.strip_prefix("name ")?.split(' ').next())
            .map(str::to_owned)
            .collect();
        names.sort();
        Ok(names)
    }

    /// SIGKILL.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill9()
    }

    /// The process, to freeze it or to look at it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
