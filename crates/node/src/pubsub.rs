//! Phoenix.PubSub: a member that subscribes to and broadcasts on the topics of Elixir nodes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use enmesh_otp::{Broadcast, PubSubAdapter};
use enmesh_term::{AtomTooLong, Pid, Term, ToTerm};
use tracing::debug;

use crate::groups::{ProcessGroups, ScopeError};
use crate::kernel_driver::KernelDriver;
use crate::mailbox::{Ended, Mailbox, MailboxError, MailboxOptions, Message, Overflow, Received};
use crate::node::Node;
use crate::process::{Process, encode};
use crate::send::{self, SendError};

/// A Phoenix.PubSub of the cluster, spoken as its default adapter (`Phoenix.PubSub.PG2`) does:
/// what Elixir nodes broadcast reaches the subscribers here, and the reverse. Cheap to clone; it
/// leaves the cluster's PubSub with its last handle and subscription.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::Term;
///
/// let pubsub = node.pubsub("MyApp.PubSub")?;
/// let mut orders = pubsub.subscribe("orders")?;
/// pubsub.broadcast("orders", &("created", 42)).await?;
/// let message = orders.recv().await?;
/// println!("{}", message.term()?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct PubSub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    driver: Arc<KernelDriver>,
    groups: ProcessGroups,
    adapter: PubSubAdapter,
    /// The process that gets what other nodes broadcast.
    worker: Process,
    topics: Arc<Topics>,
}

/// Who wants what: topic to subscribers.
#[derive(Debug, Default)]
struct Topics {
    subscribers: Mutex<HashMap<String, Vec<Pid>>>,
}

