//! What the scope processes of nodes say to each other.

use enmesh_term::{Atom, Pid, Term};

/// A message from a peer's scope process, whose pid is on the node that sent it.
#[derive(Debug)]
pub(super) struct Said<'a> {
    /// The peer's scope process.
    pub(super) peer: &'a Pid,
    /// What it says.
    pub(super) what: What<'a>,
}

/// What is said.
#[derive(Debug)]
pub(super) enum What<'a> {
    /// Whoever serves this scope, tell me your groups.
    Discover,
    /// These are all of my groups with their members.
    Sync(Vec<(&'a Term, &'a Term)>),
    /// A process, or several of them, joined.
    Join { group: &'a Term, pids: &'a Term },
    /// A process, or several of them, left each of these groups.
    Leave { pids: &'a Term, groups: &'a [Term] },
    /// pg of OTP 29: `{Group, Joined, Left}` each.
    Update(&'a [Term]),
}

impl<'a> Said<'a> {
    /// What `message` of `node` says; `None` for what is none of pg's, or speaks for another node.
    pub(super) fn parse(node: &Atom, message: &'a Term) -> Option<Self> {
        let (cast, parts) = match message.as_tuple()? {
            [word, inner] if word.is_atom("$gen_cast") => (true, inner.as_tuple()?),
            parts => (false, parts),
        };
        let [Term::Atom(word), Term::Pid(peer), rest @ ..] = parts else {
            return None;
        };
        if peer.node() != node {
            return None;
        }
        let what = match (cast, word.as_str(), rest) {
            // OTP 27 and later say a version behind; version 0 is spoken to all of them.
            (false, "discover", [] | [Term::Int(_)]) => What::Discover,
            (true, "sync", [Term::List(groups)]) => What::Sync(pairs(groups)),
            (true, "local_data", [_version, Term::Map(groups)]) => {
                What::Sync(groups.iter().map(|(group, pids)| (group, pids)).collect())
            }
            (false, "join", [group, pids]) => What::Join { group, pids },
            (false, "leave", [pids, Term::List(groups)]) => What::Leave { pids, groups },
            (false, "update", [Term::List(changes)]) => What::Update(changes),
            _ => return None,
        };
        Some(Self { peer, what })
    }
}

fn pairs(list: &[Term]) -> Vec<(&Term, &Term)> {
    let pairs = list.iter().filter_map(|pair| match pair.as_tuple()? {
        [group, pids] => Some((group, pids)),
        _ => None,
    });
    pairs.collect()
}

/// The pids in a pid or a list of pids that are of `node`; all others are no business of its scope
/// process.
pub(super) fn pids_of<'a>(node: &'a Atom, pids: &'a Term) -> impl Iterator<Item = &'a Pid> {
    let list = match pids {
        Term::List(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let pids = list.iter().filter_map(Term::as_pid);
    pids.filter(move |pid| pid.node() == node)
}

/// `{discover, Peer}`: version 0, because pg of OTP 25 dies of a version.
pub(super) fn discover(own: &Pid) -> Term {
    Term::tuple([Term::atom("discover"), own.clone().into()])
}

/// The cast `{sync, Peer, Groups}`.
pub(super) fn sync<'a>(own: &Pid, groups: impl Iterator<Item = (&'a Term, Vec<Pid>)>) -> Term {
    let groups = groups.map(|(group, pids)| Term::tuple([group.clone(), pid_list(pids)]));
    let groups = Term::List(groups.collect());
    let sync = Term::tuple([Term::atom("sync"), own.clone().into(), groups]);
    Term::tuple([Term::atom("$gen_cast"), sync])
}

/// `{join, Peer, Group, Pid}`.
pub(super) fn join(own: &Pid, group: &Term, pid: &Pid) -> Term {
    let (own, pid) = (Term::from(own.clone()), Term::from(pid.clone()));
    Term::tuple([Term::atom("join"), own, group.clone(), pid])
}

/// `{leave, Peer, Pid, Groups}`; a group stands in it as often as the process leaves it.
pub(super) fn leave(own: &Pid, pid: &Pid, groups: Vec<Term>) -> Term {
    let (own, pid) = (Term::from(own.clone()), Term::from(pid.clone()));
    Term::tuple([Term::atom("leave"), own, pid, Term::List(groups)])
}

fn pid_list(pids: Vec<Pid>) -> Term {
    Term::List(pids.into_iter().map(Term::from).collect())
}
