//! The functions of a BEAM that every node is asked for.

use enmesh_term::{Atom, Term};

use crate::services::apply::bad_argument;
use crate::services::{Cluster, JobOutcome};

/// The release that we say we are: the oldest whose promises to its neighbours we keep, so that
/// nobody expects what only a later one has.
const OTP_RELEASE: &str = "25";

/// How `module:function(args)` ends if it is built in.
pub(super) fn built_in(
    cluster: &Cluster<'_>,
    module: &Atom,
    function: &Atom,
    args: &[Term],
) -> Option<JobOutcome> {
    let value = match (module.as_str(), function.as_str(), args) {
        ("erlang", "node", []) => Some(cluster.node.clone().into()),
        ("erlang", "nodes", []) => Some(atoms(cluster.visible)),
        ("erlang", "nodes", [which]) => nodes(cluster, which),
        ("erlang", "system_info", [item]) => item
            .is_atom("otp_release")
            .then(|| Term::charlist(OTP_RELEASE)),
        ("net_kernel", "get_net_ticktime", []) => Some(seconds(cluster)),
        // Of modules that it has not, a BEAM says so. A remote shell asks for `shell` first, and
        // gives up in good order on this answer alone.
        ("code", "ensure_loaded", [Term::Atom(_)]) => {
            Some(Term::tuple([Term::atom("error"), Term::atom("nofile")]))
        }
        _ => return None,
    };
    Some(match value {
        Some(value) => JobOutcome::Returned(value),
        None => bad_argument(module, function, args.to_vec()),
    })
}

/// `erlang:nodes/1`: of one kind of node, or of all that are of one of several kinds.
fn nodes(cluster: &Cluster<'_>, which: &Term) -> Option<Term> {
    let own = std::slice::from_ref(cluster.node);
    let kinds = match which {
        Term::List(kinds) => kinds.as_slice(),
        kind => std::slice::from_ref(kind),
    };
    let (mut this, mut visible, mut hidden) = (false, false, false);
    for kind in kinds {
        match kind.as_atom()?.as_str() {
            "this" => this = true,
            "visible" => visible = true,
            "hidden" => hidden = true,
            "connected" => (visible, hidden) = (true, true),
            "known" => (this, visible, hidden) = (true, true, true),
            _ => return None,
        }
    }
    let chosen = [
        (this, own),
        (visible, cluster.visible),
        (hidden, cluster.hidden),
    ];
    let chosen = chosen.into_iter().filter(|(wanted, _)| *wanted);
    let names = chosen.flat_map(|(_, names)| names).cloned();
    Some(Term::List(names.map(Term::Atom).collect()))
}

fn atoms(names: &[Atom]) -> Term {
    Term::List(names.iter().cloned().map(Term::Atom).collect())
}

/// Whole seconds, rounded up: a BEAM knows no others.
fn seconds(cluster: &Cluster<'_>) -> Term {
    let seconds = cluster.net_ticktime.as_millis().div_ceil(1_000);
    Term::Int(i64::try_from(seconds).unwrap_or(i64::MAX))
}
