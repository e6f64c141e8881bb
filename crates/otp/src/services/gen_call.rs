//! The messages of `gen`: calls, casts and system requests, as every OTP process takes them.

use enmesh_term::{Pid, Reference, Term};

use crate::effect::Address;

/// What a message to a service is.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    /// A call that waits for an answer.
    Call(Caller, &'a Term),
    /// A question of `sys`, which waits for an answer too.
    System(Caller),
    /// A cast.
    Cast(&'a Term),
    /// Any other message.
    Info(&'a Term),
}

/// Who waits for a reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Caller {
    /// The process that called.
    pub(crate) pid: Pid,
    /// Where the reply goes.
    pub(crate) to: Address,
    /// What must stand in the reply verbatim.
    pub(crate) tag: Term,
}

impl<'a> Incoming<'a> {
    /// What `message` is; a call from nobody is a message like any other.
    pub(crate) fn of(message: &'a Term) -> Self {
        let parts = message.as_tuple().unwrap_or_default();
        match parts {
            [word, from, request] if word.is_atom("$gen_call") => match Caller::of(from) {
                Some(caller) => Self::Call(caller, request),
                None => Self::Info(message),
            },
            [word, from, _request] if word.is_atom("system") => match Caller::of(from) {
                Some(caller) => Self::System(caller),
                None => Self::Info(message),
            },
            [word, request] if word.is_atom("$gen_cast") => Self::Cast(request),
            _ => Self::Info(message),
        }
    }
}

impl Caller {
    /// The caller that the `From` of a call names.
    ///
    /// gen.erl: the tag is `[alias|Alias]` or, from `gen_server:multi_call` of OTP 27,
    /// `[[alias|Alias]|Monitor]`; the reply then goes to the alias. In every other form it goes to
    /// the process.
    pub(crate) fn of(from: &Term) -> Option<Self> {
        let [Term::Pid(pid), tag] = from.as_tuple()? else {
            return None;
        };
        let pid = Pid::clone(pid);
        let to = match alias_of(tag) {
            Some(alias) => Address::Alias(alias),
            None => Address::Pid(pid.clone()),
        };
        let tag = tag.clone();
        Some(Self { pid, to, tag })
    }

    /// The message that answers the call.
    pub(crate) fn reply(&self, reply: Term) -> Term {
        Term::tuple([self.tag.clone(), reply])
    }
}

/// Takes the arguments out of `{_, Module, Function, Args, Leader}` or a tuple that goes on, which
/// is the last part of whatever asks for a function to be run.
pub(super) fn take_args(message: &mut Term) -> Term {
    if let Term::Tuple(parts) = message
        && let Some(Term::Tuple(request)) = parts.last_mut()
        && let [_, _, _, args, _, ..] = request.as_mut_slice()
    {
        return std::mem::replace(args, Term::nil());
    }
    Term::nil()
}

/// The answer to what a service does not understand: never silence, which would hang the caller.
pub(crate) fn not_served() -> Term {
    Term::tuple([Term::atom("error"), Term::atom("not_served")])
}

fn alias_of(tag: &Term) -> Option<Reference> {
    let Term::ImproperList(head, tail) = tag else {
        return None;
    };
    match (&head[..], tail.as_ref()) {
        ([inner @ Term::ImproperList(..)], Term::Reference(_)) => alias_pair(inner),
        _ => alias_pair(tag),
    }
}

/// The alias of `[alias|Alias]`.
fn alias_pair(term: &Term) -> Option<Reference> {
    let Term::ImproperList(head, tail) = term else {
        return None;
    };
    match (&head[..], tail.as_ref()) {
        ([word], Term::Reference(alias)) if word.is_atom("alias") => Some(alias.clone()),
        _ => None,
    }
}
