//! Which function a module, a name and arguments mean.

use enmesh_term::{Atom, Term};

use crate::global::resolve_it;
use crate::services::builtins::built_in;
use crate::services::jobs::Frame;
use crate::services::{Cluster, JobOutcome, ServiceAction, Services};

/// How deep `erlang:apply` may be wrapped in itself; beyond it is an unknown function.
const MAX_APPLY: usize = 16;

/// The longest arguments, in bytes of memory, that are shown in a stack.
const MAX_SHOWN: usize = 64 << 10;

/// What becomes of a function.
#[derive(Debug)]
pub(super) enum Applied {
    /// It has ended already: it is built in, or there is none.
    Ended(Frame, JobOutcome),
    /// The user's function runs on these arguments.
    Calls(Frame, Vec<Term>),
}

impl Services {
    /// Applies `module:function` to `args`.
    pub(super) fn apply(
        &mut self,
        cluster: &Cluster<'_>,
        module: &Term,
        function: &Term,
        args: Term,
    ) -> Applied {
        let (mut module, mut function, mut args) = (module.clone(), function.clone(), args);
        for _ in 0..MAX_APPLY {
            let (Term::Atom(m), Term::Atom(f), Term::List(list)) = (&module, &function, &mut args)
            else {
                return bad_arguments([module, function, short(args)]);
            };
            if self.is_defined(m, f) {
                return Applied::Calls(frame(m, f, list.len()), std::mem::take(list));
            }
            if let Some(outcome) = built_in(cluster, m, f, list) {
                return Applied::Ended(frame(m, f, list.len()), outcome);
            }
            if (m.as_str(), f.as_str()) == ("global", "resolve_it")
                && let Some((answer, effects)) = resolve_it(&self.pids.net_kernel, list)
            {
                let effects = effects.into_iter().map(ServiceAction::Effect);
                self.actions.extend(effects);
                let outcome = JobOutcome::Returned(answer);
                return Applied::Ended(frame(m, f, list.len()), outcome);
            }
            match (m.as_str(), f.as_str(), list.as_mut_slice()) {
                ("erlang", "apply", [inner_module, inner_function, inner_args]) => {
                    let inner = [inner_module, inner_function, inner_args];
                    [module, function, args] = inner.map(take);
                }
                ("erlang", "apply", [Term::Export(export), inner_args])
                    if arity_is(inner_args, export.arity()) =>
                {
                    let (inner_module, inner_function) = (export.module(), export.function());
                    module = inner_module.clone().into();
                    function = inner_function.clone().into();
                    args = take(inner_args);
                }
                // error_handler.erl, `undefined_lambda/3`: the closure of a module that is not
                // here.
                ("erlang", "apply", [fun @ Term::Fun(_), inner_args @ Term::List(_)]) => {
                    let call = [fun.clone(), short(take(inner_args)), Term::nil()];
                    let call = Term::tuple(call);
                    return undefined(m, f, Term::List(vec![call]));
                }
                _ => break,
            }
        }
        let (Term::Atom(m), Term::Atom(f)) = (&module, &function) else {
            return bad_arguments([module, function, short(args)]);
        };
        let call = [module.clone(), function.clone(), short(args), Term::nil()];
        undefined(m, f, Term::List(vec![Term::tuple(call)]))
    }

    fn is_defined(&self, module: &Atom, function: &Atom) -> bool {
        let functions = self.defined.get(module);
        functions.is_some_and(|functions| functions.contains(function))
    }
}

fn take(term: &mut Term) -> Term {
    std::mem::replace(term, Term::nil())
}

/// Arguments as they stand in a stack: if they are long, their number, as in most stacks.
fn short(args: Term) -> Term {
    match args.as_list() {
        Some(list) if args.weight() > MAX_SHOWN => {
            Term::Int(i64::try_from(list.len()).unwrap_or(i64::MAX))
        }
        _ => args,
    }
}

/// `undef` with this stack.
fn undefined(module: &Atom, function: &Atom, stack: Term) -> Applied {
    let reason = Term::atom("undef");
    Applied::Ended(
        frame(module, function, 0),
        JobOutcome::Failed { reason, stack },
    )
}

/// What `apply/3` does with what is no function's name or no list of arguments.
fn bad_arguments(call: [Term; 3]) -> Applied {
    let (erlang, apply) = (Atom::from_static("erlang"), Atom::from_static("apply"));
    let failed = bad_argument(&erlang, &apply, call.to_vec());
    Applied::Ended(frame(&erlang, &apply, call.len()), failed)
}

/// `badarg` of `module:function(args)`.
pub(super) fn bad_argument(module: &Atom, function: &Atom, args: Vec<Term>) -> JobOutcome {
    let call = [
        module.clone().into(),
        function.clone().into(),
        Term::List(args),
        Term::nil(),
    ];
    JobOutcome::Failed {
        reason: Term::atom("badarg"),
        stack: Term::List(vec![Term::tuple(call)]),
    }
}

fn frame(module: &Atom, function: &Atom, arity: usize) -> Frame {
    Frame {
        module: module.clone(),
        function: function.clone(),
        arity,
    }
}

fn arity_is(args: &Term, arity: u8) -> bool {
    args.as_list()
        .is_some_and(|list| list.len() == usize::from(arity))
}
