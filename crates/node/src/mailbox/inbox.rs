//! The queue of one mailbox: filled by whoever delivers, emptied by its owner.
//!
//! The owner takes everything that waits at once and then works without the lock. What it has
//! taken and not yet handed out still counts, so that the bound holds for both together.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use enmesh_otp::Mail;
use enmesh_term::{Pid, Term};

use super::options::{DEFAULT_CAPACITY, DEFAULT_MAX_BYTES, MailboxOptions, Overflow};

/// What a message counts as beside its own bytes.
const OVERHEAD: usize = 64;

/// The most messages that are handed out before they stop counting.
const COUNTED_AT_ONCE: usize = 128;

/// The process has ended.
const ENDED: u8 = 1;

/// Something waits that goes before all ordinary messages, taken ones too.
const URGENT: u8 = 2;

/// One thing that waits. Messages are by far the most, so they are kept small.
#[derive(Debug)]
pub(crate) enum Item {
    Message(Bytes),
    Other(Box<Mail>),
}

impl Item {
    /// What it counts as, in bytes.
    fn size(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Message(bytes) => bytes.len(),
                Self::Other(mail) => size(mail),
            }
    }
}

/// What came of a delivery.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// It waits; whom to wake, once no lock is held.
    Waits(Option<Waker>),
    /// There was no room and it is lost. The process must end with `mailbox_overflow`; whom to wake
    /// for what came before it.
    Overflow(Option<Waker>),
    /// There was no room, or the process has ended: it is lost, and that is all.
    Lost,
}

/// The queue of one mailbox.
#[derive(Debug)]
pub(crate) struct Inbox {
    inner: Mutex<Inner>,
    pid: OnceLock<Pid>,
    /// What waits and what was taken but not handed out.
    count: AtomicUsize,
    bytes: AtomicUsize,
    lost: AtomicU64,
    /// [`ENDED`] and [`URGENT`]; written under the lock.
    flags: AtomicU8,
    capacity: usize,
    max_bytes: usize,
    overflow: Overflow,
}

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<Item>,
    urgent: VecDeque<Item>,
    waker: Option<Waker>,
    reason: Option<Term>,
}

/// Messages for one mailbox that came one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) inbox: Option<Arc<Inbox>>,
    pub(crate) items: VecDeque<Item>,
}

impl Run {
    pub(crate) fn is_for(&self, inbox: &Arc<Inbox>) -> bool {
        self.inbox.as_ref().is_some_and(|it| Arc::ptr_eq(it, inbox))
    }
}

/// What the owner has taken.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    items: VecDeque<Item>,
    /// Handed out and still counted.
    count: usize,
    bytes: usize,
}

impl Inbox {
    pub(crate) fn new(options: &MailboxOptions) -> Self {
        Self {
            inner: Mutex::default(),
            pid: OnceLock::new(),
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            flags: AtomicU8::new(0),
            capacity: options.capacity,
            max_bytes: options.max_bytes,
            overflow: options.overflow,
        }
    }

    /// Whose mailbox this is, once that is known.
    pub(crate) fn set_pid(&self, pid: &Pid) {
        let _ = self.pid.set(pid.clone());
    }

    pub(crate) fn pid(&self) -> Option<&Pid> {
        self.pid.get()
    }

