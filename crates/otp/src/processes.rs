//! The processes of our node.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use enmesh_identity::{Creation, NodeName};
use enmesh_term::{Atom, Pid, Reference};

use crate::references::{AtomMap, NumberMap};
use crate::services::Served;
use crate::{JobId, Pids, RegisterError, SystemLimit};

/// The most processes of a node; one more is refused with [`SystemLimit`].
pub(crate) const MAX_PROCESSES: usize = 1 << 20;

/// Who is behind a process.
#[derive(Clone, Debug)]
pub(crate) enum Owner<H> {
    /// A mailbox of the user.
    Mailbox(H),
    /// A service; it lives as long as the node does.
    Service(ServiceName),
    /// A served function that runs.
    Job(JobId),
    /// A request of ours, by its number, to a node that can only answer to a process.
    Request(u64),
    /// Nobody: it was let in and ends at once.
    Nobody,
    /// Requests without a mailbox behind them: it takes no messages, and like a service no signal
    /// ends it.
    Asker,
}

/// A service of the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ServiceName {
    /// One of those that answer at once.
    Served(Served),
    /// `global_name_server`, and the two processes that take locks for it.
    Global,
    /// The process of a pg scope.
    Groups(Atom),
}

/// What becomes of a link of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// It stands.
    Active,
    /// It was taken back by us, and the other side has not acknowledged this `id`: what still
    /// comes over it is ignored.
    Unlinking(u64),
}

/// A process.
#[derive(Debug)]
pub(crate) struct Process<H> {
    pub(crate) pid: Pid,
    pub(crate) owner: Owner<H>,
    pub(crate) trap_exit: bool,
    /// A service may have several names, everybody else one.
    pub(crate) names: Vec<Atom>,
    pub(crate) links: BTreeMap<Pid, LinkState>,
    /// Who monitors it, by what reference, and the name that the monitor is for.
    pub(crate) watchers: BTreeMap<Watcher, Option<Atom>>,
    /// Its own monitors, aliases, calls and requests.
    pub(crate) requests: BTreeSet<u64>,
    /// The monitor of the one that had it spawned: without it, the work is for nobody.
    pub(crate) requester: Option<Watcher>,
}

/// Who monitors, and by what reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watcher(pub(crate) Pid, pub(crate) Reference);

