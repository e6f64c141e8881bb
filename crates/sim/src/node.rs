//! One life of a node: the real machines, and the driver that a simulation needs for them.

mod links;
mod manager;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use enmesh_identity::{Cookie, Creation, NodeName, PeerAddr};
use enmesh_membership::{LinkId, Plan, PlanConfig, Prune, Roster, RosterConfig, TopologyName};
use enmesh_otp::Pids;
use enmesh_proto::{LinkConfig, LocalNode};
use enmesh_term::{Atom, Pid};
use rand::RngExt;

use crate::FaultKind;
use crate::event::{Event, Happening, Micros, SECOND};
use crate::link_end::LinkEnd;
use crate::network::PORT;
use crate::outside::Outside;
use crate::plant::Plant;
use crate::source::Source;

/// How often a source is asked.
const POLL_EVERY: Micros = 5 * SECOND;
/// How often a source that flaps speaks.
const FLAP_EVERY: Micros = SECOND / 10;
/// How often a node says something to somebody.
const CHAT_EVERY: Micros = 4 * SECOND;
/// Shorter than in life, so that a run shows many timeouts.
const NET_TICKTIME: std::time::Duration = std::time::Duration::from_secs(12);

/// What a node is born with.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) node: usize,
    pub(crate) life: u32,
    pub(crate) name: NodeName,
    pub(crate) address: IpAddr,
    pub(crate) cookie: Cookie,
    pub(crate) prune: Prune,
    pub(crate) visible: bool,
    /// Whom the sources of its topologies name.
    pub(crate) topologies: Vec<Vec<PeerAddr>>,
    /// How long it takes at most until a source is asked.
    pub(crate) spread: Micros,
    /// For how long what a source says must stay the same before it counts.
    pub(crate) window: Micros,
}

/// A running node.
#[derive(Debug)]
pub(crate) struct Process {
    node: usize,
    life: u32,
    prune: Prune,
    pub(crate) name: NodeName,
    roster: Roster,
    plan: Plan,
    links: BTreeMap<LinkId, LinkEnd>,
    /// Dials that have no socket yet, with their connection if there is somebody to connect to.
    dials: BTreeMap<LinkId, Option<usize>>,
    config: Arc<LinkConfig>,
    pids: Arc<Pids>,
    /// The one process that talks.
    pid: Pid,
    mailbox: Atom,
    sources: Vec<Source>,
    /// For when the next timer is set.
    timer_at: Micros,
    /// When the last question reaches the manager: questions never overtake each other.
    asked_at: Micros,
    monitors: u32,
}

impl Process {
    /// Starts a node.
    pub(crate) fn new(birth: Birth, out: &mut Outside) -> Self {
        let Birth {
            node,
            life,
            name,
            address,
            cookie,
            prune,
            visible,
            topologies,
            spread,
            window,
        } = birth;
        let creation = Creation::from_seed(out.rng.random());
        let local = LocalNode {
            name: name.clone(),
            creation,
            visible,
        };
        let mut config = LinkConfig::new(local, cookie);
        config.net_ticktime = NET_TICKTIME;
        config
            .validate()
            .expect("the configuration is in its ranges");
        let mut plan = PlanConfig::new(name.clone(), out.rng.random());
        plan.own_addrs = vec![(address, PORT).into()];
        plan.visible = visible;
        let mut roster = Roster::new(RosterConfig {
            prune,
            ..RosterConfig::new(name.clone())
        });
        let has_window = !out.plants(Plant::NoWindows);
        for name in (0..topologies.len()).map(topology_name) {
            roster
                .add_topology(name.clone())
                .expect("names are distinct and few");
            if has_window {
                let window = std::time::Duration::from_micros(window);
                roster.set_stabilisation_window(out.instant(), &name, window);
            }
        }
        out.watch.born(node, topologies.len(), window);
        let pids = Arc::new(Pids::new(&name, creation));
        let process = Self {
            node,
            life,
            prune,
            roster,
            plan: Plan::new(plan),
            links: BTreeMap::new(),
            dials: BTreeMap::new(),
            config: Arc::new(config),
            pid: pids.fresh(),
            pids,
            mailbox: Atom::new("sim").expect("a short atom"),
            sources: topologies.into_iter().map(Source::new).collect(),
            timer_at: Micros::MAX,
            asked_at: 0,
            monitors: 0,
            name,
        };
        for topology in 0..process.sources.len() {
            let wait = out.rng.random_range(0..spread);
            process.happen_after(out, wait, Happening::Poll { topology });
        }
        let wait = out.rng.random_range(0..CHAT_EVERY);
        process.happen_after(out, wait, Happening::Chat);
        process
    }

