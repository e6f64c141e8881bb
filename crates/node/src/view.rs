//! The state of the cluster as one consistent snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use enmesh_identity::{Creation, NodeName};
use enmesh_membership::{Connection, ConnectionId, TopologyName};

/// A peer that is connected, as it was when its link came up.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// for peer in node.view().peers() {
///     println!("{} since {:?}, by {:?}", peer.name, peer.since, peer.topologies);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its full name.
    pub name: NodeName,
    /// Its incarnation, as it told in the handshake; 0 where a [`Connector`](crate::Connector) does
    /// not know it.
    pub creation: Creation,
    /// The number of this connection: another one each time a link comes up.
    pub connection: ConnectionId,
    /// Whether both sides are visible: hidden peers are not part of the BEAM's `nodes()`.
    pub visible: bool,
    /// The topologies that named it when the link came up, sorted; empty for a peer that dialled
    /// us uninvited.
    pub topologies: Vec<TopologyName>,
    /// When the link came up.
    pub since: Instant,
}

impl Peer {
    /// A peer whose link has come up now.
    pub(crate) fn new(connection: Connection, topologies: Vec<TopologyName>) -> Self {
        Self {
            name: connection.name,
            creation: connection.creation,
            connection: connection.connection,
            visible: connection.visible,
            topologies,
            since: Instant::now(),
        }
    }
}

/// What the node knew at one moment. It never changes; [`crate::Node::view`] gives a new one.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// let view = node.view();
/// println!("{} peers after {} events", view.peers().len(), view.sequence());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct View {
    pub(crate) sequence: u64,
    pub(crate) peers: Arc<BTreeMap<NodeName, Peer>>,
}

impl View {
    /// The connected peers, hidden ones included, sorted by name.
    pub fn peers(&self) -> impl ExactSizeIterator<Item = &Peer> {
        self.peers.values()
    }

    /// The connected peer of that name.
    pub fn peer(&self, name: &NodeName) -> Option<&Peer> {
        self.peers.get(name)
    }

    /// How many events came before this snapshot. A later snapshot never has a smaller number.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The same view after one more event.
    pub(crate) fn next(&self, change: impl FnOnce(&mut BTreeMap<NodeName, Peer>)) -> Self {
        let mut peers = Arc::clone(&self.peers);
        change(Arc::make_mut(&mut peers));
        Self {
            sequence: self.sequence + 1,
            peers,
        }
    }
}
