//! The node's kernel and everything it acts upon, behind one lock.
//!
//! Link tasks, the manager and user threads each take the lock for one step, carry out the actions
//! that come of it in their order, and only then let it go: so what one thread saw happen first
//! is also sent and delivered first. Nothing waits under the lock, and nobody is woken under it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use enmesh_identity::NodeName;
use enmesh_membership::DownReason;
use enmesh_otp::{Action, AtomMap, JobId, JobOutcome, Kernel, Mail, Prepared, SystemLimit};
use enmesh_proto::{Message, PeerInfo};
use enmesh_term::{Atom, Pid, Term};
use tokio::sync::Notify;
use tracing::error;

use crate::crew::Crew;
use crate::deadline::until;
use crate::jobs::Jobs;
use crate::link_queue::LinkQueue;
use crate::mailbox::{Delivered, Inbox, Item, Run};
use crate::orders::Orders;
use crate::pubsub::OpenPubSubs;
use crate::routes::Routes;
use crate::slot::Slot;
use crate::timers::Timers;
use crate::workers::Workers;

/// The longest payload, in bytes, that the kernel decodes itself while everybody else waits.
const LONG: usize = 64 * 1024;

/// What came of messages that a link has brought.
#[derive(Debug)]
pub(crate) struct Brought {
    /// How many could not be decoded.
    pub(crate) undecodable: u64,
    /// One that is to be decoded before it and what follows it is delivered.
    pub(crate) long: Option<Message>,
    /// Whether somebody waited for what came.
    pub(crate) has_woken: bool,
}

/// What the kernel knows a mailbox, or the place of a request, by.
#[derive(Clone, Debug)]
pub(crate) enum Handle {
    Mailbox(Arc<Inbox>),
    Slot(Arc<Slot>),
}

/// The kernel of one node, shared by everything that runs it or uses it.
#[derive(Debug)]
pub(crate) struct KernelDriver {
    state: Mutex<State>,
    /// The queues of the links that are up, for those who send without asking the kernel.
    routes: Routes,
    node: Atom,
    client: Pid,
    /// The longest message, in bytes.
    max_message: usize,
    pub(crate) timers: Timers,
    pub(crate) workers: Workers,
    pub(crate) pubsubs: OpenPubSubs,
    /// Tells the kernel's clock that something is due earlier.
    earlier: Notify,
    /// Tells the manager that there are orders.
    ordered: Notify,
}

#[derive(Debug)]
struct State {
    kernel: Kernel<Handle>,
    links: AtomMap<Arc<LinkQueue>>,
    inboxes: HashMap<Pid, Arc<Inbox>>,
    jobs: Jobs,
    orders: Orders,
    /// When the kernel's clock will look next.
    armed: Option<Instant>,
    is_shut: bool,
}

impl KernelDriver {
    /// Takes a new kernel into the hands of the driver.
    pub(crate) fn new(
        mut kernel: Kernel<Handle>,
        max_message: usize,
        crew: Arc<Crew>,
    ) -> Arc<Self> {
        let node = kernel.node().clone();
        let client = kernel.spawn_asker();
        let client = client.expect("a new kernel has room for a process");
        Arc::new_cyclic(|driver| Self {
            state: Mutex::new(State {
                kernel,
                links: AtomMap::default(),
                inboxes: HashMap::new(),
                jobs: Jobs::new(driver.clone()),
                orders: Orders::default(),
                armed: None,
                is_shut: false,
            }),
            routes: Routes::default(),
            node,
            client,
            max_message,
            timers: Timers::default(),
            workers: Workers::new(crew),
            pubsubs: OpenPubSubs::default(),
            earlier: Notify::new(),
            ordered: Notify::new(),
        })
    }

    /// The name of our node.
    pub(crate) fn node(&self) -> &Atom {
        &self.node
    }

    /// In whose name a user asks without a mailbox.
    pub(crate) fn client(&self) -> &Pid {
        &self.client
    }

    pub(crate) fn max_message(&self) -> usize {
        self.max_message
    }

