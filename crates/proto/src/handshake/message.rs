//! The messages of the handshake, as bytes.

use bytes::{BufMut, BytesMut};
use enmesh_identity::{Creation, NameError, NodeName};

use crate::digest::Digest;
use crate::flags::Flags;
use crate::framing::Prefix;

/// Why a message of the handshake cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeFault {
    /// The first byte is not that of the message that comes next.
    #[error("a message with tag {found} instead of {wanted}")]
    Tag {
        /// The tag of the message that was due.
        wanted: u8,
        /// The tag of what came.
        found: u8,
    },
    /// The message ends before its last field.
    #[error("the message is too short")]
    Short,
    /// A message of fixed size that is longer than that.
    #[error("the message is too long")]
    Long,
    /// A status that no node sends.
    #[error("an unknown status")]
    Status,
    /// The name is not a node name.
    #[error("a bad node name")]
    Name(#[source] NameError),
}

/// `'N'` from the dialling side.
pub(crate) struct SendName {
    pub(crate) flags: Flags,
    pub(crate) creation: Creation,
    pub(crate) name: NodeName,
}

/// `'N'` from the accepting side.
pub(crate) struct Challenge {
    pub(crate) flags: Flags,
    pub(crate) challenge: u32,
    pub(crate) creation: Creation,
    pub(crate) name: NodeName,
}

/// `'r'`: the dialling side's challenge, and its answer to the other's.
pub(crate) struct Reply {
    pub(crate) challenge: u32,
    pub(crate) digest: Digest,
}

/// `'s'`: what the accepting side says to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    OkSimultaneous,
    Nok,
    NotAllowed,
    Alive,
    Named,
    /// The dialling side's answer to `alive`: go on.
    True,
    /// The dialling side's answer to `alive`: never mind.
    False,
}

pub(crate) const TAG_NAME: u8 = b'N';
pub(crate) const TAG_OLD_NAME: u8 = b'n';
const TAG_STATUS: u8 = b's';
const TAG_REPLY: u8 = b'r';
const TAG_ACK: u8 = b'a';
/// How the status begins that gives a name.
const NAMED: &[u8] = b"named:";

impl SendName {
    pub(crate) fn encode(&self, prefix: Prefix, output: &mut BytesMut) {
        let name = self.name.to_latin1();
        put_header(prefix, output, TAG_NAME, 8 + 4 + 2 + name.len());
        output.put_u64(self.flags.bits());
        output.put_u32(self.creation.get());
        put_name(output, &name);
    }

    /// The flags of the message, and the host that stands instead of a name if NAME_ME is among
    /// them.
    pub(crate) fn parse_nameless(
        message: &[u8],
    ) -> Result<Option<(Flags, String)>, HandshakeFault> {
        let mut fields = Fields::of(message, TAG_NAME)?;
        let flags = Flags::from_bits(fields.u64()?);
        if !flags.contains(Flags::NAME_ME) {
            return Ok(None);
        }
        let _creation = fields.u32()?;
        let host = fields.text()?.iter().map(|&byte| char::from(byte));
        Ok(Some((flags, host.collect())))
    }

    pub(crate) fn parse(message: &[u8]) -> Result<Self, HandshakeFault> {
        let mut fields = Fields::of(message, TAG_NAME)?;
        Ok(Self {
            flags: Flags::from_bits(fields.u64()?),
            creation: Creation::from_wire(fields.u32()?),
            name: fields.name()?,
        })
    }
}

impl Challenge {
    pub(crate) fn encode(&self, prefix: Prefix, output: &mut BytesMut) {
        let name = self.name.to_latin1();
        put_header(prefix, output, TAG_NAME, 8 + 4 + 4 + 2 + name.len());
        output.put_u64(self.flags.bits());
        output.put_u32(self.challenge);
        output.put_u32(self.creation.get());
        put_name(output, &name);
    }

    pub(crate) fn parse(message: &[u8]) -> Result<Self, HandshakeFault> {
        let mut fields = Fields::of(message, TAG_NAME)?;
        Ok(Self {
            flags: Flags::from_bits(fields.u64()?),
            challenge: fields.u32()?,
            creation: Creation::from_wire(fields.u32()?),
            name: fields.name()?,
        })
    }
}

impl Reply {
    pub(crate) fn encode(&self, prefix: Prefix, output: &mut BytesMut) {
        put_header(prefix, output, TAG_REPLY, 4 + Digest::LEN);
        output.put_u32(self.challenge);
        output.put_slice(self.digest.as_bytes());
    }

