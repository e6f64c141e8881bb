//! What a member logs as JSON, to be waited for.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::output::Output;
use crate::process::POLL_INTERVAL;

/// The log of one member, running here or in a pod.
pub struct MemberLog {
    output: Output,
    /// Whoever follows the file stops when this is gone.
    _follows: Arc<()>,
}

impl MemberLog {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            output,
            _follows: Arc::default(),
        }
    }

    /// Follows a container's log file for as long as the file is there and this value is kept.
    pub(crate) fn follow(path: &Path) -> Result<Self> {
        let file =
            File::open(path).with_context(|| format!("{} could not be read", path.display()))?;
        let path = path.to_owned();
        let follows = Arc::new(());
        let wanted = Arc::downgrade(&follows);
        Ok(Self {
            output: Output::collect(Follow { file, path, wanted }),
            _follows: follows,
        })
    }

    /// The first log object from the very beginning that `wanted` takes, waiting for it if need be.
    pub fn wait_for(&self, timeout: Duration, wanted: impl FnMut(&Value) -> bool) -> Result<Value> {
        self.wait_from(0, timeout, wanted)
    }

    /// Like [`MemberLog::wait_for`], looking only at what is logged after a [`MemberLog::mark`].
    pub fn wait_from(
        &self,
        mark: usize,
        timeout: Duration,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        self.output.wait_from(mark, timeout, |line| {
            let object = parse(line)?;
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
                    self.output.all().join("\n")
                );
            }
            Ok(())
        })
    }

    /// The `cluster` of the newest membership event, sorted; empty before the first.
    pub fn cluster(&self) -> Vec<String> {
        newest_cluster(self.output.all().iter().map(String::as_str))
    }

    /// All log objects so far; lines that are not JSON are left out.
    pub fn log(&self) -> Vec<Value> {
        let lines = self.output.all();
        lines.iter().filter_map(|line| parse(line)).collect()
    }

    /// A place in the log, to wait from.
    pub fn mark(&self) -> usize {
        self.output.mark()
    }

    /// The lines themselves.
    pub fn output(&self) -> &Output {
        &self.output
    }
}

/// The newest `cluster` among these lines of a log, oldest first, sorted; empty where there is none.
pub(crate) fn newest_cluster<'a>(lines: impl DoubleEndedIterator<Item = &'a str>) -> Vec<String> {
    let mut names = lines
        .rev()
        .find_map(|line| {
            let object = parse(line)?;
            let names = object["cluster"].as_array()?.iter();
            Some(
                names
                    .filter_map(|name| name.as_str().map(str::to_owned))
                    .collect::<Vec<_>>(),
            )
        })
        .unwrap_or_default();
    names.sort();
    names
}

/// Whether this line of a log says that `node` went.
pub(crate) fn is_disconnect(line: &str, node: &str) -> bool {
    parse(line).is_some_and(|object| is_about(&object, "node disconnected", node))
}

/// A file that grows; its end is the end of the stream only when it has been removed, or nobody wants it any more.
struct Follow {
    file: File,
    path: PathBuf,
    wanted: Weak<()>,
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            // Looked at first: what is written before the file's end is read after it.
            let exists = self.path.exists() && self.wanted.strong_count() > 0;
            let length = self.file.read(buffer)?;
            if length > 0 || !exists {
                return Ok(length);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

/// The object on a log line. A container's line has three words of the kubelet before it: time, stream and whether it is whole.
fn parse(line: &str) -> Option<Value> {
    let begin = line.find('{')?;
    serde_json::from_str(&line[begin..]).ok()
}

/// Whether a log object has this message and this `node`.
fn is_about(object: &Value, message: &str, node: &str) -> bool {
    object["message"] == message && object["node"] == node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_and_without_the_kubelets_words() {
        let plain = r#"{"message":"node connected","node":"a@b"}"#;
        let wrapped = format!("2026-11-21T11:00:00.123456789Z stderr F {plain}");
        for line in [plain, &wrapped] {
            assert!(
                is_about(&parse(line).unwrap(), "node connected", "a@b"),
                "{line}"
            );
        }
        assert_eq!(parse("not json"), None);
    }

    #[test]
    fn a_log_that_nobody_looks_at_is_followed_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        std::fs::write(&path, "{\"n\":1}\n").unwrap();
        let log = MemberLog::follow(&path).unwrap();
        let output = log.output().clone();
        drop(log);
        // Without an end this would take all of the time.
        let never = output.wait_for(Duration::from_secs(600), |_| None::<()>);
        assert!(never.is_err());
    }

    #[test]
    fn a_growing_file_is_followed_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        std::fs::write(&path, "{\"n\":1}\n").unwrap();
        let log = MemberLog::follow(&path).unwrap();
        let soon = Duration::from_secs(5);
        log.wait_for(soon, |object| object["n"] == 1).unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"n\":2}\n");
        std::fs::write(&path, text).unwrap();
        log.wait_for(soon, |object| object["n"] == 2).unwrap();
        std::fs::remove_file(&path).unwrap();
        // Without an end this would take all of the time.
        assert!(
            log.wait_for(Duration::from_secs(600), |object| object["n"] == 3)
                .is_err()
        );
    }
}
