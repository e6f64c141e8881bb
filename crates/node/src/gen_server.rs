//! Servers in Rust that `gen_server:call/2` and `GenServer.call/2` reach.

mod request;

use enmesh_term::{Atom, Term};

use crate::jobs::{catch_unwind, panic_text};
use crate::mailbox::{Ended, Mailbox, MailboxError, MailboxOptions, Received};
use crate::node::Node;
use crate::process::Process;
use crate::send::SendError;
pub use request::{Caller, Request};

/// A server of one state, which handles one request after the other, as Erlang's `gen_server`
/// does. Elixir calls it by `{:name, node}` or by pid:
///
/// ```no_run
/// use enmesh::{Answer, Caller, GenServer, Process, Stop, Term};
///
/// struct Counter(i64);
///
/// impl GenServer for Counter {
///     async fn handle_call(
///         &mut self,
///         request: Term,
///         _from: &Caller,
///         _me: &Process,
///     ) -> Result<Answer, Stop> {
///         if request.is_atom("get") {
///             return Ok(Answer::Reply(Term::Int(self.0)));
///         }
///         Err(Stop::because(Term::atom("bad_request")))
///     }
///
///     async fn handle_cast(&mut self, request: Term, _me: &Process) -> Result<(), Stop> {
///         self.0 += request.as_int().unwrap_or(0);
///         Ok(())
///     }
/// }
///
/// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// // iex> GenServer.cast({:counter, :"rust@10.0.0.2"}, 3)
/// // iex> GenServer.call({:counter, :"rust@10.0.0.2"}, :get)
/// node.start_server("counter", Counter(0))?;
/// # Ok(()) }
/// ```
///
/// A [`Stop`], a panic (reason `{panic, Text}`) and an exit signal end the server: who waits for a
/// reply, links with it or monitors it is told. `sys:terminate/2` ends it too; every other system
/// message is answered with `{error, not_served}`.
pub trait GenServer: Send + 'static {
    /// The first thing that the server does.
    ///
    /// # Errors
    /// [`Stop`] ends it at once.
    fn init(&mut self, me: &Process) -> impl Future<Output = Result<(), Stop>> + Send {
        let _ = me;
        async { Ok(()) }
    }

    /// A call: `from` waits for the answer, which may also be given later by [`Process::reply`].
    ///
    /// # Errors
    /// [`Stop`] ends the server, and the caller's call with the same reason.
    fn handle_call(
        &mut self,
        request: Term,
        from: &Caller,
        me: &Process,
    ) -> impl Future<Output = Result<Answer, Stop>> + Send;

    /// A cast. By default it is ignored.
    ///
    /// # Errors
    /// [`Stop`] ends the server.
    fn handle_cast(
        &mut self,
        request: Term,
        me: &Process,
    ) -> impl Future<Output = Result<(), Stop>> + Send {
        let _ = (request, me);
        async { Ok(()) }
    }

    /// Whatever else comes in: plain messages, DOWNs, nodeups. By default it is ignored.
    ///
    /// # Errors
    /// [`Stop`] ends the server.
    fn handle_info(
        &mut self,
        received: Received,
        me: &Process,
    ) -> impl Future<Output = Result<(), Stop>> + Send {
        let _ = (received, me);
        async { Ok(()) }
    }

    /// The last thing that the server does, but for a panic.
    fn terminate(&mut self, reason: &Term, me: &Process) -> impl Future<Output = ()> + Send {
        let _ = (reason, me);
        async {}
    }
}

/// What a call is answered with.
///
/// ```
/// use enmesh::{Answer, Term, ToTerm};
///
/// let now = Answer::Reply(Ok::<_, ()>(7).to_term());
/// assert_eq!(now, Answer::Reply(Term::tuple([Term::atom("ok"), Term::Int(7)])));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// This; `{error, system_limit}` if it is longer than any link takes, 128 MiB.
    Reply(Term),
    /// Nothing yet: [`Process::reply`] will.
    Later,
}

/// Why a server ends.
///
/// ```
/// use enmesh::{Stop, Term};
///
/// assert_eq!(Stop::normal().reason, Term::atom("normal"));
/// assert_eq!(Stop::because(Term::atom("full")).reason, Term::atom("full"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// The reason that links and monitors are told; `normal`, `shutdown` and `{shutdown, _}` are
    /// those of a server that ends as it should.
    pub reason: Term,
}

impl Stop {
    /// The server is done.
    pub fn normal() -> Self {
        Self::because(Term::atom("normal"))
    }

    /// The server ends with this reason.
    pub fn because(reason: Term) -> Self {
        Self { reason }
    }
}

