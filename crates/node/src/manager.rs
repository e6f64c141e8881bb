//! The one owner of roster and plan: feeds them, obeys them, holds the handle of every link.

mod far_log;
mod known_ports;
mod link_tasks;
mod links;
pub(crate) mod records;
mod task_end;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::{
    Action, Connection, DownReason, Plan, Roster, Sighting, TopologyName, Update,
};
use enmesh_otp::Acquaintance;
use enmesh_proto::{LinkConfig, Question};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::deadline::until;
use crate::dial::Dialer;
use crate::events::{Event, Publisher};
use crate::kernel_driver::KernelDriver;
use crate::link_driver::Report;
use crate::listen::Accepted;
use crate::node::{Command, ConnectError};
use crate::orders::Orders;
use crate::sources::{Said, Sources};
use crate::steer::Hold;
use crate::view::Peer;
use far_log::FarLog;
use known_ports::KnownPorts;
use links::Links;
use records::Records;

/// How many callers of [`crate::Node::connect`] may wait for one peer; the next one is told
/// [`ConnectError::TooManyCallers`].
const MAX_WAITING: usize = 1024;

/// Where the manager's inputs come from.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) accepted: mpsc::Receiver<Accepted>,
    pub(crate) updates: mpsc::Receiver<Said>,
    pub(crate) stop: CancellationToken,
}

/// Who belongs to the cluster, by whose word.
#[derive(Debug)]
pub(crate) struct Who {
    pub(crate) roster: Roster,
    pub(crate) sources: Sources,
    /// The topology of the nodes that `global` has learned of; none while we are hidden.
    pub(crate) learned: Option<TopologyName>,
}

/// The driver of the two machines that decide who belongs to the cluster and when to dial.
#[derive(Debug)]
pub(crate) struct Manager {
    roster: Roster,
    sources: Sources,
    plan: Plan,
    publisher: Publisher,
    records: Records,
    far_log: FarLog,
    link_config: Arc<LinkConfig>,
    kernel: Arc<KernelDriver>,
    dialer: Dialer,
    known_ports: KnownPorts,
    links: Links,
    /// The topology of the nodes that `global` has learned of; none while we are hidden.
    learned: Option<TopologyName>,
    /// Whom the kernel waits for.
    needed: HashSet<NodeName>,
    waiting: HashMap<NodeName, Vec<oneshot::Sender<Result<(), ConnectError>>>>,
}

impl Manager {
    pub(crate) fn new(
        who: Who,
        plan: Plan,
        publisher: Publisher,
        link_config: Arc<LinkConfig>,
        kernel: Arc<KernelDriver>,
        dialer: Dialer,
    ) -> Self {
        let Who {
            roster,
            sources,
            learned,
        } = who;
        let links = Links::new();
        let records = Records::default();
        let waiting = HashMap::new();
        Self {
            roster,
            sources,
            plan,
            publisher,
            records,
            far_log: FarLog::default(),
            link_config,
            kernel,
            dialer,
            known_ports: KnownPorts::default(),
            links,
            learned,
            needed: HashSet::new(),
            waiting,
        }
    }

