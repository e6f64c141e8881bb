//! Processes of Rust code: what receives, and what only sends.

mod inbox;
mod options;
mod received;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Poll;

use enmesh_otp::RegisterError;
use enmesh_term::{Pid, Term};

use crate::kernel_driver::{KernelDriver, SpawnRefused};
use crate::process::Process;
use inbox::Taken;
pub(crate) use inbox::{Delivered, Inbox, Item, Run};
pub use options::{MailboxOptions, Overflow};
pub use received::{Message, MessageError, Received};

/// A process of Rust code and its queue of messages.
///
/// It has a pid that any node can send to, link with and monitor. What it can do besides receiving
/// are the methods of [`Process`], to which it dereferences. Dropping it ends the process with
/// reason `normal`; so its links and monitors fire, and its names are free.
///
/// A mailbox does not keep its [`Node`](crate::Node) running: when the node shuts down, every
/// mailbox ends with reason `shutdown`.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::{Received, Term};
///
/// let mut mailbox = node.mailbox("counter")?;
/// while let Ok(received) = mailbox.recv().await {
///     if let Received::Message(message) = received {
///         println!("{}", message.term()?);
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Mailbox {
    process: Process,
    inbox: Arc<Inbox>,
    taken: Taken,
}

/// Why a mailbox could not be made. Nothing of it is left.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::{MailboxError, RegisterError};
///
/// let first = node.mailbox("counter")?;
/// let second = node.mailbox("counter");
/// assert!(matches!(second, Err(MailboxError::Name(RegisterError::Taken))));
/// # drop(first);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MailboxError {
    /// The name cannot be registered.
    #[error("the name cannot be registered")]
    Name(#[from] RegisterError),
    /// The name has more than 255 characters.
    #[error("a name has at most 255 characters")]
    NameTooLong,
    /// The node has as many processes as it can have: 1,048,576.
    #[error("the node has its full number of processes")]
    SystemLimit,
    /// The node has shut down.
    #[error("the node has shut down")]
    ShutDown,
}

/// The process of a mailbox has ended; nothing more is received.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// let mut mailbox = node.mailbox("busy")?;
/// let ended = loop {
///     match mailbox.recv().await {
///         Ok(received) => println!("{received:?}"),
///         Err(ended) => break ended,
///     }
/// };
/// if ended.is("mailbox_overflow") {
///     println!("we were too slow");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("the process has ended: {reason}")]
pub struct Ended {
    /// Why: the reason of an exit signal, `mailbox_overflow`, or `shutdown`.
    pub reason: Term,
}

impl Mailbox {
    pub(crate) fn new(
        driver: &Arc<KernelDriver>,
        options: &MailboxOptions,
    ) -> Result<Self, MailboxError> {
        let inbox = Arc::new(Inbox::new(options));
        let pid = driver
            .spawn(&inbox, options.trap_exit)
            .map_err(|refused| match refused {
                SpawnRefused::SystemLimit => MailboxError::SystemLimit,
                SpawnRefused::ShutDown => MailboxError::ShutDown,
            })?;
        Ok(Self {
            process: Process::new(Arc::clone(driver), pid),
            inbox,
            taken: Taken::default(),
        })
    }

    /// The next thing that came in, in order of arrival; from one sender that is the order of
    /// sending.
    ///
    /// Cancel safe: nothing is lost by dropping the future.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::Received;
    ///
    /// let mut mailbox = node.mailbox("printer")?;
    /// match mailbox.recv().await? {
    ///     Received::Message(message) => println!("{}", message.term()?),
    ///     other => println!("{other:?}"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Ended`] once the process has ended other than by [`Mailbox::exit`]; what had come in
    /// before and was not yet received is gone, as with a process of Erlang.
    pub async fn recv(&mut self) -> Result<Received, Ended> {
        std::future::poll_fn(|context| {
            loop {
                match self.inbox.next(&mut self.taken, Some(context.waker())) {
                    Err(reason) => return Poll::Ready(Err(Ended { reason })),
                    Ok(None) => return Poll::Pending,
                    Ok(Some(item)) => {
                        if let Some(received) = Received::from_item(item) {
                            return Poll::Ready(Ok(received));
                        }
                    }
                }
            }
        })
        .await
    }

    /// What has come in already; `None` if that is nothing.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut mailbox = node.mailbox("printer")?;
    /// while let Some(received) = mailbox.try_recv()? {
    ///     println!("{received:?}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`Mailbox::recv`].
    pub fn try_recv(&mut self) -> Result<Option<Received>, Ended> {
        loop {
            match self.inbox.next(&mut self.taken, None) {
                Err(reason) => return Err(Ended { reason }),
                Ok(None) => return Ok(None),
                Ok(Some(item)) => {
                    if let Some(received) = Received::from_item(item) {
                        return Ok(Some(received));
                    }
                }
            }
        }
    }

    /// How many messages were dropped because there was no room, under
    /// [`Overflow::DropNewest`].
    pub fn dropped(&self) -> u64 {
        self.inbox.lost()
    }

    /// The process without its queue: a cheap handle for other tasks to send from.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends the process with `reason`; links and monitors fire.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::Term;
    ///
    /// let mailbox = node.mailbox("printer")?;
    /// mailbox.exit(Term::atom("out_of_paper"));
    /// # Ok(()) }
    /// ```
    pub fn exit(self, reason: Term) {
        self.end(reason);
    }

    fn end(&self, reason: Term) {
        self.process.driver().exit(self.process.pid(), reason);
        self.inbox.forget_waker();
    }
}

impl Deref for Mailbox {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.end(Term::atom("normal"));
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended")
            .field("reason", &format_args!("{}", self.reason))
            .finish()
    }
}

impl Ended {
    /// Whether the reason is this atom.
    pub fn is(&self, reason: &str) -> bool {
        self.reason.is_atom(reason)
    }
}

/// The number of a process of ours, as the kernel counts flows.
pub(crate) fn flow_of(pid: &Pid) -> u64 {
    u64::from(pid.serial()) << 15 | u64::from(pid.id())
}
