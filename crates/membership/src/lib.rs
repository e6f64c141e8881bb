//! Who belongs to the cluster and when to dial: machines that touch no socket.
//!
//! | item | what it is |
//! |---|---|
//! | [`Update`] | what a source may say about one topology |
//! | [`Roster`] | says **who**: merges the topologies, keeps the last good answer, applies [`Prune`] |
//! | [`Intent`] | what the roster tells the plan |
//! | [`Plan`] | says **when**, and which of two colliding links lives |
//! | [`Action`] | what the plan tells the driver |
//! | [`Gossip`] | who is heard in the packets by which libcluster's nodes find each other, and what we say in ours |
//!
//! The crate is pure: no socket, no clock (`now` comes in as a value and must never go back), no
//! randomness of its own (a seed comes in with the configuration). The machines have the same
//! verbs: call a `handle_*`, then `poll_action` (`poll_update` of gossip) until it returns `None`,
//! and `handle_timeout` when `deadline` has passed.

mod gossip;
mod plan;
mod prune;
mod roster;
mod topology;
mod update;

pub use gossip::{
    Gossip, GossipAuth, GossipAuthError, GossipConfig, GossipCounters, GossipNotice, GossipPacket,
    GossipPacketError, GossipProof, GossipSecret, MAX_GOSSIP_PEERS, MAX_PACKET_BYTES,
};
pub use plan::{
    Action, Connection, ConnectionId, DialFailure, DownReason, Failure, LinkId, Plan, PlanConfig,
    PlanCounters, PlanWarning, TlsFault,
};
pub use prune::{Prune, PruneError};
pub use roster::{
    AddTopologyError, Intent, MAX_PEERS, MAX_TOPOLOGIES, Roster, RosterConfig, SourceNews,
    TopologyStatus,
};
pub use topology::{MAX_TOPOLOGY_CHARS, TopologyName, TopologyNameError};
pub use update::{FailureKind, MAX_DETAIL_BYTES, Sighting, SourceFailure, Standing, Update};
