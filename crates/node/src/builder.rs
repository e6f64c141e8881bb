//! What a node is started with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use enmesh_discovery::{SourceError, TopologyConfig};
use enmesh_epmd::EpmdMode;
use enmesh_identity::{Cookie, NodeName};
use enmesh_membership::{AddTopologyError, Prune, TopologyName};
use enmesh_otp::AutoConnect;
use enmesh_proto::{Allowed, Cookies};

use crate::node::Node;
use crate::runtime;
use crate::tls::TlsConfig;
#[cfg(feature = "tls")]
use crate::tls::TlsConfigError;
use crate::topologies::TopologyError;

/// OTP's default of `net_ticktime`.
const NET_TICKTIME: Duration = Duration::from_secs(60);

/// OTP's default of `net_tickintensity`.
const NET_TICKINTENSITY: u32 = 4;

/// OTP's default of `net_setuptime`.
const NET_SETUPTIME: Duration = Duration::from_secs(7);

/// How long a shutdown may take before what still runs is cut off.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// How long a link stays after its peer left the roster under [`Prune::Grace`].
const PRUNE_GRACE: Duration = Duration::from_secs(15);

/// The settings of a node, each with a default but for the name and the cookie.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::{Cookie, Node};
///
/// let node = Node::builder("rust@127.0.0.1".parse()?, Cookie::new("secret")?)
///     .topology("strategy=epmd hosts=web@127.0.0.1".parse()?)
///     .start()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until start"]
pub struct Builder {
    pub(crate) name: NodeName,
    pub(crate) cookies: Cookies,
    pub(crate) allowed: Allowed,
    pub(crate) visible: bool,
    pub(crate) listener: bool,
    pub(crate) looks_as: Option<NodeName>,
    pub(crate) listen: IpAddr,
    pub(crate) dist_port: u16,
    pub(crate) epmd: EpmdMode,
    pub(crate) epmd_port: u16,
    pub(crate) net_ticktime: Duration,
    pub(crate) net_tickintensity: u32,
    pub(crate) setup_time: Duration,
    pub(crate) prune: Prune,
    pub(crate) prune_grace: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) topologies: Vec<TopologyConfig>,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) auto_connect: AutoConnect,
    pub(crate) echo: bool,
}