    pub(crate) fn parse(message: &[u8]) -> Result<Self, HandshakeFault> {
        let mut fields = Fields::of(message, TAG_REPLY)?;
        let reply = Self {
            challenge: fields.u32()?,
            digest: fields.digest()?,
        };
        fields.end()?;
        Ok(reply)
    }
}

impl Status {
    const TABLE: [(Status, &'static [u8]); 7] = [
        (Status::Ok, b"ok"),
        (Status::OkSimultaneous, b"ok_simultaneous"),
        (Status::Nok, b"nok"),
        (Status::NotAllowed, b"not_allowed"),
        (Status::Alive, b"alive"),
        (Status::True, b"true"),
        (Status::False, b"false"),
    ];

    /// Puts the status down; `Named`, which says more, has [`encode_named`].
    pub(crate) fn encode(self, prefix: Prefix, output: &mut BytesMut) {
        let text = Self::TABLE
            .iter()
            .find(|(status, _)| *status == self)
            .map_or(&b""[..], |it| it.1);
        put_header(prefix, output, TAG_STATUS, text.len());
        output.put_slice(text);
    }

    pub(crate) fn parse(message: &[u8]) -> Result<Self, HandshakeFault> {
        let text = Fields::of(message, TAG_STATUS)?.rest;
        if text.starts_with(NAMED) {
            return Ok(Status::Named);
        }
        let found = Self::TABLE.iter().find(|(_, known)| *known == text);
        found
            .map(|(status, _)| *status)
            .ok_or(HandshakeFault::Status)
    }
}

/// Puts down the status that gives the peer a name and an incarnation.
pub(crate) fn encode_named(
    name: &NodeName,
    creation: Creation,
    prefix: Prefix,
    output: &mut BytesMut,
) {
    let name = name.to_latin1();
    put_header(prefix, output, TAG_STATUS, NAMED.len() + 2 + name.len() + 4);
    output.put_slice(NAMED);
    put_name(output, &name);
    output.put_u32(creation.get());
}

/// Puts down `'a'`, the accepting side's proof.
pub(crate) fn encode_ack(digest: Digest, prefix: Prefix, output: &mut BytesMut) {
    put_header(prefix, output, TAG_ACK, Digest::LEN);
    output.put_slice(digest.as_bytes());
}

pub(crate) fn parse_ack(message: &[u8]) -> Result<Digest, HandshakeFault> {
    let mut fields = Fields::of(message, TAG_ACK)?;
    let digest = fields.digest()?;
    fields.end()?;
    Ok(digest)
}

fn put_header(prefix: Prefix, output: &mut BytesMut, tag: u8, rest: usize) {
    let len = u16::try_from(1 + rest).expect("a message of the handshake is shorter than 1 KiB");
    match prefix {
        Prefix::Two => output.put_u16(len),
        Prefix::Four => output.put_u32(u32::from(len)),
    }
    output.put_u8(tag);
}

fn put_name(output: &mut BytesMut, name: &[u8]) {
    output.put_u16(u16::try_from(name.len()).expect("a node name has at most 255 characters"));
    output.put_slice(name);
}

/// Reads one field after the other.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(message: &'a [u8], wanted: u8) -> Result<Self, HandshakeFault> {
        match message.split_first() {
            None => Err(HandshakeFault::Short),
            Some((&found, _)) if found != wanted => Err(HandshakeFault::Tag { wanted, found }),
            Some((_, rest)) => Ok(Self { rest }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HandshakeFault> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(HandshakeFault::Short)?;
        self.rest = rest;
        Ok(*array)
    }

    fn u32(&mut self) -> Result<u32, HandshakeFault> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, HandshakeFault> {
        self.array().map(u64::from_be_bytes)
    }

    fn digest(&mut self) -> Result<Digest, HandshakeFault> {
        self.array().map(Digest::from_bytes)
    }

    /// The name; what follows it is for later versions of the protocol and ignored.
    fn name(&mut self) -> Result<NodeName, HandshakeFault> {
        NodeName::from_latin1(self.text()?).map_err(HandshakeFault::Name)
    }

    /// A text with its length before it.
    fn text(&mut self) -> Result<&'a [u8], HandshakeFault> {
        let len = usize::from(u16::from_be_bytes(self.array()?));
        let (text, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(HandshakeFault::Short)?;
        self.rest = rest;
        Ok(text)
    }

    fn end(&self) -> Result<(), HandshakeFault> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(HandshakeFault::Long)
        }
    }
}
