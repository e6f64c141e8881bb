//! What a process does to others: send, link, monitor, call.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use enmesh_otp::{NodeTypes, RegisterError};
use enmesh_proto::Payload;
use enmesh_term::{Atom, Encoder, Pid, Reference, Term, ToTerm};

use crate::call::{self, CallError};
use crate::destination::Destination;
use crate::gen_server::Caller;
use crate::kernel_driver::KernelDriver;
use crate::send::{self, SendError};

/// A process of ours, as the one who sends, links and monitors. Cheap to clone; the process ends
/// with its [`Mailbox`](crate::Mailbox), whoever still holds this.
///
/// Signals of one process to another arrive in the order in which they were sent, here or on
/// another node, as long as the connection lives.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::Atom;
///
/// let mailbox = node.mailbox("worker")?;
/// let process = mailbox.process().clone();
/// process.send("logger", &("started", 1)).await?;
/// if let Some(other) = node.whereis(&Atom::from_static("supervisor")) {
///     process.link(&other);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Process {
    driver: Arc<KernelDriver>,
    pid: Pid,
}

impl Process {
    pub(crate) fn new(driver: Arc<KernelDriver>, pid: Pid) -> Self {
        Self { driver, pid }
    }

    pub(crate) fn driver(&self) -> &Arc<KernelDriver> {
        &self.driver
    }

