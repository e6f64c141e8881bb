//! What nodes ask of every other node in `nodes()`, from Erlang, Elixir and C.

use enmesh::{Answer, Caller, GenServer, Process, Stop, Term};
use enmesh_interop::{Otp, poll_until};

use crate::bench::{COOKIE, SOON, says};
use crate::global::{Cluster, quick};

/// A server of a Rust program.
struct Mirror;

impl GenServer for Mirror {
    async fn handle_call(
        &mut self,
        request: Term,
        _: &Caller,
        _: &Process,
    ) -> Result<Answer, Stop> {
        Ok(Answer::Reply(request))
    }
}

/// What `sys` asks of a process, of all that a member has: each must refuse at once and live on. Gives those that do not.
const SYS: &str = "
    Refuses = fun(Work) ->
        try Work() of
            {error, _} -> true;
            Answer -> {answered, Answer}
        catch
            exit:{{timeout, _}, _} -> timeout;
            exit:{timeout, _} -> timeout;
            exit:{{noproc, _}, _} -> nobody;
            exit:{noproc, _} -> nobody;
            _:_ -> true
        end
    end,
    Members = [{Name, Node} || Node <- ['a@127.0.0.1', 'z@127.0.0.1', 'r@127.0.0.1'],
                               Name <- [rex, global_name_server, net_kernel, logger, user]],
    Servers = [{echo, 'a@127.0.0.1'}, {echo, 'z@127.0.0.1'}, {MIRROR, 'r@127.0.0.1'} | Members],
    [{Server, Request, Outcome} ||
        Server <- Servers,
        {Request, Work} <- [
            {get_state, fun() -> sys:get_state(Server, 5000) end},
            {replace_state, fun() -> sys:replace_state(Server, fun(S) -> S end, 5000) end},
            {get_status, fun() -> sys:get_status(Server, 5000) end},
            {suspend, fun() -> sys:suspend(Server, 5000) end},
            {twice, fun() -> sys:get_state(Server, 5000) end}],
        (Outcome = Refuses(Work)) =/= true]";

/// Node-wide calls get an answer from every node, ours included.
pub(crate) fn a_neighbour_is_whole(otp: Otp) {
    check_whole(&mut Cluster::start(&[otp, otp]));
}

/// The same with all releases at once.
#[test]
fn three_releases_call_all_their_neighbours() {
    check_whole(&mut Cluster::start(&Otp::ALL));
}

fn check_whole(cluster: &mut Cluster) {
    let program = cluster.embed("r@127.0.0.1");
    program.start_server("mirror", Mirror).unwrap();
    let names = cluster.names();
    let list = format!("['{}']", names.join("','"));
    let servers: Vec<String> = ["a@127.0.0.1", "z@127.0.0.1"]
        .map(|name| format!("{{'{name}',hello}}"))
        .into();
    for beam in &mut cluster.beams {
        let own = beam.name().to_owned();
        let ask = |beam: &mut enmesh_interop::Beam, expression: &str, wanted: &str| {
            let expression = expression.replace("ALL", &list);
            assert_eq!(quick(beam, &expression), wanted, "{own}: {expression}");
        };
        ask(beam, "lists:usort([net_adm:ping(N) || N <- ALL])", "[pong]");
        ask(
            beam,
            "{R, B} = rpc:multicall(ALL, erlang, node, [], 5000), {lists:sort(R), B}",
            &format!("{{{list},[]}}"),
        );
        ask(
            beam,
            "lists:sort([N || {ok, N} <- erpc:multicall(ALL, erlang, node, [], 5000)])",
            &list,
        );
        ask(
            beam,
            "{R, []} = rpc:multicall(ALL, erlang, nodes, [], 5000), lists:usort([length(N) || N <- R])",
            &format!("[{}]", names.len() - 1),
        );
        ask(
            beam,
            "{[T], []} = rpc:multicall(['a@127.0.0.1'], net_kernel, get_net_ticktime, []), {seconds, T}",
            "{seconds,60}",
        );
        ask(
            beam,
            "rpc:block_call('a@127.0.0.1', erlang, node, [], 5000)",
            "'a@127.0.0.1'",
        );
        ask(
            beam,
            "{R, _} = gen_server:multi_call(ALL, echo, hello, 5000), lists:sort(R)",
            &format!("[{}]", servers.join(",")),
        );
        ask(
            beam,
            "{R, B} = gen_server:multi_call(ALL, mirror, hello, 5000), {R, length(B)}",
            &format!("{{[{{'r@127.0.0.1',hello}}],{}}}", names.len() - 1),
        );
        ask(
            beam,
            "{echo, 'a@127.0.0.1'} ! {self(), hi}, receive {echo, hi} -> ok after 5000 -> silence end",
            "ok",
        );
        // Whatever is not understood is refused at once, and nobody dies of it.
        ask(beam, &SYS.replace("MIRROR", "mirror"), "[]");
        let by_pid = "rpc:call('r@127.0.0.1', erlang, whereis, [mirror], 5000)";
        ask(beam, &SYS.replace("{MIRROR, 'r@127.0.0.1'}", by_pid), "[]");
        ask(
            beam,
            "try gen_server:call({net_kernel, 'a@127.0.0.1'}, what_is_this, 5000) of _ -> answered \
             catch exit:{timeout, _} -> timeout; _:_ -> refused end",
            "answered",
        );
        ask(
            beam,
            "[catch gen_server:call({S, 'a@127.0.0.1'}, nonsense, 5000) || S <- [rex, global_name_server, logger, user]], ok",
            "ok",
        );
        ask(
            beam,
            "P = rpc:call('a@127.0.0.1', erlang, whereis, [user], 5000), ok = case P of _ when is_pid(P) -> \
             io:format(P, \"hello~n\", []); {badrpc, _} -> ok end",
            "ok",
        );
        ask(
            beam,
            "gen_server:cast({echo, 'a@127.0.0.1'}, hello), net_adm:ping('a@127.0.0.1')",
            "pong",
        );
    }
    for member in &cluster.members {
        assert_eq!(
            member.count(|record| record["message"] == "node disconnected"),
            0,
            "{}",
            member.name()
        );
    }
}

