//! Names that the whole cluster knows: Erlang's `global`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use enmesh_otp::{Kernel, Mail};
use enmesh_term::{Pid, Term, ToTerm};

use crate::call::{Request, deadline};
use crate::kernel_driver::{Handle, KernelDriver};
use crate::node::Node;
use crate::slot::Outcome;

/// Why a global name was not registered or taken back. Nothing changed.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use enmesh::GlobalError;
///
/// let leader = node.anonymous_mailbox()?;
/// match node.register_global("leader", leader.pid(), Duration::from_secs(30)).await {
///     Ok(()) => println!("we lead"),
///     Err(GlobalError::Taken) => println!("{:?} leads", node.whereis_global("leader")),
///     Err(other) => return Err(other.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobalError {
    /// Another process has the name, or this one has another name already; or 65,536 changes of
    /// this node wait.
    #[error("the global name is taken")]
    Taken,
    /// The cluster's lock was not to be had in time: others held it, or a node that was asked for
    /// it gave no answer.
    #[error("the cluster's lock was not free within {0:?}")]
    TimedOut(Duration),
    /// The node has shut down.
    #[error("the node has shut down")]
    ShutDown,
}

impl GlobalError {
    /// Whether it may go well the next time.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }
}

impl Node {
    /// Registers a process of this node under a name that the whole cluster knows, as
    /// `global:register_name/2` does, and as that takes the cluster's lock for it: while others
    /// hold that, it is tried again and again, for as long as `timeout` at most. The name is free
    /// again when the process ends.
    ///
    /// Once the lock is held and the nodes are being told, `timeout` does not end it any more: a
    /// node that does not take its word is waited for up to 20 s longer. In a calm cluster all
    /// takes milliseconds; a node that is frozen, or a process that does something slow under
    /// `global:trans/2` with the name `global`, makes it wait. Dropping the future withdraws it as
    /// `timeout` does.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use enmesh::Term;
    ///
    /// let mailbox = node.anonymous_mailbox()?;
    /// let name = Term::atom("leader");
    /// node.register_global(&name, mailbox.pid(), Duration::from_secs(30)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`GlobalError`].
    pub async fn register_global(
        &self,
        name: &(impl ToTerm + ?Sized),
        pid: &Pid,
        timeout: Duration,
    ) -> Result<(), GlobalError> {
        let name = name.to_term();
        let is_done = self.change_global(timeout, |kernel, now, slot| {
            kernel.register_global(now, name, pid, slot)
        });
        match is_done.await? {
            true => Ok(()),
            false => Err(GlobalError::Taken),
        }
    }

    /// Takes a global name back, whoever has it; it is well if nobody has it. It waits for the
    /// cluster's lock as [`Node::register_global`] does.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use enmesh::Term;
    ///
    /// node.unregister_global(&Term::atom("leader"), Duration::from_secs(30)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`GlobalError`]; [`GlobalError::Taken`] says here that too many other changes wait.
    pub async fn unregister_global(
        &self,
        name: &(impl ToTerm + ?Sized),
        timeout: Duration,
    ) -> Result<(), GlobalError> {
        let name = name.to_term();
        let is_done = self.change_global(timeout, |kernel, now, slot| {
            kernel.unregister_global(now, &name, slot)
        });
        match is_done.await? {
            true => Ok(()),
            false => Err(GlobalError::Taken),
        }
    }

    /// The process that has a global name, on whichever node.
    ///
    /// ```no_run
    /// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use enmesh::Term;
    ///
    /// if let Some(leader) = node.whereis_global(&Term::atom("leader")) {
    ///     node.send(&leader, "a vote").await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn whereis_global(&self, name: &(impl ToTerm + ?Sized)) -> Option<Pid> {
        let name = name.to_term();
        self.shared
            .kernel
            .with(|kernel, _| kernel.whereis_global(&name))
    }

    /// All global names.
    ///
    /// ```no_run
    /// # fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// for name in node.global_names() {
    ///     println!("{name}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn global_names(&self) -> Vec<Term> {
        self.shared.kernel.with(|kernel, _| kernel.global_names())
    }

    async fn change_global(
        &self,
        timeout: Duration,
        ask: impl FnOnce(&mut Kernel<Handle>, Instant, Handle) -> u64,
    ) -> Result<bool, GlobalError> {
        let mut request = Request::new(&self.shared.kernel, deadline(timeout));
        let mut change = Change {
            kernel: Arc::clone(&self.shared.kernel),
            number: None,
        };
        request.begin_now(|kernel, now, slot| change.number = Some(ask(kernel, now, slot)));
        loop {
            match request.outcome().await {
                Outcome::Mail(Mail::Global(is_done)) => {
                    change.number = None;
                    return Ok(is_done);
                }
                Outcome::Mail(_) => {}
                Outcome::TimedOut if change.withdraw() => {
                    return Err(GlobalError::TimedOut(timeout));
                }
                // It is being told to the nodes, which has a bound of its own.
                Outcome::TimedOut => request.forget_time(),
                Outcome::ShutDown => return Err(GlobalError::ShutDown),
            }
        }
    }
}

/// A change of a global name that is under way. Dropping it withdraws it, if that can be.
struct Change {
    kernel: Arc<KernelDriver>,
    number: Option<u64>,
}

impl Change {
    /// Whether nothing comes of it.
    fn withdraw(&self) -> bool {
        self.number.is_some_and(|number| {
            let withdraw = |kernel: &mut Kernel<Handle>, now| kernel.withdraw_global(now, number);
            self.kernel.with(withdraw)
        })
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        self.withdraw();
    }
}
