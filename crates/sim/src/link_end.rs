//! One end of a connection, as the task of a link would hold it.

use bytes::BytesMut;
use enmesh_otp::Kernel;
use enmesh_proto::Link;

use crate::event::{Micros, Side};

/// A link with its buffers.
#[derive(Debug)]
pub(crate) struct LinkEnd {
    pub(crate) link: Link,
    pub(crate) inbox: BytesMut,
    pub(crate) conn: usize,
    pub(crate) side: Side,
    /// For when the next timer is set.
    pub(crate) timer_at: Micros,
    /// Whether the manager was asked and has not answered; nothing is read meanwhile.
    pub(crate) is_asking: bool,
    /// Whether the end of the stream was not read yet.
    pub(crate) has_ended: bool,
    /// Answers the peer, once the link is up. One for each link and hidden, so that it speaks of
    /// nothing else.
    pub(crate) kernel: Option<Box<Kernel<()>>>,
    pub(crate) sent: u32,
    pub(crate) got: u32,
    /// Since when the peer owes an answer to a monitor.
    pub(crate) monitors_since: Option<Micros>,
}

impl LinkEnd {
    pub(crate) fn new(link: Link, conn: usize, side: Side) -> Self {
        Self {
            link,
            inbox: BytesMut::new(),
            conn,
            side,
            timer_at: Micros::MAX,
            is_asking: false,
            has_ended: false,
            kernel: None,
            sent: 0,
            got: 0,
            monitors_since: None,
        }
    }
}
