//! The Erlang distribution protocol as machines: bytes and time go in, actions come out.
//!
//! | item | what it is |
//! |---|---|
//! | [`Link`] | one connection from its first byte to its last: handshake, messages, ticks |
//! | [`Handshake`] | the handshake alone, for both sides |
//! | [`Probe`] | its first part alone, which tells a peer's name |
//! | [`Control`], [`Message`] | what two connected nodes say to each other |
//! | [`Flags`] | what a node can do, in one table |
//! | [`Cookies`], [`Allowed`] | which secret a peer must hold, and which peers may come |
//! | [`Digest`] | the proof that a node holds the cookie |
//! | [`epmd`] | the wire format of the port mapper, both directions |
//!
//! The crate is pure: no socket, no clock, no randomness. Time comes in as `now`, challenges come
//! in as values.
//!
//! A driver of a [`Link`] calls, in this order and for ever: one `handle_*`; then
//! [`Link::poll_action`] until `None`; then writes what [`Link::take_output`] gives.

mod allowed;
mod atom_cache;
mod control;
mod cookies;
mod digest;
pub mod epmd;
mod flags;
mod fragments;
mod framing;
mod handshake;
#[cfg(test)]
mod hex;
mod incoming;
mod link;
mod outgoing;
mod output;
mod packet;
mod payload;
mod spares;

pub use allowed::Allowed;
pub use control::{
    AltactFlags, AltactTarget, Control, ControlError, Message, ProcId, SpawnRequest, SpawnResult,
};
pub use cookies::Cookies;
pub use digest::Digest;
pub use flags::Flags;
pub use framing::FrameError;
pub use handshake::{
    Handshake, HandshakeFault, Phase, Probe, ProbeFault, Probed, Progress, Question, Verdict,
};
pub use link::{
    Action, Direction, Link, LinkConfig, LinkConfigError, LinkCounters, LinkError, LocalNode,
    PeerInfo,
};
pub use output::Output;
pub use payload::Payload;
