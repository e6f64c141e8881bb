//! What one node is to its neighbours and to its own processes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use bytes::Bytes;
use enmesh_identity::{Creation, NodeName};
use enmesh_proto::{Message, PeerInfo};
use enmesh_term::{Atom, Pid, Reference, Term};

use crate::{Action, Address, JobId, JobOutcome, Pids};

/// When a signal to a node that is not connected connects it (`dist_auto_connect`).
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
    pids: Pids,
    references: u32,
    processes: HashMap<Pid, H>,
    names: HashMap<Atom, Pid>,
    peers: BTreeMap<Atom, bool>,
    actions: VecDeque<Action<H>>,
    counters: KernelCounters,
}

impl<H: Clone + Debug> Kernel<H> {
    /// A node with no peer and no process but its services.
    pub fn new(_now: Instant, config: KernelConfig) -> Self {
        let pids = Pids::new(&config.node, config.creation);
        Self {
            config,
            pids,
            references: 0,
            processes: HashMap::new(),
            names: HashMap::new(),
            peers: BTreeMap::new(),
            actions: VecDeque::new(),
            counters: KernelCounters::default(),
        }
    }

    /// The name of our node.
    pub fn node(&self) -> &Atom {
        self.pids.node()
    }

    /// What was counted so far.
    pub fn counters(&self) -> KernelCounters {
        self.counters
    }

    /// A connection with `peer` is up; no message of it was handled yet.
    pub fn handle_nodeup(&mut self, _now: Instant, peer: &PeerInfo, _connection_id: u64) {
        if let Ok(name) = Atom::new(peer.name.as_str()) {
            self.peers.insert(name, peer.visible);
        }
    }

    /// The connection with `peer` has ended; no message of it comes any more.
    pub fn handle_nodedown(&mut self, _now: Instant, peer: &Atom, _reason: Term) {
        self.peers.remove(peer);
    }

    /// [`Action::Connect`] came to nothing.
    pub fn handle_connect_failed(&mut self, _now: Instant, _peer: &Atom) {}

    /// Takes one message of a connected peer.
    pub fn handle_message(&mut self, _now: Instant, _peer: &Atom, _message: Message) {}

    /// Does what was due by `now`.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When [`Kernel::handle_timeout`] is due; `None` if nothing is pending.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// What to do next. Call after every other method, until `None`.
    pub fn poll_action(&mut self) -> Option<Action<H>> {
        self.actions.pop_front()
    }

    /// A process whose mailbox is `handle`.
    ///
    /// # Errors
    /// [`SystemLimit`] if there are 1,048,576 processes.
    pub fn spawn(&mut self, handle: H, _trap_exit: bool) -> Result<Pid, SystemLimit> {
        let pid = self.pids.fresh();
        self.processes.insert(pid.clone(), handle);
        Ok(pid)
    }

    /// Whether exit signals become mail ([`Mail::Exit`](crate::Mail::Exit)) instead of ending the process.
    pub fn set_trap_exit(&mut self, _pid: &Pid, _trap_exit: bool) {}

    /// The process has ended by itself: its links, monitors, names, aliases, global names and pg
    /// memberships follow.
    pub fn exit(&mut self, _now: Instant, pid: &Pid, _reason: Term) {
        self.processes.remove(pid);
        self.names.retain(|_, holder| holder != pid);
    }

    /// Registers `name` for a process of ours.
    ///
    /// # Errors
    /// As [`RegisterError`] says; nothing changed.
    pub fn register(&mut self, pid: &Pid, name: Atom) -> Result<(), RegisterError> {
        if self.names.contains_key(&name) {
            return Err(RegisterError::Taken);
        }
        self.names.insert(name, pid.clone());
        Ok(())
    }

    /// Takes a name back; `false` if no process had it, or a service has it.
    pub fn unregister(&mut self, name: &Atom) -> bool {
        self.names.remove(name).is_some()
    }

    /// The process registered under `name`.
    pub fn whereis(&self, name: &Atom) -> Option<Pid> {
        self.names.get(name).cloned()
    }

    /// All registered names, sorted.
    pub fn registered(&self) -> Vec<Atom> {
        let mut names: Vec<Atom> = self.names.keys().cloned().collect();
        names.sort();
        names
    }

    /// Sends a message, here or elsewhere; one to nobody is dropped. `payload` is a bare term.
    pub fn send(&mut self, _now: Instant, _from: &Pid, _to: &Address, _payload: Bytes) {}

    /// Links two processes, of which `from` is ours.
    pub fn link(&mut self, _now: Instant, _from: &Pid, _to: &Pid) {}

    /// Takes a link back: no exit of it reaches `from` after this.
    pub fn unlink(&mut self, _now: Instant, _from: &Pid, _to: &Pid) {}

    /// `exit/2`: sends an exit signal.
    pub fn exit_signal(&mut self, _now: Instant, _from: &Pid, _to: &Pid, _reason: Term) {}

    /// Monitors a process or a name: [`Mail::Down`](crate::Mail::Down) comes once, unless taken
    /// back before.
    pub fn monitor(&mut self, _now: Instant, _from: &Pid, _target: &Address) -> Reference {
        self.reference()
    }

