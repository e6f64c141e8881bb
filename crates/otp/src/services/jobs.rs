//! The user's functions that run for other nodes.

use std::collections::{HashMap, HashSet};

use enmesh_term::{Atom, Term};

use crate::JobId;
use crate::services::gen_call::Caller;

/// The most functions that run at once; a request beyond is refused with `system_limit`.
pub(super) const MAX_JOBS: usize = 1_024;

/// What a function runs for, which decides how its end is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Purpose {
    /// It is the whole life of a process.
    Process,
    /// `erpc:execute_call/4`: the exit reason holds the result beside this mark.
    ErpcCall { mark: Term },
    /// `erpc:execute_cast/3`.
    ErpcCast,
    /// A call of `rex`.
    RexCall(Caller),
    /// A cast to `rex`.
    RexCast,
}

/// The function that runs, as it stands in a stack.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) module: Atom,
    pub(super) function: Atom,
    pub(super) arity: usize,
}

/// What runs at the moment.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    running: HashMap<JobId, (Purpose, Frame)>,
    /// Those for which nobody waits any more. They count until the driver says that they have
    /// ended: a function that blocks its thread goes on for as long as it likes.
    aborted: HashSet<JobId>,
    last: u64,
}

impl Jobs {
    /// Whether no more may start.
    pub(super) fn is_full(&self) -> bool {
        self.running.len() + self.aborted.len() >= MAX_JOBS
    }

    pub(super) fn start(&mut self, purpose: Purpose, frame: Frame) -> JobId {
        self.last += 1;
        let job = JobId(self.last);
        self.running.insert(job, (purpose, frame));
        job
    }

    /// What a job that has ended was for; `None` if nobody waits for it.
    pub(super) fn end(&mut self, job: JobId) -> Option<(Purpose, Frame)> {
        self.aborted.remove(&job);
        self.running.remove(&job)
    }

    /// Nobody waits for this job any more; `false` if it is none that runs.
    pub(super) fn abort(&mut self, job: JobId) -> bool {
        self.running.remove(&job).is_some() && self.aborted.insert(job)
    }
}