/// Elixir's own modules, on an Erlang node that has them loaded.
pub(crate) fn elixir_finds_a_neighbour(otp: Otp) {
    check_elixir(&mut Cluster::start(&[otp]));
}

/// The same with all releases at once.
#[test]
fn three_releases_with_elixir_find_their_neighbours() {
    check_elixir(&mut Cluster::start(&Otp::ALL));
}

fn check_elixir(cluster: &mut Cluster) {
    let all = cluster.names();
    let others = |own: &str, gone: &str| {
        let others = all.iter().filter(|name| *name != own && *name != gone);
        let quoted: Vec<String> = others.map(|name| format!("'{name}'")).collect();
        format!("[{}]", quoted.join(","))
    };
    let list = "lists:sort('Elixir.Node':list())";
    for beam in &mut cluster.beams {
        beam.eval("true = code:add_path(\"/usr/lib/elixir/lib/elixir/ebin\"), {ok, _} = application:ensure_all_started(elixir), ok")
            .unwrap();
        let own = beam.name().to_owned();
        says(beam, list, &others(&own, ""));
        let call = "'Elixir.GenServer':call({echo, 'a@127.0.0.1'}, {hello, <<\"world\">>}, 5000)";
        assert_eq!(quick(beam, call), "{hello,<<\"world\">>}");
        assert_eq!(quick(beam, "'Elixir.Node':ping('a@127.0.0.1')"), "pong");
        let cast = "'Elixir.GenServer':cast({echo, 'a@127.0.0.1'}, hello)";
        assert_eq!(quick(beam, cast), "ok");
        beam.eval(
            "Me = self(), spawn(fun() -> 'Elixir.Node':monitor('z@127.0.0.1', true), Me ! ready, \
             receive {nodedown, N} -> register(seen, self()), receive {F, who} -> F ! N end end end), \
             receive ready -> ok end",
        )
        .unwrap();
    }
    let mut dead = cluster.members.pop().unwrap();
    dead.enmesh.process().kill9().unwrap();
    for beam in &mut cluster.beams {
        let seen = "seen ! {self(), who}, receive 'z@127.0.0.1' -> ok end";
        poll_until("Node.monitor tells of the death", SOON, || beam.eval(seen)).unwrap();
        let own = beam.name().to_owned();
        says(beam, list, &others(&own, dead.name()));
    }
}

/// `erl_call` is a C node that knows nothing but the oldest way to call.
pub(crate) fn erl_call_is_answered(otp: Otp) {
    // Debian's OTP 25 comes without it; the program of 27 speaks the same protocol.
    let tool = if otp == Otp::R25 { Otp::R27 } else { otp };
    check_erl_call(&Cluster::start(&[otp]), tool);
}

/// The same with all releases at once.
#[test]
fn erl_call_is_answered_by_three_releases_and_their_neighbours() {
    let cluster = Cluster::start(&Otp::ALL);
    check_erl_call(&cluster, Otp::R27);
    check_erl_call(&cluster, Otp::R29);
}

fn check_erl_call(cluster: &Cluster, tool: Otp) {
    let root = tool.root().expect("newer releases are in chroots");
    let root = root.to_str().unwrap();
    for name in cluster.names() {
        let call = [root, "erl_call", "-c", COOKIE, "-n", &name, "-a"];
        let args = call.into_iter().chain(["erlang node"]);
        let answer = cluster.ns.run("chroot", args).unwrap();
        assert_eq!(answer.trim(), format!("'{name}'"));
    }
}
