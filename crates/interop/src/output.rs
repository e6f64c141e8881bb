//! What a child process has printed, line by line, to be waited for.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Lines kept of one stream; later ones are counted and dropped, so that a peer gone mad cannot eat the memory.
const MAX_LINES: usize = 200_000;
/// Lines shown in the error of a wait that was in vain.
const SHOWN_LINES: usize = 40;

/// The lines of one output stream, collected by a thread of their own.
#[derive(Clone)]
pub struct Output {
    shared: Arc<(Mutex<Lines>, Condvar)>,
}

#[derive(Default)]
struct Lines {
    kept: Vec<String>,
    dropped: usize,
    ended: bool,
}

impl Output {
    /// Starts to collect `stream`.
    pub(crate) fn collect(stream: impl Read + Send + 'static) -> Self {
        let output = Self {
            shared: Arc::default(),
        };
        let collector = output.clone();
        std::thread::spawn(move || collector.read_all(stream));
        output
    }

    /// The number of lines so far: a place to wait from, see [`Output::wait_from`].
    pub fn mark(&self) -> usize {
        self.lines().kept.len()
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.lines().kept.clone()
    }

    /// The first line from the very beginning that `pick` takes, waiting for it if it has not come yet.
    pub fn wait_for<T>(&self, timeout: Duration, pick: impl FnMut(&str) -> Option<T>) -> Result<T> {
        self.wait_from(0, timeout, pick)
    }

    /// Like [`Output::wait_for`], looking only at lines after a [`Output::mark`].
    pub fn wait_from<T>(
        &self,
        mark: usize,
        timeout: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + timeout;
        let mut next = mark;
        let mut lines = self.lines();
        loop {
            for line in lines.kept.iter().skip(next) {
                if let Some(found) = pick(line) {
                    return Ok(found);
                }
            }
            next = next.max(lines.kept.len());
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.ended {
                let why = if lines.ended {
                    "before the end of the output".to_owned()
                } else {
                    format!("within {timeout:?}")
                };
                bail!("the line did not come {why}; {}", lines.tail());
            }
            lines = self
                .shared
                .1
                .wait_timeout(lines, left)
                .expect("no holder of the lines panics")
                .0;
        }
    }

    fn read_all(&self, stream: impl Read) {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let ended = !matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0);
            let mut lines = self.lines();
            if ended {
                lines.ended = true;
            } else if lines.kept.len() < MAX_LINES {
                let text = String::from_utf8_lossy(&line);
                lines
                    .kept
                    .push(text.trim_end_matches(['\r', '\n']).to_owned());
            } else {
                lines.dropped += 1;
            }
            self.shared.1.notify_all();
            if ended {
                return;
            }
        }
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.shared.0.lock().expect("no holder of the lines panics")
    }
}

impl Lines {
    fn tail(&self) -> String {
        let from = self.kept.len().saturating_sub(SHOWN_LINES);
        format!(
            "{} lines, {} dropped, the last ones:\n{}",
            self.kept.len(),
            self.dropped,
            self.kept[from..].join("\n")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn a_line_is_found_after_a_mark_only() {
        let output = Output::collect(&b"one\ntwo\nthree"[..]);
        let all = |line: &str| (line == "three").then_some(());
        output.wait_for(SOON, all).unwrap();
        let one = |line: &str| (line == "one").then_some(());
        output.wait_for(SOON, one).unwrap();
        assert!(output.wait_from(1, SOON, one).is_err());
    }

    #[test]
    fn a_wait_in_vain_shows_what_came_instead() {
        let output = Output::collect(&b"boot failed\n"[..]);
        let error = output.wait_for(SOON, |_| None::<()>).unwrap_err();
        assert!(error.to_string().contains("boot failed"), "{error}");
    }
}
