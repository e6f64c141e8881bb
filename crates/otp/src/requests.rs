//! What our processes wait for: monitors, aliases, calls and requests to spawn.

use enmesh_identity::Creation;
use enmesh_term::{Atom, Pid, Reference, Term};

use crate::Address;
use crate::processes::ServiceName;
use crate::references::{NumberMap, References};

/// The most monitors, aliases, calls and requests of our processes together. One more monitor or
/// call ends at once with `system_limit`.
pub(crate) const MAX_REQUESTS: usize = 1 << 22;

/// Who gets the outcome of a call.
#[derive(Clone, Debug)]
pub(crate) enum Asker<H> {
    /// A reply slot of the driver.
    Slot(H),
    /// A service, under a number of its own.
    Service(ServiceName, u64),
}

/// How far a request to spawn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spawn {
    /// There is no answer yet.
    Asked,
    /// There is a process, and we monitor it.
    Running,
    /// Nobody waits any more; what the answer brings must be undone.
    Abandoned,
}

/// What one reference of ours stands for.
#[derive(Clone, Debug)]
pub(crate) enum Kind<H> {
    /// A monitor of a user's process.
    Monitor,
    /// A monitor of a service, under a number of its own.
    Watch(ServiceName, u64),
    /// An alias.
    Alias,
    /// A call: monitor and alias in one.
    Call(Asker<H>),
    /// A request to spawn.
    Spawn { slot: H, stage: Spawn },
    /// A monitor of a pg scope, or of one group in it.
    Groups { scope: Atom, group: Option<Term> },
}

/// One reference of ours that is in use.
#[derive(Clone, Debug)]
pub(crate) struct Request<H> {
    pub(crate) reference: Reference,
    /// The process that made it.
    pub(crate) by: Pid,
    pub(crate) kind: Kind<H>,
    /// What is monitored.
    pub(crate) target: Option<Address>,
    /// The process of ours that is monitored: a name may have another one by now.
    pub(crate) watched: Option<u32>,
    /// The process that a reply comes to, where the peer knows no aliases.
    pub(crate) stand_in: Option<u32>,
}

/// The table of the references in use.
#[derive(Debug)]
pub(crate) struct Requests<H> {
    references: References,
    table: NumberMap<u64, Request<H>>,
}

impl<H> Requests<H> {
    pub(crate) fn new(node: Atom, creation: Creation, seed: u64) -> Self {
        Self {
            references: References::new(node, creation, seed),
            table: NumberMap::default(),
        }
    }

    /// Whether no more fit.
    pub(crate) fn is_full(&self) -> bool {
        self.table.len() >= MAX_REQUESTS
    }

    /// A new reference, in use by `by`.
    pub(crate) fn insert(
        &mut self,
        by: Pid,
        kind: Kind<H>,
        target: Option<Address>,
    ) -> (u64, Reference) {
        let number = self.references.fresh();
        let reference = self.references.reference(number);
        let request = Request {
            reference: reference.clone(),
            by,
            kind,
            target,
            watched: None,
            stand_in: None,
        };
        self.table.insert(number, request);
        (number, reference)
    }

    /// A new reference that stands for nothing.
    pub(crate) fn unused(&mut self) -> Reference {
        let number = self.references.fresh();
        self.references.reference(number)
    }

    /// The reference of a number, which is perhaps in use.
    pub(crate) fn reference(&self, number: u64) -> Reference {
        match self.table.get(&number) {
            Some(request) => request.reference.clone(),
            None => self.references.reference(number),
        }
    }

    /// The number of a reference that is in use.
    pub(crate) fn find(&self, reference: &Reference) -> Option<u64> {
        let number = self.references.number(reference)?;
        self.table.contains_key(&number).then_some(number)
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Request<H>> {
        self.table.get(&number)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Request<H>> {
        self.table.get_mut(&number)
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Request<H>> {
        self.table.remove(&number)
    }

    /// Every one, with its number.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Request<H>)> {
        self.table
            .iter()
            .map(|(&number, request)| (number, request))
    }
}
