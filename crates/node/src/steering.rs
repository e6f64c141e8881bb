//! A connector that follows topologies: the handle of it, and what it is started with.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use enmesh_discovery::{SourceContext, TopologyConfig};
use enmesh_identity::{Creation, NodeName};
use enmesh_membership::{Plan, PlanConfig, Prune, Roster, RosterConfig};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::builder::StartError;
use crate::connector::Connector;
use crate::events::{self, Events, Subscriptions};
use crate::node::ask;
use crate::sources::Sources;
use crate::steer::{Inputs, Steer};
use crate::topologies::{TopologyChanges, TopologyCommand, TopologyError, TopologyStatus};
use crate::view::View;

/// How many commands of handles wait until they are taken.
const COMMAND_QUEUE: usize = 64;

/// How long sources may take to say goodbye.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// How long a link stays after its peer left the roster under [`Prune::Grace`].
const PRUNE_GRACE: Duration = Duration::from_secs(15);

/// What becomes of the links when whoever holds them is about to end: its pod terminates, or
/// somebody said so.
///
/// ```
/// use enmesh::OnLeave;
///
/// assert_eq!("disconnect".parse(), Ok(OnLeave::Disconnect));
/// assert_eq!(OnLeave::default().to_string(), "stay");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnLeave {
    /// They stay as long as they live.
    #[default]
    Stay,
    /// They are closed, all together.
    Disconnect,
}

/// `stay` or `disconnect`.
impl FromStr for OnLeave {
    type Err = UnknownOnLeave;

    fn from_str(text: &str) -> Result<Self, UnknownOnLeave> {
        match text {
            "stay" => Ok(Self::Stay),
            "disconnect" => Ok(Self::Disconnect),
            _ => Err(UnknownOnLeave),
        }
    }
}

impl std::fmt::Display for OnLeave {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stay => "stay",
            Self::Disconnect => "disconnect",
        })
    }
}

/// The text is neither `stay` nor `disconnect`.
///
/// ```
/// use enmesh::{OnLeave, UnknownOnLeave};
///
/// assert_eq!("leave".parse::<OnLeave>(), Err(UnknownOnLeave));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither stay nor disconnect")]
pub struct UnknownOnLeave;

/// A [`Connector`] that is steered by topologies, as a [`Node`](crate::Node) is by its own: the same
/// sources, the same machines decide, the same events and records come of it.
///
/// Cloning gives another handle of the same; when the last one is dropped, it ends. No link is
/// touched by that.
///
/// ```no_run
/// # async fn example(connector: impl enmesh::Connector) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::Steering;
///
/// let steering = Steering::builder("web@10.0.0.7".parse()?)
///     .topology("strategy=epmd hosts=web@10.0.0.8".parse()?)
///     .start(connector)?;
/// let mut events = steering.events();
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Steering {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: NodeName,
    commands: mpsc::Sender<TopologyCommand>,
    subscriptions: Subscriptions,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Steering {
    /// The settings of whoever steers the links of the node `name`.
    pub fn builder(name: NodeName) -> SteeringBuilder {
        SteeringBuilder {
            name,
            epmd_port: enmesh_epmd::DEFAULT_PORT,
            prune: Prune::default(),
            prune_grace: PRUNE_GRACE,
            on_leave: OnLeave::default(),
            topologies: Vec::new(),
        }
    }

    /// Whose links these are.
    pub fn name(&self) -> &NodeName {
        &self.shared.name
    }

    /// Who is connected, as one consistent snapshot.
    pub fn view(&self) -> View {
        self.shared.subscriptions.view()
    }

    /// Who comes and goes from now on, beginning with a nodeup for each peer that is there. It ends
    /// with the steering, and that is no nodedown.
    pub fn events(&self) -> Events {
        self.shared.subscriptions.events()
    }

    /// How each topology fares, in the order in which they count; none once it has ended.
    pub async fn topologies(&self) -> Vec<TopologyStatus> {
        let condition = self.condition().await;
        condition.map(|it| it.topologies).unwrap_or_default()
    }

    /// Follows these topologies and no others from now on, as
    /// [`Node::set_topologies`](crate::Node::set_topologies) does.
    ///
    /// # Errors
    /// See [`TopologyError`]; then nothing has changed.
    pub async fn set_topologies(
        &self,
        topologies: Vec<TopologyConfig>,
    ) -> Result<TopologyChanges, TopologyError> {
        let asked = ask(&self.shared.commands, |answer| TopologyCommand::Set {
            topologies,
            answer,
        });
        asked.await.unwrap_or(Err(TopologyError::ShutDown))
    }

    /// Where streams and views come from.
    pub(crate) fn subscriptions(&self) -> &Subscriptions {
        &self.shared.subscriptions
    }

    /// By which the deciding task is asked.
    pub(crate) fn commands(&self) -> &mpsc::Sender<TopologyCommand> {
        &self.shared.commands
    }

    /// Stops to steer; every link stays. Sources say goodbye for the node only where it is known to
    /// end, by [`Change::Leaving`](crate::Change::Leaving) or by a source: else it goes on, and somebody may steer it again.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.ended.cancelled().await;
    }

    /// Waits until it has ended, by [`Steering::shutdown`] or because the connector did.
    pub async fn ended(&self) {
        self.shared.ended.cancelled().await;
    }
}

