//! The handshake: two names, and the proof that both hold the cookie.

mod message;
mod naming;
mod probe;

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use enmesh_identity::{Creation, NodeName};

use crate::digest::Digest;
use crate::flags::Flags;
use crate::framing::Prefix;
use crate::link::{Direction, LinkConfig, LinkError, PeerInfo};
pub use message::HandshakeFault;
use message::{
    Challenge, Reply, SendName, Status, TAG_OLD_NAME, encode_ack, encode_named, parse_ack,
};
pub use probe::{Probe, ProbeFault, Probed};

/// The longest message of a handshake, in bytes. A longer one closes the connection. The longest
/// that a BEAM sends, a challenge with a name of 255 characters, has 274.
pub(crate) const MAX_HANDSHAKE_MESSAGE: usize = 1024;

/// What somebody outside must decide before the handshake goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Accepted: the peer told its name; may it come in?
    ///
    /// Answer [`Verdict::Accept`], [`Verdict::AcceptSimultaneous`], [`Verdict::Nok`],
    /// [`Verdict::NotAllowed`] or [`Verdict::AskAlive`].
    Inbound {
        /// The name that the peer claims; nothing is proven yet.
        name: NodeName,
    },
    /// Dialled: the peer says that it still has a link with our name; is this dial still wanted?
    ///
    /// Answer [`Verdict::Continue`] or [`Verdict::GiveUp`].
    Alive,
    /// The peer holds the cookie; may the link carry messages? Frames wait until this is answered,
    /// and so does, on the accepting side, our own proof.
    ///
    /// Answer [`Verdict::Admit`] or [`Verdict::Discard`].
    Authenticated(PeerInfo),
}

/// The answer to a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The peer may come in.
    Accept,
    /// The peer may come in; our own dial to it was given up for that.
    AcceptSimultaneous,
    /// The peer must wait: our own dial to it goes first.
    Nok,
    /// The peer may not come in.
    NotAllowed,
    /// There is a link with that name: ask the peer whether it still wants this one.
    AskAlive,
    /// The dial is still wanted; the peer drops the link that it had.
    Continue,
    /// The dial is not wanted any more.
    GiveUp,
    /// The link may carry messages.
    Admit,
    /// The link is not wanted any more.
    Discard,
}

/// What the connection waits for while it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Accepted: the peer's name.
    Name,
    /// Accepted: our own decision on the name.
    Inbound,
    /// Accepted: the peer's answer to `alive`.
    AliveAnswer,
    /// Accepted: the peer's answer to our challenge.
    Reply,
    /// Dialled: what the peer says to our name.
    Status,
    /// Dialled: our own decision whether to go on after `alive`.
    Alive,
    /// Dialled: the peer's challenge.
    Challenge,
    /// Dialled: the peer's answer to our challenge.
    Ack,
    /// Our own decision on the authenticated peer.
    Admission,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Name => "the peer's name",
            Phase::Inbound => "our decision on the peer's name",
            Phase::AliveAnswer => "the peer's answer to alive",
            Phase::Reply => "the peer's answer to our challenge",
            Phase::Status => "the peer's status",
            Phase::Alive => "our decision after alive",
            Phase::Challenge => "the peer's challenge",
            Phase::Ack => "the peer's acknowledgement",
            Phase::Admission => "our decision on the authenticated peer",
        })
    }
}

/// How far a [`Handshake`] got by one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It waits for the peer's next message.
    Waiting,
    /// It waits for a [`Verdict`] and takes no message before it.
    Ask(Question),
    /// It is over; messages may flow.
    Done(PeerInfo),
}

/// One handshake, on either side (erl_dist_protocol, "Distribution Handshake").
///
/// Made by [`Handshake::dial`] or [`Handshake::accept`]; then each whole message of the peer goes
/// to [`Handshake::handle_message`] and each answer to [`Handshake::handle_verdict`]. What to write
/// is put at the end of `output`, lengths included. After an error nothing may be called any more.
#[derive(Debug)]
pub struct Handshake {
    config: Arc<LinkConfig>,
    /// Our challenge to the peer.
    challenge: u32,
    phase: Phase,
    direction: Direction,
    /// Dialled: whom we want. Accepted: who the peer says it is, once it did.
    peer: Option<Claim>,
    /// Accepted: our proof, kept back until the link is admitted, so that a peer never counts a
    /// link as up that is thrown away at once.
    proof: Option<Digest>,
}

/// What a peer said of itself.
#[derive(Clone, Debug)]
struct Claim {
    name: NodeName,
    creation: Creation,
    flags: Flags,
    /// Whether it had no name and was given this one.
    is_named_by_us: bool,
}

impl Handshake {
    /// A handshake with `peer`, which we dialled; `challenge` is a random number of this
    /// connection alone. Our name is in `output` at once.
    pub fn dial(
        config: Arc<LinkConfig>,
        peer: NodeName,
        challenge: u32,
        output: &mut BytesMut,
    ) -> Self {
        let send_name = SendName {
            flags: config.announced(),
            creation: config.local.creation,
            name: config.local.name.clone(),
        };
        send_name.encode(config.prefix(), output);
        let wanted = Claim {
            name: peer,
            creation: Creation::from_wire(0),
            flags: Flags::NONE,
            is_named_by_us: false,
        };
        Self {
            config,
            challenge,
            phase: Phase::Status,
            direction: Direction::Dialled,
            peer: Some(wanted),
            proof: None,
        }
    }

