//! Rust functions that BEAM nodes call, and what a BEAM finds of `rex`, `net_kernel` and our group leader.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use enmesh::{Node, NodeName, Raise, Term};
use enmesh_interop::{Beam, Epmd, NetNs, Otp, Process, poll_until};

use tempfile::NamedTempFile;

use crate::bench::{COOKIE, Member, SOON, beam, list};
use crate::rust_node::{block_on, rust_node};

const BEAM: &str = "b1@127.0.0.1";
const US: &str = "rust@127.0.0.1";

/// A BEAM and a Rust node in a namespace of their own, connected.
struct Pair {
    beam: Beam,
    node: Node,
    /// How many calls of `calc:wait` run or wait for their drop.
    waiting: Arc<AtomicUsize>,
    _epmd: Epmd,
    ns: NetNs,
}

/// Counts itself for as long as it lives.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Pair {
    fn start(otp: Otp) -> Self {
        let ns = NetNs::new().unwrap();
        let epmd = Epmd::start(&ns).unwrap();
        let mut beam = beam(otp, &ns, BEAM, &[]);
        let node = rust_node(&ns, US);
        let waiting = Arc::new(AtomicUsize::new(0));
        serve(&node, &waiting);
        assert_eq!(beam.eval(&format!("net_adm:ping('{US}')")).unwrap(), "pong");
        Self {
            beam,
            node,
            waiting,
            _epmd: epmd,
            ns,
        }
    }

    fn ask(&mut self, expression: &str, wanted: &str) {
        let expression = expression.replace("US", &format!("'{US}'"));
        assert_eq!(self.beam.eval(&expression).unwrap(), wanted, "{expression}");
    }

    fn asks(&mut self, expressions: &[(&str, &str)]) {
        for (expression, wanted) in expressions {
            self.ask(expression, wanted);
        }
    }

    fn wait_for_waiting(&self, count: usize) {
        let what = format!("{count} calls run");
        let running = || self.waiting.load(Ordering::SeqCst);
        poll_until(&what, SOON, || {
            anyhow::ensure!(running() == count, "{} do", running());
            Ok(())
        })
        .unwrap();
    }
}

/// `calc:add/2`, `calc:raise/1` with every way to fail, and `calc:wait/0`, which never returns.
fn serve(node: &Node, waiting: &Arc<AtomicUsize>) {
    node.serve_function("calc", "add", |call| async move {
        match call.args.as_slice() {
            [Term::Int(a), Term::Int(b)] => Ok(Term::Int(a + b)),
            _ => Err(Raise::Error(Term::atom("badarg"))),
        }
    });
    node.serve_function("calc", "raise", |call| async move {
        let how = call.args.first().and_then(Term::as_atom).cloned();
        match how.as_ref().map(|how| how.as_str()) {
            Some("throw") => Err(Raise::Throw(Term::atom("ball"))),
            Some("exit") => Err(Raise::Exit(Term::atom("bye"))),
            Some("panic") => panic!("no more fingers"),
            _ => Err(Raise::Error(Term::atom("oops"))),
        }
    });
    let waiting = Arc::clone(waiting);
    node.serve_function("calc", "wait", move |_| {
        waiting.fetch_add(1, Ordering::SeqCst);
        let waits = Waiting(Arc::clone(&waiting));
        async move {
            let _waits = waits;
            std::future::pending::<()>().await;
            Ok(Term::atom("never"))
        }
    });
}

