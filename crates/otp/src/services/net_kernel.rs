//! `net_kernel`: pings, and the spawn calls of nodes that do not know SPAWN_REQUEST.

use enmesh_term::{Atom, Term};

use crate::services::gen_call::{Caller, Incoming, take_args};
use crate::services::spawn_options::ties;
use crate::services::{Admission, Cluster, Served, ServiceAction, Services};

impl Services {
    pub(super) fn net_kernel(
        &mut self,
        cluster: &Cluster<'_>,
        from_node: &Atom,
        message: &mut Term,
    ) {
        let args = take_args(message);
        match Incoming::of(message) {
            Incoming::Call(caller, request) => {
                self.call_net_kernel(cluster, from_node, caller, request, args);
            }
            Incoming::System(caller) => self.refuse(Served::NetKernel, &caller),
            Incoming::Cast(_) | Incoming::Info(_) => {}
        }
    }

    fn call_net_kernel(
        &mut self,
        cluster: &Cluster<'_>,
        from_node: &Atom,
        caller: Caller,
        request: &Term,
        args: Term,
    ) {
        match request.as_tuple().unwrap_or_default() {
            [word, _node] if word.is_atom("is_auth") => {
                let yes = caller.reply(Term::atom("yes"));
                self.send(Served::NetKernel, caller.to, yes);
            }
            [word, module, function, _args, _leader] if word.is_atom("spawn") => {
                self.old_spawn(
                    cluster,
                    from_node,
                    caller,
                    false,
                    ([module, function], args),
                );
            }
            [word, module, function, _args, _leader] if word.is_atom("spawn_link") => {
                self.old_spawn(cluster, from_node, caller, true, ([module, function], args));
            }
            [word, module, function, _args, options, link, _leader]
                if word.is_atom("spawn_opt") =>
            {
                // erlang.erl, `spawn_opt/5`: a monitor never comes by this way.
                if ties(options).is_some_and(|ties| !ties.monitored) {
                    let link = link.is_atom("link");
                    self.old_spawn(cluster, from_node, caller, link, ([module, function], args));
                } else {
                    self.no_process(&caller, Term::atom("badarg"));
                }
            }
            _ => self.refuse(Served::NetKernel, &caller),
        }
    }

    fn old_spawn(
        &mut self,
        cluster: &Cluster<'_>,
        from_node: &Atom,
        caller: Caller,
        link: bool,
        ([module, function], args): ([&Term; 2], Term),
    ) {
        let (Term::Atom(module), Term::Atom(function)) = (module, function) else {
            self.no_process(&caller, Term::atom("badarg"));
            return;
        };
        match self.admit(cluster, module, function, args, from_node) {
            Admission::Refused(reason) => self.no_process(&caller, reason.into()),
            Admission::Admitted(life) => self.actions.push_back(ServiceAction::Spawn {
                requester: caller.pid,
                link,
                reply_to: caller.to,
                tag: caller.tag,
                life,
            }),
        }
    }

    /// net_kernel.erl, `do_spawn/3`: the answer where no process could be made.
    fn no_process(&mut self, caller: &Caller, reason: Term) {
        let reason = Term::tuple([reason, Term::nil()]);
        let exit = Term::tuple([Term::atom("EXIT"), reason]);
        self.send(Served::NetKernel, caller.to.clone(), caller.reply(exit));
    }
}
