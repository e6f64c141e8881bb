//! One run: the nodes, what goes wrong, and the clock.

mod faults;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use enmesh_identity::{Cookie, NodeName, PeerAddr};
use enmesh_membership::{DialFailure, Prune};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::check::Watch;
use crate::event::{Event, Happening, Micros, SECOND, Segment};
use crate::fault;
use crate::network::Network;
use crate::node::{Birth, Process};
use crate::outside::Outside;
use crate::plant::Plant;
use crate::{Promise, Stats, Violation};

/// In which time after the last fault everybody must be connected with everybody: a silent loss
/// is noticed (15 s), the longest back-off passes (12.5 s), a dial fails (7 s), sources are asked
/// again (6 s), their answers settle (1 s), and the handshake is made.
pub const HEAL_WITHIN: Duration = Duration::from_secs(42);

/// The shortest run: it needs time for faults, for healing and for quiet.
pub const MIN_DURATION: Duration = Duration::from_secs(60);

/// How long before the end of a run the nodes begin to end.
const SHUTDOWN: Micros = 3 * SECOND;
/// How long nothing may happen before that.
const QUIET: Micros = 6 * SECOND;
/// When the first fault comes at the earliest.
const FIRST_FAULT: Micros = 2 * SECOND;
/// The longest stabilisation window.
const MAX_WINDOW: Micros = SECOND;
/// How many impostors there may be.
const IMPOSTORS: usize = 2;
/// After how long a machine tries again to open a connection.
const SYN_AGAIN: [Micros; 3] = [SECOND, 2 * SECOND, 4 * SECOND];

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Where everything that happens comes from.
    pub seed: u64,
    /// How many nodes; 2 to 200.
    pub nodes: usize,
    /// How long, in virtual time; at least [`MIN_DURATION`].
    pub duration: Duration,
    /// Whether nothing goes wrong: then no link may fall from the first moment on.
    pub is_calm: bool,
}

impl SimConfig {
    /// Fifty nodes for 120 s.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            nodes: 50,
            duration: Duration::from_secs(120),
            is_calm: false,
        }
    }
}

/// Lets the nodes of one seed live through what it draws.
///
/// # Errors
/// The first promise that was broken, with its story.
pub fn run(config: &SimConfig) -> Result<Stats, Box<Violation>> {
    run_with(config, None)
}

/// The same with a bug in it.
pub(crate) fn run_with(config: &SimConfig, plant: Option<Plant>) -> Result<Stats, Box<Violation>> {
    let mut violation = match World::new(config, plant).run() {
        Ok(stats) => return Ok(stats),
        Err(violation) => violation,
    };
    // Everything happens again, and this time what concerns these nodes is written down.
    let mut again = World::new(config, plant);
    again.out.tell_story_of(violation.involved.clone());
    let (_, story) = again.run_told();
    violation.story = story;
    Err(violation)
}

/// What is known of a machine, whether a node runs on it or not.
#[derive(Debug)]
struct Machine {
    name: NodeName,
    address: IpAddr,
    life: u32,
    process: Option<Process>,
    is_powered: bool,
    is_frozen: bool,
    /// Whether a fault that takes the whole node is under way.
    is_taken: bool,
    /// What happened while the node was frozen.
    backlog: Vec<Happening>,
}

/// Everything of one run.
#[derive(Debug)]
pub(crate) struct World {
    out: Outside,
    machines: Vec<Machine>,
    /// Machines over this number are impostors'.
    nodes: usize,
    prune: Prune,
    visible: bool,
    topologies: Vec<Vec<PeerAddr>>,
    /// Whether of every two nodes only one is told of the other.
    is_lopsided: bool,
    /// How long it takes until everybody has started and asked its sources.
    spread: Micros,
    /// The stabilisation window of every topology.
    window: Micros,
    end: Micros,
    healed_at: Micros,
}

