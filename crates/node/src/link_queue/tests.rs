//! What is taken, who waits, and who is woken when.

use super::*;
use bytes::Bytes;
use enmesh_proto::Control;
use enmesh_term::{Atom, Pid};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What payloads are made of; it costs no time to make one.
static ZEROS: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; LARGE_BUDGET + (1 << 20)]));

fn message(payload: usize) -> Message {
    Message {
        control: Control::Send {
            to: Pid::new(Atom::from_static("a@h"), 1, 0, 4),
            token: None,
        },
        payload: Some(ZEROS.slice(..payload)),
    }
}

#[allow(clippy::unnecessary_wraps)] // It is what the queue takes.
fn wait<'a>(turn: &'a mut Turn, waker: &'a Waker) -> Option<Waiter<'a>> {
    Some(Waiter { turn, waker })
}

/// As many small messages as the budget allows.
fn fill(queue: &Arc<LinkQueue>) -> usize {
    (0..)
        .take_while(|_| {
            queue
                .try_push(Outgoing::new(1, message(1024)), None)
                .is_ok()
        })
        .count()
}

#[test]
fn a_sender_over_the_budget_is_woken_when_the_link_has_taken_enough() {
    let (queue, woken) = (Arc::new(LinkQueue::default()), Arc::new(Woken::default()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut turn = Turn::default();
    let count = fill(&queue);
    assert!(count * 1024 <= SMALL_BUDGET);
    for _ in 0..2 {
        let refused = queue.try_push(Outgoing::new(1, message(1)), wait(&mut turn, &waker));
        assert!(matches!(refused, Err(Refused::Full(payload)) if payload.len() == 1));
    }
    let mut taken = VecDeque::new();
    assert!(queue.take(&mut taken));
    assert!(taken.len() < count, "a turn is bounded");
    assert_eq!(woken.0.load(Ordering::Relaxed), 1, "once for both");
    assert!(queue.try_push(Outgoing::new(1, message(1)), None).is_ok());
}

#[test]
fn large_messages_have_a_budget_of_their_own() {
    let queue = Arc::new(LinkQueue::default());
    assert!(
        queue
            .try_push(Outgoing::new(1, message(LARGE_BUDGET + 1)), None)
            .is_ok()
    );
    let second = queue.try_push(Outgoing::new(1, message(SMALL + 1)), None);
    assert!(matches!(second, Err(Refused::Full(_))));
    assert!(
        queue.try_push(Outgoing::new(2, message(10)), None).is_ok(),
        "small ones go"
    );
    let mut taken = VecDeque::new();
    assert!(queue.take(&mut taken));
    assert_eq!(taken.len(), 2);
    assert!(
        !queue.has_room(Size::new(SMALL + 1, 0), None),
        "the link still holds it"
    );
    queue.large_written(Size::of(&taken[0]).bytes);
    assert!(queue.has_room(Size::new(SMALL + 1, 0), None));
}

#[test]
fn what_nobody_waits_for_piles_up_to_a_bound_and_then_ends_the_link() {
    let queue = Arc::new(LinkQueue::default());
    let mut taken = VecDeque::new();
    for _ in 0..=MAX_WAITING / (16 << 20) {
        queue.push(0, message(16 << 20));
    }
    assert!(!queue.take(&mut taken));
}

#[test]
fn the_end_of_the_link_is_told_to_who_waits() {
    let (queue, woken) = (Arc::new(LinkQueue::default()), Arc::new(Woken::default()));
    fill(&queue);
    let waker = Waker::from(Arc::clone(&woken));
    let mut turn = Turn::default();
    assert!(!queue.has_room(Size::new(0, 0), wait(&mut turn, &waker)));
    queue.close();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    let refused = queue.try_push(Outgoing::new(1, message(3)), None);
    assert!(matches!(refused, Err(Refused::Closed(payload)) if payload.len() == 3));
}

/// One who sends a message again and again until it is taken or that is given up.
struct Sender {
    payload: usize,
    turn: Turn,
    woken: Arc<Woken>,
    seen: usize,
}

impl Sender {
    fn new(payload: usize) -> Self {
        Self {
            payload,
            turn: Turn::default(),
            woken: Arc::default(),
            seen: 0,
        }
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed) > self.seen
    }

    /// Whether the message was taken.
    fn poll(&mut self, queue: &Arc<LinkQueue>) -> bool {
        self.seen = self.woken.0.load(Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.woken));
        let waiter = wait(&mut self.turn, &waker);
        queue
            .try_push(Outgoing::new(1, message(self.payload)), waiter)
            .is_ok()
    }
}

