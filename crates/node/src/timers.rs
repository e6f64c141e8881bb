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
        let is_first = inner
            .slots
            .first_key_value()
            .is_none_or(|(id, _)| due < id.due);
        inner.slots.insert(id, slot);
        drop(inner);
        if is_first {
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
            let first = self.lock().slots.first_key_value().map(|(id, _)| id.due);
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
