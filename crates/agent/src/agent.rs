//! The connector whose links are those of a node beside us.

use std::sync::{Arc, Mutex};

use enmesh::{Change, Changes, Connector, Cookie, Failure, NodeName, PeerAddr};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::builder::AgentBuilder;
use crate::hosts::Hosts;
use crate::keeper;
use crate::session::Session;

/// How many changes wait until the steering takes them. While there is no room, the node's own
/// reports wait in our mailbox, and one that overflows begins anew with who is there.
const CHANGE_QUEUE: usize = 1024;

/// The one who steers a node that already runs: it connects and disconnects by that node's own
/// `net_kernel`, and hears from it who comes and goes.
///
/// It looks for the node without limit, and again whenever the node was restarted. When it is
/// dropped, it lets the node go and touches none of its links.
#[derive(Debug)]
pub struct Agent {
    shared: Arc<Shared>,
    changes: Mutex<Option<mpsc::Receiver<Change>>>,
    _end: DropGuard,
}

/// What the agent's handle shares with the task that keeps it attached.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: AgentBuilder,
    /// The node, while we are attached to it.
    pub(crate) session: watch::Sender<Option<Arc<Session>>>,
    pub(crate) hosts: Hosts,
}

impl Agent {
    /// The settings of an agent of `node`, which has this cookie; then [`AgentBuilder::start`] it.
    pub fn builder(node: NodeName, cookie: Cookie) -> AgentBuilder {
        AgentBuilder::new(node, cookie)
    }

    pub(crate) fn start(settings: AgentBuilder) -> Self {
        let (change, changes) = mpsc::channel(CHANGE_QUEUE);
        let shared = Arc::new(Shared {
            settings,
            session: watch::Sender::new(None),
            hosts: Hosts::default(),
        });
        let end = CancellationToken::new();
        tokio::spawn(keeper::keep(Arc::clone(&shared), change, end.clone()));
        Self {
            shared,
            changes: Mutex::new(Some(changes)),
            _end: end.drop_guard(),
        }
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.shared.session.borrow().clone()
    }
}

impl Connector for Agent {
    type Changes = AgentChanges;

    async fn connect(&self, peer: PeerAddr) -> Result<(), Failure> {
        let session = self.session().ok_or(Failure::GivenUp)?;
        self.shared.hosts.tell(&session, &peer).await;
        session.connect(&peer).await
    }

    async fn disconnect(&self, peer: NodeName) -> bool {
        match self.session() {
            Some(session) => session.disconnect(&peer).await,
            None => false,
        }
    }

    fn changes(&self) -> AgentChanges {
        let mut changes = self.changes.lock().unwrap_or_else(|it| it.into_inner());
        AgentChanges(changes.take())
    }

    async fn leave(&self, peers: Vec<NodeName>) {
        if let Some(session) = self.session() {
            session.leave(&peers).await;
        }
    }

    fn forget(&self, peer: &NodeName) {
        let (shared, peer) = (Arc::clone(&self.shared), peer.clone());
        let session = self.session();
        tokio::spawn(async move {
            shared.hosts.take_back(session.as_deref(), &peer).await;
        });
    }
}

/// Who comes to the node and goes. There is one stream; a second one ends at once.
#[derive(Debug)]
pub struct AgentChanges(Option<mpsc::Receiver<Change>>);

impl Changes for AgentChanges {
    async fn next(&mut self) -> Option<Change> {
        self.0.as_mut()?.recv().await
    }
}
