use super::*;

fn io_request(request: Term) -> Vec<ServiceAction> {
    let reply_as = Term::from(reference());
    let parts = [word("io_request"), theirs().into(), reply_as, request];
    answer(Served::User, &Term::tuple(parts))
}

fn io_reply(reply: Term) -> ServiceAction {
    let message = Term::tuple([word("io_reply"), reference().into(), reply]);
    sent(3, theirs(), message)
}

fn error(reason: &'static str) -> Term {
    Term::tuple([word("error"), word(reason)])
}

fn line(level: Option<LogLevel>, text: &str) -> ServiceAction {
    ServiceAction::Log(LogLine {
        node: Atom::from_static(BEAM),
        level,
        text: text.to_owned(),
    })
}

/// io.erl: what `io:put_chars/1`, `io:format/2`, `io:nl/0` and `io:write/1` send.
#[test]
fn what_is_printed_comes_out_and_is_confirmed() {
    let unicode = || word("unicode");
    let format = Term::List(vec![Term::charlist("~p~n"), Term::List(vec![Term::Int(1)])]);
    let write = Term::List(vec![Term::tuple([word("a")])]);
    let by_function = |function: &'static str, args: Term| {
        vec![
            word("put_chars"),
            unicode(),
            word("io_lib"),
            word(function),
            args,
        ]
    };
    for (request, text) in [
        (vec![word("put_chars"), unicode(), Term::binary("ä")], "ä"),
        (
            vec![word("put_chars"), unicode(), Term::charlist("hi")],
            "hi",
        ),
        (
            vec![word("put_chars"), word("latin1"), Term::binary([0xe4])],
            "ä",
        ),
        (vec![word("put_chars"), Term::binary([0xe4])], "ä"),
        (by_function("format", format), "1\n"),
        (by_function("write", write), "{a}"),
    ] {
        let expected = [line(None, text), io_reply(word("ok"))];
        assert_eq!(io_request(Term::Tuple(request)), expected);
    }
}

#[test]
fn what_is_asked_for_is_not_there() {
    for request in [
        Term::tuple([word("get_line"), word("unicode"), Term::charlist("> ")]),
        Term::tuple([word("get_chars"), Term::charlist("> "), Term::Int(1)]),
    ] {
        assert_eq!(io_request(request), [io_reply(word("eof"))]);
    }
    for request in [
        word("getopts"),
        Term::tuple([word("get_geometry"), word("columns")]),
        Term::tuple([word("setopts"), Term::nil()]),
        Term::tuple([word("get_password"), word("unicode")]),
    ] {
        assert_eq!(io_request(request), [io_reply(error("enotsup"))]);
    }
}

#[test]
fn every_request_is_answered_whatever_it_is() {
    for request in [
        word("dance"),
        Term::tuple([]),
        Term::tuple([word("put_chars")]),
    ] {
        assert_eq!(io_request(request), [io_reply(error("request"))]);
    }
    let chars = Term::List(vec![word("no_char")]);
    let put = Term::tuple([word("put_chars"), word("unicode"), chars]);
    assert_eq!(io_request(put), [io_reply(error("put_chars"))]);
    let args = Term::List(vec![Term::charlist("~p"), Term::nil()]);
    let format = [
        word("put_chars"),
        word("unicode"),
        word("io_lib"),
        word("format"),
        args,
    ];
    assert_eq!(io_request(Term::tuple(format)), [io_reply(error("format"))]);
    let args = Term::List(vec![Term::charlist("rm -rf /")]);
    let evil = [
        word("put_chars"),
        word("unicode"),
        word("os"),
        word("cmd"),
        args,
    ];
    assert_eq!(io_request(Term::tuple(evil)), [io_reply(error("cmd"))]);
}

#[test]
fn several_requests_are_done_until_one_fails() {
    let put = |text: &str| Term::tuple([word("put_chars"), word("unicode"), Term::binary(text)]);
    let all = |list: Vec<Term>| Term::tuple([word("requests"), Term::List(list)]);
    let done = io_request(all(vec![put("a"), put("b")]));
    assert_eq!(
        done,
        [line(None, "a"), line(None, "b"), io_reply(word("ok"))]
    );
    let failed = io_request(all(vec![put("a"), word("dance"), put("b")]));
    assert_eq!(failed, [line(None, "a"), io_reply(error("request"))]);
    let nested = io_request(all(vec![all(vec![put("a")])]));
    assert_eq!(nested, [io_reply(error("request"))]);
}

/// logger.erl, `log_remote/2`, and the emulator's own events.
#[test]
fn log_events_are_taken() {
    let meta = || Term::Map(vec![]);
    let args = Term::List(vec![Term::Int(1)]);
    let formatted = [
        word("log"),
        word("error"),
        Term::charlist("~p!"),
        args,
        meta(),
    ];
    let string = Term::tuple([word("string"), Term::binary("hi")]);
    let text = [word("log"), word("notice"), string, meta()];
    let map = Term::map([(word("a"), Term::Int(1))]);
    let report = Term::tuple([word("report"), map]);
    let report = [word("log"), word("debug"), report, meta()];
    let wrong = [
        word("log"),
        word("info"),
        Term::charlist("~p"),
        Term::nil(),
        meta(),
    ];
    for (event, level, text) in [
        (formatted.to_vec(), LogLevel::Error, "1!"),
        (text.to_vec(), LogLevel::Notice, "hi"),
        (report.to_vec(), LogLevel::Debug, "#{a => 1}"),
        (wrong.to_vec(), LogLevel::Info, "\"~p\" - []"),
    ] {
        let actions = answer(Served::Logger, &Term::Tuple(event));
        assert_eq!(actions, [line(Some(level), text)]);
    }
    let unknown = [word("log"), word("loud"), Term::charlist("~p"), meta()];
    assert_eq!(answer(Served::Logger, &Term::tuple(unknown)), []);
}

/// A line of 8 KiB can be asked for in less than 200 bytes.
#[test]
fn one_message_makes_only_so_many_lines() {
    let put = Term::tuple([word("put_chars"), word("unicode"), Term::binary("x")]);
    let requests = |count| {
        let list = Term::List(vec![put.clone(); count]);
        io_request(Term::tuple([word("requests"), list]))
    };
    assert_eq!(
        requests(1_024).len(),
        1_025,
        "as many lines, and the answer"
    );
    assert_eq!(requests(1_025), [io_reply(error("request"))]);
}
