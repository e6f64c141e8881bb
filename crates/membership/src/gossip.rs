//! Who is there, by the packets that every node sends to a multicast group every few seconds.
//!
//! The packets are those of libcluster's strategy Gossip, plain or sealed with a secret. What they
//! do not prove is said in a key of our own beside theirs: who has the secret signs incarnation and
//! time, so that nobody else makes peers up, plays old packets again, or says goodbye for another.

mod heard;
mod packet;
mod rate;
mod secret;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Instant;

use enmesh_identity::{Creation, NodeName};

use self::heard::{Heard, Hearing};
use self::rate::RateLimits;
use crate::Update;

pub use self::heard::MAX_GOSSIP_PEERS;
pub use self::packet::{GossipPacket, GossipPacketError, GossipProof, MAX_PACKET_BYTES};
pub use self::secret::GossipSecret;

/// What BEAM nodes that have no name yet call themselves.
const NO_NAME: &str = "nonode@nohost";

/// Whose heartbeats count.
///
/// ```
/// use enmesh_membership::GossipAuth;
///
/// assert_eq!("require".parse(), Ok(GossipAuth::Require));
/// assert_eq!(GossipAuth::default().to_string(), "accept");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GossipAuth {
    /// Everybody's, as for libcluster, but of a name that signs only the signed ones.
    #[default]
    Accept,
    /// Only signed ones.
    Require,
}

/// The text is neither `accept` nor `require`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auth is accept or require")]
pub struct GossipAuthError;

impl FromStr for GossipAuth {
    type Err = GossipAuthError;

    fn from_str(text: &str) -> Result<Self, GossipAuthError> {
        match text {
            "accept" => Ok(Self::Accept),
            "require" => Ok(Self::Require),
            _ => Err(GossipAuthError),
        }
    }
}

impl fmt::Display for GossipAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Require => "require",
        })
    }
}

/// How a [`Gossip`] is set up.
#[derive(Clone, Debug)]
pub struct GossipConfig {
    /// Our own name, which is never heard.
    pub own: NodeName,
    /// Our incarnation; none where somebody only listens.
    pub creation: Option<Creation>,
    /// What packets are sealed and signed with; without it they are neither.
    pub secret: Option<GossipSecret>,
    /// Whose heartbeats count. Without a secret, [`GossipAuth::Require`] lets nobody count.
    pub auth: GossipAuth,
}

/// What a packet has in it for a human. Each kind is said once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GossipNotice {
    /// Somebody counts whose packets anybody could have made.
    Unsigned {
        /// Who.
        name: NodeName,
    },
    /// Somebody does not count, because it does not sign and [`GossipAuth::Require`] is set; or
    /// because its signature is made with another secret.
    Refused {
        /// Who.
        name: NodeName,
    },
    /// A packet could not be read.
    Unreadable(GossipPacketError),
    /// Packets are left out, because too many come.
    TooMany,
    /// Names are left out, because there are [`MAX_GOSSIP_PEERS`] already.
    NoRoom,
}

/// How many packets became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GossipCounters {
    /// Heartbeats and goodbyes that counted.
    pub counted: u64,
    /// Our own, and those of nodes without a name.
    pub own: u64,
    /// Left out unread, because too many came.
    pub limited: u64,
    /// Not to be read.
    pub unreadable: u64,
    /// Not signed where they must be, or signed with another secret.
    pub refused: u64,
    /// Signed, and heard before or older than what was.
    pub replayed: u64,
    /// From a name for which there is no room.
    pub no_room: u64,
}

/// Reads and writes the packets of one topology.
///
/// Call [`Gossip::handle_packet`] for each packet and [`Gossip::handle_timeout`] when
/// [`Gossip::deadline`] has passed, then [`Gossip::poll_update`] until it returns `None`. `now` must
/// never go back.
#[derive(Debug)]
pub struct Gossip {
    config: GossipConfig,
    heard: Heard,
    rate: RateLimits,
    counters: GossipCounters,
    told: Told,
}

/// What was said once.
#[derive(Debug, Default)]
struct Told {
    unsigned: bool,
    refused: bool,
    unreadable: bool,
    too_many: bool,
    no_room: bool,
}

impl Gossip {
    /// One that has heard nobody yet.
    pub fn new(config: GossipConfig) -> Self {
        Self {
            config,
            heard: Heard::default(),
            rate: RateLimits::default(),
            counters: GossipCounters::default(),
            told: Told::default(),
        }
    }