    /// Runs until the stop is asked for or the last handle is gone, then until every link's task
    /// has ended or `grace` is over. Returns when that grace ends for everything else.
    pub(crate) async fn run(mut self, mut inputs: Inputs, grace: Duration) -> Instant {
        loop {
            self.pump();
            let deadline = earliest(self.roster.deadline(), self.plan.deadline());
            // Every branch is cancel safe: channels lose nothing, an ended task stays joinable, and
            // orders wait until they are taken.
            tokio::select! {
                biased;
                () = inputs.stop.cancelled() => break,
                Some(ended) = self.links.tasks.join_next_with_id() => self.handle_end(ended),
                Some(report) = self.links.reports.recv() => self.handle_report(report),
                command = inputs.commands.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => break,
                },
                Some(said) = inputs.updates.recv() => {
                    let (roster, now) = (&mut self.roster, Instant::now());
                    if self.sources.take_in(roster, &self.records, now, said) {
                        self.publisher.stir();
                    }
                }
                orders = self.kernel.orders() => self.handle_orders(orders),
                () = until(deadline) => {
                    let now = Instant::now();
                    self.roster.handle_timeout(now);
                    self.plan.handle_timeout(now);
                }
                // Last, for strangers can make as many of these as they like.
                Some(accepted) = inputs.accepted.recv() => self.handle_accepted(accepted),
            }
        }
        // Sources and listener end with the same token, before the links do.
        inputs.stop.cancel();
        let deadline = Instant::now() + grace;
        self.shut_down(deadline).await;
        deadline
    }

    async fn shut_down(mut self, deadline: Instant) {
        self.plan.handle_shutdown(Instant::now());
        self.pump();
        // Nobody is listened to any more, and a link that waits for its report's turn must not
        // wait for ever.
        self.links.reports.close();
        for link in self.links.handles.values() {
            link.stop.cancel();
        }
        let drain = async { while self.links.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline.into(), drain)
            .await
            .is_err()
        {
            self.links.tasks.shutdown().await;
        }
    }

    fn handle_report(&mut self, report: Report) {
        let now = Instant::now();
        match report {
            Report::Dialled(link, there) => {
                if let Some(handle) = self.links.handles.get_mut(&link)
                    && let Some(dialled) = &mut handle.dialled
                {
                    dialled.1 = there;
                }
                self.plan.handle_dialled(now, link);
            }
            Report::Asks(link, question) => {
                if let Question::Authenticated(info) = &question
                    && let Some(handle) = self.links.handles.get_mut(&link)
                {
                    handle.info = Some(info.clone());
                }
                self.plan.handle_question(now, link, question);
            }
            Report::Undecodable(link, count) => {
                if let Some(handle) = self.links.handles.get(&link) {
                    self.records.undecodable(now, &handle.peer, count);
                }
            }
        }
    }

    fn handle_command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Connect { peer, answer } => self.connect(now, peer, answer),
            Command::Disconnect { name, answer } => {
                let connected = self.publisher.view().peer(&name).is_some();
                self.plan.handle_disconnect(now, &name);
                // The nodedown must be published before the caller hears of it.
                self.pump();
                let _ = answer.send(connected);
            }
            Command::Topologies(command) => {
                let hold = Hold::default();
                if command.changes_topologies() {
                    self.publisher.stir();
                }
                command.obey(&mut self.sources, &mut self.roster, hold, now);
            }
        }
    }

    fn connect(
        &mut self,
        now: Instant,
        peer: PeerAddr,
        answer: oneshot::Sender<Result<(), ConnectError>>,
    ) {
        let name = peer.name().clone();
        if name == self.link_config.local.name {
            let _ = answer.send(Err(ConnectError::Ourselves));
        } else if self.publisher.view().peer(&name).is_some() {
            let _ = answer.send(Ok(()));
        } else {
            let waiting = self.waiting.entry(name).or_default();
            waiting.retain(|answer| !answer.is_closed());
            if waiting.len() < MAX_WAITING {
                waiting.push(answer);
                self.plan.handle_connect(now, peer);
            } else {
                let peer = peer.name().clone();
                let _ = answer.send(Err(ConnectError::TooManyCallers { peer }));
            }
        }
    }

    /// What the kernel wants. Every node that it waits for is answered, by a nodeup or by
    /// [`KernelDriver::connect_failed`].
    fn handle_orders(&mut self, orders: Orders) {
        let now = Instant::now();
        self.far_log.log(now, orders.lines, orders.lost_lines);
        if let Some(rejoin_after) = orders.leave {
            warn!(
                rejoin_after = ?rejoin_after,
                "cut off by the cluster: leaving every node, to come back at once"
            );
            self.plan.handle_leave(now, rejoin_after);
        }
        if let (Some(nodes), Some(topology)) = (orders.learned, self.learned.clone()) {
            // A node that somebody tells of anew may be there, though a source has told that it is gone.
            let sighting = |known: Acquaintance| Sighting::from(known.node).with_life(known.told);
            let update = Update::Snapshot(nodes.into_iter().map(sighting).collect());
            self.roster.handle_update(now, &topology, update);
            self.pump();
        }
        for (name, for_names) in orders.connects {
            if self.publisher.view().peer(&name).is_some() {
                continue;
            }
            // `global` goes to see every node that others know; whom it may dial is the roster's matter.
            let is_refused = self.roster.is_draining() || self.roster.is_gone(&name);
            if name == self.link_config.local.name || (for_names && is_refused) {
                self.kernel.connect_failed(&name);
                continue;
            }
            let known = self.roster.peers().find(|(peer, _)| *peer.name() == name);
            let peer = known.map_or_else(|| PeerAddr::new(name.clone()), |(peer, _)| peer);
            self.needed.insert(name);
            self.plan.handle_connect(now, peer);
        }
    }

    fn handle_accepted(&mut self, accepted: Accepted) {
        match accepted {
            Accepted::Socket(stream, from) => self.accept(stream, from),
            Accepted::NoRoom => self.plan.handle_no_room(Instant::now()),
        }
    }

    /// Carries every decision to where it is carried out, until both machines are quiet.
    fn pump(&mut self) {
        let now = Instant::now();
        while let Some(intent) = self.roster.poll_action() {
            self.records.intent(&intent);
            self.plan.handle_intent(now, intent);
        }
        while let Some(action) = self.plan.poll_action() {
            self.obey(action);
        }
    }

    fn obey(&mut self, action: Action) {
        match action {
            Action::Dial { link, peer } => {
                self.records.dialled(&peer);
                self.dial(link, peer);
            }
            Action::Answer { link, verdict } => self.links.answer(link, verdict),
            Action::Close { link, .. } => self.links.close(link),
            Action::Nodeup(connection) => self.nodeup(connection),
            Action::Nodedown { connection, reason } => {
                if reason == DownReason::Disconnect {
                    self.remember_port(connection.link);
                }
                let view = self.publisher.view();
                let Some(peer) = view.peer(&connection.name).cloned() else {
                    return;
                };
                self.publisher.publish(Event::Nodedown {
                    peer: peer.clone(),
                    reason: Some(reason),
                });
                self.kernel.nodedown(&connection.name, reason);
                self.records.nodedown(&peer, reason, &self.publisher.view());
            }
            Action::DialFailed {
                peer,
                failure,
                retry_in,
                first,
            } => {
                for answer in self.waiting.remove(&peer).unwrap_or_default() {
                    let _ = answer.send(Err(ConnectError::Failed {
                        peer: peer.clone(),
                        failure,
                    }));
                }
                if self.needed.remove(&peer) {
                    self.kernel.connect_failed(&peer);
                }
                self.records.dial_failed(&peer, failure, retry_in, first);
            }
            Action::WrongCookie {
                peer,
                direction,
                certain,
            } => {
                self.records.wrong_cookie(&peer, direction, certain);
            }
            Action::Warn(warning) => self.records.plan_warning(Instant::now(), &warning),
        }
    }

    fn nodeup(&mut self, connection: Connection) {
        let link = connection.link;
        let topologies = self.roster.topologies_of(&connection.name);
        let peer = Peer::new(connection, topologies);
        self.publisher.publish(Event::Nodeup { peer: peer.clone() });
        self.needed.remove(&peer.name);
        if let Some(handle) = self.links.handles.get_mut(&link) {
            handle.peer.node = Some(peer.name.clone());
            if let Some(info) = handle.info.take() {
                let queue = Arc::clone(&handle.queue);
                self.kernel.nodeup(&info, peer.connection.get(), queue);
            }
        }
        for answer in self.waiting.remove(&peer.name).unwrap_or_default() {
            let _ = answer.send(Ok(()));
        }
        self.records.nodeup(&peer, &self.publisher.view());
    }
}

/// The one of two moments that comes first, as far as there are any.
pub(crate) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