impl World {
    fn new(config: &SimConfig, plant: Option<Plant>) -> Self {
        let mut rng = SmallRng::seed_from_u64(config.seed);
        let nodes = config.nodes.clamp(2, 200);
        let mut machines: Vec<_> = (0..nodes)
            .map(|i| Machine::new(&format!("n{i:02}"), i))
            .collect();
        for i in 0..IMPOSTORS {
            // In nobody's roster, and not at the place of its victim.
            let victim = machines[rng.random_range(0..nodes)].name.clone();
            machines.push(Machine {
                name: victim,
                ..Machine::new("x", nodes + i)
            });
        }
        let peers: Vec<_> = machines[..nodes]
            .iter()
            .map(|m| PeerAddr::new(m.name.clone()))
            .collect();
        let some = peers
            .iter()
            .filter(|_| rng.random_bool(0.5))
            .cloned()
            .collect();
        let latencies = [(100, 2_000), (5_000, 40_000), (50_000, 250_000)][rng.random_range(0..3)];
        // In half of the runs everybody dials everybody within a few round trips.
        let spread = [FIRST_FAULT / 2, 4 * latencies.1][rng.random_range(0..2)];
        let prune =
            [Prune::Never, Prune::Never, Prune::Grace, Prune::Immediate][rng.random_range(0..4)];
        let names = machines.iter().map(|m| m.name.clone()).collect();
        let net = Network::new(machines.iter().map(|m| m.address).collect(), latencies);
        let watch = Watch::new(config.clone(), names, prune);
        let mut out = Outside::new(rng.random(), net, watch);
        let end =
            u64::try_from(config.duration.max(MIN_DURATION).as_micros()).unwrap_or(Micros::MAX / 4);
        let heal = u64::try_from(HEAL_WITHIN.as_micros()).expect("a short time");
        let healed_at = end - SHUTDOWN - QUIET - heal;
        out.plant = plant;
        out.plant_from = healed_at / 2;
        out.watch.is_quiet = config.is_calm;
        let topologies = if rng.random_bool(0.3) {
            vec![peers, some]
        } else {
            vec![peers]
        };
        let window = match rng.random_bool(0.4) {
            true => rng.random_range(SECOND / 5..=MAX_WINDOW),
            false => 0,
        };
        let mut world = Self {
            out,
            machines,
            nodes,
            prune,
            visible: rng.random_bool(0.5),
            is_lopsided: rng.random_bool(0.25),
            topologies,
            end,
            healed_at,
            spread,
            window,
        };
        world.schedule(&mut rng, config.is_calm);
        world
    }

    /// Draws when what happens.
    fn schedule(&mut self, rng: &mut SmallRng, is_calm: bool) {
        let queue = &mut self.out.queue;
        if !is_calm {
            let last_fault = self.healed_at - SECOND / 2;
            for (at, fault) in fault::draw(rng, self.nodes, FIRST_FAULT, last_fault) {
                queue.push(at, Event::Fault(fault));
            }
        }
        let shutdown = self.end - SHUTDOWN;
        queue.push(self.healed_at, Event::Healed);
        queue.push(shutdown - QUIET, Event::Whole);
        for node in 0..self.nodes {
            queue.push(rng.random_range(0..self.spread), Event::Start { node });
            let at = shutdown + rng.random_range(0..SECOND);
            queue.push(at, Event::Shutdown { node });
        }
    }

    fn run(self) -> Result<Stats, Box<Violation>> {
        self.run_told().0
    }

