//! Packets of a link that is up, to messages.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use enmesh_term::{CachedAtoms, DecodeError, expand_atoms};

use crate::atom_cache::PeerAtoms;
use crate::control::{Control, Message};
use crate::fragments::{Fragments, Sequence};
use crate::framing::FrameError;
use crate::link::LinkError;
use crate::packet::{self, Form};
use crate::spares::Spares;

/// Packets of fewer bytes are copied, whatever they lie in: that costs less than to share them.
const SHARE_FROM: usize = 16 << 10;
/// The biggest buffer for expanded payloads, in bytes, that is used again.
const KEPT_SCRATCH: usize = 16 << 10;

/// The receiving side of a link that is up.
#[derive(Debug)]
pub(crate) struct Incoming {
    form: Form,
    max_message: usize,
    atoms: PeerAtoms,
    fragments: Fragments,
    scratch: BytesMut,
}

/// The bytes of one packet, and who holds them if they may be shared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) owner: Option<&'a Bytes>,
}

/// The memory that an inbox lies in, as far as that can be told from outside.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Where it ends, by which it is told from others.
    end: usize,
    len: usize,
}

impl Memory {
    /// Looks at the inbox, which may have been given other memory.
    pub(crate) fn look(&mut self, inbox: &BytesMut) {
        let end = inbox.as_ptr().addr().wrapping_add(inbox.capacity());
        if end != self.end {
            *self = Self { end, len: 0 };
        }
        // What was taken off the front is not seen any more.
        self.len = self.len.max(inbox.capacity());
    }

    /// Whether a packet of so many bytes may share this memory: a message that waits in a mailbox
    /// counts by its own length there, and must not keep alive much more than that.
    pub(crate) fn may_be_shared(&self, packet: usize) -> bool {
        packet >= SHARE_FROM && packet >= self.len / 2
    }
}

impl Packet<'_> {
    fn share(&self, part: &[u8]) -> Bytes {
        match self.owner {
            Some(owner) => owner.slice_ref(part),
            None => Bytes::copy_from_slice(part),
        }
    }
}

impl Incoming {
    pub(crate) fn new(form: Form, max_message: usize, spares: Arc<Spares>) -> Self {
        Self {
            form,
            max_message,
            atoms: PeerAtoms::default(),
            fragments: Fragments::new(spares),
            scratch: BytesMut::new(),
        }
    }

    /// Takes one packet that is no tick, and gives the message that it completes to `deliver`.
    ///
    /// It is not returned, because it is big, and moving it from one to the next would cost more
    /// than reading it.
    #[inline]
    pub(crate) fn take(
        &mut self,
        packet: Packet<'_>,
        deliver: impl FnOnce(Message) -> Result<(), LinkError>,
    ) -> Result<(), LinkError> {
        match (self.form, packet.bytes) {
            (Form::Header { .. }, [packet::VERSION, packet::WHOLE, rest @ ..]) => {
                let mut rest = rest;
                let control = self.begin(&mut rest)?;
                let payload = self.payload(&control, &packet, rest)?;
                deliver(Message { control, payload })
            }
            _ => match self.take_rarer(packet)? {
                Some(message) => deliver(message),
                None => Ok(()),
            },
        }
    }

    #[inline(never)]
    fn take_rarer(&mut self, packet: Packet<'_>) -> Result<Option<Message>, LinkError> {
        match (self.form, packet.bytes) {
            (Form::PassThrough, bytes) => pass_through(&packet, bytes).map(Some),
            (
                Form::Header {
                    fragments: true, ..
                },
                [packet::VERSION, packet::FIRST, rest @ ..],
            ) => {
                let (sequence, count, rest) = fragment(rest)?;
                self.first(sequence, count, rest)
            }
            (
                Form::Header {
                    fragments: true, ..
                },
                [packet::VERSION, packet::NEXT, rest @ ..],
            ) => {
                let (sequence, number, part) = fragment(rest)?;
                let max = self.max_message;
                let whole = self.fragments.go_on(sequence, number, part, max)?;
                whole.map(|whole| self.assembled(whole)).transpose()
            }
            _ => Err(FrameError::NotHeader.into()),
        }
    }

    /// Reads the header and the control message; the payload or its first part is left in `rest`.
    #[inline]
    fn begin(&mut self, rest: &mut &[u8]) -> Result<Control, LinkError> {
        self.atoms.read_header(rest)?;
        if !self.form.has_cache() && !self.atoms.table().is_empty() {
            return Err(FrameError::BadHeader.into());
        }
        let (control, used) = Control::decode_bare(rest, self.atoms.table())?;
        *rest = &rest[used..];
        Ok(control)
    }

