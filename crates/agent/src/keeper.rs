//! Keeps us attached to the node, for as long as we live and however often it is started anew.

use std::sync::Arc;
use std::time::Duration;

use enmesh::{Change, Creation, Mailbox, Received};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::agent::Shared;
use crate::cookies::{Cookies, LOOK_EVERY, is_same};
use crate::follower::{self, Heard};
use crate::reach::{Neighbour, Reached};
use crate::session::{Begun, Session};
use crate::waiting::{Obstacle, Waiting};

/// A session that was shorter than this counts as a failed attempt: the next one waits.
const STABLE: Duration = Duration::from_secs(5);

/// What came of being attached.
enum End {
    /// The link to the node is gone, or the process there that followed it.
    Lost,
    /// Nobody wants to hear of the node any more.
    Unwanted,
}

/// Attaches to the node, tells what happens to its links, and begins anew when it is lost; until
/// `end`.
pub(crate) async fn keep(
    shared: Arc<Shared>,
    changes: mpsc::Sender<Change>,
    end: CancellationToken,
) {
    let mut keeper = Keeper {
        cookies: Cookies::new(&shared.settings),
        neighbour: Neighbour::default(),
        waiting: Waiting::default(),
        creation: None,
        shared,
        changes,
    };
    // Whatever is under way is given up: nothing of it outlives our link to the node.
    tokio::select! {
        biased;
        () = end.cancelled() => {}
        () = keeper.keep() => {}
    }
    keeper.shared.session.send_replace(None);
    keeper.neighbour.end().await;
}

struct Keeper {
    shared: Arc<Shared>,
    changes: mpsc::Sender<Change>,
    cookies: Cookies,
    neighbour: Neighbour,
    waiting: Waiting,
    /// The life of the node whose peers the steering knows; none once they are told to be gone.
    creation: Option<Creation>,
}

impl Keeper {
    async fn keep(&mut self) {
        loop {
            self.cookies.look(&self.shared.settings);
            let obstacle = match self.attach().await {
                Ok((begun, creation)) => {
                    let began = std::time::Instant::now();
                    if let End::Unwanted = self.hold(begun, creation).await {
                        return;
                    }
                    let is_stable = began.elapsed() >= STABLE;
                    let pause = self.waiting.lost(is_stable);
                    tokio::time::sleep(pause).await;
                    continue;
                }
                Err(obstacle) => obstacle,
            };
            if obstacle.means_not_running() && self.creation.take().is_some() {
                // Nobody is connected with a node that is not there.
                let _ = self.changes.send(Change::Ended).await;
            }
            let pause = self.waiting.failed(&self.shared.settings.node, obstacle);
            self.wait(pause).await;
        }
    }

    /// Waits, but not after the cookie's file has become another one.
    async fn wait(&mut self, pause: Duration) {
        let until = tokio::time::Instant::now() + pause;
        loop {
            let next = until.min(tokio::time::Instant::now() + LOOK_EVERY);
            tokio::time::sleep_until(next).await;
            if next == until || self.cookies.look(&self.shared.settings) {
                return;
            }
        }
    }

    async fn attach(&mut self) -> Result<(Begun, Creation), Obstacle> {
        let settings = &self.shared.settings;
        let reaching = self.neighbour.reach(settings, &self.cookies);
        let Reached {
            neighbour,
            creation,
            cookie,
        } = reaching.await?;
        let begun = Session::begin(&neighbour, &settings.node).await?;
        let name = neighbour.name();
        self.waiting
            .attached(&settings.node, name, &begun.session.release);
        let is_behind = !is_same(&cookie, self.cookies.now());
        self.cookies.prove(cookie);
        if is_behind {
            self.rotate(&begun.session).await;
        }
        Ok((begun, creation))
    }

    /// Tells what the node tells, until it is lost.
    async fn hold(&mut self, begun: Begun, creation: Creation) -> End {
        let Begun {
            session,
            mut reports,
            first,
        } = begun;
        if self.creation.replace(creation) != Some(creation) {
            self.shared.hosts.forget_all().await;
            // Numbers of connections begin anew in another life.
            if self.changes.send(Change::Ended).await.is_err() {
                return End::Unwanted;
            }
        }
        if let Heard::Change(Change::Everybody(present)) = &first {
            let present = present.iter().map(|peer| &peer.name).collect();
            self.shared.hosts.take_over(&session, &present).await;
        }
        self.shared.session.send_replace(Some(Arc::clone(&session)));
        if let Heard::Change(change) = first
            && self.changes.send(change).await.is_err()
        {
            return End::Unwanted;
        }
        let end = self.follow(&session, &mut reports).await;
        self.shared.session.send_replace(None);
        if self.changes.send(Change::Away).await.is_err() {
            return End::Unwanted;
        }
        let node = &self.shared.settings.node;
        warn!(%node, "the node is lost to us; its links are as they were, as far as we know");
        end
    }

    async fn follow(&mut self, session: &Session, reports: &mut Mailbox) -> End {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            // Cancel safe: nothing is lost from the mailbox, and a tick only comes later.
            let received = tokio::select! {
                biased;
                received = reports.recv() => received,
                _ = look.tick() => {
                    if self.cookies.look(&self.shared.settings) {
                        self.rotate(session).await;
                    }
                    continue;
                }
            };
            let message = match received {
                Ok(Received::Message(message)) => message,
                Ok(Received::Down { .. }) | Err(_) => return End::Lost,
                Ok(_) => continue,
            };
            match message.term().ok().as_ref().and_then(follower::heard) {
                Some(Heard::Change(change)) => {
                    if let Change::Down { name, .. } = &change {
                        self.shared.hosts.lost(session, name).await;
                    }
                    if self.changes.send(change).await.is_err() {
                        return End::Unwanted;
                    }
                }
                Some(Heard::Synced(number)) => session.synced(number),
                Some(Heard::Taken(_)) | None => {}
            }
        }
    }

    /// Has the node take the cookie that counts now.
    async fn rotate(&mut self, session: &Session) {
        let node = &self.shared.settings.node;
        let cookie = self.cookies.now().clone();
        match session.set_cookie(&cookie).await {
            Ok(()) => {
                info!(%node, "the node has taken the new cookie");
                self.cookies.prove(cookie);
            }
            Err(error) => warn!(%node, error, "the node does not take the new cookie"),
        }
    }
}