    /// Whether the node has shut down.
    pub(crate) fn is_shut(&self) -> bool {
        self.lock().is_shut
    }

    /// One step of the kernel, and all that comes of it.
    pub(crate) fn with<R>(&self, step: impl FnOnce(&mut Kernel<Handle>, Instant) -> R) -> R {
        let mut wakes = Vec::new();
        let mut state = self.lock();
        let now = Instant::now();
        let result = step(&mut state.kernel, now);
        self.settle(&mut state, now, &mut wakes);
        drop(state);
        wake_all(wakes);
        result
    }

    /// A process of its own for a mailbox.
    pub(crate) fn spawn(&self, inbox: &Arc<Inbox>, trap_exit: bool) -> Result<Pid, SpawnRefused> {
        let mut state = self.lock();
        if state.is_shut {
            return Err(SpawnRefused::ShutDown);
        }
        let handle = Handle::Mailbox(Arc::clone(inbox));
        let pid = state
            .kernel
            .spawn(handle, trap_exit)
            .map_err(|SystemLimit| SpawnRefused::SystemLimit)?;
        inbox.set_pid(&pid);
        state.inboxes.insert(pid.clone(), Arc::clone(inbox));
        Ok(pid)
    }

    /// The process of a mailbox ends by itself.
    pub(crate) fn exit(&self, pid: &Pid, reason: Term) {
        let mut wakes = Vec::new();
        let mut state = self.lock();
        let now = Instant::now();
        state.end_mailbox(now, pid, reason, &mut wakes);
        self.settle(&mut state, now, &mut wakes);
        drop(state);
        wake_all(wakes);
    }

    /// The queue to a node that is connected.
    pub(crate) fn route(&self, node: &Atom) -> Option<Arc<LinkQueue>> {
        self.routes.get(node)
    }

    /// A link is up: its queue takes messages from now on, those that waited for it first.
    pub(crate) fn nodeup(&self, peer: &PeerInfo, connection_id: u64, queue: Arc<LinkQueue>) {
        let name = atom_of(&peer.name);
        let mut wakes = Vec::new();
        let mut state = self.lock();
        let now = Instant::now();
        queue.set_flags(peer.flags);
        state.links.insert(name.clone(), Arc::clone(&queue));
        state.kernel.handle_nodeup(now, peer, connection_id);
        self.settle(&mut state, now, &mut wakes);
        self.routes.insert(name, queue);
        drop(state);
        wake_all(wakes);
    }

    /// The link of `peer` has ended, and delivers nothing more.
    pub(crate) fn nodedown(&self, peer: &NodeName, reason: DownReason) {
        let name = atom_of(peer);
        let queue = self.routes.remove(&name);
        let mut wakes = Vec::new();
        let mut state = self.lock();
        let now = Instant::now();
        state.links.remove(&name);
        state
            .kernel
            .handle_nodedown(now, &name, Term::atom(reason.label()));
        self.settle(&mut state, now, &mut wakes);
        drop(state);
        if let Some(queue) = queue {
            queue.close();
        }
        wake_all(wakes);
    }

    /// A node that the kernel waits for cannot be connected.
    pub(crate) fn connect_failed(&self, peer: &NodeName) {
        self.with(|kernel, now| kernel.handle_connect_failed(now, &atom_of(peer)));
    }