/// Every way of OTP to call a function elsewhere, and every way in which the function can end.
pub(crate) fn rust_functions_are_called(otp: Otp) {
    let mut pair = Pair::start(otp);
    pair.asks(&[
        ("rpc:call(US, calc, add, [1, 2], 5000)", "3"),
        ("erpc:call(US, calc, add, [1, 2], 5000)", "3"),
        ("erpc:call(US, erlang, apply, [fun calc:add/2, [1, 2]], 5000)", "3"),
        ("rpc:block_call(US, calc, add, [1, 2], 5000)", "3"),
        ("rpc:multicall([US, node()], calc, add, [1, 2], 5000)",
         "{[3,{badrpc,{'EXIT',{undef,[{calc,add,[1,2],[]}]}}}],[]}"),
        ("erpc:multicall([US, US], calc, add, [1, 2], 5000)", "[{ok,3},{ok,3}]"),
        ("R = erpc:send_request(US, calc, add, [1, 2]), erpc:receive_response(R, 5000)", "3"),
        ("K = rpc:async_call(US, calc, add, [1, 2]), rpc:yield(K)", "3"),
        ("gen_server:call({rex, US}, {call, calc, add, [1, 2], group_leader()}, 5000)", "3"),
        ("{rex, US} ! {self(), {call, calc, add, [1, 2], user}}, receive {rex, R} -> R after 5000 -> silence end", "3"),
        ("{_, R} = spawn_monitor(US, calc, add, [1, 2]), receive {'DOWN', R, process, _, I} -> I after 5000 -> silence end", "normal"),
        ("process_flag(trap_exit, true), P = spawn_link(US, calc, raise, [exit]), receive {'EXIT', P, I} -> I after 5000 -> silence end", "bye"),
        ("P = gen_server:call({net_kernel, US}, {spawn, calc, add, [1, 2], group_leader()}, 5000), node(P) =:= US", "true"),
        ("process_flag(trap_exit, true), P = gen_server:call({net_kernel, US}, {spawn_link, calc, raise, [exit], group_leader()}, 5000), \
          receive {'EXIT', P, I} -> I after 5000 -> silence end", "bye"),
        ("rpc:cast(US, calc, add, [1, 2])", "true"),
        ("erpc:cast(US, calc, raise, [error])", "ok"),
    ]);
    let ending = "try erpc:call(US, calc, raise, [HOW], 5000) catch C:E -> {C, E} end";
    for (how, wanted) in [
        ("throw", "{throw,ball}"),
        ("exit", "{exit,{exception,bye}}"),
        ("error", "{error,{exception,oops,[{calc,raise,1,[]}]}}"),
        (
            "panic",
            "{error,{exception,{panic,<<\"no more fingers\">>},[{calc,raise,1,[]}]}}",
        ),
    ] {
        pair.ask(&ending.replace("HOW", how), wanted);
    }
    let ending = "rpc:call(US, calc, raise, [HOW], 5000)";
    for (how, wanted) in [
        ("throw", "ball"),
        ("exit", "{badrpc,{'EXIT',bye}}"),
        ("error", "{badrpc,{'EXIT',{oops,[{calc,raise,1,[]}]}}}"),
    ] {
        pair.ask(&ending.replace("HOW", how), wanted);
    }
    let dead = "{_, R} = spawn_monitor(US, calc, raise, [HOW]), receive {'DOWN', R, process, _, I} -> I after 5000 -> silence end";
    for (how, wanted) in [
        ("throw", "{{nocatch,ball},[{calc,raise,1,[]}]}"),
        ("error", "{oops,[{calc,raise,1,[]}]}"),
        ("panic", "{panic,<<\"no more fingers\">>}"),
    ] {
        pair.ask(&dead.replace("HOW", how), wanted);
    }
}

/// Who gives up, dies or loses the link ends the work; beyond 1,024 of it there is `system_limit`.
pub(crate) fn work_that_nobody_waits_for_ends(otp: Otp) {
    let mut pair = Pair::start(otp);
    let limit = "try erpc:call(US, calc, wait, [], 500) catch C:E -> {C, E} end";
    pair.ask(limit, "{error,{erpc,timeout}}");
    pair.wait_for_waiting(0);
    let caller = "P = spawn(fun() -> erpc:call(US, calc, wait, []) end), register(caller, P), ok";
    pair.ask(caller, "ok");
    pair.wait_for_waiting(1);
    pair.ask("exit(whereis(caller), kill)", "true");
    pair.wait_for_waiting(0);
    pair.ask("persistent_term:put(far, spawn(US, calc, wait, []))", "ok");
    pair.wait_for_waiting(1);
    pair.ask("P = persistent_term:get(far), R = monitor(process, P), exit(P, enough), receive {'DOWN', R, _, _, I} -> I after 5000 -> silence end", "enough");
    pair.wait_for_waiting(0);
    let many =
        "[spawn(fun() -> catch erpc:call(US, calc, wait, []) end) || _ <- lists:seq(1, 1024)], ok";
    pair.ask(many, "ok");
    pair.wait_for_waiting(1_024);
    pair.ask(limit, "{error,{erpc,system_limit}}");
    pair.ask(
        "rpc:call(US, calc, add, [1, 2], 5000)",
        "{badrpc,{'EXIT',system_limit}}",
    );
    pair.ask("rpc:call(US, erlang, node, [], 5000)", &format!("'{US}'"));
    pair.ask("erlang:disconnect_node(US)", "true");
    pair.wait_for_waiting(0);
    pair.ask(
        "net_adm:ping(US), rpc:call(US, calc, add, [1, 2], 5000)",
        "3",
    );
}

/// What every node is asked for is there, and everything else is refused as an unknown function.
pub(crate) fn built_in_functions_answer(otp: Otp) {
    let mut pair = Pair::start(otp);
    pair.asks(&[
        ("rpc:call(US, erlang, node, [], 5000) =:= US", "true"),
        ("rpc:call(US, erlang, nodes, [], 5000) =:= [node()]", "true"),
        ("rpc:call(US, erlang, nodes, [connected], 5000) =:= [node()]", "true"),
        ("rpc:call(US, erlang, nodes, [hidden], 5000)", "[]"),
        ("rpc:call(US, erlang, system_info, [otp_release], 5000)", "\"25\""),
        ("rpc:call(US, net_kernel, get_net_ticktime, [], 5000)", "60"),
        ("{badrpc, {'EXIT', {badarg, _}}} = rpc:call(US, erlang, system_info, [weather], 5000), ok", "ok"),
        (
            "rpc:call(US, code, ensure_loaded, [shell], 5000)",
            "{error,nofile}",
        ),
        (
            "try erpc:call(US, code, which, [shell], 5000) catch C:E -> {C, E} end",
            "{error,{exception,undef,[{code,which,[shell],[]}]}}",
        ),
        ("{rex, US} ! {self(), {sbcast, nobody, hi}}, receive {rex, N, W} -> {N =:= US, W} after 5000 -> silence end",
         "{true,{nonexisting_name,nobody}}"),
        ("{rex, US} ! {self(), features_request}, receive {features_reply, N, F} -> {N =:= US, F} after 5000 -> silence end",
         "{true,[erpc]}"),
    ]);
}

