//! What a node logs, for tests that read it.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps every record of a level and above as one line of text.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    level: Level,
    lines: Arc<Mutex<Vec<String>>>,
}

impl From<Level> for Log {
    fn from(level: Level) -> Self {
        let lines = Arc::default();
        Self { level, lines }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.lines.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

impl Log {
    /// The first record with all of `words` in it.
    pub(crate) async fn said(&self, words: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.lines.lock().unwrap().clone();
            let is_it = |line: &&String| words.iter().all(|words| line.contains(words));
            if let Some(line) = said.iter().find(is_it) {
                return line.clone();
            }
            assert!(Instant::now() < deadline, "{words:?} is not in {said:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many records have `words` in them.
    pub(crate) fn count(&self, words: &str) -> usize {
        let said = self.lines.lock().unwrap();
        said.iter().filter(|line| line.contains(words)).count()
    }
}
