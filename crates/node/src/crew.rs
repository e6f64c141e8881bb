//! The threads of a node, and the runtime that they drive in turns.
//!
//! What must never wait for the user's code (links, ticks, the manager) are tasks of one tokio
//! runtime, which whoever leads drives; see [`Turns`] for who that is. The user's code runs outside
//! of it: on worker threads (served functions and servers), or on the thread of
//! [`Node::block_on`](crate::Node::block_on). If it does not let its thread go within about
//! [`LOOK`], the keeper drives the links meanwhile.

mod guest;
mod pace;

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use async_task::Runnable;
use tokio::runtime::{Handle, Runtime};
use tracing::{Dispatch, error};

pub(crate) use pace::Pace;

use crate::turns::{Idle, Seat, Turns, Watch};

/// How long the keeper waits between two looks. Code of the user that has its thread for longer
/// than this loses the lead.
const LOOK: Duration = Duration::from_millis(1);

/// The least workers there may be. A container often has one processor, and there one function
/// that blocks its thread would hold up every other one and every server.
const LEAST_WORKERS: usize = 4;

/// The most there may be. The system is asked once, because it reads files to answer, and while all
/// workers are busy it is looked at for every message to a server.
static MOST_WORKERS: LazyLock<usize> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.max(LEAST_WORKERS)
});

/// The threads of what the user's code spawns by `tokio::spawn`, and of its clock and sockets.
const THREADS_AROUND: usize = 2;

/// The threads of one node.
#[derive(Debug)]
pub(crate) struct Crew {
    /// Ourselves, for the threads that are started.
    crew: Weak<Self>,
    inner: Mutex<Inner>,
    /// Has the leader look whether it shall leave; the same for whoever leads.
    root: OnceLock<Waker>,
    pub(crate) pace: Arc<Pace>,
    /// Who hears what the node has to log.
    dispatch: Dispatch,
}

#[derive(Debug)]
struct Inner {
    turns: Turns,
    /// `None` once the node has ended.
    engine: Option<Arc<Engine>>,
    /// The user's code that can go on.
    queue: VecDeque<Runnable>,
    /// Threads that may wait, to wake them; the keeper first.
    threads: Vec<(Seat, Thread)>,
    /// The workers that wait for something to run.
    parked: Vec<(Seat, Thread)>,
    workers: usize,
    /// How many seats were given out.
    seats: u32,
    /// Where the user's code finds tokio's clock and sockets, and spawns: made for the first of it,
    /// and there until the last handle of the node is dropped.
    around: Option<Engine>,
}

/// A runtime that ends without being waited for.
#[derive(Debug)]
struct Engine(Option<Runtime>);

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // A look-up of a host name may still block a thread; nothing depends on its outcome.
            runtime.shutdown_background();
        }
    }
}

thread_local! {
    /// The crew, by its address, that this thread works for, and where.
    static WORKS_FOR: Cell<(usize, Seat)> = const { Cell::new((0, Seat::Keeper)) };
}