    /// How many messages found no room.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn deliver(&self, mail: Mail) -> Delivered {
        if self.has_flag(ENDED) {
            return Delivered::Lost;
        }
        let is_urgent = matches!(mail, Mail::Priority(_));
        let size = OVERHEAD + size(&mail);
        let count = self.count.load(Ordering::Relaxed) + 1;
        let bytes = self.bytes.load(Ordering::Relaxed) + size;
        if count > self.capacity || bytes > self.max_bytes.max(size) {
            // To drop a signal that the owner asked for, by a link or a monitor, would leave it
            // waiting for ever. But anybody can link to it and call `exit/2`.
            let is_far_over = count > self.capacity.saturating_add(DEFAULT_CAPACITY)
                || bytes > self.max_bytes.saturating_add(DEFAULT_MAX_BYTES).max(size);
            match self.overflow {
                Overflow::Exit => return Delivered::Overflow(None),
                Overflow::DropNewest if !is_owed(&mail) => {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    return Delivered::Lost;
                }
                Overflow::DropNewest if is_far_over => return Delivered::Overflow(None),
                Overflow::DropNewest => {}
            }
        }
        let item = match mail {
            Mail::Message(bytes) => Item::Message(bytes),
            other => Item::Other(Box::new(other)),
        };
        let mut inner = self.lock();
        if inner.reason.is_some() {
            return Delivered::Lost;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size, Ordering::Relaxed);
        if is_urgent {
            inner.urgent.push_back(item);
            self.flags.fetch_or(URGENT, Ordering::Release);
        } else {
            inner.items.push_back(item);
        }
        Delivered::Waits(inner.waker.take())
    }

    /// Takes plain messages, in order, and leaves `items` empty or with what is to be dropped. After
    /// [`Delivered::Overflow`] none of those that follow the one too many is in.
    pub(crate) fn deliver_all(&self, items: &mut VecDeque<Item>) -> Delivered {
        let sum: usize = items.iter().map(|item| item.size()).sum();
        let count = self.count.load(Ordering::Relaxed) + items.len();
        let bytes = self.bytes.load(Ordering::Relaxed) + sum;
        if self.has_flag(ENDED) {
            return Delivered::Lost;
        }
        if count > self.capacity || bytes > self.max_bytes {
            return self.deliver_each(items);
        }
        let mut inner = self.lock();
        if inner.reason.is_some() {
            return Delivered::Lost;
        }
        self.count.fetch_add(items.len(), Ordering::Relaxed);
        self.bytes.fetch_add(sum, Ordering::Relaxed);
        if inner.items.is_empty() {
            std::mem::swap(&mut inner.items, items);
        } else {
            inner.items.append(items);
        }
        Delivered::Waits(inner.waker.take())
    }

    /// The same where the bound is near.
    fn deliver_each(&self, items: &mut VecDeque<Item>) -> Delivered {
        let mut wakes = None;
        for item in items.drain(..) {
            let mail = match item {
                Item::Message(bytes) => Mail::Message(bytes),
                Item::Other(mail) => *mail,
            };
            match self.deliver(mail) {
                Delivered::Waits(waker) => wakes = wakes.or(waker),
                Delivered::Lost => {}
                Delivered::Overflow(_) => return Delivered::Overflow(wakes),
            }
        }
        Delivered::Waits(wakes)
    }

    /// The process has ended: what waits is dropped. Returns whom to wake.
    pub(crate) fn end(&self, reason: Term) -> Option<Waker> {
        let mut inner = self.lock();
        inner.reason.get_or_insert(reason);
        self.flags.fetch_or(ENDED, Ordering::Release);
        let items = std::mem::take(&mut inner.items);
        let urgent = std::mem::take(&mut inner.urgent);
        let waker = inner.waker.take();
        drop(inner);
        drop((items, urgent));
        waker
    }

    /// The next item; else `waker` is woken when there is one. `Err` with the reason once the
    /// process has ended.
    pub(crate) fn next(
        &self,
        taken: &mut Taken,
        waker: Option<&Waker>,
    ) -> Result<Option<Item>, Term> {
        let flags = self.flags.load(Ordering::Acquire);
        if flags & ENDED != 0 {
            taken.items = VecDeque::new();
            return Err(self.reason());
        }
        if flags & URGENT != 0
            && let Some(item) = self.next_urgent()
        {
            self.hand_out(taken, &item);
            return Ok(Some(item));
        }
        if let Some(item) = taken.items.pop_front() {
            self.hand_out(taken, &item);
            return Ok(Some(item));
        }
        self.uncount(taken);
        {
            let mut inner = self.lock();
            if let Some(item) = inner.urgent.pop_front() {
                // It came since the flag was looked at.
                drop(inner);
                self.hand_out(taken, &item);
                return Ok(Some(item));
            }
            if inner.items.is_empty() {
                if let Some(reason) = &inner.reason {
                    return Err(reason.clone());
                }
                let old = waker.and_then(|waker| match &inner.waker {
                    Some(old) if old.will_wake(waker) => None,
                    _ => inner.waker.replace(waker.clone()),
                });
                drop(inner);
                drop(old);
                return Ok(None);
            }
            std::mem::swap(&mut inner.items, &mut taken.items);
        }
        let item = taken.items.pop_front();
        if let Some(item) = &item {
            self.hand_out(taken, item);
        }
        Ok(item)
    }

    /// Nobody waits any more.
    pub(crate) fn forget_waker(&self) {
        let waker = self.lock().waker.take();
        drop(waker);
    }

    fn next_urgent(&self) -> Option<Item> {
        let mut inner = self.lock();
        let item = inner.urgent.pop_front();
        if inner.urgent.is_empty() {
            self.flags.fetch_and(!URGENT, Ordering::Release);
        }
        item
    }

    fn has_flag(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    fn reason(&self) -> Term {
        let reason = self.lock().reason.clone();
        reason.unwrap_or_else(|| Term::atom("normal"))
    }

    fn hand_out(&self, taken: &mut Taken, item: &Item) {
        taken.count += 1;
        taken.bytes += item.size();
        let step = (self.capacity / 16).min(COUNTED_AT_ONCE);
        if taken.count >= step || taken.bytes >= self.max_bytes / 16 {
            self.uncount(taken);
        }
    }

    fn uncount(&self, taken: &mut Taken) {
        if taken.count > 0 {
            self.count.fetch_sub(taken.count, Ordering::Relaxed);
            self.bytes.fetch_sub(taken.bytes, Ordering::Relaxed);
            (taken.count, taken.bytes) = (0, 0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can panic between two fields that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes that a mail holds beside [`OVERHEAD`].
fn size(mail: &Mail) -> usize {
    match mail {
        Mail::Message(bytes) | Mail::Priority(bytes) => bytes.len(),
        Mail::Exit { reason, .. } | Mail::Down { reason, .. } => OVERHEAD + reason.weight(),
        Mail::Pg { group, pids, .. } => {
            OVERHEAD + group.weight() + pids.len() * (size_of::<Pid>() + OVERHEAD)
        }
        _ => OVERHEAD,
    }
}

fn is_owed(mail: &Mail) -> bool {
    !matches!(
        mail,
        Mail::Message(_)
            | Mail::Priority(_)
            | Mail::Nodeup { .. }
            | Mail::Nodedown { .. }
            | Mail::Pg { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(byte: u8) -> Mail {
        Mail::Message(Bytes::from(vec![97, byte]))
    }

    fn take(inbox: &Inbox, taken: &mut Taken) -> Option<u8> {
        match inbox.next(taken, None).unwrap()? {
            Item::Message(bytes) => Some(bytes[1]),
            Item::Other(mail) => match *mail {
                Mail::Priority(bytes) => Some(bytes[1]),
                other => panic!("{other:?}"),
            },
        }
    }

    #[test]
    fn what_was_taken_and_not_handed_out_still_counts() {
        let inbox = Inbox::new(&MailboxOptions::default().capacity(2));
        let mut taken = Taken::default();
        for byte in [1, 2] {
            assert!(matches!(
                inbox.deliver(message(byte)),
                Delivered::Waits(None)
            ));
        }
        assert_eq!(take(&inbox, &mut taken), Some(1));
        assert!(matches!(inbox.deliver(message(3)), Delivered::Waits(_)));
        assert!(matches!(inbox.deliver(message(4)), Delivered::Overflow(_)));
        assert_eq!(take(&inbox, &mut taken), Some(2));
        assert_eq!(take(&inbox, &mut taken), Some(3));
        assert_eq!(take(&inbox, &mut taken), None);
    }

    #[test]
    fn priority_goes_before_what_was_taken_already() {
        let inbox = Inbox::new(&MailboxOptions::default());
        let mut taken = Taken::default();
        for byte in [1, 2, 3] {
            inbox.deliver(message(byte));
        }
        assert_eq!(take(&inbox, &mut taken), Some(1));
        for byte in [8, 9] {
            inbox.deliver(Mail::Priority(Bytes::from(vec![97, byte])));
        }
        for expected in [8, 9, 2, 3] {
            assert_eq!(take(&inbox, &mut taken), Some(expected));
        }
    }

    #[test]
    fn a_full_mailbox_that_drops_keeps_what_a_monitor_owes_it() {
        let options = MailboxOptions::default().overflow(Overflow::DropNewest);
        let inbox = Inbox::new(&options.capacity(1));
        inbox.deliver(message(1));
        assert!(matches!(inbox.deliver(message(2)), Delivered::Lost));
        let pid = Pid::new(enmesh_term::Atom::from_static("a@h"), 1, 0, 4);
        let exit = Mail::Exit {
            from: pid,
            reason: Term::atom("gone"),
        };
        assert!(matches!(inbox.deliver(exit), Delivered::Waits(_)));
        assert_eq!(inbox.lost(), 1);
    }

    #[test]
    fn bytes_are_bounded_but_for_one_message_alone() {
        let inbox = Inbox::new(&MailboxOptions::default().max_bytes(10));
        assert!(matches!(inbox.deliver(message(1)), Delivered::Waits(_)));
        assert!(matches!(inbox.deliver(message(2)), Delivered::Overflow(_)));
    }

    #[test]
    fn of_a_run_of_messages_those_are_taken_for_which_there_is_room() {
        let run = |bytes: std::ops::Range<u8>| -> VecDeque<Item> {
            bytes
                .map(|byte| Item::Message(Bytes::from(vec![97, byte])))
                .collect()
        };
        let options = MailboxOptions::default().capacity(5);
        let (inbox, mut taken) = (Inbox::new(&options), Taken::default());
        assert!(matches!(
            inbox.deliver_all(&mut run(1..3)),
            Delivered::Waits(_)
        ));
        assert!(matches!(
            inbox.deliver_all(&mut run(3..5)),
            Delivered::Waits(_)
        ));
        assert!(matches!(
            inbox.deliver_all(&mut run(5..8)),
            Delivered::Overflow(_)
        ));
        for expected in [Some(1), Some(2), Some(3), Some(4), Some(5), None] {
            assert_eq!(take(&inbox, &mut taken), expected);
        }
        let inbox = Inbox::new(&options.overflow(Overflow::DropNewest));
        assert!(matches!(
            inbox.deliver_all(&mut run(1..9)),
            Delivered::Waits(_)
        ));
        assert_eq!(inbox.lost(), 3);
        inbox.end(Term::atom("enough"));
        assert!(matches!(inbox.deliver_all(&mut run(1..2)), Delivered::Lost));
    }

    #[test]
    fn who_waits_is_woken_when_the_run_that_comes_is_too_long() {
        #[derive(Default)]
        struct Woken(std::sync::atomic::AtomicBool);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let inbox = Inbox::new(&MailboxOptions::default().capacity(2));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let waits = inbox.next(&mut Taken::default(), Some(&waker));
        assert!(waits.unwrap().is_none());
        let one = || Item::Message(Bytes::from_static(&[97, 1]));
        let mut run: VecDeque<Item> = (0..3).map(|_| one()).collect();
        let Delivered::Overflow(first) = inbox.deliver_all(&mut run) else {
            panic!("there is no room for three");
        };
        let at_the_end = inbox.end(Term::atom("mailbox_overflow"));
        first.into_iter().chain(at_the_end).for_each(Waker::wake);
        assert!(woken.0.load(Ordering::Relaxed));
    }

    #[test]
    fn nothing_is_handed_out_after_the_end() {
        let inbox = Inbox::new(&MailboxOptions::default());
        let mut taken = Taken::default();
        inbox.deliver(message(1));
        inbox.deliver(message(2));
        assert_eq!(take(&inbox, &mut taken), Some(1));
        inbox.end(Term::atom("enough"));
        let ended = inbox.next(&mut taken, None).unwrap_err();
        assert_eq!(ended, Term::atom("enough"));
        assert!(matches!(inbox.deliver(message(3)), Delivered::Lost));
    }
}
