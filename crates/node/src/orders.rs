//! What the kernel wants of the manager, gathered until the manager takes it.

use std::collections::BTreeSet;
use std::time::Duration;

use enmesh_identity::NodeName;

/// How many nodes may wait to be connected for somebody's signal; one more is as good as
/// unreachable.
const MAX_CONNECTS: usize = 1024;

/// What is wanted.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Nodes that somebody of ours needs now.
    pub(crate) connects: BTreeSet<NodeName>,
    /// All nodes that `global` has learned of.
    pub(crate) learned: Option<Vec<NodeName>>,
    /// Links to cut. There are never more than links.
    pub(crate) disconnects: BTreeSet<NodeName>,
    /// Cut all, and come back after this time.
    pub(crate) leave: Option<Duration>,
}

impl Orders {
    pub(crate) fn is_empty(&self) -> bool {
        self.connects.is_empty()
            && self.learned.is_none()
            && self.disconnects.is_empty()
            && self.leave.is_none()
    }

    /// Gives the node back if too many wait.
    pub(crate) fn connect(&mut self, node: NodeName) -> Result<(), NodeName> {
        if self.connects.len() >= MAX_CONNECTS && !self.connects.contains(&node) {
            return Err(node);
        }
        self.connects.insert(node);
        Ok(())
    }

    pub(crate) fn disconnect(&mut self, node: NodeName) {
        self.disconnects.insert(node);
    }
}
