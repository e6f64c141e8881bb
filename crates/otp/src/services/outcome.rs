//! How functions end, and how that is told in Erlang's words.

use enmesh_term::Term;

use crate::JobOutcome;
use crate::services::jobs::{Frame, Purpose};

impl JobOutcome {
    /// The reason with which a process ends whose function ended so.
    pub(super) fn exit_reason(self, purpose: &Purpose, frame: &Frame) -> Term {
        match purpose {
            Purpose::ErpcCall { mark } => self.of_erpc_call(mark.clone(), frame),
            Purpose::ErpcCast => self.of_erpc_cast(frame),
            Purpose::Process | Purpose::RexCall(_) | Purpose::RexCast => self.of_process(frame),
        }
    }

    /// What the caller of `rex` gets: `rpc:execute_call/3`.
    pub(super) fn rex_reply(self, frame: &Frame) -> Term {
        let reason = match self {
            Self::Returned(value) | Self::Threw(value) => return value,
            Self::Exited(reason) => reason,
            Self::Failed { reason, stack } => Term::tuple([reason, frame.or_stack(stack)]),
            Self::Panicked(text) => Term::tuple([panic(&text), frame.stack()]),
        };
        bad_rpc(reason)
    }

    fn of_process(self, frame: &Frame) -> Term {
        match self {
            Self::Returned(_) => Term::atom("normal"),
            Self::Exited(reason) => reason,
            Self::Threw(value) => {
                let reason = Term::tuple([Term::atom("nocatch"), value]);
                Term::tuple([reason, frame.stack()])
            }
            Self::Failed { reason, stack } => Term::tuple([reason, frame.or_stack(stack)]),
            Self::Panicked(text) => panic(&text),
        }
    }

    /// erpc.erl, `execute_call/4`.
    fn of_erpc_call(self, mark: Term, frame: &Frame) -> Term {
        match self {
            Self::Returned(value) => Term::tuple([mark, Term::atom("return"), value]),
            Self::Threw(value) => Term::tuple([mark, Term::atom("throw"), value]),
            Self::Exited(reason) => Term::tuple([mark, Term::atom("exit"), reason]),
            Self::Failed { reason, stack } => {
                Term::tuple([mark, Term::atom("error"), reason, frame.or_stack(stack)])
            }
            Self::Panicked(text) => {
                Term::tuple([mark, Term::atom("error"), panic(&text), frame.stack()])
            }
        }
    }

    /// erpc.erl, `execute_cast/3`: an error is wrapped, everything else is as in any process.
    fn of_erpc_cast(self, frame: &Frame) -> Term {
        let (reason, stack) = match self {
            Self::Failed { reason, stack } => (reason, frame.or_stack(stack)),
            Self::Panicked(text) => (panic(&text), frame.stack()),
            other => return other.of_process(frame),
        };
        let exception = Term::tuple([Term::atom("exception"), Term::tuple([reason, stack])]);
        let frame = [
            Term::atom("erpc"),
            Term::atom("execute_cast"),
            Term::Int(3),
            Term::nil(),
        ];
        Term::tuple([exception, Term::List(vec![Term::tuple(frame)])])
    }
}

impl Frame {
    /// `[{M, F, Arity, []}]`.
    fn stack(&self) -> Term {
        let arity = i64::try_from(self.arity).unwrap_or(i64::MAX);
        let (module, function) = (self.module.clone(), self.function.clone());
        let frame = [module.into(), function.into(), arity.into(), Term::nil()];
        Term::List(vec![Term::tuple(frame)])
    }

    fn or_stack(&self, stack: Term) -> Term {
        match stack {
            Term::List(frames) if frames.is_empty() => self.stack(),
            stack => stack,
        }
    }
}

/// `{badrpc, {'EXIT', Reason}}`.
pub(super) fn bad_rpc(reason: Term) -> Term {
    let exit = Term::tuple([Term::atom("EXIT"), reason]);
    Term::tuple([Term::atom("badrpc"), exit])
}

fn panic(text: &str) -> Term {
    Term::tuple([Term::atom("panic"), Term::binary(text)])
}
