//! Two and three machines over links that come and go: in the end all know the same, and at no
//! time does anybody hear what would end a scope process of OTP 25.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

const GROUPS: [&str; 3] = ["a", "b", "c"];
const MEMBERS: u32 = 3;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Join(usize, usize, u32),
    Leave(usize, usize, u32),
    End(usize, u32),
    Up(usize, usize),
    Down(usize, usize),
    /// The scope of a node begins; until then it gets no message.
    Start(usize),
    /// The oldest message of a link arrives.
    Arrive(usize, usize),
}

fn steps(nodes: usize) -> impl Strategy<Value = Vec<Step>> {
    let node = 0..nodes;
    let pair = (node.clone(), node.clone()).prop_filter("two nodes", |(a, b)| a != b);
    let member = (node.clone(), 0..GROUPS.len(), 0..MEMBERS);
    let step = prop_oneof![
        3 => member.clone().prop_map(|(node, group, pid)| Step::Join(node, group, pid)),
        2 => member.prop_map(|(node, group, pid)| Step::Leave(node, group, pid)),
        1 => node.clone().prop_map(Step::Start),
        1 => (node, 0..MEMBERS).prop_map(|(node, pid)| Step::End(node, pid)),
        2 => pair.clone().prop_map(|(a, b)| Step::Up(a, b)),
        1 => pair.clone().prop_map(|(a, b)| Step::Down(a, b)),
        8 => pair.prop_map(|(a, b)| Step::Arrive(a, b)),
    ];
    proptest::collection::vec(step, 0..120)
}

/// What a scope process of OTP 25 knows of the one that speaks to it; a leave of anything else
/// ends it.
#[derive(Default)]
struct Strict {
    known: Option<BTreeMap<Term, Vec<Pid>>>,
}

impl Strict {
    fn hear(&mut self, message: &Term) {
        let parts = message.as_tuple().expect("every message is a tuple");
        match parts {
            [word, cast] if word.is_atom("$gen_cast") => {
                let [word, _, Term::List(groups)] = cast.as_tuple().unwrap() else {
                    panic!("no sync: {message}");
                };
                assert!(word.is_atom("sync"), "{message}");
                let groups = groups.iter().map(|group| match group.as_tuple() {
                    Some([name, Term::List(pids)]) => {
                        assert!(!pids.is_empty(), "an empty group");
                        (
                            name.clone(),
                            pids.iter().map(|p| p.as_pid().unwrap().clone()).collect(),
                        )
                    }
                    _ => panic!("no group: {group}"),
                });
                self.known = Some(groups.collect());
            }
            [word, Term::Pid(_)] if word.is_atom("discover") => {
                self.known.get_or_insert_default();
            }
            [word, _, group, Term::Pid(pid)] if word.is_atom("join") => {
                if let Some(known) = &mut self.known {
                    known
                        .entry(group.clone())
                        .or_default()
                        .push(Pid::clone(pid));
                }
            }
            [word, _, Term::Pid(pid), Term::List(groups)] if word.is_atom("leave") => {
                let Some(known) = &mut self.known else { return };
                for group in groups {
                    let members = known.get_mut(group).expect("a leave of a group unknown");
                    let at = members.iter().position(|member| member == &**pid);
                    members.remove(at.expect("a leave of who never joined"));
                    if members.is_empty() {
                        known.remove(group);
                    }
                }
            }
            _ => panic!("a scope process dies of {message}"),
        }
    }
}

/// Nodes, what is on its way between them, and what OTP would know in their place.
struct World {
    nodes: Vec<Pg>,
    started: Vec<bool>,
    monitors: Vec<BTreeMap<u64, Pid>>,
    /// The link from one node to another, if it is up.
    links: BTreeMap<(usize, usize), VecDeque<Term>>,
    strict: BTreeMap<(usize, usize), Strict>,
    /// What those who monitor the scope count, each from the events of its own node.
    counted: Vec<BTreeMap<(Term, Pid), i64>>,
}

fn name(node: usize) -> Atom {
    Atom::new(&format!("n{node}@h")).unwrap()
}

fn member(node: usize, number: u32) -> Pid {
    Pid::new(name(node), 10 + number, 0, 1)
}

