//! How a mailbox is made.

/// The most messages that a mailbox holds unless told otherwise.
pub(crate) const DEFAULT_CAPACITY: usize = 65_536;

/// The most bytes that a mailbox holds unless told otherwise.
pub(crate) const DEFAULT_MAX_BYTES: usize = 64 << 20;

/// What a full mailbox does with one more message. Its link is never held up by it.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::{MailboxOptions, Overflow};
///
/// let options = MailboxOptions::default().overflow(Overflow::DropNewest);
/// let samples = node.mailbox_with("samples", &options)?;
/// println!("{} were too many", samples.dropped());
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The process ends with the reason `mailbox_overflow`: its links and monitors fire, what
    /// waits is dropped, and [`Mailbox::recv`](crate::Mailbox::recv) says why.
    #[default]
    Exit,
    /// The message is dropped and counted ([`Mailbox::dropped`](crate::Mailbox::dropped)). What a
    /// link or monitor of the mailbox's own owes it is kept all the same, up to 65,536 signals or
    /// 64 MiB more than the mailbox holds; then the process ends as by [`Overflow::Exit`].
    DropNewest,
}

/// The settings of a mailbox.
///
/// ```
/// use enmesh::{MailboxOptions, Overflow};
///
/// let small = MailboxOptions::default()
///     .capacity(100)
///     .overflow(Overflow::DropNewest);
/// # let _ = small;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct MailboxOptions {
    pub(crate) capacity: usize,
    pub(crate) max_bytes: usize,
    pub(crate) overflow: Overflow,
    pub(crate) trap_exit: bool,
}

impl Default for MailboxOptions {
    fn default() -> Self {
        Self {
            capacity: DEFAULT_CAPACITY,
            max_bytes: DEFAULT_MAX_BYTES,
            overflow: Overflow::default(),
            trap_exit: false,
        }
    }
}

impl MailboxOptions {
    /// The most messages that may wait: 65,536, at least 1.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages.max(1);
        self
    }

    /// The most bytes that may wait, each message counted as its own bytes and 64 more, the
    /// reasons of exits and DOWNs as about what they take: 64 MiB.
    /// One message alone may be longer.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// What happens to a message for which there is no room.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Whether exit signals arrive as [`Received::Exit`](crate::Received::Exit) instead of ending
    /// the process. Default: no.
    pub fn trap_exit(mut self, trap: bool) -> Self {
        self.trap_exit = trap;
        self
    }
}
