//! The program as a child process whose log can be waited for.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything that must come may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A command that runs the program with nothing of this process's environment.
pub(crate) fn enmesh(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("enmesh"));
    command.env_clear().args(args).stdin(Stdio::null());
    command
}

/// A file of its own with `text` in it, readable by us alone.
pub(crate) fn private_file(directory: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;

    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A running program; it is killed when this is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Receiver<String>,
    log: Vec<Value>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            log: Vec::new(),
        }
    }

    /// One whose log nobody reads.
    pub(crate) fn of(child: Child) -> Self {
        Self {
            child,
            lines: channel().1,
            log: Vec::new(),
        }
    }

    /// Waits for a record with this message about this node, from the beginning of the log.
    pub(crate) fn wait_for(&mut self, message: &str, node: &str) -> Value {
        let wanted = |record: &Value| {
            record["message"] == message && (record["node"] == node || record["name"] == node)
        };
        if let Some(found) = self.log.iter().find(|record| wanted(record)) {
            return found.clone();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let record = self.next_record(deadline).unwrap_or_else(|error| {
                panic!(
                    "no {message:?} about {node} ({error}); the log: {:#?}",
                    self.log
                )
            });
            if wanted(&record) {
                return record;
            }
        }
    }

    /// Waits for one more record with this message, behind all that were read so far.
    pub(crate) fn wait_for_next(&mut self, message: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let record = self.next_record(deadline).unwrap_or_else(|error| {
                panic!("no {message:?} ({error}); the log: {:#?}", self.log)
            });
            if record["message"] == message {
                return record;
            }
        }
    }

    /// What was read of the log so far.
    pub(crate) fn log(&self) -> &[Value] {
        &self.log
    }

    /// The whole log, once the program has ended.
    pub(crate) fn rest_of_log(&mut self) -> &[Value] {
        let deadline = Instant::now() + PATIENCE;
        while self.next_record(deadline).is_ok() {}
        &self.log
    }

    fn next_record(&mut self, deadline: Instant) -> Result<Value, RecvTimeoutError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = self.lines.recv_timeout(left)?;
        let record: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
        self.log.push(record.clone());
        Ok(record)
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        eventually("the program ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
