//! Topologies that change while the node runs.

use std::time::Instant;

use enmesh_discovery::{SourceError, TopologyConfig};
use enmesh_membership::{AddTopologyError, Roster, SourceFailure, TopologyName};
use tokio::sync::oneshot;

use crate::condition::Answer;
use crate::node::{self, Command, Node};
use crate::sources::Sources;
use crate::steer::Hold;

/// How a topology fares.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) {
/// for topology in node.topologies().await {
///     println!("{} ({}) names {} peers", topology.name, topology.strategy, topology.peers);
///     if let Some(failure) = topology.failure {
///         println!("its last look-up failed: {failure}");
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopologyStatus {
    /// Its name.
    pub name: TopologyName,
    /// The strategy by which it finds its peers.
    pub strategy: &'static str,
    /// How many peers it names.
    pub peers: usize,
    /// Whether its source has ever answered. One that was replaced begins anew.
    pub answered: bool,
    /// Why its last look-up failed; `None` while it answers. Whom it named before stays.
    pub failure: Option<SourceFailure>,
}

/// What [`Node::set_topologies`] has changed, by name.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// let changes = node.set_topologies(vec!["strategy=local_epmd".parse()?]).await?;
/// println!("{:?} are new, {:?} are gone", changes.added, changes.removed);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopologyChanges {
    /// Topologies that there were not.
    pub added: Vec<TopologyName>,
    /// Topologies that are followed in another way now.
    pub changed: Vec<TopologyName>,
    /// Topologies that are as they were.
    pub kept: Vec<TopologyName>,
    /// Topologies that there are no more.
    pub removed: Vec<TopologyName>,
}

/// Why the topologies were not changed. Everything is as it was.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::TopologyError;
///
/// match node.add_topology("strategy=epmd hosts=b@127.0.0.1".parse()?).await {
///     Ok(()) => println!("followed"),
///     Err(TopologyError::Name(taken)) => println!("{taken}"),
///     Err(other) => return Err(other.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// Two topologies have the same name, or there are too many.
    #[error(transparent)]
    Name(#[from] AddTopologyError),
    /// A topology's source cannot be made of its settings.
    #[error("topology {topology} cannot be followed")]
    Source {
        /// Its name.
        topology: TopologyName,
        /// What is wrong with it.
        source: SourceError,
    },
    /// The node has shut down, or is about to.
    #[error("the node has shut down")]
    ShutDown,
}

/// What a handle asks of the manager.
#[derive(Debug)]
pub(crate) enum TopologyCommand {
    Condition {
        answer: oneshot::Sender<Answer>,
    },
    Add {
        topology: Box<TopologyConfig>,
        answer: oneshot::Sender<Result<(), TopologyError>>,
    },
    Remove {
        name: TopologyName,
        answer: oneshot::Sender<bool>,
    },
    Set {
        topologies: Vec<TopologyConfig>,
        answer: oneshot::Sender<Result<TopologyChanges, TopologyError>>,
    },
}

impl TopologyCommand {
    /// Whether others may be followed afterwards.
    pub(crate) fn changes_topologies(&self) -> bool {
        !matches!(self, Self::Condition { .. })
    }

    /// Does what is asked. Whoever has gone meanwhile need not be answered.
    /// `hold` is why nobody is dialled, beyond what the roster itself knows.
    pub(crate) fn obey(self, sources: &mut Sources, roster: &mut Roster, hold: Hold, now: Instant) {
        match self {
            Self::Condition { answer } => {
                let _ = answer.send(Answer {
                    topologies: sources.statuses(roster),
                    is_draining: roster.is_draining() || hold.is_leaving,
                    is_away: hold.is_away,
                });
            }
            Self::Add { topology, answer } => {
                let _ = answer.send(sources.add(roster, now, *topology));
            }
            Self::Remove { name, answer } => {
                let _ = answer.send(sources.remove(roster, now, &name));
            }
            Self::Set { topologies, answer } => {
                let _ = answer.send(sources.set(roster, now, topologies));
            }
        }
    }
}

impl Node {
    /// How each topology fares, in the order in which they count; none once the node has shut
    /// down.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) {
    /// let all_answered = node.topologies().await.iter().all(|topology| topology.answered);
    /// # let _ = all_answered; }
    /// ```
    pub async fn topologies(&self) -> Vec<TopologyStatus> {
        let condition = self.condition().await;
        condition.map(|it| it.topologies).unwrap_or_default()
    }

    /// Follows one more topology. Returns at once: its peers are found and connected in the
    /// background.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// node.add_topology("strategy=epmd hosts=b@127.0.0.1 name=more".parse()?).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`TopologyError`].
    pub async fn add_topology(&self, topology: TopologyConfig) -> Result<(), TopologyError> {
        let topology = Box::new(topology);
        let asked = self.ask(|answer| TopologyCommand::Add { topology, answer });
        asked.await.unwrap_or(Err(TopologyError::ShutDown))
    }

    /// Follows this topology no more; false if there was none of that name. Whom no other one names
    /// is not dialled any more; live links stay or end as [`Builder::prune`](crate::Builder::prune)
    /// says.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let was_there = node.remove_topology(&"more".parse()?).await;
    /// # let _ = was_there;
    /// # Ok(()) }
    /// ```
    pub async fn remove_topology(&self, name: &TopologyName) -> bool {
        let name = name.clone();
        let asked = self.ask(|answer| TopologyCommand::Remove { name, answer });
        asked.await.unwrap_or(false)
    }

    /// Follows these topologies and no others, in this order. One that is as it was keeps its
    /// source. Of one that goes by the same name and is otherwise another, everybody stays until the
    /// new source has answered, so that nobody leaves in between who is in both. No link is closed
    /// by this, unless the peer has left and [`Builder::prune`](crate::Builder::prune) says so.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let changes = node.set_topologies(vec!["strategy=local_epmd".parse()?]).await?;
    /// println!("{changes:?}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`TopologyError`]; then nothing has changed.
    pub async fn set_topologies(
        &self,
        topologies: Vec<TopologyConfig>,
    ) -> Result<TopologyChanges, TopologyError> {
        let asked = self.ask(|answer| TopologyCommand::Set { topologies, answer });
        asked.await.unwrap_or(Err(TopologyError::ShutDown))
    }

    /// What the manager answers; `None` if it has ended.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> TopologyCommand,
    ) -> Option<T> {
        let command = |answer| Command::Topologies(command(answer));
        node::ask(&self.shared.commands, command).await
    }
}
