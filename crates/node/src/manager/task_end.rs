//! How the task of a link can end.

use enmesh_membership::TlsFault;
use enmesh_proto::LinkError;

use crate::dial::DialError;
use crate::link_driver::LinkEnd;
use crate::tls::TlsError;
use crate::transport::Trouble;

/// How the task of a link ended.
#[derive(Debug)]
pub(super) enum TaskEnd {
    /// There was nothing that the link could run over.
    NeverConnected(DialError),
    /// TLS did not come up on a connection that was accepted.
    NeverSecured(TlsError),
    /// Somebody else listens where the peer was a moment ago, or nobody any more.
    Misled,
    /// We wanted it so.
    Stopped,
    /// The protocol, the peer or the socket ended it.
    Failed(LinkError),
}

impl TaskEnd {
    /// The end of a link that was dialled. A peer that refuses our certificate in TLS 1.3 lets us
    /// hear it when TLS is up already, so that the link finds itself closed.
    ///
    /// `is_known` says that nobody was asked where the peer listens.
    pub(super) fn of_dial(end: LinkEnd, trouble: Trouble, is_known: bool) -> Self {
        match (end, trouble.take()) {
            (LinkEnd::Failed(error), _) if is_known && may_be_another(&error) => Self::Misled,
            (LinkEnd::Failed(LinkError::ClosedInSetup { .. }), Some(error))
                if error.fault() == TlsFault::Refused =>
            {
                Self::NeverConnected(DialError::Tls(error))
            }
            (end, _) => end.into(),
        }
    }
}

/// Whether a dial may have ended so for having reached somebody else than the peer. None of these
/// leaves a question of the link open.
fn may_be_another(error: &LinkError) -> bool {
    matches!(
        error,
        LinkError::WrongName { .. }
            | LinkError::ClosedInSetup { .. }
            | LinkError::BadHandshake(_)
            | LinkError::OldHandshake
    )
}

impl From<LinkEnd> for TaskEnd {
    fn from(end: LinkEnd) -> Self {
        match end {
            LinkEnd::Stopped => Self::Stopped,
            LinkEnd::Failed(error) => Self::Failed(error),
        }
    }
}
