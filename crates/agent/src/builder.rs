//! What an agent is started with.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "tls")]
use enmesh::TlsConfig;
use enmesh::{AutoConnect, Builder, Cookie, EpmdMode, Node, NodeName};

use crate::agent::Agent;

/// The settings of an agent, each with a default but for the node and its cookie.
///
/// ```
/// use enmesh::Cookie;
/// use enmesh_agent::Agent;
///
/// let builder = Agent::builder("web@10.0.0.7".parse()?, Cookie::new("secret")?)
///     .cookie_file("/etc/enmesh/cookie")
///     .pod_ip("10.0.0.7".parse()?);
/// # let _ = builder;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until start"]
pub struct AgentBuilder {
    pub(crate) node: NodeName,
    pub(crate) cookie: Cookie,
    pub(crate) cookie_file: Option<PathBuf>,
    pub(crate) pod_ip: Option<IpAddr>,
    pub(crate) epmd_port: Option<u16>,
    pub(crate) fixed_port: Option<u16>,
    pub(crate) net_ticktime: Option<Duration>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsConfig>,
}

impl AgentBuilder {
    pub(crate) fn new(node: NodeName, cookie: Cookie) -> Self {
        Self {
            node,
            cookie,
            cookie_file: None,
            pod_ip: None,
            epmd_port: None,
            fixed_port: None,
            net_ticktime: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// The file that the cookie comes from: it is read again and again, and the node's cookie
    /// follows it. Default: the cookie is what it is.
    pub fn cookie_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.cookie_file = Some(path.into());
        self
    }

    /// The address of the pod, where the node is looked for if it is not on loopback. Default: the
    /// host part of its name comes next.
    pub fn pod_ip(mut self, address: IpAddr) -> Self {
        self.pod_ip = Some(address);
        self
    }

    /// The port of the epmd that knows the node. Default: 4369.
    pub fn epmd_port(mut self, port: u16) -> Self {
        self.epmd_port = Some(port);
        self
    }

    /// The port that the node's distribution listens on, where there is no epmd. Default: epmd is
    /// asked.
    pub fn fixed_port(mut self, port: u16) -> Self {
        self.fixed_port = Some(port);
        self
    }

    /// After how long a silent node is taken for dead. Default: 60 s; it should be the node's own.
    pub fn net_ticktime(mut self, time: Duration) -> Self {
        self.net_ticktime = Some(time);
        self
    }

    /// Talks to the node over TLS, as with `-proto_dist inet_tls`. Default: plain TCP.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Starts to look for the node, in a task of the runtime that this is called in.
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub fn start(self) -> Agent {
        Agent::start(self)
    }

    /// The node by which we talk to the one that we steer.
    pub(crate) fn neighbour(&self, name: NodeName, cookie: Cookie) -> Builder {
        let mut builder = Node::builder(name, cookie)
            .visible(false)
            .listener(false)
            .dist_auto_connect(AutoConnect::Never);
        if let Some(port) = self.epmd_port {
            builder = builder.epmd_port(port);
        }
        if let Some(port) = self.fixed_port {
            builder = builder.epmd(EpmdMode::None).dist_port(port);
        }
        if let Some(time) = self.net_ticktime {
            builder = builder.net_ticktime(time);
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            builder = builder.tls(tls.clone());
        }
        builder
    }
}