    /// Takes a monitor back; `false` if it has fired, or never was one of `from`.
    pub fn demonitor(&mut self, _now: Instant, _from: &Pid, _reference: &Reference) -> bool {
        false
    }

    /// A reference to which messages for `from` can be sent until it is taken back.
    pub fn alias(&mut self, _from: &Pid) -> Reference {
        self.reference()
    }

    /// Takes an alias back; `false` if it was none of `from`.
    pub fn unalias(&mut self, _from: &Pid, _alias: &Reference) -> bool {
        false
    }

    /// Calls a `gen_server`. [`Mail::Reply`](crate::Mail::Reply) or
    /// [`Mail::Down`](crate::Mail::Down) goes to `slot`, unless
    /// forgotten before.
    pub fn call(
        &mut self,
        _now: Instant,
        _from: &Pid,
        _to: &Address,
        _request: &Term,
        _slot: H,
    ) -> Reference {
        self.reference()
    }

    /// Asks `node` to start a process that applies a function to a list of arguments.
    /// [`Mail::Spawned`](crate::Mail::Spawned) or [`Mail::Refused`](crate::Mail::Refused) goes to
    /// `slot`, and then, if it is monitored, [`Mail::Down`](crate::Mail::Down).
    #[allow(clippy::too_many_arguments)]
    pub fn spawn_request(
        &mut self,
        _now: Instant,
        _from: &Pid,
        _node: &Atom,
        _mfa: (Atom, Atom, Term),
        _monitor: bool,
        _link: bool,
        _slot: H,
    ) -> Reference {
        self.reference()
    }

    /// Ends a call or a request to spawn: nothing more goes to its slot.
    pub fn forget(&mut self, _now: Instant, _reference: &Reference) {}

    /// Begins or, with `None`, ends that a process gets [`Mail::Nodeup`](crate::Mail::Nodeup) and
    /// [`Mail::Nodedown`](crate::Mail::Nodedown).
    pub fn monitor_nodes(&mut self, _pid: &Pid, _filter: Option<NodeTypes>) {}

    /// The nodes that are connected, sorted.
    pub fn nodes(&self, types: NodeTypes) -> Vec<Atom> {
        let wanted = |visible: bool| match types {
            NodeTypes::Visible => visible,
            NodeTypes::Hidden => !visible,
            NodeTypes::All => true,
        };
        let peers = self.peers.iter().filter(|(_, visible)| wanted(**visible));
        peers.map(|(name, _)| name.clone()).collect()
    }

    /// Serves a function of any arity; the driver runs it on [`Action::Start`].
    pub fn define(&mut self, _module: Atom, _function: Atom) {}

    /// A function that was started has ended.
    pub fn handle_job(&mut self, _now: Instant, _job: JobId, _outcome: JobOutcome) {}

    /// Registers a global name. [`Mail::Global`](crate::Mail::Global) goes to `slot`.
    pub fn register_global(&mut self, _now: Instant, _name: Term, _pid: &Pid, _slot: H) {}

    /// Takes a global name back. [`Mail::Global`](crate::Mail::Global) goes to `slot`.
    pub fn unregister_global(&mut self, _now: Instant, _name: &Term, _slot: H) {}

    /// The process that has a global name.
    pub fn whereis_global(&self, _name: &Term) -> Option<Pid> {
        None
    }

    /// All global names.
    pub fn global_names(&self) -> Vec<Term> {
        Vec::new()
    }

    /// Serves a pg scope, if it is not served yet. `pg` is from the beginning.
    pub fn pg_start(&mut self, _now: Instant, _scope: Atom) {}

    /// A process of ours joins a group, once more if it is in already.
    pub fn pg_join(&mut self, _now: Instant, _scope: &Atom, _group: Term, _pid: &Pid) {}

    /// Takes one membership back; `false` if there was none.
    pub fn pg_leave(&mut self, _now: Instant, _scope: &Atom, _group: &Term, _pid: &Pid) -> bool {
        false
    }

    /// The members of a group on all nodes.
    pub fn pg_members(&self, _scope: &Atom, _group: &Term) -> Vec<Pid> {
        Vec::new()
    }

    /// The members of a group on our node.
    pub fn pg_local_members(&self, _scope: &Atom, _group: &Term) -> Vec<Pid> {
        Vec::new()
    }

    /// The groups of a scope that have members.
    pub fn pg_groups(&self, _scope: &Atom) -> Vec<Term> {
        Vec::new()
    }

    /// [`Mail::Pg`](crate::Mail::Pg) comes to `pid` for every change of a group, or of the whole
    /// scope, until [`Kernel::demonitor`].
    pub fn pg_monitor(&mut self, _pid: &Pid, _scope: &Atom, _group: Option<Term>) -> Reference {
        self.reference()
    }

    fn reference(&mut self) -> Reference {
        self.references = self.references.wrapping_add(1);
        let (node, creation) = (self.node().clone(), self.config.creation.get());
        let words = [self.references & 0x3ffff, self.references >> 18, 0];
        Reference::new(node, creation, &words).expect("three words are allowed")
    }
}
