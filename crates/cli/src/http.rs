//! `/livez` and `/readyz`, if they are wanted.

use std::net::SocketAddr;
use std::sync::Arc;

use enmesh_admin::{Health, Rules, Server, Subject};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::RunConfig;
use crate::exit::Failure;

/// Where the health of a service is told, and what it is judged by.
#[derive(Debug)]
pub(crate) struct Http {
    listen: Option<SocketAddr>,
    rules: Rules,
}

impl Http {
    /// As the configuration has it; `counts_hidden` as [`Rules`] has it.
    pub(crate) fn of(config: &RunConfig, counts_hidden: bool) -> Self {
        Self {
            listen: config.http_listen,
            rules: Rules {
                min_peers: config.min_peers,
                counts_hidden,
            },
        }
    }

    /// Answers from now on. Needs a tokio runtime.
    pub(crate) fn start<S: Subject>(self) -> Result<Serving<S>, Failure> {
        let health = Arc::new(Health::new(self.rules));
        let stop = CancellationToken::new();
        let server = match self.listen {
            Some(address) => {
                let server = Server::bind(address).map_err(|error| Failure::Http { error })?;
                Some(tokio::spawn(
                    server.serve(Arc::clone(&health), stop.clone()),
                ))
            }
            None => None,
        };
        Ok(Serving {
            health,
            server,
            stop,
        })
    }
}

/// The health of a service, which is told while there is a server.
#[derive(Debug)]
pub(crate) struct Serving<S> {
    health: Arc<Health<S>>,
    server: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl<S: Subject> Serving<S> {
    pub(crate) fn health(&self) -> &Health<S> {
        &self.health
    }

    /// Ends the server. Where it has died before, the probes that found nobody have seen it.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        if let Some(server) = self.server
            && let Err(error) = server.await
        {
            tracing::error!(%error, "http server died");
        }
    }
}
