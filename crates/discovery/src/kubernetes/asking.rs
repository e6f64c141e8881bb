//! Pods that are asked for their names, by the handshake or by epmd.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use enmesh_epmd::EpmdError;
use enmesh_identity::PeerAddr;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;

use super::failure::chain;
use super::naming::{MAX_NODES_PER_POD, Naming, nodes};
use super::seen::{PodId, Seen};
use crate::backoff::Backoff;
use crate::probe::{ProbeError, probe};

/// How many pods are asked at once; the others wait for their turn.
const MAX_ASKED_AT_ONCE: usize = 32;

/// How many nodes of one pod are probed at once, so that all together need not too many sockets.
const MAX_PROBES_OF_A_POD: usize = 8;

/// The longest that one question to a pod may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A node that starts does not answer yet, so only after this many failures somebody is told.
const PATIENCE: u32 = 8;

/// A name is believed to be gone when epmd has left it out for so long: an epmd that was just
/// started anew hears of its nodes one by one.
const MISSED_FOR: Duration = Duration::from_secs(10);

/// Asks each pod for the names of its nodes, again and again: at once when something happened to
/// it, else at waits that grow from half a second to twenty. Who does not answer keeps the names
/// that it had.
pub(super) struct Asker {
    naming: Arc<Naming>,
    epmd_port: u16,
    pods: BTreeMap<PodId, Asked>,
    /// Who waits until when, first come first served.
    waiting: BTreeSet<(Instant, PodId)>,
    asking: FuturesUnordered<Asking>,
    /// Whether somebody was told of a pod that tells no name.
    told: bool,
}

/// What is known of one pod.
struct Asked {
    seen: Arc<Seen>,
    /// Its nodes, and since when each was left out of all answers.
    nodes: Vec<(PeerAddr, Option<Instant>)>,
    /// Counts up when what was asked would now be asked otherwise.
    turn: u64,
    pace: Backoff,
    failures: u32,
    /// Whether it has ever answered.
    heard: bool,
    /// When it is asked next; none while it is being asked, or is not to be.
    due: Option<Instant>,
}

type Asking = Pin<Box<dyn Future<Output = (PodId, u64, Result<Told, AskError>)> + Send>>;

/// What a pod told.
#[derive(Debug, Default)]
struct Told {
    peers: Vec<PeerAddr>,
    /// The ports at which nobody told anything, of which therefore nothing is known.
    silent: BTreeSet<u16>,
}

/// Why a pod tells no name.
#[derive(Debug, thiserror::Error)]
enum AskError {
    /// Its epmd does not tell.
    #[error(transparent)]
    Epmd(#[from] EpmdError),
    /// Whoever listens there does not tell.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// Its epmd knows nobody.
    #[error("the epmd at {0} knows no node")]
    Nobody(SocketAddr),
}

impl AskError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Epmd(_) | Self::Nobody(_) => true,
            Self::Probe(error) => error.is_transient(),
        }
    }
}

impl Asker {
    pub(super) fn new(naming: Arc<Naming>, epmd_port: u16) -> Self {
        Self {
            naming,
            epmd_port,
            pods: BTreeMap::new(),
            waiting: BTreeSet::new(),
            asking: FuturesUnordered::new(),
            told: false,
        }
    }

    /// Takes what is now known of a pod, and gives the nodes that are known of it.
    pub(super) fn see(&mut self, seen: &Arc<Seen>) -> Vec<PeerAddr> {
        let Some(id) = seen.id() else {
            return Vec::new();
        };
        let asked = self.pods.entry(id.clone()).or_insert_with(|| Asked {
            seen: Arc::clone(seen),
            nodes: Vec::new(),
            turn: 0,
            pace: Backoff::default(),
            failures: 0,
            heard: false,
            due: None,
        });
        let is_new = asked.turn == 0;
        if is_new || asked.seen != *seen {
            asked.seen = Arc::clone(seen);
            asked.turn += 1;
            asked.failures = 0;
            asked.pace.reset();
            // Whoever is being ended has nothing to say any more.
            let now = (!seen.terminating).then(Instant::now);
            asked.wait_until(now, &id, &mut self.waiting);
        }
        asked.peers()
    }

