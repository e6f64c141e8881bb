//! What a link has its driver do, and what it counts.

use super::LinkError;
use crate::control::Message;
use crate::handshake::Question;

/// What the driver of a link does next.
// Almost every action is a message; a box would cost each an allocation to save the rare others
// some bytes.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Have the question answered by [`Link::handle_verdict`](super::Link::handle_verdict), then give what is in the inbox to
    /// [`Link::handle_bytes`](super::Link::handle_bytes) again. Read nothing more meanwhile.
    Ask(Question),
    /// A message of the peer.
    Deliver(Message),
    /// Write the output, then close the socket: nothing more will come.
    Close(LinkError),
}

/// What went over a link so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Messages received, without ticks.
    pub frames_in: u64,
    /// Messages sent, without ticks.
    pub frames_out: u64,
    /// Bytes received, handshake and lengths included.
    pub bytes_in: u64,
    /// Bytes given out to be written, handshake and lengths included.
    pub bytes_out: u64,
    /// Ticks received.
    pub ticks_in: u64,
    /// Ticks sent.
    pub ticks_out: u64,
}
