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
    /// We wanted it so.
    Stopped,
    /// The protocol, the peer or the socket ended it.
    Failed(LinkError),
}

impl TaskEnd {
    /// The end of a link that was dialled. A peer that refuses our certificate in TLS 1.3 lets us
    /// hear it when TLS is up already, so that the link finds itself closed.
    pub(super) fn of_dial(end: LinkEnd, trouble: Trouble) -> Self {
        match (end, trouble.take()) {
            (LinkEnd::Failed(LinkError::ClosedInSetup { .. }), Some(error))
                if error.fault() == TlsFault::Refused =>
            {
                Self::NeverConnected(DialError::Tls(error))
            }
            (end, _) => end.into(),
        }
    }
}

impl From<LinkEnd> for TaskEnd {
    fn from(end: LinkEnd) -> Self {
        match end {
            LinkEnd::Stopped => Self::Stopped,
            LinkEnd::Failed(error) => Self::Failed(error),
        }
    }
}