/// Nothing that prints, asks or logs to us waits for ever.
pub(crate) fn our_group_leader_answers(otp: Otp) {
    let mut pair = Pair::start(otp);
    let beam: NodeName = BEAM.parse().unwrap();
    let io = |node: &Node, function, args| {
        block_on(node.rpc(&beam, "io", function, args, Duration::from_secs(10))).unwrap()
    };
    let args = Term::List(vec![Term::Int(1)]);
    let printed = io(&pair.node, "format", vec![Term::charlist("~p~n"), args]);
    assert_eq!(printed, Term::atom("ok"));
    let chars = Term::List(vec![Term::charlist("ä"), Term::binary("ö")]);
    assert_eq!(io(&pair.node, "put_chars", vec![chars]), Term::atom("ok"));
    assert_eq!(
        io(&pair.node, "get_line", vec![Term::charlist("> ")]),
        Term::atom("eof")
    );
    let columns = io(&pair.node, "columns", vec![]);
    assert_eq!(
        columns,
        Term::tuple([Term::atom("error"), Term::atom("enotsup")])
    );
    // Log events of a process whose group leader is ours come to us; the ping comes after them.
    let text = vec![Term::charlist("hello from afar")];
    let logged = block_on(
        pair.node
            .rpc(&beam, "logger", "error", text, Duration::from_secs(10)),
    );
    assert_eq!(logged.unwrap(), Term::atom("ok"));
    pair.asks(&[
        ("{logger, US} ! {log, error, \"~p\", [1], #{}}, net_adm:ping(US)", "pong"),
        ("R = make_ref(), {user, US} ! {io_request, self(), R, dance}, receive {io_reply, R, X} -> X after 5000 -> silence end",
         "{error,request}"),
    ]);
}

/// What is printed and logged to the program is in its log.
pub(crate) fn what_others_print_is_logged(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let member = Member::start(&ns, US, &["--topology", &list(&[BEAM])]);
    member.connected(0, BEAM);
    for (expression, message, level, text) in [
        (
            "R = make_ref(), {user, US} ! {io_request, self(), R, {put_chars, unicode, io_lib, format, [\"~ts~n\", [<<\"hi\">>]]}}, \
             receive {io_reply, R, X} -> X after 5000 -> silence end",
            "node printed",
            "INFO",
            "hi",
        ),
        (
            "{logger, US} ! {log, warning, \"~p of ~p\", [1, two], #{}}, ok",
            "node logged",
            "WARN",
            "1 of two",
        ),
    ] {
        let expression = expression.replace("US", &format!("'{US}'"));
        assert_eq!(b.eval(&expression).unwrap(), "ok");
        let record = member.said(0, message);
        assert_eq!(record["node"], BEAM);
        assert_eq!(record["level"], level);
        assert_eq!(record["text"], text);
    }
}

/// `erl -remsh` asks for a shell's module first, is told that there is none, and gives up in good order.
pub(crate) fn a_remote_shell_gives_up(otp: Otp) {
    let mut pair = Pair::start(otp);
    let root = otp.root().map(|root| format!("chroot {} ", root.display()));
    let shell = format!(
        "{}erl -name shell@127.0.0.1 -hidden -setcookie {COOKIE} -start_epmd false -remsh {US}",
        root.unwrap_or_default()
    );
    let file = NamedTempFile::new().unwrap();
    // A shell wants a terminal, and input that does not end.
    let mut command = pair.ns.command("script");
    command
        .args(["--quiet", "--command", &shell, "/dev/null"])
        .env("HOME", "/tmp")
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(file.reopen().unwrap());
    let mut process = Process::start("a remote shell", command).unwrap();
    let said = || std::fs::read_to_string(file.path()).unwrap_or_default();
    poll_until("the shell gives up", SOON, || {
        let (said, ended) = (said(), process.try_exit()?.is_some());
        // OTP 25 stays at a prompt of its own.
        let gives_up = ended || said.contains("Shell process terminated");
        anyhow::ensure!(gives_up, "it says {said}");
        anyhow::ensure!(!said.contains("CRASH REPORT"), "it says {said}");
        Ok(())
    })
    .unwrap();
    pair.ask("rpc:call(US, calc, add, [1, 2], 5000)", "3");
}