impl Ord for Watcher {
    /// The words of the reference decide nearly always, and are the quickest to compare: tables of
    /// watchers are on the way of every call.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.1.ids().cmp(other.1.ids()))
            .then_with(|| self.0.id().cmp(&other.0.id()))
            .then_with(|| self.1.cmp(&other.1))
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Watcher {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The table of processes and their names.
#[derive(Debug)]
pub(crate) struct Processes<H> {
    pids: Pids,
    creation: u32,
    table: NumberMap<u32, Process<H>>,
    names: AtomMap<u32>,
}

impl<H> Processes<H> {
    pub(crate) fn new(name: &NodeName, creation: Creation) -> Self {
        Self {
            pids: Pids::new(name, creation),
            creation: creation.get(),
            table: NumberMap::default(),
            names: AtomMap::default(),
        }
    }

    /// Our node.
    pub(crate) fn node(&self) -> &Atom {
        self.pids.node()
    }

    /// A process that begins now.
    pub(crate) fn insert(
        &mut self,
        owner: Owner<H>,
        trap_exit: bool,
    ) -> Result<(u32, Pid), SystemLimit> {
        if self.table.len() >= MAX_PROCESSES {
            return Err(SystemLimit);
        }
        let mut pid = self.pids.fresh();
        // There are 256 times more numbers than processes, so that a free one is near.
        while self.table.contains_key(&Pids::number(&pid)) {
            pid = self.pids.fresh();
        }
        let number = Pids::number(&pid);
        let process = Process {
            pid: pid.clone(),
            owner,
            trap_exit,
            names: Vec::new(),
            links: BTreeMap::new(),
            watchers: BTreeMap::new(),
            requests: BTreeSet::new(),
            requester: None,
        };
        self.table.insert(number, process);
        Ok((number, pid))
    }

    /// Takes a process out, and its names.
    pub(crate) fn remove(&mut self, number: u32) -> Option<Process<H>> {
        let process = self.table.remove(&number)?;
        for name in &process.names {
            self.names.remove(name);
        }
        Some(process)
    }

    /// Whether a pid is of our node, of whichever incarnation.
    pub(crate) fn is_ours(&self, pid: &Pid) -> bool {
        pid.node() == self.node()
    }

    /// The number of a process that lives.
    pub(crate) fn find(&self, pid: &Pid) -> Option<u32> {
        if pid.creation() != self.creation || pid.node() != self.node() {
            return None;
        }
        let number = Pids::number(pid);
        // Numbers that we never give out could otherwise stand for ones that we do.
        let process = self.table.get(&number)?;
        (process.pid.id() == pid.id() && process.pid.serial() == pid.serial()).then_some(number)
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Process<H>> {
        self.table.get(&number)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Process<H>> {
        self.table.get_mut(&number)
    }

    /// The process of a pid, if it lives.
    pub(crate) fn lookup(&self, pid: &Pid) -> Option<&Process<H>> {
        self.find(pid).and_then(|number| self.get(number))
    }

    /// The process of a pid, if it lives.
    pub(crate) fn lookup_mut(&mut self, pid: &Pid) -> Option<&mut Process<H>> {
        let number = self.find(pid)?;
        self.table.get_mut(&number)
    }

    /// The process that is registered under a name.
    pub(crate) fn named(&self, name: &Atom) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// Every name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Atom> {
        self.names.keys()
    }

    /// Every process.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Process<H>> {
        self.table.values()
    }

    /// Registers a name for a process; only a service takes more than one.
    pub(crate) fn register(&mut self, number: u32, name: Atom) -> Result<(), RegisterError> {
        if name == "undefined" {
            return Err(RegisterError::Reserved);
        }
        let process = self.table.get_mut(&number);
        let process = process.ok_or(RegisterError::NoProcess)?;
        if self.names.contains_key(&name) {
            return Err(RegisterError::Taken);
        }
        if !process.names.is_empty() && !matches!(process.owner, Owner::Service(_)) {
            return Err(RegisterError::AlreadyNamed);
        }
        process.names.push(name.clone());
        self.names.insert(name, number);
        Ok(())
    }

    /// Takes a name back, unless a service has it.
    pub(crate) fn unregister(&mut self, name: &Atom) -> bool {
        let Some(process) = self.named(name).and_then(|number| self.get_mut(number)) else {
            return false;
        };
        if matches!(process.owner, Owner::Service(_)) {
            return false;
        }
        process.names.retain(|own| own != name);
        self.names.remove(name);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes() -> Processes<u8> {
        Processes::new(&"r@h".parse().unwrap(), Creation::from_seed(9))
    }

    #[test]
    fn a_name_is_one_processes_and_goes_with_it() {
        let mut processes = processes();
        let (a, _) = processes.insert(Owner::Mailbox(1), false).unwrap();
        let (b, _) = processes.insert(Owner::Mailbox(2), false).unwrap();
        let name = Atom::from_static("n");
        assert_eq!(processes.register(a, name.clone()), Ok(()));
        let other = Atom::from_static("m");
        assert_eq!(
            processes.register(a, other),
            Err(RegisterError::AlreadyNamed)
        );
        assert_eq!(
            processes.register(b, name.clone()),
            Err(RegisterError::Taken)
        );
        processes.remove(a);
        assert_eq!(
            processes.register(a, name.clone()),
            Err(RegisterError::NoProcess)
        );
        assert_eq!(processes.register(b, name.clone()), Ok(()));
        assert_eq!(processes.named(&name), Some(b));
        let undefined = Atom::from_static("undefined");
        assert_eq!(
            processes.register(b, undefined),
            Err(RegisterError::Reserved)
        );
    }

    #[test]
    fn a_pid_of_another_node_incarnation_or_number_is_not_found() {
        let mut processes = processes();
        let (number, pid) = processes.insert(Owner::Mailbox(1), false).unwrap();
        assert_eq!(processes.find(&pid), Some(number));
        let (id, serial) = (pid.id(), pid.serial());
        let others = [
            Pid::new(Atom::from_static("q@h"), id, serial, 9),
            Pid::new(Atom::from_static("r@h"), id, serial, 10),
            Pid::new(Atom::from_static("r@h"), id, serial + (1 << 17), 9),
            Pid::new(Atom::from_static("r@h"), id + 1, serial, 9),
        ];
        for other in others {
            assert_eq!(processes.find(&other), None, "{other:?}");
        }
    }

    #[test]
    fn a_service_keeps_its_name() {
        let mut processes = processes();
        let owner = Owner::Service(ServiceName::Global);
        let (global, _) = processes.insert(owner, false).unwrap();
        let name = Atom::from_static("global_name_server");
        processes.register(global, name.clone()).unwrap();
        assert!(!processes.unregister(&name));
        assert_eq!(processes.named(&name), Some(global));
    }
}
