//! What becomes of two processes that have the same name when partitions merge.

use enmesh_term::{Atom, Export, Pid, Term};

use crate::effect::{Address, Effect};

/// The methods of OTP's `global` that need no code of the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    RandomExit,
    RandomNotify,
    NotifyAll,
}

/// How our own names are registered: the process on the greater node is killed.
pub(super) fn default_method() -> Term {
    let function = Atom::from_static("random_exit_name");
    Term::Export(Export::new(Atom::from_static("global"), function, 3))
}

/// What was decided about a clash.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Settled {
    Keep(Pid),
    /// Nobody keeps the name.
    Nobody,
}

/// Settles a clash by a method that we can run, wherever the two processes are; `None` for others.
pub(super) fn settle(
    by: &Pid,
    method: &Term,
    name: &Term,
    pids: (&Pid, &Pid),
) -> Option<(Settled, Vec<Effect>)> {
    let method = parse(method)?;
    let (less, greater) = if pids.0.node() < pids.1.node() {
        pids
    } else {
        (pids.1, pids.0)
    };
    let tell = |to: &Pid, more: Option<&Pid>| {
        let mut parts = vec![Term::atom("global_name_conflict"), name.clone()];
        parts.extend(more.map(|pid| Term::from(pid.clone())));
        Effect::Send {
            from: by.clone(),
            to: Address::Pid(to.clone()),
            message: Term::Tuple(parts),
        }
    };
    Some(match method {
        Method::RandomExit => {
            let kill = Effect::Exit {
                from: by.clone(),
                to: greater.clone(),
                reason: Term::atom("kill"),
            };
            (Settled::Keep(less.clone()), vec![kill])
        }
        Method::RandomNotify => (Settled::Keep(less.clone()), vec![tell(greater, None)]),
        Method::NotifyAll => {
            let both = vec![tell(pids.0, Some(pids.1)), tell(pids.1, Some(pids.0))];
            (Settled::Nobody, both)
        }
    })
}

/// `global:resolve_it/4`, which another node asks of the node of one of two processes with the
/// same name: `args` are the method, the name and the two. The answer, and what it needs done;
/// `None` if the arguments or the method are not ones that we can run.
///
/// A closure of the module `global` is taken for its default method: nothing in it says which of
/// its functions it is, and that is the one that `global:register_name/2` passes.
pub(crate) fn resolve_it(by: &Pid, args: &[Term]) -> Option<(Term, Vec<Effect>)> {
    let [method, name, Term::Pid(a), Term::Pid(b)] = args else {
        return None;
    };
    let method = runnable(method);
    let (settled, effects) = settle(by, &method, name, (a, b))?;
    let answer = match settled {
        Settled::Keep(pid) => pid.into(),
        Settled::Nobody => Term::atom("none"),
    };
    Some((answer, effects))
}

/// The method as one that runs on its own node: see [`resolve_it`].
pub(super) fn runnable(method: &Term) -> Term {
    match method {
        Term::Fun(fun) if fun.module().as_str() == "global" => default_method(),
        other => other.clone(),
    }
}

fn parse(method: &Term) -> Option<Method> {
    let (module, function) = match method {
        Term::Export(export) if export.arity() == 3 => (export.module(), export.function()),
        Term::Tuple(parts) => match &parts[..] {
            [Term::Atom(module), Term::Atom(function)] => (module, function),
            _ => return None,
        },
        _ => return None,
    };
    match (module.as_str(), function.as_str()) {
        ("global", "random_exit_name") => Some(Method::RandomExit),
        ("global", "random_notify_name") => Some(Method::RandomNotify),
        ("global", "notify_all_name") => Some(Method::NotifyAll),
        _ => None,
    }
}
