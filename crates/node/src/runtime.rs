//! A node's life, from its first thread to its last task: ticks, links and what a BEAM asks of us
//! never wait for the user's code.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use enmesh_discovery::SourceContext;
use enmesh_identity::Creation;
use enmesh_membership::{Plan, PlanConfig, Roster, RosterConfig, TopologyName};
use enmesh_otp::{Kernel, KernelConfig};
use enmesh_proto::{LinkConfig, LocalNode};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::builder::{Builder, StartError};
use crate::crew::Crew;
use crate::dial::{Dialer, PortSource};
use crate::events::{self, Subscriptions};
use crate::kernel_driver::KernelDriver;
use crate::listen;
use crate::manager::{Inputs, Manager, Who};
use crate::node::{Command, Node, Shared};
use crate::registration::{self, Registered};
use crate::sources::Sources;
use crate::tls::Tls;
use crate::transport::Transport;

/// How many commands of handles wait until the manager takes them.
const COMMAND_QUEUE: usize = 64;

/// How many accepted sockets wait until the manager takes them.
const ACCEPT_QUEUE: usize = 64;

/// How much one link may hold to be written, in bytes. The queue before it stops earlier.
const MAX_OUTPUT: usize = 512 << 20;

/// The handle of a node that is being started, once it can be found.
pub(crate) type Started = oneshot::Receiver<Result<Node, StartError>>;

/// Starts the node's thread.
pub(crate) fn start(builder: Builder) -> Result<Started, StartError> {
    let (ready, started) = oneshot::channel();
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    std::thread::Builder::new()
        .name("enmesh-node".to_owned())
        .spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || run(builder, ready));
        })
        .map_err(StartError::Thread)?;
    Ok(started)
}

fn run(builder: Builder, ready: oneshot::Sender<Result<Node, StartError>>) {
    let crew = match Crew::new() {
        Ok(crew) => crew,
        Err(error) => {
            let _ = ready.send(Err(StartError::Thread(error)));
            return;
        }
    };
    let ended = CancellationToken::new();
    // Also on a panic: whoever waits for the end must not wait for ever.
    let _end = ended.clone().drop_guard();
    crew.keep(live(builder, Arc::clone(&crew), ready, ended));
}

