//! Names that the whole cluster knows: Erlang's `global`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use enmesh_otp::{Kernel, Mail};
use enmesh_term::{Pid, Term, ToTerm};

use crate::call::{Request, deadline};
use crate::kernel_driver::Handle;
use crate::node::Node;
use crate::slot::Outcome;

/// Why a global name was not registered. Nothing changed.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::GlobalError;
///
/// let leader = node.anonymous_mailbox()?;
/// match node.register_global("leader", leader.pid()).await {
///     Ok(()) => println!("we lead"),
///     Err(GlobalError::Taken) => println!("{:?} leads", node.whereis_global("leader")),
///     Err(other) => return Err(other.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobalError {
    /// Another process has the name, or this one has another name already.
    #[error("the global name is taken")]
    Taken,
    /// The node has shut down.
    #[error("the node has shut down")]
    ShutDown,
}

impl Node {
    /// Registers a process of this node under a name that the whole cluster knows, as
    /// `global:register_name/2` does: it takes the cluster's lock, so it waits while others hold
    /// that. The name is free again when the process ends.
    ///
    /// Dropping the future does not take the registration back.
    ///
    /// # Errors
    /// See [`GlobalError`].
    pub async fn register_global(
        &self,
        name: &(impl ToTerm + ?Sized),
        pid: &Pid,
    ) -> Result<(), GlobalError> {
        let name = name.to_term();
        let is_done = self.ask_global(|kernel, now, slot| {
            kernel.register_global(now, name, pid, slot);
        });
        match is_done.await {
            Some(true) => Ok(()),
            Some(false) => Err(GlobalError::Taken),
            None => Err(GlobalError::ShutDown),
        }
    }

    /// Takes a global name back, whoever has it; false if the node has shut down.
    pub async fn unregister_global(&self, name: &(impl ToTerm + ?Sized)) -> bool {
        let name = name.to_term();
        let is_done = self.ask_global(|kernel, now, slot| {
            kernel.unregister_global(now, &name, slot);
        });
        is_done.await.unwrap_or(false)
    }

    /// The process that has a global name, on whichever node.
    pub fn whereis_global(&self, name: &(impl ToTerm + ?Sized)) -> Option<Pid> {
        let name = name.to_term();
        self.shared
            .kernel
            .with(|kernel, _| kernel.whereis_global(&name))
    }

    /// All global names.
    pub fn global_names(&self) -> Vec<Term> {
        self.shared.kernel.with(|kernel, _| kernel.global_names())
    }

    /// `None` if the node shut down.
    async fn ask_global(
        &self,
        ask: impl FnOnce(&mut Kernel<Handle>, Instant, Handle),
    ) -> Option<bool> {
        let kernel = Arc::clone(&self.shared.kernel);
        let mut request = Request::new(&kernel, deadline(Duration::MAX));
        request.begin_now(ask);
        loop {
            match request.outcome().await {
                Outcome::Mail(Mail::Global(is_done)) => return Some(is_done),
                Outcome::Mail(_) => {}
                Outcome::TimedOut | Outcome::ShutDown => return None,
            }
        }
    }
}
