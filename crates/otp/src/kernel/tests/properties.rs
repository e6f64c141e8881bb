//! Whatever processes do and whichever links break: in the end both sides agree.

use std::collections::{HashMap, HashSet};

use enmesh_term::{Atom, Pid, Reference, Term};
use proptest::prelude::*;

use super::wire::*;
use crate::kernel::Kernel;
use crate::processes::{LinkState, Watcher};
use crate::requests::Kind;
use crate::{Action, Address, JobOutcome, Mail};

const NAMES: [&str; 3] = ["a@h", "b@h", "c@h"];
const REASONS: [&str; 4] = ["normal", "kill", "boom", "shutdown"];

/// One step; processes and references are taken by their number, modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    Spawn(usize, bool),
    Exit(usize, usize),
    Link(usize, usize),
    Unlink(usize, usize),
    Signal(usize, usize, usize),
    Monitor(usize, usize),
    Demonitor(usize),
    Call(usize, usize),
    Request(usize, usize, bool, bool),
    Forget(usize),
    JobEnds(usize),
    Connect(usize, usize),
    Cut(usize, usize),
    Carry(usize, usize),
    Refuse(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (n, p) = (0..3_usize, 0..64_usize);
    let pairs = (p.clone(), p.clone());
    prop_oneof![
        4 => (n.clone(), any::<bool>()).prop_map(|(n, trap)| Step::Spawn(n, trap)),
        2 => (p.clone(), 0..4_usize).prop_map(|(p, r)| Step::Exit(p, r)),
        6 => pairs.clone().prop_map(|(p, q)| Step::Link(p, q)),
        4 => pairs.clone().prop_map(|(p, q)| Step::Unlink(p, q)),
        2 => (p.clone(), p.clone(), 0..4_usize).prop_map(|(p, q, r)| Step::Signal(p, q, r)),
        6 => pairs.clone().prop_map(|(p, q)| Step::Monitor(p, q)),
        3 => p.clone().prop_map(Step::Demonitor),
        3 => pairs.prop_map(|(p, q)| Step::Call(p, q)),
        3 => (p.clone(), n.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(p, n, m, l)| Step::Request(p, n, m, l)),
        2 => p.clone().prop_map(Step::Forget),
        2 => p.prop_map(Step::JobEnds),
        2 => (n.clone(), n.clone()).prop_map(|(a, b)| Step::Connect(a, b)),
        1 => (n.clone(), n.clone()).prop_map(|(a, b)| Step::Cut(a, b)),
        12 => (n.clone(), n.clone()).prop_map(|(a, b)| Step::Carry(a, b)),
        1 => n.prop_map(Step::Refuse),
    ]
}

/// The nodes and what was made on them.
struct World {
    net: Net,
    up: HashSet<(usize, usize)>,
    pids: Vec<(usize, Pid)>,
    references: Vec<(usize, Pid, Reference)>,
    /// Monitors that were taken back, and may not fire.
    taken_back: HashSet<Reference>,
}

impl World {
    fn new() -> Self {
        let mut net = Net::new(&NAMES);
        let mut pids = Vec::new();
        for (at, name) in NAMES.iter().enumerate() {
            pids.push((at, net.spawn(name, "x")));
            net.kernel(name)
                .define(Atom::from_static("m"), Atom::from_static("f"));
        }
        Self {
            net,
            up: HashSet::new(),
            pids,
            references: Vec::new(),
            taken_back: HashSet::new(),
        }
    }

    fn pid(&self, at: usize) -> (usize, Pid) {
        self.pids[at % self.pids.len()].clone()
    }

    fn kernel(&mut self, node: usize) -> &mut Kernel<Handle> {
        self.net.kernel(NAMES[node])
    }