impl Crew {
    /// A crew whose runtime nobody drives yet.
    pub(crate) fn new() -> std::io::Result<Arc<Self>> {
        let pace = Arc::new(Pace::default());
        let gathers = Arc::clone(&pace);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || {
                if let Some(pause) = gathers.pause() {
                    pause.take();
                }
            })
            .build()?;
        Ok(Arc::new_cyclic(|crew| Self {
            crew: crew.clone(),
            inner: Mutex::new(Inner {
                turns: Turns::default(),
                engine: Some(Arc::new(Engine(Some(runtime)))),
                queue: VecDeque::new(),
                threads: Vec::new(),
                parked: Vec::new(),
                workers: 0,
                seats: 0,
                around: None,
            }),
            root: OnceLock::new(),
            pace,
            dispatch: tracing::dispatcher::get_default(Clone::clone),
        }))
    }

    /// Is the keeper on the calling thread until `life` ends, and with it the node.
    pub(crate) fn keep(self: &Arc<Self>, life: impl Future<Output = ()> + Send + 'static) {
        let Some(engine) = self.enlist(Seat::Keeper) else {
            return;
        };
        // Ends the crew also when `life` panics.
        let end = EndOfLife(Arc::clone(self));
        engine.runtime().spawn(async move {
            let _end = end;
            life.await;
        });
        drop(engine);
        self.work_as(Seat::Keeper);
        loop {
            let (watch, engine) = {
                let mut inner = self.lock();
                let watch = inner.turns.watch();
                // Also before it looks no more: whoever relied on that is still busy.
                if !inner.queue.is_empty() {
                    self.put_to_work(&mut inner);
                }
                (watch, inner.engine.clone())
            };
            let Some(engine) = engine else { return };
            match watch {
                Watch::Lead => self.lead(Seat::Keeper, &engine, || false),
                Watch::Look => std::thread::park_timeout(LOOK),
                Watch::Sleep => std::thread::park(),
            }
        }
    }

    /// The node has ended: whoever leads leaves, workers end once they have dropped what they ran.
    pub(crate) fn end(&self) {
        let (engine, threads) = {
            let mut inner = self.lock();
            let threads: Vec<Thread> = inner.threads.iter().map(|(_, t)| t.clone()).collect();
            (inner.engine.take(), threads)
        };
        self.wake_leader();
        for thread in threads {
            thread.unpark();
        }
        drop(engine);
    }

    /// Takes a piece of the user's code that can go on, and sees to it that a worker runs it.
    pub(crate) fn schedule(&self, runnable: Runnable) {
        let mut inner = self.lock();
        if inner.engine.is_none() && inner.workers == 0 {
            drop(inner);
            // Nobody will ever run it. To drop it is to drop the user's future, and whoever
            // schedules may hold a lock that the future takes then.
            let last = std::thread::Builder::new().name("enmesh-worker".to_owned());
            let _ = last.spawn(move || drop(runnable));
            return;
        }
        inner.queue.push_back(runnable);
        let me = self.own_seat().filter(|seat| is_worker(*seat));
        if me.is_some() && inner.turns.leader() == me {
            // The one who reads also runs.
            drop(inner);
            self.wake_leader();
        } else if me.is_some() && inner.turns.is_watched() {
            // It runs something and takes this next; if that is slow, the keeper sees it.
        } else {
            self.put_to_work(&mut inner);
        }
    }

    /// Starts the first worker, if there is none yet.
    pub(crate) fn ensure_worker(self: &Arc<Self>) -> std::io::Result<()> {
        let mut inner = self.lock();
        if inner.workers > 0 {
            return Ok(());
        }
        self.hire(&mut inner)
    }

    /// Starts one more worker, if there may be one more.
    fn hire(&self, inner: &mut Inner) -> std::io::Result<()> {
        if inner.workers >= *MOST_WORKERS || inner.engine.is_none() {
            return Ok(());
        }
        if inner.around.is_none() {
            inner.around = Some(new_around()?);
        }
        let seat = Seat::Worker(inner.next_seat());
        let crew = self.crew.clone();
        let worker = std::thread::Builder::new()
            .name("enmesh-worker".to_owned())
            .spawn(move || {
                if let Some(crew) = crew.upgrade() {
                    crew.work(seat);
                }
            })?;
        inner.workers += 1;
        inner.threads.push((seat, worker.thread().clone()));
        Ok(())
    }

    /// The runtime around the user's code; made by the first who asks.
    fn around(&self) -> Option<Handle> {
        let mut inner = self.lock();
        let mut failed = None;
        if inner.around.is_none() {
            inner.around = new_around().map_err(|error| failed = Some(error)).ok();
        }
        let around = inner.around.as_ref();
        let handle = around.map(|around| around.runtime().handle().clone());
        drop(inner);
        // Whoever hears it may use the node.
        if let Some(error) = failed {
            error!(%error, "cannot start the threads around the user's code");
        }
        handle
    }

    /// Whether `seat` leads. Nobody does once the node has ended.
    fn is_led_by(&self, seat: Seat) -> bool {
        let inner = self.lock();
        inner.engine.is_some() && inner.turns.leader() == Some(seat)
    }

    /// Makes the calling thread one that can be woken; `None` once the node has ended.
    fn enlist(&self, seat: Seat) -> Option<Arc<Engine>> {
        let mut inner = self.lock();
        inner.threads.push((seat, std::thread::current()));
        inner.engine.clone()
    }

    /// The calling thread sits on `seat`. Returns where it sat before.
    fn work_as(&self, seat: Seat) -> (usize, Seat) {
        WORKS_FOR.replace((self.address(), seat))
    }

    /// Whether the calling thread sits on a seat of ours, and on which.
    fn own_seat(&self) -> Option<Seat> {
        let (crew, seat) = WORKS_FOR.get();
        (crew == self.address()).then_some(seat)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Drives the runtime until somebody else is to, or there is something to run.
    fn lead(&self, seat: Seat, engine: &Engine, has_work: impl Fn() -> bool) {
        // The lead goes on also when this unwinds.
        let _leave = Leave(self, seat);
        let wait = std::future::poll_fn(|context| {
            self.root.get_or_init(|| context.waker().clone());
            if has_work() || self.must_leave(seat) {
                return Poll::Ready(());
            }
            if self.pace.is_talking(Instant::now()) {
                // It is looked for the answer again, after whoever else wants the processor.
                std::thread::yield_now();
                context.waker().wake_by_ref();
            }
            Poll::Pending
        });
        // The links' tasks log as the node does, whoever's thread this is.
        tracing::dispatcher::with_default(&self.dispatch, || engine.runtime().block_on(wait));
    }

    fn must_leave(&self, seat: Seat) -> bool {
        let inner = self.lock();
        inner.turns.is_wanted()
            || inner.engine.is_none()
            || (is_worker(seat) && !inner.queue.is_empty())
    }

    /// Is a worker until the node ends.
    fn work(&self, seat: Seat) {
        self.work_as(seat);
        let around = self.around();
        let _context = around.as_ref().map(Handle::enter);
        loop {
            match self.next(seat) {
                Next::Run(runnable) => {
                    // Whoever waits for it is told by what it holds; the thread goes on.
                    let run = std::panic::AssertUnwindSafe(|| runnable.run());
                    if let Err(panic) = std::panic::catch_unwind(run) {
                        // What it carries is the user's, and may panic when it is dropped.
                        std::mem::forget(panic);
                    }
                }
                Next::Lead(engine) => self.lead(seat, &engine, || false),
                Next::Wait => std::thread::park(),
                Next::End => return,
            }
        }
    }

    fn next(&self, seat: Seat) -> Next {
        let mut inner = self.lock();
        inner.parked.retain(|(parked, _)| *parked != seat);
        if let Some(runnable) = inner.queue.pop_front() {
            inner.begin(seat);
            if !inner.queue.is_empty() && !inner.turns.is_watched() {
                // Nobody else will see it while this one is run.
                self.put_to_work(&mut inner);
            }
            return Next::Run(runnable);
        }
        if inner.engine.is_none() {
            inner.workers -= 1;
            inner.threads.retain(|(worker, _)| *worker != seat);
            return Next::End;
        }
        let next = self.idle(&mut inner, seat);
        if let Next::Wait = next {
            inner.parked.push((seat, std::thread::current()));
        }
        next
    }

    fn idle(&self, inner: &mut Inner, seat: Seat) -> Next {
        let Some(engine) = inner.engine.clone() else {
            return Next::Wait;
        };
        match inner.turns.idle(seat) {
            Idle::Lead => Next::Lead(engine),
            Idle::Wait { tell_leader } => {
                if tell_leader {
                    self.wake_leader();
                }
                Next::Wait
            }
        }
    }

    /// Has one more worker look into the queue.
    fn put_to_work(&self, inner: &mut Inner) {
        if let Some((_, thread)) = inner.parked.pop() {
            thread.unpark();
        } else if inner.turns.leader().is_some_and(is_worker) {
            self.wake_leader();
        } else if inner.workers > 0 {
            // Should there be no thread to be had, the workers there are do it later.
            let _ = self.hire(inner);
        }
    }

    fn wake_leader(&self) {
        if let Some(root) = self.root.get() {
            root.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can panic between two fields that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker or a guest does next.
enum Next {
    Run(Runnable),
    Lead(Arc<Engine>),
    Wait,
    End,
}

impl Inner {
    /// `seat` goes to run the user's code.
    fn begin(&mut self, seat: Seat) {
        if self.turns.begin(seat) {
            self.wake(Seat::Keeper);
        }
    }

    fn next_seat(&mut self) -> u32 {
        self.seats = self.seats.wrapping_add(1);
        self.seats
    }

    fn wake(&self, seat: Seat) {
        if let Some((_, thread)) = self.threads.iter().find(|(other, _)| *other == seat) {
            thread.unpark();
        }
    }
}

impl Engine {
    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("it is taken out only when dropped")
    }
}

/// The lead goes on to who is to have it.
struct Leave<'a>(&'a Crew, Seat);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        if let Some(heir) = inner.turns.leave(self.1) {
            inner.wake(heir);
        }
    }
}

