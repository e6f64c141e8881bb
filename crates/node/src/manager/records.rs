//! The log of the cluster's life: one record per nodeup and nodedown, and what a human must know.
//!
//! Lists are recorded as texts joined by spaces, which no name holds; the program's JSON log prints
//! them as arrays.

use std::error::Error;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::{
    DialFailure, DownReason, Failure, Intent, PlanWarning, SourceNews, TlsFault, TopologyStatus,
};
use enmesh_proto::{Direction, LinkError};
use tokio::task::JoinError;
use tracing::field::{DisplayValue, display};
use tracing::{debug, error, info, warn};

use crate::tls::TlsError;
use crate::view::{Peer, View};
use crate::warnings::Warnings;

/// Says each thing once.
#[derive(Debug, Default)]
pub(crate) struct Records {
    warnings: Warnings,
    /// More than its kind of the failure that the plan is about to speak of.
    explanation: Option<(NodeName, String)>,
}

impl Records {
    pub(crate) fn nodeup(&self, peer: &Peer, view: &View) {
        info!(
            node = %peer.name,
            topology = joined(&peer.topologies),
            cluster = cluster(view),
            "node connected"
        );
    }

    pub(crate) fn nodedown(&self, peer: &Peer, reason: DownReason, view: &View) {
        info!(
            node = %peer.name,
            reason = reason.label(),
            topology = joined(&peer.topologies),
            cluster = cluster(view),
            "node disconnected"
        );
    }

    /// A source's failure is said when it begins or changes, and once more when it is over.
    pub(crate) fn source_news(&self, status: &TopologyStatus<'_>, news: SourceNews) {
        let topology = status.name;
        match (news, status.failure) {
            (SourceNews::Nothing, _) | (SourceNews::Failed, None) => {}
            (SourceNews::Failed, Some(failure)) => warn!(
                source = %topology,
                kind = failure.kind().label(),
                error = %failure,
                peers = status.peers,
                "topology cannot be read; its last good answer stays in force"
            ),
            (SourceNews::Recovered, _) => info!(
                source = %topology,
                peers = status.peers,
                "topology can be read again"
            ),
        }
    }

    pub(crate) fn intent(&self, intent: &Intent) {
        match intent {
            Intent::Want(seen) => {
                debug!(peer = %seen, "peer wanted")
            }
            Intent::Leave(name) => debug!(peer = %name, "peer left every topology"),
            Intent::Prune(name) => debug!(peer = %name, "peer is pruned"),
            Intent::Drain(true) => info!("our own end is announced: nobody is dialled any more"),
            Intent::Drain(false) => info!("our own end is called off: peers are dialled again"),
        }
    }

    /// Each dial is told when it begins, so that a log shows who was still dialled when, and who was not.
    pub(crate) fn dialled(&self, peer: &PeerAddr) {
        debug!(node = %peer.name(), "connecting to node");
    }

    /// Keeps what the failure of a dial does not hold, until the plan says that it is to be told.
    pub(super) fn explain(&mut self, peer: NodeName, error: &TlsError) {
        self.explanation = Some((peer, chain(error)));
    }

    pub(crate) fn dial_failed(
        &mut self,
        peer: &NodeName,
        failure: Failure,
        retry_in: Option<Duration>,
        first: bool,
    ) {
        let reason = failure.label();
        let explained = self.explanation.take_if(|(name, _)| name == peer);
        let error = explained.map(|(_, text)| text);
        let retry_ms = retry_in.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        if first {
            let hint = hint(failure);
            warn!(node = %peer, reason, hint, error, retry_ms, "cannot connect to node; trying again quietly");
        } else {
            debug!(node = %peer, reason, error, retry_ms, "cannot connect to node");
        }
    }

    pub(crate) fn wrong_cookie(&self, peer: &NodeName, direction: Direction, certain: bool) {
        if certain {
            let direction = label(direction);
            warn!(node = %peer, direction, "node has another cookie than ours");
        } else {
            warn!(
                node = %peer,
                direction = label(direction),
                "node closed the connection when it saw our cookie's digest: probably it has \
                 another cookie"
            );
        }
    }

    pub(crate) fn plan_warning(&mut self, now: Instant, warning: &PlanWarning) {
        match warning {
            PlanWarning::VisibleClose { peer } => warn!(
                node = %peer,
                "closing the link to a single node while visible: global on OTP 25 and later \
                 answers that by cutting more links (prevent_overlapping_partitions)"
            ),
            PlanWarning::TooManyPeers { peer } => {
                if let Some(held_back) = self.warnings.admit(now, "", "too many peers") {
                    warn!(node = %peer, held_back, "too many peers; this one is not connected");
                }
            }
            _ => {}
        }
    }

    /// What ended a link and points at a fault of the peer; ordinary ends are nodedowns.
    pub(super) fn link_ended(&mut self, now: Instant, peer: &LinkPeer, error: &LinkError) {
        let (node, from, error_chain) = (peer.node(), peer.from(), chain(error));
        let Some(fault) = peer_fault(error) else {
            debug!(node, from, error = error_chain, "link ended");
            return;
        };
        if let Some(held_back) = self.warnings.admit(now, &peer.key(), fault) {
            let hint = error
                .is_tls()
                .then_some("it speaks TLS (-proto_dist inet_tls) and we do not");
            warn!(
                node,
                from,
                error = error_chain,
                hint,
                held_back,
                "link refused"
            );
        }
    }

