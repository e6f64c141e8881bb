//! How a node, or whoever steers one, fares at one moment.

use tokio::sync::watch;

use crate::node::{Node, ask};
use crate::steering::Steering;
use crate::topologies::{TopologyCommand, TopologyStatus};
use crate::view::View;

/// How a [`Node`] or a [`Steering`] fares, as the one task says that decides everything: that there
/// is such an answer means that it lives.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) {
/// match node.condition().await {
///     Some(condition) if condition.is_draining => println!("about to end"),
///     Some(condition) => println!("{} peers", condition.view.peers().len()),
///     None => println!("it has ended"),
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Condition {
    /// How each topology fares, in the order in which they count.
    pub topologies: Vec<TopologyStatus>,
    /// Who is connected.
    pub view: View,
    /// Our own end, or that of the node that is steered, is announced: nobody is dialled any more.
    pub is_draining: bool,
    /// The [`Connector`](crate::Connector) cannot act: it has said
    /// [`Change::Away`](crate::Change::Away), or nothing yet. Never so for a node.
    pub is_away: bool,
}

/// Tells when a [`Condition`] may be another than before: peers came or went, a topology has
/// answered, fails or is another, or our own end is announced or called off. Whom a topology names
/// is no part of it.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) {
/// let mut changes = node.condition_changes();
/// loop {
///     println!("{:?}", node.condition().await);
///     if !changes.next().await {
///         break;
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ConditionChanges(watch::Receiver<()>);

/// Of whoever has ended.
impl Default for ConditionChanges {
    fn default() -> Self {
        Self(watch::channel(()).1)
    }
}

impl ConditionChanges {
    /// Waits until it may have changed since the last call; several changes are told as one. False
    /// once there is none to change any more, because it has ended. Cancel safe.
    pub async fn next(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// The part of a [`Condition`] that the deciding task answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) topologies: Vec<TopologyStatus>,
    pub(crate) is_draining: bool,
    pub(crate) is_away: bool,
}

impl Answer {
    fn with(self, view: View) -> Condition {
        Condition {
            topologies: self.topologies,
            view,
            is_draining: self.is_draining,
            is_away: self.is_away,
        }
    }
}

impl Node {
    /// How it fares now; `None` once it has shut down. It waits for the task that owns everything,
    /// and for no peer and no source: where that takes long, the node is stuck. While it shuts down
    /// it may take until the end of that. Cancel safe.
    pub async fn condition(&self) -> Option<Condition> {
        let asked = self.ask(|answer| TopologyCommand::Condition { answer });
        Some(asked.await?.with(self.view()))
    }

    /// When [`Node::condition`] is worth asking again, from now on.
    pub fn condition_changes(&self) -> ConditionChanges {
        ConditionChanges(self.shared.subscriptions.stirred())
    }
}

impl Steering {
    /// How it fares now; `None` once it has ended. It waits for the task that steers, and for no
    /// peer, no source and no connector. Cancel safe.
    pub async fn condition(&self) -> Option<Condition> {
        let asked = ask(self.commands(), |answer| TopologyCommand::Condition {
            answer,
        });
        Some(asked.await?.with(self.view()))
    }

    /// When [`Steering::condition`] is worth asking again, from now on.
    pub fn condition_changes(&self) -> ConditionChanges {
        ConditionChanges(self.subscriptions().stirred())
    }
}
