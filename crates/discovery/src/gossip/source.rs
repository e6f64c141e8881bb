//! Heartbeats out and in.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use enmesh_membership::{
    FailureKind, Gossip, GossipNotice, GossipSecret, MAX_PACKET_BYTES, Update,
};
use tokio::time::Instant;

use super::config::GossipConfig;
use super::socket::{GossipSocket, OpenError};
use crate::Secret;
use crate::backoff::Backoff;
use crate::failure::failed;
use crate::source::{Source, SourceContext};

/// The longest pause between two heartbeats, in milliseconds; each is drawn anew, as libcluster
/// does.
const MAX_PAUSE_MILLIS: u64 = 5_000;

/// How many packets are taken in before others get their turn.
const BATCH: usize = 64;

/// How long nothing is read after a whole batch: what is over is left to the system to drop.
const REST: Duration = Duration::from_millis(2);

/// How often a goodbye is said, and the time between: packets are lost.
const GOODBYES: usize = 3;
const BETWEEN_GOODBYES: Duration = Duration::from_millis(20);

/// Listens on one socket and sends on it.
#[derive(Debug)]
pub(super) struct GossipSource {
    config: GossipConfig,
    gossip: Gossip,
    socket: Option<GossipSocket>,
    /// When the socket is opened again; none before the first time.
    open_at: Option<Instant>,
    backoff: Backoff,
    /// When the next heartbeat is due.
    beat_at: Instant,
    /// Until when nothing is read.
    rest_until: Option<Instant>,
    /// Whether it was said that the source works, whoever is heard.
    answered: bool,
    /// Whether the last thing that was said is a failure.
    failing: bool,
    said_hello: bool,
    buffer: Vec<u8>,
}

/// What woke the source.
enum Event {
    Beat,
    Deadline,
    Rested,
    Packet(io::Result<(usize, IpAddr)>),
}

impl GossipSource {
    pub(super) fn new(
        config: &GossipConfig,
        secret: Option<&Secret>,
        context: &SourceContext,
    ) -> Self {
        let gossip = Gossip::new(enmesh_membership::GossipConfig {
            own: context.own().clone(),
            creation: context.creation(),
            secret: secret.map(|secret| GossipSecret::new(secret.expose())),
            auth: config.auth,
        });
        Self {
            config: config.clone(),
            gossip,
            socket: None,
            open_at: None,
            backoff: Backoff::default(),
            beat_at: Instant::now(),
            rest_until: None,
            answered: false,
            failing: false,
            said_hello: false,
            // One byte more than is read, so that what is too long is seen to be.
            buffer: vec![0; MAX_PACKET_BYTES + 1],
        }
    }

    /// Everything that is waited for is kept in `self`, so a dropped future loses nothing.
    async fn listen(&mut self) -> Update {
        loop {
            if let Some(update) = self.answer() {
                return update;
            }
            let Some(socket) = &self.socket else {
                if let Some(at) = self.open_at {
                    tokio::time::sleep_until(at).await;
                }
                if let Err(error) = self.open() {
                    return self.fail(FailureKind::Unreachable, error.to_string());
                }
                continue;
            };
            let event = next_event(
                socket,
                &mut self.buffer,
                self.beat_at,
                self.gossip.deadline().map(Instant::from_std),
                self.rest_until,
            )
            .await;
            match event {
                Event::Beat => {
                    if let Some(update) = self.beat().await {
                        return update;
                    }
                }
                Event::Deadline => self.gossip.handle_timeout(Instant::now().into_std()),
                Event::Rested => self.rest_until = None,
                Event::Packet(Ok((length, from))) => self.take_in(length, from),
                Event::Packet(Err(error)) => {
                    self.socket = None;
                    self.open_at = Some(Instant::now() + self.backoff.failed());
                    let text = format!("nothing can be received any more: {error}; trying again");
                    return self.fail(FailureKind::Unreachable, text);
                }
            }
        }
    }

    fn open(&mut self) -> Result<(), OpenError> {
        match GossipSocket::open(&self.config) {
            Ok(socket) => {
                let now = Instant::now();
                self.socket = Some(socket);
                self.backoff.reset();
                self.beat_at = now;
                if !self.answered {
                    self.warn_of_deafness();
                }
                Ok(())
            }
            Err(error) => {
                self.open_at = Some(Instant::now() + self.backoff.failed());
                Err(error)
            }
        }
    }

    fn warn_of_deafness(&self) {
        let address = self.config.if_addr;
        if cfg!(target_os = "linux") && !address.is_unspecified() && !address.is_multicast() {
            tracing::warn!(
                if_addr = %address,
                "Linux hands no packet of a group to a socket on one address; leave if_addr out"
            );
        }
    }

    /// What is to be said now, if anything is. The first answer may name nobody.
    fn answer(&mut self) -> Option<Update> {
        self.socket.as_ref()?;
        let update = self.gossip.poll_update();
        let update = match self.answered {
            true => update?,
            false => update.unwrap_or_else(nothing_new),
        };
        self.answered = true;
        self.failing = false;
        Some(update)
    }

