//! What the plan tells its driver.

use std::fmt;
use std::time::Duration;

use enmesh_identity::{Creation, NodeName, PeerAddr};
use enmesh_proto::{Direction, LinkError, Verdict};

/// One dial or one accepted socket, from its beginning to its end; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub(super) u64);

/// One connection that carried messages, as BEAM's `connection_id`: greater for later ones.
///
/// ```
/// use enmesh_membership::ConnectionId;
///
/// fn is_newer(now: ConnectionId, before: ConnectionId) -> bool {
///     now.get() > before.get()
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(super) u64);

impl LinkId {
    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl ConnectionId {
    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A live link: the peer is authenticated, and messages may flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The peer's name.
    pub name: NodeName,
    /// The peer's incarnation.
    pub creation: Creation,
    /// Which connection with it this is.
    pub connection: ConnectionId,
    /// The link that carries it.
    pub link: LinkId,
    /// Whether the peer is a visible node.
    pub visible: bool,
    /// Who began it.
    pub direction: Direction,
}

/// What the driver has to do next, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Find the peer's address and port and connect. Report [`Plan::handle_dialled`] when the
    /// socket is there, or [`Plan::handle_dial_failed`].
    ///
    /// [`Plan::handle_dialled`]: crate::Plan::handle_dialled
    /// [`Plan::handle_dial_failed`]: crate::Plan::handle_dial_failed
    Dial {
        /// What the dial and the link it becomes are called.
        link: LinkId,
        /// Whom to dial, and where.
        peer: PeerAddr,
    },
    /// Hand the verdict to the link that asked.
    Answer {
        /// The link that asked.
        link: LinkId,
        /// The answer to its open question.
        verdict: Verdict,
    },
    /// End this dial or link; what it still reports is ignored. No message of it may be
    /// delivered after this.
    Close {
        /// What to end.
        link: LinkId,
        /// Why.
        reason: DownReason,
    },
    /// The peer is connected. Comes before the [`Verdict::Admit`] that lets messages flow.
    Nodeup(Connection),
    /// The peer is not connected any more. Comes once per [`Action::Nodeup`], after everything
    /// of that connection.
    Nodedown {
        /// The connection that ended.
        connection: Connection,
        /// Why.
        reason: DownReason,
    },
    /// A dial came to nothing. Every such dial is reported, so that who asked for it can be told.
    DialFailed {
        /// Who was dialled.
        peer: NodeName,
        /// Why it failed.
        failure: Failure,
        /// When the next dial comes; `None` if nobody wants one.
        retry_in: Option<Duration>,
        /// Whether this is news: the first failure since the peer was last up, or another one
        /// than the last. Say it once.
        first: bool,
    },
    /// The peer holds another cookie. Said once per peer and direction until the peer is up.
    WrongCookie {
        /// The name that the peer has, or claims.
        peer: NodeName,
        /// Who dialled whom.
        direction: Direction,
        /// Whether the peer has proven it. A dialled peer that just closes has not, and is asked
        /// twice before this is said: it may have come to its end in that moment.
        certain: bool,
    },
    /// Something a human should know.
    Warn(PlanWarning),
}

/// Something that goes on, but that a human should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanWarning {
    /// A visible member closes a single live link with a visible peer by itself: `global` of OTP
    /// 25 and later answers that by cutting more links.
    VisibleClose {
        /// Whose link is closed.
        peer: NodeName,
    },
    /// There are as many peers as [`PlanConfig::max_peers`] allows; this one is not dialled, or
    /// not admitted. Said for the first one only.
    ///
    /// [`PlanConfig::max_peers`]: crate::PlanConfig::max_peers
    TooManyPeers {
        /// Who did not fit.
        peer: NodeName,
    },
}

/// Why a link ended: a closed set. Where OTP's `nodedown_reason` has a name for it, the label is
/// that name.
///
/// ```
/// use enmesh_membership::DownReason;
///
/// assert_eq!(DownReason::NetTickTimeout.label(), "net_tick_timeout");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DownReason {
    /// The peer closed the connection, or it broke.
    ConnectionClosed,
    /// The peer was silent for too long.
    NetTickTimeout,
    /// The peer sent what the protocol does not allow.
    BadData,
    /// The user disconnected the peer.
    Disconnect,
    /// We end.
    Shutdown,
    /// The peer left the roster, and policy says that its link is closed.
    Pruned,
    /// A newer connection with the same peer took its place.
    Superseded,
    /// We stay away from the whole cluster for a while.
    Away,
    /// The peer did not read for so long that too much waited to be written.
    OutputFull,
    /// Nobody wants the dial any more. Never the reason of a nodedown.
    Unwanted,
    /// A dial took too long. Never the reason of a nodedown.
    TimedOut,
    /// Too many handshakes at once; this was the oldest. Never the reason of a nodedown.
    TooManySetups,
}

