//! What waits to be sent over one link: filled by user threads and by the kernel, drained by the
//! task of the link.
//!
//! Small messages have a budget, large ones one of their own, so that a long transfer never makes
//! the small ones of others wait. Who sends for a user waits, or is told, while the budget is used
//! up. What the kernel says cannot wait; if that alone piles up to [`MAX_WAITING`], the peer does
//! not read and the link ends.

mod line;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use enmesh_proto::{Control, Flags, Message, Payload};
use tokio::sync::Notify;

use line::Line;
pub(crate) use line::Turn;

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

/// What a message without payload and names counts as, in bytes: its place in the queue.
const OVERHEAD: usize = size_of::<Outgoing>();

/// How many places of a queue an idle link keeps.
pub(crate) const KEPT_PLACES: usize = 64;

/// A message, and which messages it must not overtake.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) flow: u64,
    pub(crate) control: Control,
    pub(crate) payload: Option<Payload>,
}

impl Outgoing {
    pub(crate) fn new(flow: u64, message: Message) -> Self {
        let Message { control, payload } = message;
        let payload = payload.map(Payload::from);
        Self {
            flow,
            control,
            payload,
        }
    }
}

/// How much a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Its payload, the names in it, and a little more.
    pub(crate) bytes: usize,
    /// Whether it is large, by its payload alone: only then is it cut on the link.
    pub(crate) is_large: bool,
}

impl Size {
    /// That of a message with so many bytes of payload, and of names besides.
    pub(crate) fn new(payload: usize, names: usize) -> Self {
        Self {
            bytes: OVERHEAD + payload + names,
            is_large: payload > SMALL,
        }
    }

    pub(crate) fn of(outgoing: &Outgoing) -> Self {
        let payload = outgoing.payload.as_ref().map_or(0, Payload::len);
        Self::new(payload, outgoing.control.names())
    }
}

/// Why a message was not taken; its payload is given back.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The budget is used up.
    Full(Payload),
    /// The link has ended.
    Closed(Payload),
}

/// Who is to be woken once there may be room for its message.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    pub(crate) turn: &'a mut Turn,
    pub(crate) waker: &'a Waker,
}

/// The outgoing queue of one link.
#[derive(Debug, Default)]
pub(crate) struct LinkQueue {
    inner: Mutex<Inner>,
    /// Wakes the link's task.
    arrived: Notify,
    /// What the peer understands, once the link is up.
    flags: OnceLock<Flags>,
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
    /// Senders that wait for the budget of small messages, and for that of large ones.
    small_line: Line,
    large_line: Line,
    /// The link's task waits for a message.
    is_idle: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Overflowed,
    Closed,
}

impl LinkQueue {
    /// The link is up, with a peer that understands this.
    pub(crate) fn set_flags(&self, flags: Flags) {
        let _ = self.flags.set(flags);
    }

    /// What the peer understands; nothing before the link is up.
    pub(crate) fn flags(&self) -> Flags {
        self.flags.get().copied().unwrap_or_default()
    }

    /// Takes a user's message if the budget allows it; else `waiter` is woken once it may.
    pub(crate) fn try_push(
        self: &Arc<Self>,
        outgoing: Outgoing,
        waiter: Option<Waiter<'_>>,
    ) -> Result<(), Refused> {
        let size = Size::of(&outgoing);
        let inner = self.lock();
        if inner.end.is_some() {
            return Err(Refused::Closed(outgoing.payload.unwrap_or_default()));
        }
        if !inner.has_room(size, self.ticket(waiter.as_ref(), size)) {
            self.wait(inner, size, waiter);
            return Err(Refused::Full(outgoing.payload.unwrap_or_default()));
        }
        self.put(inner, outgoing, size);
        Ok(())
    }

    /// Whether a message of this size would be taken; else `waiter` is woken once it may be.
    pub(crate) fn has_room(self: &Arc<Self>, size: Size, waiter: Option<Waiter<'_>>) -> bool {
        let inner = self.lock();
        let ticket = self.ticket(waiter.as_ref(), size);
        let has_room = inner.end.is_some() || inner.has_room(size, ticket);
        if !has_room {
            self.wait(inner, size, waiter);
        }
        has_room
    }

