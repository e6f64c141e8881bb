//! How a node opens a PubSub: once, however many ask for it.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use enmesh_otp::{Broadcast, PubSubAdapter};
use enmesh_term::{Atom, AtomTooLong, Pid, Term};
use tracing::debug;

use super::{PubSub, Shared, Topics, lossy};
use crate::groups::{ProcessGroups, ScopeError};
use crate::kernel_driver::KernelDriver;
use crate::mailbox::{Mailbox, MailboxError, Received};
use crate::node::Node;
use crate::process::Process;

/// How the pool of a PubSub is laid out: as in the configuration of the Elixir application.
///
/// ```no_run
/// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::PubSubOptions;
///
/// // {Phoenix.PubSub, name: MyApp.PubSub, pool_size: 4}
/// let pubsub = node.pubsub_with("MyApp.PubSub", &PubSubOptions::default().pool_size(4))?;
/// # let _ = pubsub;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct PubSubOptions {
    pool_size: u16,
    broadcast_pool_size: Option<u16>,
}

impl Default for PubSubOptions {
    fn default() -> Self {
        Self {
            pool_size: 1,
            broadcast_pool_size: None,
        }
    }
}

impl PubSubOptions {
    /// How many workers each node has: 1, at most 1,024. What another node broadcasts over a
    /// worker that we do not have never gets here, so take the largest number of the cluster.
    pub fn pool_size(mut self, workers: u16) -> Self {
        self.pool_size = workers;
        self
    }

    /// Over how many of the workers this node broadcasts: all, at most all. A node that does not
    /// have the worker that was chosen does not get the broadcast, so take the smallest number of
    /// the cluster.
    pub fn broadcast_pool_size(mut self, workers: u16) -> Self {
        self.broadcast_pool_size = Some(workers);
        self
    }
}