impl World {
    fn new(nodes: usize) -> Self {
        let new = |node| Pg::new(scope(), Pid::new(name(node), 1, 0, 1));
        Self {
            nodes: (0..nodes).map(new).collect(),
            started: vec![false; nodes],
            monitors: vec![BTreeMap::new(); nodes],
            links: BTreeMap::new(),
            strict: BTreeMap::new(),
            counted: vec![BTreeMap::new(); nodes],
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Start(node) => self.start(node),
            Step::Join(node, ..) | Step::Leave(node, ..) if !self.started[node] => {}
            Step::Join(node, group, pid) => {
                self.nodes[node].join(word(GROUPS[group]), member(node, pid));
            }
            Step::Leave(node, group, pid) => {
                self.nodes[node].leave(&word(GROUPS[group]), &member(node, pid));
            }
            Step::End(node, pid) => self.nodes[node].process_ended(&member(node, pid)),
            Step::Up(a, b) => self.up(a, b),
            Step::Down(a, b) => self.down(a, b),
            Step::Arrive(from, to) => {
                let link = self.links.get_mut(&(from, to));
                if let Some(message) = link.and_then(VecDeque::pop_front)
                    && self.started[to]
                {
                    self.strict.entry((from, to)).or_default().hear(&message);
                    self.nodes[to].handle_message(&name(from), &message);
                }
            }
        }
        self.settle();
    }

    fn up(&mut self, a: usize, b: usize) {
        if self.links.contains_key(&(a, b)) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            self.links.insert((from, to), VecDeque::new());
            if self.started[from] {
                self.nodes[from].handle_nodeup(&name(to));
            }
        }
        self.settle();
    }

    fn start(&mut self, node: usize) {
        if std::mem::replace(&mut self.started[node], true) {
            return;
        }
        for &(from, to) in self.links.keys() {
            if from == node {
                self.nodes[node].handle_nodeup(&name(to));
            }
        }
    }

    fn down(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a, b)).is_none() {
            return;
        }
        self.links.remove(&(b, a));
        for (node, peer) in [(a, b), (b, a)] {
            self.strict.remove(&(peer, node));
            self.nodes[node].handle_nodedown(&name(peer));
            let peer = name(peer);
            let fired = |_: &u64, target: &mut Pid| *target.node() == peer;
            let ids: Vec<u64> = self.monitors[node]
                .extract_if(.., fired)
                .map(|(id, _)| id)
                .collect();
            for id in ids {
                self.nodes[node].handle_down(id);
            }
        }
    }

    /// Obeys the machines.
    fn settle(&mut self) {
        for node in 0..self.nodes.len() {
            while let Some(effect) = self.nodes[node].poll_effect() {
                match effect {
                    Effect::Send { to, message, .. } => {
                        let to = to.node().clone();
                        let to = (0..self.nodes.len())
                            .find(|&other| name(other) == to)
                            .unwrap();
                        let link = self.links.get_mut(&(node, to));
                        link.expect("nothing is said to who is away")
                            .push_back(message);
                    }
                    Effect::Monitor { id, target, .. } => {
                        self.monitors[node].insert(id, target);
                    }
                    other => panic!("unexpected {other:?}"),
                }
            }
            while let Some((event, group, pids)) = self.nodes[node].poll_event() {
                for pid in pids {
                    let count = self.counted[node].entry((group.clone(), pid)).or_default();
                    *count += if event == PgEvent::Join { 1 } else { -1 };
                    assert!(*count >= 0, "an event of a leave without a join");
                }
            }
        }
    }

    /// Brings every link up and lets everything arrive.
    fn come_to_rest(&mut self) {
        for a in 0..self.nodes.len() {
            self.step(&Step::Start(a));
            for b in 0..a {
                self.up(a, b);
            }
        }
        while let Some((&(from, to), _)) = self.links.iter().find(|(_, link)| !link.is_empty()) {
            self.step(&Step::Arrive(from, to));
        }
    }

    fn check(&self) {
        for group in GROUPS.map(word) {
            let local = self.nodes.iter().map(|node| node.local_members(&group));
            let mut all: Vec<Pid> = local.flatten().collect();
            all.sort();
            for (node, counted) in self.nodes.iter().zip(&self.counted) {
                let mut members = node.members(&group);
                members.sort();
                assert_eq!(members, all);
                assert_eq!(node.groups().contains(&group), !all.is_empty());
                let mut told = Vec::new();
                for ((name, pid), &count) in counted {
                    if *name == group {
                        told.extend((0..count).map(|_| pid.clone()));
                    }
                }
                told.sort();
                assert_eq!(told, all, "who monitors the scope knows the same");
            }
        }
        for (&(from, to), strict) in &self.strict {
            for group in GROUPS.map(word) {
                let known = strict.known.as_ref().and_then(|known| known.get(&group));
                let mut known = known.cloned().unwrap_or_default();
                known.sort();
                let mut own = self.nodes[from].local_members(&group);
                own.sort();
                assert_eq!(known, own, "a BEAM in the place of {to} would know {from}");
            }
        }
    }
}

fn run(nodes: usize, steps: &[Step]) {
    let mut world = World::new(nodes);
    for step in steps {
        world.step(step);
    }
    world.come_to_rest();
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn two_nodes_end_equal(steps in steps(2)) {
        run(2, &steps);
    }

    #[test]
    fn three_nodes_end_equal(steps in steps(3)) {
        run(3, &steps);
    }
}