    /// Forgets a pod.
    pub(super) fn forget(&mut self, id: &PodId) {
        if let Some(mut asked) = self.pods.remove(id) {
            asked.wait_until(None, id, &mut self.waiting);
        }
    }

    /// Forgets all pods but these.
    pub(super) fn retain(&mut self, pods: &[Arc<Seen>]) {
        let there: BTreeSet<PodId> = pods.iter().filter_map(|seen| seen.id()).collect();
        let gone: Vec<_> = self
            .pods
            .keys()
            .filter(|id| !there.contains(id))
            .cloned()
            .collect();
        for id in gone {
            self.forget(&id);
        }
    }

    /// Whether every pod has told its names once.
    pub(super) fn has_heard_all(&self) -> bool {
        self.pods
            .values()
            .all(|asked| asked.heard || asked.seen.terminating)
    }

    /// The next pod whose nodes are others than before, with those it now has. Cancel safe:
    /// questions that are on their way go on with the next call.
    pub(super) async fn next(&mut self) -> (Arc<Seen>, Vec<PeerAddr>) {
        loop {
            self.ask_who_is_due();
            let room = self.asking.len() < MAX_ASKED_AT_ONCE;
            let due = self.waiting.first().map(|(due, _)| *due).filter(|_| room);
            let until_due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let answered = async {
                match self.asking.next().await {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            };
            let answer = tokio::select! {
                biased;
                answer = answered => answer,
                () = until_due => continue,
            };
            if let Some(changed) = self.take(answer) {
                return changed;
            }
        }
    }

    fn ask_who_is_due(&mut self) {
        let now = Instant::now();
        while self.asking.len() < MAX_ASKED_AT_ONCE
            && let Some((due, id)) = self.waiting.first()
            && *due <= now
        {
            let id = id.clone();
            let Some(asked) = self.pods.get_mut(&id) else {
                self.waiting.pop_first();
                continue;
            };
            asked.wait_until(None, &id, &mut self.waiting);
            let (turn, seen) = (asked.turn, Arc::clone(&asked.seen));
            let answer = ask(Arc::clone(&self.naming), self.epmd_port, seen);
            self.asking
                .push(answer.map(move |answer| (id, turn, answer)).boxed());
        }
    }

    fn take(
        &mut self,
        (id, turn, answer): (PodId, u64, Result<Told, AskError>),
    ) -> Option<(Arc<Seen>, Vec<PeerAddr>)> {
        let asked = self.pods.get_mut(&id)?;
        if asked.turn != turn {
            // It was seen to be otherwise meanwhile and is asked anew already.
            return None;
        }
        let before = asked.peers();
        match answer {
            Ok(told) => {
                asked.failures = 0;
                asked.heard = true;
                asked.keep(Instant::now(), told);
            }
            Err(error) => {
                asked.failures += 1;
                let worth_it = !error.is_transient() || asked.failures >= PATIENCE;
                if worth_it && !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(
                        pod = %asked.seen,
                        error = %chain(&error),
                        "a pod does not tell its names; trying again quietly",
                    );
                }
            }
        }
        let after = asked.peers();
        if before != after {
            asked.pace.reset();
        }
        // Waits grow after answers as they do after failures: what has not changed for long will
        // not change soon.
        let next = Instant::now() + asked.pace.failed();
        asked.wait_until(Some(next), &id, &mut self.waiting);
        (before != after).then(|| (Arc::clone(&asked.seen), after))
    }
}

impl Asked {
    fn peers(&self) -> Vec<PeerAddr> {
        self.nodes.iter().map(|(peer, _)| peer.clone()).collect()
    }