    /// The payload of a whole message.
    #[inline]
    fn payload(
        &mut self,
        control: &Control,
        packet: &Packet<'_>,
        rest: &[u8],
    ) -> Result<Option<Bytes>, LinkError> {
        Ok(match has_payload(control, rest)? {
            false => None,
            true => {
                let table = self.atoms.table();
                let expanded = expand(&mut self.scratch, rest, table, self.max_message)?;
                Some(expanded.unwrap_or_else(|| packet.share(rest)))
            }
        })
    }

    fn first(
        &mut self,
        sequence: u64,
        count: u64,
        mut rest: &[u8],
    ) -> Result<Option<Message>, LinkError> {
        let len = rest.len();
        let control = self.begin(&mut rest)?;
        let control = (control, len - rest.len());
        let atoms = self.atoms.copy_table();
        let begun = self
            .fragments
            .begin((sequence, count), control, atoms, rest)?;
        begun.map(|whole| self.assembled(whole)).transpose()
    }

    fn assembled(&mut self, whole: Sequence) -> Result<Message, LinkError> {
        let control = whole.control;
        let payload = match has_payload(&control, &whole.payload)? {
            false => None,
            true => {
                let (scratch, max) = (&mut self.scratch, self.max_message);
                let expanded =
                    expand(scratch, &whole.payload, CachedAtoms::new(&whole.atoms), max)?;
                Some(expanded.unwrap_or_else(|| self.fragments.finish(whole.payload)))
            }
        };
        Ok(Message { control, payload })
    }
}

/// The payload with its atom cache references replaced; `None` if it has none. So it is for one
/// that is no term: whoever decodes it will find out, and it alone is to fail.
fn expand(
    scratch: &mut BytesMut,
    payload: &[u8],
    atoms: CachedAtoms<'_>,
    max: usize,
) -> Result<Option<Bytes>, FrameError> {
    if atoms.is_empty() {
        return Ok(None);
    }
    match expand_atoms(payload, atoms, max, scratch) {
        Ok((used, true)) => {
            scratch.extend_from_slice(&payload[used..]);
            if scratch.len() > KEPT_SCRATCH {
                return Ok(Some(std::mem::take(scratch).freeze()));
            }
            let expanded = Bytes::copy_from_slice(scratch);
            scratch.clear();
            Ok(Some(expanded))
        }
        // A few bytes may mean a thousand times as many, and those are what costs memory.
        Err(DecodeError::TooLarge { bytes, .. }) => Err(FrameError::TooLarge { len: bytes, max }),
        Ok((_, false)) | Err(_) => Ok(None),
    }
}

/// What a packet without distribution header says; its payload is not looked into.
fn pass_through(packet: &Packet<'_>, bytes: &[u8]) -> Result<Message, LinkError> {
    let [packet::PASS_THROUGH, rest @ ..] = bytes else {
        return Err(FrameError::NotPassThrough.into());
    };
    let [packet::VERSION, bare @ ..] = rest else {
        return Err(FrameError::NotPassThrough.into());
    };
    let (control, used) = Control::decode_bare(bare, CachedAtoms::default())?;
    let rest = &bare[used..];
    let payload = match (has_payload(&control, rest)?, rest) {
        (false, _) => None,
        (true, [packet::VERSION, payload @ ..]) => Some(packet.share(payload)),
        (true, _) => return Err(FrameError::PayloadVersion.into()),
    };
    Ok(Message { control, payload })
}

/// Whether there is a payload; an error if there is one and should not be, or the reverse.
fn has_payload(control: &Control, payload: &[u8]) -> Result<bool, FrameError> {
    match (control.has_payload(), payload.len()) {
        (true, 0) => Err(FrameError::PayloadMissing),
        (false, 1..) => Err(FrameError::Trailing { len: payload.len() }),
        (has_payload, _) => Ok(has_payload),
    }
}

/// The numbers of a fragment: which message, which fragment of it; and what follows them.
fn fragment(bytes: &[u8]) -> Result<(u64, u64, &[u8]), FrameError> {
    let (sequence, rest) = bytes.split_first_chunk().ok_or(FrameError::BadHeader)?;
    let (number, rest) = rest.split_first_chunk().ok_or(FrameError::BadHeader)?;
    let (sequence, number) = (u64::from_be_bytes(*sequence), u64::from_be_bytes(*number));
    Ok((sequence, number, rest))
}