/// Why there is no PubSub. Nothing of it is left.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::{PubSubError, PubSubOptions};
///
/// let open = node.pubsub("MyApp.PubSub")?;
/// let other = PubSubOptions::default().pool_size(4);
/// let again = node.pubsub_with("MyApp.PubSub", &other);
/// assert!(matches!(again, Err(PubSubError::OtherPool)));
/// # drop(open);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PubSubError {
    /// The names that follow from it are too long.
    #[error("the name of the PubSub is too long")]
    Name(#[from] AtomTooLong),
    /// There can be no process for it; `taken` if another one has its name.
    #[error("no process for the PubSub")]
    Mailbox(#[from] MailboxError),
    /// There can be no groups for it.
    #[error("no process groups for the PubSub")]
    Scope(#[from] ScopeError),
    /// This node has it open with another pool.
    #[error("the PubSub is open with another pool")]
    OtherPool,
}

/// The PubSubs that a node has open, by the name of their first group.
#[derive(Debug, Default)]
pub(crate) struct OpenPubSubs {
    open: Mutex<HashMap<Atom, Entry>>,
}

#[derive(Debug)]
struct Entry {
    shared: Weak<Shared>,
    /// Its last handle may be gone and they not yet: whoever opens it next ends them.
    workers: Vec<Pid>,
}

impl Node {
    /// Joins the PubSub of that name, as it is written in the supervision tree of an Elixir
    /// application: `{Phoenix.PubSub, name: MyApp.PubSub}`. Who opens it again gets another handle
    /// of the same.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let pubsub = node.pubsub("MyApp.PubSub")?;
    /// let again = pubsub.clone();
    /// # let _ = again;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`PubSubError`].
    pub fn pubsub(&self, name: &str) -> Result<PubSub, PubSubError> {
        self.pubsub_with(name, &PubSubOptions::default())
    }

    /// As [`Node::pubsub`], for one whose `pool_size` is not 1: what is broadcast over any worker
    /// of the pool arrives.
    ///
    /// # Errors
    /// See [`PubSubError`].
    pub fn pubsub_with(&self, name: &str, options: &PubSubOptions) -> Result<PubSub, PubSubError> {
        let sending = options.broadcast_pool_size.unwrap_or(options.pool_size);
        let adapter = PubSubAdapter::new(name, options.pool_size, sending)?;
        let driver = &self.shared.kernel;
        let shared = driver.pubsubs.get_or_open(driver, &adapter)?;
        if shared.adapter != adapter {
            return Err(PubSubError::OtherPool);
        }
        Ok(PubSub::of(shared))
    }
}

impl OpenPubSubs {
    /// The one that is open under the name of `adapter`, or a new one, also if somebody has ended
    /// one of its workers. The lock is held from the look to the entry, so that two who ask at once
    /// get the same.
    fn get_or_open(
        &self,
        driver: &Arc<KernelDriver>,
        adapter: &PubSubAdapter,
    ) -> Result<Arc<Shared>, PubSubError> {
        if driver.is_shut() {
            return Err(MailboxError::ShutDown.into());
        }
        let name = &adapter.groups()[0];
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let found = open.get(name).and_then(|entry| entry.shared.upgrade());
        if let Some(shared) = found {
            if shared.is_whole() {
                return Ok(shared);
            }
            end_all(driver, shared.workers.iter().map(Process::pid));
        }
        for (_, entry) in open.extract_if(|_, entry| entry.shared.strong_count() == 0) {
            end_all(driver, entry.workers.iter());
        }
        let shared = Arc::new(Shared::open(driver, adapter)?);
        let entry = Entry {
            shared: Arc::downgrade(&shared),
            workers: shared.workers.iter().map(Process::pid).cloned().collect(),
        };
        open.insert(name.clone(), entry);
        Ok(shared)
    }
}

impl Shared {
    fn open(driver: &Arc<KernelDriver>, adapter: &PubSubAdapter) -> Result<Self, PubSubError> {
        let mailboxes = adapter.groups().iter().map(|group| {
            let mailbox = Mailbox::new(driver, &lossy())?;
            mailbox
                .register(group.clone())
                .map_err(MailboxError::Name)?;
            Ok(mailbox)
        });
        let mailboxes = mailboxes.collect::<Result<Vec<Mailbox>, MailboxError>>()?;
        let groups = ProcessGroups::open(driver, PubSubAdapter::scope())?;
        let topics = Arc::new(Topics::default());
        let workers = mailboxes.iter().map(|mailbox| mailbox.process().clone());
        let workers: Vec<Process> = workers.collect();
        for (group, worker) in adapter.groups().iter().zip(&workers) {
            groups.join(group, worker.pid());
        }
        for mailbox in mailboxes {
            let serving = serve(mailbox, Arc::downgrade(&topics));
            driver
                .workers
                .spawn(|| serving)
                .ok_or(MailboxError::ShutDown)?;
        }
        Ok(Self {
            driver: Arc::clone(driver),
            groups,
            adapter: adapter.clone(),
            workers,
            topics,
            next_sender: AtomicU64::new(0),
        })
    }

    /// Whether every worker still has its name.
    fn is_whole(&self) -> bool {
        let mut workers = self.adapter.groups().iter().zip(&self.workers);
        self.driver.with(|kernel, _| {
            workers.all(|(group, worker)| kernel.whereis(group).as_ref() == Some(worker.pid()))
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        end_all(&self.driver, self.workers.iter().map(Process::pid));
    }
}

fn end_all<'a>(driver: &KernelDriver, workers: impl Iterator<Item = &'a Pid>) {
    for worker in workers {
        driver.exit(worker, Term::atom("normal"));
    }
}

/// Hands on what other nodes broadcast, until the worker's process ends.
async fn serve(mut worker: Mailbox, topics: Weak<Topics>) {
    while let Ok(received) = worker.recv().await {
        let Received::Message(message) = received else {
            continue;
        };
        let Some(topics) = topics.upgrade() else {
            return;
        };
        match message.term().ok().and_then(Broadcast::from_term) {
            Some(Broadcast { topic, message, .. }) => {
                topics.dispatch(worker.process(), None, &topic, &message);
            }
            None => debug!("message dropped: it is no broadcast of Phoenix.PubSub"),
        }
    }
}
