//! When the requests of users are over: one list, watched by one task of the node, so that a
//! caller needs no timer of its own executor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::deadline::until;
use crate::slot::Slot;

/// A timer that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId {
    due: Instant,
    number: u64,
}

/// The deadlines of all requests.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    inner: Mutex<Inner>,
    /// Tells the watching task that an earlier deadline was set.
    earlier: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    slots: BTreeMap<TimerId, Arc<Slot>>,
    last_number: u64,
    /// When the watching task looks next. Most timers are cancelled long before they are due, so
    /// it is not told of that: it looks once in vain and goes on with the next.
    armed: Option<Instant>,
}

impl Timers {
    /// Times `slot` out at `due`, unless cancelled before.
    pub(crate) fn set(&self, due: Instant, slot: Arc<Slot>) -> TimerId {
        let mut inner = self.lock();
        inner.last_number += 1;
        let id = TimerId {
            due,
            number: inner.last_number,
        };
        let is_earlier = inner.armed.is_none_or(|armed| due < armed);
        if is_earlier {
            inner.armed = Some(due);
        }
        inner.slots.insert(id, slot);
        drop(inner);
        if is_earlier {
            self.earlier.notify_one();
        }
        id
    }

    pub(crate) fn cancel(&self, id: TimerId) {
        let slot = self.lock().slots.remove(&id);
        drop(slot);
    }

    /// Watches the deadlines for ever.
    pub(crate) async fn watch(&self) {
        loop {
            let first = {
                let mut inner = self.lock();
                inner.armed = inner.slots.first_key_value().map(|(id, _)| id.due);
                inner.armed
            };
            tokio::select! {
                () = self.earlier.notified() => {}
                () = until(first) => self.fire(Instant::now()),
            }
        }
    }

    fn fire(&self, now: Instant) {
        loop {
            let mut inner = self.lock();
            let Some(first) = inner.slots.first_entry() else {
                return;
            };
            if first.key().due > now {
                return;
            }
            let slot = first.remove();
            drop(inner);
            slot.time_out();
        }
    }

    /// Tells every request that the node has shut down.
    pub(crate) fn shut_down(&self) {
        let slots = std::mem::take(&mut self.lock().slots);
        for slot in slots.into_values() {
            slot.shut_down();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can panic between two fields that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::Outcome;
    use std::time::Duration;

    async fn outcome(slot: &Slot) -> Outcome {
        std::future::poll_fn(|context| slot.poll(context)).await
    }

    #[tokio::test]
    async fn each_slot_times_out_when_it_is_due_unless_cancelled() {
        let timers = Timers::default();
        let (late, early, cancelled) = (
            Arc::new(Slot::default()),
            Arc::new(Slot::default()),
            Arc::new(Slot::default()),
        );
        let now = Instant::now();
        let in_ms = |ms| now + Duration::from_millis(ms);
        let waiting = async {
            // The watch sleeps until the cancelled one by now, and is to wake earlier.
            let first = timers.set(in_ms(20), Arc::clone(&cancelled));
            tokio::task::yield_now().await;
            timers.set(in_ms(40), Arc::clone(&late));
            timers.set(in_ms(5), Arc::clone(&early));
            timers.cancel(first);
            assert_eq!(outcome(&early).await, Outcome::TimedOut);
            assert!(Instant::now() >= in_ms(5));
            assert_eq!(outcome(&late).await, Outcome::TimedOut);
            assert!(Instant::now() >= in_ms(40));
            let patience = Duration::from_millis(1);
            let pending = tokio::time::timeout(patience, outcome(&cancelled)).await;
            assert!(pending.is_err(), "{pending:?}");
        };
        tokio::select! {
            () = timers.watch() => unreachable!(),
            () = waiting => {}
        }
    }
}