    fn run_told(mut self) -> (Result<Stats, Box<Violation>>, Vec<String>) {
        while let Some((at, event)) = self.out.queue.pop() {
            if at > self.end {
                break;
            }
            self.out.now = at;
            self.out.watch.now = at;
            self.out.stats.events += 1;
            self.step(event);
            if let Some(violation) = self.out.watch.violation.take() {
                return (Err(violation), self.out.take_story());
            }
        }
        self.out.stats.close();
        (Ok(self.out.stats), Vec::new())
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Start { node } => self.start(node, true),
            Event::Syn { conn, attempt } => self.syn(conn, attempt),
            Event::Arrive { conn, to, segment } => self.arrive(conn, to, segment),
            Event::Node { node, life, what } => self.happen(node, life, what),
            Event::Fault(fault) => self.begin(fault),
            Event::Heal(fault) => self.heal(&fault),
            Event::Healed => self.out.last_nodeup = self.out.now,
            Event::Whole => self.whole(),
            Event::Shutdown { node } => self.shut_down(node),
        }
    }

    /// Starts the node of a machine, as another incarnation than before.
    fn start(&mut self, node: usize, is_right: bool) {
        let topologies = self.truth(node);
        let machine = &mut self.machines[node];
        machine.life += 1;
        machine.is_powered = true;
        let birth = Birth {
            node,
            life: machine.life,
            name: machine.name.clone(),
            address: machine.address,
            cookie: cookie(is_right),
            prune: self.prune,
            visible: self.visible,
            topologies,
            spread: self.spread,
            window: self.window,
        };
        let process = Process::new(birth, &mut self.out);
        self.out.note(&[node], || {
            format!(
                "{} starts with creation {}",
                process.name,
                process.creation()
            )
        });
        machine.process = Some(process);
    }

    /// Whom the sources of this node name while they tell the truth.
    fn truth(&self, node: usize) -> Vec<Vec<PeerAddr>> {
        let mut topologies = self.topologies.clone();
        if self.is_lopsided && node < self.nodes {
            let own = &self.machines[node].name;
            let knows = |peer: &PeerAddr| peer.name() > own;
            topologies.iter_mut().for_each(|peers| peers.retain(knows));
        }
        topologies
    }

    fn happen(&mut self, node: usize, life: u32, what: Happening) {
        let machine = &mut self.machines[node];
        if machine.life != life {
            return;
        }
        if machine.is_frozen {
            return machine.backlog.push(what);
        }
        if let Some(process) = &mut machine.process {
            process.handle(what, &mut self.out);
        }
    }

    /// A machine tries to open a connection.
    fn syn(&mut self, conn: usize, attempt: u32) {
        let ends = &self.out.net.conns[conn].ends;
        let (from, to) = (ends[0].node, ends[1].node);
        if !ends[0].is_open {
            return;
        }
        let machine = &self.machines[to];
        let is_cut = self.out.net.is_cut(from, to) || self.out.net.is_cut(to, from);
        let is_lost = self.out.net.lossy > 0 && self.out.rng.random_bool(0.1);
        if is_cut || is_lost || !machine.is_powered {
            if let Some(&wait) = SYN_AGAIN.get(attempt as usize) {
                self.out.push_after(
                    wait,
                    Event::Syn {
                        conn,
                        attempt: attempt + 1,
                    },
                );
            }
            return;
        }
        let (life, is_running) = (machine.life, machine.process.is_some());
        let wait = self.out.net.delay(&mut self.out.rng, conn);
        let ends = &mut self.out.net.conns[conn].ends;
        let Some(link) = ends[0].link else { return };
        let (dialler, dialler_life) = (ends[0].node, ends[0].life);
        let what = if is_running {
            // The machine's own system accepts, even while the node is frozen.
            ends[1].life = life;
            let what = Happening::Accept { conn };
            self.out.push_after(
                0,
                Event::Node {
                    node: to,
                    life,
                    what,
                },
            );
            Happening::Dialled { link }
        } else {
            Happening::DialFailed {
                link,
                failure: DialFailure::Refused,
            }
        };
        self.out.push_after(
            wait,
            Event::Node {
                node: dialler,
                life: dialler_life,
                what,
            },
        );
    }

    fn arrive(&mut self, conn: usize, to: usize, segment: Segment) {
        let end = &self.out.net.conns[conn].ends[to];
        let machine = &self.machines[end.node];
        if !machine.is_powered {
            return;
        }
        let (node, life) = (end.node, end.life);
        match end.link.filter(|_| end.is_open && life == machine.life) {
            Some(link) => self.happen(node, life, Happening::Arrive { link, segment }),
            None if end.is_open && life == machine.life && machine.is_frozen => {
                // Accepted by the system; the node will see it later.
                self.machines[node]
                    .backlog
                    .push(Happening::ArriveAt { conn, segment });
            }
            None => {
                if let Segment::Bytes(_) = segment {
                    // Nobody is there any more, and the machine says so.
                    self.out.send(conn, to, Segment::End);
                }
            }
        }
    }

    /// Every fault has been over for long enough.
    fn whole(&mut self) {
        let machines = &self.machines[..self.nodes];
        let creations: Vec<_> = machines
            .iter()
            .map(|m| m.process.as_ref().map(Process::creation))
            .collect();
        self.out.watch.whole(&creations);
        self.out.stats.healed_after = self.out.last_nodeup.saturating_sub(self.healed_at);
        let since = self.out.now - 10 * SECOND;
        for (node, machine) in machines.iter().enumerate() {
            if machine
                .process
                .as_ref()
                .is_some_and(|process| process.waits_since_before(since))
            {
                let how = format!("somebody leaves {} without an answer", machine.name);
                self.out.watch.broken(Promise::NeverSilent, vec![node], how);
            }
        }
        self.out.watch.is_quiet = true;
        if self.out.plants_once(Plant::FallsInQuiet) {
            self.break_conns(0, 1);
        }
    }

    fn shut_down(&mut self, node: usize) {
        self.out.watch.is_quiet = false;
        let machine = &mut self.machines[node];
        let Some(mut process) = machine.process.take() else {
            return;
        };
        self.out
            .note(&[node], || format!("{} shuts down", machine.name));
        process.shut_down(&mut self.out);
        process.add_counters(&mut self.out);
    }
}

impl Machine {
    fn new(alive: &str, index: usize) -> Self {
        let [high, low] = u16::try_from(index).expect("few nodes").to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, high, low));
        Self {
            name: NodeName::new(alive, &address.to_string()).expect("a plain name"),
            address,
            life: 0,
            process: None,
            is_powered: true,
            is_frozen: false,
            is_taken: false,
            backlog: Vec::new(),
        }
    }
}

fn cookie(is_right: bool) -> Cookie {
    Cookie::new(if is_right { "right" } else { "wrong" }).expect("a plain cookie")
}
