//! How a node makes itself known to epmd, by the mode it was given.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use enmesh_epmd::{
    EpmdMode, Keeper, KeeperConfig, NodeType, Registration, RegistrationConfig, RegistrationState,
};
use tokio::sync::watch;

use crate::builder::{Builder, StartError};

/// How long a start waits for epmd. A name that is still taken then is in use; an epmd that is
/// not there then is waited for in the background, for discovery must not block a start.
const PATIENCE: Duration = Duration::from_millis(2500);

/// What keeps our name registered; nothing without epmd.
#[derive(Debug)]
pub(crate) enum Registered {
    Nowhere,
    AtSystem(Registration),
    AtKeeper(Keeper),
}

impl Registered {
    /// Unregisters, and stops to serve.
    pub(crate) async fn stop(self) {
        match self {
            Self::Nowhere => {}
            Self::AtSystem(registration) => registration.stop().await,
            Self::AtKeeper(keeper) => keeper.stop().await,
        }
    }
}

/// Registers our name and `port`, and waits until that is done or shown to be hopeless.
pub(crate) async fn register(builder: &Builder, port: u16) -> Result<Registered, StartError> {
    if !builder.listener {
        return Ok(Registered::Nowhere);
    }
    let mut config = RegistrationConfig::new(builder.name.alive(), port);
    config.epmd = local_epmd(builder);
    config.node_type = if builder.visible {
        NodeType::Visible
    } else {
        NodeType::Hidden
    };
    let registered = match builder.epmd {
        EpmdMode::None => return Ok(Registered::Nowhere),
        EpmdMode::System => Registered::AtSystem(Registration::start(config)),
        EpmdMode::Embedded => Registered::AtKeeper(Keeper::start(KeeperConfig::new(config))),
    };
    let state = match &registered {
        Registered::Nowhere => return Ok(registered),
        Registered::AtSystem(registration) => registration.state(),
        Registered::AtKeeper(keeper) => keeper.state(),
    };
    if is_refused_for_good(state, builder.epmd).await {
        registered.stop().await;
        let name = builder.name.clone();
        return Err(StartError::NameInUse { name });
    }
    Ok(registered)
}

fn local_epmd(builder: &Builder) -> SocketAddr {
    let loopback = match builder.listen {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(loopback, builder.epmd_port)
}

/// A node that was just killed may still be registered for a moment, so a refusal counts only
/// when it lasts. An epmd that somebody else is to run may come up after us: one failure is
/// enough to go on without it.
async fn is_refused_for_good(
    mut state: watch::Receiver<RegistrationState>,
    mode: EpmdMode,
) -> bool {
    let settled = state.wait_for(|state| match state {
        RegistrationState::Registered { .. } => true,
        RegistrationState::Retrying { .. } => mode == EpmdMode::System,
        _ => false,
    });
    if tokio::time::timeout(PATIENCE, settled).await.is_ok() {
        return false;
    }
    let refused = matches!(*state.borrow(), RegistrationState::Refused { .. });
    refused
}
