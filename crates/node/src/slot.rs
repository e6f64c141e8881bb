//! Where the outcome of one request waits for who made it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use enmesh_otp::Mail;

/// What a request can get at most: that it was started, and how it ended.
const MAX_MAILS: usize = 4;

/// What a request waits for.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Mail(Mail),
    /// Its time is over.
    TimedOut,
    /// The node has shut down.
    ShutDown,
}

/// The place of one request.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    mails: VecDeque<Mail>,
    timed_out: bool,
    shut_down: bool,
    waker: Option<Waker>,
}

impl Slot {
    /// Takes mail; returns whom to wake, once no lock is held.
    pub(crate) fn deliver(&self, mail: Mail) -> Option<Waker> {
        let mut inner = self.lock();
        if inner.mails.len() < MAX_MAILS {
            inner.mails.push_back(mail);
        }
        inner.waker.take()
    }

    /// The time of the request is over.
    pub(crate) fn time_out(&self) {
        let mut inner = self.lock();
        inner.timed_out = true;
        wake(inner);
    }

    /// The time of the request does not count any more.
    pub(crate) fn forget_time(&self) {
        self.lock().timed_out = false;
    }

    /// The node has shut down.
    pub(crate) fn shut_down(&self) {
        let mut inner = self.lock();
        inner.shut_down = true;
        wake(inner);
    }

    /// The next mail; what came before the time was over still counts.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Outcome> {
        let mut inner = self.lock();
        if let Some(mail) = inner.mails.pop_front() {
            return Poll::Ready(Outcome::Mail(mail));
        }
        if inner.timed_out {
            return Poll::Ready(Outcome::TimedOut);
        }
        if inner.shut_down {
            return Poll::Ready(Outcome::ShutDown);
        }
        let old = inner.waker.replace(context.waker().clone());
        drop(inner);
        drop(old);
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can panic between two fields that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes outside of the lock: what a waker does is not ours.
fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}
