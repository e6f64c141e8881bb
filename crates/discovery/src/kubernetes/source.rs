//! All namespaces of a topology together.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use enmesh_identity::PeerAddr;
use enmesh_membership::{Sighting, Standing, Update};
use futures::future::select_all;

use super::api::needs_domain;
use super::asking::Asker;
use super::book::{Book, Entry};
use super::config::{KubernetesConfig, Readiness};
use super::domain::Domain;
use super::follower::{Follower, Heard, Plan};
use super::naming::Naming;
use super::seen::Seen;
use super::session::WATCH_SECONDS;
use super::tracker::{Change, Tracker};
use crate::source::{Source, SourceContext};

/// Where the system's DNS is configured.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Follows the pods of one or several namespaces for ever.
pub(crate) struct KubernetesSource {
    config: KubernetesConfig,
    context: SourceContext,
    watch_seconds: u32,
    /// None until the cluster's domain is known.
    running: Option<Box<Running>>,
}

/// What there is once the names are known that pods have.
struct Running {
    followers: Vec<Follower>,
    /// Whose turn it is to be heard first, so that a busy namespace hides no other.
    turn: usize,
    tracker: Tracker,
    naming: Arc<Naming>,
    /// Who asks the pods for their names, where they alone know them.
    asker: Option<Asker>,
    /// Whether all peers are to be told as soon as every pod has told its names.
    owes_whole: bool,
    ready: Readiness,
    book: Book,
    /// Whether somebody was told that peers are left out.
    told: bool,
}

/// What there is to be heard.
enum News {
    /// Of a namespace.
    Space(usize, Heard),
    /// A pod's nodes are others than before.
    Names(Arc<Seen>, Vec<PeerAddr>),
}

impl KubernetesSource {
    pub(crate) fn new(config: &KubernetesConfig, context: &SourceContext) -> Self {
        Self::with_watches_of(config, context, WATCH_SECONDS)
    }

    fn with_watches_of(
        config: &KubernetesConfig,
        context: &SourceContext,
        watch_seconds: u32,
    ) -> Self {
        Self {
            config: config.clone(),
            context: context.clone(),
            watch_seconds,
            running: None,
        }
    }

    async fn follow(&mut self) -> Update {
        if self.running.is_none() {
            let domain = domain(&self.config, &self.context).await;
            let running = Running::new(&self.config, &self.context, domain, self.watch_seconds);
            self.running = Some(Box::new(running));
        }
        match &mut self.running {
            Some(running) => running.follow().await,
            None => std::future::pending().await,
        }
    }
}

/// The cluster's domain. Nobody is asked where nothing needs it.
async fn domain(config: &KubernetesConfig, context: &SourceContext) -> String {
    let (environment, resolv_conf) = (context.environment(), Path::new(RESOLV_CONF));
    if !Naming::needs_domain(config, context.own()) && !needs_domain(config) {
        let said = Domain::said(config, environment, resolv_conf);
        return said.map(|domain| domain.name).unwrap_or_default();
    }
    let found = Domain::find(config, environment, resolv_conf).await;
    tracing::info!(domain = found.name, origin = %found.origin, "the cluster's domain is known");
    found.name
}

impl Running {
    fn new(
        config: &KubernetesConfig,
        context: &SourceContext,
        domain: String,
        watch_seconds: u32,
    ) -> Self {
        let environment = context.environment().clone();
        let naming = Arc::new(Naming::new(config, context.own(), &domain));
        let own_address = environment.get("POD_IP").and_then(|ip| ip.parse().ok());
        let plan = Arc::new(Plan {
            config: config.clone(),
            environment,
            domain,
            watch_seconds,
            jitter: context.jitter(),
        });
        let mut namespaces: Vec<_> = config.namespaces.iter().cloned().map(Some).collect();
        if namespaces.is_empty() {
            namespaces.push(None);
        }
        let spaces = namespaces.len();
        let follow = |namespace| Follower::new(&plan, namespace);
        let asker = || Asker::new(Arc::clone(&naming), context.epmd_port());
        Self {
            followers: namespaces.into_iter().map(follow).collect(),
            turn: 0,
            tracker: Tracker::new(spaces),
            asker: naming.asks().then(asker),
            naming,
            owes_whole: false,
            ready: config.ready,
            book: Book::new(context.own().clone(), own_address),
            told: false,
        }
    }