    /// Takes what nobody can wait for.
    pub(crate) fn push(&self, flow: u64, message: Message) {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return;
        }
        let outgoing = Outgoing::new(flow, message);
        let size = Size::of(&outgoing);
        if inner.small + inner.large + size.bytes > MAX_WAITING {
            inner.end = Some(End::Overflowed);
            self.wake(inner);
            return;
        }
        self.put(inner, outgoing, size);
    }

    /// Moves what the link may take now into `into`; false once so much piled up that the link
    /// must end.
    pub(crate) fn take(&self, into: &mut VecDeque<Outgoing>) -> bool {
        let mut inner = self.lock();
        if inner.end == Some(End::Overflowed) {
            return false;
        }
        if inner.small <= TAKEN_AT_ONCE && into.is_empty() {
            std::mem::swap(&mut inner.waiting, into);
            inner.small = 0;
        } else {
            let mut taken = 0;
            while taken < TAKEN_AT_ONCE
                && let Some(next) = inner.waiting.pop_front()
            {
                let size = Size::of(&next);
                if !size.is_large {
                    taken += size.bytes;
                    inner.small -= size.bytes;
                }
                into.push_back(next);
            }
        }
        call_senders(inner, true);
        true
    }

    /// So many bytes of large messages have left the link.
    pub(crate) fn large_written(&self, bytes: usize) {
        if bytes > 0 {
            let mut inner = self.lock();
            inner.large = inner.large.saturating_sub(bytes);
            call_senders(inner, true);
        }
    }

    /// Waits until there may be something to take. Cancel safe.
    pub(crate) async fn arrived(&self) {
        {
            let mut inner = self.lock();
            if !inner.waiting.is_empty() || inner.end == Some(End::Overflowed) {
                return;
            }
            if inner.waiting.capacity() > KEPT_PLACES {
                inner.waiting = VecDeque::new();
            }
            if !std::mem::replace(&mut inner.is_idle, true) {
                // Nothing that is taken or written will call the next sender: should nobody come
                // of those who were called, it must be now.
                inner.small_line.forget_called();
                inner.large_line.forget_called();
                call_senders(inner, true);
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
        let mut wakers = Vec::new();
        inner.small_line.call_all(&mut wakers);
        inner.large_line.call_all(&mut wakers);
        drop(inner);
        wake_all(wakers);
        drop(waiting);
    }

    fn ticket(self: &Arc<Self>, waiter: Option<&Waiter<'_>>, size: Size) -> Option<u64> {
        waiter.and_then(|waiter| waiter.turn.ticket(self, size))
    }

    fn wait(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
        size: Size,
        waiter: Option<Waiter<'_>>,
    ) {
        let ticket = self.ticket(waiter.as_ref(), size);
        if let Some(Waiter { turn, waker }) = waiter {
            let ticket = inner.line(size).wait(ticket, size.bytes, waker);
            drop(inner);
            turn.set(self, ticket, size);
        }
    }

    /// A sender waits no more, whatever came of that: the next one may have its place.
    fn leave(&self, ticket: u64, size: Size) {
        let mut inner = self.lock();
        inner.line(size).leave(ticket, size.bytes);
        call_senders(inner, false);
    }

    fn put(&self, mut inner: MutexGuard<'_, Inner>, outgoing: Outgoing, size: Size) {
        if size.is_large {
            inner.large += size.bytes;
        } else {
            inner.small += size.bytes;
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
    fn line(&mut self, size: Size) -> &mut Line {
        match size.is_large {
            true => &mut self.large_line,
            false => &mut self.small_line,
        }
    }

    /// Small messages go as they come, so that who runs need not stop; but a large one would find
    /// no room for ever if smaller ones could always go before it.
    fn has_room(&self, size: Size, ticket: Option<u64>) -> bool {
        match size.is_large {
            true => fits_large(self.large, size.bytes) && self.large_line.is_first(ticket),
            false => fits_small(self.small),
        }
    }
}

/// Whether a small message is taken while there are so many bytes of others.
fn fits_small(used: usize) -> bool {
    used < SMALL_BUDGET
}

/// Whether a large message of this size is taken while there are so many bytes of others.
fn fits_large(used: usize, size: usize) -> bool {
    used == 0 || used + size <= LARGE_BUDGET
}

/// Calls the senders for whom there is room, in order, and wakes them outside of the lock: what a
/// waker does is not ours.
fn call_senders(mut inner: MutexGuard<'_, Inner>, insists: bool) {
    let mut wakers = Vec::new();
    let (small, large) = (inner.small, inner.large);
    let fits = |called, _| fits_small(small + called);
    inner.small_line.call(insists, fits, &mut wakers);
    let fits = |called, size| fits_large(large + called, size);
    inner.large_line.call(insists, fits, &mut wakers);
    drop(inner);
    wake_all(wakers);
}

fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
