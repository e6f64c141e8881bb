//! One cluster's folder, its lock, and what to take away when it is over.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::daemon::{self, Daemon};
use crate::process::poll_until;

/// The folder that holds one folder for each cluster.
const RUNS: &str = "/var/tmp/enmesh-kube";
/// Longer ones would make the sockets' paths too long for the kernel.
const MAX_NAME: usize = 24;
/// Time for processes to end after SIGKILL and for the kernel to let go of their control groups.
const CLEAN_TIMEOUT: Duration = Duration::from_secs(20);

/// Where clusters keep what they need while they run; one folder each.
pub fn runs_directory() -> &'static Path {
    Path::new(RUNS)
}

/// A cluster's folder.
#[derive(Clone, Debug)]
pub(super) struct Run {
    name: String,
    folder: PathBuf,
}

/// Held while somebody looks after a run; given back by the kernel when that process dies.
#[derive(Debug)]
pub(super) struct RunLock {
    _file: File,
}

impl Run {
    /// Names a run, whether it exists or not.
    pub(super) fn named(name: &str) -> Result<Self> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(good),
            "a cluster's name has 1 to {MAX_NAME} of a-z, 0-9 and -, not {name:?}"
        );
        Ok(Self {
            name: name.to_owned(),
            folder: runs_directory().join(name),
        })
    }

    /// Waits until nobody else is making a run or clearing away abandoned ones: a folder without its lock would look abandoned.
    pub(super) fn registry() -> Result<RunLock> {
        fs::create_dir_all(runs_directory())?;
        let file = File::create(runs_directory().join(".lock"))?;
        file.lock()?;
        Ok(RunLock { _file: file })
    }

    /// All runs that have a folder.
    pub(super) fn all() -> Result<Vec<Self>> {
        let Ok(entries) = fs::read_dir(runs_directory()) else {
            return Ok(Vec::new());
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| Self::named(&name).ok()).collect())
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// The control group of all pods.
    pub(super) fn cgroup(&self) -> String {
        format!("enmesh-kube-{}", self.name)
    }

    /// Makes the folder if need be and takes the lock; `None` when somebody else looks after this run.
    pub(super) fn lock(&self) -> Result<Option<RunLock>> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("{} could not be made", self.folder.display()))?;
        let file = File::create(self.folder.join("lock"))?;
        match file.try_lock() {
            // The folder may have been taken away between opening and locking.
            Ok(()) if self.folder.join("lock").exists() => Ok(Some(RunLock { _file: file })),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Whether it goes on without the process that started it.
    pub(super) fn is_detached(&self) -> bool {
        self.folder.join("detached").exists()
    }

    pub(super) fn set_detached(&self) -> Result<()> {
        Ok(fs::write(self.folder.join("detached"), "")?)
    }

    /// Ends every process of the run, and removes its control groups and its folder.
    pub(super) fn clean(&self) -> Result<()> {
        // The node first: its end is the end of all pods and mounts.
        let mut daemons = Daemon::recorded(&self.folder)?;
        daemons.sort_by_key(|daemon| daemon.name() != super::node::NAME);
        for daemon in &daemons {
            daemon.kill_tree()?;
        }
        poll_until("the cluster's processes end", CLEAN_TIMEOUT, || {
            let left = daemon::processes_of(&self.folder)?;
            for pid in &left {
                daemon::kill(*pid);
            }
            ensure!(left.is_empty(), "processes {left:?} are still there");
            Ok(())
        })?;
        self.remove_cgroups()?;
        poll_until("the cluster's folder is removed", CLEAN_TIMEOUT, || {
            self.refuse_mounts()?;
            if !self.folder.exists() {
                return Ok(());
            }
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("{} could not be removed", self.folder.display()))
        })
    }

    /// No file is removed through a mount: a cluster mounts in its own namespace only, so one seen here is somebody else's.
    fn refuse_mounts(&self) -> Result<()> {
        let inside = format!("{}/", self.folder.display());
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        match mounts
            .split_whitespace()
            .find(|word| word.starts_with(&inside))
        {
            Some(mount) => bail!("{mount} is mounted: unmount it and run again"),
            None => Ok(()),
        }
    }

    fn remove_cgroups(&self) -> Result<()> {
        let root = Path::new("/sys/fs/cgroup");
        let mut groups = vec![root.join(self.cgroup())];
        for entry in fs::read_dir(root)?.flatten() {
            groups.push(entry.path().join(self.cgroup()));
        }
        for group in groups.iter().filter(|group| group.is_dir()) {
            // A group is busy until its last process has been reaped.
            poll_until("control groups are removed", CLEAN_TIMEOUT, || {
                remove_cgroup(group)
            })?;
        }
        Ok(())
    }
}

/// A control group's files cannot be removed and need not be: only folders count, the innermost first.
fn remove_cgroup(group: &Path) -> Result<()> {
    if !group.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(group).with_context(|| format!("{} could not be removed", group.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_one_keeper_and_leaves_no_folder() {
        let run = Run::named(&format!("lock{}", std::process::id())).unwrap();
        let lock = run.lock().unwrap().expect("a new run is free");
        assert!(run.lock().unwrap().is_none());
        run.clean().unwrap();
        assert!(!run.folder().exists());
        drop(lock);
    }

    #[test]
    fn a_name_that_leaves_the_folder_is_refused() {
        for name in [
            "",
            "..",
            "a/b",
            "A",
            "a-name-that-is-much-too-long-for-a-socket",
        ] {
            assert!(Run::named(name).is_err(), "{name}");
        }
    }
}