    /// Gives the kernel what a link has brought, in order, up to a long message that the kernel
    /// reads itself. That one is to be decoded while nobody waits, and to come as `ahead` before
    /// the messages that follow it.
    pub(crate) fn deliver(
        &self,
        peer: &Atom,
        ahead: Option<&mut Prepared>,
        messages: impl Iterator<Item = Message>,
    ) -> Brought {
        let (mut long, mut wakes) = (None, Vec::new());
        let mut state = self.lock();
        let now = Instant::now();
        let before = state.kernel.counters().undecodable;
        if let Some(message) = ahead {
            state.kernel.handle_prepared(now, peer, message);
            self.obey_all(&mut state, now, &mut wakes);
        }
        let mut run = Run::default();
        for mut message in messages {
            if let Some(Handle::Mailbox(inbox)) = state.kernel.mailbox_of(&message.control)
                && let Some(payload) = message.payload.take()
            {
                if !run.is_for(inbox) {
                    let inbox = Arc::clone(inbox);
                    state.finish(now, &mut run, &mut wakes);
                    run.inbox = Some(inbox);
                }
                run.items.push_back(Item::Message(payload));
                continue;
            }
            state.finish(now, &mut run, &mut wakes);
            if is_long(&message) && state.kernel.reads(&message.control) {
                long = Some(message);
                break;
            }
            state.kernel.handle_message(now, peer, message);
            self.obey_all(&mut state, now, &mut wakes);
        }
        state.finish(now, &mut run, &mut wakes);
        self.settle(&mut state, now, &mut wakes);
        let undecodable = state.kernel.counters().undecodable - before;
        drop(state);
        let has_woken = !wakes.is_empty();
        wake_all(wakes);
        Brought {
            undecodable,
            long,
            has_woken,
        }
    }

    /// Serves a function.
    pub(crate) fn define(&self, module: Atom, function: Atom, closure: crate::jobs::Function) {
        let old = {
            let mut state = self.lock();
            state.kernel.define(module.clone(), function.clone());
            state.jobs.define(module, function, closure)
        };
        drop(old);
    }

    /// A served function has ended.
    pub(crate) fn job_ended(&self, job: JobId, outcome: JobOutcome) {
        let mut wakes = Vec::new();
        let mut state = self.lock();
        let now = Instant::now();
        state.jobs.ended(job);
        state.kernel.handle_job(now, job, outcome);
        self.settle(&mut state, now, &mut wakes);
        drop(state);
        wake_all(wakes);
    }

    /// Does what is due, for ever.
    pub(crate) async fn watch_clock(&self) {
        loop {
            self.with(|kernel, now| {
                if kernel.deadline().is_some_and(|due| due <= now) {
                    kernel.handle_timeout(now);
                }
            });
            let deadline = {
                let mut state = self.lock();
                state.armed = state.kernel.deadline();
                state.armed
            };
            tokio::select! {
                () = self.earlier.notified() => {}
                () = until(deadline) => {}
            }
        }
    }

    /// Waits until the kernel wants something of the manager. Cancel safe: orders stay until they
    /// are taken.
    pub(crate) async fn orders(&self) -> Orders {
        loop {
            let orders = std::mem::take(&mut self.lock().orders);
            if !orders.is_empty() {
                return orders;
            }
            self.ordered.notified().await;
        }
    }

    /// The node ends: so do all processes, requests and functions.
    pub(crate) fn shut_down(&self) {
        let mut wakes = Vec::new();
        let mut state = self.lock();
        let now = Instant::now();
        state.is_shut = true;
        let pids: Vec<Pid> = state.inboxes.keys().cloned().collect();
        for pid in pids {
            state.end_mailbox(now, &pid, Term::atom("shutdown"), &mut wakes);
        }
        self.settle(&mut state, now, &mut wakes);
        let functions = state.jobs.shut_down();
        drop(state);
        drop(functions);
        wake_all(wakes);
        self.timers.shut_down();
    }

    /// Carries out what the kernel wants and sees to its clock.
    fn settle(&self, state: &mut State, now: Instant, wakes: &mut Vec<Waker>) {
        self.obey_all(state, now, wakes);
        if !state.orders.is_empty() {
            self.ordered.notify_one();
        }
        let deadline = state.kernel.deadline();
        if let Some(due) = deadline
            && state.armed.is_none_or(|armed| due < armed)
        {
            state.armed = deadline;
            self.earlier.notify_one();
        }
    }

    fn obey_all(&self, state: &mut State, now: Instant, wakes: &mut Vec<Waker>) {
        while let Some(action) = state.kernel.poll_action() {
            self.obey(state, now, action, wakes);
        }
    }

