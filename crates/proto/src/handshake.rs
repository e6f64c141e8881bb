//! The handshake: two names, and the proof that both hold the cookie.

mod message;

use std::fmt;

use bytes::BytesMut;
use enmesh_identity::{Cookie, Creation, NodeName};

use crate::digest::Digest;
use crate::flags::Flags;
use crate::link::{Direction, LinkError, LocalNode, PeerInfo};
pub use message::HandshakeFault;
use message::{Challenge, Reply, SendName, Status, TAG_OLD_NAME, encode_ack, parse_ack};

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
    local: LocalNode,
    cookie: Cookie,
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
}

impl Handshake {
    /// A handshake with `peer`, which we dialled; `challenge` is a random number of this
    /// connection alone. Our name is in `output` at once.
    pub fn dial(
        local: LocalNode,
        cookie: Cookie,
        peer: NodeName,
        challenge: u32,
        output: &mut BytesMut,
    ) -> Self {
        let send_name = SendName {
            flags: Flags::ours(local.visible),
            creation: local.creation,
            name: local.name.clone(),
        };
        send_name.encode(output);
        let wanted = Claim {
            name: peer,
            creation: Creation::from_wire(0),
            flags: Flags::NONE,
        };
        Self {
            local,
            cookie,
            challenge,
            phase: Phase::Status,
            direction: Direction::Dialled,
            peer: Some(wanted),
            proof: None,
        }
    }

    /// A handshake with whoever dialled us; `challenge` is a random number of this connection
    /// alone.
    pub fn accept(local: LocalNode, cookie: Cookie, challenge: u32) -> Self {
        Self {
            local,
            cookie,
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

    /// What it means that the connection ends now.
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
        match (self.phase, verdict) {
            (Phase::Inbound, Verdict::Accept) => {
                Status::Ok.encode(output);
                Ok(self.send_challenge(output))
            }
            (Phase::Inbound, Verdict::AcceptSimultaneous) => {
                Status::OkSimultaneous.encode(output);
                Ok(self.send_challenge(output))
            }
            (Phase::Inbound, Verdict::Nok) => {
                Status::Nok.encode(output);
                Err(LinkError::Nok)
            }
            (Phase::Inbound, Verdict::NotAllowed) => {
                Status::NotAllowed.encode(output);
                Err(LinkError::NotAllowed)
            }
            (Phase::Inbound, Verdict::AskAlive) => {
                Status::Alive.encode(output);
                Ok(self.wait(Phase::AliveAnswer))
            }
            (Phase::Alive, Verdict::Continue) => {
                Status::True.encode(output);
                Ok(self.wait(Phase::Challenge))
            }
            (Phase::Alive, Verdict::GiveUp) => {
                Status::False.encode(output);
                Err(LinkError::GivenUp)
            }
            (Phase::Admission, Verdict::Admit) => {
                if let Some(proof) = self.proof.take() {
                    encode_ack(proof, output);
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
        if SendName::flags(message)?.contains(Flags::NAME_ME) {
            return Err(LinkError::DynamicName);
        }
        let SendName {
            flags,
            creation,
            name,
        } = SendName::parse(message)?;
        let missing = Flags::missing_mandatory(flags);
        if !missing.is_empty() {
            Status::NotAllowed.encode(output);
            return Err(LinkError::MissingFlags { flags: missing });
        }
        self.peer = Some(Claim {
            name: name.clone(),
            creation,
            flags,
        });
        Ok(self.ask(Phase::Inbound, Question::Inbound { name }))
    }

    fn send_challenge(&mut self, output: &mut BytesMut) -> Progress {
        let challenge = Challenge {
            flags: Flags::ours(self.local.visible),
            challenge: self.challenge,
            creation: self.local.creation,
            name: self.local.name.clone(),
        };
        challenge.encode(output);
        self.wait(Phase::Reply)
    }

    fn take_reply(&mut self, message: &[u8]) -> Result<Progress, LinkError> {
        let reply = Reply::parse(message)?;
        if reply.digest != Digest::new(&self.cookie, self.challenge) {
            return Err(LinkError::WrongDigest {
                peer: self.claim().name.clone(),
            });
        }
        self.proof = Some(Digest::new(&self.cookie, reply.challenge));
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
        });
        let digest = Digest::new(&self.cookie, challenge);
        Reply {
            challenge: self.challenge,
            digest,
        }
        .encode(output);
        Ok(self.wait(Phase::Ack))
    }

    fn take_ack(&mut self, message: &[u8]) -> Result<Progress, LinkError> {
        if parse_ack(message)? != Digest::new(&self.cookie, self.challenge) {
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
            flags: claim.flags.expanded() & Flags::ours(self.local.visible),
            visible: claim.flags.contains(Flags::PUBLISHED),
            direction: self.direction,
        }
    }
}

#[cfg(test)]
mod tests;
