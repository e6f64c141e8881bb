//! How each fault begins and ends.

use enmesh_membership::LinkId;
use rand::RngExt;

use super::{IMPOSTORS, World, cookie};
use crate::FaultKind;
use crate::event::{Event, Happening, Micros, Segment};
use crate::fault::Fault;

impl World {
    /// Begins a fault at those of its nodes that it can hit, and plans its end.
    pub(super) fn begin(&mut self, mut fault: Fault) {
        let kind = fault.kind;
        if kind == FaultKind::Impostor {
            fault.nodes = vec![self.nodes + fault.nodes[0] % IMPOSTORS];
        }
        fault.nodes.retain(|&node| {
            let machine = &mut self.machines[node];
            let is_free = match kind {
                FaultKind::Impostor => machine.process.is_none(),
                kind if kind.takes_node() => machine.process.is_some() && !machine.is_taken,
                _ => machine.process.is_some(),
            };
            machine.is_taken |= is_free && kind.takes_node();
            is_free
        });
        if fault.nodes.is_empty() {
            return;
        }
        let names: Vec<_> = fault
            .nodes
            .iter()
            .map(|&n| self.machines[n].name.as_str())
            .collect();
        let line = || format!("*** {kind:?} at {}", names.join(", "));
        self.out.note(&fault.nodes, line);
        self.apply(&fault);
        self.out.queue.push(fault.until, Event::Heal(fault));
    }

    fn apply(&mut self, fault: &Fault) {
        let kind = fault.kind;
        match kind {
            FaultKind::Loss => self.out.net.lossy += 1,
            FaultKind::OneWayCut | FaultKind::Partition => {
                self.each_way(fault, |net, from, to| net.cut(from, to));
            }
            _ => {}
        }
        let is_at_once = !matches!(
            kind,
            FaultKind::WrongCookie | FaultKind::Impostor | FaultKind::Reorder
        );
        let mut has_effect = is_at_once && !kind.takes_source();
        for &node in &fault.nodes {
            match kind {
                FaultKind::Loss | FaultKind::OneWayCut | FaultKind::Partition => {}
                FaultKind::Delay => self.out.net.slow_down(node),
                FaultKind::Reorder => self.out.net.mix_up(node),
                FaultKind::Reset => has_effect &= self.break_conns(node, 3),
                FaultKind::Blackhole => has_effect &= self.blackhole_conns(node),
                FaultKind::Crash => self.kill(node, true),
                FaultKind::PowerLoss => self.kill(node, false),
                FaultKind::Freeze => self.machines[node].is_frozen = true,
                FaultKind::WrongCookie => {
                    self.kill(node, true);
                    self.out.strayed.insert(self.machines[node].name.clone());
                    self.start(node, false);
                }
                FaultKind::Impostor => {
                    self.out.impostors.insert(self.machines[node].name.clone());
                    self.start(node, false);
                }
                FaultKind::Disconnect => has_effect &= self.disconnect(node),
                FaultKind::Leave => has_effect &= self.leave(node, fault.until),
                _ => {
                    if let Some(process) = &mut self.machines[node].process {
                        process.begin_lie(kind);
                    }
                }
            }
        }
        if has_effect {
            self.out.stats.fire(kind);
        }
    }

    /// Ends a fault.
    pub(super) fn heal(&mut self, fault: &Fault) {
        match fault.kind {
            FaultKind::Loss => self.out.net.lossy -= 1,
            FaultKind::OneWayCut | FaultKind::Partition => {
                self.each_way(fault, |net, from, to| net.uncut(from, to));
                let now = self.out.now;
                self.out
                    .net
                    .release(&mut self.out.queue, &mut self.out.rng, now);
            }
            _ => {}
        }
        for &node in &fault.nodes {
            self.machines[node].is_taken &= !fault.kind.takes_node();
            match fault.kind {
                FaultKind::Delay => self.out.net.speed_up(node),
                FaultKind::Reorder => {
                    self.out.net.put_in_order(node);
                    if self.out.net.overtaken > 0 {
                        self.out.stats.fire(FaultKind::Reorder);
                    }
                }
                FaultKind::Crash | FaultKind::PowerLoss => self.start(node, true),
                FaultKind::Freeze => self.thaw(node),
                FaultKind::WrongCookie => {
                    self.out.strayed.remove(&self.machines[node].name);
                    if let Some(process) = &mut self.machines[node].process {
                        process.set_cookie(cookie(true));
                    }
                }
                FaultKind::Impostor => {
                    self.out.impostors.remove(&self.machines[node].name);
                    self.kill(node, true);
                }
                kind if kind.takes_source() => {
                    if let Some(process) = &mut self.machines[node].process {
                        process.end_lie(kind);
                    }
                }
                _ => {}
            }
        }
        let kind = fault.kind;
        self.out
            .note(&fault.nodes, || format!("*** {kind:?} is over"));
    }

