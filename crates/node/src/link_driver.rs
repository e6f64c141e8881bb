//! One task per connection: bytes between the socket and the [`Link`], questions to the manager,
//! messages to the kernel and from the link's queue. No decision is taken here.

mod step;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use enmesh_membership::LinkId;
use enmesh_otp::Prepared;
use enmesh_proto::{Action, Link, LinkError, Message, Output, Question, Verdict};
use enmesh_term::Atom;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::crew::Pace;
use crate::deadline::Alarm;
use crate::kernel_driver::{KernelDriver, atom_of};
use crate::link_queue::{KEPT_PLACES, LinkQueue, Outgoing, Size};
use crate::transport::{Stream, read_arrived, write_now};
use step::{Step, is_broken, transfer};

/// The least room to read into, in bytes; an idle link holds no more than this.
const READ_MIN: usize = 4 * 1024;

/// The most room to read into at once, in bytes; reached by doubling while reads fill it.
const READ_MAX: usize = 256 * 1024;

/// The same while messages are small: as many as stay near the processor until they are delivered.
const READ_MAX_SMALL: usize = 32 * 1024;

/// Up to this length, in bytes, messages are small.
const SMALL_MESSAGE: usize = 1024;

/// How long a link that is over may take to write its last bytes.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// How many bytes of small messages may wait inside of the link before more are taken from the
/// queue.
const LINK_AHEAD: usize = 256 * 1024;

/// How many messages are delivered at once where they are answered. The answers to these leave
/// before the next are delivered, so that the peer has work meanwhile: where both sides only take
/// all that has come and answer all of it, one sleeps while the other works.
const ANSWERED_AT_ONCE: usize = 32;

/// What connects a link's task with the rest of the node.
#[derive(Debug)]
pub(crate) struct Wires {
    pub(crate) id: LinkId,
    /// What the manager must know; one question at a time.
    pub(crate) reports: mpsc::Sender<Report>,
    /// Its answers to the questions.
    pub(crate) verdicts: mpsc::Receiver<Verdict>,
    /// Ends the link from our side.
    pub(crate) stop: CancellationToken,
    /// Whom the messages of the peer are for.
    pub(crate) kernel: Arc<KernelDriver>,
    /// What is to be sent.
    pub(crate) queue: Arc<LinkQueue>,
}

/// What a link's task tells the manager while it lives.
#[derive(Debug)]
pub(crate) enum Report {
    /// The socket of this dial is there, connected to this address.
    Dialled(LinkId, Option<SocketAddr>),
    /// The link waits for a verdict.
    Asks(LinkId, Question),
    /// So many messages could not be decoded and were dropped; the link lives.
    Undecodable(LinkId, u64),
}

/// How a link's task ended.
#[derive(Debug)]
pub(crate) enum LinkEnd {
    /// The manager wanted it so.
    Stopped,
    /// The protocol, the peer or the socket did.
    Failed(LinkError),
}

/// Turns `link` over `stream` until one of the three ends it.
pub(crate) async fn drive(stream: Stream, link: Link, wires: Wires) -> LinkEnd {
    // A socket that refuses the option is about to fail anyway.
    let _ = stream.set_options();
    let mut driver = Driver::new(link, wires);
    let (mut reader, mut writer) = stream.into_split();
    let end = driver.run(&mut reader, &mut writer).await;
    // Who waits for room is told now, and not when the peer has taken leave.
    driver.wires.queue.close();
    // A peer that has sent its digest would take an end in order for our word that it is wrong.
    let writer = match &end {
        LinkEnd::Failed(LinkError::Discarded) => writer.abandon(),
        LinkEnd::Stopped if driver.link.has_challenged() => writer.abandon(),
        _ => Some(writer),
    };
    if let Some(mut writer) = writer {
        // A peer that does not read must not hold us up; that it is told why is all we can wish.
        let _ = tokio::time::timeout(LAST_WRITE, writer.shutdown()).await;
    }
    end
}