impl DownReason {
    /// The reason in snake case.
    pub fn label(self) -> &'static str {
        match self {
            Self::ConnectionClosed => "connection_closed",
            Self::NetTickTimeout => "net_tick_timeout",
            Self::BadData => "bad_data",
            Self::Disconnect => "disconnect",
            Self::Shutdown => "shutdown",
            Self::Pruned => "pruned",
            Self::Superseded => "superseded",
            Self::Away => "away",
            Self::OutputFull => "output_full",
            Self::Unwanted => "unwanted",
            Self::TimedOut => "timed_out",
            Self::TooManySetups => "too_many_setups",
        }
    }

    /// What the error of a link that was up means to those who watch nodes.
    pub(super) fn of(error: &LinkError) -> Self {
        match error {
            LinkError::TickTimeout => Self::NetTickTimeout,
            LinkError::OutputFull => Self::OutputFull,
            LinkError::BadFrame(_)
            | LinkError::BadControl(_)
            | LinkError::ForeignProcess { .. } => Self::BadData,
            _ => Self::ConnectionClosed,
        }
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Why a dial ended before there was a socket to hand to a link.
///
/// ```
/// use enmesh_membership::DialFailure;
///
/// assert_eq!(DialFailure::Refused.to_string(), "connection refused");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum DialFailure {
    /// The host part of the name has no address.
    #[error("the host has no address")]
    NoSuchHost,
    /// The peer's epmd knows no such name.
    #[error("the peer's epmd does not know the name")]
    NotRegistered,
    /// The peer's epmd did not answer.
    #[error("the peer's epmd does not answer")]
    EpmdUnreachable,
    /// Nobody listens on the port.
    #[error("connection refused")]
    Refused,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// There is no way to the address, or the connection broke at once.
    #[error("the address cannot be reached")]
    Unreachable,
    /// The address and port are our own.
    #[error("the address and port are our own")]
    OwnAddress,
    /// There was a connection, and TLS did not come up on it.
    #[error(transparent)]
    Tls(TlsFault),
}

/// Why TLS did not come up with a peer that was dialled.
///
/// ```
/// use enmesh_membership::TlsFault;
///
/// assert_eq!(TlsFault::Untrusted.label(), "tls_untrusted");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// The peer took the connection and did not answer: most likely it speaks no TLS.
    #[error("no answer to the tls handshake")]
    NoAnswer,
    /// The peer answered with something else, or closed at once.
    #[error("the peer speaks no tls")]
    NotSpoken,
    /// No authority of ours has signed the peer's certificate.
    #[error("the peer's certificate is not signed by an authority of ours")]
    Untrusted,
    /// The peer's certificate is not for the host part of its name.
    #[error("the peer's certificate is not for its host")]
    WrongName,
    /// The peer's certificate is not valid now.
    #[error("the peer's certificate is not valid at this time")]
    Expired,
    /// The peer does not accept our certificate.
    #[error("the peer refused our certificate")]
    Refused,
    /// Anything else.
    #[error("tls failed")]
    Other,
}

impl TlsFault {
    /// The fault in snake case.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoAnswer => "tls_no_answer",
            Self::NotSpoken => "tls_not_spoken",
            Self::Untrusted => "tls_untrusted",
            Self::WrongName => "tls_wrong_name",
            Self::Expired => "tls_expired",
            Self::Refused => "tls_refused",
            Self::Other => "tls_failed",
        }
    }
}

/// Why a dial came to nothing: a closed set.
///
/// ```
/// use enmesh_membership::Failure;
///
/// assert_eq!(Failure::WrongCookie.label(), "wrong_cookie");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Failure {
    /// There was no socket.
    Dial(DialFailure),
    /// The peer holds another cookie, certainly or probably.
    WrongCookie,
    /// Another node answered at the peer's address.
    WrongName,
    /// The peer does not let us in.
    NotAllowed,
    /// The peer lacks what the protocol demands, or speaks another one.
    Incompatible,
    /// The peer speaks TLS, and we do not.
    SpeaksTls,
    /// The user disconnected the peer before the dial that the user wanted came to an end, or
    /// wanted it when we had ended.
    GivenUp,
    /// We stay away from the whole cluster for a while.
    Away,
    /// The peer kept us waiting for its own connect, which did not come.
    Nok,
    /// A phase of the handshake took too long.
    TimedOut,
    /// The peer closed the connection during the handshake, or it broke.
    Closed,
    /// Whoever was to connect could not, and did not say why.
    Untold,
}

impl From<DialFailure> for Failure {
    fn from(failure: DialFailure) -> Self {
        Self::Dial(failure)
    }
}

impl Failure {
    /// The failure in snake case.
    pub fn label(self) -> &'static str {
        match self {
            Self::Dial(DialFailure::NoSuchHost) => "no_such_host",
            Self::Dial(DialFailure::NotRegistered) => "not_registered",
            Self::Dial(DialFailure::EpmdUnreachable) => "epmd_unreachable",
            Self::Dial(DialFailure::Refused) => "refused",
            Self::Dial(DialFailure::TimedOut) | Self::TimedOut => "timed_out",
            Self::Dial(DialFailure::Unreachable) => "unreachable",
            Self::Dial(DialFailure::OwnAddress) => "own_address",
            Self::Dial(DialFailure::Tls(fault)) => fault.label(),
            Self::WrongCookie => "wrong_cookie",
            Self::WrongName => "wrong_name",
            Self::NotAllowed => "not_allowed",
            Self::Incompatible => "incompatible",
            Self::SpeaksTls => "peer_speaks_tls",
            Self::GivenUp => "given_up",
            Self::Away => "away",
            Self::Nok => "nok",
            Self::Closed => "closed",
            Self::Untold => "untold",
        }
    }

    /// What the error of a link that was dialled and did not come up means.
    pub(super) fn of(error: &LinkError) -> Self {
        match error {
            error if error.is_wrong_cookie() => Self::WrongCookie,
            LinkError::WrongName { .. } => Self::WrongName,
            LinkError::NotAllowed => Self::NotAllowed,
            LinkError::Nok => Self::Nok,
            LinkError::SetupTimeout { .. } => Self::TimedOut,
            error if error.is_tls() => Self::SpeaksTls,
            LinkError::MissingFlags { .. }
            | LinkError::OldHandshake
            | LinkError::DynamicName
            | LinkError::BadHandshake(_)
            | LinkError::BadFrame(_) => Self::Incompatible,
            _ => Self::Closed,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
