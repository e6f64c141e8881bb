//! Who waits for room in the queue of a link, in order.
//!
//! A sender is *called* when there may be room for it, and not before: its waker goes off, and its
//! bytes count as taken until it has come and gone ([`Turn`] is dropped). So a place that one
//! sender lets go, by sending less or by being cancelled, is always offered to the next one. Who
//! was called and finds no room, because others were faster, has its old place again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use super::{LinkQueue, Size};

/// Senders that wait for the same budget.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: BTreeMap<u64, Waiting>,
    last: u64,
    /// How many bytes those want who were called and have not gone yet.
    called: usize,
}

#[derive(Debug)]
struct Waiting {
    size: usize,
    waker: Waker,
}

impl Line {
    /// Whether nobody is to go before who has this ticket, or none.
    pub(super) fn is_first(&self, ticket: Option<u64>) -> bool {
        let first = self.waiting.first_key_value();
        first.is_none_or(|(&first, _)| ticket.is_some_and(|ticket| ticket <= first))
    }

    /// Waits at the place of the ticket, or at the end of the line. Returns the ticket.
    pub(super) fn wait(&mut self, ticket: Option<u64>, size: usize, waker: &Waker) -> u64 {
        let ticket = match ticket {
            Some(ticket) => {
                if let Some(waiting) = self.waiting.get_mut(&ticket) {
                    waiting.waker.clone_from(waker);
                    return ticket;
                }
                self.called = self.called.saturating_sub(size);
                ticket
            }
            None => {
                self.last += 1;
                self.last
            }
        };
        let waker = waker.clone();
        self.waiting.insert(ticket, Waiting { size, waker });
        ticket
    }

    /// Who has this ticket waits no more.
    pub(super) fn leave(&mut self, ticket: u64, size: usize) {
        if self.waiting.remove(&ticket).is_none() {
            self.called = self.called.saturating_sub(size);
        }
    }

    /// Calls, in order, those for whom there is room: `fits` says whether a message of so many
    /// bytes is taken when so many bytes more are there already. With `insists` the first is
    /// called even if the room may be taken by those who were called before.
    pub(super) fn call(
        &mut self,
        insists: bool,
        fits: impl Fn(usize, usize) -> bool,
        wakers: &mut Vec<Waker>,
    ) {
        let mut insists = insists;
        while let Some(first) = self.waiting.first_entry() {
            let size = first.get().size;
            let besides = match std::mem::take(&mut insists) {
                true => 0,
                false => self.called,
            };
            if !fits(besides, size) {
                return;
            }
            self.called += size;
            wakers.push(first.remove().waker);
        }
    }

    /// Those who were called have had their time.
    pub(super) fn forget_called(&mut self) {
        self.called = 0;
    }

    /// Calls everybody.
    pub(super) fn call_all(&mut self, wakers: &mut Vec<Waker>) {
        let waiting = std::mem::take(&mut self.waiting);
        wakers.extend(waiting.into_values().map(|waiting| waiting.waker));
    }
}

/// The place of one sender among those who wait for room, kept until it is dropped. At first it is
/// nowhere.
#[derive(Debug, Default)]
pub(crate) struct Turn(Option<Place>);

#[derive(Debug)]
struct Place {
    queue: Arc<LinkQueue>,
    ticket: u64,
    size: Size,
}

impl Turn {
    /// The ticket for a message of so many bytes in this queue.
    pub(super) fn ticket(&self, queue: &Arc<LinkQueue>, size: Size) -> Option<u64> {
        let place = self.0.as_ref()?;
        (Arc::ptr_eq(&place.queue, queue) && place.size == size).then_some(place.ticket)
    }

    /// The place is there from now on. One elsewhere is left, so no lock may be held.
    pub(super) fn set(&mut self, queue: &Arc<LinkQueue>, ticket: u64, size: Size) {
        if self.ticket(queue, size) != Some(ticket) {
            let queue = Arc::clone(queue);
            *self = Turn(Some(Place {
                queue,
                ticket,
                size,
            }));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            place.queue.leave(place.ticket, place.size);
        }
    }
}