struct Driver {
    link: Link,
    pace: Arc<Pace>,
    /// The peer's name; present once the link is up.
    peer: Option<Atom>,
    /// Messages that could not be decoded, of which the manager does not know yet.
    undecodable: u64,
    /// Somebody waited for what was delivered last.
    has_woken: bool,
    /// Whoever was woken last has sent something at once.
    is_answered: bool,
    inbox: BytesMut,
    /// One batch on its way to the socket.
    outbox: Output,
    room: usize,
    /// Messages from the queue for the link.
    taken: VecDeque<Outgoing>,
    /// Bytes of large messages that the link holds.
    large: usize,
    /// The socket is read before it is written, for it was written last.
    reads_first: bool,
    /// A question is with the manager; nothing more is read until it is answered.
    asking: bool,
    /// Set when only the output remains to be written, and until when that is tried.
    closing: Option<(LinkError, Instant)>,
    alarm: Alarm,
    wires: Wires,
}

impl Driver {
    fn new(link: Link, wires: Wires) -> Self {
        Self {
            pace: Arc::clone(&wires.kernel.workers.crew().pace),
            link,
            peer: None,
            undecodable: 0,
            has_woken: false,
            is_answered: false,
            inbox: BytesMut::new(),
            outbox: Output::default(),
            room: READ_MIN,
            taken: VecDeque::new(),
            large: 0,
            reads_first: false,
            asking: false,
            closing: None,
            alarm: Alarm::default(),
            wires,
        }
    }

