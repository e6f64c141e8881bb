//! All namespaces of a topology together.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use enmesh_membership::{Sighting, Standing, Update};
use futures::future::select_all;

use super::book::{Book, Entry};
use super::config::{KubernetesConfig, Readiness};
use super::follower::{Follower, Heard, Plan};
use super::naming::Naming;
use super::seen::Seen;
use super::session::WATCH_SECONDS;
use super::tracker::{Change, Tracker};
use crate::source::{Source, SourceContext};

/// Follows the pods of one or several namespaces for ever.
pub(crate) struct KubernetesSource {
    followers: Vec<Follower>,
    /// Whose turn it is to be heard first, so that a busy namespace hides no other.
    turn: usize,
    tracker: Tracker,
    naming: Naming,
    ready: Readiness,
    book: Book,
    /// Whether somebody was told that peers are left out.
    told: bool,
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
        let environment = context.environment().clone();
        let naming = Naming::new(config, context.own(), environment.get("CLUSTER_DOMAIN"));
        let own_address = environment.get("POD_IP").and_then(|ip| ip.parse().ok());
        let plan = Arc::new(Plan {
            config: config.clone(),
            environment,
            domain: naming.domain().to_owned(),
            watch_seconds,
        });
        let mut namespaces: Vec<_> = config.namespaces.iter().cloned().map(Some).collect();
        if namespaces.is_empty() {
            namespaces.push(None);
        }
        let spaces = namespaces.len();
        let follow = |namespace| Follower::new(&plan, namespace);
        Self {
            followers: namespaces.into_iter().map(follow).collect(),
            turn: 0,
            tracker: Tracker::new(spaces),
            naming,
            ready: config.ready,
            book: Book::new(context.own().clone(), own_address),
            told: false,
        }
    }

    async fn follow(&mut self) -> Update {
        loop {
            if let Some(update) = self.book.next() {
                return update;
            }
            let (space, heard) = self.hear().await;
            let event = match heard {
                Heard::Event(event) => event,
                Heard::Failed(failure) => return Update::Failed(failure),
            };
            let change = self.tracker.handle(space, event);
            self.tell_of_left_out();
            match change {
                None => {}
                Some(Change::Whole(pods)) => {
                    self.book.set(self.entries(pods));
                }
                Some(Change::Part { present, gone }) => {
                    self.book.change(self.entries(present), gone);
                }
            }
        }
    }

    /// What any of the followers says next.
    async fn hear(&mut self) -> (usize, Heard) {
        let count = self.followers.len();
        let turn = self.turn % count;
        let (first, last) = self.followers.split_at_mut(turn);
        let followers = last.iter_mut().chain(first);
        let (heard, place, _) =
            select_all(followers.map(|follower| Box::pin(follower.next()))).await;
        let space = (turn + place) % count;
        self.turn = space + 1;
        (space, heard)
    }

    fn entries(&self, pods: Vec<Arc<Seen>>) -> Vec<Entry> {
        let entry = |seen: Arc<Seen>| {
            let peers = self.peers(&seen);
            (seen, peers)
        };
        pods.into_iter().map(entry).collect()
    }

    fn peers(&self, seen: &Seen) -> Vec<Sighting> {
        let peers = self.naming.peer(seen).into_iter();
        peers
            .map(|peer| self.ready.sighting(peer.into(), seen))
            .collect()
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
