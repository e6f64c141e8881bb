//! The driver of roster and plan whose links are a connector's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use enmesh_identity::{Creation, NodeName, PeerAddr};
use enmesh_membership::{
    Action, Connection, DialFailure, DownReason, Failure, Intent, LinkId, Plan, Roster,
};
use enmesh_proto::{Direction, Flags, PeerInfo, Question};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::connector::{CONNECT_TIME, Change, Changes, Connected, Connector};
use crate::deadline::until;
use crate::events::{Event, Publisher};
use crate::manager::earliest;
use crate::manager::records::Records;
use crate::sources::{Said, Sources};
use crate::steering::OnLeave;
use crate::topologies::TopologyCommand;
use crate::view::Peer;

/// How long a steering that is stopped waits to hear what has become of links whose holder was lost a moment ago.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Where the inputs come from.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) commands: mpsc::Receiver<TopologyCommand>,
    pub(crate) updates: mpsc::Receiver<Said>,
    pub(crate) stop: CancellationToken,
}

/// What a manager is to a node, for the links of somebody else: every dial is a call of the
/// connector's, and whom the connector reports enters the plan as a link that was accepted.
///
/// The plan's links are numbers here, which nothing stands behind: [`Change`] alone tells what
/// lives.
#[derive(Debug)]
pub(crate) struct Steer<C> {
    connector: Arc<C>,
    roster: Roster,
    sources: Sources,
    plan: Plan,
    publisher: Publisher,
    records: Records,
    on_leave: OnLeave,
    hold: Hold,
    tasks: JoinSet<Done>,
    /// Whom the connector is connecting.
    dials: HashMap<NodeName, (LinkId, AbortHandle)>,
    ups: HashMap<NodeName, Up>,
    /// Whom the connector was asked to disconnect, because the peer is pruned.
    closing: HashMap<NodeName, AbortHandle>,
}

/// Why nobody is dialled for the roster's sake.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hold {
    /// The connector cannot act.
    pub(crate) is_away: bool,
    /// A source says that we are being ended.
    is_draining: bool,
    /// The connector says so.
    pub(crate) is_leaving: bool,
}

impl Hold {
    fn is_any(&self) -> bool {
        self.is_away || self.is_draining || self.is_leaving
    }
}

#[derive(Debug)]
struct Up {
    link: LinkId,
    /// The connector's own number.
    connection: Option<u64>,
}

/// What a task has come to.
#[derive(Debug)]
enum Done {
    Connect(NodeName, LinkId, Result<(), Failure>),
    Disconnect(NodeName, bool),
    Leave,
}

impl<C: Connector> Steer<C> {
    pub(crate) fn new(
        connector: Arc<C>,
        (roster, sources): (Roster, Sources),
        plan: Plan,
        publisher: Publisher,
        on_leave: OnLeave,
    ) -> Self {
        Self {
            connector,
            roster,
            sources,
            plan,
            publisher,
            records: Records::default(),
            on_leave,
            hold: Hold::default(),
            tasks: JoinSet::new(),
            dials: HashMap::new(),
            ups: HashMap::new(),
            closing: HashMap::new(),
        }
    }

    /// Runs until the stop is asked for or the connector has nothing more to say. No link is
    /// touched by its end.
    pub(crate) async fn run(mut self, mut inputs: Inputs) {
        let mut changes = self.connector.changes();
        self.change_hold(|hold| hold.is_away = true);
        loop {
            self.pump();
            let deadline = earliest(self.roster.deadline(), self.plan.deadline());
            // Every branch is cancel safe. Changes come before results: a peer that came and went
            // again while it was being connected is gone.
            tokio::select! {
                biased;
                () = inputs.stop.cancelled() => {
                    self.look_once_more(&mut changes).await;
                    break;
                }
                change = changes.next() => match change {
                    Some(change) => self.handle_change(change),
                    None => break,
                },
                // A task that was given up or died: its dial is not waited for any more.
                Some(done) = self.tasks.join_next_with_id() => match done {
                    Ok((_, done)) => self.handle_done(done),
                    Err(error) => self.handle_dead(error.id()),
                },
                command = inputs.commands.recv() => match command {
                    Some(command) => {
                        let now = Instant::now();
                        if command.changes_topologies() {
                            self.publisher.stir();
                        }
                        command.obey(&mut self.sources, &mut self.roster, self.hold, now);
                    }
                    // The last handle is gone.
                    None => break,
                },
                Some(said) = inputs.updates.recv() => {
                    let (roster, now) = (&mut self.roster, Instant::now());
                    if self.sources.take_in(roster, &self.records, now, said) {
                        self.publisher.stir();
                    }
                }
                () = until(deadline) => {
                    let now = Instant::now();
                    self.roster.handle_timeout(now);
                    self.plan.handle_timeout(now);
                }
            }
        }
        // A goodbye is the node's own, and it may outlive us.
        if !self.hold.is_draining && !self.hold.is_leaving {
            self.sources.end_without_goodbye();
        }
        inputs.stop.cancel();
        self.tasks.shutdown().await;
    }