    /// Every way that the fault cuts.
    fn each_way(
        &mut self,
        fault: &Fault,
        mut cut: impl FnMut(&mut crate::network::Network, usize, usize),
    ) {
        for &from in &fault.nodes {
            for to in (0..self.nodes).filter(|to| !fault.nodes.contains(to)) {
                cut(&mut self.out.net, from, to);
                if fault.kind == FaultKind::Partition {
                    cut(&mut self.out.net, to, from);
                }
            }
        }
    }

    /// Ends the node of a machine from one moment to the next. Its system closes the sockets,
    /// unless the power goes.
    fn kill(&mut self, node: usize, is_powered: bool) {
        let machine = &mut self.machines[node];
        let Some(process) = machine.process.take() else {
            return;
        };
        process.add_counters(&mut self.out);
        machine.is_powered = is_powered;
        machine.is_frozen = false;
        machine.backlog.clear();
        debug_assert_eq!(machine.life, process.life());
        for (conn, side) in process.conns() {
            self.out.net.conns[conn].ends[side].is_open = false;
            if is_powered {
                self.out.send(conn, side, Segment::End);
            }
        }
    }

    /// The node goes on with what happened while it was stopped.
    fn thaw(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        machine.is_frozen = false;
        self.out.watch.thawed(node);
        for what in std::mem::take(&mut machine.backlog) {
            let Some(process) = &mut self.machines[node].process else {
                return;
            };
            match what {
                Happening::ArriveAt { conn, segment } => {
                    let link: Option<LinkId> = self.out.net.conns[conn].ends[1].link;
                    if let Some(link) = link {
                        process.handle(Happening::Arrive { link, segment }, &mut self.out);
                    }
                }
                what => process.handle(what, &mut self.out),
            }
        }
    }

    fn disconnect(&mut self, node: usize) -> bool {
        let machine = &mut self.machines[node];
        match &mut machine.process {
            Some(process) if !machine.is_frozen => process.disconnect_somebody(&mut self.out),
            _ => false,
        }
    }

    /// Not all are back at the same time.
    fn leave(&mut self, node: usize, until: Micros) -> bool {
        let longest = until - self.out.now;
        let rejoin_after = longest - self.out.rng.random_range(0..=longest / 4);
        let machine = &mut self.machines[node];
        match &mut machine.process {
            Some(process) if !machine.is_frozen => process.leave(rejoin_after, &mut self.out),
            _ => false,
        }
    }

    /// Breaks some live connections of the node; says whether there were any.
    pub(super) fn break_conns(&mut self, node: usize, most: usize) -> bool {
        let conns = self.some_live_conns(node, most);
        for &conn in &conns {
            for side in 0..2 {
                self.out.send(conn, side, Segment::End);
            }
        }
        !conns.is_empty()
    }

    fn blackhole_conns(&mut self, node: usize) -> bool {
        let conns = self.some_live_conns(node, 3);
        conns.iter().for_each(|&conn| self.out.net.blackhole(conn));
        !conns.is_empty()
    }

    fn some_live_conns(&mut self, node: usize, most: usize) -> Vec<usize> {
        let mut live = self.machines[node]
            .process
            .as_ref()
            .map_or(Vec::new(), |p| p.live_conns());
        while live.len() > most {
            live.swap_remove(self.out.rng.random_range(0..live.len()));
        }
        live
    }
}
