//! One connection, from its first byte to its last.

mod action;
mod config;
mod error;
mod ticks;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use enmesh_identity::NodeName;

use crate::control::{Control, Message};
use crate::framing::Prefix;
use crate::handshake::{Handshake, MAX_HANDSHAKE_MESSAGE, Phase, Progress, Verdict};
use crate::incoming::{Incoming, Memory, Packet};
use crate::outgoing::Outgoing;
use crate::output::Output;
use crate::packet::{self, Form};
use crate::payload::Payload;
pub use action::{Action, LinkCounters};
pub use config::{Direction, LinkConfig, LinkConfigError, LocalNode, PeerInfo};
pub use error::LinkError;
use ticks::{Check, Ticks};

/// The biggest buffer, in bytes, that is used again for the next batch of output.
const KEPT_OUTPUT: usize = 64 << 10;
/// A message without bytes.
const TICK: [u8; 4] = [0; 4];

/// One connection as a machine: handshake, then messages and ticks.
///
/// Made by [`Link::dial`] or [`Link::accept`]. After each call of a `handle_*` method, call
/// [`Link::poll_action`] until `None`, write what [`Link::take_output`] gives, and be back with
/// [`Link::handle_timeout`] at [`Link::deadline`]. An error of a `handle_*` method ends the link in
/// the same way as [`Action::Close`] does: the messages that came before it can still be polled, and
/// what is in the output should be written before the socket is closed. The only exceptions are the
/// variants of [`LinkError`] that say that the link lives.
///
/// Messages are delivered in the order in which the peer completed them. Those to send keep the
/// order of the calls within a flow; see [`Link::send`]. The bytes of a large payload may share
/// memory with the inbox that they came in, if they are about half of that or more.
#[derive(Debug)]
pub struct Link {
    config: Arc<LinkConfig>,
    state: State,
    output: BytesMut,
    actions: VecDeque<Action>,
    counters: LinkCounters,
    /// How many bytes of the inbox were seen but not taken by the last call.
    leftover: usize,
    /// What the inbox lies in.
    memory: Memory,
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
        incoming: Box<Incoming>,
        outgoing: Box<Outgoing>,
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
            memory: Memory::default(),
        }
    }

    /// Takes whole frames out of `inbox` and leaves the rest there; `now` must never go back.
    ///
    /// `inbox` is always the same buffer, to which the driver appends what it reads. While a
    /// [`Question`](crate::Question) is open nothing is taken.
    ///
    /// # Errors
    /// Everything by which a peer can end the link.
    pub fn handle_bytes(&mut self, now: Instant, inbox: &mut BytesMut) -> Result<(), LinkError> {
        self.note_arrival(inbox.len());
        self.memory.look(inbox);
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
            State::Up {
                ticks, outgoing, ..
            } => {
                let interval = self.config.tick_interval();
                self.config.spares.tick(now, interval);
                let is_pending = !self.output.is_empty() || !outgoing.is_empty();
                match ticks.check(now, is_pending) {
                    Check::Fine => Ok(()),
                    Check::Tick => {
                        self.put_tick();
                        Ok(())
                    }
                    Check::Dead => Err(self.end(LinkError::TickTimeout)),
                }
            }
            State::Ended { .. } => Ok(()),
        }
    }

    /// The stream ended in order: says what that means in this phase, and ends the link.
    pub fn handle_eof(&mut self) -> LinkError {
        self.handle_end(Handshake::closed)
    }

    /// The stream broke (a reset, a write that nobody takes): says what that means in this phase,
    /// and ends the link. It says nothing of cookies: who refuses a digest has read all that there
    /// was, and so ends in order.
    pub fn handle_broken(&mut self) -> LinkError {
        self.handle_end(|handshake| LinkError::ClosedInSetup {
            phase: handshake.phase(),
        })
    }

    fn handle_end(&mut self, in_setup: impl FnOnce(&Handshake) -> LinkError) -> LinkError {
        let error = match &self.state {
            State::Setup { handshake, .. } => in_setup(handshake),
            State::Up { .. } => LinkError::Closed,
            State::Ended { error, .. } => return error.clone(),
        };
        self.end(error)
    }

    /// Takes a message to be written. `payload` is an external term without the version byte 131,
    /// for those operations that have one.
    ///
    /// Messages of one flow leave in the order of the calls. A payload of more than 64 KiB leaves
    /// in fragments, and meanwhile messages of other flows go before it: large ones take turns, and
    /// a small one waits for one batch of [`Link::take_output`] at most. Flow 0 is the node itself.
    /// To a peer that does not announce FRAGMENTS, which none since OTP 22 fails to, everything
    /// goes whole and in the order of the calls.
    ///
    /// # Errors
    /// [`LinkError::NotUp`], [`LinkError::TooLarge`] and [`LinkError::OutputFull`]: nothing was put
    /// into the output, and the link lives.
    pub fn send(
        &mut self,
        flow: u64,
        control: &Control,
        payload: Option<Bytes>,
    ) -> Result<(), LinkError> {
        self.send_pieces(flow, control, payload.map(Payload::from))
    }

    /// The same with a payload that may be in pieces, which are not joined if it is large.
    ///
    /// # Errors
    /// As for [`Link::send`].
    pub fn send_pieces(
        &mut self,
        flow: u64,
        control: &Control,
        payload: Option<Payload>,
    ) -> Result<(), LinkError> {
        let payload = payload.unwrap_or_default();
        let State::Up { outgoing, .. } = &mut self.state else {
            return Err(LinkError::NotUp);
        };
        outgoing.send(&mut self.output, flow, control, payload)?;
        self.counters.frames_out += 1;
        Ok(())
    }

    /// What is to be written next; it counts as written from now on. `None` if there is nothing.
    ///
    /// That is every small message that waits, and about 256 KiB of fragments, or one fragment if
    /// the small messages alone have 64 KiB and more. Take no more before that is written, or small
    /// messages wait for it needlessly.
    pub fn take_output(&mut self, now: Instant) -> Option<BytesMut> {
        self.take_pieces(now).map(Output::into_bytes)
    }

    /// The same in pieces, for a writer that takes several at once: large payloads are not copied.
    pub fn take_pieces(&mut self, _now: Instant) -> Option<Output> {
        let mut batch = Output::default();
        if let State::Up { outgoing, .. } = &mut self.state {
            outgoing.fill(&mut self.output, &mut batch);
        }
        if batch.is_empty() && self.output.is_empty() {
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
        batch.push(output.freeze());
        self.counters.bytes_out += batch.remaining() as u64;
        Some(batch)
    }

    /// Whether [`Link::take_output`] has something to give.
    pub fn has_output(&self) -> bool {
        self.pending_output() > 0
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

    /// Accepted: whether the peer has our challenge, and waits to hear whether its digest is right.
    pub fn has_challenged(&self) -> bool {
        match &self.state {
            State::Setup { handshake, .. } => {
                matches!(handshake.phase(), Phase::Reply | Phase::Admission)
            }
            State::Up { .. } | State::Ended { .. } => false,
        }
    }

    /// Whether messages may be sent.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// How many bytes wait to be taken by [`Link::take_output`], not counting those around them.
    pub fn pending_output(&self) -> usize {
        let large = match &self.state {
            State::Up { outgoing, .. } => outgoing.large(),
            _ => 0,
        };
        self.pending_small() + large
    }

    /// How many of these are of messages up to 64 KiB. While they are few, a new small message is
    /// written soon, however many of large ones wait.
    pub fn pending_small(&self) -> usize {
        let waiting = match &self.state {
            State::Up { outgoing, .. } => outgoing.small(),
            _ => 0,
        };
        self.output.len() + waiting
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
                State::Up { .. } => {
                    if !self.take_packet(inbox)? {
                        return Ok(());
                    }
                }
                State::Ended { error, .. } => return Err(error.clone()),
            }
        }
    }

    /// Takes one packet off the front of the inbox; whether there was one.
    fn take_packet(&mut self, inbox: &mut BytesMut) -> Result<bool, LinkError> {
        let State::Up {
            ticks,
            peer,
            incoming,
            outgoing,
        } = &mut self.state
        else {
            return Ok(false);
        };
        let Some(len) = Prefix::Four.whole(inbox, self.config.max_message)? else {
            return Ok(false);
        };
        inbox.advance(Prefix::Four.width());
        if len == 0 {
            self.counters.ticks_in += 1;
            if ticks.tick_came(!self.output.is_empty() || !outgoing.is_empty()) {
                self.put_tick();
            }
            return Ok(true);
        }
        let (counters, actions) = (&mut self.counters, &mut self.actions);
        let deliver = |message: Message| {
            counters.frames_in += 1;
            let remote = message.control.remote();
            if remote.is_some_and(|pid| pid.node().as_bytes() != peer.name.as_str().as_bytes()) {
                return Err(LinkError::ForeignProcess {
                    peer: peer.name.clone(),
                });
            }
            actions.push_back(Action::Deliver(message));
            Ok(())
        };
        // A fragment is copied to those before it anyway; the buffer of reads is used again then.
        if !self.memory.may_be_shared(len) || packet::is_fragment(inbox) {
            let bytes = &inbox[..len];
            let taken = incoming.take(Packet { bytes, owner: None }, deliver);
            inbox.advance(len);
            taken?;
        } else {
            let owner = inbox.split_to(len).freeze();
            let packet = Packet {
                bytes: &owner,
                owner: Some(&owner),
            };
            incoming.take(packet, deliver)?;
        }
        Ok(true)
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
                let form = Form::of(peer.flags);
                let spares = Arc::clone(&self.config.spares);
                let LinkConfig {
                    max_message,
                    max_output,
                    ..
                } = *self.config;
                self.state = State::Up {
                    peer: Box::new(peer),
                    ticks,
                    incoming: Box::new(Incoming::new(form, max_message, spares)),
                    outgoing: Box::new(Outgoing::new(form, max_message, max_output)),
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

#[cfg(test)]
mod tests;
