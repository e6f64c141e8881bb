//! What comes in for the names that a BEAM expects on every node: `net_kernel` and `rex`.

use enmesh_term::{Atom, Pid, Reference, Term};

/// A name that answers. Everything else is `noproc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// `net_kernel`: `net_adm:ping/1` asks it `is_auth`.
    NetKernel,
    /// `rex`: every node asks it for its features as soon as the link is up.
    Rex,
}

/// Where an answer goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Destination {
    Pid(Pid),
    Alias(Reference),
}

/// An answer and where it goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) to: Destination,
    pub(crate) message: Term,
}

impl Served {
    /// The service of that name.
    pub(crate) fn named(name: &Atom) -> Option<Self> {
        match name.as_str() {
            "net_kernel" => Some(Self::NetKernel),
            "rex" => Some(Self::Rex),
            _ => None,
        }
    }

    /// What `message` is answered with; `None` for what asks nothing.
    pub(crate) fn answer(self, own: &Atom, message: &Term) -> Option<Answer> {
        let parts = tuple(message)?;
        match parts {
            [tag, from, request] if is_atom(tag, "$gen_call") => {
                let (to, tag) = caller(from)?;
                let reply = self.call(request);
                Some(Answer {
                    to,
                    message: Term::tuple([tag, reply]),
                })
            }
            [from, request] if self == Self::Rex && is_atom(request, "features_request") => {
                // rpc.erl: the features of a node that serves erpc.
                let Term::Pid(pid) = from else { return None };
                let features = Term::List(vec![Term::atom("erpc")]);
                let own = Term::Atom(own.clone());
                let reply = Term::tuple([Term::atom("features_reply"), own, features]);
                Some(Answer {
                    to: Destination::Pid(Pid::clone(pid)),
                    message: reply,
                })
            }
            _ => None,
        }
    }

    /// The reply to a call; what is not served is an error, never silence.
    fn call(self, request: &Term) -> Term {
        let parts = tuple(request).unwrap_or_default();
        match (self, parts) {
            (Self::NetKernel, [tag, _node]) if is_atom(tag, "is_auth") => Term::atom("yes"),
            (Self::Rex, [tag, module, function, args, _group_leader])
                if is_atom(tag, "call") || is_atom(tag, "block_call") =>
            {
                let undef = undef(module.clone(), function.clone(), args.clone());
                let exit = Term::tuple([Term::atom("EXIT"), undef]);
                Term::tuple([Term::atom("badrpc"), exit])
            }
            _ => Term::tuple([Term::atom("error"), Term::atom("not_served")]),
        }
    }
}

/// The reason with which a call of an unknown function ends: `{undef, [{M, F, Args, []}]}`.
pub(crate) fn undef(module: Term, function: Term, args: Term) -> Term {
    Term::tuple([Term::atom("undef"), undef_stack(module, function, args)])
}

/// The stack of a call of an unknown function: `[{M, F, Args, []}]`.
pub(crate) fn undef_stack(module: Term, function: Term, args: Term) -> Term {
    Term::List(vec![Term::tuple([module, function, args, Term::nil()])])
}

/// Who waits for the reply, and the tag that must stand in it verbatim.
///
/// gen.erl: the tag is `[alias|Alias]` or, from `gen_server:multi_call` of OTP 27,
/// `[[alias|Alias]|Monitor]`; the reply then goes to the alias. In every other form it goes to
/// the process.
fn caller(from: &Term) -> Option<(Destination, Term)> {
    let [Term::Pid(pid), tag] = tuple(from)? else {
        return None;
    };
    let to = match alias_of(tag) {
        Some(alias) => Destination::Alias(alias),
        None => Destination::Pid(Pid::clone(pid)),
    };
    Some((to, tag.clone()))
}

fn alias_of(tag: &Term) -> Option<Reference> {
    let Term::ImproperList(head, tail) = tag else {
        return None;
    };
    match (&head[..], tail.as_ref()) {
        ([word], Term::Reference(alias)) if is_atom(word, "alias") => Some(alias.clone()),
        ([Term::ImproperList(head, tail)], _) => match (&head[..], tail.as_ref()) {
            ([word], Term::Reference(alias)) if is_atom(word, "alias") => Some(alias.clone()),
            _ => None,
        },
        _ => None,
    }
}

pub(crate) fn tuple(term: &Term) -> Option<&[Term]> {
    match term {
        Term::Tuple(parts) => Some(parts),
        _ => None,
    }
}

pub(crate) fn is_atom(term: &Term, name: &str) -> bool {
    matches!(term, Term::Atom(atom) if atom.as_str() == name)
}
