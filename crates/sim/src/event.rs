//! What can happen, and when.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use bytes::Bytes;
use enmesh_membership::{DialFailure, LinkId};
use enmesh_proto::{LinkError, Question};

use crate::fault::Fault;

/// Virtual time since the beginning of a run, in microseconds.
pub(crate) type Micros = u64;

/// One second.
pub(crate) const SECOND: Micros = 1_000_000;

/// Which end of a connection: 0 dialled, 1 accepted.
pub(crate) type Side = usize;

/// Something that happens at one moment.
#[derive(Debug)]
pub(crate) enum Event {
    /// A node starts for the first time.
    Start { node: usize },
    /// The dialler's machine tries to open the connection.
    Syn { conn: usize, attempt: u32 },
    /// Something happens to one life of a node; it waits while the node is frozen.
    Node {
        node: usize,
        life: u32,
        what: Happening,
    },
    /// Something arrives at one end of a connection.
    Arrive {
        conn: usize,
        to: Side,
        segment: Segment,
    },
    /// A fault begins.
    Fault(Fault),
    /// A fault ends.
    Heal(Fault),
    /// Every fault is over: from now on everybody must find everybody in time.
    Healed,
    /// Everybody must have found everybody.
    Whole,
    /// A node ends by its own will.
    Shutdown { node: usize },
}

/// What arrives at the end of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Segment {
    Bytes(Bytes),
    /// The stream ended or broke.
    End,
}

/// What happens to one life of a node.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A socket came in.
    Accept { conn: usize },
    /// The socket of a dial is there.
    Dialled { link: LinkId },
    /// A dial came to nothing.
    DialFailed { link: LinkId, failure: DialFailure },
    /// A segment of an open connection.
    Arrive { link: LinkId, segment: Segment },
    /// A segment of a connection that the system accepted and a frozen node has not seen.
    ArriveAt { conn: usize, segment: Segment },
    /// The timer of a link, set for this time.
    LinkTimer { link: LinkId, at: Micros },
    /// The timer of roster and plan.
    Timer { at: Micros },
    /// What a link's task tells the manager, which hears of it a little later.
    Report { link: LinkId, report: Report },
    /// A source is asked.
    Poll { topology: usize },
    /// The user sends a message to somebody.
    Chat,
}

/// What a link's task tells the manager.
#[derive(Debug)]
pub(crate) enum Report {
    Question(Question),
    Closed(LinkError),
}

#[derive(Debug)]
struct Entry {
    at: Micros,
    sequence: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, since the heap gives out the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// Everything that will happen; at one time in the order of the calls.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Micros, event: Event) {
        self.sequence += 1;
        self.heap.push(Entry {
            at,
            sequence: self.sequence,
            event,
        });
    }

    pub(crate) fn pop(&mut self) -> Option<(Micros, Event)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}
