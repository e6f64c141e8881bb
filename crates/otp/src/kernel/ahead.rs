//! What follows a control message, and reading it before the kernel is asked.
//!
//! Nearly all payloads are for mailboxes, whose owners decode them. Those that the kernel itself
//! reads may be long, and while it reads one nobody else can ask it anything: so a driver that
//! shares it has [`Prepared`] decode them ahead.

use std::fmt::Debug;
use std::time::Instant;

use bytes::Bytes;
use enmesh_proto::{AltactFlags, AltactTarget, Control, Message};
use enmesh_term::{Atom, Limits, Reference, Term};

use crate::Kernel;
use crate::processes::Owner;
use crate::requests::Kind;

/// The bare term of a message, which is perhaps decoded already.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    bytes: Bytes,
    /// What came of decoding: `Some(None)` if it is no term or is over a limit. It is boxed because
    /// the payload of a usual message is moved often and decoded never.
    decoded: Option<Option<Box<Term>>>,
}

impl Payload {
    /// The bytes, as they are.
    pub(crate) fn take_bytes(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }

    /// Decodes it unless that is done.
    fn decode(&mut self) {
        if self.decoded.is_none() {
            let decoded = enmesh_term::decode_shared_bare(&self.bytes, &Limits::default());
            self.decoded = Some(decoded.ok().map(Box::new));
        }
    }

    /// The term, to be taken apart; what is left of it stays here. `None` if it is none.
    pub(crate) fn term(&mut self) -> Option<&mut Term> {
        self.decode();
        self.decoded.as_mut()?.as_deref_mut()
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        let decoded = None;
        Self { bytes, decoded }
    }
}

/// A message whose payload is decoded, for [`Kernel::handle_prepared`].
#[derive(Debug)]
pub struct Prepared {
    control: Option<Control>,
    payload: Option<Payload>,
}

impl Prepared {
    /// Decodes what follows the control message, which may take long.
    pub fn new(message: Message) -> Self {
        let mut payload = message.payload.map(Payload::from);
        if let Some(payload) = &mut payload {
            payload.decode();
        }
        let control = Some(message.control);
        Self { control, payload }
    }
}

impl<H: Clone + Debug> Kernel<H> {
    /// Whether the kernel itself reads what follows this control message, so that decoding it ahead
    /// saves time. It is said of the present; nothing depends on its being so still when the
    /// message is handled.
    pub fn reads(&self, control: &Control) -> bool {
        match control {
            Control::Send { to, .. } | Control::SendSender { to, .. } => {
                self.is_read_by(self.processes.find(to))
            }
            Control::RegSend { to, .. } => self.is_read_by(self.processes.named(to)),
            Control::AliasSend { alias, .. } => self.is_call(alias),
            Control::Altact { flags, to, .. } => {
                flags.contains(AltactFlags::EXIT)
                    || match to {
                        AltactTarget::Pid(to) => self.is_read_by(self.processes.find(to)),
                        AltactTarget::Alias(alias) => self.is_call(alias),
                        AltactTarget::Name(name) => self.is_read_by(self.processes.named(name)),
                    }
            }
            other => other.has_payload(),
        }
    }

    /// As [`Kernel::handle_message`]. What is left of `message` costs time to drop, if it was long.
    pub fn handle_prepared(&mut self, now: Instant, peer: &Atom, message: &mut Prepared) {
        if let Some(control) = message.control.take() {
            self.handle(now, peer, control, message.payload.as_mut());
        }
    }

    fn is_read_by(&self, number: Option<u32>) -> bool {
        let process = number.and_then(|number| self.processes.get(number));
        process.is_some_and(|it| matches!(it.owner, Owner::Service(_) | Owner::Request(_)))
    }

    fn is_call(&self, alias: &Reference) -> bool {
        let number = self.requests.find(alias);
        let request = number.and_then(|number| self.requests.get(number));
        request.is_some_and(|request| matches!(request.kind, Kind::Call(_)))
    }
}
