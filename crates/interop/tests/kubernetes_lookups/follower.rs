//! A source in the cluster's network, and what it has said so far.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use enmesh_discovery::{Environment, SourceContext, TopologyConfig};
use enmesh_interop::Cluster;
use enmesh_membership::{Sighting, SourceFailure, Update};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

/// Follows one topology in a thread of its own; it ends with this value.
pub(crate) struct Follower {
    updates: Receiver<(Instant, Update)>,
    pub(crate) known: BTreeMap<String, Sighting>,
    pub(crate) draining: bool,
    pub(crate) failures: Vec<SourceFailure>,
    /// How many times the whole set was told.
    pub(crate) wholes: usize,
    _stop: oneshot::Sender<()>,
}

impl Follower {
    /// Follows `topology` as the node `own`, without any environment.
    pub(crate) fn start(cluster: &Cluster, own: &str, topology: &str) -> Self {
        let config: TopologyConfig = topology.parse().unwrap();
        let context = SourceContext::new(own.parse().unwrap());
        let context = context.with_environment(Environment::default());
        let mut source = config.source(&context).unwrap();
        let network = File::open(cluster.netns()).unwrap();
        let (sender, updates) = channel();
        let (stop, mut stopped) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(network.as_fd(), kind).unwrap();
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().unwrap();
            runtime.block_on(async move {
                loop {
                    tokio::select! {
                        _ = &mut stopped => return,
                        update = source.next() => {
                            let _ = sender.send((Instant::now(), update));
                        }
                    }
                }
            });
        });
        Self {
            updates,
            known: BTreeMap::new(),
            draining: false,
            failures: Vec::new(),
            wholes: 0,
            _stop: stop,
        }
    }

    /// Reads on until `done`, and says when that was.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Instant {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut last = Instant::now();
        while !done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.updates.recv_timeout(left) {
                Ok((at, update)) => {
                    last = at;
                    self.take(update);
                }
                Err(error) => panic!(
                    "{what}: {error}; it knows {:?}, and failed with {:?}",
                    self.names(),
                    self.failures
                ),
            }
        }
        last
    }

    /// Knows exactly these names.
    #[track_caller]
    pub(crate) fn until_it_knows(&mut self, names: &[&str]) -> Instant {
        let what = format!("it knows {names:?}");
        self.until(&what, |follower| follower.names() == names)
    }

    /// Reads for so long, and says whether anything was said.
    pub(crate) fn listen(&mut self, time: Duration) -> usize {
        let deadline = Instant::now() + time;
        let mut count = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.updates.recv_timeout(left) {
                Ok((_, update)) => {
                    count += 1;
                    self.take(update);
                }
                Err(RecvTimeoutError::Timeout) => return count,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.known.keys().map(String::as_str).collect()
    }

    fn take(&mut self, update: Update) {
        match update {
            Update::Snapshot(peers) => {
                self.wholes += 1;
                self.known.clear();
                self.learn(peers);
            }
            Update::Changed { present, gone } => {
                self.learn(present);
                for name in gone {
                    self.known.remove(name.as_str());
                }
            }
            Update::Draining(draining) => self.draining = draining,
            Update::Failed(failure) => self.failures.push(failure),
        }
    }

    fn learn(&mut self, peers: Vec<Sighting>) {
        for peer in peers {
            self.known.insert(peer.name().to_string(), peer);
        }
    }
}
