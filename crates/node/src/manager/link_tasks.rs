//! A task for each connection: how it begins, and what its end means.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use enmesh_identity::PeerAddr;
use enmesh_membership::{DialFailure, LinkId};
use enmesh_proto::{Link, LinkError};
use tokio::net::TcpStream;
use tokio::task::{Id, JoinError};
use tracing::{Instrument, debug_span};

use super::Manager;
use super::records::LinkPeer;
use super::task_end::TaskEnd;
use crate::dial::{DialError, Dialled};
use crate::link_driver::{self, Report};

impl Manager {
    pub(super) fn accept(&mut self, stream: TcpStream, from: SocketAddr) {
        let now = Instant::now();
        let id = self.plan.handle_accepted(now);
        let peer = LinkPeer {
            node: None,
            from: Some(from),
        };
        let wires = self.links.wires(id, peer, &self.kernel);
        let span = debug_span!("link", link = %id, %from);
        let config = Arc::clone(&self.link_config);
        let transport = self.dialer.transport.clone();
        let task = async move {
            let stop = wires.stop.clone();
            let stream = tokio::select! {
                biased;
                () = stop.cancelled() => return TaskEnd::Stopped,
                stream = transport.accept(stream) => stream,
            };
            match stream {
                Err(error) => TaskEnd::NeverSecured(error),
                Ok(stream) => {
                    let link = Link::accept(Instant::now(), config, rand::random());
                    TaskEnd::from(link_driver::drive(stream, link, wires).await)
                }
            }
        };
        self.links.spawn(id, task.instrument(span));
    }

    /// Dials, and then drives what comes of it.
    pub(super) fn dial(&mut self, id: LinkId, peer: PeerAddr) {
        let config = Arc::clone(&self.link_config);
        let whom = LinkPeer {
            node: Some(peer.name().clone()),
            from: None,
        };
        let wires = self.links.wires(id, whom, &self.kernel);
        if let Some(handle) = self.links.handles.get_mut(&id) {
            handle.dialled = Some((peer.clone(), None));
        }
        let known = self.known_ports.take(Instant::now(), &peer);
        let dialer = self.dialer.clone();
        let span = debug_span!("dial", link = %id, peer = %peer);
        let task = async move {
            let stop = wires.stop.clone();
            let name = peer.name().clone();
            let connected = tokio::select! {
                biased;
                () = stop.cancelled() => return TaskEnd::Stopped,
                connected = dialer.connect(peer, known) => connected,
            };
            match connected {
                Err(error) => TaskEnd::NeverConnected(error),
                Ok(Dialled { stream, is_known }) => {
                    let there = stream.socket().peer_addr().ok();
                    let dialled = wires.reports.send(Report::Dialled(id, there));
                    if dialled.await.is_err() {
                        return TaskEnd::Stopped;
                    }
                    let link = Link::dial(Instant::now(), config, name, rand::random());
                    let trouble = stream.trouble();
                    let end = link_driver::drive(stream, link, wires).await;
                    TaskEnd::of_dial(end, trouble, is_known)
                }
            }
        };
        self.links.spawn(id, task.instrument(span));
    }

    pub(super) fn handle_end(&mut self, ended: Result<(Id, TaskEnd), JoinError>) {
        let now = Instant::now();
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let Some(id) = self.links.ids.remove(&task) else {
            return;
        };
        let handle = self.links.handles.remove(&id);
        match ended {
            Ok((_, TaskEnd::NeverConnected(error))) => {
                let failure = match error {
                    DialError::Socket(failure) => failure,
                    DialError::Tls(error) => {
                        let failure = DialFailure::Tls(error.fault());
                        if let Some(peer) = handle.and_then(|handle| handle.peer.node) {
                            self.records.explain(peer, &error);
                        }
                        failure
                    }
                };
                self.plan.handle_dial_failed(now, id, failure);
            }
            Ok((_, TaskEnd::NeverSecured(error))) => {
                if let Some(handle) = handle {
                    self.records.never_secured(now, &handle.peer, &error);
                }
                self.plan.handle_closed(now, id, &LinkError::Discarded);
            }
            Ok((_, TaskEnd::Misled)) => {
                let handle = handle.filter(|handle| !handle.stop.is_cancelled());
                match handle.and_then(|handle| handle.dialled) {
                    // The place is forgotten by now, so that this one asks.
                    Some((peer, _)) => self.dial(id, peer),
                    None => self.plan.handle_closed(now, id, &LinkError::Discarded),
                }
            }
            Ok((_, TaskEnd::Failed(error))) => {
                if let Some(handle) = handle {
                    if let (LinkError::Nok, Some((peer, Some(there)))) = (&error, handle.dialled) {
                        self.known_ports.remember(now, peer, there);
                    }
                    self.records.link_ended(now, &handle.peer, &error);
                }
                self.plan.handle_closed(now, id, &error);
            }
            Ok((_, TaskEnd::Stopped)) => self.plan.handle_closed(now, id, &LinkError::Discarded),
            Err(error) => {
                self.records.link_died(&error);
                self.plan.handle_closed(now, id, &LinkError::Discarded);
            }
        }
    }

    /// A link that the user closes: its peer was there a moment ago.
    pub(super) fn remember_port(&mut self, link: LinkId) {
        let handle = self.links.handles.get(&link);
        if let Some((peer, Some(there))) = handle.and_then(|handle| handle.dialled.clone()) {
            self.known_ports.remember(Instant::now(), peer, there);
        }
    }
}
