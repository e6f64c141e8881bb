//! Many machines on a network with a seed: delays, cuts, deaths. What a kernel does for its
//! machine is done here as plainly as can be.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use enmesh_term::{Atom, Pid, Reference, Term};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::effect::{Address, CallFailed, Effect};
use crate::global::{Global, GlobalConfig};

/// What crosses a link.
#[derive(Clone, Debug)]
enum Signal {
    Message { to: Address, message: Term },
    Monitor { id: u64, target: Pid },
    Down { id: u64, reason: Term },
    Exit { to: Pid },
}

#[derive(Clone, Debug)]
enum Event {
    Deliver {
        from: usize,
        to: usize,
        epoch: u64,
        signal: Signal,
    },
    /// A link is made, or is not.
    Dialled {
        from: usize,
        to: usize,
    },
    /// One end has noticed that its link is cut.
    Noticed {
        at: usize,
        peer: usize,
        epoch: u64,
    },
    Timer {
        at: usize,
    },
    Plan {
        at: usize,
    },
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Atom,
    pub(super) global: Global,
    pub(super) is_alive: bool,
    creation: u32,
    next_ref: u32,
    pub(super) processes: BTreeSet<Pid>,
    next_pid: u32,
    /// Peer to epoch.
    pub(super) up: BTreeMap<usize, u64>,
    pending: BTreeMap<usize, Vec<Signal>>,
    monitors: HashMap<u64, Pid>,
    calls: HashMap<Reference, u64>,
    call_nodes: HashMap<u64, Atom>,
    /// By whom our processes are watched.
    watchers: Vec<(Pid, usize, u64)>,
    pub(super) learned: BTreeSet<Atom>,
    pub(super) away_until: Option<Instant>,
    pub(super) leaves: Vec<Duration>,
    pub(super) outcomes: BTreeMap<u64, bool>,
    armed: Option<Instant>,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) rng: SmallRng,
    pub(super) nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    events: HashMap<u64, Event>,
    sequence: u64,
    /// When the last signal of a direction arrives: links keep the order.
    last: HashMap<(usize, usize), Instant>,
    epoch: u64,
    /// Pairs that cannot reach each other.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// Whether discovery knows nobody but the first node: the others are learned of.
    pub(super) is_guided: bool,
    pub(super) log: VecDeque<String>,
}

impl Node {
    /// Whether it is one of the machine's own processes, or one that lives.
    pub(super) fn is_running(&self, pid: &Pid) -> bool {
        (pid.id() < 100 && pid.creation() == self.creation) || self.processes.contains(pid)
    }
}