    async fn follow(&mut self) -> Update {
        loop {
            while let Some(update) = self.book.next() {
                if let Some(update) = self.allowed(update) {
                    return update;
                }
            }
            match self.hear().await {
                News::Space(space, Heard::Event(event)) => {
                    let change = self.tracker.handle(space, event);
                    self.tell_of_left_out();
                    if let Some(change) = change {
                        self.take(change);
                    }
                }
                News::Space(_, Heard::Failed(failure)) => return Update::Failed(failure),
                News::Names(seen, peers) => {
                    let peers = self.sightings(&seen, peers);
                    self.book.change(vec![(seen, peers)], Vec::new());
                }
            }
            if self.owes_whole && self.has_heard_all() {
                self.owes_whole = false;
                self.book.tell_all();
            }
        }
    }

    /// While a pod has not told its names, nobody may be taken for gone.
    fn allowed(&mut self, update: Update) -> Option<Update> {
        match update {
            Update::Snapshot(present) if !self.has_heard_all() => {
                self.owes_whole = true;
                let gone = Vec::new();
                (!present.is_empty()).then_some(Update::Changed { present, gone })
            }
            update => Some(update),
        }
    }

    fn has_heard_all(&self) -> bool {
        self.asker.as_ref().is_none_or(Asker::has_heard_all)
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Whole(pods) => {
                if let Some(asker) = &mut self.asker {
                    asker.retain(&pods);
                }
                let entries = self.entries(pods);
                self.book.set(entries);
            }
            Change::Part { present, gone } => {
                if let Some(asker) = &mut self.asker {
                    gone.iter().for_each(|id| asker.forget(id));
                }
                let entries = self.entries(present);
                self.book.change(entries, gone);
            }
        }
    }

    /// What any of the followers says next, or a pod of its names.
    async fn hear(&mut self) -> News {
        let count = self.followers.len();
        let turn = self.turn % count;
        let (first, last) = self.followers.split_at_mut(turn);
        let followers = last.iter_mut().chain(first);
        let heard = select_all(followers.map(|follower| Box::pin(follower.next())));
        let named = async {
            match &mut self.asker {
                Some(asker) => asker.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            (heard, place, _) = heard => {
                let space = (turn + place) % count;
                self.turn = space + 1;
                News::Space(space, heard)
            }
            (seen, peers) = named => News::Names(seen, peers),
        }
    }

    fn entries(&mut self, pods: Vec<Arc<Seen>>) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(pods.len());
        for seen in pods {
            let peers = match &mut self.asker {
                Some(asker) => asker.see(&seen),
                None => self.naming.peers(&seen),
            };
            let peers = self.sightings(&seen, peers);
            entries.push((seen, peers));
        }
        entries
    }

    fn sightings(&self, seen: &Seen, peers: Vec<PeerAddr>) -> Vec<Sighting> {
        let sighting = |peer: PeerAddr| self.ready.sighting(peer.into(), seen);
        peers.into_iter().map(sighting).collect()
    }

    fn tell_of_left_out(&mut self) {
        let left_out = self.tracker.take_left_out();
        if left_out > 0 && !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                left_out,
                "Kubernetes names more peers than a topology holds"
            );
        }
    }
}

impl Readiness {
    /// The peer with what its pod's readiness means for it.
    fn sighting(self, peer: Sighting, seen: &Seen) -> Sighting {
        let standing = match self {
            Self::Ready if !seen.ready => Standing::Unready,
            Self::Any | Self::Ready => Standing::Ready,
        };
        peer.with_standing(standing).with_life(seen.life())
    }
}

impl Source for KubernetesSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.follow())
    }
}

#[cfg(test)]
mod tests;