    /// Lets one thing happen to the node, and everything that follows from it at once.
    pub(crate) fn handle(&mut self, what: Happening, out: &mut Outside) {
        match what {
            Happening::Accept { conn } => self.accept(conn, out),
            Happening::Dialled { link } => self.dialled(link, out),
            Happening::DialFailed { link, failure } => {
                if self.dials.remove(&link).is_some() {
                    self.plan.handle_dial_failed(out.instant(), link, failure);
                }
            }
            Happening::Arrive { link, segment } => return self.arrive(link, segment, out),
            // The world finds the link of this before it hands it on.
            Happening::ArriveAt { .. } => return,
            Happening::LinkTimer { link, at } => return self.link_timer(link, at, out),
            Happening::Timer { at } if at != self.timer_at => return,
            Happening::Timer { .. } => return self.timer(out),
            Happening::Report { link, report } => self.report(link, report, out),
            Happening::Poll { topology } => self.poll(topology, out),
            Happening::Chat => self.chat(out),
        }
        self.settle(out);
    }

    /// The time has come that roster and plan wanted to be told of.
    fn timer(&mut self, out: &mut Outside) {
        self.timer_at = Micros::MAX;
        out.watch.time_passes(self.node);
        self.roster.handle_timeout(out.instant());
        self.plan.handle_timeout(out.instant());
        self.settle(out);
        let mut deadlines = [self.roster.deadline(), self.plan.deadline()]
            .into_iter()
            .flatten();
        let is_due = deadlines.any(|at| at <= out.instant()) || out.plants_once(Plant::StuckTimer);
        out.watch.timer(self.node, is_due);
    }

    /// The user wants a random peer's link closed; says whether there was one.
    pub(crate) fn disconnect_somebody(&mut self, out: &mut Outside) -> bool {
        let connected: Vec<_> = self.plan.connected().map(|up| up.name.clone()).collect();
        if connected.is_empty() {
            return false;
        }
        let peer = &connected[out.rng.random_range(0..connected.len())];
        out.note(&[self.node], || {
            format!("{} is told to disconnect {peer}", self.name)
        });
        out.watch.user_disconnects(self.node, peer);
        self.plan.handle_disconnect(out.instant(), peer);
        self.settle(out);
        true
    }

    /// The cluster tells the node to go; says whether it had a link to lose.
    pub(crate) fn leave(&mut self, rejoin_after: Micros, out: &mut Outside) -> bool {
        let had_links = self.plan.connected().next().is_some();
        out.note(&[self.node], || {
            format!("{} is told to go for {rejoin_after} us", self.name)
        });
        out.watch.leaves(self.node, out.now + rejoin_after);
        let rejoin_after = std::time::Duration::from_micros(rejoin_after);
        self.plan.handle_leave(out.instant(), rejoin_after);
        self.settle(out);
        had_links
    }

    /// From now on the node's new links hold this cookie.
    pub(crate) fn set_cookie(&mut self, cookie: Cookie) {
        let mut config = LinkConfig::clone(&self.config);
        config.cookies = cookie.into();
        self.config = Arc::new(config);
    }

    pub(crate) fn begin_lie(&mut self, kind: FaultKind) {
        self.sources
            .iter_mut()
            .for_each(|source| source.begin(kind));
    }

    pub(crate) fn end_lie(&mut self, kind: FaultKind) {
        self.sources.iter_mut().for_each(|source| source.end(kind));
    }

    /// Ends the node by its own will, and looks at what it leaves.
    pub(crate) fn shut_down(&mut self, out: &mut Outside) {
        out.watch.shuts(self.node);
        if out.plants_once(Plant::ShutdownLeavesLink) {
            return out
                .watch
                .shut(self.node, &self.plan, self.links.len() + self.dials.len());
        }
        self.plan.handle_shutdown(out.instant());
        self.settle(out);
        out.watch
            .shut(self.node, &self.plan, self.links.len() + self.dials.len());
    }

    pub(crate) fn creation(&self) -> Creation {
        self.config.local.creation
    }

    pub(crate) fn life(&self) -> u32 {
        self.life
    }

    /// The connections that are open at our end, with our side.
    pub(crate) fn conns(&self) -> impl Iterator<Item = (usize, usize)> {
        let dials = self
            .dials
            .values()
            .filter_map(|conn| conn.map(|conn| (conn, 0)));
        self.links
            .values()
            .map(|end| (end.conn, end.side))
            .chain(dials)
    }

    /// The connections that carry messages.
    pub(crate) fn live_conns(&self) -> Vec<usize> {
        self.links
            .values()
            .filter(|end| end.link.is_up())
            .map(|end| end.conn)
            .collect()
    }

    /// Whether a peer owes an answer since before that time.
    pub(crate) fn waits_since_before(&self, time: Micros) -> bool {
        self.links
            .values()
            .any(|end| end.monitors_since.is_some_and(|since| since < time))
    }

    pub(crate) fn add_counters(&self, out: &mut Outside) {
        out.stats.dials += self.plan.counters().dials;
        out.stats.discarded += self.plan.counters().discarded;
    }

    fn happen_after(&self, out: &mut Outside, wait: Micros, what: Happening) {
        self.happen_at(out, out.now + wait, what);
    }

    fn happen_at(&self, out: &mut Outside, at: Micros, what: Happening) {
        let (node, life) = (self.node, self.life);
        out.queue.push(at, Event::Node { node, life, what });
    }
}

pub(crate) fn topology_name(topology: usize) -> TopologyName {
    format!("t{topology}").parse().expect("a plain name")
}
