//! Groups of processes that the whole cluster knows: Erlang's `pg`.

use std::sync::Arc;

use enmesh_term::{Atom, AtomTooLong, Pid, Reference, Term, ToTerm};

use crate::kernel_driver::KernelDriver;
use crate::node::Node;
use crate::process::Process;

/// A scope of `pg`: groups of processes, shared by all nodes that have a scope of this name.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// let worker = node.anonymous_mailbox()?;
/// let groups = node.pg("pg")?;
/// groups.join("workers", worker.pid());
/// for pid in groups.members("workers") {
///     worker.send(&pid, "hello").await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ProcessGroups {
    driver: Arc<KernelDriver>,
    scope: Atom,
}

/// Why a scope is not served. Nothing changed.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::ScopeError;
///
/// let too_long = node.pg(&"s".repeat(256));
/// assert!(matches!(too_long, Err(ScopeError::Name(_))));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// The name has more than 255 characters.
    #[error("the name of the scope is too long")]
    Name(#[from] AtomTooLong),
    /// A process is registered under this name, or the node serves 1,024 scopes already.
    #[error("the name of the scope is taken by a process, or there are 1,024 scopes")]
    Refused,
}

impl Node {
    /// The scope of that name, which this node serves from then on. `pg` is the default scope of
    /// Erlang and Elixir.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let groups = node.pg("pg")?;
    /// println!("{:?}", groups.groups());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`ScopeError`].
    pub fn pg(&self, scope: &str) -> Result<ProcessGroups, ScopeError> {
        ProcessGroups::open(&self.shared.kernel, Atom::new(scope)?)
    }
}

impl ProcessGroups {
    pub(crate) fn open(driver: &Arc<KernelDriver>, scope: Atom) -> Result<Self, ScopeError> {
        if !driver.with(|kernel, now| kernel.pg_start(now, scope.clone())) {
            return Err(ScopeError::Refused);
        }
        Ok(Self {
            driver: Arc::clone(driver),
            scope,
        })
    }

    /// A process of this node joins a group; once more if it is in it. It leaves when it ends.
    ///
    /// False if it did not join: it is no process of this node that lives, or the node has its
    /// full number of memberships in this scope, 262,144, or groups whose names have 32 MiB.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::Term;
    ///
    /// let worker = node.anonymous_mailbox()?;
    /// let groups = node.pg("pg")?;
    /// assert!(groups.join(&Term::atom("workers"), worker.pid()));
    /// assert!(groups.leave(&Term::atom("workers"), worker.pid()));
    /// # Ok(()) }
    /// ```
    pub fn join(&self, group: &(impl ToTerm + ?Sized), pid: &Pid) -> bool {
        let group = group.to_term();
        self.driver
            .with(|kernel, now| kernel.pg_join(now, &self.scope, group, pid))
    }

    /// Takes one membership back; false if there was none.
    pub fn leave(&self, group: &(impl ToTerm + ?Sized), pid: &Pid) -> bool {
        let group = group.to_term();
        self.driver
            .with(|kernel, now| kernel.pg_leave(now, &self.scope, &group, pid))
    }

    /// The members on all nodes, one who joined twice twice.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::Term;
    ///
    /// for worker in node.pg("pg")?.members(&Term::atom("workers")) {
    ///     node.send(&worker, "all of you").await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn members(&self, group: &(impl ToTerm + ?Sized)) -> Vec<Pid> {
        let group = group.to_term();
        self.driver
            .with(|kernel, _| kernel.pg_members(&self.scope, &group))
    }

    /// The members on this node.
    pub fn local_members(&self, group: &(impl ToTerm + ?Sized)) -> Vec<Pid> {
        let group = group.to_term();
        self.driver
            .with(|kernel, _| kernel.pg_local_members(&self.scope, &group))
    }

    /// The groups that have members.
    pub fn groups(&self) -> Vec<Term> {
        self.driver.with(|kernel, _| kernel.pg_groups(&self.scope))
    }

    /// Has who joins and leaves a group told to `process`, as
    /// [`Received::Group`](crate::Received::Group), until [`Process::demonitor`].
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::{Received, Term};
    ///
    /// let mut mailbox = node.anonymous_mailbox()?;
    /// node.pg("pg")?.monitor(&Term::atom("workers"), &mailbox);
    /// if let Received::Group { event, pids, .. } = mailbox.recv().await? {
    ///     println!("{event:?}: {pids:?}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn monitor(&self, group: &(impl ToTerm + ?Sized), process: &Process) -> Reference {
        let group = Some(group.to_term());
        self.driver
            .with(|kernel, _| kernel.pg_monitor(process.pid(), &self.scope, group))
    }

    /// As [`ProcessGroups::monitor`], for all groups of the scope.
    pub fn monitor_scope(&self, process: &Process) -> Reference {
        self.driver
            .with(|kernel, _| kernel.pg_monitor(process.pid(), &self.scope, None))
    }
}