/// Why there is no PubSub.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::PubSubError;
///
/// let open = node.pubsub("MyApp.PubSub")?;
/// let again = node.pubsub("MyApp.PubSub");
/// assert!(matches!(again, Err(PubSubError::Mailbox(_))));
/// # drop(open);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PubSubError {
    /// The names that follow from it are too long.
    #[error("the name of the PubSub is too long")]
    Name(#[from] AtomTooLong),
    /// There can be no process for it; `taken` if this node has it open already: clone that handle.
    #[error("no process for the PubSub")]
    Mailbox(#[from] MailboxError),
    /// There can be no groups for it.
    #[error("no process groups for the PubSub")]
    Scope(#[from] ScopeError),
}

/// A subscription to one topic; ends when it is dropped. It holds as much as a mailbox does; what
/// is over that is dropped and counted.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// let pubsub = node.pubsub("MyApp.PubSub")?;
/// let mut orders = pubsub.subscribe("orders")?;
/// let message = orders.recv().await?;
/// println!("{}: {}, {} lost", orders.topic(), message.term()?, orders.dropped());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Subscription {
    mailbox: Mailbox,
    topic: String,
    /// Keeps the worker alive.
    pubsub: Arc<Shared>,
}

impl Node {
    /// Joins the PubSub of that name, as it is written in the supervision tree of an Elixir
    /// application: `{Phoenix.PubSub, name: MyApp.PubSub}`.
    ///
    /// # Errors
    /// See [`PubSubError`].
    pub fn pubsub(&self, name: &str) -> Result<PubSub, PubSubError> {
        self.pubsub_with_pool(name, 1)
    }

    /// As [`Node::pubsub`], for one whose `pool_size` is not 1: what is broadcast over any of the
    /// pool's groups arrives.
    ///
    /// # Errors
    /// See [`PubSubError`].
    pub fn pubsub_with_pool(&self, name: &str, pool_size: u16) -> Result<PubSub, PubSubError> {
        let driver = &self.shared.kernel;
        let adapter = PubSubAdapter::new(name, pool_size)?;
        let worker = self.mailbox_with(adapter.group().as_str(), &options())?;
        let groups = ProcessGroups::open(driver, PubSubAdapter::scope())?;
        for group in adapter.groups() {
            groups.join(group, worker.pid());
        }
        let topics = Arc::new(Topics::default());
        let process = worker.process().clone();
        let serving = serve(worker, Arc::downgrade(&topics));
        driver
            .workers
            .spawn(|| serving)
            .ok_or(MailboxError::ShutDown)?;
        let shared = Arc::new(Shared {
            driver: Arc::clone(driver),
            groups,
            adapter,
            worker: process,
            topics,
        });
        Ok(PubSub { shared })
    }
}

/// A burst must not end the PubSub: what is too much is lost to this node.
fn options() -> MailboxOptions {
    MailboxOptions::default().overflow(Overflow::DropNewest)
}

impl PubSub {
    /// Has every message of a topic delivered from now on.
    ///
    /// # Errors
    /// See [`MailboxError`].
    pub fn subscribe(&self, topic: &str) -> Result<Subscription, MailboxError> {
        let mailbox = Mailbox::new(&self.shared.driver, &options())?;
        self.shared.topics.add(topic, mailbox.pid().clone());
        Ok(Subscription {
            mailbox,
            topic: topic.to_owned(),
            pubsub: Arc::clone(&self.shared),
        })
    }

    /// Sends a message to every subscriber of a topic, on this node and all others. Waits for
    /// slow links as [`Process::send`] does, but only after all other nodes were sent it.
    ///
    /// # Errors
    /// See [`SendError`]; every node to which it could be sent has been sent it all the same. If
    /// the future is dropped, those behind slow links may miss it.
    pub async fn broadcast(
        &self,
        topic: &str,
        message: &(impl ToTerm + ?Sized),
    ) -> Result<(), SendError> {
        let Shared {
            driver,
            groups,
            adapter,
            worker,
            topics,
        } = &*self.shared;
        let message = message.to_term();
        topics.dispatch(worker, topic.as_bytes(), &message);
        let payload = encode(&Broadcast::new(topic, message).into_term());
        let mut members = groups.members(adapter.group());
        members.retain(|pid| pid.node() != driver.node());
        let mut sent = Ok(());
        let mut slow = Vec::new();
        for pid in members {
            let to = pid.into();
            match send::try_send(driver, worker.pid(), &to, payload.clone()) {
                Ok(()) => {}
                Err(SendError::Busy) => slow.push(to),
                Err(error) => sent = Err(error),
            }
        }
        for to in slow {
            if let Err(error) = send::send(driver, worker.pid(), &to, payload.clone()).await {
                sent = Err(error);
            }
        }
        sent
    }
}

impl Subscription {
    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The next message of the topic. Cancel safe.
    ///
    /// # Errors
    /// [`Ended`] once the node has shut down.
    pub async fn recv(&mut self) -> Result<Message, Ended> {
        loop {
            if let Received::Message(message) = self.mailbox.recv().await? {
                return Ok(message);
            }
        }
    }

    /// How many messages were dropped because nobody took them in time.
    pub fn dropped(&self) -> u64 {
        self.mailbox.dropped()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.pubsub.topics.remove(&self.topic, self.mailbox.pid());
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let pid = self.worker.pid();
        self.driver.exit(pid, Term::atom("normal"));
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
                topics.dispatch(worker.process(), &topic, &message);
            }
            None => debug!("message dropped: it is no broadcast of Phoenix.PubSub"),
        }
    }
}

impl Topics {
    fn add(&self, topic: &str, pid: Pid) {
        self.lock().entry(topic.to_owned()).or_default().push(pid);
    }

    fn remove(&self, topic: &str, pid: &Pid) {
        let mut topics = self.lock();
        if let Some(subscribers) = topics.get_mut(topic) {
            subscribers.retain(|subscriber| subscriber != pid);
            if subscribers.is_empty() {
                topics.remove(topic);
            }
        }
    }

    fn dispatch(&self, worker: &Process, topic: &[u8], message: &Term) {
        let Ok(topic) = std::str::from_utf8(topic) else {
            return;
        };
        let Some(subscribers) = self.lock().get(topic).cloned() else {
            return;
        };
        let payload = encode(message);
        for subscriber in subscribers {
            // To a process of ours it never waits.
            let to = subscriber.into();
            let _ = send::try_send(worker.driver(), worker.pid(), &to, payload.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Pid>>> {
        // Nothing in here can panic between two steps that belong together.
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