    /// A handshake with whoever dialled us; `challenge` is a random number of this connection
    /// alone.
    pub fn accept(config: Arc<LinkConfig>, challenge: u32) -> Self {
        Self {
            config,
            challenge,
            phase: Phase::Name,
            direction: Direction::Accepted,
            peer: None,
            proof: None,
        }
    }

    /// What the handshake waits for.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Which side we are.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Dialled: whom we want. Accepted: who the peer says it is, once it did.
    pub fn claimed_name(&self) -> Option<&NodeName> {
        self.peer.as_ref().map(|peer| &peer.name)
    }

    /// What it means that the peer ends the connection now.
    pub fn closed(&self) -> LinkError {
        match (self.phase, &self.peer) {
            (Phase::Ack, Some(peer)) => LinkError::ClosedAfterDigest {
                peer: peer.name.clone(),
            },
            (phase, _) => LinkError::ClosedInSetup { phase },
        }
    }

    /// Whether a [`Question`] is open, so that no message may be given in.
    pub fn is_asking(&self) -> bool {
        matches!(self.phase, Phase::Inbound | Phase::Alive | Phase::Admission)
    }

    /// Takes one message of the peer, without its length.
    ///
    /// # Errors
    /// Everything that ends the handshake. What is in `output` then should still be written.
    pub fn handle_message(
        &mut self,
        message: &[u8],
        output: &mut BytesMut,
    ) -> Result<Progress, LinkError> {
        match self.phase {
            Phase::Name => self.take_name(message, output),
            Phase::AliveAnswer => match Status::parse(message)? {
                Status::True => Ok(self.send_challenge(output)),
                Status::False => Err(LinkError::GivenUp),
                _ => Err(HandshakeFault::Status.into()),
            },
            Phase::Reply => self.take_reply(message),
            Phase::Status => self.take_status(message),
            Phase::Challenge => self.take_challenge(message, output),
            Phase::Ack => self.take_ack(message),
            Phase::Inbound | Phase::Alive | Phase::Admission => Err(LinkError::Unasked),
        }
    }

    /// Takes the answer to the open question.
    ///
    /// # Errors
    /// [`LinkError::Unasked`] if that is no answer to the open question, and then nothing changed;
    /// otherwise what the verdict ends the handshake with, after `output` is written.
    pub fn handle_verdict(
        &mut self,
        verdict: Verdict,
        output: &mut BytesMut,
    ) -> Result<Progress, LinkError> {
        let prefix = self.prefix();
        match (self.phase, verdict) {
            (Phase::Inbound, Verdict::Accept | Verdict::AcceptSimultaneous)
                if self.claim().is_named_by_us =>
            {
                let claim = self.claim();
                encode_named(&claim.name, claim.creation, prefix, output);
                Ok(self.send_challenge(output))
            }
            (Phase::Inbound, Verdict::Accept) => {
                Status::Ok.encode(prefix, output);
                Ok(self.send_challenge(output))
            }
            (Phase::Inbound, Verdict::AcceptSimultaneous) => {
                Status::OkSimultaneous.encode(prefix, output);
                Ok(self.send_challenge(output))
            }
            (Phase::Inbound, Verdict::Nok) => {
                Status::Nok.encode(prefix, output);
                Err(LinkError::Nok)
            }
            (Phase::Inbound, Verdict::NotAllowed) => {
                Status::NotAllowed.encode(prefix, output);
                Err(LinkError::NotAllowed)
            }
            (Phase::Inbound, Verdict::AskAlive) => {
                Status::Alive.encode(prefix, output);
                Ok(self.wait(Phase::AliveAnswer))
            }
            (Phase::Alive, Verdict::Continue) => {
                Status::True.encode(prefix, output);
                Ok(self.wait(Phase::Challenge))
            }
            (Phase::Alive, Verdict::GiveUp) => {
                Status::False.encode(prefix, output);
                Err(LinkError::GivenUp)
            }
            (Phase::Admission, Verdict::Admit) => {
                if let Some(proof) = self.proof.take() {
                    encode_ack(proof, prefix, output);
                }
                Ok(Progress::Done(self.peer_info()))
            }
            (Phase::Admission, Verdict::Discard) => Err(LinkError::Discarded),
            _ => Err(LinkError::Unasked),
        }
    }

    fn wait(&mut self, phase: Phase) -> Progress {
        self.phase = phase;
        Progress::Waiting
    }

    fn ask(&mut self, phase: Phase, question: Question) -> Progress {
        self.phase = phase;
        Progress::Ask(question)
    }

