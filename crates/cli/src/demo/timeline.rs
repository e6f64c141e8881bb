//! What the demo prints.

use std::io::Write;
use std::time::{Duration, Instant};

/// A clock that prints beside what happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeline {
    start: Instant,
}

impl Timeline {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The head line.
    pub(crate) fn title(self, text: &str) {
        print(&format!("enmesh demo: {text}\n\n"));
    }

    /// What is done to the cluster.
    pub(crate) fn act(self, text: &str) {
        print(&format!("{} {text}\n", self.clock()));
    }

    /// What the members made of it.
    pub(crate) fn effect(self, text: &str) {
        print(&format!("{}   {text}\n", self.clock()));
    }

    /// The last line.
    pub(crate) fn end(self, text: &str) {
        print(&format!("\n{text}\n"));
    }

    fn clock(self) -> String {
        format!("{:7.3} s ", self.start.elapsed().as_secs_f64())
    }
}

/// A span of time, as the timeline shows it.
pub(crate) fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

fn print(text: &str) {
    // Whoever closed stdout does not want to read on; the demo goes on, for its exit code.
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}
