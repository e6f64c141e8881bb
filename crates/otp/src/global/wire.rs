//! The words of `global`.

use enmesh_term::{Atom, Pid, Reference, Term};

use crate::effect::Address;

/// The version that OTP 25 to 29 speak. Older ones are not answered.
pub(super) const VERSION: i64 = 8;

/// A key in the map of known nodes of `init_connect`, and the last part of `in_sync`: OTP looks at
/// neither, and by it members know each other from BEAM nodes.
const MARK: &str = "enmesh";

/// Who waits for the reply to a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Caller {
    pub(super) pid: Pid,
    to: Address,
    tag: Term,
}

impl Caller {
    /// gen.erl: the tag is `[alias|Alias]` or, from `gen_server:multi_call` of OTP 27,
    /// `[[alias|Alias]|Monitor]`; the reply then goes to the alias. Else it goes to the process.
    pub(super) fn parse(from: &Term) -> Option<Self> {
        let [Term::Pid(pid), tag] = from.as_tuple()? else {
            return None;
        };
        let to = match alias_of(tag) {
            Some(alias) => Address::Alias(alias),
            None => Address::Pid(Pid::clone(pid)),
        };
        Some(Self {
            pid: Pid::clone(pid),
            to,
            tag: tag.clone(),
        })
    }

    /// The reply, and where it goes.
    pub(super) fn reply(&self, reply: Term) -> (Address, Term) {
        (self.to.clone(), Term::tuple([self.tag.clone(), reply]))
    }
}

fn alias_of(tag: &Term) -> Option<Reference> {
    let aliased = |tag: &Term| match tag {
        Term::ImproperList(head, tail) => match (&head[..], tail.as_ref()) {
            ([word], Term::Reference(alias)) if word.is_atom("alias") => Some(alias.clone()),
            _ => None,
        },
        _ => None,
    };
    let nested = |tag: &Term| match tag {
        Term::ImproperList(head, _) => head.first().and_then(aliased),
        _ => None,
    };
    aliased(tag).or_else(|| nested(tag))
}

/// The server of a node.
pub(super) fn server_of(node: &Atom) -> Address {
    Address::Name {
        name: Atom::from_static("global_name_server"),
        node: node.clone(),
    }
}

pub(super) fn cast(message: Term) -> Term {
    Term::tuple([Term::atom("$gen_cast"), message])
}

/// Nodes with the version that each speaks.
pub(super) fn node_versions<'a>(nodes: impl Iterator<Item = (&'a Atom, &'a i64)>) -> Term {
    let pair = |(node, version): (&Atom, &i64)| {
        Term::tuple([Term::Atom(node.clone()), Term::Int(*version)])
    };
    Term::List(nodes.map(pair).collect())
}

pub(super) fn mark() -> Term {
    Term::atom(MARK)
}

/// Known nodes as `init_connect` lists them, marked as a member's.
pub(super) fn marked<'a>(nodes: impl Iterator<Item = &'a Atom>) -> Term {
    let nodes = nodes.map(|node| (Term::Atom(node.clone()), Term::Int(VERSION)));
    Term::map(nodes.chain([(mark(), Term::Int(VERSION))]))
}

/// Whether a map of known nodes is a member's.
pub(super) fn is_marked(known: &Term) -> bool {
    matches!(known, Term::Map(pairs) if pairs.iter().any(|(key, _)| key.is_atom(MARK)))
}

/// The nodes of a list of names, with versions or without.
pub(super) fn parse_nodes(list: &Term) -> Vec<(Atom, i64)> {
    let list = list.as_list().unwrap_or_default();
    let parse = |term: &Term| match term {
        Term::Atom(node) => Some((node.clone(), 0)),
        Term::Tuple(parts) => match &parts[..] {
            [Term::Atom(node), Term::Int(version)] => Some((node.clone(), *version)),
            _ => None,
        },
        _ => None,
    };
    list.iter().filter_map(parse).collect()
}

/// The value of a key in a list of pairs.
pub(super) fn value_of<'a>(list: &'a Term, key: &str) -> Option<&'a Term> {
    let pairs = list.as_list()?.iter();
    let mut pairs = pairs.filter_map(Term::as_tuple);
    pairs.find_map(|pair| match pair {
        [found, value] if found.is_atom(key) => Some(value),
        _ => None,
    })
}
