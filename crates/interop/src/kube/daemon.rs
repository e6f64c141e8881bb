//! A cluster's processes, known by id and start time across processes of ours.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::process::{POLL_INTERVAL, signal_pid, spawn};

/// Lines of a daemon's log that an error shows.
const SHOWN_LINES: usize = 25;

/// One process of a cluster. It may have been started by an earlier process of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Daemon {
    name: String,
    pid: u32,
    /// In clock ticks since boot; tells the process from a later one with the same id.
    started: u64,
}

impl Daemon {
    /// Starts `command` with its output in a log of the run, and records it.
    pub(super) fn start(folder: &Path, name: &str, mut command: Command) -> Result<Self> {
        fs::create_dir_all(folder.join("logs"))?;
        fs::create_dir_all(folder.join("pids"))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(log_path(folder, name))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = spawn(command).with_context(|| format!("{name} could not be started"))?;
        let pid = child.id();
        let started = stat(pid)
            .with_context(|| format!("{name} ended at once"))?
            .started;
        fs::write(folder.join("pids").join(name), format!("{pid} {started}"))?;
        // Reaped here, so that its end is seen by everybody who looks at the process table.
        std::thread::spawn(move || child.wait_with_output());
        Ok(Self {
            name: name.to_owned(),
            pid,
            started,
        })
    }

    /// What a run has recorded; processes that have ended are among them.
    pub(super) fn recorded(folder: &Path) -> Result<Vec<Self>> {
        let Ok(entries) = fs::read_dir(folder.join("pids")) else {
            return Ok(Vec::new());
        };
        let mut daemons = Vec::new();
        for entry in entries {
            let entry = entry?;
            let text = fs::read_to_string(entry.path())?;
            // A record that was cut short by a crash names nobody; such a process is found by its command line.
            let Some((pid, started)) = text.split_once(' ') else {
                continue;
            };
            let (Ok(pid), Ok(started)) = (pid.parse(), started.parse()) else {
                continue;
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            daemons.push(Self { name, pid, started });
        }
        Ok(daemons)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.is_over())
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        anyhow::ensure!(self.is_alive(), "{} is not running", self.name);
        signal_pid(self.pid, signal)
            .with_context(|| format!("{} could not be signalled", self.name))
    }

    /// Kills the process with its children (`nsenter` and `unshare` wait for a child that does the work) and waits for the end.
    ///
    /// Of the children too: they hold the ports that a successor wants.
    pub(super) fn kill_tree(&self) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let children: Vec<(u32, u64)> = children(self.pid)?
            .into_iter()
            .filter_map(|child| Some((child, stat(child)?.started)))
            .collect();
        for (child, _) in &children {
            kill(*child);
        }
        kill(self.pid);
        let lives = |(pid, started): &(u32, u64)| {
            stat(*pid).is_some_and(|stat| stat.started == *started && !stat.is_over())
        };
        while self.is_alive() || children.iter().any(lives) {
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// The end of what it has written, for errors.
    pub(super) fn log_tail(folder: &Path, name: &str) -> String {
        let bytes = fs::read(log_path(folder, name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

/// SIGKILL to a process that may have ended already.
pub(super) fn kill(pid: u32) {
    let _ = signal_pid(pid, Signal::KILL);
}

/// Living processes that have a path below `folder` on their command line.
pub(super) fn processes_of(folder: &Path) -> Result<Vec<u32>> {
    let inside = format!("{}/", folder.display()).into_bytes();
    let own = std::process::id();
    let of_us = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid != own && line.windows(inside.len()).any(|part| part == inside)
    };
    Ok(all_pids()?.into_iter().filter(of_us).collect())
}

/// Processes whose parent is `parent`.
pub(super) fn children(parent: u32) -> Result<Vec<u32>> {
    let is_child = |pid: &u32| stat(*pid).is_some_and(|stat| stat.parent == parent);
    Ok(all_pids()?.into_iter().filter(is_child).collect())
}

fn all_pids() -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

struct Stat {
    state: char,
    parent: u32,
    threads: u32,
    started: u64,
}

impl Stat {
    /// Whether nothing of the process runs any more. The first thread may be a zombie while others still end, and with
    /// them the sockets of all.
    fn is_over(&self) -> bool {
        self.state == 'Z' && self.threads <= 1
    }
}

/// proc(5), /proc/pid/stat: the fields behind the name, which is in brackets and may hold anything.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

fn log_path(folder: &Path, name: &str) -> PathBuf {
    folder.join("logs").join(format!("{name}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_daemon_is_found_again_and_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo hello; sleep 1000 & wait"]);
        let daemon = Daemon::start(folder.path(), "shell", command).unwrap();
        assert!(daemon.is_alive());
        let recorded = Daemon::recorded(folder.path()).unwrap();
        assert_eq!(recorded, std::slice::from_ref(&daemon));
        recorded[0].kill_tree().unwrap();
        assert!(!daemon.is_alive());
        assert!(daemon.signal(Signal::TERM).is_err());
    }

    #[test]
    fn another_process_with_the_same_id_is_not_taken_for_the_daemon() {
        let own = std::process::id();
        let started = stat(own).unwrap().started + 1;
        let daemon = Daemon {
            name: "us".into(),
            pid: own,
            started,
        };
        assert!(!daemon.is_alive());
    }
}
