//! What stands in a packet, once it is plain.

use enmesh_identity::{Creation, NameError, NodeName};
use enmesh_term::{Atom, DecodeError, Encoder, Limits, MapRef, TermRef};

/// The longest packet that is read, in bytes, sealed or plain; a longer one is refused whole. The
/// longest that any node sends has less than 700.
pub const MAX_PACKET_BYTES: usize = 4096;

/// What a packet begins with, once it is plain.
const PREFIX: &[u8] = b"heartbeat::";

/// The key of our own part of the map: a binary, so that whoever decodes it makes no atom.
const OUR_KEY: &[u8] = b"enmesh";

const NODE: &str = "node";

/// The layout of our own part that is written, and the only one that is read.
const VERSION: u8 = 1;

const HEARTBEAT: u8 = 1;
const GOODBYE: u8 = 2;

/// Version, kind, creation, milliseconds and code; behind them stands the name in a goodbye.
const PROOF_BYTES: usize = 1 + 1 + 4 + 8 + GossipProof::CODE_BYTES;

/// A term of one level with a handful of keys; nothing else is worth a look.
const LIMITS: Limits = Limits::new()
    .with_max_bytes(MAX_PACKET_BYTES)
    .with_max_depth(16)
    .with_max_terms(256);

/// One packet of gossip, plain: `heartbeat::` and a map in the external term format.
///
/// ```
/// use enmesh_membership::GossipPacket;
///
/// let packet = GossipPacket::Heartbeat { name: "a@127.0.0.1".parse()?, proof: None };
/// assert_eq!(GossipPacket::decode(&packet.encode()), Ok(packet));
/// # Ok::<(), enmesh_identity::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GossipPacket {
    /// A node says that it is there: `#{node => Name}`, and with a proof what libcluster does not
    /// look at, `<<"enmesh">> => Proof`.
    Heartbeat {
        /// The node.
        name: NodeName,
        /// What shows that it was said by somebody who knows the secret.
        proof: Option<GossipProof>,
    },
    /// A node says that it leaves. There is no key `node` in it: libcluster dials whoever has one.
    Goodbye {
        /// The node.
        name: NodeName,
        /// What shows that it said so itself.
        proof: GossipProof,
    },
}

/// What a signed packet carries beside the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GossipProof {
    /// The incarnation of the node.
    pub creation: Creation,
    /// A number that rises with every packet of the incarnation: milliseconds since 1970, by the
    /// sender's clock, and one more than the last where that clock went back.
    pub millis: u64,
    /// HMAC-SHA256 over all of this and the name.
    pub code: [u8; GossipProof::CODE_BYTES],
}

/// Why bytes are no packet. Nothing of them is kept.
///
/// ```
/// use enmesh_membership::{GossipPacket, GossipPacketError};
///
/// assert_eq!(GossipPacket::decode(b"hello"), Err(GossipPacketError::NoHeartbeat));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GossipPacketError {
    /// More than [`MAX_PACKET_BYTES`].
    #[error("a packet has at most {MAX_PACKET_BYTES} bytes")]
    TooLong,
    /// It does not begin as every packet does: it may be sealed with a secret, or of something
    /// else that uses the port.
    #[error("the packet does not begin with `heartbeat::`")]
    NoHeartbeat,
    /// What follows is no term.
    #[error("the packet holds no term")]
    Term(#[from] DecodeError),
    /// The term names no node and is no goodbye of ours either.
    #[error("the packet names no node")]
    NoNode,
    /// The node that it names has a name that no node can have.
    #[error("the packet names a node that cannot be")]
    Name(#[from] NameError),
    /// It is sealed, and not with our secret.
    #[error("the packet cannot be opened with our secret")]
    Sealed,
}

impl GossipProof {
    /// The length of the code, in bytes.
    pub const CODE_BYTES: usize = 32;

    fn decode(bytes: &[u8; PROOF_BYTES]) -> Self {
        let [_, _, a, b, c, d, rest @ ..] = *bytes;
        let [e, f, g, h, i, j, k, l, code @ ..] = rest;
        Self {
            creation: Creation::from_wire(u32::from_be_bytes([a, b, c, d])),
            millis: u64::from_be_bytes([e, f, g, h, i, j, k, l]),
            code,
        }
    }

    fn encode(&self, kind: u8) -> Vec<u8> {
        let mut bytes = vec![VERSION, kind];
        bytes.extend(signed_part(self.creation, self.millis));
        bytes.extend(self.code);
        bytes
    }
}

/// The creation and the milliseconds as they travel and as they are signed.
fn signed_part(creation: Creation, millis: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&creation.get().to_be_bytes());
    bytes[4..].copy_from_slice(&millis.to_be_bytes());
    bytes
}

