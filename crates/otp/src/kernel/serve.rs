//! The services of the node, and what they ask of the kernel.

use std::fmt::Debug;

use enmesh_term::{Atom, Pid, Term};

use crate::effect::{CallFailed, Effect};
use crate::global::{Global, GlobalConfig};
use crate::kernel::outgoing::payload;
use crate::processes::{Owner, Processes, ServiceName};
use crate::requests::{Asker, Kind};
use crate::services::{Cluster, Served, ServerPids, ServiceAction, Services};
use crate::{Action, Address, Kernel, KernelConfig, Pids};

/// What a number of a service stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asked {
    Call,
    Monitor,
}

/// The number of the last process that every node has; they begin with 1.
pub(super) const LAST_SERVICE: u32 = 8;

/// The number of the first of the three processes of `global`, which are the last of those.
pub(super) const FIRST_OF_GLOBAL: u32 = 6;

/// Starts the processes that every node has.
pub(super) fn begin<H>(processes: &mut Processes<H>, config: &KernelConfig) -> (Services, Global) {
    let mut start = |service: ServiceName, names: &[&'static str]| -> Pid {
        let started = processes.insert(Owner::Service(service), true);
        let (number, pid) = started.expect("an empty table has room");
        for name in names {
            let registered = processes.register(number, Atom::from_static(name));
            registered.expect("no two services share a name");
        }
        pid
    };
    let mut serve = |served: Served| {
        let hidden = served == Served::Echo && !config.echo;
        let names = if hidden { &[] } else { served.names() };
        start(ServiceName::Served(served), names)
    };
    let pids = ServerPids {
        net_kernel: serve(Served::NetKernel),
        rex: serve(Served::Rex),
        user: serve(Served::User),
        logger: serve(Served::Logger),
        echo: serve(Served::Echo),
    };
    let global = GlobalConfig {
        server: start(ServiceName::Global, &["global_name_server"]),
        locker: start(ServiceName::Global, &[]),
        registrar: start(ServiceName::Global, &[]),
        node: processes.node().clone(),
        seed: config.seed,
    };
    debug_assert_eq!(Pids::number(&global.server), FIRST_OF_GLOBAL);
    debug_assert_eq!(Pids::number(&global.registrar), LAST_SERVICE);
    (Services::new(pids), Global::new(global))
}

impl<H: Clone + Debug> Kernel<H> {
    /// A message for a service.
    pub(super) fn serve(&mut self, service: &ServiceName, node: &Atom, message: &mut Term) {
        match service {
            ServiceName::Served(served) => {
                let cluster = Cluster {
                    node: self.processes.node(),
                    visible: &self.visible,
                    hidden: &self.hidden,
                    net_ticktime: self.config.net_ticktime,
                };
                self.services
                    .handle_message(&cluster, *served, node, message);
            }
            ServiceName::Global => self.global.handle_message(self.now, node, message),
            ServiceName::Groups(scope) => {
                if let Some(scope) = self.scopes.get_mut(scope) {
                    scope.pg.handle_message(node, message);
                }
            }
        }
    }

    /// Does one thing that a service asks for; `false` if there is none.
    pub(super) fn serve_next(&mut self) -> bool {
        if let Some(action) = self.services.poll_action() {
            self.obey_service(action);
        } else if let Some(effect) = self.global.poll_effect() {
            self.is_global_at_work = true;
            self.obey(&ServiceName::Global, effect);
            self.is_global_at_work = false;
        } else if let Some((token, done)) = self.global.poll_outcome() {
            self.tell_registration(token, done);
        } else {
            return self.serve_groups();
        }
        true
    }

    fn obey_service(&mut self, action: ServiceAction) {
        match action {
            ServiceAction::Effect(effect) => {
                self.obey(&ServiceName::Served(Served::NetKernel), effect);
            }
            ServiceAction::Start {
                job,
                module,
                function,
                args,
                caller,
            } => self.actions.push_back(Action::Start {
                job,
                module,
                function,
                args,
                caller,
            }),
            ServiceAction::Abort(job) => self.actions.push_back(Action::Abort(job)),
            ServiceAction::Spawn {
                requester,
                link,
                reply_to,
                tag,
                life,
            } => self.spawn_by_call(&requester, link, &reply_to, tag, life),
            ServiceAction::Forward {
                from,
                name,
                message,
                delivered,
                missing,
            } => {
                let found = self.processes.named(&name).is_some();
                let service = ServiceName::Served(Served::Rex);
                if found {
                    let node = self.node().clone();
                    self.send_term(&from, &Address::Name { name, node }, &message);
                }
                let then = if found { delivered } else { Some(missing) };
                if let Some(effect) = then {
                    self.obey(&service, effect);
                }
            }
            ServiceAction::Log(line) => self.actions.push_back(Action::Log(line)),
        }
    }

