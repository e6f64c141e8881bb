//! The embedded mode: a client while somebody serves, and the server when nobody does.

use std::fmt;
use std::time::Duration;

use enmesh_identity::Creation;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument as _;

use crate::registration::{Registration, RegistrationConfig, RegistrationState};
use crate::server::{Ended, Server, ServerConfig};

/// Time between two looks whether epmd's port is free.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the port is left alone after somebody asked us to stop serving, so that whoever asked
/// can put an epmd of their own there.
const PAUSE_AFTER_KILL: Duration = Duration::from_secs(2);

/// Who serves epmd's port of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Not known yet.
    Unknown,
    /// Not we, for the system does not let us; we look again and again.
    Nobody,
    /// Somebody else; we are a client.
    Client,
    /// We ourselves.
    Serving,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Nobody => "nobody",
            Self::Client => "client",
            Self::Serving => "serving",
        })
    }
}

/// What an embedded epmd serves if it comes to it, and what it registers in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeeperConfig {
    /// How we serve. Its port is that of the registration's epmd.
    pub server: ServerConfig,
    /// Our own name, registered with whoever serves.
    pub registration: RegistrationConfig,
}

impl KeeperConfig {
    /// Registers as `registration` says, and serves the same port on every address of the host.
    pub fn new(registration: RegistrationConfig) -> Self {
        let server = ServerConfig {
            port: registration.epmd.port(),
            ..ServerConfig::default()
        };
        Self {
            server,
            registration,
        }
    }
}

/// An epmd that is there when it is needed: a client while somebody holds epmd's port, the server
/// within half a second after the holder died.
///
/// Our own name goes the same road in both roles, by an ordinary connection to whoever serves.
/// Dropping it ends both, but nobody then awaits the tasks: prefer [`Keeper::stop`].
#[derive(Debug)]
pub struct Keeper {
    role: watch::Receiver<Role>,
    registration: Registration,
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts to serve, or to look whether it must, and to register. Returns at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(config: KeeperConfig) -> Self {
        let KeeperConfig {
            mut server,
            registration,
        } = config;
        server.port = registration.epmd.port();
        let (roles, role) = watch::channel(Role::Unknown);
        // The first look is taken here and now, so that the first registration finds a server.
        let first = look(&server, &roles);
        let registration = Registration::start(registration);
        let stop = CancellationToken::new();
        let hurry = registration.hurry();
        let task = Watching {
            config: server,
            roles,
            hurry,
            stop: stop.clone(),
        };
        let task = tokio::spawn(task.run(first).instrument(tracing::info_span!("epmd")));
        Self {
            role,
            registration,
            stop: stop.drop_guard(),
            task,
        }
    }

    /// Who serves, and a way to await a change.
    pub fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    /// How our own registration stands, and a way to await a change.
    pub fn state(&self) -> watch::Receiver<RegistrationState> {
        self.registration.state()
    }

    /// The creation of our first registration; see [`Registration::registered`].
    pub async fn registered(&self) -> Option<Creation> {
        self.registration.registered().await
    }

    /// Unregisters, stops to serve, and waits for both tasks' end.
    pub async fn stop(self) {
        self.registration.stop().await;
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "epmd task died");
        }
    }
}

/// The task behind a [`Keeper`].
struct Watching {
    config: ServerConfig,
    roles: watch::Sender<Role>,
    hurry: crate::registration::Hurry,
    stop: CancellationToken,
}

impl Watching {
    async fn run(self, first: Option<Server>) {
        let mut server = first;
        while !self.stop.is_cancelled() {
            let pause = match server.take() {
                Some(server) => self.serve(server).await,
                None => LOOK_EVERY,
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            server = look(&self.config, &self.roles);
        }
    }

    /// Serves until stopped or killed; says how long to leave the port alone.
    async fn serve(&self, server: Server) -> Duration {
        // Whoever was registered with the one who died has nowhere else to go.
        self.hurry.now();
        let ended = server.run(self.stop.clone()).await;
        self.roles.send_replace(Role::Unknown);
        match ended {
            Ended::Killed => PAUSE_AFTER_KILL,
            Ended::Cancelled => Duration::ZERO,
        }
    }
}

/// Tries to take the port, and says how that went when it is news.
fn look(config: &ServerConfig, roles: &watch::Sender<Role>) -> Option<Server> {
    let (role, server) = match Server::bind(config.clone()) {
        Ok(server) => (Role::Serving, Some(server)),
        Err(error) if error.is_in_use() => (Role::Client, None),
        Err(error) => {
            if *roles.borrow() != Role::Nobody {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot serve epmd"
                );
            }
            (Role::Nobody, None)
        }
    };
    if roles.send_replace(role) != role {
        tracing::debug!(%role, "role of the embedded epmd");
    }
    server
}