    fn take(&mut self, step: &Step) {
        let now = self.net.now;
        match *step {
            Step::Spawn(node, trap) => {
                let pid = self.kernel(node).spawn("x", trap).unwrap();
                self.pids.push((node, pid));
            }
            Step::Exit(p, reason) => {
                let (node, pid) = self.pid(p);
                self.kernel(node)
                    .exit(now, &pid, Term::atom(REASONS[reason]));
            }
            Step::Link(p, q) => {
                let ((node, p), (_, q)) = (self.pid(p), self.pid(q));
                self.kernel(node).link(now, &p, &q);
            }
            Step::Unlink(p, q) => {
                let ((node, p), (_, q)) = (self.pid(p), self.pid(q));
                self.kernel(node).unlink(now, &p, &q);
            }
            Step::Signal(p, q, reason) => {
                let ((node, p), (_, q)) = (self.pid(p), self.pid(q));
                let reason = Term::atom(REASONS[reason]);
                self.kernel(node).exit_signal(now, &p, &q, reason);
            }
            Step::JobEnds(at) => self.end_job(at),
            Step::Connect(a, b) if a != b && !self.is_up(a, b) => {
                self.up.insert((a.min(b), a.max(b)));
                self.net.connect(NAMES[a], NAMES[b]);
            }
            Step::Cut(a, b) if self.up.remove(&(a.min(b), a.max(b))) => {
                self.net.cut(NAMES[a], NAMES[b]);
            }
            Step::Carry(a, b) => {
                self.net.carry(NAMES[a], NAMES[b]);
            }
            Step::Refuse(node) => self.refuse(node),
            Step::Connect(..) | Step::Cut(..) => {}
            ref step => self.request(step),
        }
    }

    fn request(&mut self, step: &Step) {
        let now = self.net.now;
        match *step {
            Step::Monitor(p, q) => {
                let ((node, p), (_, q)) = (self.pid(p), self.pid(q));
                let reference = self.kernel(node).monitor(now, &p, &q.into());
                self.references.push((node, p, reference));
            }
            Step::Call(p, q) => {
                let ((node, p), (_, q)) = (self.pid(p), self.pid(q));
                let reference = self
                    .kernel(node)
                    .call(now, &p, &q.into(), &Term::nil(), "x");
                self.references.push((node, p, reference));
            }
            Step::Request(p, on, monitor, link) => {
                let (node, p) = self.pid(p);
                let mfa = (Atom::from_static("m"), Atom::from_static("f"), Term::nil());
                let on = Atom::from_static(NAMES[on]);
                let kernel = self.kernel(node);
                let reference = kernel.spawn_request(now, &p, &on, mfa, monitor, link, "x");
                self.references.push((node, p, reference));
            }
            Step::Demonitor(at) if !self.references.is_empty() => {
                let at = at % self.references.len();
                let (node, p, reference) = self.references[at].clone();
                self.collect(node);
                if self.kernel(node).demonitor(now, &p, &reference) {
                    self.taken_back.insert(reference);
                }
            }
            Step::Forget(at) if !self.references.is_empty() => {
                let at = at % self.references.len();
                let (node, _, reference) = self.references[at].clone();
                self.kernel(node).forget(now, &reference);
            }
            _ => {}
        }
    }

    fn is_up(&self, a: usize, b: usize) -> bool {
        self.up.contains(&(a.min(b), a.max(b)))
    }

    fn collect(&mut self, node: usize) {
        self.net.node(NAMES[node]).drain();
    }

    /// The driver ends a function that it was told to start.
    fn end_job(&mut self, at: usize) {
        let now = self.net.now;
        for name in NAMES {
            let node = self.net.node(name);
            node.drain();
            let jobs: Vec<_> = node
                .others
                .iter()
                .filter_map(|action| match action {
                    Action::Start { job, .. } => Some(*job),
                    _ => None,
                })
                .collect();
            if !jobs.is_empty() {
                let outcome = JobOutcome::Exited(Term::atom("boom"));
                node.kernel.handle_job(now, jobs[at % jobs.len()], outcome);
            }
        }
    }

