//! The table of names.

use std::collections::{BTreeMap, HashMap};

use enmesh_term::{Atom, Pid, Term};

/// The most names that are kept; one more is refused.
pub(super) const MAX_NAMES: usize = 1 << 20;

/// A name as nodes tell each other of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) name: Term,
    pub(super) pid: Pid,
    /// What settles a clash: any fun, kept as it came.
    pub(super) method: Term,
}

impl Entry {
    pub(super) fn parse(term: &Term) -> Option<Self> {
        let [name, Term::Pid(pid), method] = term.as_tuple()? else {
            return None;
        };
        Some(Self {
            name: name.clone(),
            pid: Pid::clone(pid),
            method: method.clone(),
        })
    }

    pub(super) fn to_term(&self) -> Term {
        Term::tuple([
            self.name.clone(),
            self.pid.clone().into(),
            self.method.clone(),
        ])
    }
}

/// A change of the table that one partition tells another.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    Insert(Entry),
    Delete(Term),
}

impl Op {
    fn parse(term: &Term) -> Option<Self> {
        match term.as_tuple()? {
            [word, entry] if word.is_atom("insert") => Entry::parse(entry).map(Self::Insert),
            [word, name] if word.is_atom("delete") => Some(Self::Delete(name.clone())),
            _ => None,
        }
    }

    /// The changes of a list; what is none is left out.
    pub(super) fn parse_all(list: &Term) -> Vec<Self> {
        let list = list.as_list().unwrap_or_default();
        list.iter().filter_map(Self::parse).collect()
    }

    fn to_term(&self) -> Term {
        match self {
            Self::Insert(entry) => Term::tuple([Term::atom("insert"), entry.to_term()]),
            Self::Delete(name) => Term::tuple([Term::atom("delete"), name.clone()]),
        }
    }

    pub(super) fn list(ops: &[Self]) -> Term {
        Term::List(ops.iter().map(Self::to_term).collect())
    }
}

/// Who has a name here, and the monitor that tells of its end.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) pid: Pid,
    pub(super) method: Term,
    pub(super) watch: u64,
}

/// All names of the own partition.
#[derive(Debug, Default)]
pub(super) struct Names {
    table: BTreeMap<Term, Registration>,
    watched: HashMap<u64, Term>,
    per_pid: HashMap<Pid, usize>,
}

impl Names {
    pub(super) fn get(&self, name: &Term) -> Option<&Registration> {
        self.table.get(name)
    }

    /// Whether the process has a name.
    pub(super) fn has(&self, pid: &Pid) -> bool {
        self.per_pid.contains_key(pid)
    }

    /// Whether a new name has no room.
    pub(super) fn is_full(&self) -> bool {
        self.table.len() >= MAX_NAMES
    }

    /// Enters a name that is not in the table.
    pub(super) fn insert(&mut self, entry: Entry, watch: u64) {
        let Entry { name, pid, method } = entry;
        self.watched.insert(watch, name.clone());
        *self.per_pid.entry(pid.clone()).or_default() += 1;
        self.table.insert(name, Registration { pid, method, watch });
    }

    pub(super) fn remove(&mut self, name: &Term) -> Option<Registration> {
        let gone = self.table.remove(name)?;
        self.watched.remove(&gone.watch);
        if let Some(count) = self.per_pid.get_mut(&gone.pid) {
            *count -= 1;
            if *count == 0 {
                self.per_pid.remove(&gone.pid);
            }
        }
        Some(gone)
    }

    /// The monitored process is dead: its name is free.
    pub(super) fn died(&mut self, watch: u64) -> Option<Registration> {
        let name = self.watched.get(&watch)?.clone();
        self.remove(&name)
    }

    /// Frees the names of a node that is lost.
    pub(super) fn lost(&mut self, node: &Atom) {
        if self.per_pid.keys().any(|pid| pid.node() == node) {
            let is_lost = |(_, found): &(&Term, &Registration)| found.pid.node() == node;
            let lost = self.table.iter().filter(is_lost);
            let lost: Vec<Term> = lost.map(|(name, _)| name.clone()).collect();
            for name in lost {
                self.remove(&name);
            }
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Term> {
        self.table.keys()
    }

    /// All entries, as `exchange` lists them.
    pub(super) fn to_term(&self) -> Term {
        let entry = |(name, found): (&Term, &Registration)| {
            Term::tuple([name.clone(), found.pid.clone().into(), found.method.clone()])
        };
        Term::List(self.table.iter().map(entry).collect())
    }
}
