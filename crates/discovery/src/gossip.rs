//! Whoever sends libcluster's heartbeats to the same multicast group or broadcast address.

mod config;
mod socket;
mod source;

pub use config::GossipConfig;
