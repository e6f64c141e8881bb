//! The way of a message from a user to the link's queue, or to the kernel.

use std::sync::Arc;
use std::task::Poll;

use enmesh_proto::{Control, Payload};
use enmesh_term::{Atom, Pid, Term};

use crate::destination::Destination;
use crate::kernel_driver::KernelDriver;
use crate::link_queue::{Outgoing, Refused, SMALL, Size, Turn, Waiter};
use crate::mailbox::flow_of;

/// Why a message was not sent. None of it has left.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::SendError;
///
/// match node.process().try_send("sink", "sample") {
///     Err(SendError::Busy) => println!("the link is slow: left out"),
///     other => other?,
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The message is longer than any link takes: 128 MiB.
    #[error("a message of {len} bytes is longer than the {max} allowed")]
    TooLarge {
        /// Its length, in bytes.
        len: usize,
        /// The longest that is allowed, in bytes.
        max: usize,
    },
    /// The link has too much to write already. Only `try_send` says so; `send` waits.
    #[error("the link has too much to write")]
    Busy,
    /// The node has shut down.
    #[error("the node has shut down")]
    ShutDown,
}

/// What a message's control part may add to its payload, in bytes.
const CONTROL_ROOM: usize = 4 * 1024;

/// How many times longer a term can be as a message than its weight: an atom of 255 characters.
const MAX_GROWTH: usize = 1023 / size_of::<Term>();

/// Sends as soon as there is room.
pub(crate) async fn send(
    driver: &Arc<KernelDriver>,
    from: &Pid,
    to: &Destination,
    payload: Payload,
) -> Result<(), SendError> {
    let mut payload = Some(payload);
    let mut turn = Turn::default();
    std::future::poll_fn(|context| {
        let Some(bytes) = payload.take() else {
            return Poll::Ready(Ok(()));
        };
        let waiter = Waiter {
            turn: &mut turn,
            waker: context.waker(),
        };
        match attempt(driver, from, to, bytes, Some(waiter)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Failed::Full(bytes)) => {
                payload = Some(bytes);
                Poll::Pending
            }
            Err(Failed::Error(error)) => Poll::Ready(Err(error)),
        }
    })
    .await
}

/// Sends if there is room now.
pub(crate) fn try_send(
    driver: &Arc<KernelDriver>,
    from: &Pid,
    to: &Destination,
    payload: Payload,
) -> Result<(), SendError> {
    attempt(driver, from, to, payload, None).map_err(|failed| match failed {
        Failed::Full(_) => SendError::Busy,
        Failed::Error(error) => error,
    })
}

enum Failed {
    /// The payload is given back.
    Full(Payload),
    Error(SendError),
}

fn attempt(
    driver: &Arc<KernelDriver>,
    from: &Pid,
    to: &Destination,
    payload: Payload,
    waiter: Option<Waiter<'_>>,
) -> Result<(), Failed> {
    let max = driver.max_message() - CONTROL_ROOM;
    if payload.len() > max {
        let len = payload.len();
        return Err(Failed::Error(SendError::TooLarge { len, max }));
    }
    let Some(node) = remote_node(driver, to) else {
        return through_kernel(driver, from, to, payload);
    };
    let Some(queue) = driver.route(node) else {
        return through_kernel(driver, from, to, payload);
    };
    let control = match to {
        Destination::Pid(pid) => Control::Send {
            to: pid.clone(),
            token: None,
        },
        Destination::Remote { name, .. } => Control::RegSend {
            from: from.clone(),
            to: name.clone(),
            token: None,
        },
        Destination::Alias(alias) => {
            match enmesh_otp::alias_send(queue.flags(), from.clone(), alias.clone(), None) {
                Some(control) => control,
                None => return through_kernel(driver, from, to, payload),
            }
        }
        Destination::Name(_) => return through_kernel(driver, from, to, payload),
    };
    let outgoing = Outgoing {
        flow: flow_of(from),
        control,
        payload: Some(payload),
    };
    match queue.try_push(outgoing, waiter) {
        Ok(()) => Ok(()),
        Err(Refused::Full(payload)) => Err(Failed::Full(payload)),
        // The link has just ended: it is for the kernel to say whether the node is dialled.
        Err(Refused::Closed(payload)) => through_kernel(driver, from, to, payload),
    }
}

/// What is for our own node, for an alias, or for a node that is not connected.
fn through_kernel(
    driver: &Arc<KernelDriver>,
    from: &Pid,
    to: &Destination,
    payload: Payload,
) -> Result<(), Failed> {
    if driver.is_shut() {
        return Err(Failed::Error(SendError::ShutDown));
    }
    let address = to.address(driver.node());
    // Joined before the lock is taken: copying may take long, and letting a piece go runs the code
    // of whoever owns its memory.
    let payload = payload.into_bytes();
    driver.with(|kernel, now| kernel.send(now, from, &address, payload));
    Ok(())
}

/// The node that a message goes to, unless that is ours.
fn remote_node<'a>(driver: &KernelDriver, to: &'a Destination) -> Option<&'a Atom> {
    let node = match to {
        Destination::Pid(pid) => pid.node(),
        Destination::Remote { node, .. } => node,
        Destination::Alias(alias) => alias.node(),
        Destination::Name(_) => return None,
    };
    (node != driver.node()).then_some(node)
}

/// Whether the link to the node of `to`, if there is one, takes a message of `length` bytes more;
/// else `waiter` is woken once it may.
pub(crate) fn has_room(
    driver: &KernelDriver,
    to: &Destination,
    length: usize,
    waiter: Waiter<'_>,
) -> bool {
    remote_node(driver, to)
        .and_then(|node| driver.route(node))
        .is_none_or(|queue| queue.has_room(Size::new(length, 0), Some(waiter)))
}

/// A request is too long for any link.
#[derive(Debug)]
pub(crate) struct TooLong {
    pub(crate) len: usize,
    pub(crate) max: usize,
}

/// How long a request is as a message, with so many bytes around it; 0 if it is certainly a small
/// one.
pub(crate) fn length(
    driver: &KernelDriver,
    request: &Term,
    around: usize,
) -> Result<usize, TooLong> {
    let max = driver.max_message() - CONTROL_ROOM;
    // Only atoms can be longer as a message than in memory.
    if request.weight() <= SMALL / MAX_GROWTH {
        return Ok(0);
    }
    match enmesh_term::encode_bare(request).len() + around {
        len if len > max => Err(TooLong { len, max }),
        len => Ok(len),
    }
}
