//! The handle of a running node.

use std::sync::Arc;

use enmesh_identity::{Cookie, Creation, NodeName, PeerAddr};
use enmesh_membership::Failure;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::builder::Builder;
use crate::events::{Events, Subscriptions};
use crate::kernel_driver::KernelDriver;
use crate::topologies::TopologyCommand;
use crate::view::View;

/// A member of a cluster, running by itself, whatever its user does. Cloning gives another handle of the
/// same node; when the last one is dropped, the node shuts down.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// let peers = node.nodes();
/// println!("{} sees {} peers", node.name(), peers.len());
/// node.wait_for_peers(3).await;
/// node.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) shared: Arc<Shared>,
}

/// What all handles of one node share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: NodeName,
    pub(crate) creation: Creation,
    pub(crate) port: u16,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) kernel: Arc<KernelDriver>,
    /// Asks the node to shut down.
    pub(crate) stop: CancellationToken,
    /// Cancelled by the node's thread as the last thing it does.
    pub(crate) ended: CancellationToken,
}

/// What a handle asks of the manager.
#[derive(Debug)]
pub(crate) enum Command {
    Connect {
        peer: PeerAddr,
        answer: oneshot::Sender<Result<(), ConnectError>>,
    },
    Disconnect {
        name: NodeName,
        answer: oneshot::Sender<bool>,
    },
    Topologies(TopologyCommand),
}

/// Why [`Node::connect`] has no link to show.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::{ConnectError, NodeName};
///
/// let web: NodeName = "web@10.0.0.7".parse()?;
/// match node.connect(web).await {
///     Ok(()) => println!("connected"),
///     Err(ConnectError::Failed { failure, .. }) => println!("{}", failure.label()),
///     Err(other) => return Err(other.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name is our own.
    #[error("a node does not connect to itself")]
    Ourselves,
    /// The dial failed. If a topology names the peer, it is tried again in the background.
    #[error("cannot connect to {peer}: {}", failure.label())]
    Failed {
        /// The peer.
        peer: NodeName,
        /// What failed.
        failure: Failure,
    },
    /// So many callers wait for this peer already that no more are taken; nothing changed.
    #[error("too many callers wait for {peer} already")]
    TooManyCallers {
        /// The peer.
        peer: NodeName,
    },
    /// The node has shut down, or is about to.
    #[error("the node has shut down")]
    ShutDown,
}

/// What the task behind `commands` answers to a command; `None` if it has ended.
pub(crate) async fn ask<C, T>(
    commands: &mpsc::Sender<C>,
    command: impl FnOnce(oneshot::Sender<T>) -> C,
) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    commands.send(command(answer)).await.ok()?;
    answered.await.ok()
}

impl Node {
    /// The settings of a node called `name` in the cluster of `cookie`; then
    /// [`Builder::start`] it.
    pub fn builder(name: NodeName, cookie: Cookie) -> Builder {
        Builder::new(name, cookie)
    }

    /// Our own name.
    pub fn name(&self) -> &NodeName {
        &self.shared.name
    }

    /// Our own incarnation: another number at each start.
    pub fn creation(&self) -> Creation {
        self.shared.creation
    }

    /// The port that the distribution listens on; 0 for a node without a listener.
    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// The names of the peers connected now, hidden ones included, sorted.
    pub fn nodes(&self) -> Vec<NodeName> {
        self.view().peers().map(|peer| peer.name.clone()).collect()
    }

