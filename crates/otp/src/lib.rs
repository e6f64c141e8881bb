//! What a BEAM node expects of a neighbour, as machines without IO.
//!
//! Silence is the worst answer: a monitor, link or call that nobody answers hangs for ever on the
//! BEAM. [`Neighbour`] is the machine of one link: every message that must be answered is, hidden
//! node or visible one. What it does not serve it refuses as a BEAM would.
//!
//! Calling order: [`Neighbour::handle_message`] for each message of the link, in order, then
//! [`Neighbour::poll_reply`] until it gives `None`.

mod call;
mod neighbour;
mod pids;
mod spawn;

pub use neighbour::{Neighbour, NeighbourCounters};
pub use pids::Pids;
