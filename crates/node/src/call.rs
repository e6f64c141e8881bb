//! Requests that have an outcome: calls, and how they end.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use enmesh_otp::{Kernel, Mail};
use enmesh_term::{Pid, Reference, Term};

use crate::destination::Destination;
use crate::kernel_driver::{Handle, KernelDriver};
use crate::link_queue::{Turn, Waiter};
use crate::send::{self, TooLong};
use crate::slot::{Outcome, Slot};
use crate::timers::TimerId;

/// Why a call has no reply.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use enmesh::{CallError, Term};
///
/// match node.call("counter", &Term::atom("get"), Duration::from_secs(5)).await {
///     Ok(reply) => println!("{reply}"),
///     Err(CallError::NoProcess) => println!("nobody counts"),
///     Err(CallError::Exited(reason)) => println!("it ended: {reason}"),
///     Err(other) => return Err(other.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No reply in time. The server may have got the request; a reply that still comes is dropped.
    #[error("no reply within {0:?}")]
    TimedOut(Duration),
    /// There is no such process.
    #[error("there is no such process")]
    NoProcess,
    /// The node of the server cannot be reached, or its connection ended during the call.
    #[error("the connection to the node of the server is gone")]
    NoConnection,
    /// The server ended during the call.
    #[error("the server ended: {0}")]
    Exited(Term),
    /// The request is longer than any link takes: 128 MiB. It was not sent.
    #[error("a request of {len} bytes is longer than the {max} allowed")]
    TooLarge {
        /// Its length, in bytes.
        len: usize,
        /// The longest that is allowed, in bytes.
        max: usize,
    },
    /// The node has shut down.
    #[error("the node has shut down")]
    ShutDown,
}

/// More than a call has around its request, in bytes, the names of its node left out.
const AROUND_CALL: usize = 128;

/// One request that waits for what comes of it. Dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Request {
    driver: Arc<KernelDriver>,
    slot: Arc<Slot>,
    timer: Option<TimerId>,
    reference: Option<Reference>,
}

impl Request {
    /// A request whose time is running.
    pub(crate) fn new(driver: &Arc<KernelDriver>, due: Instant) -> Self {
        let slot = Arc::new(Slot::default());
        let timer = driver.timers.set(due, Arc::clone(&slot));
        Self {
            driver: Arc::clone(driver),
            slot,
            timer: Some(timer),
            reference: None,
        }
    }

    /// Makes the request once the link to the node of `to` takes `length` bytes more: `begin` tells
    /// the kernel, and returns what it is to be forgotten by. Cancel safe: it was made or was not.
    pub(crate) async fn begin(
        &mut self,
        to: &Destination,
        length: usize,
        begin: impl FnOnce(&mut Kernel<Handle>, Instant, Handle) -> Reference,
    ) -> Result<(), Outcome> {
        let mut begin = Some(begin);
        let mut turn = Turn::default();
        std::future::poll_fn(|context| {
            if self.driver.is_shut() {
                return Poll::Ready(Err(Outcome::ShutDown));
            }
            // Under the lock of the kernel, so that of many who were woken each sees what those
            // before it have sent.
            let begun = self.driver.with(|kernel, now| {
                let waiter = Waiter {
                    turn: &mut turn,
                    waker: context.waker(),
                };
                let has_room = send::has_room(&self.driver, to, length, waiter);
                let begin = begin.take_if(|_| has_room)?;
                Some(begin(kernel, now, Handle::Slot(Arc::clone(&self.slot))))
            });
            if begun.is_some() {
                self.reference = begun;
                return Poll::Ready(Ok(()));
            }
            self.slot.poll(context).map(Err)
        })
        .await
    }

    /// Makes a request that ends by itself and has no link to wait for.
    pub(crate) fn begin_now(&self, begin: impl FnOnce(&mut Kernel<Handle>, Instant, Handle)) {
        if self.driver.is_shut() {
            return self.slot.shut_down();
        }
        let handle = Handle::Slot(Arc::clone(&self.slot));
        self.driver.with(|kernel, now| begin(kernel, now, handle));
    }

    /// Its time is over, and yet its outcome is waited for.
    pub(crate) fn forget_time(&self) {
        self.slot.forget_time();
    }

    /// The next thing that comes of it. Cancel safe.
    pub(crate) async fn outcome(&mut self) -> Outcome {
        std::future::poll_fn(|context| self.slot.poll(context)).await
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.driver.timers.cancel(timer);
        }
        if let Some(reference) = self.reference.take() {
            self.driver
                .with(|kernel, now| kernel.forget(now, &reference));
        }
    }
}

pub(crate) async fn call(
    driver: &Arc<KernelDriver>,
    from: &Pid,
    to: &Destination,
    request: &Term,
    timeout: Duration,
) -> Result<Term, CallError> {
    // `{'$gen_call', {Pid, [alias|Reference]}, Request}`, both of our own node.
    let around = AROUND_CALL + 2 * driver.node().as_bytes().len();
    let length = send::length(driver, request, around)
        .map_err(|TooLong { len, max }| CallError::TooLarge { len, max })?;
    let mut pending = Request::new(driver, deadline(timeout));
    let address = to.address(driver.node());
    let begun = pending.begin(to, length, |kernel, now, slot| {
        kernel.call(now, from, &address, request, slot)
    });
    let mut outcome = match begun.await {
        Err(outcome) => outcome,
        Ok(()) => pending.outcome().await,
    };
    loop {
        match outcome {
            Outcome::Mail(Mail::Reply(reply)) => return Ok(reply),
            Outcome::Mail(Mail::Down { reason, .. }) => return Err(ended(reason)),
            Outcome::Mail(_) => outcome = pending.outcome().await,
            Outcome::TimedOut => return Err(CallError::TimedOut(timeout)),
            Outcome::ShutDown => return Err(CallError::ShutDown),
        }
    }
}

/// What the reason of a monitor says of a call.
fn ended(reason: Term) -> CallError {
    if reason.is_atom("noproc") {
        CallError::NoProcess
    } else if reason.is_atom("noconnection") {
        CallError::NoConnection
    } else {
        CallError::Exited(reason)
    }
}

/// A time that is too long to be said is as good as a century.
pub(crate) fn deadline(timeout: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    let now = Instant::now();
    now.checked_add(timeout.min(CENTURY)).unwrap_or(now)
}