    /// Whoever is stopped together with the holder of the links, as the containers of a pod are, learns just then that all of them
    /// are gone.
    async fn look_once_more(&mut self, changes: &mut C::Changes) {
        let until = tokio::time::Instant::now() + LAST_LOOK;
        while self.hold.is_away && !self.ups.is_empty() {
            match tokio::time::timeout_at(until, changes.next()).await {
                Ok(Some(change)) => self.handle_change(change),
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn handle_change(&mut self, change: Change) {
        match change {
            Change::Everybody(present) => {
                self.everybody(present);
                self.change_hold(|hold| hold.is_away = false);
            }
            Change::Up(peer) => self.up(peer),
            Change::Down {
                name,
                connection,
                reason,
            } => {
                let is_another = |up: &Up| is_another(up.connection, connection);
                if !self.ups.get(&name).is_some_and(is_another) {
                    self.down(&name, reason);
                }
            }
            Change::Away => self.change_hold(|hold| hold.is_away = true),
            Change::Ended => {
                // Whoever was about to end has ended, and the next one is not.
                self.change_hold(|hold| {
                    hold.is_away = true;
                    hold.is_leaving = false;
                });
                self.everybody(Vec::new());
            }
            Change::Leaving => {
                self.change_hold(|hold| hold.is_leaving = true);
                self.leave();
            }
        }
    }

    fn everybody(&mut self, present: Vec<Connected>) {
        let names: HashMap<_, _> = present.iter().map(|it| (&it.name, it.connection)).collect();
        let gone: Vec<_> = self
            .ups
            .iter()
            .filter(|(name, up)| match names.get(name) {
                Some(connection) => is_another(up.connection, *connection),
                None => true,
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.down(&name, DownReason::ConnectionClosed);
        }
        for peer in present {
            self.up(peer);
        }
    }

    fn up(&mut self, peer: Connected) {
        let now = Instant::now();
        if let Some(up) = self.ups.get_mut(&peer.name) {
            if !is_another(up.connection, peer.connection) {
                up.connection = up.connection.or(peer.connection);
                return;
            }
            self.down(&peer.name, DownReason::ConnectionClosed);
        }
        let (link, direction) = match self.dials.remove(&peer.name) {
            Some((link, _)) => (link, Direction::Dialled),
            None => (self.plan.handle_accepted(now), Direction::Accepted),
        };
        self.admit(link, direction, peer);
    }

    fn admit(&mut self, link: LinkId, direction: Direction, peer: Connected) {
        let connection = peer.connection;
        let name = peer.name.clone();
        let info = PeerInfo {
            name: peer.name,
            creation: peer.creation.unwrap_or(Creation::from_wire(0)),
            flags: Flags::default(),
            visible: peer.visible,
            direction,
        };
        self.ups.insert(name.clone(), Up { link, connection });
        self.plan
            .handle_question(Instant::now(), link, Question::Authenticated(info));
        self.pump();
        // It may be one peer too many, or ourselves.
        if self.plan.connection(&name).is_none() {
            self.ups.remove(&name);
        }
    }

    fn down(&mut self, name: &NodeName, reason: DownReason) {
        if let Some(task) = self.closing.remove(name) {
            task.abort();
            self.prune(name);
        } else if let Some(up) = self.ups.remove(name) {
            self.plan.handle_fell(Instant::now(), up.link, reason);
        }
        self.pump();
    }

    fn prune(&mut self, name: &NodeName) {
        self.ups.remove(name);
        let intent = Intent::Prune(name.clone());
        self.plan.handle_intent(Instant::now(), intent);
    }

    fn handle_done(&mut self, done: Done) {
        match done {
            Done::Connect(name, link, outcome) => {
                // Of one that is not being connected any more the changes have told.
                if self.dials.get(&name).is_none_or(|(dial, _)| *dial != link) {
                    return;
                }
                self.dials.remove(&name);
                match outcome {
                    Ok(()) => self.admit(link, Direction::Dialled, Connected::new(name)),
                    Err(failure) => {
                        self.plan.handle_dial_failed(Instant::now(), link, failure);
                    }
                }
            }
            Done::Disconnect(name, was_closed) => {
                if self.closing.remove(&name).is_some() && was_closed {
                    self.prune(&name);
                }
            }
            Done::Leave => {}
        }
    }

    fn handle_dead(&mut self, task: tokio::task::Id) {
        self.closing.retain(|_, handle| handle.id() != task);
        let dead = self.dials.iter().find(|(_, (_, it))| it.id() == task);
        if let Some((name, &(link, _))) = dead {
            self.dials.remove(&name.clone());
            let failure = Failure::Untold;
            self.plan.handle_dial_failed(Instant::now(), link, failure);
        }
    }

    /// Carries every decision to where it is carried out, until both machines are quiet.
    fn pump(&mut self) {
        let now = Instant::now();
        while let Some(intent) = self.roster.poll_action() {
            self.records.intent(&intent);
            match intent {
                Intent::Drain(draining) => {
                    self.change_hold(|hold| hold.is_draining = draining);
                    if draining {
                        self.leave();
                    }
                }
                // The link is the connector's, and so it is the connector that closes it, or not.
                Intent::Prune(name) => self.disconnect(name),
                Intent::Leave(name) => {
                    self.connector.forget(&name);
                    self.plan.handle_intent(now, Intent::Leave(name));
                }
                intent => self.plan.handle_intent(now, intent),
            }
        }
        while let Some(action) = self.plan.poll_action() {
            self.obey(action);
        }
    }

    fn obey(&mut self, action: Action) {
        match action {
            Action::Dial { link, peer } => {
                self.records.dialled(&peer);
                self.connect(link, peer);
            }
            // There is nobody behind a link who would wait for it.
            Action::Answer { .. } => {}
            Action::Close { link, .. } => {
                self.dials.retain(|_, (dial, task)| {
                    if *dial == link {
                        task.abort();
                    }
                    *dial != link
                });
            }
            Action::Nodeup(connection) => self.nodeup(connection),
            Action::Nodedown { connection, reason } => {
                let view = self.publisher.view();
                let Some(peer) = view.peer(&connection.name).cloned() else {
                    return;
                };
                self.publisher.publish(Event::Nodedown {
                    peer: peer.clone(),
                    reason: Some(reason),
                });
                self.records.nodedown(&peer, reason, &self.publisher.view());
            }
            Action::DialFailed {
                peer,
                failure,
                retry_in,
                first,
            } => self.records.dial_failed(&peer, failure, retry_in, first),
            Action::WrongCookie {
                peer,
                direction,
                certain,
            } => self.records.wrong_cookie(&peer, direction, certain),
            Action::Warn(warning) => self.records.plan_warning(Instant::now(), &warning),
        }
    }

    fn nodeup(&mut self, connection: Connection) {
        let topologies = self.roster.topologies_of(&connection.name);
        let peer = Peer::new(connection, topologies);
        self.publisher.publish(Event::Nodeup { peer: peer.clone() });
        self.records.nodeup(&peer, &self.publisher.view());
    }

    fn connect(&mut self, link: LinkId, peer: PeerAddr) {
        // Its time is the connector's own.
        self.plan.handle_dialled(Instant::now(), link);
        let connector = Arc::clone(&self.connector);
        let name = peer.name().clone();
        let dialled = name.clone();
        let task = self.tasks.spawn(async move {
            let connecting = tokio::time::timeout(CONNECT_TIME, connector.connect(peer));
            let outcome = connecting
                .await
                .unwrap_or(Err(DialFailure::TimedOut.into()));
            Done::Connect(dialled, link, outcome)
        });
        self.dials.insert(name, (link, task));
    }

    fn disconnect(&mut self, name: NodeName) {
        if !self.ups.contains_key(&name) || self.closing.contains_key(&name) {
            return;
        }
        let connector = Arc::clone(&self.connector);
        let peer = name.clone();
        let task = self.tasks.spawn(async move {
            let was_closed = connector.disconnect(peer.clone()).await;
            Done::Disconnect(peer, was_closed)
        });
        self.closing.insert(name, task);
    }

    /// Whoever holds the links is being ended.
    fn leave(&mut self) {
        if self.on_leave == OnLeave::Stay {
            return;
        }
        let connector = Arc::clone(&self.connector);
        let peers = self.ups.keys().cloned().collect();
        self.tasks.spawn(async move {
            connector.leave(peers).await;
            Done::Leave
        });
    }

    fn change_hold(&mut self, change: impl FnOnce(&mut Hold)) {
        let was_held = self.hold.is_any();
        change(&mut self.hold);
        self.publisher.stir();
        let is_held = self.hold.is_any();
        if is_held != was_held {
            self.plan
                .handle_intent(Instant::now(), Intent::Drain(is_held));
        }
    }
}

/// Whether two numbers are of two connections for certain.
fn is_another(one: Option<u64>, other: Option<u64>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

#[cfg(test)]
mod tests;
