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
                [key, value] if has_no_effect_here(key, value) => {}
                _ => return None,
            },
            _ => return None,
        }
    }
    Some(ties)
}

/// Whether it is an option that a process here has no use for, with a value that a BEAM takes.
fn has_no_effect_here(option: &Term, value: &Term) -> bool {
    let Some(option) = option.as_atom() else {
        return false;
    };
    let is_one_of = |words: &[&str]| words.iter().any(|word| value.is_atom(word));
    let is_size = matches!(value, Term::Int(0..));
    match option.as_str() {
        "priority" => is_one_of(&["low", "normal", "high", "max"]),
        "message_queue_data" => is_one_of(&["on_heap", "off_heap"]),
        "async_dist" => is_one_of(&["true", "false"]),
        "min_heap_size" | "min_bin_vheap_size" | "fullsweep_after" => is_size,
        "max_heap_size" => is_size || matches!(value, Term::Map(_)),
        _ => false,
    }
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

    /// As OTP 25 to 29 answer.
    #[test]
    fn known_options_with_values_that_no_beam_takes_are_bad_options() {
        let of = |key, value| options(vec![Term::tuple([Term::atom(key), value])]);
        for (key, good, bad) in [
            ("priority", Term::atom("max"), Term::atom("foo")),
            ("min_heap_size", Term::Int(0), Term::Int(-1)),
            ("fullsweep_after", Term::Int(10), Term::atom("never")),
            ("max_heap_size", Term::Int(10_000), Term::nil()),
            (
                "message_queue_data",
                Term::atom("off_heap"),
                Term::atom("mixed"),
            ),
            ("async_dist", Term::atom("true"), Term::Int(1)),
        ] {
            assert_eq!(of(key, good), Some(Ties::default()), "{key}");
            assert_eq!(of(key, bad), None, "{key}");
        }
    }

    #[test]
    fn options_that_never_travel_are_bad_options() {
        let reply = Term::tuple([Term::atom("reply"), Term::atom("no")]);
        assert_eq!(options(vec![reply]), None);
        assert_eq!(options(vec![Term::atom("lnik")]), None);
        assert_eq!(ties(&Term::atom("monitor")), None);
    }
}
