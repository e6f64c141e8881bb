//! The options of a request to spawn a process here.

use enmesh_term::Term;

/// What ties the requester to the process.
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
    let mut ties = Ties::default();
    for option in options.as_list()? {
        match option {
            Term::Atom(word) if word == "link" => ties.linked = true,
            Term::Atom(word) if word == "monitor" => ties.monitored = true,
            Term::Tuple(parts) => match parts.as_slice() {
                [key, _] if key.is_atom("monitor") => ties.monitored = true,
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
    OPTIONS.iter().any(|name| option.is_atom(name))
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
        assert_eq!(both.map(Ties::bits), Some(3));
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
