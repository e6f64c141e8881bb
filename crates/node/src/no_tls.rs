//! What stands for TLS in a build without it: types of which there is no value.

use std::time::Duration;

use enmesh_identity::NodeName;
use enmesh_membership::TlsFault;
use tokio::net::TcpStream;

use crate::builder::StartError;
use crate::transport::Stream;

/// Where certificates would be.
#[derive(Clone, Debug)]
pub(crate) enum TlsConfig {}

/// What would make streams of sockets.
#[derive(Debug)]
pub(crate) enum Tls {}

/// What would go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {}

impl TlsError {
    pub(crate) fn fault(&self) -> TlsFault {
        match *self {}
    }

    pub(crate) fn is_wordless(&self) -> bool {
        match *self {}
    }
}

impl Tls {
    pub(crate) fn load(config: &TlsConfig, _: &NodeName) -> Result<Self, StartError> {
        match *config {}
    }

    pub(crate) async fn dial(
        &self,
        _: TcpStream,
        _: &NodeName,
        _: Duration,
    ) -> Result<Stream, TlsError> {
        match *self {}
    }

    pub(crate) async fn accept(&self, _: TcpStream, _: Duration) -> Result<Stream, TlsError> {
        match *self {}
    }
}
