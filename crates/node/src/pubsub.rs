//! Phoenix.PubSub: a member that subscribes to and broadcasts on the topics of Elixir nodes.

mod open;
mod topics;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use enmesh_identity::NodeName;
use enmesh_otp::{Broadcast, PubSubAdapter};
use enmesh_term::{Pid, Term, ToTerm};

use crate::destination::Destination;
use crate::groups::ProcessGroups;
use crate::kernel_driver::{KernelDriver, atom_of};
use crate::mailbox::{Ended, Mailbox, MailboxError, MailboxOptions, Message, Overflow, Received};
use crate::process::{Process, encode};
use crate::send::{self, SendError};
pub(crate) use open::OpenPubSubs;
pub use open::{PubSubError, PubSubOptions};
use topics::Topics;

/// A Phoenix.PubSub of the cluster, spoken as its default adapter (`Phoenix.PubSub.PG2`) does:
/// what Elixir nodes broadcast reaches the subscribers here, and the reverse. It leaves the
/// cluster's PubSub with its last handle and subscription.
///
/// Cheap to clone. Each handle is a sender of its own, as a process is in Elixir: what one handle
/// broadcasts arrives in order, and what another one does may overtake it where the pool has more
/// than one worker.
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
#[derive(Debug)]
pub struct PubSub {
    shared: Arc<Shared>,
    /// What the worker that carries our broadcasts is chosen by.
    sender: u64,
}

/// What all handles of one PubSub share.
#[derive(Debug)]
struct Shared {
    driver: Arc<KernelDriver>,
    groups: ProcessGroups,
    adapter: PubSubAdapter,
    /// The processes that get what other nodes broadcast: one for each group of the adapter,
    /// registered under its name.
    workers: Vec<Process>,
    topics: Arc<Topics>,
    next_sender: AtomicU64,
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
    /// Keeps the workers alive.
    pubsub: Arc<Shared>,
}

/// A burst must not end the PubSub: what is too much is lost to this node.
fn lossy() -> MailboxOptions {
    MailboxOptions::default().overflow(Overflow::DropNewest)
}

impl PubSub {
    fn of(shared: Arc<Shared>) -> Self {
        let sender = shared.next_sender.fetch_add(1, Ordering::Relaxed);
        Self { shared, sender }
    }

    /// Has every message of a topic delivered from now on.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut orders = node.pubsub("MyApp.PubSub")?.subscribe("orders")?;
    /// println!("{}", orders.recv().await?.term()?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`MailboxError`].
    pub fn subscribe(&self, topic: &str) -> Result<Subscription, MailboxError> {
        let mailbox = Mailbox::new(&self.shared.driver, &lossy())?;
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
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let pubsub = node.pubsub("MyApp.PubSub")?;
    /// pubsub.broadcast("orders", &("created", 42)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SendError`]; every node to which it could be sent has been sent it all the same. If
    /// the future is dropped, those behind slow links may miss it.
    pub async fn broadcast(
        &self,
        topic: &str,
        message: &(impl ToTerm + ?Sized),
    ) -> Result<(), SendError> {
        self.to_all(None, topic, message.to_term()).await
    }

    /// As [`PubSub::broadcast`], to every subscriber but one of our own: who says something to
    /// the others need not hear it.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let pubsub = node.pubsub("MyApp.PubSub")?;
    /// let room = pubsub.subscribe("room")?;
    /// pubsub.broadcast_from(&room, "room", "hello, others").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`PubSub::broadcast`].
    pub async fn broadcast_from(
        &self,
        from: &Subscription,
        topic: &str,
        message: &(impl ToTerm + ?Sized),
    ) -> Result<(), SendError> {
        let from = Some(from.mailbox.pid());
        self.to_all(from, topic, message.to_term()).await
    }

    /// Sends a message to the subscribers of a topic on one node alone. A node that has not
    /// opened this PubSub drops it; one that is not connected is connected first. Waits for a slow
    /// link as [`Process::send`] does.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let pubsub = node.pubsub("MyApp.PubSub")?;
    /// let web = "web@127.0.0.1".parse()?;
    /// pubsub.direct_broadcast(&web, "orders", &("created", 42)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn direct_broadcast(
        &self,
        node: &NodeName,
        topic: &str,
        message: &(impl ToTerm + ?Sized),
    ) -> Result<(), SendError> {
        let Shared {
            driver, adapter, ..
        } = &*self.shared;
        let node = atom_of(node);
        if node == *driver.node() {
            self.local_broadcast(topic, message);
            return Ok(());
        }
        let carrier = adapter.carrier(self.sender);
        let name = adapter.groups()[carrier].clone();
        let payload = encode(&Broadcast::new(topic, message.to_term()).into_term());
        let from = self.shared.workers[carrier].pid();
        send::send(driver, from, &Destination::Remote { name, node }, payload).await
    }

    /// Sends a message to the subscribers of a topic on this node alone.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// node.pubsub("MyApp.PubSub")?.local_broadcast("orders", &("created", 42));
    /// # Ok(()) }
    /// ```
    pub fn local_broadcast(&self, topic: &str, message: &(impl ToTerm + ?Sized)) {
        self.to_us(None, topic, &message.to_term());
    }

    fn to_us(&self, except: Option<&Pid>, topic: &str, message: &Term) {
        let Shared {
            workers, topics, ..
        } = &*self.shared;
        topics.dispatch(&workers[0], except, topic.as_bytes(), message);
    }

    async fn to_all(
        &self,
        except: Option<&Pid>,
        topic: &str,
        message: Term,
    ) -> Result<(), SendError> {
        let Shared {
            driver,
            groups,
            adapter,
            workers,
            ..
        } = &*self.shared;
        self.to_us(except, topic, &message);
        let payload = encode(&Broadcast::new(topic, message).into_term());
        let carrier = adapter.carrier(self.sender);
        let from = workers[carrier].pid();
        let mut members = groups.members(&adapter.groups()[carrier]);
        members.retain(|pid| pid.node() != driver.node());
        let mut sent = Ok(());
        let mut slow = Vec::new();
        for pid in members {
            let to = pid.into();
            match send::try_send(driver, from, &to, payload.clone()) {
                Ok(()) => {}
                Err(SendError::Busy) => slow.push(to),
                Err(error) => sent = Err(error),
            }
        }
        for to in slow {
            if let Err(error) = send::send(driver, from, &to, payload.clone()).await {
                sent = Err(error);
            }
        }
        sent
    }
}

impl Clone for PubSub {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
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
