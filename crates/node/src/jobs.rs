//! The user's functions that other nodes may call, and those of them that run.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use enmesh_otp::{JobId, JobOutcome};
use enmesh_term::{Atom, Term};

use crate::functions::{Arguments, Raise};
use crate::kernel_driver::KernelDriver;
use crate::workers::{TaskId, Workers};

/// The longest text of a panic that is told, in bytes.
const MAX_PANIC_TEXT: usize = 1024;

type Outcome = Pin<Box<dyn Future<Output = Result<Term, Raise>> + Send>>;

/// A function of the user.
pub(crate) type Function = Arc<dyn Fn(Arguments) -> Outcome + Send + Sync>;

/// The functions and the runs of them.
pub(crate) struct Jobs {
    driver: Weak<KernelDriver>,
    functions: HashMap<(Atom, Atom), Function>,
    running: HashMap<JobId, TaskId>,
}

impl Jobs {
    pub(crate) fn new(driver: Weak<KernelDriver>) -> Self {
        Self {
            driver,
            functions: HashMap::new(),
            running: HashMap::new(),
        }
    }

    /// Gives the function back that had the name before, to be dropped outside of the lock.
    pub(crate) fn define(
        &mut self,
        module: Atom,
        function: Atom,
        closure: Function,
    ) -> Option<Function> {
        self.functions.insert((module, function), closure)
    }

    /// Runs a function in a task of its own; a panic is an outcome. `false` if there can be no
    /// task.
    pub(crate) fn start(
        &mut self,
        workers: &Workers,
        job: JobId,
        name: &(Atom, Atom),
        args: Vec<Term>,
        caller: Atom,
    ) -> bool {
        let function = self.functions.get(name).cloned();
        // Made only once there is a place for the task: its end takes the lock that is held here.
        let task = || {
            let end = End {
                driver: self.driver.clone(),
                job,
                outcome: JobOutcome::Exited(Term::atom("killed")),
            };
            async move {
                let mut end = end;
                end.outcome = match function {
                    Some(function) => run(function, Arguments { args, caller }).await,
                    None => JobOutcome::Exited(Term::atom("undef")),
                };
            }
        };
        let task = workers.spawn(task);
        let is_started = task.is_some();
        self.running.extend(task.map(|task| (job, task)));
        is_started
    }

    pub(crate) fn ended(&mut self, job: JobId) {
        self.running.remove(&job);
    }

    pub(crate) fn abort(&mut self, workers: &Workers, job: JobId) {
        if let Some(task) = self.running.remove(&job) {
            workers.abort(task);
        }
    }

    /// Gives all functions back, to be dropped outside of the lock. Those that run are left to
    /// [`Workers::shut_down`].
    pub(crate) fn shut_down(&mut self) -> HashMap<(Atom, Atom), Function> {
        self.running.clear();
        std::mem::take(&mut self.functions)
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs")
            .field("functions", &self.functions.keys())
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}

/// Tells that a function has ended once its task is gone, however that came about. An aborted task
/// is not gone before what it does at the moment has let its thread go.
struct End {
    driver: Weak<KernelDriver>,
    job: JobId,
    outcome: JobOutcome,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.upgrade() {
            let nothing = JobOutcome::Returned(Term::nil());
            driver.job_ended(self.job, std::mem::replace(&mut self.outcome, nothing));
        }
    }
}

async fn run(function: Function, arguments: Arguments) -> JobOutcome {
    match catch_unwind(async move { function(arguments).await }).await {
        Ok(Ok(term)) => JobOutcome::Returned(term),
        Ok(Err(Raise::Throw(term))) => JobOutcome::Threw(term),
        Ok(Err(Raise::Exit(reason))) => JobOutcome::Exited(reason),
        Ok(Err(Raise::Error(reason))) => JobOutcome::Failed {
            reason,
            stack: Term::nil(),
        },
        Err(panic) => JobOutcome::Panicked(panic_text(panic.as_ref())),
    }
}

/// What a panic said, cut to a length that can be told.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic");
    text[..text.floor_char_boundary(MAX_PANIC_TEXT)].to_owned()
}

/// Runs a future whose panic is a value.
pub(crate) async fn catch_unwind<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = Box::pin(future);
    // After a panic the future is never polled again, so a broken state of it is never seen.
    let poll = |context: &mut Context<'_>| match std::panic::catch_unwind(AssertUnwindSafe(|| {
        future.as_mut().poll(context)
    })) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    };
    std::future::poll_fn(poll).await
}