/// The node's whole life.
async fn live(
    builder: Builder,
    crew: Arc<Crew>,
    ready: oneshot::Sender<Result<Node, StartError>>,
    ended: CancellationToken,
) {
    let grace = builder.shutdown_grace;
    let booted = match boot(builder, crew, ended).await {
        Ok(booted) => booted,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let Booted {
        node,
        manager,
        kernel,
        inputs,
        services,
        registered,
    } = booted;
    let name = node.name().clone();
    // Nobody took the handle: it is dropped here, and the manager ends by itself.
    let _ = ready.send(Ok(node));
    let stop = inputs.stop.clone();
    let deadline = manager.run(inputs, grace).await;
    stop.cancel();
    kernel.shut_down();
    kernel.workers.shut_down();
    services.close();
    let rest = async {
        services.wait().await;
        registered.stop().await;
    };
    if tokio::time::timeout_at(deadline.into(), rest)
        .await
        .is_err()
    {
        warn!(node = %name, "some tasks did not end within the grace of the shutdown");
    }
    info!(%name, "node stopped");
}

struct Booted {
    node: Node,
    manager: Manager,
    kernel: Arc<KernelDriver>,
    inputs: Inputs,
    /// Sources, listener and clocks.
    services: TaskTracker,
    registered: Registered,
}

async fn boot(
    builder: Builder,
    crew: Arc<Crew>,
    ended: CancellationToken,
) -> Result<Booted, StartError> {
    let creation = Creation::from_seed(rand::random());
    let stop = CancellationToken::new();
    let services = TaskTracker::new();
    let context = source_context(&builder, creation);
    let (mut sources, updates) = Sources::new(context, services.clone(), stop.child_token());
    let mut roster = roster(&builder)?;
    sources.check(&roster, &builder.topologies)?;
    let transport = transport(&builder)?;
    let (listener, own) = listener(&builder)?;
    let registered = registration::register(&builder, own.port()).await?;

    let (accepting, accepted) = mpsc::channel(ACCEPT_QUEUE);
    if let Some(listener) = listener {
        listen::spawn(&services, listener, accepting, &stop);
    }
    sources.set(&mut roster, Instant::now(), builder.topologies.clone())?;
    let kernel = kernel(&builder, creation, crew);
    watch_clocks(&services, &kernel, &stop);
    let (command, commands) = mpsc::channel(COMMAND_QUEUE);
    let (publisher, subscriptions) = events::channel();
    let handle = Handle {
        creation,
        port: own.port(),
        command,
        subscriptions,
        kernel: Arc::clone(&kernel),
    };
    let node = handle.into_node(&builder, stop.clone(), ended);
    let who = Who {
        roster,
        sources,
        learned: builder.visible.then(learned_topology),
    };
    let manager = Manager::new(
        who,
        plan(&builder, own),
        publisher,
        link_config(&builder, creation),
        Arc::clone(&kernel),
        dialer(&builder, own, transport),
    );
    say_started(&builder, &node, own.port());
    let inputs = Inputs {
        commands,
        accepted,
        updates,
        stop,
    };
    Ok(Booted {
        node,
        manager,
        kernel,
        inputs,
        services,
        registered,
    })
}

/// The listening socket, if there is to be one, and where it is: at port 0 if not.
fn listener(builder: &Builder) -> Result<(Option<TcpListener>, SocketAddr), StartError> {
    if !builder.listener {
        return Ok((None, SocketAddr::new(builder.listen, 0)));
    }
    let listen_error = |source| StartError::Listen {
        address: builder.listen,
        port: builder.dist_port,
        source,
    };
    let listener = listen::bind(builder.listen, builder.dist_port).map_err(listen_error)?;
    let own = listener.local_addr().map_err(listen_error)?;
    Ok((Some(listener), own))
}

/// What only the thread knows of the handle.
struct Handle {
    creation: Creation,
    port: u16,
    command: mpsc::Sender<Command>,
    subscriptions: Subscriptions,
    kernel: Arc<KernelDriver>,
}

impl Handle {
    fn into_node(
        self,
        builder: &Builder,
        stop: CancellationToken,
        ended: CancellationToken,
    ) -> Node {
        Node {
            shared: Arc::new(Shared {
                name: builder.name.clone(),
                creation: self.creation,
                port: self.port,
                commands: self.command,
                subscriptions: self.subscriptions,
                kernel: self.kernel,
                stop,
                ended,
            }),
        }
    }
}

/// What sources know of us. Who looks as somebody else is not to be told of.
fn source_context(builder: &Builder, creation: Creation) -> SourceContext {
    let context = match &builder.looks_as {
        Some(name) => SourceContext::new(name.clone()),
        None => SourceContext::new(builder.name.clone()).with_creation(creation),
    };
    context.with_epmd_port(builder.epmd_port)
}

fn roster(builder: &Builder) -> Result<Roster, StartError> {
    let mut config = RosterConfig::new(builder.name.clone());
    config.prune = builder.prune;
    config.grace = builder.prune_grace;
    let mut roster = Roster::new(config);
    if builder.visible {
        roster.add_hearsay(learned_topology())?;
    }
    Ok(roster)
}

/// The topology of the nodes that `global` has learned of.
fn learned_topology() -> TopologyName {
    "global".parse().expect("letters only")
}

fn kernel(builder: &Builder, creation: Creation, crew: Arc<Crew>) -> Arc<KernelDriver> {
    let config = KernelConfig {
        node: builder.name.clone(),
        creation,
        visible: builder.visible,
        net_ticktime: builder.net_ticktime,
        auto_connect: builder.auto_connect,
        echo: builder.echo,
        seed: rand::random(),
    };
    let max_message = link_config(builder, creation).max_message;
    let kernel = Kernel::new(Instant::now(), config);
    KernelDriver::new(kernel, max_message, crew)
}

/// The clocks of the kernel and of the users' requests. Should one of their tasks die, the whole
/// node stops: one that keeps no time must end where everybody sees it.
fn watch_clocks(tasks: &TaskTracker, kernel: &Arc<KernelDriver>, stop: &CancellationToken) {
    let death = stop.clone().drop_guard();
    let (kernel, stop) = (Arc::clone(kernel), stop.child_token());
    tasks.spawn(async move {
        let _death = death;
        let both = async { tokio::join!(kernel.watch_clock(), kernel.timers.watch()) };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            _ = both => {}
        }
    });
}

fn plan(builder: &Builder, own: SocketAddr) -> Plan {
    let mut config = PlanConfig::new(builder.name.clone(), rand::random());
    config.visible = builder.visible;
    config.own_addrs = vec![own];
    config.dial_timeout = builder.setup_time;
    Plan::new(config)
}

fn link_config(builder: &Builder, creation: Creation) -> Arc<LinkConfig> {
    let local = LocalNode {
        name: builder.name.clone(),
        creation,
        visible: builder.visible,
    };
    let mut config = LinkConfig::new(local, builder.cookies.own().clone());
    config.cookies = builder.cookies.clone();
    config.allowed = builder.allowed.clone();
    config.wide_handshake = builder.tls.is_some();
    config.name_seed = Some(rand::random());
    config.net_ticktime = builder.net_ticktime;
    config.net_tickintensity = builder.net_tickintensity;
    config.setup_time = builder.setup_time;
    config.max_output = MAX_OUTPUT;
    Arc::new(config)
}

fn transport(builder: &Builder) -> Result<Transport, StartError> {
    let tls = match &builder.tls {
        Some(config) => Some(Arc::new(Tls::load(config, &builder.name)?)),
        None => None,
    };
    Ok(Transport {
        tls,
        setup_time: builder.setup_time,
    })
}

fn dialer(builder: &Builder, own: SocketAddr, transport: Transport) -> Dialer {
    let ports = match builder.epmd {
        enmesh_epmd::EpmdMode::None => PortSource::Fixed(builder.dist_port),
        _ => PortSource::Epmd(builder.epmd_port),
    };
    Dialer {
        ports,
        transport,
        own,
        timeout: builder.setup_time,
    }
}

fn say_started(builder: &Builder, node: &Node, port: u16) {
    info!(
        name = %builder.name,
        port,
        creation = node.creation().get(),
        epmd = %builder.epmd,
        visible = builder.visible,
        "node started"
    );
}
