//! The queues of the links that are up, for those who send without asking the kernel.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use enmesh_otp::AtomMap;
use enmesh_term::Atom;

use crate::link_queue::LinkQueue;

/// By the names of the nodes.
#[derive(Debug)]
pub(crate) struct Routes {
    queues: RwLock<AtomMap<Arc<LinkQueue>>>,
    /// Another number after each change, and in each node of the program.
    version: AtomicU64,
}

/// Where a thread sent last: most senders have one peer at a time.
struct Last {
    version: u64,
    node: Atom,
    queue: Arc<LinkQueue>,
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            queues: RwLock::default(),
            version: AtomicU64::new(next_version()),
        }
    }
}

impl Routes {
    /// The queue to a node that is connected.
    pub(crate) fn get(&self, node: &Atom) -> Option<Arc<LinkQueue>> {
        // Read before the queues are: what is kept is never older than its version says.
        let version = self.version.load(Ordering::Acquire);
        LAST.with_borrow_mut(|last| match last {
            Some(last) if last.version == version && last.node == *node => {
                Some(Arc::clone(&last.queue))
            }
            _ => {
                let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
                let queue = Arc::clone(queues.get(node)?);
                *last = Some(Last {
                    version,
                    node: node.clone(),
                    queue: Arc::clone(&queue),
                });
                Some(queue)
            }
        })
    }

    pub(crate) fn insert(&self, node: Atom, queue: Arc<LinkQueue>) {
        self.change(|queues| queues.insert(node, queue));
    }

    pub(crate) fn remove(&self, node: &Atom) -> Option<Arc<LinkQueue>> {
        self.change(|queues| queues.remove(node))
    }

    fn change<R>(&self, change: impl FnOnce(&mut AtomMap<Arc<LinkQueue>>) -> R) -> R {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut queues);
        self.version.store(next_version(), Ordering::Release);
        result
    }
}

fn next_version() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_changed_is_not_taken_from_memory() {
        let (routes, others) = (Routes::default(), Routes::default());
        let (a, b) = (Atom::from_static("a@h"), Atom::from_static("b@h"));
        let [first, second] = [(); 2].map(|()| Arc::new(LinkQueue::default()));
        routes.insert(a.clone(), Arc::clone(&first));
        assert!(Arc::ptr_eq(&routes.get(&a).unwrap(), &first));
        assert!(others.get(&a).is_none(), "another node's");
        assert!(routes.get(&b).is_none());
        routes.insert(a.clone(), Arc::clone(&second));
        assert!(Arc::ptr_eq(&routes.get(&a).unwrap(), &second));
        assert!(routes.remove(&a).is_some());
        assert!(routes.get(&a).is_none());
    }
}