fn key(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

fn machine(name: &Atom, creation: u32, seed: u64) -> Global {
    let pid = |id| Pid::new(name.clone(), id, 0, creation);
    Global::new(GlobalConfig {
        node: name.clone(),
        server: pid(1),
        locker: pid(2),
        registrar: pid(3),
        seed,
    })
}

impl World {
    pub(super) fn new(seed: u64, nodes: usize) -> Self {
        let now = Instant::now();
        let mut world = Self {
            now,
            start: now,
            rng: SmallRng::seed_from_u64(seed),
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            sequence: 0,
            last: HashMap::new(),
            epoch: 0,
            cut: BTreeSet::new(),
            is_guided: false,
            log: VecDeque::new(),
        };
        for at in 0..nodes {
            let name = Atom::new(&format!("n{at}@h{}", at % 3)).unwrap();
            let global = machine(&name, 1, seed ^ at as u64);
            world.nodes.push(Node {
                name,
                global,
                is_alive: true,
                creation: 1,
                next_ref: 0,
                processes: BTreeSet::new(),
                next_pid: 100,
                up: BTreeMap::new(),
                pending: BTreeMap::new(),
                monitors: HashMap::new(),
                calls: HashMap::new(),
                call_nodes: HashMap::new(),
                watchers: Vec::new(),
                learned: BTreeSet::new(),
                away_until: None,
                leaves: Vec::new(),
                outcomes: BTreeMap::new(),
                armed: None,
            });
            world.at(Duration::ZERO, Event::Plan { at });
        }
        world
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.push(self.now + after, event);
    }

    fn push(&mut self, at: Instant, event: Event) {
        self.sequence += 1;
        self.events.insert(self.sequence, event);
        self.queue.push(Reverse((at, self.sequence)));
    }

    fn index(&self, name: &Atom) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == *name)
    }

    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if self.log.len() > 4000 {
            self.log.pop_front();
        }
        let at = (self.now - self.start).as_micros();
        self.log.push_back(format!("{at:>12} {}", line()));
    }

    /// Lets this much time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0_u64;
        while let Some(Reverse((at, _))) = self.queue.peek() {
            if *at > end {
                break;
            }
            let Some(Reverse((at, sequence))) = self.queue.pop() else {
                break;
            };
            self.now = self.now.max(at);
            let event = self.events.remove(&sequence).unwrap();
            self.handle(event);
            steps += 1;
            assert!(steps < 5_000_000, "the machines never rest");
        }
        self.now = end;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver {
                from,
                to,
                epoch,
                signal,
            } => {
                if self.nodes[to].up.get(&from) == Some(&epoch) {
                    self.deliver(from, to, signal);
                }
            }
            Event::Dialled { from, to } => self.dialled(from, to),
            Event::Noticed { at, peer, epoch } => {
                if self.nodes[at].up.get(&peer) == Some(&epoch) {
                    self.nodedown(at, peer);
                }
            }
            Event::Timer { at } => {
                self.nodes[at].armed = None;
                if self.nodes[at].is_alive {
                    let now = self.now;
                    if self.nodes[at]
                        .global
                        .deadline()
                        .is_some_and(|due| due <= now)
                    {
                        self.nodes[at].global.handle_timeout(now);
                    }
                    self.drain(at);
                }
            }
            Event::Plan { at } => {
                for to in 0..self.nodes.len() {
                    let node = &self.nodes[at];
                    let is_wanted =
                        !self.is_guided || to == 0 || node.learned.contains(&self.nodes[to].name);
                    if to != at && is_wanted && node.is_alive && !node.up.contains_key(&to) {
                        self.dial(at, to);
                    }
                }
                let wait = self.rng.random_range(800..1500);
                self.at(Duration::from_millis(wait), Event::Plan { at });
            }
        }
    }

    fn is_away(&self, at: usize) -> bool {
        self.nodes[at]
            .away_until
            .is_some_and(|until| self.now < until)
    }

    pub(super) fn dial(&mut self, from: usize, to: usize) {
        let wait = self.rng.random_range(100..8000);
        self.at(Duration::from_micros(wait), Event::Dialled { from, to });
    }

    fn dialled(&mut self, from: usize, to: usize) {
        if !self.nodes[from].is_alive || self.nodes[from].up.contains_key(&to) {
            return;
        }
        let is_possible = self.nodes[to].is_alive
            && !self.cut.contains(&key(from, to))
            && !self.is_away(from)
            && !self.is_away(to);
        if !is_possible {
            let pending = self.nodes[from].pending.remove(&to);
            for signal in pending.unwrap_or_default() {
                self.failed(from, signal);
            }
            self.drop_calls(from, to);
            return self.drain(from);
        }
        if self.nodes[to].up.contains_key(&from) {
            // It has not noticed the cut: now it does.
            self.nodedown(to, from);
        }
        self.epoch += 1;
        let epoch = self.epoch;
        let _ = self.last.remove(&(from, to));
        let _ = self.last.remove(&(to, from));
        for (at, peer) in [(from, to), (to, from)] {
            self.nodes[at].up.insert(peer, epoch);
        }
        for (at, peer) in [(from, to), (to, from)] {
            let (now, name) = (self.now, self.nodes[peer].name.clone());
            self.say(|| format!("n{at}: nodeup {name}"));
            self.nodes[at].global.handle_nodeup(now, &name);
            self.drain(at);
            let pending = self.nodes[at].pending.remove(&peer);
            for signal in pending.unwrap_or_default() {
                self.transmit(at, peer, signal);
            }
        }
    }

    fn failed(&mut self, at: usize, signal: Signal) {
        if let Signal::Monitor { id, .. } = signal
            && self.nodes[at].monitors.remove(&id).is_some()
        {
            let now = self.now;
            self.nodes[at]
                .global
                .handle_down(now, id, &Term::atom("noconnection"));
        }
    }

    fn drop_calls(&mut self, at: usize, peer: usize) {
        let (now, name) = (self.now, self.nodes[peer].name.clone());
        let node = &mut self.nodes[at];
        let lost = node.call_nodes.iter().filter(|(_, to)| **to == name);
        let mut lost: Vec<u64> = lost.map(|(id, _)| *id).collect();
        lost.sort_unstable();
        for id in lost {
            node.call_nodes.remove(&id);
            node.calls.retain(|_, call| *call != id);
            let reason = Term::atom("noconnection");
            node.global
                .handle_reply(now, id, Err(CallFailed { reason }));
        }
    }

    fn nodedown(&mut self, at: usize, peer: usize) {
        let (now, name) = (self.now, self.nodes[peer].name.clone());
        self.say(|| format!("n{at}: nodedown {name}"));
        self.nodes[at].up.remove(&peer);
        self.nodes[at].global.handle_nodedown(now, &name);
        self.drop_calls(at, peer);
        let node = &mut self.nodes[at];
        node.watchers.retain(|(_, watcher, _)| *watcher != peer);
        let gone = node.monitors.iter().filter(|(_, pid)| *pid.node() == name);
        let mut gone: Vec<u64> = gone.map(|(id, _)| *id).collect();
        gone.sort_unstable();
        for id in gone {
            node.monitors.remove(&id);
            node.global
                .handle_down(now, id, &Term::atom("noconnection"));
        }
        self.drain(at);
    }

    /// Cuts a live link; each end notices in its own time.
    pub(super) fn cut_link(&mut self, a: usize, b: usize, slowest: u64) {
        for (at, peer) in [(a, b), (b, a)] {
            if let Some(epoch) = self.nodes[at].up.get(&peer).copied() {
                let after = Duration::from_millis(self.rng.random_range(0..=slowest));
                self.at(after, Event::Noticed { at, peer, epoch });
            }
        }
        // Nothing crosses it any more.
        self.last.insert((a, b), self.now);
        let lost = |event: &Event| matches!(event, Event::Deliver { from, to, .. } if key(*from, *to) == key(a, b));
        let dead: Vec<u64> = self
            .events
            .iter()
            .filter(|(_, it)| lost(it))
            .map(|(id, _)| *id)
            .collect();
        for id in dead {
            self.events.insert(id, Event::Timer { at: a });
        }
        self.cut.insert(key(a, b));
    }

    pub(super) fn kill_node(&mut self, at: usize) {
        self.say(|| format!("n{at} is killed"));
        self.nodes[at].is_alive = false;
        for peer in 0..self.nodes.len() {
            if peer != at && self.nodes[at].up.contains_key(&peer) {
                let was_cut = self.cut.contains(&key(at, peer));
                self.cut_link(at, peer, 50);
                if !was_cut {
                    self.cut.remove(&key(at, peer));
                }
            }
        }
        let node = &mut self.nodes[at];
        node.up.clear();
        node.processes.clear();
        node.pending.clear();
        node.monitors.clear();
        node.calls.clear();
        node.call_nodes.clear();
        node.watchers.clear();
        node.away_until = None;
    }

    pub(super) fn start_node(&mut self, at: usize) {
        self.say(|| format!("n{at} is started"));
        let seed = self.rng.random();
        let node = &mut self.nodes[at];
        node.creation += 1;
        node.global = machine(&node.name, node.creation, seed);
        node.is_alive = true;
        node.outcomes.clear();
        node.learned.clear();
    }

    pub(super) fn spawn(&mut self, at: usize) -> Pid {
        let node = &mut self.nodes[at];
        node.next_pid += 1;
        let pid = Pid::new(node.name.clone(), node.next_pid, 0, node.creation);
        node.processes.insert(pid.clone());
        pid
    }

    pub(super) fn kill(&mut self, pid: &Pid) {
        let Some(at) = self.index(pid.node()) else {
            return;
        };
        if !self.nodes[at].processes.remove(pid) {
            return;
        }
        self.say(|| format!("{pid} dies"));
        let watchers = std::mem::take(&mut self.nodes[at].watchers);
        let (fired, left): (Vec<_>, Vec<_>) = watchers.into_iter().partition(|(it, ..)| it == pid);
        self.nodes[at].watchers = left;
        for (_, watcher, id) in fired {
            self.transmit(
                at,
                watcher,
                Signal::Down {
                    id,
                    reason: Term::atom("killed"),
                },
            );
        }
        self.drain(at);
    }

    /// Has one node told by another that it shall go, as BEAM nodes do.
    pub(super) fn send_away(&mut self, at: usize, by: usize) {
        let by = self.nodes[by].name.clone();
        self.say(|| format!("n{at} is sent away by {by}"));
        let word = Term::atom("remove_connection");
        let message = Term::tuple([word, Term::Atom(by.clone())]);
        self.with(at, |global, now| global.handle_message(now, &by, &message));
    }

    pub(super) fn with(&mut self, at: usize, act: impl FnOnce(&mut Global, Instant)) {
        let now = self.now;
        act(&mut self.nodes[at].global, now);
        self.drain(at);
    }

    /// Does what the machine wants, as a kernel would.
    fn drain(&mut self, at: usize) {
        while let Some(effect) = self.nodes[at].global.poll_effect() {
            self.obey(at, effect);
        }
        while let Some((token, outcome)) = self.nodes[at].global.poll_outcome() {
            self.nodes[at].outcomes.insert(token, outcome);
        }
        if let Some(due) = self.nodes[at].global.deadline()
            && self.nodes[at].armed.is_none_or(|armed| due < armed)
        {
            self.nodes[at].armed = Some(due);
            self.push(due.max(self.now), Event::Timer { at });
        }
    }

    fn obey(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Send { to, message, .. } => {
                self.forward(at, &to.node().clone(), Signal::Message { to, message });
            }
            Effect::Call {
                id,
                from,
                to,
                request,
            } => {
                let node = &mut self.nodes[at];
                node.next_ref += 1;
                let words = [node.next_ref, 0, 0];
                let reference = Reference::new(node.name.clone(), node.creation, &words).unwrap();
                node.calls.insert(reference.clone(), id);
                node.call_nodes.insert(id, to.node().clone());
                let tag = Term::improper(vec![Term::atom("alias")], reference.into());
                let from = Term::tuple([from.into(), tag]);
                let message = Term::tuple([Term::atom("$gen_call"), from, request]);
                self.forward(at, &to.node().clone(), Signal::Message { to, message });
            }
            Effect::CancelCall { id } => {
                self.nodes[at].call_nodes.remove(&id);
                self.nodes[at].calls.retain(|_, call| *call != id);
            }
            Effect::Monitor { id, target, .. } => {
                self.nodes[at].monitors.insert(id, target.clone());
                self.forward(at, &target.node().clone(), Signal::Monitor { id, target });
            }
            Effect::Demonitor { id } => {
                self.nodes[at].monitors.remove(&id);
            }
            Effect::Exit { to, .. } => {
                self.forward(at, &to.node().clone(), Signal::Exit { to });
            }
            Effect::Connect(nodes) => {
                let parse = |node: &enmesh_identity::NodeName| Atom::new(node.as_str()).unwrap();
                self.nodes[at].learned = nodes.iter().map(|known| parse(&known.node)).collect();
                for known in nodes {
                    let to = self.index(&parse(&known.node)).unwrap();
                    if !self.nodes[at].up.contains_key(&to) {
                        self.dial(at, to);
                    }
                }
            }
            Effect::Leave { rejoin_after } => {
                self.nodes[at].leaves.push(rejoin_after);
                self.nodes[at].away_until = Some(self.now + rejoin_after);
                let peers: Vec<usize> = self.nodes[at].up.keys().copied().collect();
                for peer in peers {
                    self.cut_link(at, peer, 3);
                    self.cut.remove(&key(at, peer));
                }
            }
        }
    }

    fn forward(&mut self, at: usize, node: &Atom, signal: Signal) {
        let Some(to) = self.index(node) else { return };
        if to == at {
            return self.push_own(at, signal);
        }
        if self.nodes[at].up.contains_key(&to) {
            self.transmit(at, to, signal);
        } else {
            self.nodes[at].pending.entry(to).or_default().push(signal);
            self.dial(at, to);
        }
    }

    fn push_own(&mut self, at: usize, signal: Signal) {
        match signal {
            Signal::Monitor { id, target } => {
                if self.nodes[at].is_running(&target) {
                    self.nodes[at].watchers.push((target, at, id));
                } else {
                    self.nodes[at].monitors.remove(&id);
                    let now = self.now;
                    self.nodes[at]
                        .global
                        .handle_down(now, id, &Term::atom("noproc"));
                }
            }
            Signal::Exit { to } => self.kill(&to),
            signal => self.deliver(at, at, signal),
        }
    }

    fn transmit(&mut self, from: usize, to: usize, signal: Signal) {
        if from == to {
            return self.deliver(from, to, signal);
        }
        let Some(epoch) = self.nodes[from].up.get(&to).copied() else {
            return;
        };
        let wait = Duration::from_micros(self.rng.random_range(50..5000));
        let last = self.last.get(&(from, to)).copied().unwrap_or(self.now);
        let arrives = (self.now + wait).max(last);
        self.last.insert((from, to), arrives);
        // A link that is cut swallows what is sent before that is noticed.
        if !self.cut.contains(&key(from, to)) {
            self.push(
                arrives,
                Event::Deliver {
                    from,
                    to,
                    epoch,
                    signal,
                },
            );
        }
    }

    fn deliver(&mut self, from: usize, to: usize, signal: Signal) {
        let now = self.now;
        let peer = self.nodes[from].name.clone();
        if !self.nodes[to].is_alive {
            return;
        }
        match signal {
            Signal::Message {
                to: Address::Alias(reference),
                message,
            } => {
                let node = &mut self.nodes[to];
                if let Some(id) = node.calls.remove(&reference) {
                    node.call_nodes.remove(&id);
                    let reply = message.as_tuple().unwrap()[1].clone();
                    node.global.handle_reply(now, id, Ok(reply));
                }
            }
            Signal::Message {
                to: Address::Pid(pid),
                message,
            } if self.nodes[to].processes.contains(&pid) => {
                self.say(|| format!("{pid} gets {message}"));
            }
            Signal::Message { message, .. } => {
                self.say(|| format!("n{to} <- n{from} {message}"));
                self.nodes[to].global.handle_message(now, &peer, &message);
            }
            Signal::Monitor { id, target } => {
                if self.nodes[to].is_running(&target) {
                    self.nodes[to].watchers.push((target, from, id));
                } else {
                    let reason = Term::atom("noproc");
                    self.transmit(to, from, Signal::Down { id, reason });
                }
            }
            Signal::Down { id, reason } => {
                if self.nodes[to].monitors.remove(&id).is_some() {
                    self.nodes[to].global.handle_down(now, id, &reason);
                }
            }
            Signal::Exit { to } => self.kill(&to),
        }
        self.drain(to);
    }
}
