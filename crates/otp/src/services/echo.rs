//! `echo`, for trying things out.

use enmesh_term::{Pid, Term};

use crate::effect::Address;
use crate::services::gen_call::{Caller, Incoming, not_served};
use crate::services::{Served, Services};

impl Services {
    /// `{From, Msg}` is answered with `{echo, Msg}` to From, a call with its request; a cast is
    /// taken.
    pub(super) fn echo(&mut self, message: &Term) {
        match Incoming::of(message) {
            Incoming::Call(caller, request) => {
                let reply = caller.reply(request.clone());
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
