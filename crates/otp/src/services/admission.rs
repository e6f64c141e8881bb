//! Requests to run something here.

use enmesh_term::{Atom, Term};

use crate::kernel::MAX_PAYLOAD;
use crate::services::apply::Applied;
use crate::services::jobs::{Frame, Purpose};
use crate::services::outcome::bad_rpc;
use crate::services::{Cluster, JobId, JobOutcome, Life, ServiceAction, Services};

/// The answer to who wants a process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Admission {
    /// There will be none; the atom is what the requester gets instead.
    Refused(Atom),
    /// There is one.
    Admitted(Life),
}

impl Services {
    /// Lets a process in that is to run `module:function` on `args`, for the node `caller`.
    ///
    /// As a BEAM does, an unknown function is let in and ends at once with `undef`.
    pub(crate) fn admit(
        &mut self,
        cluster: &Cluster<'_>,
        module: &Atom,
        function: &Atom,
        args: Term,
        caller: &Atom,
    ) -> Admission {
        let (purpose, [module, function, args]) = purpose(module, function, args);
        self.begin(cluster, purpose, [&module, &function], args, caller)
    }

    /// Begins to run `module:function(args)`.
    pub(super) fn begin(
        &mut self,
        cluster: &Cluster<'_>,
        purpose: Purpose,
        [module, function]: [&Term; 2],
        args: Term,
        caller: &Atom,
    ) -> Admission {
        match self.apply(cluster, module, function, args) {
            Applied::Ended(frame, outcome) => {
                let reason = self.conclude(&purpose, &frame, outcome);
                Admission::Admitted(Life::Ends(reason))
            }
            Applied::Calls(_, _) if self.jobs.is_full() => {
                Admission::Refused(Atom::from_static("system_limit"))
            }
            Applied::Calls(frame, args) => {
                let (module, function) = (frame.module.clone(), frame.function.clone());
                let job = self.jobs.start(purpose, frame);
                let caller = caller.clone();
                self.actions.push_back(ServiceAction::Start {
                    job,
                    module,
                    function,
                    args,
                    caller,
                });
                Admission::Admitted(Life::Runs(job))
            }
        }
    }

    /// Takes the end of a function; the reason with which its process ends. A job that was
    /// forgotten has none: its process is dead, and the reason means nothing; but now there is
    /// room for another one.
    pub(crate) fn handle_job(&mut self, job: JobId, outcome: JobOutcome) -> Term {
        match self.jobs.end(job) {
            Some((purpose, frame)) => self.conclude(&purpose, &frame, outcome),
            None => Term::atom("normal"),
        }
    }

    /// Ends a job whose process was killed, or for which nobody waits. It counts among those that
    /// run until [`Services::handle_job`].
    pub(crate) fn forget_job(&mut self, job: JobId) {
        if self.jobs.abort(job) {
            self.actions.push_back(ServiceAction::Abort(job));
        }
    }

    fn conclude(&mut self, purpose: &Purpose, frame: &Frame, outcome: JobOutcome) -> Term {
        if let Purpose::RexCall(caller) = purpose {
            let mut reply = caller.reply(outcome.rex_reply(frame));
            if is_too_long(&reply) {
                reply = caller.reply(bad_rpc(Term::atom("system_limit")));
            }
            self.send(super::Served::Rex, caller.to.clone(), reply);
            return Term::atom("normal");
        }
        outcome.exit_reason(purpose, frame)
    }
}

/// Whether a message is longer than any link takes.
pub(super) fn is_too_long(message: &Term) -> bool {
    // An atom of 255 characters takes 32 times more on the wire than here, and nothing takes more;
    // so nearly nothing need be encoded to know.
    message.weight() > MAX_PAYLOAD / 64 && enmesh_term::encode_bare(message).len() > MAX_PAYLOAD
}

/// What `module:function(args)` is run for, and what is to be run in the end.
///
/// erpc.erl: `execute_call` and `execute_cast` run on every node and apply what their arguments
/// name.
fn purpose(module: &Atom, function: &Atom, args: Term) -> (Purpose, [Term; 3]) {
    let own = |args| [module.clone().into(), function.clone().into(), args];
    let Term::List(parts) = args else {
        return (Purpose::Process, own(args));
    };
    if module != "erpc" {
        return (Purpose::Process, own(Term::List(parts)));
    }
    match (function.as_str(), <[Term; 4]>::try_from(parts)) {
        ("execute_call", Ok([mark, module, function, args])) => {
            (Purpose::ErpcCall { mark }, [module, function, args])
        }
        (_, Ok(parts)) => (Purpose::Process, own(Term::List(parts.into()))),
        ("execute_cast", Err(parts)) => match <[Term; 3]>::try_from(parts) {
            Ok(call) => (Purpose::ErpcCast, call),
            Err(parts) => (Purpose::Process, own(Term::List(parts))),
        },
        (_, Err(parts)) => (Purpose::Process, own(Term::List(parts))),
    }
}
