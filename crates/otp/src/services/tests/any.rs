//! Whatever a peer sends: no panic, and an answer to everything that has the form of a question.

use proptest::prelude::*;

use super::*;
use crate::pg::Pg;

fn any_term() -> impl Strategy<Value = Term> {
    const WORDS: [&str; 24] = [
        "$gen_call",
        "$gen_cast",
        "system",
        "io_request",
        "put_chars",
        "requests",
        "unicode",
        "io_lib",
        "format",
        "log",
        "error",
        "call",
        "cast",
        "spawn",
        "spawn_opt",
        "is_auth",
        "erlang",
        "apply",
        "nodes",
        "join",
        "leave",
        "sync",
        "discover",
        "update",
    ];
    let leaf = prop_oneof![
        4 => proptest::sample::select(&WORDS[..]).prop_map(Term::atom),
        1 => any::<i64>().prop_map(Term::Int),
        1 => any::<f64>().prop_map(Term::Float),
        1 => proptest::collection::vec(any::<u8>(), 0..8).prop_map(Term::binary),
        1 => "[~*.a-zA-Z0-9]{0,8}".prop_map(|text| Term::charlist(&text)),
        2 => Just(Term::from(theirs())),
        1 => Just(tag()),
    ];
    leaf.prop_recursive(4, 40, 7, |inner| {
        let list = proptest::collection::vec(inner, 0..7);
        prop_oneof![
            list.clone().prop_map(Term::List),
            list.prop_map(Term::Tuple),
        ]
    })
}

proptest! {
    #[test]
    fn a_call_of_anything_is_answered(request in any_term()) {
        for served in Served::ALL {
            let mut services = services();
            services.define(Atom::from_static("erlang"), Atom::from_static("nodes"));
            let actions = tell(&mut services, served, &gen_call(tag(), request.clone()));
            let (started, rest): (Vec<_>, Vec<_>) = actions
                .into_iter()
                .partition(|action| matches!(action, ServiceAction::Start { .. }));
            prop_assert_eq!(rest.len() + usize::from(rest.is_empty()) * started.len(), 1);
        }
    }

    #[test]
    fn an_io_request_of_anything_is_answered_last(request in any_term()) {
        let parts = [word("io_request"), theirs().into(), word("mark"), request];
        let actions = answer(Served::User, &Term::tuple(parts));
        let last = actions.last().expect("an answer");
        let is_reply = matches!(last, ServiceAction::Effect(Effect::Send { .. }));
        prop_assert!(is_reply, "{last:?}");
    }

    #[test]
    fn any_message_is_taken(message in any_term(), module in any_term(), args in any_term()) {
        for served in Served::ALL {
            answer(served, &message);
        }
        let from = Atom::from_static(BEAM);
        let mut pg = Pg::new(Atom::from_static("pg"), ours(1));
        pg.handle_message(&from, &Term::tuple([word("discover"), theirs().into()]));
        pg.handle_message(&from, &message);
        let (erpc, call) = (Atom::from_static("erpc"), Atom::from_static("execute_call"));
        let call_args = Term::List(vec![message.clone(), module, word("nodes"), args]);
        let admission = with_cluster(|cluster| {
            services().admit(cluster, &erpc, &call, call_args, &from)
        });
        prop_assert!(matches!(admission, Admission::Admitted(Life::Ends(_))));
    }
}
