//! Claims, with terms as nodes of OTP 25 to 29 send them.

mod any;
mod io;
mod jobs;

use super::*;
use enmesh_term::Reference;

const US: &str = "us@h";
const BEAM: &str = "b1@h";

fn ours(number: u32) -> Pid {
    Pid::new(Atom::from_static(US), number, 0, 9)
}

fn theirs() -> Pid {
    Pid::new(Atom::from_static(BEAM), 77, 1, 5)
}

fn reference() -> Reference {
    Reference::new(Atom::from_static(BEAM), 5, &[1, 2, 3]).unwrap()
}

fn word(name: &'static str) -> Term {
    Term::atom(name)
}

/// The tag of `gen:call` to another node.
fn tag() -> Term {
    Term::improper(vec![word("alias")], reference().into())
}

fn gen_call(tag: Term, request: Term) -> Term {
    let from = Term::tuple([theirs().into(), tag]);
    Term::tuple([word("$gen_call"), from, request])
}

fn mfa(module: &'static str, function: &'static str, args: Vec<Term>) -> [Term; 3] {
    [word(module), word(function), Term::List(args)]
}

/// `{Word, M, F, Args, GroupLeader}`.
fn run(name: &'static str, [module, function, args]: [Term; 3]) -> Term {
    Term::tuple([word(name), module, function, args, theirs().into()])
}

fn services() -> Services {
    Services::new(ServerPids {
        net_kernel: ours(1),
        rex: ours(2),
        user: ours(3),
        logger: ours(4),
        echo: ours(5),
    })
}

/// Services of a node with one visible and one hidden neighbour.
fn tell(services: &mut Services, to: Served, message: &Term) -> Vec<ServiceAction> {
    with_cluster(|cluster| {
        services.handle_message(cluster, to, &Atom::from_static(BEAM), &mut message.clone());
    });
    std::iter::from_fn(|| services.poll_action()).collect()
}

fn with_cluster<T>(act: impl FnOnce(&Cluster<'_>) -> T) -> T {
    let own = Atom::from_static(US);
    let visible = [Atom::from_static(BEAM)];
    let hidden = [Atom::from_static("h1@h")];
    act(&Cluster {
        node: &own,
        visible: &visible,
        hidden: &hidden,
        net_ticktime: Duration::from_millis(59_500),
    })
}

fn answer(to: Served, message: &Term) -> Vec<ServiceAction> {
    tell(&mut services(), to, message)
}

fn sent(from: u32, to: impl Into<Address>, message: Term) -> ServiceAction {
    let (from, to) = (ours(from), to.into());
    ServiceAction::Effect(Effect::Send { from, to, message })
}

fn reply(from: u32, reply: Term) -> ServiceAction {
    sent(
        from,
        Address::Alias(reference()),
        Term::tuple([tag(), reply]),
    )
}

fn refusal() -> Term {
    Term::tuple([word("error"), word("not_served")])
}

#[test]
fn a_ping_is_answered_yes_where_the_tag_says() {
    let ping = Term::tuple([word("is_auth"), word(BEAM)]);
    let yes = |tag: Term| Term::tuple([tag, word("yes")]);
    let nested = Term::improper(vec![tag()], reference().into());
    let multi_call = Term::tuple([reference().into(), word(US)]);
    for (tag, to) in [
        (tag(), Address::Alias(reference())),
        (nested, Address::Alias(reference())),
        (multi_call, Address::Pid(theirs())),
        (reference().into(), Address::Pid(theirs())),
    ] {
        let call = gen_call(tag.clone(), ping.clone());
        assert_eq!(answer(Served::NetKernel, &call), [sent(1, to, yes(tag))]);
    }
}

#[test]
fn what_is_not_understood_is_refused_and_never_left_waiting() {
    let from = Term::tuple([theirs().into(), tag()]);
    let get_state = Term::tuple([word("system"), from, word("get_state")]);
    for (number, served) in Served::ALL.into_iter().enumerate() {
        let number = u32::try_from(number).unwrap() + 1;
        assert_eq!(answer(served, &get_state), [reply(number, refusal())]);
        if served != Served::Echo {
            let call = gen_call(tag(), word("which_children"));
            assert_eq!(answer(served, &call), [reply(number, refusal())]);
        }
    }
}

#[test]
fn what_asks_nothing_is_not_answered() {
    let no_from = Term::tuple([word("$gen_call"), word("nobody"), word("hi")]);
    let cast = Term::tuple([word("$gen_cast"), word("hi")]);
    for message in [word("hi"), Term::tuple([]), no_from, cast] {
        for served in Served::ALL {
            assert_eq!(answer(served, &message), [], "{served:?} on {message}");
        }
    }
}

#[test]
fn rex_tells_its_features() {
    let request = Term::tuple([theirs().into(), word("features_request")]);
    let features = Term::List(vec![word("erpc")]);
    let expected = Term::tuple([word("features_reply"), word(US), features]);
    assert_eq!(answer(Served::Rex, &request), [sent(2, theirs(), expected)]);
}

#[test]
fn rex_calls_of_both_forms_get_the_value() {
    let call = run("call", mfa("erlang", "node", vec![]));
    let block = run("block_call", mfa("erlang", "node", vec![]));
    for request in [call.clone(), block] {
        let asked = gen_call(tag(), request);
        assert_eq!(answer(Served::Rex, &asked), [reply(2, word(US))]);
    }
    let of_a_c_node = Term::tuple([theirs().into(), call]);
    let expected = Term::tuple([word("rex"), word(US)]);
    assert_eq!(
        answer(Served::Rex, &of_a_c_node),
        [sent(2, theirs(), expected)]
    );
}

#[test]
fn rex_calls_of_unknown_functions_are_bad_in_rpcs_words() {
    let call = gen_call(tag(), run("call", mfa("lists", "max", vec![word("x")])));
    let [module, function, args] = mfa("lists", "max", vec![word("x")]);
    let stack = Term::List(vec![Term::tuple([module, function, args, Term::nil()])]);
    let exit = Term::tuple([word("EXIT"), Term::tuple([word("undef"), stack])]);
    let expected = Term::tuple([word("badrpc"), exit]);
    assert_eq!(answer(Served::Rex, &call), [reply(2, expected)]);
}

#[test]
fn messages_by_way_of_rex_are_passed_on_and_told_of() {
    let ask = |word_: &'static str| {
        let request = Term::tuple([word(word_), word("printer"), word("hi")]);
        answer(Served::Rex, &Term::tuple([theirs().into(), request]))
    };
    let says = |what: Term| Effect::Send {
        from: ours(2),
        to: theirs().into(),
        message: Term::tuple([word("rex"), word(US), what]),
    };
    let missing = says(Term::tuple([word("nonexisting_name"), word("printer")]));
    let forward = |message: Term, delivered| ServiceAction::Forward {
        from: ours(2),
        name: Atom::from_static("printer"),
        message,
        delivered,
        missing: missing.clone(),
    };
    assert_eq!(ask("sbcast"), [forward(word("hi"), Some(says(word(US))))]);
    let pair = Term::tuple([theirs().into(), word("hi")]);
    assert_eq!(ask("send"), [forward(pair, None)]);
}

