//! Whose health it is.

use enmesh::{Condition, ConditionChanges, Node, Steering};

/// What lives and becomes ready: a member, or an agent's steering.
pub trait Subject: Clone + Send + Sync + 'static {
    /// Whether its links are those of a node beside it, which it must be attached to.
    const STEERS: bool;

    /// How it fares now; `None` once it has ended.
    fn condition(&self) -> impl Future<Output = Option<Condition>> + Send;

    /// When that is worth asking again.
    fn changes(&self) -> ConditionChanges;
}

impl Subject for Node {
    const STEERS: bool = false;

    async fn condition(&self) -> Option<Condition> {
        Self::condition(self).await
    }

    fn changes(&self) -> ConditionChanges {
        self.condition_changes()
    }
}

impl Subject for Steering {
    const STEERS: bool = true;

    async fn condition(&self) -> Option<Condition> {
        Self::condition(self).await
    }

    fn changes(&self) -> ConditionChanges {
        self.condition_changes()
    }
}

/// Never answers.
#[cfg(test)]
#[derive(Clone)]
pub(crate) struct Stuck;

#[cfg(test)]
impl Subject for Stuck {
    const STEERS: bool = false;

    async fn condition(&self) -> Option<Condition> {
        std::future::pending().await
    }

    fn changes(&self) -> ConditionChanges {
        ConditionChanges::default()
    }
}