/// Lets the link write all that it has taken.
fn drain(queue: &Arc<LinkQueue>, taken: &mut VecDeque<Outgoing>) {
    let sizes = taken.iter().map(Size::of);
    let large = sizes.filter(|size| size.is_large);
    queue.large_written(large.map(|size| size.bytes).sum());
    taken.clear();
}

/// The link waits for messages.
fn rest(queue: &LinkQueue) {
    let mut arrived = Box::pin(queue.arrived());
    let waker = Waker::noop();
    let _ = arrived
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker));
}

#[test]
fn of_many_who_wait_as_many_are_woken_as_there_is_room_for_in_the_order_of_their_coming() {
    const MANY: usize = 10_000;
    let queue = Arc::new(LinkQueue::default());
    fill(&queue);
    let mut senders: VecDeque<Sender> = (0..MANY).map(|_| Sender::new(1024)).collect();
    assert!(!senders.iter_mut().any(|sender| sender.poll(&queue)));
    let (mut taken, mut wakes) = (VecDeque::new(), 0);
    while !senders.is_empty() {
        assert!(queue.take(&mut taken));
        drain(&queue, &mut taken);
        let woken = senders.iter().take_while(|it| it.is_woken()).count();
        assert!(woken > 0, "somebody goes on");
        assert!(woken * 1024 <= SMALL_BUDGET, "{woken} were woken at once");
        assert!(
            !senders.iter().skip(woken).any(Sender::is_woken),
            "in order"
        );
        wakes += woken;
        for mut sender in senders.drain(..woken) {
            assert!(sender.poll(&queue), "there was room for all who were woken");
        }
    }
    assert_eq!(wakes, MANY, "nobody was woken in vain");
}

#[test]
fn a_sender_that_gives_up_leaves_its_place_to_the_next() {
    for payload in [1024, LARGE_BUDGET / 2 + 1] {
        let queue = Arc::new(LinkQueue::default());
        let mut first = Sender::new(payload);
        while first.poll(&queue) {}
        let (mut second, mut third) = (Sender::new(payload), Sender::new(payload));
        assert!(!second.poll(&queue) && !third.poll(&queue));
        drop(second);
        let mut taken = VecDeque::new();
        assert!(queue.take(&mut taken));
        drain(&queue, &mut taken);
        assert!(first.is_woken(), "it was next");
        if payload > SMALL {
            assert!(!third.is_woken(), "there is room for one of them");
        }
        drop(first);
        assert!(third.is_woken(), "what the first left is for the third");
        assert!(third.poll(&queue));
    }
}

#[test]
fn who_was_faster_costs_nobody_a_place_in_the_line() {
    let queue = Arc::new(LinkQueue::default());
    let (mut first, mut second) = (Sender::new(1024), Sender::new(1024));
    fill(&queue);
    assert!(!first.poll(&queue) && !second.poll(&queue));
    let mut taken = VecDeque::new();
    assert!(queue.take(&mut taken));
    fill(&queue);
    assert!(first.is_woken() && second.is_woken());
    assert!(!second.poll(&queue) && !first.poll(&queue), "too late");
    queue.lock().small = SMALL_BUDGET - 1;
    call_senders(queue.lock(), false);
    assert!(first.is_woken() && !second.is_woken());
}

