//! The table of names.

use std::collections::{BTreeMap, HashMap};

use enmesh_term::{Atom, Pid, Term};

use crate::keep::kept;

/// The most names that are kept; one more is refused.
pub(super) const MAX_NAMES: usize = 1 << 20;

/// The most bytes, as encoded, that all names may have with their methods; one more is refused.
const MAX_NAME_BYTES: usize = if cfg!(test) { 1 << 20 } else { 256 << 20 };

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
    bytes: usize,
}

impl Registration {
    fn entry(&self, name: &Term) -> Entry {
        Entry {
            name: name.clone(),
            pid: self.pid.clone(),
            method: self.method.clone(),
        }
    }
}

/// All names of the own partition.
#[derive(Debug, Default)]
pub(super) struct Names {
    table: BTreeMap<Term, Registration>,
    watched: HashMap<u64, Term>,
    per_pid: HashMap<Pid, usize>,
    bytes: usize,
}

impl Names {
    pub(super) fn get(&self, name: &Term) -> Option<&Registration> {
        self.table.get(name)
    }

    /// Whether the process has a name.
    pub(super) fn has(&self, pid: &Pid) -> bool {
        self.per_pid.contains_key(pid)
    }

    /// Enters a name that is not in the table; `false` at a limit.
    pub(super) fn insert(&mut self, entry: &Entry, watch: u64) -> bool {
        let (Some((name, name_bytes)), Some((method, method_bytes))) =
            (kept(&entry.name), kept(&entry.method))
        else {
            return false;
        };
        let bytes = name_bytes + method_bytes;
        if self.table.len() >= MAX_NAMES || self.bytes + bytes > MAX_NAME_BYTES {
            return false;
        }
        let pid = entry.pid.clone();
        self.bytes += bytes;
        self.watched.insert(watch, name.clone());
        *self.per_pid.entry(pid.clone()).or_default() += 1;
        let found = Registration {
            pid,
            method,
            watch,
            bytes,
        };
        self.table.insert(name, found);
        true
    }

    pub(super) fn remove(&mut self, name: &Term) -> Option<Registration> {
        let gone = self.table.remove(name)?;
        self.watched.remove(&gone.watch);
        self.bytes -= gone.bytes;
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

    /// Frees the names of a node that is lost; returns the monitors that are not needed any more.
    pub(super) fn lost(&mut self, node: &Atom) -> Vec<u64> {
        if !self.per_pid.keys().any(|pid| pid.node() == node) {
            return Vec::new();
        }
        let is_lost = |(_, found): &(&Term, &Registration)| found.pid.node() == node;
        let lost = self.table.iter().filter(is_lost);
        let lost: Vec<Term> = lost.map(|(name, _)| name.clone()).collect();
        let removed = lost.iter().filter_map(|name| self.remove(name));
        removed.map(|gone| gone.watch).collect()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Term> {
        self.table.keys()
    }

    /// The entry of a name.
    pub(super) fn entry(&self, name: &Term) -> Option<Entry> {
        self.get(name).map(|found| found.entry(name))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.entries_of(|_| true)
    }

    /// The names of the processes of some nodes.
    pub(super) fn entries_of(&self, is_one: impl Fn(&Atom) -> bool) -> impl Iterator<Item = Entry> {
        let named = self.table.iter();
        let theirs = named.filter(move |(_, found)| is_one(found.pid.node()));
        theirs.map(|(name, found)| found.entry(name))
    }

    /// All entries, as `exchange` lists them.
    pub(super) fn to_term(&self) -> Term {
        Term::List(self.entries().map(|entry| entry.to_term()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn entry(name: Term, method: Term) -> Entry {
        let pid = Pid::new(Atom::from_static("b@h"), 1, 0, 1);
        Entry { name, pid, method }
    }

    #[test]
    fn a_name_and_its_method_keep_no_message_alive() {
        let message = Bytes::from(vec![7; 1 << 20]);
        let mut names = Names::default();
        let part = Term::from(message.slice(..64));
        assert!(names.insert(&entry(part.clone(), part.clone()), 1));
        drop(part);
        assert!(message.is_unique(), "a part of the message is held");
        assert!(names.get(&Term::binary([7; 64])).is_some());
    }

    #[test]
    fn names_have_a_bounded_size_and_what_goes_makes_room() {
        let name = |number: u8| Term::binary(vec![number; MAX_NAME_BYTES / 3]);
        let entry = |number| entry(name(number), Term::nil());
        let mut names = Names::default();
        assert!(names.insert(&entry(1), 1) && names.insert(&entry(2), 2));
        assert!(!names.insert(&entry(3), 3));
        assert!(names.died(1).is_some());
        assert!(names.insert(&entry(3), 4));
    }
}
