//! Mailboxes, messages, calls and served functions: what [`Node`] offers to Rust code beyond
//! membership.

use std::sync::Arc;
use std::time::Duration;

use enmesh_identity::NodeName;
use enmesh_term::{Atom, Pid, Term, ToTerm};

use crate::call::{self, CallError};
use crate::destination::Destination;
use crate::functions::{Arguments, Raise};
use crate::kernel_driver::atom_of;
use crate::mailbox::{Mailbox, MailboxError, MailboxOptions};
use crate::node::Node;
use crate::process::Process;
use crate::rpc::{self, RpcError};
use crate::send::SendError;

impl Node {
    /// A process with a mailbox that is registered as `name`, so that other nodes reach it as
    /// `{name, Node}`. Bounds and the rest are as [`MailboxOptions::default`] says.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut printer = node.mailbox("printer")?;
    /// println!("{:?}", printer.recv().await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`MailboxError`].
    pub fn mailbox(&self, name: &str) -> Result<Mailbox, MailboxError> {
        self.mailbox_with(name, &MailboxOptions::default())
    }

    /// As [`Node::mailbox`], with other settings.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::{MailboxOptions, Overflow};
    ///
    /// let lossy = MailboxOptions::default().capacity(1_000).overflow(Overflow::DropNewest);
    /// let samples = node.mailbox_with("samples", &lossy)?;
    /// println!("{}", samples.pid());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`MailboxError`].
    pub fn mailbox_with(
        &self,
        name: &str,
        options: &MailboxOptions,
    ) -> Result<Mailbox, MailboxError> {
        let name = Atom::new(name).map_err(|_| MailboxError::NameTooLong)?;
        let mailbox = self.anonymous_mailbox_with(options)?;
        mailbox.register(name)?;
        Ok(mailbox)
    }

    /// A process with a mailbox that only those know whom its pid is told.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut mailbox = node.anonymous_mailbox()?;
    /// let request = (mailbox.pid().clone(), "hello");
    /// mailbox.send(("echo", &"web@127.0.0.1".parse()?), &request).await?;
    /// println!("{:?}", mailbox.recv().await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`MailboxError`].
    pub fn anonymous_mailbox(&self) -> Result<Mailbox, MailboxError> {
        self.anonymous_mailbox_with(&MailboxOptions::default())
    }

    /// As [`Node::anonymous_mailbox`], with other settings.
    ///
    /// # Errors
    /// See [`MailboxError`].
    pub fn anonymous_mailbox_with(
        &self,
        options: &MailboxOptions,
    ) -> Result<Mailbox, MailboxError> {
        Mailbox::new(&self.shared.kernel, options)
    }

    /// The process of this node in whose name it sends and calls where no mailbox is used. It
    /// takes no messages.
    pub fn process(&self) -> Process {
        let kernel = &self.shared.kernel;
        Process::new(Arc::clone(kernel), kernel.client().clone())
    }

    /// The process registered as `name` on this node.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::Atom;
    ///
    /// if let Some(printer) = node.whereis(&Atom::from_static("printer")) {
    ///     node.send(&printer, "a page").await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn whereis(&self, name: &Atom) -> Option<Pid> {
        self.shared.kernel.with(|kernel, _| kernel.whereis(name))
    }

    /// Sends a message; see [`Process::send`].
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::Term;
    ///
    /// node.send(("logger_proxy", &"web@127.0.0.1".parse()?), &Term::atom("ping")).await?;
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
        self.process().send(to, message).await
    }

    /// Calls a `gen_server` of any node; see [`Process::call`].
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use enmesh::NodeName;
    ///
    /// let web: NodeName = "web@10.0.0.7".parse()?;
    /// let reply = node
    ///     .call(("counter", &web), &("add", 3), Duration::from_secs(5))
    ///     .await?;
    /// println!("{reply}");
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
        let kernel = &self.shared.kernel;
        let (to, request) = (to.into(), request.to_term());
        call::call(kernel, kernel.client(), &to, &request, timeout).await
    }

    /// Sends a `gen_server` a request without reply; see [`Process::cast`].
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::Term;
    ///
    /// node.cast(("counter", &"web@127.0.0.1".parse()?), &(Term::atom("add"), 3)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn cast(
        &self,
        to: impl Into<Destination>,
        request: &(impl ToTerm + ?Sized),
    ) -> Result<(), SendError> {
        self.process().cast(to, request).await
    }

    /// Calls a function of another node, as `erpc:call/5` does: in a process of its own there.
    /// Dropping the future gives the call up: the monitor is taken back, and a function of a Rust
    /// member is dropped by that, while a process of Erlang goes on.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use enmesh::{NodeName, Term};
    ///
    /// let web: NodeName = "web@10.0.0.7".parse()?;
    /// let args = vec![Term::atom("otp_release")];
    /// let release = node
    ///     .rpc(&web, "erlang", "system_info", args, Duration::from_secs(5))
    ///     .await?;
    /// println!("{release}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`RpcError`].
    ///
    /// # Panics
    /// If `module` or `function`, which are names written in the program, have more than 255
    /// characters. An Elixir module is called `Elixir.Its.Name`.
    pub async fn rpc(
        &self,
        node: &NodeName,
        module: &'static str,
        function: &'static str,
        args: Vec<Term>,
        timeout: Duration,
    ) -> Result<Term, RpcError> {
        let mfa = (Atom::from_static(module), Atom::from_static(function), args);
        rpc::call(&self.shared.kernel, &atom_of(node), mfa, timeout).await
    }

    /// Serves a function to all nodes, under a module and a name and with any number of arguments:
    /// `rpc:call`, `erpc:call`, casts, multicalls and `spawn` reach it. Each call runs in a task of
    /// its own on threads of the node's own (as many as processors, at least four; a function that
    /// blocks has one of them for as long), at most 1,024 at once; one more is refused with
    /// `system_limit`. A result that is longer than any link takes, 128 MiB, ends the call with that
    /// reason. A panic ends the call with a reason; when the caller gives up, the task is
    /// dropped at its next await, except for casts and for what comes by way of `rex`
    /// (`rpc:block_call`, C nodes): those run to their end, as on a BEAM. A function of the same names is replaced. One that holds a
    /// [`Node`] keeps that running until [`Node::shutdown`].
    ///
    /// ```no_run
    /// # fn example(node: &enmesh::Node) {
    /// use enmesh::{Raise, Term};
    ///
    /// node.serve_function("rust", "double", |call| async move {
    ///     match call.args.as_slice() {
    ///         [Term::Int(n)] => Ok(Term::Int(n * 2)),
    ///         _ => Err(Raise::Error(Term::atom("badarg"))),
    ///     }
    /// });
    /// # }
    /// ```
    ///
    /// # Panics
    /// If `module` or `function`, which are names written in the program, have more than 255
    /// characters.
    pub fn serve_function<F, R>(&self, module: &'static str, function: &'static str, serve: F)
    where
        F: Fn(Arguments) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Term, Raise>> + Send + 'static,
    {
        let (module, function) = (Atom::from_static(module), Atom::from_static(function));
        let serve = Arc::new(move |arguments| Box::pin(serve(arguments)) as _);
        self.shared.kernel.define(module, function, serve);
    }
}
