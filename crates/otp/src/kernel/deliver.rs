//! Messages to processes of ours.

use std::fmt::Debug;

use bytes::Bytes;
use enmesh_proto::Control;
use enmesh_term::{Atom, Pid, Reference, Term};

use crate::kernel::Payload;
use crate::processes::Owner;
use crate::requests::Kind;
use crate::{Action, Address, Kernel, Mail};

/// Whether something follows from a message that the kernel itself must see to: a service or a
/// request has got it.
type Follows = bool;

impl<H: Clone + Debug> Kernel<H> {
    /// The mailbox that a message with this control part is for, if it is a plain one for a process
    /// that has a mailbox: then nothing else comes of it, and the driver may put its payload there
    /// itself instead of calling [`Kernel::handle_message`]. Nearly all messages are so.
    #[inline]
    pub fn mailbox_of(&self, control: &Control) -> Option<&H> {
        let number = match control {
            Control::Send { to, .. } | Control::SendSender { to, .. } => self.processes.find(to),
            Control::RegSend { to, .. } => self.processes.named(to),
            _ => None,
        };
        match &self.processes.get(number?)?.owner {
            Owner::Mailbox(handle) => Some(handle),
            _ => None,
        }
    }

    /// A message from our own node.
    pub(super) fn deliver(&mut self, to: &Address, payload: Bytes) -> Follows {
        let payload = &mut Payload::from(payload);
        let node = self.node().clone();
        match to {
            Address::Pid(to) => self.deliver_pid(&node, to, payload, false),
            Address::Name { name, .. } => self.deliver_name(&node, name, payload, false),
            Address::Alias(alias) => self.deliver_alias(alias, payload, false),
        }
    }

    /// A message for a process. This is the way of nearly all messages: one look-up, and nothing
    /// is allocated.
    pub(super) fn deliver_pid(
        &mut self,
        node: &Atom,
        to: &Pid,
        payload: &mut Payload,
        priority: bool,
    ) -> Follows {
        match self.processes.find(to) {
            Some(number) => self.deliver_number(node, number, payload, priority),
            None => self.lose(),
        }
    }

    /// A message for a registered name.
    pub(super) fn deliver_name(
        &mut self,
        node: &Atom,
        to: &Atom,
        payload: &mut Payload,
        priority: bool,
    ) -> Follows {
        match self.processes.named(to) {
            Some(number) => self.deliver_number(node, number, payload, priority),
            None => self.lose(),
        }
    }

    fn deliver_number(
        &mut self,
        node: &Atom,
        number: u32,
        payload: &mut Payload,
        priority: bool,
    ) -> Follows {
        let owner = self.processes.get(number).map(|process| &process.owner);
        match owner {
            Some(Owner::Mailbox(handle)) => {
                let bytes = payload.take_bytes();
                let mail = match priority {
                    true => Mail::Priority(bytes),
                    false => Mail::Message(bytes),
                };
                let to = handle.clone();
                self.actions.push_back(Action::Deliver { to, mail });
                false
            }
            Some(Owner::Service(service)) => {
                let service = service.clone();
                match payload.term() {
                    Some(message) => self.serve(&service, node, message),
                    None => self.counters.undecodable += 1,
                }
                true
            }
            Some(Owner::Request(request)) => {
                let request = *request;
                self.reply(request, payload);
                true
            }
            Some(Owner::Job(_) | Owner::Nobody | Owner::Asker) | None => self.lose(),
        }
    }

    /// A message for an alias: of a process, or of a call, whose reply it is.
    pub(super) fn deliver_alias(
        &mut self,
        alias: &Reference,
        payload: &mut Payload,
        priority: bool,
    ) -> Follows {
        let number = self.requests.find(alias);
        let request = number.and_then(|number| Some((number, self.requests.get(number)?)));
        match request.map(|(number, request)| (number, &request.kind, &request.by)) {
            Some((_, Kind::Alias, by)) => {
                let (node, by) = (self.node().clone(), by.clone());
                self.deliver_pid(&node, &by, payload, priority)
            }
            Some((number, Kind::Call(_), _)) => {
                self.reply(number, payload);
                true
            }
            _ => self.lose(),
        }
    }

    /// A message for nobody, as a BEAM drops it.
    fn lose(&mut self) -> Follows {
        self.counters.dropped += 1;
        false
    }

    /// Mail for a process of ours, if it has a mailbox.
    pub(super) fn post(&mut self, to: &Pid, mail: Mail) {
        let owner = self.processes.lookup(to).map(|process| &process.owner);
        if let Some(Owner::Mailbox(handle)) = owner {
            let to = handle.clone();
            self.actions.push_back(Action::Deliver { to, mail });
        }
    }

    /// The term of a payload that is for the node itself; `None` if it is none, which is counted.
    pub(super) fn decode(&mut self, payload: &mut Payload) -> Option<Term> {
        let decoded = payload
            .term()
            .map(|term| std::mem::replace(term, Term::nil()));
        if decoded.is_none() {
            self.counters.undecodable += 1;
        }
        decoded
    }
}