    /// Takes in a packet that came from this address. Returns what is worth a log line.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        from: IpAddr,
        bytes: &[u8],
    ) -> Option<GossipNotice> {
        if !self.rate.admit(now, from) {
            self.counters.limited += 1;
            return once(&mut self.told.too_many, || GossipNotice::TooMany);
        }
        let packet = match self.read(bytes) {
            Ok(packet) => packet,
            Err(error) => {
                self.counters.unreadable += 1;
                return once(&mut self.told.unreadable, || {
                    GossipNotice::Unreadable(error)
                });
            }
        };
        if *packet.name() == self.config.own || packet.name().as_str() == NO_NAME {
            self.counters.own += 1;
            return None;
        }
        self.take_in(now, from, packet)
    }

    /// Looks who has fallen silent.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.heard.handle_timeout(now);
    }

    /// When [`Gossip::handle_timeout`] is due; `None` if nobody is there to fall silent.
    pub fn deadline(&self) -> Option<Instant> {
        self.heard.deadline()
    }

    /// Who came, fell silent, was heard again or left, since this was asked last.
    pub fn poll_update(&mut self) -> Option<Update> {
        self.heard.poll_update()
    }

    /// The packet that says that we are there; `None` where we only listen.
    ///
    /// `millis` must be greater than in every packet of this incarnation before; `iv` is random.
    pub fn heartbeat(&self, millis: u64, iv: [u8; 16]) -> Option<Vec<u8>> {
        let creation = self.config.creation?;
        let proof = self
            .config
            .secret
            .as_ref()
            .map(|_| unsigned_proof(creation, millis));
        let name = self.config.own.clone();
        Some(self.write(GossipPacket::Heartbeat { name, proof }, iv))
    }

    /// The packet that says that we leave; `None` where we only listen, and where there is no
    /// secret, for nobody listens to a goodbye that is not signed. As for [`Gossip::heartbeat`].
    pub fn goodbye(&self, millis: u64, iv: [u8; 16]) -> Option<Vec<u8>> {
        let creation = self.config.creation?;
        self.config.secret.as_ref()?;
        let name = self.config.own.clone();
        let proof = unsigned_proof(creation, millis);
        Some(self.write(GossipPacket::Goodbye { name, proof }, iv))
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> GossipCounters {
        self.counters
    }

    fn read(&self, bytes: &[u8]) -> Result<GossipPacket, GossipPacketError> {
        match &self.config.secret {
            None => GossipPacket::decode(bytes),
            Some(_) if bytes.len() > MAX_PACKET_BYTES => Err(GossipPacketError::TooLong),
            Some(secret) => {
                let plain = secret.open(bytes).ok_or(GossipPacketError::Sealed)?;
                GossipPacket::decode(&plain).map_err(|error| match error {
                    // A wrong key leaves a padding that looks right once in 256 times.
                    GossipPacketError::NoHeartbeat => GossipPacketError::Sealed,
                    error => error,
                })
            }
        }
    }

    fn take_in(
        &mut self,
        now: Instant,
        from: IpAddr,
        packet: GossipPacket,
    ) -> Option<GossipNotice> {
        let signs = self
            .config
            .secret
            .as_ref()
            .map(|secret| secret.has_signed(&packet));
        let signed = signs == Some(true);
        let (hearing, name) = match packet {
            GossipPacket::Heartbeat {
                name,
                proof: Some(proof),
            } if signed => (self.heard.signed(now, &name, &proof), name),
            GossipPacket::Goodbye { name, proof } if signed => {
                (self.heard.goodbye(now, &name, &proof), name)
            }
            // With a proof that is wrong it is worth less than without: somebody has tried.
            GossipPacket::Heartbeat { name, proof }
                if self.config.auth == GossipAuth::Accept
                    && (proof.is_none() || signs.is_none()) =>
            {
                (self.heard.unsigned(now, &name), name)
            }
            GossipPacket::Heartbeat { name, .. } | GossipPacket::Goodbye { name, .. } => {
                self.counters.refused += 1;
                return once(&mut self.told.refused, || GossipNotice::Refused { name });
            }
        };
        match hearing {
            Hearing::Counted => {
                self.counters.counted += 1;
                self.rate.trust(now, from);
                let told = &mut self.told.unsigned;
                if signed {
                    None
                } else {
                    once(told, || GossipNotice::Unsigned { name })
                }
            }
            Hearing::Replayed => {
                self.counters.replayed += 1;
                None
            }
            Hearing::Unsigned => {
                self.counters.refused += 1;
                None
            }
            Hearing::NoRoom => {
                self.counters.no_room += 1;
                once(&mut self.told.no_room, || GossipNotice::NoRoom)
            }
        }
    }

    fn write(&self, packet: GossipPacket, iv: [u8; 16]) -> Vec<u8> {
        match &self.config.secret {
            None => packet.encode(),
            Some(secret) => secret.seal(&secret.sign(packet).encode(), iv),
        }
    }
}

/// A proof whose code is yet to be made.
fn unsigned_proof(creation: Creation, millis: u64) -> GossipProof {
    GossipProof {
        creation,
        millis,
        code: [0; GossipProof::CODE_BYTES],
    }
}

fn once(told: &mut bool, notice: impl FnOnce() -> GossipNotice) -> Option<GossipNotice> {
    (!std::mem::replace(told, true)).then(notice)
}

#[cfg(test)]
mod tests;
