//! Who connects: a node of ours, or somebody else whose links we steer.

use std::time::Duration;

use enmesh_identity::{Creation, NodeName, PeerAddr};
use enmesh_membership::{DownReason, Failure};

use crate::events::{Event, Events};
use crate::node::{ConnectError, Node};
use crate::view::Peer;

/// What can connect and disconnect nodes, and knows who is connected: libcluster's `connect`,
/// `disconnect` and `list_nodes`. A [`Steering`](crate::Steering) tells it whom to connect.
///
/// There are two of enmesh's own: [`Node`], and the agent, whose links are those of a BEAM. A third,
/// which runs commands, is in `examples/connector.rs`.
///
/// ```
/// use std::time::Duration;
/// use enmesh::{Change, Changes, Connected, Connector, Failure, NodeName, PeerAddr};
///
/// /// Prints what it is told to do, and never has a link.
/// struct Printer;
///
/// /// Says once that nobody is connected.
/// struct Nobody { is_told: bool }
///
/// impl Connector for Printer {
///     type Changes = Nobody;
///
///     async fn connect(&self, peer: PeerAddr) -> Result<(), Failure> {
///         println!("connect {peer}");
///         Err(Failure::Untold)
///     }
///
///     async fn disconnect(&self, peer: NodeName) -> bool {
///         println!("disconnect {peer}");
///         false
///     }
///
///     fn changes(&self) -> Nobody {
///         Nobody { is_told: false }
///     }
/// }
///
/// impl Changes for Nobody {
///     async fn next(&mut self) -> Option<Change> {
///         match std::mem::replace(&mut self.is_told, true) {
///             false => Some(Change::Everybody(Vec::new())),
///             true => std::future::pending().await,
///         }
///     }
/// }
/// # fn is_one(_: impl Connector) {}
/// # is_one(Printer);
/// ```
pub trait Connector: Send + Sync + 'static {
    /// What [`Connector::changes`] gives.
    type Changes: Changes;

    /// Connects to `peer`, once. Called for several peers at the same time, for one peer never
    /// twice at a time; given up after 60 s. That it worked means that the
    /// peer was connected: if [`Changes`] has said by then that it came, and went again, that
    /// counts.
    ///
    /// Dropping the future gives up waiting; a link that comes up all the same is one more change.
    ///
    /// # Errors
    /// Why it did not work; [`Failure::Untold`] where that is not known.
    fn connect(&self, peer: PeerAddr) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Closes the link with `peer`; false if it was left as it was.
    fn disconnect(&self, peer: NodeName) -> impl Future<Output = bool> + Send;

    /// Who is connected, and who comes and goes from now on. Called once, at the beginning.
    fn changes(&self) -> Self::Changes;

    /// Closes all links together, because the connector is being ended. By default one after the
    /// other; `peers` are those that are known to be connected.
    fn leave(&self, peers: Vec<NodeName>) -> impl Future<Output = ()> + Send {
        async move {
            for peer in peers {
                self.disconnect(peer).await;
            }
        }
    }

    /// No topology names `peer` any more: what was prepared for connecting to it can be given
    /// back. By default nothing.
    fn forget(&self, peer: &NodeName) {
        let _ = peer;
    }
}

/// How long one [`Connector::connect`] may take.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(60);

/// The stream of what happens to a connector's links, in order. [`Connector`] shows one.
pub trait Changes: Send + 'static {
    /// The next change; the first one is to be [`Change::Everybody`], and nobody is connected by
    /// us before it comes. `None` when there is nothing to be steered any more.
    ///
    /// Cancel safe: a change is lost only by being returned.
    fn next(&mut self) -> impl Future<Output = Option<Change>> + Send;
}

/// What happened to a connector's links.
///
/// ```
/// use enmesh::{Change, DownReason};
///
/// let name = "web@10.0.0.7".parse()?;
/// let gone = Change::Down { name, connection: None, reason: DownReason::ConnectionClosed };
/// # let _ = gone;
/// # Ok::<(), enmesh::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// These are connected, and nobody else. The connector can act.
    Everybody(Vec<Connected>),
    /// A peer is connected. That it is known already does no harm.
    Up(Connected),
    /// A peer is not connected any more.
    Down {
        /// Its name.
        name: NodeName,
        /// The number of the connection that ended, where the connector knows it.
        connection: Option<u64>,
        /// Why it ended.
        reason: DownReason,
    },
    /// The connector can neither act nor see, until [`Change::Everybody`]. Who was connected counts
    /// as connected.
    Away,
    /// What held the links has ended, so that nobody is connected; until [`Change::Everybody`] it
    /// cannot act.
    Ended,
    /// Whoever holds the links is about to end: nobody is to be connected any more, until that has
    /// come as [`Change::Ended`].
    Leaving,
}

/// A peer that is connected, as a connector knows it.
///
/// ```
/// use enmesh::Connected;
///
/// let peer = Connected { connection: Some(7), ..Connected::new("web@10.0.0.7".parse()?) };
/// assert!(peer.visible);
/// # Ok::<(), enmesh::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Its full name.
    pub name: NodeName,
    /// Its incarnation, if that is known.
    pub creation: Option<Creation>,
    /// A number that another connection with the same peer does not have, if there is one.
    pub connection: Option<u64>,
    /// Whether it is a visible node.
    pub visible: bool,
}

impl Connected {
    /// A visible peer of which no more is known.
    pub fn new(name: NodeName) -> Self {
        Self {
            name,
            creation: None,
            connection: None,
            visible: true,
        }
    }
}

impl From<Peer> for Connected {
    fn from(peer: Peer) -> Self {
        Self {
            name: peer.name,
            creation: Some(peer.creation),
            connection: Some(peer.connection.get()),
            visible: peer.visible,
        }
    }
}

/// A node of ours that has no topologies of its own, steered from outside. What it does for its own
/// topologies is the same, without the detour.
impl Connector for Node {
    type Changes = NodeChanges;

    async fn connect(&self, peer: PeerAddr) -> Result<(), Failure> {
        match Node::connect(self, peer).await {
            Ok(()) => Ok(()),
            Err(ConnectError::Failed { failure, .. }) => Err(failure),
            Err(_) => Err(Failure::GivenUp),
        }
    }

    async fn disconnect(&self, peer: NodeName) -> bool {
        Node::disconnect(self, &peer).await
    }

    fn changes(&self) -> NodeChanges {
        let mut events = self.events();
        let present = events.take_present().into_iter().map(Connected::from);
        NodeChanges {
            present: Some(present.collect()),
            events,
        }
    }
}

/// Who comes to a [`Node`] and goes.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) {
/// use enmesh::{Changes, Connector};
///
/// let mut changes = node.changes();
/// while let Some(change) = changes.next().await {
///     println!("{change:?}");
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct NodeChanges {
    present: Option<Vec<Connected>>,
    events: Events,
}

impl Changes for NodeChanges {
    async fn next(&mut self) -> Option<Change> {
        if let Some(present) = self.present.take() {
            return Some(Change::Everybody(present));
        }
        loop {
            match self.events.next().await? {
                Event::Nodeup { peer } => return Some(Change::Up(peer.into())),
                Event::Nodedown { peer, reason } => {
                    return Some(Change::Down {
                        name: peer.name,
                        connection: Some(peer.connection.get()),
                        reason: reason.unwrap_or(DownReason::ConnectionClosed),
                    });
                }
                Event::Lagged { .. } => {}
            }
        }
    }
}
