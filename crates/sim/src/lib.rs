//! Many nodes made of the real machines under one seeded clock and network.
//!
//! Each node is the real `Roster`, `Plan`, `Link` and `Kernel`; only sockets, clocks and
//! sources are played. A [`run`] draws a network and a list of faults from its seed, lets the
//! nodes live through them, and checks after every step that each promise of ARCHITECTURE.md
//! ("Invariants") still holds. The same seed gives the same run, event for event; a failing one
//! is told as a [`Violation`], with a timeline of what the nodes involved went through.
//!
//! [`run_seeds`] runs many seeds on all processors and also demands that every kind of fault
//! really happened in a tenth of them; [`cli_run`] is what `cargo xtask sim` calls.

mod check;
mod cli;
mod event;
mod fault;
mod link_end;
mod network;
mod node;
mod outside;
mod plant;
mod seeds;
mod source;
mod stats;
mod violation;
mod world;

pub use cli::{Options, cli_run};
pub use fault::FaultKind;
pub use seeds::{SeedsError, run_seeds};
pub use stats::Stats;
pub use violation::{Promise, Violation};
pub use world::{HEAL_WITHIN, MIN_DURATION, SimConfig, run};
