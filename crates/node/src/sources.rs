//! Which topologies a node follows, and the task of each source.

use std::time::{Duration, Instant};

use enmesh_discovery::{SourceContext, TopologyConfig};
use enmesh_membership::{
    AddTopologyError, FailureKind, MAX_TOPOLOGIES, Roster, SourceFailure, TopologyName, Update,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info_span};

use crate::manager::records::Records;
use crate::topologies::{TopologyChanges, TopologyError, TopologyStatus};

/// How many updates of sources wait until somebody takes them.
const UPDATE_QUEUE: usize = 16;

/// The pause before a source whose task died is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(5);

/// How long a source may take to say goodbye. At the node's end its grace counts as well.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a source says, for [`Sources::take_in`].
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) topology: TopologyName,
    source: u64,
    update: Update,
}

#[cfg(test)]
impl Said {
    pub(crate) fn by_test(topology: TopologyName, update: Update) -> Self {
        Self {
            topology,
            source: 0,
            update,
        }
    }
}

/// The topologies that are followed, in the configured order, each with a source in a task of its
/// own. Whoever owns the roster owns this beside it; it keeps both at one.
#[derive(Debug)]
pub(crate) struct Sources {
    context: SourceContext,
    tasks: TaskTracker,
    said: mpsc::Sender<Said>,
    stop: CancellationToken,
    hush: CancellationToken,
    followed: Vec<Followed>,
    last_source: u64,
}

#[derive(Debug)]
struct Followed {
    config: TopologyConfig,
    /// Which source answers now: what an earlier one said last counts no more.
    source: u64,
    ends: Ends,
}

/// What of a topology counts for a [`Condition`](crate::Condition), but for whom it names.
#[derive(Debug, PartialEq, Eq)]
struct Faring {
    answered: bool,
    failure: Option<FailureKind>,
    is_draining: bool,
}

impl Faring {
    fn of(roster: &Roster, name: &TopologyName) -> Option<Self> {
        let status = roster.topology(name)?;
        Some(Self {
            answered: status.answered,
            failure: status.failure.map(SourceFailure::kind),
            is_draining: roster.is_draining(),
        })
    }
}

/// The two ways in which a source ends.
#[derive(Clone, Debug)]
struct Ends {
    /// The node, or its part in the topology, is over: the source says goodbye.
    left: CancellationToken,
    /// Another source takes its place, here or in another process: it ends without a word.
    replaced: CancellationToken,
}

