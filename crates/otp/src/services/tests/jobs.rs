use super::*;
use crate::services::jobs::MAX_JOBS;

fn defined() -> Services {
    let mut services = services();
    services.define(word_atom("calc"), word_atom("add"));
    services
}

fn word_atom(name: &'static str) -> Atom {
    Atom::from_static(name)
}

fn admit(services: &mut Services, call: [Term; 3]) -> Admission {
    let [Term::Atom(module), Term::Atom(function), args] = call else {
        panic!("a call of atoms");
    };
    with_cluster(|cluster| services.admit(cluster, &module, &function, args, &word_atom(BEAM)))
}

fn erpc([module, function, args]: [Term; 3]) -> [Term; 3] {
    mfa(
        "erpc",
        "execute_call",
        vec![reference().into(), module, function, args],
    )
}

fn cast([module, function, args]: [Term; 3]) -> [Term; 3] {
    mfa("erpc", "execute_cast", vec![module, function, args])
}

fn add() -> [Term; 3] {
    mfa("calc", "add", vec![Term::Int(1), Term::Int(2)])
}

/// The job of a function that the user defined.
fn started(services: &mut Services, call: [Term; 3]) -> JobId {
    let admission = admit(services, call);
    let Admission::Admitted(Life::Runs(job)) = admission else {
        panic!("{admission:?}");
    };
    let expected = ServiceAction::Start {
        job,
        module: word_atom("calc"),
        function: word_atom("add"),
        args: vec![Term::Int(1), Term::Int(2)],
        caller: word_atom(BEAM),
    };
    assert_eq!(services.poll_action(), Some(expected));
    job
}

/// `[{calc, add, 2, []}]`.
fn stack() -> Term {
    let frame = [word("calc"), word("add"), Term::Int(2), Term::nil()];
    Term::List(vec![Term::tuple(frame)])
}

fn failed() -> JobOutcome {
    JobOutcome::Failed {
        reason: word("badarith"),
        stack: Term::nil(),
    }
}

fn panicked() -> JobOutcome {
    JobOutcome::Panicked("no more fingers".to_owned())
}

fn panic_term() -> Term {
    Term::tuple([word("panic"), Term::binary("no more fingers")])
}

fn outcome(call: [Term; 3], outcome: JobOutcome) -> Term {
    let mut services = defined();
    let job = started(&mut services, call);
    let reason = services.handle_job(job, outcome);
    assert_eq!(services.poll_action(), None);
    reason
}

