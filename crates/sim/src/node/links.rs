//! What the tasks of the links do.

use bytes::Bytes;
use enmesh_membership::LinkId;
use enmesh_otp::{self as otp, AutoConnect, Kernel, KernelConfig};
use enmesh_proto::{Action, Control, Flags, Link, LinkError, Message, ProcId, Question, Verdict};
use enmesh_term::{Atom, Reference};
use rand::RngExt;

use super::Process;
use crate::event::{Happening, Micros, Report, Segment};
use crate::link_end::LinkEnd;
use crate::outside::Outside;
use crate::plant::Plant;

/// The longest that the manager takes to hear of a link.
const REPORT_WITHIN: Micros = 2_000;

impl Process {
    pub(super) fn accept(&mut self, conn: usize, out: &mut Outside) {
        let link = self.plan.handle_accepted(out.instant());
        let end = &mut out.net.conns[conn].ends[1];
        end.link = Some(link);
        let machine = Link::accept(out.instant(), self.config.clone(), out.rng.random());
        self.links.insert(link, LinkEnd::new(machine, conn, 1));
        self.drive(link, None, out);
    }

    pub(super) fn dialled(&mut self, link: LinkId, out: &mut Outside) {
        let Some(Some(conn)) = self.dials.remove(&link) else {
            return;
        };
        self.plan.handle_dialled(out.instant(), link);
        let peer = out.net.conns[conn].wanted.clone();
        let (now, challenge) = (out.instant(), out.rng.random());
        let machine = Link::dial(now, self.config.clone(), peer, challenge);
        self.links.insert(link, LinkEnd::new(machine, conn, 0));
        self.drive(link, None, out);
    }

    pub(super) fn arrive(&mut self, link: LinkId, segment: Segment, out: &mut Outside) {
        let Some(end) = self.links.get_mut(&link) else {
            return;
        };
        match segment {
            Segment::Bytes(bytes) => end.inbox.extend_from_slice(&bytes),
            Segment::End => end.has_ended = true,
        }
        self.read(link, out);
    }

    pub(super) fn link_timer(&mut self, link: LinkId, at: Micros, out: &mut Outside) {
        let Some(end) = self.links.get_mut(&link) else {
            return;
        };
        if end.timer_at != at {
            return;
        }
        end.timer_at = Micros::MAX;
        let result = end.link.handle_timeout(out.instant());
        self.drive(link, result.err(), out);
    }

    /// Hands a verdict of the manager to its link.
    pub(super) fn answer(&mut self, link: LinkId, verdict: Verdict, out: &mut Outside) {
        let Some(end) = self.links.get_mut(&link) else {
            return;
        };
        end.is_asking = false;
        if end.link.handle_verdict(out.instant(), verdict).is_err() {
            // The link ended before it was answered.
            return;
        }
        if let (Verdict::Admit, Some(peer)) = (verdict, end.link.peer()) {
            let config = &self.config;
            let kernel = KernelConfig {
                node: config.local.name.clone(),
                creation: config.local.creation,
                visible: false,
                net_ticktime: config.net_ticktime,
                auto_connect: AutoConnect::Never,
                echo: false,
                seed: 0,
            };
            let mut kernel = Kernel::new(out.instant(), kernel);
            let mut hidden = peer.clone();
            hidden.flags = hidden.flags.without(Flags::PUBLISHED);
            kernel.handle_nodeup(out.instant(), &hidden, 1);
            end.kernel = Some(Box::new(kernel));
            out.watch.admitted(self.node, link);
            self.greet(link, out);
        }
        self.read(link, out);
    }

    /// Says something to the peer that it must get whole and in order.
    pub(super) fn say(&mut self, link: LinkId, out: &mut Outside) {
        let Some(end) = self.links.get_mut(&link) else {
            return;
        };
        let control = Control::RegSend {
            from: self.pid.clone(),
            to: self.mailbox.clone(),
            token: None,
        };
        let mut payload = [98, 0, 0, 0, 0];
        payload[1..].copy_from_slice(&(end.sent + 1).to_be_bytes());
        let payload = Bytes::copy_from_slice(&payload);
        if end.link.send(0, &control, Some(payload)).is_ok() {
            end.sent += 1;
        }
        self.drive(link, None, out);
    }

    /// The first words on a new link: a message, and a monitor that must be answered.
    fn greet(&mut self, link: LinkId, out: &mut Outside) {
        self.monitors += 1;
        let nobody = Atom::new("nobody").expect("a short atom");
        let reference = Reference::new(
            self.pids.node().clone(),
            self.creation().get(),
            &[self.monitors, 0, 0],
        );
        let control = Control::Monitor {
            from: self.pid.clone(),
            to: ProcId::Name(nobody),
            reference: reference.expect("three words are a reference"),
        };
        if let Some(end) = self.links.get_mut(&link)
            && end.link.send(0, &control, None).is_ok()
        {
            end.monitors_since = Some(out.now);
        }
        self.say(link, out);
    }