impl Sources {
    /// No topology yet. The sources' tasks are counted by `tasks` and end with `stop`; what they
    /// say comes out of the receiver.
    pub(crate) fn new(
        context: SourceContext,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> (Self, mpsc::Receiver<Said>) {
        let (said, updates) = mpsc::channel(UPDATE_QUEUE);
        let sources = Self {
            context,
            tasks,
            said,
            stop,
            hush: CancellationToken::new(),
            followed: Vec::new(),
            last_source: 0,
        };
        (sources, updates)
    }

    /// Follows a topology whose source is the test itself, by [`Said::by_test`].
    #[cfg(test)]
    pub(crate) fn add_silent(&mut self, roster: &mut Roster, config: TopologyConfig) {
        roster.add_topology(config.name.clone()).unwrap();
        let ends = Ends {
            left: self.stop.child_token(),
            replaced: self.hush.child_token(),
        };
        self.followed.push(Followed {
            config,
            source: 0,
            ends,
        });
    }

    /// Tells the roster what a source says, if it still answers for its topology. Whether its
    /// [`Faring`] is another now.
    pub(crate) fn take_in(
        &self,
        roster: &mut Roster,
        records: &Records,
        now: Instant,
        said: Said,
    ) -> bool {
        let followed = self.find(&said.topology).map(|at| &self.followed[at]);
        if followed.is_none_or(|followed| followed.source != said.source) {
            return false;
        }
        let before = Faring::of(roster, &said.topology);
        let news = roster.handle_update(now, &said.topology, said.update);
        if let Some(status) = roster.topology(&said.topology) {
            records.source_news(&status, news);
        }
        Faring::of(roster, &said.topology) != before
    }

    /// Whether these topologies can be followed, all of them together.
    pub(crate) fn check(
        &self,
        roster: &Roster,
        topologies: &[TopologyConfig],
    ) -> Result<(), TopologyError> {
        // Those in the roster that are none of ours keep their names and places.
        let is_foreign = |name: &TopologyName| self.find(name).is_none();
        let foreign = roster.topologies().filter(|it| is_foreign(it.name)).count();
        if topologies.len() + foreign > MAX_TOPOLOGIES {
            return Err(AddTopologyError::TooMany.into());
        }
        for (at, topology) in topologies.iter().enumerate() {
            let name = &topology.name;
            let is_taken = is_foreign(name) && roster.topology(name).is_some();
            if is_taken || topologies[..at].iter().any(|other| other.name == *name) {
                let name = name.clone();
                return Err(AddTopologyError::Duplicate { name }.into());
            }
            topology
                .source(&self.context)
                .map_err(|source| TopologyError::Source {
                    topology: name.clone(),
                    source,
                })?;
        }
        Ok(())
    }

    /// Follows one more topology, behind the others.
    pub(crate) fn add(
        &mut self,
        roster: &mut Roster,
        now: Instant,
        topology: TopologyConfig,
    ) -> Result<(), TopologyError> {
        if self.find(&topology.name).is_some() {
            let name = topology.name;
            return Err(AddTopologyError::Duplicate { name }.into());
        }
        let mut all: Vec<_> = self.configs().cloned().collect();
        all.push(topology);
        self.set(roster, now, all).map(drop)
    }

    /// Follows this topology no more; false if it was not followed. Its source says goodbye.
    pub(crate) fn remove(
        &mut self,
        roster: &mut Roster,
        now: Instant,
        name: &TopologyName,
    ) -> bool {
        let Some(at) = self.find(name) else {
            return false;
        };
        self.followed.remove(at).ends.left.cancel();
        roster.remove_topology(now, name);
        true
    }

    /// Follows these topologies and no others; a failure changes nothing. One that is as it was
    /// keeps its source. Of one that has changed everybody stays until the new source has answered.
    pub(crate) fn set(
        &mut self,
        roster: &mut Roster,
        now: Instant,
        topologies: Vec<TopologyConfig>,
    ) -> Result<TopologyChanges, TopologyError> {
        self.check(roster, &topologies)?;
        let mut changes = TopologyChanges::default();
        let names: Vec<_> = topologies.iter().map(|it| it.name.clone()).collect();
        let is_over = |it: &TopologyConfig| !names.contains(&it.name);
        let over: Vec<_> = self.configs().filter(|it| is_over(it)).cloned().collect();
        for TopologyConfig { name, .. } in over {
            self.remove(roster, now, &name);
            changes.removed.push(name);
        }
        for topology in topologies {
            let name = topology.name.clone();
            let list = match self.find(&name) {
                None => {
                    roster.add_topology(name.clone())?;
                    let followed = self.follow(topology.clone());
                    self.followed.push(followed);
                    &mut changes.added
                }
                Some(at) if self.followed[at].config == topology => &mut changes.kept,
                Some(at) => {
                    if has_another_source(&self.followed[at].config, &topology) {
                        let followed = self.follow(topology.clone());
                        let old = std::mem::replace(&mut self.followed[at], followed);
                        old.ends.replaced.cancel();
                        roster.replace_source(&name);
                    }
                    self.followed[at].config = topology.clone();
                    &mut changes.changed
                }
            };
            list.push(name.clone());
            roster.set_stabilisation_window(now, &name, topology.stabilisation_window);
        }
        let place = |it: &Followed| names.iter().position(|name| *name == it.config.name);
        self.followed.sort_by_key(place);
        roster.sort_topologies(&names);
        Ok(changes)
    }

    /// Ends all sources without a word: the node that they speak of goes on.
    pub(crate) fn end_without_goodbye(&self) {
        self.hush.cancel();
    }

    /// How each fares, in order.
    pub(crate) fn statuses(&self, roster: &Roster) -> Vec<TopologyStatus> {
        let status = |config: &TopologyConfig| {
            let status = roster.topology(&config.name)?;
            Some(TopologyStatus {
                name: config.name.clone(),
                strategy: config.strategy.name(),
                peers: status.peers,
                answered: status.answered,
                failure: status.failure.cloned(),
            })
        };
        self.configs().filter_map(status).collect()
    }

    fn configs(&self) -> impl Iterator<Item = &TopologyConfig> {
        self.followed.iter().map(|followed| &followed.config)
    }

    fn find(&self, name: &TopologyName) -> Option<usize> {
        self.configs().position(|config| config.name == *name)
    }

    /// Starts the source of `topology`.
    fn follow(&mut self, config: TopologyConfig) -> Followed {
        self.last_source += 1;
        let ends = Ends {
            left: self.stop.child_token(),
            replaced: self.hush.child_token(),
        };
        let follower = Follower {
            topology: config.clone(),
            context: self.context.clone(),
            source: self.last_source,
            said: self.said.clone(),
            ends: ends.clone(),
        };
        follower.spawn(&self.tasks);
        Followed {
            config,
            source: self.last_source,
            ends,
        }
    }
}

/// Whether more has changed than what the roster does by itself.
fn has_another_source(old: &TopologyConfig, new: &TopologyConfig) -> bool {
    old.strategy != new.strategy || old.jitter != new.jitter
}

/// What the task of a source needs.
#[derive(Clone, Debug)]
struct Follower {
    topology: TopologyConfig,
    context: SourceContext,
    source: u64,
    said: mpsc::Sender<Said>,
    ends: Ends,
}

impl Follower {
    /// Starts the source in a task of its own. A source that panics is an error in the log and is
    /// started again; what it said before stays in force.
    fn spawn(self, tasks: &TaskTracker) {
        let span = info_span!("source", topology = %self.topology.name);
        let supervised = tasks.clone();
        let supervisor = async move {
            loop {
                let run = self.clone().run();
                match supervised.spawn(run.in_current_span()).await {
                    Ok(()) => return,
                    Err(panic) => error!(error = %panic, "source died; starting it again"),
                }
                tokio::select! {
                    biased;
                    () = self.ends.left.cancelled() => return,
                    () = self.ends.replaced.cancelled() => return,
                    () = tokio::time::sleep(RESTART_PAUSE) => {}
                }
            }
        };
        tasks.spawn(supervisor.instrument(span));
    }

    /// Ends when nobody takes the updates any more, or at once if there is no such source; each
    /// was made once before, so that this has been said.
    async fn run(self) {
        let mut source = match self.topology.source(&self.context) {
            Ok(source) => source,
            Err(error) => {
                error!(%error, "source cannot be made");
                return;
            }
        };
        let talk = async {
            loop {
                let said = Said {
                    topology: self.topology.name.clone(),
                    source: self.source,
                    update: source.next().await,
                };
                if self.said.send(said).await.is_err() {
                    return;
                }
            }
        };
        // Cancel safe: what a source says goes nowhere once it ends.
        tokio::select! {
            biased;
            () = self.ends.replaced.cancelled() => return,
            () = self.ends.left.cancelled() => {}
            () = talk => {}
        }
        if tokio::time::timeout(FAREWELL, source.farewell())
            .await
            .is_err()
        {
            tracing::warn!("source did not finish its farewell in time");
        }
    }
}

#[cfg(test)]
mod tests;
