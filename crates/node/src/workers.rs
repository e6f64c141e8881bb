//! The user's code that the node runs: served functions and servers, each a task on the threads of
//! the [`Crew`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_task::Task;
use tracing::error;

use crate::crew::Crew;

/// The tasks of one node.
#[derive(Debug)]
pub(crate) struct Workers {
    crew: Arc<Crew>,
    tasks: Arc<Mutex<Tasks>>,
    /// The threads could not be made once.
    has_failed: AtomicBool,
}

/// A task that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TaskId(u64);

#[derive(Debug, Default)]
struct Tasks {
    running: HashMap<TaskId, Task<()>>,
    last: u64,
    has_ended: bool,
}

impl Workers {
    pub(crate) fn new(crew: Arc<Crew>) -> Self {
        Self {
            crew,
            tasks: Arc::default(),
            has_failed: AtomicBool::new(false),
        }
    }

    pub(crate) fn crew(&self) -> &Arc<Crew> {
        &self.crew
    }

    /// Runs what `task` makes; `None` if the node has shut down or the threads cannot be made, and
    /// then nothing is made.
    pub(crate) fn spawn<F>(&self, task: impl FnOnce() -> F) -> Option<TaskId>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Err(error) = self.crew.ensure_worker() {
            // Every request of every node would say so again.
            if !self.has_failed.swap(true, Ordering::Relaxed) {
                error!(%error, "cannot start the threads of served functions");
            }
            return None;
        }
        let mut tasks = lock(&self.tasks);
        if tasks.has_ended {
            return None;
        }
        tasks.last += 1;
        let id = TaskId(tasks.last);
        let gone = Gone(id, Arc::downgrade(&self.tasks));
        let future = task();
        let crew = Arc::downgrade(&self.crew);
        let schedule = move |runnable| {
            if let Some(crew) = crew.upgrade() {
                crew.schedule(runnable);
            }
        };
        let (runnable, task) = async_task::spawn(
            async move {
                let _gone = gone;
                future.await;
            },
            schedule,
        );
        tasks.running.insert(id, task);
        drop(tasks);
        runnable.schedule();
        Some(id)
    }

    /// Ends a task at its next await.
    pub(crate) fn abort(&self, id: TaskId) {
        let task = lock(&self.tasks).running.remove(&id);
        drop(task);
    }

    /// Ends every task at its next await. Code that blocks its thread is left to end by itself.
    pub(crate) fn shut_down(&self) {
        let running = {
            let mut tasks = lock(&self.tasks);
            tasks.has_ended = true;
            std::mem::take(&mut tasks.running)
        };
        drop(running);
    }
}

/// A task forgets itself when it is done or dropped.
struct Gone(TaskId, Weak<Mutex<Tasks>>);

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some(tasks) = self.1.upgrade() {
            let task = lock(&tasks).running.remove(&self.0);
            if let Some(task) = task {
                task.detach();
            }
        }
    }
}

fn lock(tasks: &Mutex<Tasks>) -> MutexGuard<'_, Tasks> {
    // Nothing in here can panic between two fields that belong together.
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}
