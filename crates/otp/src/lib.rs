//! What a BEAM node expects of a neighbour, as machines without IO.
//!
//! Silence is the worst answer: a monitor, link or call that nobody answers hangs for ever on the
//! BEAM. [`Kernel`] is the machine of one node: its processes with their links, monitors, aliases
//! and names, and the services that a BEAM expects on every node. What it does not serve it
//! refuses as a BEAM would.
//!
//! Calling order: one method of [`Kernel`], then [`Kernel::poll_action`] until it gives `None`.

mod action;
mod effect;
mod global;
mod keep;
mod kernel;
mod pg;
mod pids;
mod processes;
mod pubsub;
mod references;
mod requests;
mod services;

pub use action::{Acquaintance, Action, JobId, JobOutcome, Mail, PgEvent};
pub use effect::Address;
pub use kernel::{
    AutoConnect, Kernel, KernelConfig, KernelCounters, NodeTypes, Prepared, RegisterError,
    SystemLimit, alias_send,
};
pub use pids::Pids;
pub use pubsub::{Broadcast, MAX_POOL, PubSubAdapter};
pub use references::AtomMap;
pub use services::{LogLevel, LogLine};
