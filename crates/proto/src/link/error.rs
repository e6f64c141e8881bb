//! How a link ends.

use enmesh_identity::NodeName;

use crate::control::ControlError;
use crate::flags::Flags;
use crate::framing::FrameError;
use crate::handshake::{HandshakeFault, Phase};

/// Why a link ended, or a call on it failed.
///
/// Every variant ends the link for good, except the four that say so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Accepted: the peer holds another cookie, for certain. It was told nothing.
    #[error("{peer} answered our challenge with a wrong digest")]
    WrongDigest {
        /// The name that the peer claims.
        peer: NodeName,
    },
    /// Dialled: the peer closed the connection after our digest. It holds another cookie if it does
    /// so again; once, it may have come to its own end just then. The protocol tells no more.
    #[error("{peer} closed after our digest, probably because of another cookie")]
    ClosedAfterDigest {
        /// Whom we dialled.
        peer: NodeName,
    },
    /// Dialled: the peer took our digest but its own is wrong.
    #[error("{peer} acknowledged with a wrong digest")]
    AckWrongDigest {
        /// Whom we dialled.
        peer: NodeName,
    },
    /// Dialled: another node answered than the one wanted.
    #[error("{told} answered instead of {wanted}")]
    WrongName {
        /// Whom we dialled.
        wanted: NodeName,
        /// Who answered.
        told: NodeName,
    },
    /// Both dialled each other and the other connection goes first.
    #[error("the connection of the other direction goes first")]
    Nok,
    /// Dialled: the peer does not let us in. Accepted: we did not let it in.
    #[error("not allowed")]
    NotAllowed,
    /// There was a link with that name already and the dialling side did not insist.
    #[error("given up in favour of a link that exists")]
    GivenUp,
    /// The authenticated link was not wanted any more.
    #[error("discarded after authentication")]
    Discarded,
    /// A phase of the handshake took longer than `setup_time`.
    #[error("timed out waiting for {phase}")]
    SetupTimeout {
        /// What was waited for.
        phase: Phase,
    },
    /// Nothing came from the peer for `net_ticktime`.
    #[error("nothing came from the peer for net_ticktime")]
    TickTimeout,
    /// The peer closed the connection, or it broke, while the link was up.
    #[error("the connection was closed")]
    Closed,
    /// The peer closed the connection, or it broke, during the handshake. After our digest only if
    /// it broke: see [`ClosedAfterDigest`](Self::ClosedAfterDigest).
    #[error("closed while waiting for {phase}")]
    ClosedInSetup {
        /// What was waited for.
        phase: Phase,
    },
    /// The peer lacks what we insist on; it was told `not_allowed` if it dialled.
    #[error("the peer lacks {flags}")]
    MissingFlags {
        /// What it lacks.
        flags: Flags,
    },
    /// A message of the handshake cannot be understood.
    #[error("a bad handshake")]
    BadHandshake(#[from] HandshakeFault),
    /// A frame cannot be understood.
    #[error("a bad frame")]
    BadFrame(#[from] FrameError),
    /// A control message cannot be understood.
    #[error("a bad control message")]
    BadControl(#[from] ControlError),
    /// The peer spoke for a process of another node. A BEAM ends the link for that too.
    #[error("{peer} spoke for a process of another node")]
    ForeignProcess {
        /// The peer.
        peer: NodeName,
    },
    /// A message to send is longer than `max_message`. Nothing was sent and **the link lives**.
    #[error("a message of {len} bytes is too large, {max} are allowed")]
    TooLarge {
        /// The length of the message, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// More than `max_output` would wait to be written. Nothing was sent and **the link lives**.
    #[error("too much waits to be written")]
    OutputFull,
    /// Sent before the link was up. Nothing was sent and **the link lives**.
    #[error("the link is not up")]
    NotUp,
    /// A verdict that no open question asks for. Nothing changed and **the link lives**.
    #[error("no open question has that answer")]
    Unasked,
    /// The peer speaks the handshake of before OTP 23, which is not served.
    #[error("the peer speaks the handshake of OTP 22")]
    OldHandshake,
    /// Accepted: the peer wants a name from us, and [`LinkConfig`](crate::LinkConfig) has no
    /// `name_seed`. Dialled: it gave us a name although we have one.
    #[error("dynamic node names are not served")]
    DynamicName,
}

impl LinkError {
    /// Whether dialling again soon may help. If not, only something that a human does will:
    /// another cookie, another name, another version, other rights.
    pub fn is_transient(&self) -> bool {
        match self {
            LinkError::Nok
            | LinkError::GivenUp
            | LinkError::Discarded
            | LinkError::SetupTimeout { .. }
            | LinkError::TickTimeout
            | LinkError::Closed
            | LinkError::ClosedInSetup { .. }
            | LinkError::OutputFull
            | LinkError::NotUp
            | LinkError::Unasked => true,
            LinkError::WrongDigest { .. }
            | LinkError::ClosedAfterDigest { .. }
            | LinkError::AckWrongDigest { .. }
            | LinkError::WrongName { .. }
            | LinkError::NotAllowed
            | LinkError::MissingFlags { .. }
            | LinkError::BadHandshake(_)
            | LinkError::BadFrame(_)
            | LinkError::BadControl(_)
            | LinkError::ForeignProcess { .. }
            | LinkError::TooLarge { .. }
            | LinkError::OldHandshake
            | LinkError::DynamicName => false,
        }
    }

    /// Whether what came instead of the handshake can only be a record of TLS, whose content type
    /// and major version were taken for a length.
    pub fn is_tls(&self) -> bool {
        /// An alert, which answers our plain bytes, and a handshake, which begins a connection.
        const ALERT_AND_HANDSHAKE: [usize; 2] = [0x1503, 0x1603];
        match self {
            LinkError::BadFrame(FrameError::TooLarge { len, .. }) => {
                ALERT_AND_HANDSHAKE.contains(len)
            }
            _ => false,
        }
    }

    /// Whether the two sides hold different cookies, for certain or probably.
    pub fn is_wrong_cookie(&self) -> bool {
        matches!(
            self,
            LinkError::WrongDigest { .. }
                | LinkError::ClosedAfterDigest { .. }
                | LinkError::AckWrongDigest { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tls_record_where_a_frame_should_be_is_known_as_one() {
        let announced = |len| LinkError::from(FrameError::TooLarge { len, max: 1024 });
        // A client's hello begins 16 03 01, an alert 15 03 03.
        assert!(announced(0x1603).is_tls());
        assert!(announced(0x1503).is_tls());
        assert!(!announced(0x1604).is_tls());
        assert!(!LinkError::Closed.is_tls());
    }
}
