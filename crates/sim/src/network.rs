//! Machines, the ways between them, and the connections over them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use enmesh_identity::NodeName;
use enmesh_membership::LinkId;
use rand::RngExt;
use rand::rngs::SmallRng;

use crate::event::{Event, Micros, Queue, SECOND, Segment, Side};

/// How long a segment may take more than another one while segments are reordered.
const REORDER_BY: Micros = SECOND / 2;

/// Where every node listens.
pub(crate) const PORT: u16 = 9000;

/// One connection; it is never reused.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) ends: [End; 2],
    /// Whom the dialler wants at the other end.
    pub(crate) wanted: NodeName,
    /// How long a segment takes at least.
    latency: Micros,
    /// Whether it carries nothing any more.
    is_blackhole: bool,
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) node: usize,
    pub(crate) life: u32,
    pub(crate) link: Option<LinkId>,
    pub(crate) is_open: bool,
    /// When the last segment that this end sent arrives: segments never overtake each other.
    last_arrival: Micros,
    /// What this end sent into a cut way; it arrives when the way is open again.
    held: Vec<Segment>,
}

/// The state of all ways.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) conns: Vec<Conn>,
    addresses: BTreeMap<IpAddr, usize>,
    nodes: usize,
    /// How many cuts lie on the way from one node to the other.
    cuts: Vec<u16>,
    /// How many faults slow a node's traffic down.
    slow: Vec<u16>,
    /// How many faults reorder a node's traffic.
    mixed: Vec<u16>,
    /// When the last of what was sent from one node to the other arrives.
    latest: Vec<Micros>,
    /// How many segments overtook an earlier one of the same way while such a fault lay on it.
    pub(crate) overtaken: u64,
    /// How many faults lose segments.
    pub(crate) lossy: u16,
    latencies: (Micros, Micros),
}

impl Network {
    pub(crate) fn new(addresses: Vec<IpAddr>, latencies: (Micros, Micros)) -> Self {
        let nodes = addresses.len();
        Self {
            conns: Vec::new(),
            addresses: addresses
                .into_iter()
                .enumerate()
                .map(|(i, ip)| (ip, i))
                .collect(),
            nodes,
            cuts: vec![0; nodes * nodes],
            slow: vec![0; nodes],
            mixed: vec![0; nodes],
            latest: vec![0; nodes * nodes],
            overtaken: 0,
            lossy: 0,
            latencies,
        }
    }

    pub(crate) fn node_at(&self, address: IpAddr) -> Option<usize> {
        self.addresses.get(&address).copied()
    }

    /// A new connection, not open yet.
    pub(crate) fn open(
        &mut self,
        rng: &mut SmallRng,
        (node, life, link): (usize, u32, LinkId),
        to: usize,
        wanted: NodeName,
    ) -> usize {
        let end = |node, life, link| End {
            node,
            life,
            link,
            is_open: true,
            last_arrival: 0,
            held: Vec::new(),
        };
        let (least, most) = self.latencies;
        self.conns.push(Conn {
            ends: [end(node, life, Some(link)), end(to, 0, None)],
            wanted,
            latency: rng.random_range(least..=most),
            is_blackhole: false,
        });
        self.conns.len() - 1
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts[from * self.nodes + to] > 0
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.cuts[from * self.nodes + to] += 1;
    }

    pub(crate) fn uncut(&mut self, from: usize, to: usize) {
        self.cuts[from * self.nodes + to] -= 1;
    }

    pub(crate) fn slow_down(&mut self, node: usize) {
        self.slow[node] += 1;
    }

    pub(crate) fn speed_up(&mut self, node: usize) {
        self.slow[node] -= 1;
    }

    pub(crate) fn mix_up(&mut self, node: usize) {
        self.mixed[node] += 1;
    }

    pub(crate) fn put_in_order(&mut self, node: usize) {
        self.mixed[node] -= 1;
    }

    pub(crate) fn blackhole(&mut self, conn: usize) {
        self.conns[conn].is_blackhole = true;
    }

    /// How long one segment takes, drawn anew for each.
    pub(crate) fn delay(&self, rng: &mut SmallRng, conn: usize) -> Micros {
        let Conn { ends, latency, .. } = &self.conns[conn];
        let slow = self.slow[ends[0].node] + self.slow[ends[1].node] > 0;
        let latency = latency * if slow { 20 } else { 1 };
        let stall = match self.lossy > 0 && rng.random_bool(0.1) {
            true => rng.random_range(200_000..=2 * SECOND),
            false => 0,
        };
        let detour = match self.is_mixed(conn) {
            true => rng.random_range(0..=REORDER_BY),
            false => 0,
        };
        latency + rng.random_range(0..=latency / 4) + stall + detour
    }

    fn is_mixed(&self, conn: usize) -> bool {
        let ends = &self.conns[conn].ends;
        self.mixed[ends[0].node] + self.mixed[ends[1].node] > 0
    }

    /// Sends a segment from one end to the other.
    pub(crate) fn send(
        &mut self,
        queue: &mut Queue,
        rng: &mut SmallRng,
        now: Micros,
        (conn, from): (usize, Side),
        segment: Segment,
    ) {
        let (source, target) = (
            self.conns[conn].ends[from].node,
            self.conns[conn].ends[1 - from].node,
        );
        let is_cut = self.is_cut(source, target);
        if self.conns[conn].is_blackhole {
            return;
        }
        let end = &mut self.conns[conn].ends[from];
        if is_cut || !end.held.is_empty() {
            end.held.push(segment);
            return;
        }
        let at = now + self.delay(rng, conn);
        self.arrive(queue, at, (conn, from), segment);
    }

    /// Lets go what was held by cuts that are no more; sent again at some time of the machine's
    /// own.
    pub(crate) fn release(&mut self, queue: &mut Queue, rng: &mut SmallRng, now: Micros) {
        for conn in 0..self.conns.len() {
            for from in 0..2 {
                let ends = &self.conns[conn].ends;
                let way = (ends[from].node, ends[1 - from].node);
                if ends[from].held.is_empty() || self.is_cut(way.0, way.1) {
                    continue;
                }
                let at = now + rng.random_range(0..3 * SECOND);
                let held = std::mem::take(&mut self.conns[conn].ends[from].held);
                for segment in held {
                    self.arrive(queue, at, (conn, from), segment);
                }
            }
        }
    }

    fn arrive(
        &mut self,
        queue: &mut Queue,
        at: Micros,
        (conn, from): (usize, Side),
        segment: Segment,
    ) {
        let is_mixed = self.is_mixed(conn);
        let ends = &mut self.conns[conn].ends;
        let at = at.max(ends[from].last_arrival + 1);
        ends[from].last_arrival = at;
        let latest = &mut self.latest[ends[from].node * self.nodes + ends[1 - from].node];
        self.overtaken += u64::from(is_mixed && at < *latest);
        *latest = at.max(*latest);
        queue.push(
            at,
            Event::Arrive {
                conn,
                to: 1 - from,
                segment,
            },
        );
    }
}