/// Why a node could not be started. Nothing of it is left running.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::{Cookie, Node, StartError};
///
/// let builder = Node::builder("rust@127.0.0.1".parse()?, Cookie::new("secret")?);
/// match builder.start().await {
///     Ok(node) => println!("{} listens on port {}", node.name(), node.port()),
///     Err(StartError::NameInUse { name }) => println!("{name} runs already"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is outside its range.
    #[error("{setting} = {given} is not allowed; allowed is {allowed}")]
    Setting {
        /// The builder's method.
        setting: &'static str,
        /// What was given.
        given: String,
        /// What would be allowed.
        allowed: &'static str,
    },
    /// Two topologies have the same name, or there are too many.
    #[error(transparent)]
    Topologies(#[from] AddTopologyError),
    /// A topology's source cannot be made of its settings.
    #[error("topology {topology} cannot be followed")]
    Topology {
        /// Its name.
        topology: TopologyName,
        /// What is wrong with it.
        source: SourceError,
    },
    /// The distribution port cannot be listened on.
    #[error("cannot listen on {address} port {port}")]
    Listen {
        /// The address.
        address: IpAddr,
        /// The port; 0 means any.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another node has registered the same name with epmd and is still there.
    #[error("epmd says that the name {name} is in use by another node on this host")]
    NameInUse {
        /// Our name.
        name: NodeName,
    },
    /// The certificates cannot be used.
    #[cfg(feature = "tls")]
    #[error("no TLS is possible")]
    Tls(#[from] TlsConfigError),
    /// The node's thread or runtime could not be made.
    #[error("cannot start the node's own thread")]
    Thread(#[source] std::io::Error),
    /// The node's thread ended before it was ready; the log says why.
    #[error("the node's thread ended during start-up")]
    Died,
}

impl From<TopologyError> for StartError {
    fn from(error: TopologyError) -> Self {
        match error {
            TopologyError::Name(error) => Self::Topologies(error),
            TopologyError::Source { topology, source } => Self::Topology { topology, source },
            TopologyError::ShutDown => Self::Died,
        }
    }
}

impl Builder {
    /// The settings of a node called `name`, in the cluster of `cookie`.
    pub(crate) fn new(name: NodeName, cookie: Cookie) -> Self {
        let listen = match name.host().as_ip() {
            Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        Self {
            name,
            cookies: Cookies::new(cookie),
            allowed: Allowed::everybody(),
            visible: true,
            listener: true,
            looks_as: None,
            listen,
            dist_port: 0,
            epmd: EpmdMode::default(),
            epmd_port: enmesh_epmd::DEFAULT_PORT,
            net_ticktime: NET_TICKTIME,
            net_tickintensity: NET_TICKINTENSITY,
            setup_time: NET_SETUPTIME,
            prune: Prune::default(),
            prune_grace: PRUNE_GRACE,
            shutdown_grace: SHUTDOWN_GRACE,
            topologies: Vec::new(),
            tls: None,
            auto_connect: AutoConnect::default(),
            echo: false,
        }
    }

    /// Whether BEAM nodes list us in `nodes()`. Default: yes; a node that is
    /// not is a hidden one, as `erl -hidden` makes it.
    ///
    /// A visible node takes part in `global` and `pg`: names are registered across it, nodes that
    /// the cluster knows are dialled, and libraries that go by `nodes()` place work on it. It must
    /// be dialable by all others.
    pub fn visible(mut self, visible: bool) -> Self {
        self.visible = visible;
        self
    }

    /// Another cookie than our own between us and `peer`, in both directions
    /// (`erlang:set_cookie/2`); an earlier one for it is replaced.
    ///
    /// ```no_run
    /// # fn example(builder: enmesh::Builder) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::Cookie;
    ///
    /// let builder = builder.cookie_for("legacy@10.0.0.9".parse()?, Cookie::new("other")?);
    /// # let _ = builder;
    /// # Ok(()) }
    /// ```
    pub fn cookie_for(mut self, peer: NodeName, cookie: Cookie) -> Self {
        self.cookies = self.cookies.with(peer, cookie);
        self
    }

    /// With whom links are allowed, in both directions (`net_kernel:allow/1`). Default: everybody
    /// who has the cookie.
    pub fn allow(mut self, allowed: Allowed) -> Self {
        self.allowed = allowed;
        self
    }

    /// When a message or signal to a node that is not connected connects it (kernel's
    /// `dist_auto_connect`). Default: always.
    pub fn dist_auto_connect(mut self, when: AutoConnect) -> Self {
        self.auto_connect = when;
        self
    }

    /// Whether a process `echo` is served, for trying things out. Default: no.
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }

    /// Whose peers the topologies find: those of the node called `name` instead of ours. Default: our
    /// own. Strategies make names and addresses of peers by that of the node that looks, so a helper
    /// of a node looks as that node. Nobody is told by a topology that it is there.
    pub fn looks_as(mut self, name: NodeName) -> Self {
        self.looks_as = Some(name);
        self
    }

    /// Whether we listen and epmd is told of us. Default: yes. A node that does neither cannot be
    /// dialled: it is to be hidden, and to dial those whom it wants to talk to. It serves no epmd
    /// either.
    pub fn listener(mut self, listener: bool) -> Self {
        self.listener = listener;
        self
    }

    /// The address that the distribution listens on. Default: every IPv4 address, or every
    /// address if the host part of the name is an IPv6 address.
    pub fn listen(mut self, address: IpAddr) -> Self {
        self.listen = address;
        self
    }

    /// The port that the distribution listens on. Default 0: any free one, told to epmd.
    pub fn dist_port(mut self, port: u16) -> Self {
        self.dist_port = port;
        self
    }

    /// How this node is found and finds others. Default: [`EpmdMode::Embedded`].
    ///
    /// [`EpmdMode::None`] needs a [`Builder::dist_port`], the one that the whole cluster has.
    pub fn epmd(mut self, mode: EpmdMode) -> Self {
        self.epmd = mode;
        self
    }

    /// The port of epmd, here and at every peer. Default: 4369.
    pub fn epmd_port(mut self, port: u16) -> Self {
        self.epmd_port = port;
        self
    }

    /// After how long a silent peer is taken for dead; 1 s to 2 h, default 60 s. It should be the
    /// same in the whole cluster (kernel's `net_ticktime`).
    pub fn net_ticktime(mut self, time: Duration) -> Self {
        self.net_ticktime = time;
        self
    }

    /// How often within `net_ticktime` a tick is sent and silence is looked for; 4 to 1,000,
    /// default 4 (kernel's `net_tickintensity`).
    pub fn net_tickintensity(mut self, times: u32) -> Self {
        self.net_tickintensity = times;
        self
    }

    /// How long each phase of connecting may take; up to 120 s, default 7 s (kernel's
    /// `net_setuptime`).
    pub fn setup_time(mut self, time: Duration) -> Self {
        self.setup_time = time;
        self
    }

    /// What happens to the link of a peer that left every topology. Default: [`Prune::Never`], it
    /// stays as long as it lives.
    pub fn prune(mut self, prune: Prune) -> Self {
        self.prune = prune;
        self
    }

    /// How long such a link stays under [`Prune::Grace`]. Default: 15 s.
    pub fn prune_grace(mut self, grace: Duration) -> Self {
        self.prune_grace = grace;
        self
    }

    /// How long [`Node::shutdown`] may take before what still runs is cut off. Default: 5 s.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = grace;
        self
    }

    /// Runs every link over TLS, as nodes do that were started with `-proto_dist inet_tls`. Default:
    /// plain TCP. A cluster has one or the other.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// One more topology whose nodes are to be connected.
    ///
    /// ```no_run
    /// # fn example(builder: enmesh::Builder) -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = builder
    ///     .topology("strategy=epmd hosts=web@10.0.0.7".parse()?)
    ///     .topology("strategy=kubernetes kubernetes_selector=app=web kubernetes_ip_lookup_mode=pods".parse()?);
    /// # let _ = builder;
    /// # Ok(()) }
    /// ```
    pub fn topology(mut self, topology: TopologyConfig) -> Self {
        self.topologies.push(topology);
        self
    }

    /// Starts the node in a thread of its own and waits until it can be found: it listens, and
    /// epmd (if there is one) knows its port. Discovery goes on in the background.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::{Cookie, Node};
    ///
    /// let node = Node::builder("rust@127.0.0.1".parse()?, Cookie::new("secret")?).start().await?;
    /// println!("{} listens on port {}", node.name(), node.port());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(self) -> Result<Node, StartError> {
        self.validate()?;
        runtime::start(self)?.await.unwrap_or(Err(StartError::Died))
    }

    /// As [`Builder::start`] for a program without an async runtime around it: blocks the calling
    /// thread meanwhile. Its place is at the head of `main`, before [`Node::block_on`].
    ///
    /// ```no_run
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::{Cookie, Node};
    ///
    /// let node = Node::builder("rust@127.0.0.1".parse()?, Cookie::new("secret")?).start_blocking()?;
    /// node.block_on(node.wait_for_peers(1));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Panics
    /// On a thread that drives a runtime of tokio's; there [`Builder::start`] is to be awaited.
    pub fn start_blocking(self) -> Result<Node, StartError> {
        self.validate()?;
        let started = runtime::start(self)?.blocking_recv();
        started.unwrap_or(Err(StartError::Died))
    }

    fn validate(&self) -> Result<(), StartError> {
        let seconds = |duration: Duration| format!("{} s", duration.as_secs_f64());
        let ticktime = Duration::from_secs(1)..=Duration::from_secs(7200);
        if !ticktime.contains(&self.net_ticktime) {
            return Err(StartError::Setting {
                setting: "net_ticktime",
                given: seconds(self.net_ticktime),
                allowed: "1 s to 7200 s",
            });
        }
        if !(4..=1000).contains(&self.net_tickintensity) {
            return Err(StartError::Setting {
                setting: "net_tickintensity",
                given: self.net_tickintensity.to_string(),
                allowed: "4 to 1000",
            });
        }
        if self.setup_time.is_zero() || self.setup_time > Duration::from_secs(120) {
            return Err(StartError::Setting {
                setting: "setup_time",
                given: seconds(self.setup_time),
                allowed: "more than 0 s to 120 s",
            });
        }
        if self.epmd == EpmdMode::None && self.dist_port == 0 {
            return Err(StartError::Setting {
                setting: "dist_port",
                given: "0".to_owned(),
                allowed: "1 to 65535 without epmd: the one port of the whole cluster",
            });
        }
        Ok(())
    }
}
