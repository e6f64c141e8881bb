//! The table of locks.

use std::collections::{BTreeMap, HashMap};

use enmesh_term::{Atom, Pid, Term};

use crate::keep::kept;

/// The most locks that are held here at one time, each counted for every process that holds it;
/// one more is refused as if it were taken.
const MAX_LOCKS: usize = 65_536;

/// The most bytes, as encoded, that all of them may have; one more is refused.
const MAX_LOCK_BYTES: usize = 32 << 20;

/// The most processes that hold one lock together; one more is refused.
pub(super) const MAX_HOLDERS: usize = 1024;

/// A lock and who wants it: two terms, compared as such.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LockId {
    pub(super) resource: Term,
    pub(super) requester: Term,
}

impl LockId {
    /// The lock under which names and partitions change.
    pub(super) fn global(requester: Term) -> Self {
        let resource = Term::atom("global");
        Self {
            resource,
            requester,
        }
    }

    /// The lock under which two partitions merge: both lockers name it alike.
    pub(super) fn of_lockers(a: &Pid, b: &Pid) -> Self {
        let (less, greater) = if a <= b { (a, b) } else { (b, a) };
        Self::global(Term::List(vec![
            less.clone().into(),
            greater.clone().into(),
        ]))
    }

    pub(super) fn parse(term: &Term) -> Option<Self> {
        let [resource, requester] = term.as_tuple()? else {
            return None;
        };
        Some(Self {
            resource: resource.clone(),
            requester: requester.clone(),
        })
    }

    pub(super) fn to_term(&self) -> Term {
        Term::tuple([self.resource.clone(), self.requester.clone()])
    }
}

/// What came of a request for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The process holds it now and did not before: it is to be watched.
    New,
    /// The process held it already.
    Again,
    /// Somebody else holds it, or there is no room.
    Refused,
}

/// A lock that is held, and by which processes; no monitor is needed for our own two.
#[derive(Debug)]
struct Held {
    requester: Term,
    holders: Vec<(Pid, Option<u64>)>,
    bytes: usize,
}

/// All locks held here.
#[derive(Debug, Default)]
pub(super) struct Locks {
    table: BTreeMap<Term, Held>,
    watched: HashMap<u64, Term>,
    bytes: usize,
    /// Whether the `global` lock was last freed by the death of its holder: what it was to
    /// protect is then not to be believed until it has been taken and freed well again.
    is_down: bool,
}

impl Locks {
    /// Whether `id` is free, or held in the name of the same requester.
    pub(super) fn may_take(&self, id: &LockId) -> bool {
        match self.table.get(&id.resource) {
            Some(held) => held.requester == id.requester && held.holders.len() < MAX_HOLDERS,
            None => true,
        }
    }

    /// Enters a lock that nobody holds; `false` if there is no room.
    fn enter(&mut self, id: &LockId) -> bool {
        let (Some((resource, more)), Some((requester, bytes))) =
            (kept(&id.resource), kept(&id.requester))
        else {
            return false;
        };
        let bytes = bytes + more;
        if self.bytes + bytes > MAX_LOCK_BYTES {
            return false;
        }
        self.bytes += bytes;
        let held = Held {
            requester,
            holders: Vec::new(),
            bytes,
        };
        self.table.insert(resource, held);
        true
    }

    /// Takes a lock for `pid`; `watch` is the monitor that will tell of its end.
    pub(super) fn take(&mut self, id: &LockId, pid: &Pid, watch: Option<u64>) -> Taken {
        if let Some(held) = self.table.get(&id.resource)
            && held.requester == id.requester
            && held.holders.iter().any(|(holder, _)| holder == pid)
        {
            return Taken::Again;
        }
        let has_room = watch.is_none() || self.watched.len() < MAX_LOCKS;
        let is_new = !self.table.contains_key(&id.resource);
        if !self.may_take(id) || !has_room || (is_new && !self.enter(id)) {
            return Taken::Refused;
        }
        let Some((resource, _)) = self.table.get_key_value(&id.resource) else {
            return Taken::Refused;
        };
        let resource = resource.clone();
        if let Some(held) = self.table.get_mut(&resource) {
            held.holders.push((pid.clone(), watch));
        }
        if let Some(watch) = watch {
            self.watched.insert(watch, resource);
        }
        Taken::New
    }

    /// Frees what `pid` holds of `id`; gives the monitor that is not needed any more.
    pub(super) fn free(&mut self, id: &LockId, pid: &Pid) -> Option<u64> {
        let held = self.table.get(&id.resource)?;
        if held.requester != id.requester {
            return None;
        }
        let at = held.holders.iter().position(|(holder, _)| holder == pid)?;
        self.free_at(&id.resource, at, false)
    }

    /// The monitored process is dead. Whether it held a lock.
    pub(super) fn died(&mut self, watch: u64) -> bool {
        let Some(resource) = self.watched.get(&watch).cloned() else {
            return false;
        };
        let held = self.table.get(&resource);
        let at = held.and_then(|held| {
            let mut holders = held.holders.iter();
            holders.position(|(_, monitor)| *monitor == Some(watch))
        });
        if let Some(at) = at {
            self.free_at(&resource, at, true);
        }
        true
    }

    /// Frees what the processes of a node that is lost held.
    pub(super) fn lost(&mut self, node: &Atom) {
        let mut watches = Vec::new();
        for held in self.table.values() {
            for (holder, watch) in &held.holders {
                watches.extend(watch.filter(|_| holder.node() == node));
            }
        }
        for watch in watches {
            self.died(watch);
        }
    }

    /// Whether names and partitions are being changed.
    pub(super) fn is_global_taken(&self) -> bool {
        self.table.contains_key(&Term::atom("global"))
    }

    /// Whether a change of names is still covered by the lock under which it began.
    pub(super) fn covers(&self, writer: &Writer<'_>) -> bool {
        match (self.table.get(&Term::atom("global")), writer) {
            (None, _) => !self.is_down,
            (Some(held), Writer::Process(pid)) => {
                held.holders.iter().any(|(holder, _)| holder == *pid)
            }
            (Some(held), Writer::Lock(id)) => id.is_some_and(|id| id.requester == held.requester),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    fn free_at(&mut self, resource: &Term, at: usize, is_down: bool) -> Option<u64> {
        let held = self.table.get_mut(resource)?;
        let (_, watch) = held.holders.swap_remove(at);
        if let Some(watch) = watch {
            self.watched.remove(&watch);
        }
        if held.holders.is_empty() {
            self.bytes -= held.bytes;
            self.table.remove(resource);
            if resource.is_atom("global") {
                self.is_down = is_down;
            }
        }
        watch
    }
}

/// Who changes a name: the process that calls, or a node under a lock.
#[derive(Clone, Copy, Debug)]
pub(super) enum Writer<'a> {
    Process(&'a Pid),
    Lock(Option<&'a LockId>),
}
