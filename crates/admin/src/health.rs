//! What a node's health is judged by, and when it changes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use enmesh::Condition;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::report::{Report, Rules, Silence, Stage};
use crate::subject::Subject;

/// How long a node may take to say how it fares. It takes well under a millisecond; a machine that has
/// far too much to do is no reason to start a node again.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The health of a node from before its start to after its end.
#[derive(Debug)]
pub struct Health<S> {
    rules: Rules,
    phase: watch::Sender<Phase<S>>,
    /// Held by the one who asks the node: it is asked one question at a time, however many clients
    /// want to know.
    turn: tokio::sync::Mutex<()>,
    /// Whether it was ready when it was looked at last.
    was_ready: Mutex<bool>,
}

#[derive(Clone, Debug)]
enum Phase<S> {
    Running(S),
    Other(Stage),
}

impl<S: Subject> Health<S> {
    /// The health of a node that has not started yet: it lives and is not ready.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            phase: watch::Sender::new(Phase::Other(Stage::Starting)),
            turn: tokio::sync::Mutex::default(),
            was_ready: Mutex::default(),
        }
    }

    /// It has started.
    pub fn running(&self, subject: S) {
        self.phase.send_replace(Phase::Running(subject));
    }

    /// It was told to end: it lives and is not ready.
    pub fn stopping(&self) {
        self.phase.send_replace(Phase::Other(Stage::Stopping));
    }

    /// Whether it lives: whether its manager, or the agent's steering, answers. No peer and no
    /// source has a say in it.
    pub async fn live(&self) -> Report {
        match self.phase() {
            Phase::Other(stage) => Report::live_at(stage),
            Phase::Running(subject) => Report::live(self.ask(&subject, |_| {}).await.err()),
        }
    }

    /// Whether it is ready, by the [`Rules`].
    pub async fn ready(&self) -> Report {
        let subject = match self.phase() {
            Phase::Other(stage) => return Report::unready_at(stage),
            Phase::Running(subject) => subject,
        };
        let judge = |condition: &Condition| {
            let report = Report::ready(self.rules, S::STEERS, condition);
            self.note(&report, condition.is_draining);
            report
        };
        let asked = self.ask(&subject, judge).await;
        asked.unwrap_or_else(|silence| {
            let report = Report::unready(silence);
            self.note(&report, false);
            report
        })
    }

    /// Says in the log when it becomes ready and when it is so no longer, whether or not anybody
    /// asks. It looks whenever something has changed; a node that is stuck changes nothing, and is
    /// found out by whoever asks. It has no end.
    pub(crate) async fn follow(&self) {
        let mut phases = self.phase.subscribe();
        loop {
            let subject = match phases.borrow_and_update().clone() {
                Phase::Running(subject) => Some(subject),
                Phase::Other(_) => None,
            };
            let looking = async {
                if let Some(subject) = subject {
                    self.follow_one(&subject).await;
                }
                std::future::pending::<()>().await;
            };
            // Cancel safe: what is begun anew is only ever looked at.
            tokio::select! {
                biased;
                _ = phases.changed() => {}
                () = looking => {}
            }
        }
    }

    /// Until it has ended.
    async fn follow_one(&self, subject: &S) {
        let mut changes = subject.changes();
        let mut lives = true;
        while lives {
            let _ = self.ready().await;
            lives = changes.next().await;
        }
        let _ = self.ready().await;
    }

    fn phase(&self) -> Phase<S> {
        self.phase.borrow().clone()
    }

    /// What is made of the answer to how it fares. That is made in turn, so that what is asked
    /// later is told later.
    async fn ask<T>(&self, subject: &S, read: impl FnOnce(&Condition) -> T) -> Result<T, Silence> {
        let asked = async {
            let _turn = self.turn.lock().await;
            let condition = subject.condition().await;
            condition.as_ref().map(read).ok_or(Silence::Ended)
        };
        let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await;
        answer.unwrap_or(Err(Silence::Stuck(ANSWER_WITHIN)))
    }

    /// Says what has changed. Of a node that was told to end the log says so itself.
    fn note(&self, report: &Report, is_draining: bool) {
        if !matches!(*self.phase.borrow(), Phase::Running(_)) {
            return;
        }
        let mut was_ready = locked(&self.was_ready);
        let is_ready = report.is_ok();
        match (std::mem::replace(&mut *was_ready, is_ready), is_ready) {
            (false, true) => info!("ready"),
            (true, false) if is_draining => info!(reason = report.failures(), "no longer ready"),
            (true, false) => warn!(reason = report.failures(), "no longer ready"),
            _ => {}
        }
    }
}

/// What the mutex holds; no panic leaves it half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
