//! The process that follows the node from within, and what it tells us.

use enmesh::{Atom, Change, Connected, DownReason, NodeName, Pid, Term};

/// How the names of agents begin.
pub(crate) const PREFIX: &str = "enmesh-agent-";

/// How the names of those begin that are no peers of anybody's: agents, and the short visits of
/// other commands of ours.
const NO_PEERS: [&str; 2] = [PREFIX, "enmesh-visit-"];

/// What the process in the node does, in Erlang.
pub(crate) const SOURCE: &str = include_str!("follower.erl");

/// The variables that it begins with, for `erl_eval`.
pub(crate) fn bindings(agent: &Pid) -> Term {
    let pair = |name, value| Term::tuple([Term::atom(name), value]);
    Term::list([
        pair("Agent", agent.clone().into()),
        pair("Prefixes", Term::list(NO_PEERS.map(Term::charlist))),
    ])
}

/// What the process has told us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// What happened to the node's links.
    Change(Change),
    /// All that was told before this request.
    Synced(i64),
    /// Another agent steers the node: the name of that one's own node.
    Taken(String),
}

/// Reads a message of the process; `None` if it is none, or of something that is no node's name.
pub(crate) fn heard(message: &Term) -> Option<Heard> {
    let [tag, what] = message.as_tuple()? else {
        return None;
    };
    if !tag.is_atom("enmesh_agent") {
        return None;
    }
    if what.is_atom("leave") {
        return Some(Heard::Change(Change::Leaving));
    }
    let parts = what.as_tuple()?;
    match (parts.first()?.as_atom()?.as_str(), parts) {
        ("everybody", [_, present]) => {
            let present = present.as_list()?.iter().filter_map(|item| {
                let [name, info] = item.as_tuple()? else {
                    return None;
                };
                connected(name, info)
            });
            Some(Heard::Change(Change::Everybody(present.collect())))
        }
        ("up", [_, name, info]) => Some(Heard::Change(Change::Up(connected(name, info)?))),
        ("down", [_, name, info]) => Some(Heard::Change(Change::Down {
            name: node_name(name)?,
            connection: connection(info),
            reason: reason(look_up(info, "nodedown_reason")),
        })),
        ("synced", [_, number]) => Some(Heard::Synced(number.as_int()?)),
        ("taken", [_, other]) => {
            let other = other.as_atom().map_or("unknown", Atom::as_str);
            Some(Heard::Taken(other.to_owned()))
        }
        _ => None,
    }
}

fn connected(name: &Term, info: &Term) -> Option<Connected> {
    let mut peer = Connected::new(node_name(name)?);
    peer.visible = !look_up(info, "node_type").is_some_and(|it| it.is_atom("hidden"));
    peer.connection = connection(info);
    Some(peer)
}

fn node_name(name: &Term) -> Option<NodeName> {
    name.as_atom()?.as_str().parse().ok()
}

fn connection(info: &Term) -> Option<u64> {
    let number = look_up(info, "connection_id")?.as_int()?;
    u64::try_from(number).ok()
}

/// A value in what `net_kernel` tells of a node: a map or a list of pairs.
fn look_up<'a>(info: &'a Term, key: &'static str) -> Option<&'a Term> {
    if let Some(pairs) = info.as_map() {
        return pairs
            .iter()
            .find(|(name, _)| name.is_atom(key))
            .map(|(_, value)| value);
    }
    info.as_list()?
        .iter()
        .find_map(|pair| match pair.as_tuple()? {
            [name, value] if name.is_atom(key) => Some(value),
            _ => None,
        })
}

/// What `net_kernel` says, in our own words.
fn reason(term: Option<&Term>) -> DownReason {
    let word = term.and_then(Term::as_atom).map_or("", Atom::as_str);
    match word {
        "disconnect" => DownReason::Disconnect,
        "net_tick_timeout" => DownReason::NetTickTimeout,
        "killed" => DownReason::BadData,
        "shutdown" | "net_kernel_terminated" => DownReason::Shutdown,
        _ => DownReason::ConnectionClosed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn say(what: Term) -> Term {
        Term::tuple([Term::atom("enmesh_agent"), what])
    }

    fn pair(key: &'static str, value: impl Into<Term>) -> Term {
        Term::tuple([Term::atom(key), value.into()])
    }

    fn node(name: &'static str) -> Term {
        Term::atom(name)
    }

    #[test]
    fn both_forms_of_what_is_known_of_a_node_are_read() {
        let map = Term::map([
            (Term::atom("connection_id"), Term::Int(7)),
            (Term::atom("node_type"), Term::atom("hidden")),
        ]);
        let list = Term::list([
            pair("connection_id", Term::Int(7)),
            pair("node_type", Term::atom("hidden")),
        ]);
        let wanted = Connected {
            name: "b@h".parse().unwrap(),
            creation: None,
            connection: Some(7),
            visible: false,
        };
        for info in [map, list] {
            let up = say(Term::tuple([Term::atom("up"), node("b@h"), info.clone()]));
            let change = Change::Up(wanted.clone());
            assert_eq!(heard(&up), Some(Heard::Change(change)));
            let present = Term::list([Term::tuple([node("b@h"), info])]);
            let everybody = say(Term::tuple([Term::atom("everybody"), present]));
            let change = Change::Everybody(vec![wanted.clone()]);
            assert_eq!(heard(&everybody), Some(Heard::Change(change)));
        }
    }

    #[test]
    fn reasons_of_net_kernel_become_ours() {
        let check = |word: &'static str, wanted: DownReason| {
            let info = Term::list([pair("nodedown_reason", Term::atom(word))]);
            let down = say(Term::tuple([Term::atom("down"), node("b@h"), info]));
            let Some(Heard::Change(Change::Down { reason, .. })) = heard(&down) else {
                panic!("{word} is not heard");
            };
            assert_eq!(reason, wanted);
        };
        check("connection_closed", DownReason::ConnectionClosed);
        check("disconnect", DownReason::Disconnect);
        check("net_tick_timeout", DownReason::NetTickTimeout);
        check("whatever_comes", DownReason::ConnectionClosed);
    }

    #[test]
    fn the_rest_is_heard_too() {
        let leave = say(Term::atom("leave"));
        assert_eq!(heard(&leave), Some(Heard::Change(Change::Leaving)));
        let taken = say(pair("taken", Term::atom("enmesh-agent-1@h")));
        let other = "enmesh-agent-1@h".to_owned();
        assert_eq!(heard(&taken), Some(Heard::Taken(other)));
        assert_eq!(
            heard(&say(pair("synced", Term::Int(3)))),
            Some(Heard::Synced(3))
        );
    }

    fn any_term() -> impl Strategy<Value = Term> {
        let words = [
            "enmesh_agent",
            "up",
            "down",
            "everybody",
            "b@h",
            "node_type",
            "synced",
            "x",
        ];
        let leaf = prop_oneof![
            proptest::sample::select(words.to_vec()).prop_map(Term::atom),
            any::<i64>().prop_map(Term::Int),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Term::Tuple),
                proptest::collection::vec(inner, 0..4).prop_map(Term::List),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_is_heard_or_not(term in any_term()) {
            let _ = heard(&term);
            let _ = heard(&say(term));
        }
    }
}
