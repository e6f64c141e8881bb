//! What waits to be sent over one link: filled by user threads and by the kernel, drained by the
//! task of the link.
//!
//! Small messages have a budget, large ones one of their own, so that a long transfer never makes
//! the small ones of others wait. Who sends for a user waits, or is told, while the budget is used
//! up. What the kernel says cannot wait; if that alone piles up to [`MAX_WAITING`], the peer does
//! not read and the link ends.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use enmesh_proto::Message;
use tokio::sync::Notify;

/// The longest payload, in bytes, that counts as small: what travels in one fragment.
pub(crate) const SMALL: usize = 64 * 1024;

/// How many bytes of small messages may wait before senders do. With what the link has on its way
/// and the fragments that go between, it is less than 1 MiB that a small message waits for.
const SMALL_BUDGET: usize = 320 * 1024;

/// How many bytes of large messages may wait before senders do; one message alone may be longer.
const LARGE_BUDGET: usize = 64 << 20;

/// How many bytes may pile up, by what nobody can wait for, before the link ends.
const MAX_WAITING: usize = 128 << 20;

/// How many bytes of small messages the link's task takes at once, which bounds its turn.
const TAKEN_AT_ONCE: usize = 128 * 1024;

/// What a message without payload counts as, in bytes: its place in the queue.
const OVERHEAD: usize = size_of::<Outgoing>();

/// How many places of a queue an idle link keeps.
pub(crate) const KEPT_PLACES: usize = 64;

/// A message, and which messages it must not overtake.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) flow: u64,
    pub(crate) message: Message,
}

/// Why a message was not taken; its payload is given back.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The budget is used up.
    Full(Bytes),
    /// The link has ended.
    Closed(Bytes),
}

/// The outgoing queue of one link.
#[derive(Debug, Default)]
pub(crate) struct LinkQueue {
    inner: Mutex<Inner>,
    /// Wakes the link's task.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Outgoing>,
    /// Bytes of small messages in `waiting`.
    small: usize,
    /// Bytes of large messages in `waiting`, and of those that the link has not yet written.
    large: usize,
    /// Set when [`MAX_WAITING`] is reached, and when the link has ended.
    end: Option<End>,
    /// Senders that wait for the budget; each mailbox is one at most.
    senders: Vec<Waker>,
    /// The link's task waits for a message.
    is_idle: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Overflowed,
    Closed,
}

