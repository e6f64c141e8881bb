//! Who wants what of a PubSub on this node.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use enmesh_term::{Pid, Term};

use crate::process::{Process, encode};
use crate::send;

/// Topics and their subscribers.
#[derive(Debug, Default)]
pub(super) struct Topics {
    subscribers: Mutex<HashMap<String, Vec<Pid>>>,
}

impl Topics {
    pub(super) fn add(&self, topic: &str, pid: Pid) {
        self.lock().entry(topic.to_owned()).or_default().push(pid);
    }

    pub(super) fn remove(&self, topic: &str, pid: &Pid) {
        let mut topics = self.lock();
        if let Some(subscribers) = topics.get_mut(topic) {
            subscribers.retain(|subscriber| subscriber != pid);
            if subscribers.is_empty() {
                topics.remove(topic);
            }
        }
    }

    /// Hands a message to all subscribers of a topic but one.
    pub(super) fn dispatch(
        &self,
        worker: &Process,
        except: Option<&Pid>,
        topic: &[u8],
        message: &Term,
    ) {
        let Ok(topic) = std::str::from_utf8(topic) else {
            return;
        };
        let Some(mut subscribers) = self.lock().get(topic).cloned() else {
            return;
        };
        subscribers.retain(|subscriber| Some(subscriber) != except);
        let payload = encode(message);
        for subscriber in subscribers {
            // To a process of ours it never waits.
            let to = subscriber.into();
            let _ = send::try_send(worker.driver(), worker.pid(), &to, payload.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Pid>>> {
        // Nothing in here can panic between two steps that belong together.
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