    /// TLS did not come up on a connection that was accepted.
    pub(super) fn never_secured(&mut self, now: Instant, peer: &LinkPeer, error: &TlsError) {
        let fault = error.fault().label();
        if error.is_wordless() {
            debug!(
                from = peer.from(),
                reason = fault,
                "link closed before tls came up"
            );
        } else if let Some(held_back) = self.warnings.admit(now, &peer.key(), fault) {
            let (from, error) = (peer.from(), chain(error));
            warn!(from, reason = fault, error, held_back, "link refused");
        }
    }

    /// Messages that could not be decoded, or were over a limit, failed alone: the link lives.
    pub(super) fn undecodable(&mut self, now: Instant, peer: &LinkPeer, count: u64) {
        let admitted = self
            .warnings
            .admit_many(now, &peer.key(), "undecodable", count);
        if let Some(held_back) = admitted {
            let (node, from) = (peer.node(), peer.from());
            warn!(
                node,
                from, held_back, "message dropped: it cannot be decoded"
            );
        }
    }

    pub(super) fn link_died(&self, panic: &JoinError) {
        error!(error = %panic, "the task of a link died; the link is closed");
    }
}

/// Whom a link is with, as far as that is certain.
#[derive(Debug)]
pub(super) struct LinkPeer {
    /// Whom we dialled, or who has proven to be it.
    pub(super) node: Option<NodeName>,
    /// Where an accepted socket came from.
    pub(super) from: Option<SocketAddr>,
}

impl LinkPeer {
    /// What it is held apart by from others: the name, else the address, for a claim is no name.
    fn key(&self) -> String {
        match (&self.node, self.from) {
            (Some(node), _) => node.to_string(),
            (None, Some(from)) => from.ip().to_string(),
            (None, None) => String::new(),
        }
    }

    fn node(&self) -> Option<DisplayValue<&NodeName>> {
        self.node.as_ref().map(display)
    }

    fn from(&self) -> Option<DisplayValue<SocketAddr>> {
        self.from.map(display)
    }
}

/// The error and what caused it, for a log that has one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What to look at when a peer cannot be reached.
fn hint(failure: Failure) -> &'static str {
    match failure {
        Failure::Dial(DialFailure::NoSuchHost) => "does the host part of its name resolve here?",
        Failure::Dial(DialFailure::NotRegistered) => {
            "its host's epmd does not know it: has the node there another name, or no distribution?"
        }
        Failure::Dial(DialFailure::EpmdUnreachable) => {
            "no epmd answers at its address: is its host up, is epmd's port open?"
        }
        Failure::Dial(DialFailure::Refused) => "nothing listens on its port: is it running?",
        Failure::Dial(DialFailure::TimedOut | DialFailure::Unreachable) => {
            "its address does not answer: a firewall, a NetworkPolicy, a host that is gone?"
        }
        Failure::Dial(DialFailure::Tls(fault)) => tls_hint(fault),
        Failure::SpeaksTls => {
            "it speaks TLS (-proto_dist inet_tls) and we do not: give us certificates, see tls"
        }
        Failure::Dial(DialFailure::OwnAddress) => "that address and port are our own",
        Failure::WrongCookie => "compare the cookies",
        Failure::WrongName => "a node of another name answers there: compare the names",
        Failure::NotAllowed => "it does not let us in: see net_kernel:allow/1 there",
        Failure::Incompatible => "it speaks another protocol: is it OTP 25 or later?",
        Failure::TimedOut => "it accepted the connection and then said nothing: is it frozen?",
        Failure::Untold => "whoever was to connect did not say why: see its log",
        Failure::Closed => "it closed the connection during the handshake: see its log",
        _ => "see the log at level debug",
    }
}

/// What to look at when TLS does not come up.
fn tls_hint(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::NoAnswer | TlsFault::NotSpoken => "was it started with -proto_dist inet_tls?",
        TlsFault::Untrusted => "compare the authority of its certificate with our ca_file",
        TlsFault::WrongName => "its certificate needs the host part of its name as subjectAltName",
        TlsFault::Expired => "renew its certificate, or set the clocks right",
        TlsFault::Refused => "compare the authority of our certificate with its cacertfile",
        _ => "see the error, and the peer's log",
    }
}

/// What the peer did wrong, in a word that stays the same while details change; `None` if nothing
/// or if the plan speaks of it.
fn peer_fault(error: &LinkError) -> Option<&'static str> {
    match error {
        LinkError::BadHandshake(_) => Some("bad handshake"),
        error if error.is_tls() => Some("tls"),
        LinkError::BadFrame(_) => Some("bad frame"),
        LinkError::BadControl(_) => Some("bad control message"),
        LinkError::ForeignProcess { .. } => Some("foreign process"),
        LinkError::MissingFlags { .. } => Some("missing flags"),
        LinkError::OldHandshake => Some("old handshake"),
        LinkError::DynamicName => Some("dynamic name"),
        LinkError::OutputFull => Some("output full"),
        _ => None,
    }
}

fn label(direction: Direction) -> &'static str {
    match direction {
        Direction::Dialled => "dialled",
        Direction::Accepted => "accepted",
    }
}

fn cluster(view: &View) -> String {
    joined(view.peers().map(|peer| &peer.name))
}

fn joined<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&item.to_string());
    }
    text
}