impl LinkQueue {
    /// Takes a user's message if the budget allows it; else `waiter` is woken once it may.
    pub(crate) fn try_push(
        &self,
        flow: u64,
        message: Message,
        waiter: Option<&Waker>,
    ) -> Result<(), Refused> {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return Err(Refused::Closed(message.payload.unwrap_or_default()));
        }
        if !inner.has_room(size(&message)) {
            inner.wait(waiter);
            return Err(Refused::Full(message.payload.unwrap_or_default()));
        }
        self.put(inner, Outgoing { flow, message });
        Ok(())
    }

    /// Whether a payload of so many bytes would be taken; else `waiter` is woken once it may be.
    pub(crate) fn has_room(&self, payload: usize, waiter: Option<&Waker>) -> bool {
        let mut inner = self.lock();
        let has_room = inner.end.is_some() || inner.has_room(OVERHEAD + payload);
        if !has_room {
            inner.wait(waiter);
        }
        has_room
    }

    /// Takes what nobody can wait for.
    pub(crate) fn push(&self, flow: u64, message: Message) {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return;
        }
        if inner.small + inner.large + size(&message) > MAX_WAITING {
            inner.end = Some(End::Overflowed);
            self.wake(inner);
            return;
        }
        self.put(inner, Outgoing { flow, message });
    }

    /// Moves what the link may take now into `into`; false once so much piled up that the link
    /// must end.
    pub(crate) fn take(&self, into: &mut VecDeque<Outgoing>) -> bool {
        let mut inner = self.lock();
        if inner.end == Some(End::Overflowed) {
            return false;
        }
        let was_full = inner.small >= SMALL_BUDGET;
        if inner.small <= TAKEN_AT_ONCE && into.is_empty() {
            std::mem::swap(&mut inner.waiting, into);
            inner.small = 0;
        } else {
            let mut taken = 0;
            while taken < TAKEN_AT_ONCE
                && let Some(next) = inner.waiting.pop_front()
            {
                let size = size(&next.message);
                if size <= SMALL {
                    taken += size;
                    inner.small -= size;
                }
                into.push_back(next);
            }
        }
        if was_full && inner.small < SMALL_BUDGET {
            wake_senders(inner);
        }
        true
    }

    /// So many bytes of large messages have left the link.
    pub(crate) fn large_written(&self, bytes: usize) {
        if bytes > 0 {
            let mut inner = self.lock();
            inner.large = inner.large.saturating_sub(bytes);
            wake_senders(inner);
        }
    }

    /// Waits until there may be something to take. Cancel safe.
    pub(crate) async fn arrived(&self) {
        {
            let mut inner = self.lock();
            if !inner.waiting.is_empty() || inner.end == Some(End::Overflowed) {
                return;
            }
            inner.is_idle = true;
            if inner.waiting.capacity() > KEPT_PLACES {
                inner.waiting = VecDeque::new();
            }
        }
        self.arrived.notified().await;
    }

    /// The link has ended: nothing is taken any more, and who waits is told.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.end = Some(End::Closed);
        let waiting = std::mem::take(&mut inner.waiting);
        inner.small = 0;
        inner.large = 0;
        wake_senders(inner);
        drop(waiting);
    }

    fn put(&self, mut inner: MutexGuard<'_, Inner>, outgoing: Outgoing) {
        let size = size(&outgoing.message);
        if size <= SMALL {
            inner.small += size;
        } else {
            inner.large += size;
        }
        inner.waiting.push_back(outgoing);
        self.wake(inner);
    }

    fn wake(&self, mut inner: MutexGuard<'_, Inner>) {
        let was_idle = std::mem::take(&mut inner.is_idle);
        drop(inner);
        if was_idle {
            self.arrived.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can panic between two fields that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn wait(&mut self, waiter: Option<&Waker>) {
        if let Some(waiter) = waiter
            && !self.senders.iter().any(|waker| waker.will_wake(waiter))
        {
            self.senders.push(waiter.clone());
        }
    }

    fn has_room(&self, size: usize) -> bool {
        if size <= SMALL {
            self.small < SMALL_BUDGET
        } else {
            self.large == 0 || self.large + size <= LARGE_BUDGET
        }
    }
}

/// Wakes outside of the lock: what a waker does is not ours.
fn wake_senders(mut inner: MutexGuard<'_, Inner>) {
    let senders = std::mem::take(&mut inner.senders);
    drop(inner);
    for sender in senders {
        sender.wake();
    }
}

/// What a message counts as.
pub(crate) fn size(message: &Message) -> usize {
    OVERHEAD + message.payload.as_ref().map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use enmesh_proto::Control;
    use enmesh_term::{Atom, Pid};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn message(payload: usize) -> Message {
        Message {
            control: Control::Send {
                to: Pid::new(Atom::from_static("a@h"), 1, 0, 4),
                token: None,
            },
            payload: Some(Bytes::from(vec![0; payload])),
        }
    }

    /// As many small messages as the budget allows.
    fn fill(queue: &LinkQueue) -> usize {
        (0..)
            .take_while(|_| queue.try_push(1, message(1024), None).is_ok())
            .count()
    }

    #[test]
    fn a_sender_over_the_budget_is_woken_when_the_link_has_taken_enough() {
        let (queue, woken) = (LinkQueue::default(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let count = fill(&queue);
        assert!(count * 1024 <= SMALL_BUDGET);
        for _ in 0..2 {
            let refused = queue.try_push(1, message(1), Some(&waker));
            assert!(matches!(refused, Err(Refused::Full(payload)) if payload.len() == 1));
        }
        let mut taken = VecDeque::new();
        assert!(queue.take(&mut taken));
        assert!(taken.len() < count, "a turn is bounded");
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "once for both");
        assert!(queue.try_push(1, message(1), None).is_ok());
    }

    #[test]
    fn large_messages_have_a_budget_of_their_own() {
        let queue = LinkQueue::default();
        assert!(queue.try_push(1, message(LARGE_BUDGET + 1), None).is_ok());
        let second = queue.try_push(1, message(SMALL + 1), None);
        assert!(matches!(second, Err(Refused::Full(_))));
        assert!(
            queue.try_push(2, message(10), None).is_ok(),
            "small ones go"
        );
        let mut taken = VecDeque::new();
        assert!(queue.take(&mut taken));
        assert_eq!(taken.len(), 2);
        assert!(!queue.has_room(SMALL + 1, None), "the link still holds it");
        queue.large_written(size(&taken[0].message));
        assert!(queue.has_room(SMALL + 1, None));
    }

    #[test]
    fn what_nobody_waits_for_piles_up_to_a_bound_and_then_ends_the_link() {
        let queue = LinkQueue::default();
        let mut taken = VecDeque::new();
        for _ in 0..=MAX_WAITING / (16 << 20) {
            queue.push(0, message(16 << 20));
        }
        assert!(!queue.take(&mut taken));
    }

    #[test]
    fn the_end_of_the_link_is_told_to_who_waits() {
        let (queue, woken) = (LinkQueue::default(), Arc::new(Woken::default()));
        fill(&queue);
        let waker = Waker::from(Arc::clone(&woken));
        assert!(!queue.has_room(0, Some(&waker)));
        queue.close();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let refused = queue.try_push(1, message(3), None);
        assert!(matches!(refused, Err(Refused::Closed(payload)) if payload.len() == 3));
    }
}