fn ends(call: [Term; 3]) -> Term {
    match admit(&mut defined(), call) {
        Admission::Admitted(Life::Ends(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// erpc.erl, `execute_call/4` and the clauses of `result/4` that read these.
#[test]
fn erpc_gets_its_mark_and_how_the_function_ended() {
    let mark = || Term::from(reference());
    let value = Term::Int(3);
    for (how, parts) in [
        (
            JobOutcome::Returned(value.clone()),
            vec![word("return"), value.clone()],
        ),
        (
            JobOutcome::Threw(value.clone()),
            vec![word("throw"), value.clone()],
        ),
        (JobOutcome::Exited(value.clone()), vec![word("exit"), value]),
        (failed(), vec![word("error"), word("badarith"), stack()]),
        (panicked(), vec![word("error"), panic_term(), stack()]),
    ] {
        let expected: Vec<Term> = std::iter::once(mark()).chain(parts).collect();
        assert_eq!(outcome(erpc(add()), how), Term::Tuple(expected));
    }
}

#[test]
fn a_spawned_function_ends_its_process_as_on_a_beam() {
    let nocatch = Term::tuple([word("nocatch"), word("ball")]);
    for (how, reason) in [
        (JobOutcome::Returned(Term::Int(3)), word("normal")),
        (JobOutcome::Exited(word("shutdown")), word("shutdown")),
        (
            JobOutcome::Threw(word("ball")),
            Term::tuple([nocatch, stack()]),
        ),
        (failed(), Term::tuple([word("badarith"), stack()])),
        (panicked(), panic_term()),
    ] {
        assert_eq!(outcome(add(), how), reason);
    }
}

#[test]
fn an_erpc_cast_that_fails_says_so_in_erpcs_words() {
    let exception = Term::tuple([word("badarith"), stack()]);
    let exception = Term::tuple([word("exception"), exception]);
    let frame = [
        word("erpc"),
        word("execute_cast"),
        Term::Int(3),
        Term::nil(),
    ];
    let expected = Term::tuple([exception, Term::List(vec![Term::tuple(frame)])]);
    assert_eq!(outcome(cast(add()), failed()), expected);
    assert_eq!(
        outcome(cast(add()), JobOutcome::Returned(word("ok"))),
        word("normal")
    );
}

#[test]
fn a_stack_of_the_user_is_kept() {
    let stack = Term::List(vec![word("somewhere")]);
    let how = JobOutcome::Failed {
        reason: word("oops"),
        stack: stack.clone(),
    };
    assert_eq!(outcome(add(), how), Term::tuple([word("oops"), stack]));
}

#[test]
fn an_unknown_function_is_let_in_and_ends_with_undef() {
    for call in [
        mfa("m", "f", vec![Term::Int(1)]),
        mfa("calc", "sub", vec![]),
        mfa("erpc", "execute_call", vec![]),
        mfa("code", "which", vec![word("shell")]),
    ] {
        let [module, function, args] = call.clone();
        let frame = Term::tuple([module, function, args, Term::nil()]);
        let undef = [word("undef"), Term::List(vec![frame])];
        assert_eq!(ends(call.clone()), Term::tuple(undef.clone()));
        let [reason, stack] = undef;
        let expected = [reference().into(), word("error"), reason, stack];
        assert_eq!(ends(erpc(call)), Term::tuple(expected));
    }
}

#[test]
fn apply_is_looked_through() {
    let [module, function, args] = add();
    let wrapped = mfa("erlang", "apply", vec![module, function, args.clone()]);
    assert_eq!(
        outcome(wrapped, JobOutcome::Returned(Term::Int(3))),
        word("normal")
    );
    let export = enmesh_term::Export::new(word_atom("calc"), word_atom("add"), 2);
    let by_fun = mfa("erlang", "apply", vec![export.into(), args]);
    assert_eq!(outcome(erpc(by_fun), failed()).as_tuple().unwrap().len(), 4);
    let mut deep = mfa("m", "f", vec![]);
    for _ in 0..100 {
        deep = mfa("erlang", "apply", deep.to_vec());
    }
    assert!(ends(deep).as_tuple().unwrap()[0].is_atom("undef"));
}

#[test]
fn arguments_that_are_no_list_are_bad() {
    let call = [word("calc"), word("add"), word("oops")];
    let reason = ends(call);
    assert!(reason.as_tuple().unwrap()[0].is_atom("badarg"), "{reason}");
}

#[test]
fn built_in_functions_say_how_it_is() {
    let value = |module, function, args| {
        let reason = ends(erpc(mfa(module, function, args)));
        let parts = reason.as_tuple().unwrap().to_vec();
        assert!(parts[1].is_atom("return"), "{reason}");
        parts[2].clone()
    };
    let names = |list: &[&'static str]| Term::List(list.iter().map(|name| word(name)).collect());
    assert_eq!(value("erlang", "node", vec![]), word(US));
    assert_eq!(value("erlang", "nodes", vec![]), names(&[BEAM]));
    for (kind, expected) in [
        ("visible", names(&[BEAM])),
        ("hidden", names(&["h1@h"])),
        ("connected", names(&[BEAM, "h1@h"])),
        ("this", names(&[US])),
        ("known", names(&[US, BEAM, "h1@h"])),
    ] {
        assert_eq!(
            value("erlang", "nodes", vec![word(kind)]),
            expected,
            "{kind}"
        );
    }
    let two = names(&["this", "hidden"]);
    assert_eq!(value("erlang", "nodes", vec![two]), names(&[US, "h1@h"]));
    let release = value("erlang", "system_info", vec![word("otp_release")]);
    assert_eq!(release, Term::charlist("25"));
    let no_module = value("code", "ensure_loaded", vec![word("shell")]);
    assert_eq!(no_module, Term::tuple([word("error"), word("nofile")]));
    assert_eq!(
        value("net_kernel", "get_net_ticktime", vec![]),
        Term::Int(60)
    );
}

#[test]
fn built_in_functions_refuse_what_they_do_not_know() {
    for call in [
        mfa("erlang", "nodes", vec![word("all")]),
        mfa("erlang", "system_info", vec![word("weather")]),
    ] {
        let reason = ends(call);
        assert!(reason.as_tuple().unwrap()[0].is_atom("badarg"), "{reason}");
    }
}

#[test]
fn a_call_of_rex_is_answered_when_its_function_ends() {
    let asked = gen_call(tag(), run("call", add()));
    let badrpc = |reason: Term| Term::tuple([word("badrpc"), Term::tuple([word("EXIT"), reason])]);
    for (how, expected) in [
        (JobOutcome::Returned(Term::Int(3)), Term::Int(3)),
        (JobOutcome::Threw(word("ball")), word("ball")),
        (JobOutcome::Exited(word("bye")), badrpc(word("bye"))),
        (failed(), badrpc(Term::tuple([word("badarith"), stack()]))),
        (panicked(), badrpc(Term::tuple([panic_term(), stack()]))),
    ] {
        let mut services = defined();
        let actions = tell(&mut services, Served::Rex, &asked);
        let [ServiceAction::Start { job, .. }] = actions[..] else {
            panic!("{actions:?}");
        };
        services.handle_job(job, how);
        assert_eq!(services.poll_action(), Some(reply(2, expected)));
    }
}

#[test]
fn a_cast_of_rex_runs_and_is_not_answered() {
    let cast = Term::tuple([word("$gen_cast"), run("cast", add())]);
    let mut services = defined();
    let actions = tell(&mut services, Served::Rex, &cast);
    let [ServiceAction::Start { job, .. }] = actions[..] else {
        panic!("{actions:?}");
    };
    services.handle_job(job, failed());
    assert_eq!(services.poll_action(), None);
}

#[test]
fn an_old_spawn_of_a_defined_function_runs_it() {
    let mut services = defined();
    let actions = tell(
        &mut services,
        Served::NetKernel,
        &gen_call(tag(), run("spawn", add())),
    );
    let [
        ServiceAction::Start { job, .. },
        ServiceAction::Spawn { ref life, .. },
    ] = actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(*life, Life::Runs(job));
}

#[test]
fn beyond_the_limit_requests_are_refused_until_a_job_ends() {
    let mut services = defined();
    let jobs: Vec<JobId> = (0..MAX_JOBS)
        .map(|_| started(&mut services, add()))
        .collect();
    let refused = Admission::Refused(word_atom("system_limit"));
    assert_eq!(admit(&mut services, erpc(add())), refused);
    let asked = gen_call(tag(), run("call", add()));
    let exit = Term::tuple([word("EXIT"), word("system_limit")]);
    let expected = reply(2, Term::tuple([word("badrpc"), exit]));
    assert_eq!(tell(&mut services, Served::Rex, &asked), [expected]);
    let spawn = gen_call(tag(), run("spawn", add()));
    let limit = Term::tuple([word("system_limit"), Term::nil()]);
    let expected = reply(1, Term::tuple([word("EXIT"), limit]));
    assert_eq!(tell(&mut services, Served::NetKernel, &spawn), [expected]);
    assert!(matches!(
        admit(&mut services, erpc(mfa("erlang", "node", vec![]))),
        Admission::Admitted(Life::Ends(_))
    ));
    services.forget_job(jobs[0]);
    assert_eq!(services.poll_action(), Some(ServiceAction::Abort(jobs[0])));
    let refused = Admission::Refused(word_atom("system_limit"));
    assert_eq!(
        admit(&mut services, erpc(add())),
        refused,
        "an aborted function may go on for as long as it likes"
    );
    services.handle_job(jobs[0], JobOutcome::Returned(Term::nil()));
    started(&mut services, add());
}

#[test]
fn a_forgotten_job_is_aborted_once_and_its_end_means_nothing() {
    let mut services = defined();
    let job = started(&mut services, add());
    services.forget_job(job);
    assert_eq!(services.poll_action(), Some(ServiceAction::Abort(job)));
    services.forget_job(job);
    services.handle_job(job, JobOutcome::Returned(Term::Int(3)));
    assert_eq!(services.poll_action(), None);
}

#[test]
fn a_result_that_no_link_takes_is_told_as_a_limit() {
    let mut services = defined();
    let asked = gen_call(tag(), run("call", add()));
    let actions = tell(&mut services, Served::Rex, &asked);
    let [ServiceAction::Start { job, .. }] = &actions[..] else {
        panic!("{actions:?}");
    };
    let long = Term::binary(vec![7; crate::kernel::MAX_PAYLOAD]);
    services.handle_job(*job, JobOutcome::Returned(long));
    let exit = Term::tuple([word("EXIT"), word("system_limit")]);
    let expected = reply(2, Term::tuple([word("badrpc"), exit]));
    assert_eq!(services.poll_action(), Some(expected));
}
