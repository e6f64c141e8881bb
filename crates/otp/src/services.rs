//! What the registered names that a BEAM expects on every node answer: `net_kernel`, `rex`, `user`
//! (the group leader), `logger`, and `echo` for trying things out.
//!
//! Calling order: [`Services::handle_message`] for what arrives at one of the names,
//! [`Services::admit`] for a process that somebody wants to run here, [`Services::handle_job`] when
//! a function has ended; after each, [`Services::poll_action`] until it gives `None`.

mod admission;
mod apply;
mod builtins;
mod echo;
mod format;
mod gen_call;
mod io;
mod jobs;
mod logger;
mod net_kernel;
mod outcome;
mod rex;
mod spawn_options;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use enmesh_term::{Atom, Pid, Term};

use crate::effect::{Address, Effect};
use crate::{JobId, JobOutcome};

pub(crate) use admission::Admission;
pub(crate) use gen_call::{Incoming, not_served};
use jobs::Jobs;
pub use logger::{LogLevel, LogLine};
pub(crate) use spawn_options::ties;

/// A service with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Served {
    /// `net_kernel`: `net_adm:ping/1` asks it `is_auth`.
    NetKernel,
    /// `rex`: every node asks it for its features as soon as the link is up.
    Rex,
    /// `user`: the group leader of what runs for us elsewhere, and of what others spawn here.
    User,
    /// `logger` and `logger_proxy`: log events of processes whose group leader is ours.
    Logger,
    /// `echo`, if the node is configured to have one.
    Echo,
}

impl Served {
    /// Every service.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 5] = [
        Self::NetKernel,
        Self::Rex,
        Self::User,
        Self::Logger,
        Self::Echo,
    ];

    /// The names under which it is registered.
    pub(crate) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::NetKernel => &["net_kernel"],
            Self::Rex => &["rex"],
            Self::User => &["user"],
            Self::Logger => &["logger", "logger_proxy"],
            Self::Echo => &["echo"],
        }
    }
}

/// What the built-in functions may read of the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster<'a> {
    /// Our own name.
    pub(crate) node: &'a Atom,
    /// The visible nodes that are connected.
    pub(crate) visible: &'a [Atom],
    /// The hidden ones.
    pub(crate) hidden: &'a [Atom],
    /// How long a silent link lives.
    pub(crate) net_ticktime: Duration,
}

/// The pids of the services.
#[derive(Clone, Debug)]
pub(crate) struct ServerPids {
    pub(crate) net_kernel: Pid,
    pub(crate) rex: Pid,
    pub(crate) user: Pid,
    pub(crate) logger: Pid,
    pub(crate) echo: Pid,
}

impl ServerPids {
    /// The pid of one of them.
    pub(crate) fn of(&self, served: Served) -> &Pid {
        match served {
            Served::NetKernel => &self.net_kernel,
            Served::Rex => &self.rex,
            Served::User => &self.user,
            Served::Logger => &self.logger,
            Served::Echo => &self.echo,
        }
    }
}

/// What the services ask of the kernel, to be obeyed in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ServiceAction {
    /// As every machine asks.
    Effect(Effect),
    /// Run a function that the user defined, and tell its outcome by [`Services::handle_job`].
    Start {
        job: JobId,
        module: Atom,
        function: Atom,
        args: Vec<Term>,
        /// The node that asked.
        caller: Atom,
    },
    /// Nobody waits for this job any more.
    Abort(JobId),
    /// The old way to spawn, a call of `net_kernel`: make a process, link it to `requester` if
    /// `link` says so, send `{tag, Pid}` from it to `reply_to`, then let it run or end it.
    Spawn {
        requester: Pid,
        link: bool,
        reply_to: Address,
        tag: Term,
        life: Life,
    },
    /// Send `message` to what is registered here under `name`, and then obey `delivered`; obey
    /// `missing` if there is nothing of that name.
    Forward {
        from: Pid,
        name: Atom,
        message: Term,
        delivered: Option<Effect>,
        missing: Effect,
    },
    /// Something to log.
    Log(LogLine),
}

/// How a process begins that was let in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Life {
    /// It has ended already, with this reason: the function is built in, or there is none.
    Ends(Term),
    /// It lives as long as this job runs.
    Runs(JobId),
}

/// The machine of all services.
#[derive(Debug)]
pub(crate) struct Services {
    pids: ServerPids,
    defined: HashMap<Atom, HashSet<Atom>>,
    jobs: Jobs,
    actions: VecDeque<ServiceAction>,
}

impl Services {
    /// Services of these pids, with no function defined.
    pub(crate) fn new(pids: ServerPids) -> Self {
        Self {
            pids,
            defined: HashMap::new(),
            jobs: Jobs::default(),
            actions: VecDeque::new(),
        }
    }

    /// From now on `module:function` is served, whatever its number of arguments.
    pub(crate) fn define(&mut self, module: Atom, function: Atom) {
        self.defined.entry(module).or_default().insert(function);
    }

    /// Takes a message that arrived at a service, by name or by pid, and the arguments of a call
    /// out of it: they may be long. `from_node` is the node whose link brought it; our own for a
    /// local one.
    pub(crate) fn handle_message(
        &mut self,
        cluster: &Cluster<'_>,
        to: Served,
        from_node: &Atom,
        message: &mut Term,
    ) {
        match to {
            Served::NetKernel => self.net_kernel(cluster, from_node, message),
            Served::Rex => self.rex(cluster, from_node, message),
            Served::User => self.user(from_node, message),
            Served::Logger => self.logger(from_node, message),
            Served::Echo => self.echo(message),
        }
    }

    /// What to do next.
    pub(crate) fn poll_action(&mut self) -> Option<ServiceAction> {
        self.actions.pop_front()
    }

    /// Sends `message` from the service `from`.
    fn send(&mut self, from: Served, to: Address, message: Term) {
        let from = self.pids.of(from).clone();
        let send = Effect::Send { from, to, message };
        self.actions.push_back(ServiceAction::Effect(send));
    }
}

#[cfg(test)]
mod tests;
