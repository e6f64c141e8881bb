//! What can go wrong between us and an epmd.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use enmesh_proto::epmd::ReplyError;
use thiserror::Error;

/// Why a question to an epmd got no answer. Nothing was changed, there or here, unless a variant
/// says so.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EpmdError {
    /// No connection, or it broke: no epmd runs there, or the network is cut.
    #[error("no epmd reachable at {epmd}")]
    Unreachable {
        /// The epmd that was asked.
        epmd: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No whole answer in time; what was asked may have happened all the same.
    #[error("epmd at {epmd} did not answer within {after:?}")]
    TimedOut {
        /// The epmd that was asked.
        epmd: SocketAddr,
        /// How long it had.
        after: Duration,
    },
    /// The connection ended before the answer was whole.
    #[error("epmd at {epmd} closed before it answered")]
    Closed {
        /// The epmd that was asked.
        epmd: SocketAddr,
    },
    /// The bytes that came are not what an epmd answers.
    #[error("epmd at {epmd} gave a malformed answer")]
    Malformed {
        /// The epmd that was asked.
        epmd: SocketAddr,
        /// What is wrong with the bytes.
        #[source]
        source: ReplyError,
    },
    /// The answer is longer than this client reads.
    #[error("the answer of epmd at {epmd} is longer than {max} bytes")]
    TooLong {
        /// The epmd that was asked.
        epmd: SocketAddr,
        /// How many bytes there may be.
        max: usize,
    },
    /// No epmd takes such a name: it is empty, longer than 255 characters, or has a control
    /// character in it. Nothing was sent.
    #[error("a name that no epmd takes")]
    BadName,
    /// The epmd understood and refused: nodes are registered, or it was not started relaxed.
    #[error("epmd at {epmd} refused")]
    Refused {
        /// The epmd that was asked.
        epmd: SocketAddr,
    },
}

impl EpmdError {
    /// Whether asking again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Closed { .. } => true,
            Self::Malformed { .. } | Self::TooLong { .. } => false,
            Self::BadName | Self::Refused { .. } => false,
        }
    }
}
