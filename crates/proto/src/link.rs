//! One connection, from its first byte to its last.

mod config;
mod error;
mod ticks;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use enmesh_identity::NodeName;

use crate::control::{Control, Message};
use crate::framing::{FrameError, Prefix};
use crate::handshake::{Handshake, MAX_HANDSHAKE_MESSAGE, Progress, Question, Verdict};
pub use config::{Direction, LinkConfig, LinkConfigError, LocalNode, PeerInfo};
pub use error::LinkError;
use ticks::{Check, Ticks};

/// The first byte of a message without header.
const PASS_THROUGH: u8 = 112;
/// The first byte of an external term.
const TERM_VERSION: u8 = 131;
/// The biggest buffer, in bytes, that is used again for the next batch of output.
const KEPT_OUTPUT: usize = 64 << 10;
/// A message without bytes.
const TICK: [u8; 4] = [0; 4];

/// What the driver of a link does next.
// Almost every action is a message; a box would cost each an allocation to save the rare others
// some bytes.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Have the question answered by [`Link::handle_verdict`], then give what is in the inbox to
    /// [`Link::handle_bytes`] again. Read nothing more meanwhile.
    Ask(Question),
    /// A message of the peer.
    Deliver(Message),
    /// Write the output, then close the socket: nothing more will come.
    Close(LinkError),
}

/// What went over a link so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Messages received, without ticks.
    pub frames_in: u64,
    /// Messages sent, without ticks.
    pub frames_out: u64,
    /// Bytes received, handshake and lengths included.
    pub bytes_in: u64,
    /// Bytes given out to be written, handshake and lengths included.
    pub bytes_out: u64,
    /// Ticks received.
    pub ticks_in: u64,
    /// Ticks sent.
    pub ticks_out: u64,
}

/// One connection as a machine: handshake, then messages and ticks.
///
/// Made by [`Link::dial`] or [`Link::accept`]. After each call of a `handle_*` method, call
/// [`Link::poll_action`] until `None`, write what [`Link::take_output`] gives, and be back with
/// [`Link::handle_timeout`] at [`Link::deadline`]. An error of a `handle_*` method ends the link in
/// the same way as [`Action::Close`] does: the messages that came before it can still be polled, and
/// what is in the output should be written before the socket is closed. The only exceptions are the
/// variants of [`LinkError`] that say that the link lives.
///
/// Messages are delivered in the order in which the peer sent them, and sent in the order of the
/// calls. The bytes of a payload share memory with the inbox that they came in.
#[derive(Debug)]
pub struct Link {
    config: Arc<LinkConfig>,
    state: State,
    output: BytesMut,
    actions: VecDeque<Action>,
    counters: LinkCounters,
    /// How many bytes of the inbox were seen but not taken by the last call.
    leftover: usize,
}

#[derive(Debug)]
enum State {
    Setup {
        handshake: Box<Handshake>,
        deadline: Instant,
    },
    Up {
        peer: Box<PeerInfo>,
        ticks: Ticks,
    },
    Ended {
        error: LinkError,
        peer: Option<Box<PeerInfo>>,
        claimed: Option<NodeName>,
    },
}

impl Link {
    /// A link with `peer`, whose connection we just opened; `challenge` is a random number of this
    /// link alone. The first message is in the output at once; if the link is not allowed, there
    /// is none, and the first action is [`Action::Close`].
    pub fn dial(now: Instant, config: Arc<LinkConfig>, peer: NodeName, challenge: u32) -> Self {
        let mut output = BytesMut::new();
        let is_allowed = config.allowed.allows(&peer);
        let handshake = Handshake::dial(config.clone(), peer, challenge, &mut output);
        let mut link = Self::new(now, config, handshake, output);
        if !is_allowed {
            link.output.clear();
            let error = link.end(LinkError::NotAllowed);
            link.actions.push_back(Action::Close(error));
        }
        link
    }

    /// A link with whoever opened this connection to us; `challenge` is a random number of this
    /// link alone.
    pub fn accept(now: Instant, config: Arc<LinkConfig>, challenge: u32) -> Self {
        let handshake = Handshake::accept(config.clone(), challenge);
        Self::new(now, config, handshake, BytesMut::new())
    }

    fn new(now: Instant, config: Arc<LinkConfig>, handshake: Handshake, output: BytesMut) -> Self {
        let deadline = now + config.setup_time;
        Self {
            config,
            state: State::Setup {
                handshake: Box::new(handshake),
                deadline,
            },
            output,
            actions: VecDeque::new(),
            counters: LinkCounters::default(),
            leftover: 0,
        }
    }