/// What a [`Steering`] is started with.
///
/// ```
/// use enmesh::{OnLeave, Prune, Steering};
///
/// let builder = Steering::builder("web@10.0.0.7".parse()?)
///     .topology("strategy=epmd hosts=web@10.0.0.8".parse()?)
///     .prune(Prune::Grace)
///     .on_leave(OnLeave::Disconnect);
/// # let _ = builder;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until start"]
pub struct SteeringBuilder {
    name: NodeName,
    epmd_port: u16,
    prune: Prune,
    prune_grace: Duration,
    on_leave: OnLeave,
    topologies: Vec<TopologyConfig>,
}

impl SteeringBuilder {
    /// One more topology whose nodes are to be connected.
    pub fn topology(mut self, topology: TopologyConfig) -> Self {
        self.topologies.push(topology);
        self
    }

    /// The port of epmd where sources ask it. Default: 4369.
    pub fn epmd_port(mut self, port: u16) -> Self {
        self.epmd_port = port;
        self
    }

    /// What happens to the link of a peer that left every topology. Default: [`Prune::Never`].
    pub fn prune(mut self, prune: Prune) -> Self {
        self.prune = prune;
        self
    }

    /// How long such a link stays under [`Prune::Grace`]. Default: 15 s.
    pub fn prune_grace(mut self, grace: Duration) -> Self {
        self.prune_grace = grace;
        self
    }

    /// What becomes of the links when the end of whoever holds them is announced. Default:
    /// [`OnLeave::Stay`].
    pub fn on_leave(mut self, on_leave: OnLeave) -> Self {
        self.on_leave = on_leave;
        self
    }

    /// Begins to steer, in tasks of the runtime that this is called in.
    ///
    /// # Errors
    /// Two topologies have the same name, or the source of one cannot be made.
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub fn start(self, connector: impl Connector) -> Result<Steering, StartError> {
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let over = CancellationToken::new();
        let services = TaskTracker::new();
        let context = SourceContext::new(self.name.clone())
            .with_epmd_port(self.epmd_port)
            .with_creation(Creation::from_seed(rand::random()));
        let mut config = RosterConfig::new(self.name.clone());
        config.prune = self.prune;
        config.grace = self.prune_grace;
        let mut roster = Roster::new(config);
        let (mut sources, updates) = Sources::new(context, services.clone(), over.clone());
        sources.set(&mut roster, Instant::now(), self.topologies)?;
        let (publisher, subscriptions) = events::channel();
        let plan = Plan::new(PlanConfig::new(self.name.clone(), rand::random()));
        let connector = Arc::new(connector);
        let who = (roster, sources);
        let steer = Steer::new(connector, who, plan, publisher, self.on_leave);
        let (command, commands) = mpsc::channel(COMMAND_QUEUE);
        let inputs = Inputs {
            commands,
            updates,
            stop: stop.clone(),
        };
        let end = ended.clone().drop_guard();
        tokio::spawn(async move {
            // Also on a panic: whoever waits for the end must not wait for ever.
            let _end = end;
            let sources_end = over.drop_guard();
            steer.run(inputs).await;
            drop(sources_end);
            services.close();
            let _ = tokio::time::timeout(SHUTDOWN_GRACE, services.wait()).await;
        });
        Ok(Steering {
            shared: Arc::new(Shared {
                name: self.name,
                commands: command,
                subscriptions,
                stop,
                ended,
            }),
        })
    }
}