/// The node ends with its life.
struct EndOfLife(Arc<Crew>);

impl Drop for EndOfLife {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn is_worker(seat: Seat) -> bool {
    matches!(seat, Seat::Worker(_))
}

fn new_around() -> std::io::Result<Engine> {
    let build = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS_AROUND)
            .thread_name("enmesh-around")
            .enable_all()
            .build()
    };
    // Where the system has no thread to give, tokio panics, and if it had one but not all, it waits
    // for that one for ever. A worker needs a thread as well.
    check_threads(THREADS_AROUND + 1)?;
    let runtime = std::panic::catch_unwind(build)
        .unwrap_or_else(|_| Err(std::io::Error::other("no thread to be had")))?;
    Ok(Engine(Some(runtime)))
}

/// Whether the system has so many threads to give at the same time.
fn check_threads(count: usize) -> std::io::Result<()> {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
    let spawn = |_| {
        let gate = Arc::clone(&gate);
        let name = "enmesh-around".to_owned();
        let thread = std::thread::Builder::new().name(name);
        thread.spawn(move || drop(gate.lock()))
    };
    let threads: std::io::Result<Vec<_>> = (0..count).map(spawn).collect();
    drop(closed);
    for thread in threads? {
        // It does nothing that could panic.
        let _ = thread.join();
    }
    Ok(())
}