    /// The driver could not connect.
    fn refuse(&mut self, node: usize) {
        let now = self.net.now;
        self.collect(node);
        for (other, name) in NAMES.into_iter().enumerate() {
            let name = Atom::from_static(name);
            if other != node && !self.is_up(node, other) {
                self.kernel(node).handle_connect_failed(now, &name);
            }
        }
        self.collect(node);
    }

    /// Lets everything come to rest.
    fn rest(&mut self) {
        for _ in 0..1_000 {
            self.net.run();
            for node in 0..3 {
                self.refuse(node);
            }
            let quiet = NAMES.iter().all(|name| {
                let node = &self.net.nodes[name];
                let waits = node.kernel.peers.values().any(|peer| peer.up().is_none());
                !waits && node.out.values().all(|queue| queue.is_empty())
            });
            if quiet {
                return;
            }
        }
        panic!("the nodes do not come to rest");
    }

    fn check(&self) {
        let nodes = NAMES.map(|name| &self.net.nodes[name].kernel);
        for kernel in nodes {
            let mut links = HashSet::new();
            for process in kernel.processes.iter() {
                for (other, state) in &process.links {
                    assert_eq!(*state, LinkState::Active, "{} {other}", process.pid);
                    let mirror = lookup(&nodes, other).map(|other| other.links.get(&process.pid));
                    assert_eq!(mirror, Some(Some(&LinkState::Active)), "{other}");
                    if other.node() != kernel.node() {
                        links.insert((crate::Pids::number(&process.pid), other.clone()));
                    }
                }
                for Watcher(by, reference) in process.watchers.keys() {
                    let request = owner(&nodes, by).requests.find(reference);
                    assert!(request.is_some(), "{} watched by {by}", process.pid);
                }
                for &number in &process.requests {
                    assert!(kernel.requests.get(number).is_some());
                }
            }
            let known: HashSet<_> = kernel
                .peers
                .values()
                .flat_map(|peer| &peer.links)
                .cloned()
                .collect();
            assert_eq!(known, links);
            self.check_requests(&nodes, kernel);
        }
        self.check_downs();
    }

    fn check_requests(&self, nodes: &[&Kernel<Handle>; 3], kernel: &Kernel<Handle>) {
        for (number, request) in kernel.requests.iter() {
            let by = kernel.processes.lookup(&request.by);
            assert!(
                by.is_some_and(|by| by.requests.contains(&number)),
                "{request:?}"
            );
            if matches!(request.kind, Kind::Alias | Kind::Groups { .. }) {
                continue;
            }
            let Some(Address::Pid(target)) = &request.target else {
                continue;
            };
            let key = Watcher(request.by.clone(), kernel.requests.reference(number));
            let watched = lookup(nodes, target).map(|target| target.watchers.contains_key(&key));
            assert_eq!(watched, Some(true), "{request:?}");
        }
    }

    /// Every monitor fired at most once, and none that was taken back.
    fn check_downs(&self) {
        let mut fired: HashMap<&Reference, usize> = HashMap::new();
        for name in NAMES {
            for mail in self.net.nodes[name].mail.values().flatten() {
                if let Mail::Down { reference, .. } = mail {
                    *fired.entry(reference).or_default() += 1;
                }
            }
        }
        assert!(fired.values().all(|&times| times == 1), "{fired:?}");
        for reference in &self.taken_back {
            assert!(!fired.contains_key(reference), "{reference}");
        }
    }
}

fn owner<'a>(nodes: &[&'a Kernel<Handle>; 3], pid: &Pid) -> &'a Kernel<Handle> {
    let kernel = nodes.iter().find(|kernel| kernel.node() == pid.node());
    kernel.expect("only these nodes are known")
}

fn lookup<'a>(
    nodes: &[&'a Kernel<Handle>; 3],
    pid: &Pid,
) -> Option<&'a crate::processes::Process<Handle>> {
    owner(nodes, pid).processes.lookup(pid)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_link_or_monitor_is_left_without_its_other_side(
        steps in proptest::collection::vec(step(), 1..200)
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.rest();
        world.check();
    }
}
