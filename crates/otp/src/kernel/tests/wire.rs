//! Kernels and the wires between them.

#![allow(clippy::disallowed_methods)] // Tests may read the clock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use enmesh_identity::Creation;
use enmesh_proto::{Direction, Flags, Message, PeerInfo};
use enmesh_term::{Atom, Limits, Pid, Term};

use crate::{Action, Address, AutoConnect, Kernel, KernelConfig, Mail};

/// What a mailbox or a slot is called in tests.
pub(super) type Handle = &'static str;

/// What every BEAM can do, as far as a kernel asks.
pub(super) fn all_flags() -> Flags {
    Flags::ours(true)
        | Flags::PUBLISHED
        | Flags::SPAWN
        | Flags::ALIAS
        | Flags::EXIT_PAYLOAD
        | Flags::ALTACT_SIG
}

/// One node: its kernel and what came out of it.
pub(super) struct Node {
    pub(super) kernel: Kernel<Handle>,
    pub(super) creation: u32,
    /// Mail by handle, in order.
    pub(super) mail: HashMap<Handle, VecDeque<Mail>>,
    /// Messages that wait to be carried, by node.
    pub(super) out: BTreeMap<Atom, VecDeque<Message>>,
    /// Every other action.
    pub(super) others: Vec<Action<Handle>>,
}

pub(super) fn config(name: &str, creation: u32) -> KernelConfig {
    KernelConfig {
        node: name.parse().unwrap(),
        creation: Creation::from_seed(creation),
        visible: true,
        net_ticktime: Duration::from_secs(60),
        auto_connect: AutoConnect::Always,
        echo: false,
        seed: u64::from(creation) * 7919,
    }
}

impl Node {
    pub(super) fn new(now: Instant, config: KernelConfig) -> Self {
        let mut node = Self {
            creation: config.creation.get(),
            kernel: Kernel::new(now, config),
            mail: HashMap::new(),
            out: BTreeMap::new(),
            others: Vec::new(),
        };
        node.drain();
        node
    }

    /// Takes out what the kernel asks for.
    pub(super) fn drain(&mut self) {
        while let Some(action) = self.kernel.poll_action() {
            match action {
                Action::Send { node, message, .. } => {
                    self.out.entry(node).or_default().push_back(message);
                }
                Action::Deliver { to, mail } => self.mail.entry(to).or_default().push_back(mail),
                other => self.others.push(other),
            }
        }
    }

    /// The mail of a handle, taken out.
    pub(super) fn take(&mut self, handle: Handle) -> Vec<Mail> {
        self.drain();
        self.mail.remove(handle).unwrap_or_default().into()
    }
}

/// Several nodes.
pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) nodes: BTreeMap<&'static str, Node>,
    flags: Flags,
    connections: u64,
}

impl Net {
    /// Nodes of these names, none connected.
    pub(super) fn new(names: &[&'static str]) -> Self {
        Self::with_flags(names, all_flags())
    }

    /// As [`Net::new`], whose links have these flags.
    pub(super) fn with_flags(names: &[&'static str], flags: Flags) -> Self {
        let now = Instant::now();
        let node = |(at, &name): (usize, &&'static str)| {
            (name, Node::new(now, config(name, 10 + at as u32)))
        };
        Self {
            now,
            nodes: names.iter().enumerate().map(node).collect(),
            flags,
            connections: 0,
        }
    }

    /// Two nodes that are connected.
    pub(super) fn pair() -> Self {
        let mut net = Self::new(&["a@h", "b@h"]);
        net.connect("a@h", "b@h");
        net.run();
        net
    }

    /// Two nodes that are connected, with `p` on `a@h` and `q` on `b@h`.
    pub(super) fn pair_of_processes() -> (Self, Pid, Pid) {
        let mut net = Self::pair();
        let (p, q) = (net.spawn("a@h", "p"), net.spawn("b@h", "q"));
        (net, p, q)
    }

    pub(super) fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.get_mut(name).unwrap()
    }

    pub(super) fn kernel(&mut self, name: &str) -> &mut Kernel<Handle> {
        &mut self.node(name).kernel
    }

    pub(super) fn spawn(&mut self, node: &str, handle: Handle) -> Pid {
        self.kernel(node).spawn(handle, false).unwrap()
    }

    pub(super) fn info(&self, name: &str) -> PeerInfo {
        PeerInfo {
            name: name.parse().unwrap(),
            creation: Creation::from_wire(self.nodes[name].creation),
            flags: self.flags,
            visible: true,
            direction: Direction::Accepted,
        }
    }

    pub(super) fn connect(&mut self, a: &'static str, b: &'static str) {
        self.connections += 1;
        for (own, other) in [(a, b), (b, a)] {
            let (info, id, now) = (self.info(other), self.connections, self.now);
            self.kernel(own).handle_nodeup(now, &info, id);
            self.node(own).drain();
        }
    }

    /// Cuts a link; what was under way is lost.
    pub(super) fn cut(&mut self, a: &'static str, b: &'static str) {
        for (own, other) in [(a, b), (b, a)] {
            let (now, other) = (self.now, Atom::from_static(other));
            self.node(own).drain();
            self.node(own).out.remove(&other);
            let reason = Term::atom("connection_closed");
            self.kernel(own).handle_nodedown(now, &other, reason);
            self.node(own).drain();
        }
    }

    /// Carries one message from `a` to `b`; `false` if there is none.
    pub(super) fn carry(&mut self, a: &str, b: &str) -> bool {
        let now = self.now;
        let to = Atom::new(b).unwrap();
        let node = self.node(a);
        node.drain();
        let Some(message) = node.out.get_mut(&to).and_then(VecDeque::pop_front) else {
            return false;
        };
        let from = Atom::new(a).unwrap();
        let other = self.node(b);
        other.kernel.handle_message(now, &from, message);
        other.drain();
        true
    }

    /// Carries everything until nothing is under way.
    pub(super) fn run(&mut self) {
        let names: Vec<&'static str> = self.nodes.keys().copied().collect();
        loop {
            let mut moved = false;
            for a in &names {
                for b in &names {
                    while self.carry(a, b) {
                        moved = true;
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }
}

pub(super) fn bare(term: &Term) -> Bytes {
    Bytes::from(enmesh_term::encode_bare(term))
}

pub(super) fn term(bytes: &Bytes) -> Term {
    enmesh_term::decode_bare(bytes, &Limits::default()).unwrap()
}

pub(super) fn named(name: &'static str, node: &'static str) -> Address {
    Address::Name {
        name: Atom::from_static(name),
        node: Atom::from_static(node),
    }
}

pub(super) fn exit(from: &Pid, reason: &'static str) -> Mail {
    Mail::Exit {
        from: from.clone(),
        reason: Term::atom(reason),
    }
}