    /// Its pid.
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// Sends a message. A node that is not connected is connected first; a message to nobody is
    /// dropped, as Erlang does, and so is one whose link ends before it was written.
    ///
    /// Waits while the link to that node has more than 320 KiB of small messages to write (or 64
    /// MiB of those over 64 KiB, which have a budget of their own).
    ///
    /// Cancel safe: a dropped future has sent everything or nothing.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let mailbox = node.anonymous_mailbox()?;
    /// let web = "web@127.0.0.1".parse()?;
    /// mailbox.send(("printer", &web), &("page", 1)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        &self,
        to: impl Into<Destination>,
        message: &(impl ToTerm + ?Sized),
    ) -> Result<(), SendError> {
        let to = to.into();
        send::send(&self.driver, &self.pid, &to, encode(message)).await
    }

    /// Sends a message if that needs no waiting.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::SendError;
    ///
    /// match node.process().try_send(("samples", &"web@127.0.0.1".parse()?), &0.7) {
    ///     Err(SendError::Busy) => println!("one sample less"),
    ///     sent => sent?,
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SendError::Busy`] while the link has too much to write; see [`SendError`].
    pub fn try_send(
        &self,
        to: impl Into<Destination>,
        message: &(impl ToTerm + ?Sized),
    ) -> Result<(), SendError> {
        let to = to.into();
        send::try_send(&self.driver, &self.pid, &to, encode(message))
    }

    /// Calls a `gen_server`, as `gen_server:call/3` and `GenServer.call/3` do: with a monitor
    /// beneath, so that a server that dies ends the call, and an alias, so that a late reply
    /// disappears. What comes for the call never gets into the mailbox.
    ///
    /// Dropping the future gives the call up; the server may still have got the request.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use enmesh::Term;
    ///
    /// let mailbox = node.anonymous_mailbox()?;
    /// let counter = ("counter", &"web@127.0.0.1".parse()?);
    /// let count = mailbox.call(counter, &Term::atom("get"), Duration::from_secs(5)).await?;
    /// println!("{count}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(
        &self,
        to: impl Into<Destination>,
        request: &(impl ToTerm + ?Sized),
        timeout: Duration,
    ) -> Result<Term, CallError> {
        let to = to.into();
        call::call(&self.driver, &self.pid, &to, &request.to_term(), timeout).await
    }

    /// Sends a `gen_server` a request that has no reply, as `gen_server:cast/2` does.
    ///
    /// # Errors
    /// As for [`Process::send`].
    pub async fn cast(
        &self,
        to: impl Into<Destination>,
        request: &(impl ToTerm + ?Sized),
    ) -> Result<(), SendError> {
        let message = Term::tuple([Term::atom("$gen_cast"), request.to_term()]);
        self.send(to, &message).await
    }

    /// Answers a call that a server got.
    ///
    /// ```no_run
    /// # async fn example(me: enmesh::Process, caller: enmesh::Caller) -> Result<(), Box<dyn std::error::Error>> {
    /// me.reply(&caller, &("done", 3)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`Process::send`].
    pub async fn reply(
        &self,
        to: &Caller,
        reply: &(impl ToTerm + ?Sized),
    ) -> Result<(), SendError> {
        self.send(to.destination(), &to.message(reply.to_term()))
            .await
    }

    /// Links this process with another: when one ends, the other gets an exit signal. A process
    /// that does not exist is as one that ended with `noproc`.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::{MailboxOptions, Received, Term};
    ///
    /// let trapping = MailboxOptions::default().trap_exit(true);
    /// let mut mailbox = node.anonymous_mailbox_with(&trapping)?;
    /// if let Some(leader) = node.whereis_global(&Term::atom("leader")) {
    ///     mailbox.link(&leader);
    ///     if let Received::Exit { from, reason } = mailbox.recv().await? {
    ///         println!("{from} ended: {reason}");
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn link(&self, to: &Pid) {
        self.driver
            .with(|kernel, now| kernel.link(now, &self.pid, to));
    }

    /// Takes a link back: no exit of it arrives after this returned.
    pub fn unlink(&self, to: &Pid) {
        self.driver
            .with(|kernel, now| kernel.unlink(now, &self.pid, to));
    }

    /// Sends an exit signal, as `exit/2` does.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::Term;
    ///
    /// if let Some(leader) = node.whereis_global(&Term::atom("leader")) {
    ///     node.process().exit_other(&leader, Term::atom("shutdown"));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn exit_other(&self, to: &Pid, reason: Term) {
        self.driver
            .with(|kernel, now| kernel.exit_signal(now, &self.pid, to, reason));
    }

    /// Monitors a process: one [`Received::Down`](crate::Received::Down) with the returned
    /// reference comes when it ends, at once if there is none.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::Received;
    ///
    /// let mut mailbox = node.anonymous_mailbox()?;
    /// let monitor = mailbox.monitor(("counter", &"web@127.0.0.1".parse()?));
    /// if let Received::Down { reference, reason, .. } = mailbox.recv().await? {
    ///     assert_eq!(reference, monitor);
    ///     println!("{reason}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn monitor(&self, target: impl Into<Destination>) -> Reference {
        let target = target.into().address(self.driver.node());
        self.driver
            .with(|kernel, now| kernel.monitor(now, &self.pid, &target))
    }

    /// Takes a monitor back; false if it has fired already, and then its message may be in the
    /// mailbox.
    pub fn demonitor(&self, monitor: &Reference) -> bool {
        self.driver
            .with(|kernel, now| kernel.demonitor(now, &self.pid, monitor))
    }

    /// Whether exit signals arrive as [`Received::Exit`](crate::Received::Exit) instead of ending
    /// this process.
    pub fn set_trap_exit(&self, trap: bool) {
        self.driver
            .with(|kernel, _| kernel.set_trap_exit(&self.pid, trap));
    }

    /// Registers `name` for this process on our node.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn register(&self, name: Atom) -> Result<(), RegisterError> {
        self.driver
            .with(|kernel, _| kernel.register(&self.pid, name))
    }

    /// Takes a name of our node back; false if nobody had it.
    pub fn unregister(&self, name: &Atom) -> bool {
        self.driver.with(|kernel, _| kernel.unregister(name))
    }

    /// A second, temporary address of this process, until [`Process::unalias`].
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut mailbox = node.anonymous_mailbox()?;
    /// let alias = mailbox.alias();
    /// mailbox.send(("echo", &"web@127.0.0.1".parse()?), &(alias.clone(), "hello")).await?;
    /// println!("{:?}", mailbox.recv().await?);
    /// mailbox.unalias(&alias);
    /// # Ok(()) }
    /// ```
    pub fn alias(&self) -> Reference {
        self.driver.with(|kernel, _| kernel.alias(&self.pid))
    }

    /// Takes an alias back: what is sent to it from then on is dropped. False if there was none.
    pub fn unalias(&self, alias: &Reference) -> bool {
        self.driver
            .with(|kernel, _| kernel.unalias(&self.pid, alias))
    }

    /// Has nodes that come and go told to this process, in one queue with its messages: a nodeup
    /// before the first message of a connection, a nodedown after the last. Nodes that are
    /// connected already are not told; `None` ends it.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::{NodeTypes, Received};
    ///
    /// let mut mailbox = node.anonymous_mailbox()?;
    /// mailbox.monitor_nodes(Some(NodeTypes::All));
    /// if let Received::Nodeup { node, .. } = mailbox.recv().await? {
    ///     println!("{node} is here");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn monitor_nodes(&self, which: Option<NodeTypes>) {
        self.driver
            .with(|kernel, _| kernel.monitor_nodes(&self.pid, which));
    }
}