    /// The present state of the cluster as one consistent snapshot.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let view = node.view();
    /// for peer in view.peers() {
    ///     println!("{}", peer.name);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn view(&self) -> View {
        self.shared.subscriptions.view()
    }

    /// Who comes and goes from now on, beginning with a nodeup for each peer that is there.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut events = node.events();
    /// while let Some(event) = events.next().await {
    ///     println!("{event:?}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn events(&self) -> Events {
        self.shared.subscriptions.events()
    }

    /// Connects to `peer` now, whatever its back-off; `Ok` at once if it is connected. One
    /// attempt, as `net_kernel:connect_node/1` makes. A link made so lives like any other, and is
    /// in the [`View`] before this returns. While a dial to the same name runs, this waits for that
    /// one, even if it goes to another address. A peer that asks us to wait for its own connect, as
    /// one does that has not finished with a link of a moment ago, is asked again within the
    /// attempt, for about five seconds.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::NodeName;
    ///
    /// let web: NodeName = "web@127.0.0.1".parse()?;
    /// node.connect(web).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`ConnectError`]. Cancelling the call leaves the attempt running.
    pub async fn connect(&self, peer: impl Into<PeerAddr>) -> Result<(), ConnectError> {
        let peer = peer.into();
        let asked = ask(&self.shared.commands, |answer| Command::Connect {
            peer,
            answer,
        });
        asked.await.unwrap_or(Err(ConnectError::ShutDown))
    }

    /// Closes the link to `name`, as `erlang:disconnect_node/1` does; false if there is none.
    /// Returns when the nodedown is published. A peer that a topology names is not dialled again
    /// until its back-off is over.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let was_connected = node.disconnect(&"web@127.0.0.1".parse()?).await;
    /// println!("{was_connected}");
    /// # Ok(()) }
    /// ```
    pub async fn disconnect(&self, name: &NodeName) -> bool {
        let name = name.clone();
        let asked = ask(&self.shared.commands, |answer| Command::Disconnect {
            name,
            answer,
        });
        asked.await.unwrap_or(false)
    }

    /// Waits until at least `count` peers are connected; false if the node shut down first.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// if node.wait_for_peers(2).await {
    ///     println!("{:?}", node.nodes());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn wait_for_peers(&self, count: usize) -> bool {
        self.shared
            .subscriptions
            .wait_for(|view| view.peers().len() >= count)
            .await
    }

    /// Runs `future` on the calling thread, which drives the links of the node while it waits.
    ///
    /// That is the fastest way for a message to reach code in Rust and for its answer to leave:
    /// the thread that reads the message handles it, and no other is woken. Under another runtime
    /// each message is handed from the node's thread to one of that runtime's, which takes about as
    /// long as the way over a local network.
    ///
    /// The node does not depend on it. When the future has its thread for longer than some
    /// milliseconds, the node's own thread drives the links in its stead. Any number of threads may
    /// do this at the same time; one of them has the links. In the future tokio's clock, sockets
    /// and `spawn` work, and [`LocalSet::run_until`](tokio::task::LocalSet::run_until) makes tasks
    /// of its own of it.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::{Cookie, Node, Received};
    ///
    /// let node = Node::builder("rust@127.0.0.1".parse()?, Cookie::new("secret")?).start_blocking()?;
    /// node.block_on(async {
    ///     let mut mailbox = node.mailbox("printer")?;
    ///     while let Ok(received) = mailbox.recv().await {
    ///         if let Received::Message(message) = received {
    ///             println!("{}", message.term()?);
    ///         }
    ///     }
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Panics
    /// On a thread that drives a runtime of tokio's, as an `async fn` under `#[tokio::main]` does,
    /// as long as the node lives.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.shared.kernel.workers.crew().block_on(future)
    }

    /// Leaves the cluster: discovery ends, then the listener, then the links (each with a
    /// nodedown of reason shutdown), then the events; at most the configured grace later the
    /// node's thread is gone. Asking twice does no harm.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// tokio::signal::ctrl_c().await?;
    /// node.shutdown().await;
    /// # Ok(()) }
    /// ```
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.ended.cancelled().await;
    }

    /// Waits until the node has shut down, whoever asked for it.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// tokio::select! {
    ///     () = node.ended() => println!("somebody shut it down"),
    ///     interrupted = tokio::signal::ctrl_c() => interrupted?,
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn ended(&self) {
        self.shared.ended.cancelled().await;
    }
}
