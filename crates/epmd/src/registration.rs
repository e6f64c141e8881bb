//! Our name, kept registered with an epmd for as long as we live.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use enmesh_identity::Creation;
use enmesh_proto::epmd::{DEFAULT_PORT, NodeInfo, NodeType};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument as _;

use crate::EpmdError;
use crate::client::{self, Alive};

/// Time between two attempts to register. A registration that was held for at least as long and
/// then breaks is renewed at once.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// What a registration says to an epmd, and to which.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistrationConfig {
    /// The epmd of this host; default `127.0.0.1:4369`. An epmd takes only local registrations.
    pub epmd: SocketAddr,
    /// The part of our name before the `@`.
    pub alive: String,
    /// The port on which our distribution listens.
    pub port: u16,
    /// Whether we are visible (default) or hidden.
    pub node_type: NodeType,
    /// How long one attempt may take; default 10 s, as in a BEAM.
    pub timeout: Duration,
}

impl RegistrationConfig {
    /// A visible node `alive` on `port`, at this host's epmd on its usual port.
    pub fn new(alive: impl Into<String>, port: u16) -> Self {
        Self {
            epmd: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            alive: alive.into(),
            port,
            node_type: NodeType::Visible,
            timeout: client::DEFAULT_TIMEOUT,
        }
    }
}

/// How a registration stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RegistrationState {
    /// The first attempt is under way.
    Starting,
    /// Our name is registered.
    Registered {
        /// What epmd gave at our first registration. Later ones give others, which are ignored as
        /// a BEAM ignores them: a node's creation does not change while it lives.
        creation: Creation,
    },
    /// The epmd refuses our name, most likely because another node has it. It is tried again.
    Refused {
        /// The result in epmd's answer; 1 from a BEAM's epmd.
        result: u8,
    },
    /// The last attempt failed or the registration broke. It is tried again.
    Retrying {
        /// Why.
        error: Arc<EpmdError>,
    },
}

/// Keeps a name registered: connects, registers and holds the connection, which *is* the
/// registration; when it breaks, registers anew, at once and then every second.
///
/// Dropping it ends the registration too, but nobody then awaits its task: prefer
/// [`Registration::stop`].
#[derive(Debug)]
pub struct Registration {
    state: watch::Receiver<RegistrationState>,
    first: watch::Receiver<Option<Creation>>,
    hurry: Arc<Notify>,
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Registration {
    /// Starts to register. Returns at once; the state tells how it goes.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(config: RegistrationConfig) -> Self {
        let (states, state) = watch::channel(RegistrationState::Starting);
        let (firsts, first) = watch::channel(None);
        let hurry = Arc::new(Notify::new());
        let stop = CancellationToken::new();
        let span = tracing::info_span!("registration", alive = %config.alive, epmd = %config.epmd);
        let keeper = Keeping {
            config,
            states,
            first: firsts,
            hurry: hurry.clone(),
        };
        let task = tokio::spawn(keeper.run(stop.clone()).instrument(span));
        Self {
            state,
            first,
            hurry,
            stop: stop.drop_guard(),
            task,
        }
    }

    /// How the registration stands, and a way to await a change.
    pub fn state(&self) -> watch::Receiver<RegistrationState> {
        self.state.clone()
    }

    /// The creation that the first successful registration gave, whatever became of that since;
    /// waits for it through refusals and failures. `None` if the task died first. Cancel safe.
    pub async fn registered(&self) -> Option<Creation> {
        *self.first.clone().wait_for(Option::is_some).await.ok()?
    }

    /// A way to end the pauses between attempts.
    pub(crate) fn hurry(&self) -> Hurry {
        Hurry(self.hurry.clone())
    }

    /// Closes the connection, by which the epmd forgets the name, and waits for the task's end.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "registration task died");
        }
    }
}

/// Ends a pause between two attempts: there is reason to think that the next one succeeds.
#[derive(Clone, Debug)]
pub(crate) struct Hurry(Arc<Notify>);

impl Hurry {
    /// The next attempt begins now; if none is paused, the next pause is left out.
    pub(crate) fn now(&self) {
        self.0.notify_one();
    }
}

/// The task behind a [`Registration`].
struct Keeping {
    config: RegistrationConfig,
    states: watch::Sender<RegistrationState>,
    first: watch::Sender<Option<Creation>>,
    hurry: Arc<Notify>,
}

impl Keeping {
    async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // Whatever a dropped attempt had open is closed with it.
                () = self.attempt() => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.hurry.notified() => {}
                () = tokio::time::sleep(RETRY_EVERY) => {}
            }
        }
    }

    /// One attempt and, for as long as each was held long enough, the next ones at once.
    async fn attempt(&self) {
        loop {
            match self.register().await {
                Ok(Alive::Registered { stream, creation }) => {
                    let since = Instant::now();
                    self.registered(creation);
                    let error = hold(stream, self.config.epmd).await;
                    self.failed(error);
                    if since.elapsed() < RETRY_EVERY {
                        return;
                    }
                }
                Ok(Alive::Refused { result }) => return self.refused(result),
                Err(error) => return self.failed(error),
            }
        }
    }

    async fn register(&self) -> Result<Alive, EpmdError> {
        let config = &self.config;
        let node = NodeInfo::new(&config.alive, config.port, config.node_type);
        client::register(config.epmd, node, config.timeout).await
    }

    fn registered(&self, creation: Creation) {
        let first = *self.first.borrow();
        let creation = first.unwrap_or_else(|| {
            self.first.send_replace(Some(creation));
            creation
        });
        tracing::info!(%creation, "registered with epmd");
        self.states
            .send_replace(RegistrationState::Registered { creation });
    }

    fn refused(&self, result: u8) {
        if !matches!(*self.states.borrow(), RegistrationState::Refused { .. }) {
            tracing::warn!(result, "epmd refuses our name: another node has it");
        }
        self.states
            .send_replace(RegistrationState::Refused { result });
    }

    fn failed(&self, error: EpmdError) {
        if !matches!(*self.states.borrow(), RegistrationState::Retrying { .. }) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "not registered with epmd"
            );
        }
        self.states.send_replace(RegistrationState::Retrying {
            error: Arc::new(error),
        });
    }
}

/// Returns when the registration has ended. An epmd sends nothing on it, so that any byte ends it
/// as surely as a close.
async fn hold(stream: TcpStream, epmd: SocketAddr) -> EpmdError {
    let mut byte = [0; 1];
    loop {
        if let Err(source) = stream.readable().await {
            return EpmdError::Unreachable { epmd, source };
        }
        match stream.try_read(&mut byte) {
            Ok(_) => return EpmdError::Closed { epmd },
            Err(source) if source.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(source) => return EpmdError::Unreachable { epmd, source },
        }
    }
}
