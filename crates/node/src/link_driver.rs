//! One task per connection: bytes between the socket and the [`Link`], questions to the manager,
//! messages to the neighbour's services. No decision is taken here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use enmesh_membership::LinkId;
use enmesh_otp::{Neighbour, Pids};
use enmesh_proto::{Action, Link, LinkError, Message, Question, Verdict};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::deadline::until;
use crate::transport::{Stream, read_arrived};

/// The least room to read into, in bytes; an idle link holds no more than this.
const READ_MIN: usize = 4 * 1024;

/// The most room to read into at once, in bytes; reached by doubling while reads fill it.
const READ_MAX: usize = 256 * 1024;

/// How long a link that is over may take to write its last bytes.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// What connects a link's task with the manager.
#[derive(Debug)]
pub(crate) struct Wires {
    pub(crate) id: LinkId,
    /// What the manager must know; one question at a time.
    pub(crate) reports: mpsc::Sender<Report>,
    /// Its answers to the questions.
    pub(crate) verdicts: mpsc::Receiver<Verdict>,
    /// Ends the link from our side.
    pub(crate) stop: CancellationToken,
    /// Where the process identifiers that our answers mention come from.
    pub(crate) pids: Arc<Pids>,
}

/// What a link's task tells the manager while it lives.
#[derive(Debug)]
pub(crate) enum Report {
    /// The socket of this dial is there.
    Dialled(LinkId),
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
    let _ = stream.set_nodelay();
    let mut driver = Driver {
        link,
        neighbour: None,
        told_undecodable: 0,
        inbox: BytesMut::new(),
        outbox: BytesMut::new(),
        room: READ_MIN,
        asking: false,
        closing: None,
        wires,
    };
    let (mut reader, mut writer) = stream.into_split();
    let end = driver.run(&mut reader, &mut writer).await;
    // A peer that does not read must not hold us up; that it is told why is all we can wish.
    let _ = tokio::time::timeout(LAST_WRITE, writer.shutdown()).await;
    end
}

struct Driver {
    link: Link,
    /// Present once the link is up.
    neighbour: Option<Neighbour>,
    /// How many of the messages that could not be decoded the manager knows of.
    told_undecodable: u64,
    inbox: BytesMut,
    /// One batch on its way to the socket.
    outbox: BytesMut,
    room: usize,
    /// A question is with the manager; nothing more is read until it is answered.
    asking: bool,
    /// Set when only the output remains to be written, and until when that is tried.
    closing: Option<(LinkError, Instant)>,
    wires: Wires,
}

impl Driver {
    async fn run<R, W>(&mut self, reader: &mut R, writer: &mut W) -> LinkEnd
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            if let Err(error) = self.drain_actions().await {
                self.close(error);
            }
            if self.outbox.is_empty() {
                self.outbox = self.link.take_output(Instant::now()).unwrap_or_default();
            }
            if self.outbox.is_empty()
                && let Some((error, _)) = self.closing.take()
            {
                return LinkEnd::Failed(error);
            }
            let reading = !self.asking && self.closing.is_none();
            if reading {
                self.make_room();
            }
            let deadline = match &self.closing {
                Some((_, deadline)) => Some(*deadline),
                None => self.link.deadline(),
            };
            // Every branch is cancel safe: `read_buf` and `write_buf` move bytes only when they
            // return, and a channel's `recv` loses nothing.
            let step = tokio::select! {
                biased;
                () = self.wires.stop.cancelled() => return LinkEnd::Stopped,
                verdict = self.wires.verdicts.recv(), if self.asking => Step::Verdict(verdict),
                written = writer.write_buf(&mut self.outbox), if !self.outbox.is_empty() => {
                    Step::Written(written)
                }
                () = until(deadline) => {
                    // What has arrived counts before the clock does: after a pause of our own
                    // process the peer must not be taken for silent.
                    let arrived = match reading {
                        true => read_arrived(reader, &mut self.inbox).await,
                        false => None,
                    };
                    match arrived {
                        Some(Ok(read)) if read > 0 => Step::Read(Ok(read)),
                        _ => Step::Timeout,
                    }
                }
                read = reader.read_buf(&mut self.inbox), if reading => Step::Read(read),
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
                    self.neighbour = self
                        .link
                        .peer()
                        .map(|peer| Neighbour::new(Arc::clone(&self.wires.pids), peer));
                }
                self.link.handle_bytes(now, &mut self.inbox)
            }
            Step::Written(Err(_)) | Step::Read(Err(_) | Ok(0)) => Err(self.link.handle_eof()),
            Step::Written(Ok(_)) => Ok(()),
            Step::Read(Ok(read)) => {
                self.room = if read >= self.room {
                    READ_MAX.min(self.room * 2)
                } else {
                    READ_MIN
                };
                self.link.handle_bytes(now, &mut self.inbox)?;
                // A reader that always finds bytes must not keep the clock from being heard.
                match deadline {
                    Some(due) if due <= now => self.link.handle_timeout(now),
                    _ => Ok(()),
                }
            }
            Step::Timeout => self.link.handle_timeout(now),
        }
    }

    /// Obeys the link until it has nothing more to say. Messages stop as soon as the manager
    /// ended the link, so that none follows the nodedown.
    async fn drain_actions(&mut self) -> Result<(), LinkError> {
        while let Some(action) = self.link.poll_action() {
            if self.wires.stop.is_cancelled() {
                return Ok(());
            }
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
                Action::Deliver(message) => self.deliver(&message)?,
                Action::Close(error) => self.close(error),
            }
        }
        self.tell_undecodable();
        Ok(())
    }

    /// Once per batch, and only if the manager has time for it: else the next batch tells.
    fn tell_undecodable(&mut self) {
        let Some(neighbour) = &self.neighbour else {
            return;
        };
        let count = neighbour.counters().undecodable;
        if count > self.told_undecodable {
            let report = Report::Undecodable(self.wires.id, count - self.told_undecodable);
            if self.wires.reports.try_send(report).is_ok() {
                self.told_undecodable = count;
            }
        }
    }

    fn deliver(&mut self, message: &Message) -> Result<(), LinkError> {
        let Some(neighbour) = &mut self.neighbour else {
            return Ok(());
        };
        neighbour.handle_message(message);
        while let Some(reply) = neighbour.poll_reply() {
            self.link.send(0, &reply.control, reply.payload)?;
        }
        Ok(())
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

enum Step {
    Verdict(Option<Verdict>),
    Written(std::io::Result<usize>),
    Read(std::io::Result<usize>),
    Timeout,
}
