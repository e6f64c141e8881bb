//! A command that is run for each node that comes or goes.

mod program;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;

use crate::log::{Record, json_line};

use self::program::RunError;

/// Events that wait for their turn. When as many wait, further ones are lost and counted.
const MAX_WAITING_EVENTS: usize = 1_024;
/// How long the command may take for one event before it is killed.
const MAX_RUN: Duration = Duration::from_secs(10);
/// How long the events that still wait may take once the node has ended.
const LAST_RUNS: Duration = Duration::from_secs(5);

/// The records that are events.
const EVENTS: [&str; 2] = ["node connected", "node disconnected"];

/// Where the log puts the events. Cheap to clone, never waits.
#[derive(Clone, Debug)]
pub(crate) struct EventQueue {
    waiting: Sender<String>,
    lost: Arc<AtomicU64>,
}

/// The command, and the events that it is to be run for, one after the other.
#[derive(Debug)]
pub(crate) struct OnEvent {
    command: Vec<String>,
    waiting: Receiver<String>,
    lost: Arc<AtomicU64>,
}

/// A command that is still to be started, and the queue that fills it.
pub(crate) fn on_event(command: Vec<String>) -> (EventQueue, OnEvent) {
    let (sender, waiting) = mpsc::channel(MAX_WAITING_EVENTS);
    let lost = Arc::new(AtomicU64::new(0));
    let queue = EventQueue {
        waiting: sender,
        lost: Arc::clone(&lost),
    };
    let on_event = OnEvent {
        command,
        waiting,
        lost,
    };
    (queue, on_event)
}

impl EventQueue {
    /// The level of events.
    pub(crate) const LEVEL: LevelFilter = LevelFilter::INFO;

    /// Takes the record if it is an event.
    pub(crate) fn offer(&self, record: &Record) {
        if EVENTS.contains(&record.fields.message.as_str())
            && self.waiting.try_send(json_line(record)).is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl OnEvent {
    /// Runs the command for each event until `ended`, and then for those that wait already, for
    /// some seconds.
    pub(crate) async fn run(mut self, ended: CancellationToken) {
        let over = async {
            ended.cancelled().await;
            tokio::time::sleep(LAST_RUNS).await;
        };
        tokio::pin!(over);
        loop {
            let event = tokio::select! {
                biased;
                event = self.waiting.recv() => event,
                () = ended.cancelled() => {
                    self.waiting.close();
                    self.waiting.recv().await
                }
            };
            let Some(event) = event else { return };
            let count = self.lost.swap(0, Ordering::Relaxed);
            if count > 0 {
                tracing::warn!(count, "events lost: the event command is too slow");
            }
            tokio::select! {
                biased;
                outcome = program::run(&self.command, event.as_bytes(), MAX_RUN) => {
                    self.say(outcome);
                }
                () = &mut over => {
                    let count = self.waiting.len() + 1;
                    tracing::warn!(count, "events lost: the node ended before their command did");
                    return;
                }
            }
        }
    }

    fn say(&self, outcome: Result<(), RunError>) {
        let command = &self.command[0];
        match outcome {
            Ok(()) => tracing::debug!(command, code = 0, "event command ended"),
            Err(error) => tracing::warn!(
                command,
                code = error.code(),
                stderr = error.stderr(),
                %error,
                "event command failed"
            ),
        }
    }
}

#[cfg(all(test, unix))]
mod tests;