    fn take_name(&mut self, message: &[u8], output: &mut BytesMut) -> Result<Progress, LinkError> {
        if message.first() == Some(&TAG_OLD_NAME) {
            return Err(LinkError::OldHandshake);
        }
        let claim = match SendName::parse_nameless(message)? {
            Some((flags, host)) => self.name_peer(flags, &host)?,
            None => {
                let said = SendName::parse(message)?;
                Claim {
                    name: said.name,
                    creation: said.creation,
                    flags: said.flags,
                    is_named_by_us: false,
                }
            }
        };
        let missing = Flags::missing_mandatory(claim.flags);
        if !missing.is_empty() {
            Status::NotAllowed.encode(self.prefix(), output);
            return Err(LinkError::MissingFlags { flags: missing });
        }
        let name = claim.name.clone();
        self.peer = Some(claim);
        if !self.config.allowed.allows(&name) {
            Status::NotAllowed.encode(self.prefix(), output);
            return Err(LinkError::NotAllowed);
        }
        Ok(self.ask(Phase::Inbound, Question::Inbound { name }))
    }

    /// What a peer is from now on that has no name. It is hidden, as OTP has it.
    fn name_peer(&self, flags: Flags, host: &str) -> Result<Claim, LinkError> {
        let seed = self.config.name_seed.ok_or(LinkError::DynamicName)?;
        let named = naming::name_for(host, seed, self.challenge);
        let (name, creation) = named.map_err(HandshakeFault::Name)?;
        Ok(Claim {
            name,
            creation,
            flags: flags.without(Flags::PUBLISHED),
            is_named_by_us: true,
        })
    }

    fn prefix(&self) -> Prefix {
        self.config.prefix()
    }

    /// The digest of `challenge` with the cookie that we hold for the peer.
    fn digest(&self, challenge: u32) -> Digest {
        Digest::new(self.config.cookies.of(&self.claim().name), challenge)
    }

    fn send_challenge(&mut self, output: &mut BytesMut) -> Progress {
        let mut flags = self.config.announced();
        if self.claim().is_named_by_us {
            // Without it the peer takes itself for one that has a name of its own, and crashes.
            flags = flags | Flags::NAME_ME;
        }
        let challenge = Challenge {
            flags,
            challenge: self.challenge,
            creation: self.config.local.creation,
            name: self.config.local.name.clone(),
        };
        challenge.encode(self.prefix(), output);
        self.wait(Phase::Reply)
    }

    fn take_reply(&mut self, message: &[u8]) -> Result<Progress, LinkError> {
        let reply = Reply::parse(message)?;
        if reply.digest != self.digest(self.challenge) {
            return Err(LinkError::WrongDigest {
                peer: self.claim().name.clone(),
            });
        }
        self.proof = Some(self.digest(reply.challenge));
        Ok(self.ask_admission())
    }

    fn take_status(&mut self, message: &[u8]) -> Result<Progress, LinkError> {
        match Status::parse(message)? {
            Status::Ok | Status::OkSimultaneous => Ok(self.wait(Phase::Challenge)),
            Status::Nok => Err(LinkError::Nok),
            Status::NotAllowed => Err(LinkError::NotAllowed),
            Status::Alive => Ok(self.ask(Phase::Alive, Question::Alive)),
            Status::Named => Err(LinkError::DynamicName),
            Status::True | Status::False => Err(HandshakeFault::Status.into()),
        }
    }

    fn take_challenge(
        &mut self,
        message: &[u8],
        output: &mut BytesMut,
    ) -> Result<Progress, LinkError> {
        let Challenge {
            flags,
            challenge,
            creation,
            name,
        } = Challenge::parse(message)?;
        let wanted = &self.claim().name;
        if name != *wanted {
            return Err(LinkError::WrongName {
                wanted: wanted.clone(),
                told: name,
            });
        }
        let missing = Flags::missing_mandatory(flags);
        if !missing.is_empty() {
            return Err(LinkError::MissingFlags { flags: missing });
        }
        self.peer = Some(Claim {
            name,
            creation,
            flags,
            is_named_by_us: false,
        });
        let digest = self.digest(challenge);
        Reply {
            challenge: self.challenge,
            digest,
        }
        .encode(self.prefix(), output);
        Ok(self.wait(Phase::Ack))
    }

    fn take_ack(&mut self, message: &[u8]) -> Result<Progress, LinkError> {
        if parse_ack(message)? != self.digest(self.challenge) {
            return Err(LinkError::AckWrongDigest {
                peer: self.claim().name.clone(),
            });
        }
        Ok(self.ask_admission())
    }

    fn ask_admission(&mut self) -> Progress {
        let info = self.peer_info();
        self.ask(Phase::Admission, Question::Authenticated(info))
    }

    fn claim(&self) -> &Claim {
        self.peer
            .as_ref()
            .expect("the peer's name is known in every phase after the first")
    }

    fn peer_info(&self) -> PeerInfo {
        let claim = self.claim();
        PeerInfo {
            name: claim.name.clone(),
            creation: claim.creation,
            flags: claim.flags.expanded() & self.config.announced(),
            visible: claim.flags.contains(Flags::PUBLISHED),
            direction: self.direction,
        }
    }
}

#[cfg(test)]
mod tests;
