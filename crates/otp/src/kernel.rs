//! What one node is to its neighbours and to its own processes.

mod ahead;
mod deliver;
mod ending;
mod groups;
mod incoming;
mod links;
mod monitors;
mod outgoing;
mod peer;
mod peers;
mod requests;
mod serve;
mod spawning;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use enmesh_identity::{Creation, NodeName};
use enmesh_term::{Atom, Pid, Term};

use crate::global::Global;
use crate::processes::{Owner, Processes, ServiceName};
use crate::references::AtomMap;
use crate::requests::Requests;
use crate::services::Services;
use crate::{Action, JobId};

pub(crate) use ahead::Payload;
pub use ahead::Prepared;
use ending::ExitSignal;
use groups::Scope;
pub(crate) use outgoing::MAX_PAYLOAD;
use peer::Peer;
pub use peer::alias_send;
use serve::Asked;

/// When a signal to a node that is not connected connects it (`dist_auto_connect`).
///
/// ```
/// use enmesh_otp::AutoConnect;
///
/// assert_eq!(AutoConnect::default(), AutoConnect::Always);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoConnect {
    /// Whenever there is such a signal.
    #[default]
    Always,
    /// Only if that node was never connected before.
    Once,
    /// Never.
    Never,
}

/// Which nodes are meant, by whether they are visible.
///
/// ```
/// use enmesh_otp::NodeTypes;
///
/// assert_eq!(NodeTypes::default(), NodeTypes::Visible);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeTypes {
    /// Visible nodes.
    #[default]
    Visible,
    /// Hidden nodes.
    Hidden,
    /// All nodes.
    All,
}

impl NodeTypes {
    /// Whether a node is meant that is visible, or is not.
    fn include(self, visible: bool) -> bool {
        match self {
            NodeTypes::Visible => visible,
            NodeTypes::Hidden => !visible,
            NodeTypes::All => true,
        }
    }
}

/// What a kernel is told when it begins.
#[derive(Clone, Debug)]
pub struct KernelConfig {
    /// Our name.
    pub node: NodeName,
    /// Our incarnation.
    pub creation: Creation,
    /// Whether we are a visible node: only then `global` and `pg` are spoken.
    pub visible: bool,
    /// What `net_kernel:get_net_ticktime/0` answers.
    pub net_ticktime: Duration,
    /// When signals connect nodes.
    pub auto_connect: AutoConnect,
    /// Whether a process `echo` is served.
    pub echo: bool,
    /// Where references and jitter begin.
    pub seed: u64,
}

/// The table of processes is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has its full number of processes")]
pub struct SystemLimit;

/// Why a name was not registered.
///
/// ```
/// use enmesh_otp::RegisterError;
///
/// assert_eq!(RegisterError::Taken.to_string(), "the name is taken");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another process or a service has the name.
    #[error("the name is taken")]
    Taken,
    /// The process has another name already.
    #[error("the process has a name")]
    AlreadyNamed,
    /// The process has ended.
    #[error("the process has ended")]
    NoProcess,
    /// `undefined` is no name.
    #[error("undefined cannot be registered")]
    Reserved,
}

/// What a kernel counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Messages for processes, names and aliases that do not exist, and signals without effect.
    pub dropped: u64,
    /// Messages for services whose payload could not be decoded or was over a limit.
    pub undecodable: u64,
}

/// The machine of one node: its processes, their signals, and its services.
///
/// `H` is what the driver knows a mailbox or a reply slot by; the kernel hands it back in actions.
///
/// Calling order: any one `handle_*` or other method, then [`Kernel::poll_action`] until `None`;
/// [`Kernel::handle_timeout`] when [`Kernel::deadline`] has come. `now` never goes back.
/// [`Kernel::handle_nodeup`] goes before the first message of a connection and
/// [`Kernel::handle_nodedown`] after its last.
#[derive(Debug)]
pub struct Kernel<H> {
    config: KernelConfig,
    /// The last `now` that came in.
    now: Instant,
    processes: Processes<H>,
    requests: Requests<H>,
    peers: AtomMap<Peer>,
    /// Those that are being connected, and until when signals wait for them.
    connecting: BTreeSet<(Instant, Atom)>,
    /// How many bytes of payload wait for nodes that are being connected.
    waiting: usize,
    /// Nodes that were connected, for [`AutoConnect::Once`].
    seen: HashSet<Atom>,
    /// The connected nodes, sorted.
    visible: Vec<Atom>,
    hidden: Vec<Atom>,
    /// The processes that monitor nodes, by number.
    node_watchers: BTreeMap<u32, NodeTypes>,
    services: Services,
    /// The processes of served functions that run.
    jobs: HashMap<JobId, u32>,
    global: Global,
    /// Whether what is done now is for the names of the cluster alone.
    is_global_at_work: bool,
    /// The slots of registrations of global names that are under way.
    registrations: HashMap<u64, H>,
    last_registration: u64,
    scopes: BTreeMap<Atom, Scope>,
    /// The monitors and calls of services, by the numbers that these gave them.
    service_requests: HashMap<(ServiceName, Asked, u64), u64>,
    /// Exit signals between processes of ours that are not delivered yet.
    signals: VecDeque<ExitSignal>,
    last_unlink: u64,
    actions: VecDeque<Action<H>>,
    counters: KernelCounters,
}