impl GossipPacket {
    /// Reads a plain packet. Atoms may have any encoding that a node of OTP 17 to 29 writes; other
    /// keys of the map, and bytes after the term, do not count, as for libcluster.
    ///
    /// # Errors
    /// The bytes are no packet; they come from anybody.
    pub fn decode(bytes: &[u8]) -> Result<Self, GossipPacketError> {
        if bytes.len() > MAX_PACKET_BYTES {
            return Err(GossipPacketError::TooLong);
        }
        let term = bytes
            .strip_prefix(PREFIX)
            .ok_or(GossipPacketError::NoHeartbeat)?;
        let (term, _) = TermRef::parse(term, &LIMITS)?;
        let map = term.as_map().ok_or(GossipPacketError::NoNode)?;
        let ours = our_part(map);
        if let Some(node) = map.get(NODE) {
            let node = node.as_atom().ok_or(GossipPacketError::NoNode)?;
            let name = node.to_str().parse()?;
            let proof = match ours {
                Some((HEARTBEAT, proof, [])) => Some(proof),
                _ => None,
            };
            return Ok(Self::Heartbeat { name, proof });
        }
        match ours {
            Some((GOODBYE, proof, name)) => {
                let name = std::str::from_utf8(name).map_err(|_| NameError::BadCharacter)?;
                Ok(Self::Goodbye {
                    name: name.parse()?,
                    proof,
                })
            }
            _ => Err(GossipPacketError::NoNode),
        }
    }

    /// The plain packet, as nodes of OTP 26 and later write it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = PREFIX.to_vec();
        let mut encoder = Encoder::new(&mut out);
        match self {
            Self::Heartbeat { name, proof } => {
                let atom =
                    Atom::new(name.as_str()).expect("a node name has at most 255 characters");
                encoder.map(1 + usize::from(proof.is_some()));
                encoder.atom(&Atom::from_static(NODE)).atom(&atom);
                if let Some(proof) = proof {
                    encoder.binary(OUR_KEY).binary(&proof.encode(HEARTBEAT));
                }
            }
            Self::Goodbye { name, proof } => {
                let mut ours = proof.encode(GOODBYE);
                ours.extend(name.as_str().as_bytes());
                encoder.map(1).binary(OUR_KEY).binary(&ours);
            }
        }
        out
    }

    /// The node that it speaks of.
    pub fn name(&self) -> &NodeName {
        match self {
            Self::Heartbeat { name, .. } | Self::Goodbye { name, .. } => name,
        }
    }

    /// The proof, if it has one.
    pub fn proof(&self) -> Option<&GossipProof> {
        match self {
            Self::Heartbeat { proof, .. } => proof.as_ref(),
            Self::Goodbye { proof, .. } => Some(proof),
        }
    }

    /// What its code is over: the kind, so that nobody makes a goodbye of a heartbeat, creation and
    /// milliseconds, and the name to the end.
    pub(super) fn signed_bytes(&self) -> Vec<u8> {
        let kind = match self {
            Self::Heartbeat { .. } => HEARTBEAT,
            Self::Goodbye { .. } => GOODBYE,
        };
        let mut bytes = vec![kind];
        if let Some(proof) = self.proof() {
            bytes.extend(signed_part(proof.creation, proof.millis));
        }
        bytes.extend(self.name().as_str().as_bytes());
        bytes
    }
}

/// Our own part of the map: its kind, the proof, and what follows. A layout that we do not know is
/// as good as none.
fn our_part(map: MapRef<'_>) -> Option<(u8, GossipProof, &[u8])> {
    let mut pairs = map.iter();
    let (_, ours) = pairs.find(|(key, _)| key.as_binary() == Some(OUR_KEY))?;
    let (head, rest) = ours.as_binary()?.split_first_chunk::<PROOF_BYTES>()?;
    let [VERSION, kind, ..] = *head else {
        return None;
    };
    Some((kind, GossipProof::decode(head), rest))
}

#[cfg(test)]
pub(in crate::gossip) mod tests;