    /// Takes whole frames out of `inbox` and leaves the rest there; `now` must never go back.
    ///
    /// `inbox` is always the same buffer, to which the driver appends what it reads. While a
    /// [`Question`] is open nothing is taken.
    ///
    /// # Errors
    /// Everything by which a peer can end the link.
    pub fn handle_bytes(&mut self, now: Instant, inbox: &mut BytesMut) -> Result<(), LinkError> {
        self.note_arrival(inbox.len());
        let result = self.take_frames(now, inbox);
        self.leftover = inbox.len();
        result.map_err(|error| self.end(error))
    }

    /// Takes the answer to the open question. Call [`Link::handle_bytes`] afterwards, also if
    /// nothing was read: the inbox may hold frames.
    ///
    /// A verdict that ends the link gives an [`Action::Close`] and is no error.
    ///
    /// # Errors
    /// [`LinkError::Unasked`] if no open question has that answer; nothing changed then.
    pub fn handle_verdict(&mut self, now: Instant, verdict: Verdict) -> Result<(), LinkError> {
        let State::Setup { handshake, .. } = &mut self.state else {
            return Err(LinkError::Unasked);
        };
        match handshake.handle_verdict(verdict, &mut self.output) {
            Ok(progress) => self.advance(now, progress),
            Err(LinkError::Unasked) => return Err(LinkError::Unasked),
            Err(error) => {
                let error = self.end(error);
                self.actions.push_back(Action::Close(error));
            }
        }
        Ok(())
    }