/// More senders than there is room for, who do not come when they are woken, and one behind them.
fn asleep(queue: &Arc<LinkQueue>) -> (Vec<Sender>, Sender) {
    fill(queue);
    let mut asleep: Vec<Sender> = (0..400).map(|_| Sender::new(1024)).collect();
    let mut last = Sender::new(1024);
    assert!(!asleep.iter_mut().any(|it| it.poll(queue)) && !last.poll(queue));
    (asleep, last)
}

#[test]
fn who_was_woken_and_does_not_come_stops_nobody_on_a_link_that_rests() {
    let queue = Arc::new(LinkQueue::default());
    let (_asleep, last) = asleep(&queue);
    let mut taken = VecDeque::new();
    while !queue.lock().waiting.is_empty() {
        assert!(queue.take(&mut taken));
        drain(&queue, &mut taken);
    }
    assert!(!last.is_woken(), "there is no room for as many");
    rest(&queue);
    assert!(last.is_woken());
}

#[test]
fn who_was_woken_and_does_not_come_stops_nobody_on_a_link_that_never_rests() {
    let queue = Arc::new(LinkQueue::default());
    let (asleep, last) = asleep(&queue);
    let mut taken = VecDeque::new();
    for _ in 0..asleep.len() {
        assert!(queue.take(&mut taken));
        drain(&queue, &mut taken);
        fill(&queue);
    }
    assert!(last.is_woken());
}

#[test]
fn a_long_message_waits_for_those_before_it_and_not_for_those_that_come_later() {
    let queue = Arc::new(LinkQueue::default());
    let mib = 1 << 20;
    assert!(Sender::new(40 * mib).poll(&queue));
    let (mut long, mut short) = (Sender::new(40 * mib), Sender::new(mib));
    assert!(!long.poll(&queue));
    assert!(!short.poll(&queue), "it came later");
    let mut taken = VecDeque::new();
    assert!(queue.take(&mut taken));
    drain(&queue, &mut taken);
    assert!(
        long.is_woken() && short.is_woken(),
        "there is room for both"
    );
    assert!(short.poll(&queue) && long.poll(&queue));
}

/// Senders come, give up at any time, or are woken and come late, in any order: as long as the
/// link goes on, each that has not given up gets its message through.
#[test]
fn no_wake_up_is_lost_whatever_the_order_of_events() {
    for seed in 1..200_u64 {
        let mut random = seed;
        let mut next = |bound: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % bound
        };
        let queue = Arc::new(LinkQueue::default());
        let (mut senders, mut taken) = (Vec::new(), VecDeque::new());
        for _ in 0..400 {
            match next(8) {
                0..=3 => {
                    let payload = match next(3) {
                        0 => 60_000,
                        1 => 1 << 20,
                        _ => (30 << 20) + next(35 << 20) as usize,
                    };
                    let mut sender = Sender::new(payload);
                    if !sender.poll(&queue) {
                        senders.push(sender);
                    }
                }
                4 if !senders.is_empty() => {
                    senders.swap_remove(next(senders.len() as u64) as usize);
                }
                5 if !senders.is_empty() => {
                    let at = next(senders.len() as u64) as usize;
                    if senders[at].poll(&queue) {
                        senders.swap_remove(at);
                    }
                }
                _ => {
                    assert!(queue.take(&mut taken));
                    if next(2) == 0 {
                        drain(&queue, &mut taken);
                    }
                }
            }
        }
        // From here on only who is woken comes. Nobody is asleep, so the rest of the link is no help.
        let mut rounds = 0;
        while !senders.is_empty() {
            rounds += 1;
            assert!(
                rounds < 2000,
                "seed {seed}: {} wait for ever",
                senders.len()
            );
            assert!(queue.take(&mut taken));
            drain(&queue, &mut taken);
            if seed % 2 == 0 {
                rest(&queue);
            }
            if let Some(at) = senders.iter().position(Sender::is_woken) {
                let mut sender = senders.swap_remove(at);
                if !sender.poll(&queue) {
                    senders.push(sender);
                }
            }
        }
    }
}
