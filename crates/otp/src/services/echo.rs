//! `echo`, for trying things out.

use enmesh_term::{Pid, Term};

use crate::effect::Address;
use crate::services::admission::is_too_long;
use crate::services::gen_call::{Caller, Incoming, not_served};
use crate::services::{Served, Services};

impl Services {
    /// `{From, Msg}` is answered with `{echo, Msg}` to From, a call with its request, or with
    /// `{error, system_limit}` if no link takes that; a cast is taken.
    pub(super) fn echo(&mut self, message: &Term) {
        match Incoming::of(message) {
            Incoming::Call(caller, request) => {
                let mut reply = caller.reply(request.clone());
                if is_too_long(&reply) {
                    let limit = [Term::atom("error"), Term::atom("system_limit")];
                    reply = caller.reply(Term::tuple(limit));
                }
                self.send(Served::Echo, caller.to, reply);
            }
            Incoming::System(caller) => self.refuse(Served::Echo, &caller),
            Incoming::Cast(_) => {}
            Incoming::Info(message) => {
                if let Some([Term::Pid(from), message]) = message.as_tuple() {
                    let to = Address::Pid(Pid::clone(from));
                    let echo = Term::tuple([Term::atom("echo"), message.clone()]);
                    self.send(Served::Echo, to, echo);
                }
            }
        }
    }

    /// Answers a call that `served` does not understand.
    pub(super) fn refuse(&mut self, served: Served, caller: &Caller) {
        self.send(served, caller.to.clone(), caller.reply(not_served()));
    }
}