    async fn run<R, W>(&mut self, reader: &mut R, writer: &mut W) -> LinkEnd
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let drained = self.drain_actions().await.unwrap_or_else(|error| {
                self.close(error);
                Drained::Wholly
            });
            let has_woken = std::mem::take(&mut self.has_woken);
            if has_woken {
                // Whoever waited may run on this very thread, however much there is to read.
                tokio::task::yield_now().await;
            }
            let (sent, fills) = (self.link.counters().frames_out, self.outbox.is_empty());
            if let Err(error) = self.fill_outbox(writer.is_write_vectored()) {
                self.close(error);
            }
            if has_woken && fills {
                self.is_answered = self.link.counters().frames_out > sent;
            }
            if drained == Drained::Partly {
                // What cannot be written now waits for the rest to be delivered.
                if let Some(written) = write_now(writer, &mut self.outbox).await
                    && let Err(error) = self.handle(Step::Written(written), None)
                {
                    self.close(error);
                }
                continue;
            }
            if self.outbox.is_empty()
                && let Some((error, _)) = self.closing.take()
            {
                return LinkEnd::Failed(error);
            }
            let deadline = match &self.closing {
                Some((_, deadline)) => Some(*deadline),
                None => self.link.deadline(),
            };
            let Some(step) = self.step(reader, writer, deadline).await else {
                return LinkEnd::Stopped;
            };
            if let Some((error, _)) = &self.closing {
                if !matches!(step, Step::Written(Ok(_))) {
                    return LinkEnd::Failed(error.clone());
                }
            } else if let Err(error) = self.handle(step, deadline) {
                self.close(error);
            }
        }
    }

    /// Waits for what can be done next; `None` once the manager wants the link to end.
    async fn step<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        deadline: Option<Instant>,
    ) -> Option<Step>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let reading = !self.asking && self.closing.is_none();
        if reading {
            self.make_room();
        }
        let taking = self.outbox.is_empty() && self.closing.is_none() && self.link.is_up();
        // Every branch is cancel safe: `read_buf` and `write_buf` move bytes only when they
        // return, a channel's `recv` loses nothing, and `arrived` takes nothing.
        tokio::select! {
            biased;
            () = self.wires.stop.cancelled() => None,
            verdict = self.wires.verdicts.recv(), if self.asking => Some(Step::Verdict(verdict)),
            // Before reading and writing, of which one may always be possible.
            () = self.alarm.until(deadline) => {
                // What has arrived counts before the clock does: after a pause of our own
                // process the peer must not be taken for silent.
                let arrived = match reading {
                    true => read_arrived(reader, &mut self.inbox).await,
                    false => None,
                };
                match arrived {
                    Some(Ok(read)) if read > 0 => Some(Step::Read(Ok(read))),
                    _ => Some(Step::Timeout),
                }
            }
            step = transfer(
                reader, &mut self.inbox, reading,
                writer, &mut self.outbox, self.reads_first,
            ) => Some(step),
            () = self.wires.queue.arrived(), if taking => Some(Step::Queued),
        }
    }

    /// Nothing more is read; what is to be written is, within [`LAST_WRITE`].
    fn close(&mut self, error: LinkError) {
        self.closing
            .get_or_insert((error, Instant::now() + LAST_WRITE));
    }

    fn handle(&mut self, step: Step, deadline: Option<Instant>) -> Result<(), LinkError> {
        let now = Instant::now();
        match step {
            Step::Verdict(None) => Err(LinkError::Discarded),
            Step::Verdict(Some(verdict)) => {
                self.asking = false;
                self.link.handle_verdict(now, verdict)?;
                if verdict == Verdict::Admit {
                    self.peer = self.link.peer().map(|peer| atom_of(&peer.name));
                }
                self.link.handle_bytes(now, &mut self.inbox)
            }
            Step::Read(Ok(0)) => Err(self.link.handle_eof()),
            Step::Read(Err(error)) | Step::Written(Err(error)) => Err(match is_broken(&error) {
                true => self.link.handle_broken(),
                // TLS that ends without a word of its own.
                false => self.link.handle_eof(),
            }),
            Step::Written(Ok(_)) => {
                self.pace.written(now);
                self.reads_first = true;
                Ok(())
            }
            Step::Read(Ok(read)) => {
                self.pace.read(now, read);
                self.reads_first = false;
                let before = self.link.counters().frames_in;
                let is_full = read >= self.room;
                let handled = self.link.handle_bytes(now, &mut self.inbox);
                let frames = self.link.counters().frames_in - before;
                self.room = match (is_full, frames > (read / SMALL_MESSAGE) as u64) {
                    (true, true) => READ_MAX_SMALL.min(self.room * 2),
                    (true, false) => READ_MAX.min(self.room * 2),
                    (false, _) => READ_MIN.max(self.room / 2),
                };
                handled?;
                // The clock was due when this was read instead.
                match deadline {
                    Some(due) if due <= now => self.link.handle_timeout(now),
                    _ => Ok(()),
                }
            }
            Step::Timeout => self.link.handle_timeout(now),
            Step::Queued => Ok(()),
        }
    }

    /// The next batch, once the last one is written. Messages are taken from the queue as long as
    /// the link holds little, so that it is the queue's budget that tells senders to wait.
    fn fill_outbox(&mut self, in_pieces: bool) -> Result<(), LinkError> {
        if !self.outbox.is_empty() {
            return Ok(());
        }
        if self.closing.is_none() && self.link.is_up() {
            self.fill_link()?;
        }
        let batch = self.link.take_pieces(Instant::now()).unwrap_or_default();
        self.outbox = if in_pieces { batch } else { batch.joined() };
        if self.outbox.is_empty() && self.taken.capacity() > KEPT_PLACES {
            self.taken = VecDeque::new();
        }
        let pending = self.link.pending_output();
        if pending < self.large {
            self.wires.queue.large_written(self.large - pending);
            self.large = pending;
        }
        Ok(())
    }

    fn fill_link(&mut self) -> Result<(), LinkError> {
        let wants_more = self.link.pending_output() < self.large + LINK_AHEAD;
        if wants_more && !self.wires.queue.take(&mut self.taken) {
            return Err(LinkError::OutputFull);
        }
        // In place: a message is moved no more than it must be.
        for outgoing in &mut self.taken {
            let size = Size::of(outgoing);
            let payload = outgoing.payload.take();
            match self
                .link
                .send_pieces(outgoing.flow, &outgoing.control, payload)
            {
                Ok(()) if size.is_large => self.large += size.bytes,
                Ok(()) => {}
                // The sender was told the bound; what is over it by some bytes of the control
                // message is lost alone.
                Err(LinkError::TooLarge { .. }) => {
                    if size.is_large {
                        self.wires.queue.large_written(size.bytes);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.taken.clear();
        Ok(())
    }

    /// Obeys the link until it has nothing more to say, or until somebody is to answer first.
    /// Messages stop as soon as the manager ended the link, so that none follows the nodedown.
    async fn drain_actions(&mut self) -> Result<Drained, LinkError> {
        while let Some(action) = self.link.poll_action() {
            if self.wires.stop.is_cancelled() {
                return Ok(Drained::Wholly);
            }
            let action = match action {
                Action::Deliver(message) => match self.deliver(message).await {
                    Some(other) => other,
                    None if self.is_answered && self.has_woken => return Ok(Drained::Partly),
                    None => continue,
                },
                other => other,
            };
            match action {
                Action::Ask(question) => {
                    self.asking = true;
                    let asked = self
                        .wires
                        .reports
                        .send(Report::Asks(self.wires.id, question))
                        .await;
                    asked.map_err(|_| LinkError::Discarded)?;
                }
                Action::Close(error) => self.close(error),
                Action::Deliver(_) => {}
            }
        }
        self.tell_undecodable();
        Ok(Drained::Wholly)
    }

    /// Delivers `first` and the messages that follow it, as many as can be under one lock of the
    /// kernel. Returns the action behind them, if it was come to.
    async fn deliver(&mut self, first: Message) -> Option<Action> {
        let peer = self.peer.clone()?;
        let mut left = match self.is_answered {
            true => ANSWERED_AT_ONCE,
            false => usize::MAX,
        };
        let (mut first, mut other, mut ahead) = (Some(first), None, None);
        loop {
            let (link, stop) = (&mut self.link, &self.wires.stop);
            let messages = std::iter::from_fn(|| {
                if stop.is_cancelled() || left == 0 {
                    return None;
                }
                left -= 1;
                if let Some(first) = first.take() {
                    return Some(first);
                }
                match link.poll_action()? {
                    Action::Deliver(message) => Some(message),
                    action => {
                        other = Some(action);
                        None
                    }
                }
            });
            let brought = self.wires.kernel.deliver(&peer, ahead.as_mut(), messages);
            self.undecodable += brought.undecodable;
            self.has_woken |= brought.has_woken;
            if let Some(handled) = ahead.take() {
                // What is left of it may be as long as it was.
                tokio::task::spawn_blocking(move || drop(handled));
            }
            let Some(long) = brought.long else {
                return other;
            };
            // On another thread, because this one has all other links too.
            let decoded = tokio::task::spawn_blocking(|| Prepared::new(long)).await;
            // It fails only if the node ends.
            ahead = Some(decoded.ok()?);
            if self.wires.stop.is_cancelled() {
                return None;
            }
        }
    }

    /// Once per batch, and only if the manager has time for it: else the next batch tells.
    fn tell_undecodable(&mut self) {
        if self.undecodable > 0 {
            let report = Report::Undecodable(self.wires.id, self.undecodable);
            if self.wires.reports.try_send(report).is_ok() {
                self.undecodable = 0;
            }
        }
    }

    /// Room for the next read; a buffer that one large message grew is given back.
    fn make_room(&mut self) {
        if self.inbox.is_empty() && self.inbox.capacity() > READ_MAX {
            self.inbox = BytesMut::new();
        }
        if self.inbox.capacity() - self.inbox.len() < self.room {
            self.inbox.reserve(self.room);
        }
    }
}

/// How far what the link says was obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    Wholly,
    /// There may be more, once what came of the first part is written.
    Partly,
}

#[cfg(test)]
mod tests;
