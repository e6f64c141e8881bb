//! `rex`: calls of C nodes and of `rpc:block_call`, and messages by way of it.

use enmesh_term::{Atom, Pid, Term};

use crate::effect::{Address, Effect};
use crate::services::gen_call::{Caller, Incoming, take_args};
use crate::services::jobs::Purpose;
use crate::services::outcome::bad_rpc;
use crate::services::{Admission, Cluster, Served, ServiceAction, Services};

impl Services {
    pub(super) fn rex(&mut self, cluster: &Cluster<'_>, from_node: &Atom, message: &mut Term) {
        let args = take_args(message);
        match Incoming::of(message) {
            Incoming::Call(caller, request) => match request.as_tuple().unwrap_or_default() {
                [word, module, function, _args, _leader]
                    if word.is_atom("call") || word.is_atom("block_call") =>
                {
                    self.rex_call(cluster, from_node, caller, [module, function], args);
                }
                _ => self.refuse(Served::Rex, &caller),
            },
            Incoming::System(caller) => self.refuse(Served::Rex, &caller),
            Incoming::Cast(request) => {
                if let Some([word, module, function, _args, _leader]) = request.as_tuple()
                    && word.is_atom("cast")
                {
                    // rpc.erl: a cast over a limit is dropped.
                    let purpose = Purpose::RexCast;
                    self.begin(cluster, purpose, [module, function], args, from_node);
                }
            }
            Incoming::Info(message) => {
                if let Some([Term::Pid(from), request]) = message.as_tuple() {
                    self.rex_message(cluster, from_node, (from, request), args);
                }
            }
        }
    }

    fn rex_call(
        &mut self,
        cluster: &Cluster<'_>,
        from_node: &Atom,
        caller: Caller,
        function: [&Term; 2],
        args: Term,
    ) {
        let purpose = Purpose::RexCall(caller.clone());
        let admission = self.begin(cluster, purpose, function, args, from_node);
        if let Admission::Refused(reason) = admission {
            let reply = caller.reply(bad_rpc(reason.into()));
            self.send(Served::Rex, caller.to, reply);
        }
    }

    /// A message `{From, Request}`; the answer is a message to From.
    fn rex_message(
        &mut self,
        cluster: &Cluster<'_>,
        from_node: &Atom,
        (from, request): (&Pid, &Term),
        args: Term,
    ) {
        let to = Address::Pid(from.clone());
        match request {
            // rpc.erl: the features of a node that serves erpc.
            Term::Atom(word) if word == "features_request" => {
                let features = Term::List(vec![Term::atom("erpc")]);
                let own = cluster.node.clone().into();
                let reply = Term::tuple([Term::atom("features_reply"), own, features]);
                self.send(Served::Rex, to, reply);
            }
            Term::Tuple(parts) => match parts.as_slice() {
                [word, module, function, _args, _leader] if word.is_atom("call") => {
                    let (pid, tag) = (from.clone(), Term::atom("rex"));
                    let caller = Caller { pid, to, tag };
                    self.rex_call(cluster, from_node, caller, [module, function], args);
                }
                [word, Term::Atom(name), message] if word.is_atom("sbcast") => {
                    let delivered = self.rex_says(cluster, from, cluster.node.clone().into());
                    self.forward(cluster, from, name, message.clone(), Some(delivered));
                }
                [word, Term::Atom(name), message] if word.is_atom("send") => {
                    let from_term = Term::from(from.clone());
                    let message = Term::tuple([from_term, message.clone()]);
                    self.forward(cluster, from, name, message, None);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn forward(
        &mut self,
        cluster: &Cluster<'_>,
        from: &Pid,
        name: &Atom,
        message: Term,
        delivered: Option<Effect>,
    ) {
        let unknown = Term::tuple([Term::atom("nonexisting_name"), name.clone().into()]);
        let missing = self.rex_says(cluster, from, unknown);
        self.actions.push_back(ServiceAction::Forward {
            from: self.pids.rex.clone(),
            name: name.clone(),
            message,
            delivered,
            missing,
        });
    }

    /// `{rex, Node, What}` to `to`.
    fn rex_says(&self, cluster: &Cluster<'_>, to: &Pid, what: Term) -> Effect {
        let own = cluster.node.clone().into();
        Effect::Send {
            from: self.pids.rex.clone(),
            to: Address::Pid(to.clone()),
            message: Term::tuple([Term::atom("rex"), own, what]),
        }
    }
}
