//! Requests to spawn a process here: refused as a BEAM refuses an unknown function.

use enmesh_term::{Atom, Term};

use crate::call::{is_atom, undef, undef_stack};

/// What the requester gets when the process that never ran has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ties {
    pub(crate) linked: bool,
    pub(crate) monitored: bool,
}

impl Ties {
    /// As they stand in the answer: 1 a link is set up, 2 a monitor is.
    pub(crate) fn bits(self) -> u32 {
        u32::from(self.linked) | u32::from(self.monitored) << 1
    }
}

/// What the options of a request ask for; `None` if a BEAM would answer `badopt`.
///
/// erlang.erl, `spawn_request/5`: `reply` and `reply_tag` stay on the requester's node, and on the
/// wire they are unknown options.
pub(crate) fn ties(options: &Term) -> Option<Ties> {
    let Term::List(options) = options else {
        return None;
    };
    let mut ties = Ties::default();
    for option in options {
        match option {
            Term::Atom(word) if word.as_str() == "link" => ties.linked = true,
            Term::Atom(word) if word.as_str() == "monitor" => ties.monitored = true,
            Term::Tuple(parts) => match parts.as_slice() {
                [key, _] if is_atom(key, "monitor") => ties.monitored = true,
                [key, _] if has_no_effect_here(key) => {}
                _ => return None,
            },
            _ => return None,
        }
    }
    Some(ties)
}

fn has_no_effect_here(option: &Term) -> bool {
    const OPTIONS: [&str; 7] = [
        "priority",
        "min_heap_size",
        "min_bin_vheap_size",
        "fullsweep_after",
        "max_heap_size",
        "message_queue_data",
        "async_dist",
    ];
    OPTIONS.iter().any(|name| is_atom(option, name))
}

/// The reason with which the process ends that was asked to run `module:function` on `args`.
///
/// erpc.erl: `erpc:execute_call(Res, M, F, A)` runs on every node and reports the unknown function
/// itself, as `{Res, error, undef, [{M, F, A, []}]}`.
pub(crate) fn exit_reason(module: &Atom, function: &Atom, args: Term) -> Term {
    if module.as_str() == "erpc"
        && function.as_str() == "execute_call"
        && let Term::List(parts) = &args
        && let [result, module, function, args] = parts.as_slice()
    {
        let stack = undef_stack(module.clone(), function.clone(), args.clone());
        let error = Term::atom("error");
        return Term::tuple([result.clone(), error, Term::atom("undef"), stack]);
    }
    undef(
        Term::Atom(module.clone()),
        Term::Atom(function.clone()),
        args,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(items: Vec<Term>) -> Option<Ties> {
        ties(&Term::List(items))
    }

    #[test]
    fn options_of_a_real_spawn_opt_are_understood() {
        let heap = Term::tuple([Term::atom("min_heap_size"), Term::Int(1000)]);
        let priority = Term::tuple([Term::atom("priority"), Term::atom("high")]);
        let both = options(vec![
            Term::atom("link"),
            Term::atom("monitor"),
            priority,
            heap,
        ]);
        assert_eq!(
            both,
            Some(Ties {
                linked: true,
                monitored: true
            })
        );
        assert_eq!(options(vec![]), Some(Ties::default()));
    }

    #[test]
    fn options_that_never_travel_are_bad_options() {
        let reply = Term::tuple([Term::atom("reply"), Term::atom("no")]);
        assert_eq!(options(vec![reply]), None);
        assert_eq!(options(vec![Term::atom("lnik")]), None);
        assert_eq!(ties(&Term::atom("monitor")), None);
    }
}