/// How many bytes of encoded messages share one allocation.
const ENCODE_BLOCK: usize = 16 * 1024;

/// The bare encoding of a message. Small messages of one thread share memory, which is given back
/// when the last of them is; large binaries are not copied.
pub(crate) fn encode(message: &(impl ToTerm + ?Sized)) -> Payload {
    thread_local! {
        static BLOCK: RefCell<BytesMut> = RefCell::default();
    }
    BLOCK.with(|block| {
        // A `ToTerm` of the user's that sends a message itself finds the block taken.
        let Ok(mut block) = block.try_borrow_mut() else {
            return encode_into(message, &mut BytesMut::new());
        };
        // Something is left in it if an earlier message panicked halfway.
        block.clear();
        if block.capacity() < ENCODE_BLOCK / 16 {
            block.reserve(ENCODE_BLOCK);
        }
        let encoded = encode_into(message, &mut block);
        if block.capacity() > ENCODE_BLOCK {
            *block = BytesMut::new();
        }
        encoded
    })
}

fn encode_into(message: &(impl ToTerm + ?Sized), out: &mut BytesMut) -> Payload {
    let mut apart = Vec::new();
    message.encode_with(&mut Encoder::without_version_apart(out, &mut apart));
    let mut rest = out.split().freeze();
    if apart.is_empty() {
        return rest.into();
    }
    let mut taken = 0;
    let mut pieces = Vec::with_capacity(2 * apart.len() + 1);
    for (at, binary) in apart {
        pieces.push(rest.split_to(at - taken));
        pieces.push(binary);
        taken = at;
    }
    pieces.push(rest);
    pieces.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{BufMut, Bytes};
    use enmesh_term::{APART_FROM, encode_bare};

    /// Panics when half of it is written.
    struct Half;

    impl ToTerm for Half {
        fn to_term(&self) -> Term {
            panic!("it is not asked for a term")
        }

        fn encode_with<B: BufMut>(&self, encoder: &mut Encoder<'_, B>) {
            encoder.tuple(2).int(1);
            std::panic::resume_unwind(Box::new("as planned"));
        }
    }

    #[test]
    fn a_message_that_panics_halfway_leaves_nothing_to_the_next_one() {
        assert!(std::panic::catch_unwind(|| encode(&Half)).is_err());
        assert_eq!(encode(&7).into_bytes(), [97, 7][..]);
    }

    #[test]
    fn in_pieces_a_message_is_what_it_is_in_one() {
        let large = |len| Term::from(Bytes::from(vec![7; len]));
        let parts = [
            large(APART_FROM),
            large(APART_FROM - 1),
            Term::atom("between"),
            large(APART_FROM + 1),
            large(0),
        ];
        for message in [parts[0].clone(), Term::tuple(parts)] {
            let payload = encode(&(1, &message));
            let plain = encode_bare(&Term::tuple([Term::Int(1), message]));
            assert_eq!(payload.len(), plain.len());
            assert!(payload.clone().into_pieces().count() > 1);
            assert_eq!(payload.into_bytes(), plain);
        }
    }
}