#[test]
fn an_old_spawn_becomes_a_process_that_ends_with_undef() {
    let [module, function, args] = mfa("m", "f", vec![Term::Int(1)]);
    let stack = Term::tuple([module, function, args, Term::nil()]);
    let reason = Term::tuple([word("undef"), Term::List(vec![stack])]);
    for (name, link) in [("spawn", false), ("spawn_link", true)] {
        let call = gen_call(tag(), run(name, mfa("m", "f", vec![Term::Int(1)])));
        let expected = ServiceAction::Spawn {
            requester: theirs(),
            link,
            reply_to: Address::Alias(reference()),
            tag: tag(),
            life: Life::Ends(reason.clone()),
        };
        assert_eq!(answer(Served::NetKernel, &call), [expected]);
    }
}

#[test]
fn an_old_spawn_with_bad_options_makes_no_process() {
    let spawn_opt = |options: Term| {
        let [module, function, args] = mfa("m", "f", vec![]);
        let parts = [
            word("spawn_opt"),
            module,
            function,
            args,
            options,
            word("link"),
        ];
        let mut parts = parts.to_vec();
        parts.push(theirs().into());
        answer(Served::NetKernel, &gen_call(tag(), Term::Tuple(parts)))
    };
    let badarg = Term::tuple([word("badarg"), Term::nil()]);
    let exit = Term::tuple([word("EXIT"), badarg]);
    assert_eq!(
        spawn_opt(Term::List(vec![word("monitor")])),
        [reply(1, exit)]
    );
    let good = spawn_opt(Term::List(vec![Term::tuple([
        word("priority"),
        word("high"),
    ])]));
    assert!(
        matches!(good[..], [ServiceAction::Spawn { link: true, .. }]),
        "{good:?}"
    );
}

#[test]
fn echo_answers_messages_and_calls_and_takes_casts() {
    let message = Term::tuple([theirs().into(), Term::Int(1)]);
    let echo = Term::tuple([word("echo"), Term::Int(1)]);
    assert_eq!(answer(Served::Echo, &message), [sent(5, theirs(), echo)]);
    let call = gen_call(tag(), Term::binary("hi"));
    assert_eq!(answer(Served::Echo, &call), [reply(5, Term::binary("hi"))]);
}