impl Node {
    /// Starts a server registered as `name`, on threads of the node's own. It lives until it
    /// stops, is ended by a signal, or the node shuts down. Returns its process, by whose pid it
    /// can be called and ended ([`Process::exit_other`]).
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node, counter: impl enmesh::GenServer) -> Result<(), Box<dyn std::error::Error>> {
    /// let counter = node.start_server("counter", counter)?;
    /// println!("{}", counter.pid());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`MailboxError`].
    pub fn start_server(
        &self,
        name: &str,
        server: impl GenServer,
    ) -> Result<Process, MailboxError> {
        let name = Atom::new(name).map_err(|_| MailboxError::NameTooLong)?;
        self.start_server_with(Some(name), &MailboxOptions::default(), server)
    }

    /// As [`Node::start_server`], with a name or without, and with other settings of its mailbox.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node, counter: impl enmesh::GenServer) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::MailboxOptions;
    ///
    /// let options = MailboxOptions::default().trap_exit(true);
    /// let counter = node.start_server_with(None, &options, counter)?;
    /// println!("{}", counter.pid());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`MailboxError`].
    pub fn start_server_with(
        &self,
        name: Option<Atom>,
        options: &MailboxOptions,
        server: impl GenServer,
    ) -> Result<Process, MailboxError> {
        let mailbox = self.anonymous_mailbox_with(options)?;
        if let Some(name) = name {
            mailbox.register(name)?;
        }
        let process = mailbox.process().clone();
        let task = async move {
            mailbox.serve(server).await;
        };
        self.shared
            .kernel
            .workers
            .spawn(|| task)
            .ok_or(MailboxError::ShutDown)?;
        Ok(process)
    }
}

impl Mailbox {
    /// Runs a server on this mailbox, on the caller's executor, until it ends. Returns why it did.
    /// Dropping the future ends the process with reason `normal`, without
    /// [`GenServer::terminate`].
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node, counter: impl enmesh::GenServer) -> Result<(), Box<dyn std::error::Error>> {
    /// let reason = node.mailbox("counter")?.serve(counter).await;
    /// println!("it ended: {reason}");
    /// # Ok(()) }
    /// ```
    pub async fn serve(mut self, mut server: impl GenServer) -> Term {
        let served = catch_unwind(async {
            let reason = match turn(&mut server, &mut self).await {
                Err(stop) => stop.reason,
                Ok(never) => match never {},
            };
            server.terminate(&reason, &self).await;
            reason
        });
        let reason = match served.await {
            Ok(reason) => reason,
            Err(panic) => {
                let text = Term::binary(panic_text(panic.as_ref()));
                Term::tuple([Term::atom("panic"), text])
            }
        };
        self.exit(reason.clone());
        reason
    }
}

/// Handles requests until the server stops.
async fn turn(
    server: &mut impl GenServer,
    mailbox: &mut Mailbox,
) -> Result<std::convert::Infallible, Stop> {
    server.init(mailbox).await?;
    loop {
        let received = mailbox.recv().await;
        let received = received.map_err(|Ended { reason }| Stop { reason })?;
        let message = match received {
            Received::Message(message) => message,
            other => {
                server.handle_info(other, mailbox).await?;
                continue;
            }
        };
        match Request::of(&message) {
            Request::Call { from, request } => {
                if let Answer::Reply(reply) = server.handle_call(request, &from, mailbox).await? {
                    answer(mailbox, &from, &reply).await;
                }
            }
            Request::Cast(request) => server.handle_cast(request, mailbox).await?,
            Request::System { from, request } => system(&from, request, mailbox).await?,
            Request::Info => {
                server
                    .handle_info(Received::Message(message), mailbox)
                    .await?;
            }
        }
    }
}

/// Answers a call. A reply that is too long for any link becomes `{error, system_limit}`, so that
/// its caller does not wait for ever.
async fn answer(me: &Process, from: &Caller, reply: &Term) {
    if let Err(SendError::TooLarge { .. }) = me.reply(from, reply).await {
        let limit = Term::tuple([Term::atom("error"), Term::atom("system_limit")]);
        let _ = me.reply(from, &limit).await;
    }
}

/// sys.erl: `{terminate, Reason}` is the one request whose meaning needs no state of Erlang's.
async fn system(from: &Caller, request: Term, me: &Process) -> Result<(), Stop> {
    if let Some([word, reason]) = request.as_tuple()
        && word.is_atom("terminate")
    {
        let _ = me.reply(from, &Term::atom("ok")).await;
        return Err(Stop::because(reason.clone()));
    }
    let refused = Term::tuple([Term::atom("error"), Term::atom("not_served")]);
    let _ = me.reply(from, &refused).await;
    Ok(())
}