    /// Does what a service asks for.
    pub(super) fn obey(&mut self, service: &ServiceName, effect: Effect) {
        match effect {
            Effect::Send { from, to, message } => {
                // What a node was to be told that has gone must not bring it back: who cut it off
                // would see it return at once. Only `global` says something to nodes first.
                let silent = *service != ServiceName::Global && to.node() != self.node();
                if !silent || self.peers.contains_key(to.node()) {
                    self.send_term(&from, &to, &message);
                } else {
                    self.counters.dropped += 1;
                }
            }
            Effect::Call {
                id,
                from,
                to,
                request,
            } => {
                let asker = Asker::Service(service.clone(), id);
                self.begin_call(&from, &to, &request, asker);
            }
            Effect::CancelCall { id } => self.end_asked(service, Asked::Call, id),
            Effect::Monitor { id, by, target } => {
                let kind = Kind::Watch(service.clone(), id);
                let reference = self.add_request(&by, kind, Some(Address::Pid(target)));
                self.begin_monitor(&reference);
            }
            Effect::Demonitor { id } => self.end_asked(service, Asked::Monitor, id),
            Effect::Exit { from, to, reason } => self.send_exit(from, to, reason),
            Effect::Connect(nodes) => self.actions.push_back(Action::Learned(nodes)),
            Effect::Leave { rejoin_after } => {
                self.actions.push_back(Action::Leave { rejoin_after });
            }
        }
    }

    /// Sends a message; one service reads that of another as it is.
    pub(super) fn send_term(&mut self, from: &Pid, to: &Address, message: &Term) {
        let number = match to {
            Address::Pid(pid) => self.processes.find(pid),
            Address::Name { name, node } if node == self.node() => self.processes.named(name),
            Address::Name { .. } | Address::Alias(_) => None,
        };
        let process = number.and_then(|number| self.processes.get(number));
        if let Some(Owner::Service(service)) = process.map(|process| &process.owner) {
            let (service, node) = (service.clone(), self.node().clone());
            self.serve(&service, &node, &mut message.clone());
        } else {
            self.dispatch(from, to, payload(message));
        }
    }

    fn end_asked(&mut self, service: &ServiceName, asked: Asked, id: u64) {
        let key = (service.clone(), asked, id);
        if let Some(&number) = self.service_requests.get(&key) {
            self.release(number);
        }
    }

    /// Remembers a request that is one of a service.
    pub(super) fn note_service_request(&mut self, number: u64) {
        let kind = self.requests.get(number).map(|request| &request.kind);
        if let Some(key) = kind.and_then(asked) {
            self.service_requests.insert(key, number);
        }
    }

    /// A request has ended, which may have been one of a service.
    pub(super) fn forget_service_request(&mut self, number: u64, kind: &Kind<H>) {
        if let Some(key) = asked(kind)
            && self.service_requests.get(&key) == Some(&number)
        {
            self.service_requests.remove(&key);
        }
        if let Kind::Groups { scope, .. } = kind
            && let Some(scope) = self.scopes.get_mut(scope)
        {
            scope.watchers.remove(&number);
        }
    }

    /// The group leader of what we have spawned elsewhere.
    pub(super) fn group_leader(&self) -> Pid {
        let pid = self.whereis(&Atom::from_static("user"));
        pid.expect("services live as long as the node")
    }

    /// What a service monitors has ended.
    pub(super) fn service_down(&mut self, service: &ServiceName, id: u64, reason: &Term) {
        match service {
            ServiceName::Global => self.global.handle_down(self.now, id, reason),
            ServiceName::Groups(scope) => {
                if let Some(scope) = self.scopes.get_mut(scope) {
                    scope.pg.handle_down(id);
                }
            }
            ServiceName::Served(_) => {}
        }
    }

    /// The outcome of a call of a service.
    pub(super) fn service_reply(
        &mut self,
        service: &ServiceName,
        id: u64,
        outcome: Result<Term, CallFailed>,
    ) {
        if *service == ServiceName::Global {
            self.global.handle_reply(self.now, id, outcome);
        }
    }

    /// A visible node is connected to us as a visible one.
    pub(super) fn services_nodeup(&mut self, node: &Atom) {
        self.global.handle_nodeup(self.now, node);
        for scope in self.scopes.values_mut() {
            scope.pg.handle_nodeup(node);
        }
    }

    /// It is not any more.
    pub(super) fn services_nodedown(&mut self, node: &Atom) {
        for scope in self.scopes.values_mut() {
            scope.pg.handle_nodedown(node);
        }
    }
}

/// What a service knows a request of its by.
fn asked<H>(kind: &Kind<H>) -> Option<(ServiceName, Asked, u64)> {
    match kind {
        Kind::Watch(service, id) => Some((service.clone(), Asked::Monitor, *id)),
        Kind::Call(Asker::Service(service, id)) => Some((service.clone(), Asked::Call, *id)),
        _ => None,
    }
}
