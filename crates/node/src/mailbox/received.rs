//! What a mailbox receives.

use std::fmt;

use bytes::Bytes;
use enmesh_otp::{Address, Mail, PgEvent};
use enmesh_term::{
    Atom, DecodeError, FromTerm, FromTermError, Limits, Pid, Reference, Term, TermRef,
};

use super::inbox::Item;

/// Something that came into a mailbox, in the order of its arrival.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::Received;
///
/// let mut mailbox = node.anonymous_mailbox()?;
/// let monitor = mailbox.monitor("counter");
/// match mailbox.recv().await? {
///     Received::Message(message) => println!("{}", message.term()?),
///     Received::Down { reference, reason, .. } if reference == monitor => println!("{reason}"),
///     other => println!("{other:?}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Received {
    /// A message.
    Message(Message),
    /// A linked process has ended, or somebody called `exit/2`. Only a mailbox that traps exits
    /// receives it.
    Exit {
        /// Who ended, or who called.
        from: Pid,
        /// Why.
        reason: Term,
    },
    /// A monitored process has ended (or there was none: `noproc`; or its node is gone:
    /// `noconnection`). Comes once per monitor.
    Down {
        /// The monitor, as [`Process::monitor`](crate::Process::monitor) returned it.
        reference: Reference,
        /// What was monitored.
        from: Address,
        /// Why it ended.
        reason: Term,
    },
    /// A node is connected; no message of it came before this.
    Nodeup {
        /// Its name.
        node: Atom,
        /// Whether it is a visible node.
        visible: bool,
        /// The number of this connection.
        connection_id: u64,
    },
    /// A node is gone; no message of that connection comes after this.
    Nodedown {
        /// Its name.
        node: Atom,
        /// Whether it was a visible node.
        visible: bool,
        /// The number of that connection.
        connection_id: u64,
        /// Why, in `net_kernel`'s words.
        reason: Term,
    },
    /// A monitored process group has changed.
    Group {
        /// The monitor.
        reference: Reference,
        /// Whether the processes joined or left.
        event: PgEvent,
        /// The group.
        group: Term,
        /// Which processes.
        pids: Vec<Pid>,
    },
}

/// A message, kept as the bytes that it came in until somebody looks at it.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::Received;
///
/// let mut mailbox = node.mailbox("words")?;
/// if let Received::Message(message) = mailbox.recv().await? {
///     let word: String = message.decode()?;
///     println!("{word}, of {} bytes", message.as_bytes().len());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    payload: Bytes,
}

/// Why a message is not a value of the wanted type.
///
/// ```no_run
/// # fn example(message: &enmesh::Message) {
/// use enmesh::MessageError;
///
/// match message.decode::<u8>() {
///     Ok(number) => println!("{number}"),
///     Err(MessageError::Unexpected(error)) => println!("another message: {error}"),
///     Err(error) => println!("{error}"),
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// What was sent is no term.
    #[error("the message is no term")]
    NoTerm(#[from] DecodeError),
    /// It is a term of another form, and where it differs.
    #[error(transparent)]
    Unexpected(#[from] FromTermError),
}

impl Message {
    pub(crate) fn new(payload: Bytes) -> Self {
        Self { payload }
    }

    /// The message as a term of its own; long binaries in it share the message's memory.
    ///
    /// # Errors
    /// A [`DecodeError`] if the sender sent what is no term, or one over the default [`Limits`].
    pub fn term(&self) -> Result<Term, DecodeError> {
        enmesh_term::decode_shared_bare(&self.payload, &Limits::default())
    }

    /// The message as a view of its bytes: nothing is copied, and only what is asked for is read.
    ///
    /// # Errors
    /// As for [`Message::term`].
    pub fn view(&self) -> Result<TermRef<'_>, DecodeError> {
        enmesh_term::decode_ref_bare(&self.payload, &Limits::default())
    }

    /// The message as a value of a Rust type.
    ///
    /// ```no_run
    /// # fn example(message: &enmesh::Message) -> Result<(), enmesh::MessageError> {
    /// let (word, count): (String, u32) = message.decode()?;
    /// # let _ = (word, count);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn decode<T: FromTerm>(&self) -> Result<T, MessageError> {
        Ok(T::from_ref(self.view()?)?)
    }

    /// The message in the external term format, without the leading byte 131.
    pub fn as_bytes(&self) -> &[u8] {
        &self.payload
    }
}

impl fmt::Debug for Message {
    /// Long terms are cut.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.term() {
            Ok(term) => write!(f, "Message({term})"),
            Err(_) => write!(f, "Message({} bytes that are no term)", self.payload.len()),
        }
    }
}

impl Received {
    /// The message, if it is one.
    pub fn into_message(self) -> Option<Message> {
        match self {
            Self::Message(message) => Some(message),
            _ => None,
        }
    }

    pub(crate) fn from_item(item: Item) -> Option<Self> {
        match item {
            Item::Message(payload) => Some(Self::Message(Message::new(payload))),
            Item::Other(mail) => Self::from_mail(*mail),
        }
    }

    /// What belongs to a request goes to the slot of that request, never to a mailbox.
    fn from_mail(mail: Mail) -> Option<Self> {
        Some(match mail {
            Mail::Message(payload) | Mail::Priority(payload) => {
                Self::Message(Message::new(payload))
            }
            Mail::Exit { from, reason } => Self::Exit { from, reason },
            Mail::Down {
                reference,
                from,
                reason,
            } => Self::Down {
                reference,
                from,
                reason,
            },
            Mail::Nodeup {
                node,
                visible,
                connection_id,
            } => Self::Nodeup {
                node,
                visible,
                connection_id,
            },
            Mail::Nodedown {
                node,
                visible,
                connection_id,
                reason,
            } => Self::Nodedown {
                node,
                visible,
                connection_id,
                reason,
            },
            Mail::Pg {
                reference,
                event,
                group,
                pids,
            } => Self::Group {
                reference,
                event,
                group,
                pids,
            },
            _ => return None,
        })
    }
}