    fn obey(
        &self,
        state: &mut State,
        now: Instant,
        action: Action<Handle>,
        wakes: &mut Vec<Waker>,
    ) {
        match action {
            Action::Send {
                node,
                flow,
                message,
            } => {
                if let Some(link) = state.links.get(&node) {
                    link.push(flow, message);
                }
            }
            Action::Deliver { to, mail } => state.deliver(now, &to, mail, wakes),
            Action::Ended {
                handle: Handle::Mailbox(inbox),
                reason,
            } => {
                if let Some(pid) = inbox.pid() {
                    state.inboxes.remove(pid);
                }
                wakes.extend(inbox.end(reason));
            }
            Action::Start {
                job,
                module,
                function,
                args,
                caller,
            } => {
                let name = (module, function);
                if !state.jobs.start(&self.workers, job, &name, args, caller) {
                    // Nobody waits for what never began.
                    let outcome = JobOutcome::Exited(Term::atom("system_limit"));
                    state.kernel.handle_job(now, job, outcome);
                }
            }
            Action::Abort(job) => state.jobs.abort(&self.workers, job),
            Action::Connect { node, for_names } => {
                if let Err(node) = state.orders.connect(node, for_names) {
                    state.kernel.handle_connect_failed(now, &atom_of(&node));
                }
            }
            Action::Learned(nodes) => state.orders.learned = Some(nodes),
            Action::Leave { rejoin_after } => state.orders.leave = Some(rejoin_after),
            Action::Log(line) => state.orders.log(line),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            // The panic itself was seen where it happened: a link's task that dies is a nodedown,
            // and a user's thread has it on its own stack. The node goes on.
            self.state.clear_poison();
            error!("a step of the kernel panicked; the node goes on");
            PoisonError::into_inner(poisoned)
        })
    }
}

/// Why there is no process for a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpawnRefused {
    SystemLimit,
    ShutDown,
}

impl State {
    fn deliver(&mut self, now: Instant, to: &Handle, mail: Mail, wakes: &mut Vec<Waker>) {
        match to {
            Handle::Mailbox(inbox) => self.delivered(now, inbox, inbox.deliver(mail), wakes),
            Handle::Slot(slot) => wakes.extend(slot.deliver(mail)),
        }
    }

    /// Delivers a run of messages, and begins another.
    fn finish(&mut self, now: Instant, run: &mut Run, wakes: &mut Vec<Waker>) {
        let Some(inbox) = run.inbox.take() else {
            return;
        };
        let delivered = inbox.deliver_all(&mut run.items);
        self.delivered(now, &inbox, delivered, wakes);
        run.items.clear();
    }

    /// Does what is to be done once something was delivered.
    fn delivered(
        &mut self,
        now: Instant,
        inbox: &Inbox,
        delivered: Delivered,
        wakes: &mut Vec<Waker>,
    ) {
        match delivered {
            Delivered::Waits(waker) => wakes.extend(waker),
            Delivered::Lost => {}
            Delivered::Overflow(waker) => {
                wakes.extend(waker);
                if let Some(pid) = inbox.pid() {
                    self.end_mailbox(now, pid, Term::atom("mailbox_overflow"), wakes);
                }
            }
        }
    }

    /// The actions that follow are still to be obeyed.
    fn end_mailbox(&mut self, now: Instant, pid: &Pid, reason: Term, wakes: &mut Vec<Waker>) {
        if let Some(inbox) = self.inboxes.remove(pid) {
            wakes.extend(inbox.end(reason.clone()));
            self.kernel.exit(now, pid, reason);
        }
    }
}

/// The name of a node as an atom.
pub(crate) fn atom_of(name: &NodeName) -> Atom {
    Atom::new(name.as_str()).expect("a node name has at most 255 characters")
}

fn is_long(message: &Message) -> bool {
    message.payload.as_ref().is_some_and(|it| it.len() > LONG)
}

fn wake_all(wakes: Vec<Waker>) {
    for waker in wakes {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