    /// Sends a heartbeat. An update comes of it where sending fails, or works again.
    async fn beat(&mut self) -> Option<Update> {
        let socket = self.socket.as_ref()?;
        let sent = match self.gossip.heartbeat(rising_millis(), rand::random()) {
            // Networks come and change while we run.
            Some(packet) => match socket.join() {
                Ok(()) => socket.send(&packet).await,
                Err(error) => Err(error),
            },
            None => socket.join(),
        };
        let to = socket.to();
        let pause = rand::random_range(1..=MAX_PAUSE_MILLIS);
        self.beat_at = Instant::now() + Duration::from_millis(pause);
        match sent {
            Ok(()) => {
                self.said_hello = true;
                let works_again = std::mem::take(&mut self.failing);
                works_again.then(nothing_new)
            }
            Err(error) => {
                let text =
                    format!("no heartbeat can be sent to {to}: {error}; is there a route to it?");
                Some(self.fail(FailureKind::Unreachable, text))
            }
        }
    }

    /// Takes in the packet in the buffer and those that wait behind it.
    fn take_in(&mut self, length: usize, from: IpAddr) {
        let now = Instant::now();
        let has_secret = self.config.secret.is_some() || self.config.secret_file.is_some();
        let (mut length, mut from) = (length, from);
        for _ in 1..BATCH {
            self.look_into(now, length, from, has_secret);
            let more = self.socket.as_ref();
            match more.and_then(|socket| socket.receive_now(&mut self.buffer)) {
                Some(packet) => (length, from) = packet,
                None => return,
            }
        }
        self.look_into(now, length, from, has_secret);
        self.rest_until = Some(now + REST);
    }

    fn look_into(&mut self, now: Instant, length: usize, from: IpAddr, has_secret: bool) {
        let packet = &self.buffer[..length];
        if let Some(notice) = self.gossip.handle_packet(now.into_std(), from, packet) {
            tell(&notice, from, has_secret);
        }
    }

    fn fail(&mut self, kind: FailureKind, text: String) -> Update {
        self.failing = true;
        failed(kind, text)
    }

    async fn say_goodbye(&mut self) {
        let Some(socket) = self.socket.as_ref().filter(|_| self.said_hello) else {
            return;
        };
        for round in 0..GOODBYES {
            let Some(packet) = self.gossip.goodbye(rising_millis(), rand::random()) else {
                return;
            };
            if round > 0 {
                tokio::time::sleep(BETWEEN_GOODBYES).await;
            }
            if let Err(error) = socket.send(&packet).await {
                tracing::debug!(%error, "a goodbye could not be sent");
            }
        }
    }
}

impl Source for GossipSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.listen())
    }

    fn farewell(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.say_goodbye())
    }
}

/// Our own time goes first, so that no flood of packets keeps us from saying that we are there.
async fn next_event(
    socket: &GossipSocket,
    buffer: &mut [u8],
    beat_at: Instant,
    deadline: Option<Instant>,
    rest_until: Option<Instant>,
) -> Event {
    // Cancel safe: the socket keeps a packet that was not taken.
    tokio::select! {
        biased;
        () = tokio::time::sleep_until(beat_at) => Event::Beat,
        () = sleep_until(deadline) => Event::Deadline,
        () = sleep_until(rest_until), if rest_until.is_some() => Event::Rested,
        received = socket.receive(buffer), if rest_until.is_none() => Event::Packet(received),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// All is well.
fn nothing_new() -> Update {
    Update::Changed {
        present: Vec::new(),
        gone: Vec::new(),
    }
}

/// The milliseconds since 1970, and more than ever before in this process: the system's clock may
/// be put back, and a source made anew.
fn rising_millis() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let clock = clock.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX - 1)
    });
    let after = |last: u64| clock.max(last.saturating_add(1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
        Some(after(last))
    });
    after(last.unwrap_or_else(|last| last))
}

/// Says once what somebody may want to change.
fn tell(notice: &GossipNotice, from: IpAddr, has_secret: bool) {
    match notice {
        GossipNotice::Unsigned { name } if has_secret => tracing::warn!(
            node = %name, %from,
            "heartbeats are not signed; libcluster's never are, auth = require would leave them out"
        ),
        GossipNotice::Unsigned { name } => tracing::warn!(
            node = %name, %from,
            "anybody may have sent the heartbeats that count; a secret on all nodes prevents that"
        ),
        GossipNotice::Refused { name } => tracing::warn!(
            node = %name, %from,
            "a packet does not count: it is not signed with our secret"
        ),
        GossipNotice::Unreadable(error) => tracing::warn!(
            %error, %from,
            "a packet cannot be read; do all nodes have the same secret, or none?"
        ),
        GossipNotice::TooMany => tracing::warn!(%from, "too many packets come: some are left out"),
        GossipNotice::NoRoom => {
            tracing::warn!(%from, "too many nodes are heard: new ones are left out")
        }
        other => tracing::warn!(notice = ?other, %from, "a packet does not count"),
    }
}

#[cfg(test)]
mod tests;