    /// Gives the link what has arrived, unless it waits for the manager.
    fn read(&mut self, link: LinkId, out: &mut Outside) {
        let Some(end) = self.links.get_mut(&link) else {
            return;
        };
        if end.is_asking {
            return;
        }
        let result = end.link.handle_bytes(out.instant(), &mut end.inbox);
        self.drive(link, result.err(), out);
        let Some(end) = self.links.get_mut(&link) else {
            return;
        };
        if end.has_ended && !end.is_asking {
            let error = end.link.handle_eof();
            self.drive(link, Some(error), out);
        }
    }

    /// Does what the link wants done; `error` is what its last call ended it with.
    fn drive(&mut self, link: LinkId, mut error: Option<LinkError>, out: &mut Outside) {
        let mut questions: Option<Question> = None;
        let Some(end) = self.links.get_mut(&link) else {
            return;
        };
        while let Some(action) = end.link.poll_action() {
            match action {
                Action::Ask(question) => {
                    end.is_asking = true;
                    questions = Some(question);
                }
                Action::Deliver(message) => deliver(self.node, link, end, &message, out),
                Action::Close(ended) => error = Some(ended),
            }
        }
        if let Some(bytes) = end.link.take_output(out.instant()) {
            send(end, bytes.freeze(), out);
        }
        if let Some(question) = questions {
            self.tell_manager(link, Report::Question(question), out);
        }
        match error {
            Some(error) => self.end(link, error, out),
            None => self.arm(link, out),
        }
    }

    fn end(&mut self, link: LinkId, error: LinkError, out: &mut Outside) {
        if !out.plants(Plant::LeakedLinks) {
            self.drop_link(link, out);
        }
        self.tell_manager(link, Report::Closed(error), out);
    }

    /// Closes the socket of a link and forgets it.
    pub(super) fn drop_link(&mut self, link: LinkId, out: &mut Outside) {
        let Some(end) = self.links.remove(&link) else {
            return;
        };
        out.net.conns[end.conn].ends[end.side].is_open = false;
        out.send(end.conn, end.side, Segment::End);
    }

    fn tell_manager(&mut self, link: LinkId, report: Report, out: &mut Outside) {
        let at = out.now + out.rng.random_range(0..REPORT_WITHIN);
        let at = match report {
            Report::Question(_) => at.max(self.asked_at),
            // The end of a task is heard of on another way, which may be the shorter one.
            Report::Closed(_) => at,
        };
        if let Report::Question(_) = report {
            self.asked_at = at;
        }
        self.happen_at(out, at, Happening::Report { link, report });
    }

    /// Sets the link's timer, unless it is set for early enough.
    fn arm(&mut self, link: LinkId, out: &mut Outside) {
        let Some(end) = self.links.get_mut(&link) else {
            return;
        };
        let Some(deadline) = end.link.deadline() else {
            return;
        };
        let at = out.micros(deadline).max(out.now + 1);
        if at < end.timer_at {
            end.timer_at = at;
            self.happen_at(out, at, Happening::LinkTimer { link, at });
        }
    }
}

/// One write may arrive in pieces.
fn send(end: &LinkEnd, mut bytes: Bytes, out: &mut Outside) {
    if bytes.len() > 1 && out.rng.random_bool(0.05) {
        let first = bytes.split_to(out.rng.random_range(1..bytes.len()));
        out.send(end.conn, end.side, Segment::Bytes(first));
    }
    out.send(end.conn, end.side, Segment::Bytes(bytes));
}

fn deliver(node: usize, link: LinkId, end: &mut LinkEnd, message: &Message, out: &mut Outside) {
    match (&message.control, message.payload.as_deref()) {
        (Control::RegSend { to, .. }, Some([98, sequence @ ..])) if to == "sim" => {
            let sequence = sequence.try_into().map_or(0, u32::from_be_bytes);
            end.got += 1;
            out.stats.messages += 1;
            out.watch.message(node, link, sequence, end.got);
            if out.plants_once(Plant::DoubleMessage) {
                out.watch.message(node, link, sequence, end.got + 1);
            }
        }
        (Control::MonitorExit { .. } | Control::PayloadMonitorExit { .. }, _) => {
            end.monitors_since = None;
            out.stats.answers += 1;
        }
        _ => {
            let peer = end.link.peer().map(|peer| atom_of(&peer.name));
            if let (Some(kernel), Some(peer)) = (&mut end.kernel, peer)
                && !out.plants(Plant::SilentNeighbour)
            {
                kernel.handle_message(out.instant(), &peer, message.clone());
                while let Some(action) = kernel.poll_action() {
                    if let otp::Action::Send { flow, message, .. } = action {
                        // A full output closes the link in life; here it never fills.
                        let _ = end.link.send(flow, &message.control, message.payload);
                    }
                }
            }
        }
    }
}

fn atom_of(name: &enmesh_identity::NodeName) -> Atom {
    Atom::new(name.as_str()).expect("a node name has at most 255 characters")
}
