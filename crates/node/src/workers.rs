//! Where the user's code runs that the node calls: threads apart from those of links and ticks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Runtime;
use tokio::task::AbortHandle;
use tracing::error;

/// The runtime of served functions and servers, made when the first of them is started.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    state: Mutex<State>,
    /// The threads could not be made once.
    has_failed: AtomicBool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Running(Runtime),
    Ended,
}

impl Workers {
    /// Runs what `task` makes; `None` if the node has shut down or the threads cannot be made, and
    /// then nothing is made.
    pub(crate) fn spawn<F>(&self, task: impl FnOnce() -> F) -> Option<AbortHandle>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Idle = *state {
            match new_runtime() {
                Ok(runtime) => *state = State::Running(runtime),
                Err(error) => {
                    // Every request of every node would say so again.
                    if !self.has_failed.swap(true, Ordering::Relaxed) {
                        error!(%error, "cannot start the threads of served functions");
                    }
                    return None;
                }
            }
        }
        match &*state {
            State::Running(runtime) => Some(runtime.spawn(task()).abort_handle()),
            _ => None,
        }
    }

    /// Ends every task at its next await. Code that blocks its thread is left to end by itself.
    pub(crate) fn shut_down(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *state, State::Ended);
        drop(state);
        if let State::Running(runtime) = old {
            runtime.shutdown_background();
        }
    }
}

/// The least threads there are. A container often has one processor, and there one function that
/// blocks its thread would hold up every other one and every server.
const LEAST_THREADS: usize = 4;

fn new_runtime() -> std::io::Result<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.max(LEAST_THREADS))
        .thread_name("enmesh-worker")
        .enable_all()
        .build()
}
