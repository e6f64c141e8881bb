//! Who came, who went: the stream of events and the snapshot beside it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use enmesh_identity::NodeName;
use enmesh_membership::{ConnectionId, DownReason};
use tokio::sync::{broadcast, watch};

use crate::view::{Peer, View};

/// How many events a slow observer may be behind before it is told [`Event::Lagged`].
const EVENT_QUEUE: usize = 1024;

/// Something that happened to the cluster.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::Event;
///
/// let mut events = node.events();
/// while let Some(event) = events.next().await {
///     match event {
///         Event::Nodeup { peer } => println!("{} is here", peer.name),
///         Event::Nodedown { peer, .. } => println!("{} is gone", peer.name),
///         Event::Lagged { missed } => println!("{missed} events were missed"),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A peer is connected. Sent once per connection, before any message of it.
    Nodeup {
        /// The peer.
        peer: Peer,
    },
    /// A peer is gone. Sent exactly once for each [`Event::Nodeup`], after all its messages.
    Nodedown {
        /// The peer, as its nodeup named it.
        peer: Peer,
        /// Why its link ended; `None` if that was among the events missed by a slow observer.
        reason: Option<DownReason>,
    },
    /// This observer was too slow and `missed` events are lost to it. The events that follow lead
    /// from what it had seen to the present [`View`].
    Lagged {
        /// How many events lie between what it had seen and the view.
        missed: u64,
    },
}

/// A stream of [`Event`]s that begins with a nodeup for each peer that is connected already, so
/// that none is ever missed. It ends (`None`) when the node has shut down.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// let mut events = node.events();
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Events {
    ready: VecDeque<Event>,
    known: BTreeMap<NodeName, Peer>,
    /// Events up to this number are part of what `known` holds.
    seen: u64,
    queue: broadcast::Receiver<Numbered>,
    view: watch::Receiver<View>,
}

/// An event and its number; the view of the same number has it in it.
#[derive(Clone, Debug)]
pub(crate) struct Numbered {
    sequence: u64,
    event: Arc<Event>,
}

/// The manager's end: publishes each event and the view it leads to.
#[derive(Debug)]
pub(crate) struct Publisher {
    queue: broadcast::Sender<Numbered>,
    view: watch::Sender<View>,
    stirred: watch::Sender<()>,
}

/// What hands out new streams and views.
#[derive(Clone, Debug)]
pub(crate) struct Subscriptions {
    queue: broadcast::WeakSender<Numbered>,
    view: watch::Receiver<View>,
    stirred: watch::Receiver<()>,
}

/// The two ends of the stream of events.
pub(crate) fn channel() -> (Publisher, Subscriptions) {
    let (queue, _) = broadcast::channel(EVENT_QUEUE);
    let (view, observed) = watch::channel(View::default());
    let (stirred, stirring) = watch::channel(());
    let subscriptions = Subscriptions {
        queue: queue.downgrade(),
        view: observed,
        stirred: stirring,
    };
    let publisher = Publisher {
        queue,
        view,
        stirred,
    };
    (publisher, subscriptions)
}

impl Publisher {
    /// The present view.
    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Makes `event` and the view it leads to known. The view comes first: whoever subscribes in
    /// between sees the event in its view and skips it in the queue.
    pub(crate) fn publish(&self, event: Event) {
        let next = self.view.borrow().next(|peers| match &event {
            Event::Nodeup { peer } => {
                peers.insert(peer.name.clone(), peer.clone());
            }
            Event::Nodedown { peer, .. } => {
                peers.remove(&peer.name);
            }
            Event::Lagged { .. } => {}
        });
        let sequence = next.sequence;
        self.view.send_replace(next);
        // Nobody listening is no error.
        let _ = self.queue.send(Numbered {
            sequence,
            event: Arc::new(event),
        });
        self.stir();
    }

    /// The [`Condition`](crate::Condition) may be another now.
    pub(crate) fn stir(&self) {
        self.stirred.send_replace(());
    }
}

impl Subscriptions {
    /// The present view.
    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Follows the view until `done` says so; false if the node ended first.
    pub(crate) async fn wait_for(&self, done: impl FnMut(&View) -> bool) -> bool {
        self.view.clone().wait_for(done).await.is_ok()
    }

    /// What tells of every [`Publisher::stir`] from now on, and of its end.
    pub(crate) fn stirred(&self) -> watch::Receiver<()> {
        let mut stirred = self.stirred.clone();
        stirred.mark_unchanged();
        stirred
    }

    /// A new stream that begins with who is there.
    pub(crate) fn events(&self) -> Events {
        // The queue comes first: an event between the two steps is in both and is skipped later.
        let queue = match self.queue.upgrade() {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1,
        };
        let view = self.view.clone();
        let mut events = Events {
            ready: VecDeque::new(),
            known: BTreeMap::new(),
            seen: 0,
            queue,
            view,
        };
        events.catch_up();
        events
    }
}

impl Events {
    /// The next event; `None` once the node has shut down and all events were taken.
    ///
    /// Cancel safe: an event is lost only by being returned.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.queue.recv().await {
                Ok(numbered) if numbered.sequence <= self.seen => {}
                Ok(Numbered { sequence, event }) => {
                    self.seen = sequence;
                    let event = Arc::unwrap_or_clone(event);
                    self.note(&event);
                    return Some(event);
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    // What is still queued is older than the view. Left there, it would fill the
                    // queue and make the very next event another lag. The queue comes first, as in
                    // the beginning.
                    self.queue = self.queue.resubscribe();
                    let before = self.seen;
                    self.catch_up();
                    let missed = self.seen - before;
                    self.ready.push_front(Event::Lagged { missed });
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The peers that this stream begins with, taken out of it.
    pub(crate) fn take_present(&mut self) -> Vec<Peer> {
        let ready = std::mem::take(&mut self.ready).into_iter();
        ready
            .filter_map(|event| match event {
                Event::Nodeup { peer } => Some(peer),
                _ => None,
            })
            .collect()
    }

    /// Turns the difference between what this observer knows and the present view into events.
    fn catch_up(&mut self) {
        let view = self.view.borrow().clone();
        self.seen = view.sequence;
        let connection =
            |peers: &BTreeMap<NodeName, Peer>, name: &NodeName| -> Option<ConnectionId> {
                peers.get(name).map(|peer| peer.connection)
            };
        let gone = self
            .known
            .values()
            .filter(|peer| connection(&view.peers, &peer.name) != Some(peer.connection));
        self.ready.extend(
            gone.cloned()
                .map(|peer| Event::Nodedown { peer, reason: None }),
        );
        let come = view
            .peers
            .values()
            .filter(|peer| connection(&self.known, &peer.name) != Some(peer.connection));
        self.ready
            .extend(come.cloned().map(|peer| Event::Nodeup { peer }));
        self.known = (*view.peers).clone();
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Nodeup { peer } => {
                self.known.insert(peer.name.clone(), peer.clone());
            }
            Event::Nodedown { peer, .. } => {
                self.known.remove(&peer.name);
            }
            Event::Lagged { .. } => {}
        }
    }
}