    /// Does what is due at `now`: ends a handshake that takes too long, ticks, ends a link whose
    /// peer is silent. Calling it too early does nothing.
    ///
    /// # Errors
    /// [`LinkError::SetupTimeout`] and [`LinkError::TickTimeout`].
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), LinkError> {
        match &mut self.state {
            State::Setup {
                handshake,
                deadline,
            } => {
                if now < *deadline {
                    return Ok(());
                }
                let phase = handshake.phase();
                Err(self.end(LinkError::SetupTimeout { phase }))
            }
            State::Up { ticks, .. } => match ticks.check(now, !self.output.is_empty()) {
                Check::Fine => Ok(()),
                Check::Tick => {
                    self.put_tick();
                    Ok(())
                }
                Check::Dead => Err(self.end(LinkError::TickTimeout)),
            },
            State::Ended { .. } => Ok(()),
        }
    }

    /// The stream ended or broke: says what that means in this phase, and ends the link.
    pub fn handle_eof(&mut self) -> LinkError {
        let error = match &self.state {
            State::Setup { handshake, .. } => handshake.closed(),
            State::Up { .. } => LinkError::Closed,
            State::Ended { error, .. } => return error.clone(),
        };
        self.end(error)
    }

    /// Puts a message into the output. `payload` is an external term without the version byte 131,
    /// for those operations that have one.
    ///
    /// Messages of one flow leave in the order of the calls. Those of different flows may overtake
    /// each other when one is large. Flow 0 is the node itself.
    ///
    /// # Errors
    /// [`LinkError::NotUp`], [`LinkError::TooLarge`] and [`LinkError::OutputFull`]: nothing was put
    /// into the output, and the link lives.
    pub fn send(
        &mut self,
        _flow: u64,
        control: &Control,
        payload: Option<Bytes>,
    ) -> Result<(), LinkError> {
        let payload_len = payload.as_ref().map_or(0, |payload| payload.len() + 1);
        if !matches!(self.state, State::Up { .. }) {
            return Err(LinkError::NotUp);
        }
        let start = self.output.len();
        // Most control messages are shorter than this; a longer one grows the buffer.
        self.output
            .reserve(payload_len.min(self.config.max_message) + 128);
        self.output.put_slice(&[0, 0, 0, 0, PASS_THROUGH]);
        control.encode_into(&mut self.output);
        let len = self.output.len() - start - 4 + payload_len;
        let refused = if len > self.config.max_message {
            Some(LinkError::TooLarge {
                len,
                max: self.config.max_message,
            })
        } else if start > 0 && start + len > self.config.max_output {
            Some(LinkError::OutputFull)
        } else {
            None
        };
        if let Some(error) = refused {
            self.output.truncate(start);
            return Err(error);
        }
        if let Some(payload) = payload {
            self.output.put_u8(TERM_VERSION);
            self.output.put_slice(&payload);
        }
        let len = u32::try_from(len).expect("max_message is at most 2 GiB");
        self.output[start..start + 4].copy_from_slice(&len.to_be_bytes());
        self.counters.frames_out += 1;
        Ok(())
    }

    /// Everything that is to be written, once per batch; it counts as written from now on. `None`
    /// if there is nothing.
    pub fn take_output(&mut self, _now: Instant) -> Option<BytesMut> {
        if self.output.is_empty() {
            return None;
        }
        if let State::Up { ticks, .. } = &mut self.state {
            ticks.written();
        }
        // A big buffer goes with its bytes, so that one burst is not held for the link's life.
        let output = if self.output.capacity() > KEPT_OUTPUT {
            std::mem::take(&mut self.output)
        } else {
            self.output.split()
        };
        self.counters.bytes_out += output.len() as u64;
        Some(output)
    }

    /// What to do next. Call after every `handle_*`, until `None`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Link::handle_timeout`] is due; `None` once the link ended.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Setup { deadline, .. } => Some(*deadline),
            State::Up { ticks, .. } => Some(ticks.next_check()),
            State::Ended { .. } => None,
        }
    }

    /// The peer of a link that is or was up.
    pub fn peer(&self) -> Option<&PeerInfo> {
        match &self.state {
            State::Setup { .. } => None,
            State::Up { peer, .. } => Some(peer),
            State::Ended { peer, .. } => peer.as_deref(),
        }
    }

    /// Dialled: whom we want. Accepted: who the peer says it is, once it did.
    pub fn claimed_name(&self) -> Option<&NodeName> {
        match &self.state {
            State::Setup { handshake, .. } => handshake.claimed_name(),
            State::Up { peer, .. } => Some(&peer.name),
            State::Ended { claimed, .. } => claimed.as_ref(),
        }
    }

    /// Whether messages may be sent.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// How many bytes wait to be taken by [`Link::take_output`].
    pub fn pending_output(&self) -> usize {
        self.output.len()
    }

    /// What went over the link so far.
    pub fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    fn note_arrival(&mut self, inbox: usize) {
        let arrived = inbox.saturating_sub(self.leftover);
        if arrived > 0 {
            self.counters.bytes_in += arrived as u64;
            if let State::Up { ticks, .. } = &mut self.state {
                ticks.read();
            }
        }
    }

    fn take_frames(&mut self, now: Instant, inbox: &mut BytesMut) -> Result<(), LinkError> {
        loop {
            match &mut self.state {
                State::Setup { handshake, .. } => {
                    if handshake.is_asking() {
                        return Ok(());
                    }
                    let Some(message) = self.config.prefix().take(inbox, MAX_HANDSHAKE_MESSAGE)?
                    else {
                        return Ok(());
                    };
                    let progress = handshake.handle_message(&message, &mut self.output)?;
                    self.advance(now, progress);
                }
                State::Up { ticks, peer } => {
                    let Some(body) = Prefix::Four.take(inbox, self.config.max_message)? else {
                        return Ok(());
                    };
                    if body.is_empty() {
                        self.counters.ticks_in += 1;
                        if ticks.tick_came(!self.output.is_empty()) {
                            self.put_tick();
                        }
                        continue;
                    }
                    self.counters.frames_in += 1;
                    let message = parse_body(body.freeze())?;
                    let remote = message.control.remote();
                    if remote.is_some_and(|pid| pid.node().as_str() != peer.name.as_str()) {
                        return Err(LinkError::ForeignProcess {
                            peer: peer.name.clone(),
                        });
                    }
                    self.actions.push_back(Action::Deliver(message));
                }
                State::Ended { error, .. } => return Err(error.clone()),
            }
        }
    }

    /// A step of the handshake was made: each phase has its own time.
    fn advance(&mut self, now: Instant, progress: Progress) {
        let State::Setup { deadline, .. } = &mut self.state else {
            return;
        };
        *deadline = now + self.config.setup_time;
        match progress {
            Progress::Waiting => {}
            Progress::Ask(question) => self.actions.push_back(Action::Ask(question)),
            Progress::Done(peer) => {
                let interval = self.config.tick_interval();
                let ticks = Ticks::new(now, interval, self.config.net_tickintensity);
                self.state = State::Up {
                    peer: Box::new(peer),
                    ticks,
                };
            }
        }
    }

    fn put_tick(&mut self) {
        self.output.put_slice(&TICK);
        self.counters.ticks_out += 1;
    }

    fn end(&mut self, error: LinkError) -> LinkError {
        let claimed = self.claimed_name().cloned();
        let peer = self.peer().cloned().map(Box::new);
        self.state = State::Ended {
            error: error.clone(),
            peer,
            claimed,
        };
        error
    }
}

/// Cuts a body into control message and payload; the payload is not looked into.
fn parse_body(mut body: Bytes) -> Result<Message, LinkError> {
    if body.len() < 2 || body[0] != PASS_THROUGH || body[1] != TERM_VERSION {
        return Err(FrameError::NotPassThrough.into());
    }
    let (control, used) = Control::decode_prefix(&body[1..])?;
    let mut payload = body.split_off(1 + used);
    match (control.has_payload(), payload.first()) {
        (true, None) => Err(FrameError::PayloadMissing.into()),
        (true, Some(&TERM_VERSION)) => Ok(Message {
            control,
            payload: Some(payload.split_off(1)),
        }),
        (true, Some(_)) => Err(FrameError::PayloadVersion.into()),
        (false, None) => Ok(Message {
            control,
            payload: None,
        }),
        (false, Some(_)) => Err(FrameError::Trailing { len: payload.len() }.into()),
    }
}

#[cfg(test)]
mod tests;