impl<H: Clone + Debug> Kernel<H> {
    /// A node with no peer and no process but its services.
    pub fn new(now: Instant, config: KernelConfig) -> Self {
        let mut processes = Processes::new(&config.node, config.creation);
        let node = processes.node().clone();
        let (services, global) = serve::begin(&mut processes, &config);
        let mut kernel = Self {
            requests: Requests::new(node, config.creation, config.seed),
            config,
            now,
            processes,
            peers: AtomMap::default(),
            connecting: BTreeSet::new(),
            waiting: 0,
            seen: HashSet::new(),
            visible: Vec::new(),
            hidden: Vec::new(),
            node_watchers: BTreeMap::new(),
            services,
            jobs: HashMap::new(),
            global,
            is_global_at_work: false,
            registrations: HashMap::new(),
            last_registration: 0,
            scopes: BTreeMap::new(),
            service_requests: HashMap::new(),
            signals: VecDeque::new(),
            last_unlink: 0,
            actions: VecDeque::new(),
            counters: KernelCounters::default(),
        };
        kernel.pg_start(now, Atom::from_static("pg"));
        kernel.register_echo();
        kernel.settle();
        kernel
    }

    /// The name of our node.
    pub fn node(&self) -> &Atom {
        self.processes.node()
    }

    /// What was counted so far.
    pub fn counters(&self) -> KernelCounters {
        self.counters
    }

    /// Does what was due by `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.global.handle_timeout(now);
        self.give_up_connecting();
        self.settle();
    }

    /// When [`Kernel::handle_timeout`] is due; `None` if nothing is pending.
    pub fn deadline(&self) -> Option<Instant> {
        let connecting = self.connecting.first().map(|(until, _)| *until);
        [self.global.deadline(), connecting]
            .into_iter()
            .flatten()
            .min()
    }

    /// What to do next. Call after every other method, until `None`.
    pub fn poll_action(&mut self) -> Option<Action<H>> {
        self.actions.pop_front()
    }

    /// A process whose mailbox is `handle`.
    ///
    /// # Errors
    /// [`SystemLimit`] if there are 1,048,576 processes.
    pub fn spawn(&mut self, handle: H, trap_exit: bool) -> Result<Pid, SystemLimit> {
        let owner = Owner::Mailbox(handle);
        self.processes.insert(owner, trap_exit).map(|(_, pid)| pid)
    }

    /// A process in whose name requests are made that have no mailbox behind them: it gets no mail
    /// but in their slots, and whatever signal a peer sends to it, it lives as long as the node.
    ///
    /// # Errors
    /// [`SystemLimit`] as for [`Kernel::spawn`].
    pub fn spawn_asker(&mut self) -> Result<Pid, SystemLimit> {
        let inserted = self.processes.insert(Owner::Asker, true);
        inserted.map(|(_, pid)| pid)
    }

    /// Whether exit signals become mail ([`Mail::Exit`](crate::Mail::Exit)) instead of ending the
    /// process.
    pub fn set_trap_exit(&mut self, pid: &Pid, trap_exit: bool) {
        if let Some(process) = self.processes.lookup_mut(pid) {
            process.trap_exit = trap_exit;
        }
    }

    /// The process has ended by itself: its links, monitors, names, aliases, global names and pg
    /// memberships follow.
    pub fn exit(&mut self, now: Instant, pid: &Pid, reason: Term) {
        self.now = now;
        if let Some(number) = self.processes.find(pid) {
            self.end(number, &reason, false);
        }
        self.settle();
    }

    /// Registers `name` for a process of ours.
    ///
    /// # Errors
    /// As [`RegisterError`] says; nothing changed.
    pub fn register(&mut self, pid: &Pid, name: Atom) -> Result<(), RegisterError> {
        let number = self.processes.find(pid);
        let number = number.ok_or(RegisterError::NoProcess)?;
        self.processes.register(number, name)
    }

    /// Takes a name back; `false` if no process had it, or a service has it.
    pub fn unregister(&mut self, name: &Atom) -> bool {
        self.processes.unregister(name)
    }

    /// The process registered under `name`.
    pub fn whereis(&self, name: &Atom) -> Option<Pid> {
        let process = self.processes.get(self.processes.named(name)?)?;
        Some(process.pid.clone())
    }

    /// All registered names, sorted.
    pub fn registered(&self) -> Vec<Atom> {
        let mut names: Vec<Atom> = self.processes.names().cloned().collect();
        names.sort();
        names
    }

    /// Begins or, with `None`, ends that a process gets [`Mail::Nodeup`](crate::Mail::Nodeup) and
    /// [`Mail::Nodedown`](crate::Mail::Nodedown). Nodes that are connected already are not told.
    pub fn monitor_nodes(&mut self, pid: &Pid, filter: Option<NodeTypes>) {
        let Some(number) = self.processes.find(pid) else {
            return;
        };
        match filter {
            Some(types) => self.node_watchers.insert(number, types),
            None => self.node_watchers.remove(&number),
        };
    }

    /// The nodes that are connected, sorted.
    pub fn nodes(&self, types: NodeTypes) -> Vec<Atom> {
        let mut nodes = Vec::new();
        if types.include(true) {
            nodes.extend_from_slice(&self.visible);
        }
        if types.include(false) {
            nodes.extend_from_slice(&self.hidden);
        }
        nodes.sort();
        nodes
    }

    /// Does everything that follows from what has just happened.
    fn settle(&mut self) {
        loop {
            while let Some(signal) = self.signals.pop_front() {
                self.deliver_exit(signal);
            }
            if !self.serve_next() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
