//! A thread of the user's that drives the links while it waits for its future.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tokio::runtime::Handle;

use super::{Crew, Next, WORKS_FOR};
use crate::turns::Seat;

impl Crew {
    /// Runs `future` on the calling thread, which drives the links while it waits.
    ///
    /// # Panics
    /// If the thread already drives a runtime of tokio's.
    pub(crate) fn block_on<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let engine = self.lock().engine.clone();
        if let Some(engine) = engine {
            // Says so now, and not only when this thread has to wait for the first time.
            engine.runtime().block_on(async {});
        }
        let around = Handle::try_current().ok().or_else(|| self.around());
        let _context = around.as_ref().map(Handle::enter);
        let seat = Seat::Guest(self.lock().next_seat());
        let _end = EndOfGuest {
            crew: self,
            seat,
            before: self.work_as(seat),
        };
        self.enlist(seat);
        let guest = Arc::new(Guest {
            crew: Arc::downgrade(self),
            seat,
            woken: AtomicBool::new(true),
            thread: std::thread::current(),
        });
        let waker = Waker::from(Arc::clone(&guest));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if guest.woken.swap(false, Ordering::SeqCst) {
                self.lock().begin(seat);
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return output;
                }
                continue;
            }
            let next = self.idle(&mut self.lock(), seat);
            match next {
                Next::Lead(engine) => {
                    self.lead(seat, &engine, || guest.woken.load(Ordering::SeqCst))
                }
                _ => std::thread::park(),
            }
        }
    }
}

/// A thread of the user's that waits for its future.
struct Guest {
    crew: Weak<Crew>,
    seat: Seat,
    woken: AtomicBool,
    thread: Thread,
}

impl Wake for Guest {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.woken.swap(true, Ordering::SeqCst) {
            return;
        }
        let Some(crew) = self.crew.upgrade() else {
            return self.thread.unpark();
        };
        if crew.is_led_by(self.seat) {
            crew.wake_leader();
        } else if crew.own_seat() != Some(self.seat) {
            self.thread.unpark();
        }
    }
}

/// A thread of the user's goes its own way again.
struct EndOfGuest<'a> {
    crew: &'a Crew,
    seat: Seat,
    before: (usize, Seat),
}

impl Drop for EndOfGuest<'_> {
    fn drop(&mut self) {
        WORKS_FOR.set(self.before);
        let mut inner = self.crew.lock();
        inner.threads.retain(|(seat, _)| *seat != self.seat);
        if inner.turns.depart(self.seat) {
            inner.wake(Seat::Keeper);
        }
    }
}
