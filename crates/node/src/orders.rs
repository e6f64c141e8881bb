//! What the kernel wants of the manager, gathered until the manager takes it.

use std::collections::BTreeMap;
use std::time::Duration;

use enmesh_identity::NodeName;
use enmesh_otp::{Acquaintance, LogLine};

/// How many nodes may wait to be connected for somebody's signal; one more is as good as
/// unreachable.
const MAX_CONNECTS: usize = 1024;

/// How many lines of other nodes may wait to be logged; one more is lost and counted.
const MAX_LINES: usize = 256;

/// What is wanted.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Nodes that somebody of ours needs now, and whether that is `global` alone.
    pub(crate) connects: BTreeMap<NodeName, bool>,
    /// All nodes that `global` has learned of.
    pub(crate) learned: Option<Vec<Acquaintance>>,
    /// Cut all, and come back after this time.
    pub(crate) leave: Option<Duration>,
    /// What other nodes want in our log.
    pub(crate) lines: Vec<LogLine>,
    /// How many more they wanted there.
    pub(crate) lost_lines: u64,
}

impl Orders {
    pub(crate) fn is_empty(&self) -> bool {
        self.connects.is_empty()
            && self.learned.is_none()
            && self.leave.is_none()
            && self.lines.is_empty()
    }

    /// Gives the node back if too many wait.
    pub(crate) fn connect(&mut self, node: NodeName, for_names: bool) -> Result<(), NodeName> {
        if self.connects.len() >= MAX_CONNECTS && !self.connects.contains_key(&node) {
            return Err(node);
        }
        *self.connects.entry(node).or_insert(true) &= for_names;
        Ok(())
    }

    pub(crate) fn log(&mut self, line: LogLine) {
        if self.lines.len() < MAX_LINES {
            self.lines.push(line);
        } else {
            self.lost_lines += 1;
        }
    }
}