    fn wait_until(
        &mut self,
        due: Option<Instant>,
        id: &PodId,
        waiting: &mut BTreeSet<(Instant, PodId)>,
    ) {
        if let Some(before) = self.due {
            waiting.remove(&(before, id.clone()));
        }
        if let Some(due) = due {
            waiting.insert((due, id.clone()));
        }
        self.due = due;
    }

    /// Takes an answer. A place has one name, so a name whose place has another one now is gone at
    /// once; one that is merely left out is so after a while.
    fn keep(&mut self, now: Instant, told: Told) {
        let place = |peer: &PeerAddr| (peer.address(), peer.port());
        let mut nodes: Vec<_> = told.peers.into_iter().map(|peer| (peer, None)).collect();
        for (peer, missed) in std::mem::take(&mut self.nodes) {
            let known = nodes.iter().any(|(told, _)| told.name() == peer.name());
            let taken = nodes.iter().any(|(told, _)| place(told) == place(&peer));
            let silent = peer.port().is_some_and(|port| told.silent.contains(&port));
            let missed = if silent { missed } else { missed.or(Some(now)) };
            let gone = missed.is_some_and(|since| now.duration_since(since) >= MISSED_FOR);
            if !known && !taken && !gone && nodes.len() < MAX_NODES_PER_POD {
                nodes.push((peer, missed));
            }
        }
        nodes.sort_by(|(one, _), (other, _)| one.name().cmp(other.name()));
        nodes.dedup_by(|(one, _), (other, _)| one.name() == other.name());
        self.nodes = nodes;
    }
}

/// What a pod says of its nodes. Where it is to be probed at several places, those that answer
/// count, unless none does.
async fn ask(naming: Arc<Naming>, epmd_port: u16, seen: Arc<Seen>) -> Result<Told, AskError> {
    let Some(address) = naming.address(&seen) else {
        return Ok(Told::default());
    };
    let epmd = SocketAddr::new(address, epmd_port);
    if naming.asks_epmd_for_names() {
        let names = enmesh_epmd::names(epmd, TIMEOUT).await?;
        let peers = naming.listed(&seen, &names);
        if peers.is_empty() {
            return Err(AskError::Nobody(epmd));
        }
        let silent = BTreeSet::new();
        return Ok(Told { peers, silent });
    }
    let known: Vec<Option<u16>> = match naming.places(&seen) {
        Ok(places) => places.iter().map(|place| place.port).collect(),
        Err(lack) => {
            naming.tell(&seen, &lack);
            return Ok(Told::default());
        }
    };
    let mut ports: BTreeSet<u16> = known.iter().flatten().copied().collect();
    if known.contains(&None) {
        let names = enmesh_epmd::names(epmd, TIMEOUT).await?;
        ports.extend(nodes(&names).map(|(_, port)| port).take(MAX_NODES_PER_POD));
        if ports.is_empty() {
            return Err(AskError::Nobody(epmd));
        }
    }
    probe_all(address, &ports).await
}

async fn probe_all(address: IpAddr, ports: &BTreeSet<u16>) -> Result<Told, AskError> {
    let probes = ports.iter().copied().map(|port| async move {
        let probed = probe(SocketAddr::new(address, port), TIMEOUT).await;
        (port, probed)
    });
    let mut told = Told::default();
    let mut failure = None;
    let mut probes = futures::stream::iter(probes).buffer_unordered(MAX_PROBES_OF_A_POD);
    while let Some((port, outcome)) = probes.next().await {
        match outcome {
            Ok(probed) => {
                let peer = PeerAddr::new(probed.name);
                told.peers.push(peer.with_address(address).with_port(port));
            }
            Err(error) => {
                told.silent.insert(port);
                failure = Some(error);
            }
        }
    }
    match failure {
        Some(error) if told.peers.is_empty() => Err(error.into()),
        _ => Ok(told),
    }
}

#[cfg(test)]
pub(super) mod tests;
