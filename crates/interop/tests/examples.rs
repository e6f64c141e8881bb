//! Every example of crate `enmesh` beside a real BEAM of each release, with Elixir in it where the
//! example says so.

use std::time::Duration;

use enmesh_interop::{Beam, Epmd, Example, NetNs, Otp};

/// More than anything here takes, also with both cores busy.
const SOON: Duration = Duration::from_secs(30);

const COOKIE: &str = "secret";
const BEAM: &str = "web@127.0.0.1";
const RUST: &str = "rust@127.0.0.1";

/// Where Debian puts Elixir.
const ELIXIR: &str = "/usr/lib/elixir/lib/elixir/ebin";

/// A BEAM with an epmd, in a namespace of their own.
struct Peer {
    beam: Beam,
    _epmd: Epmd,
    ns: NetNs,
}

impl Peer {
    fn start(otp: Otp) -> Self {
        let ns = NetNs::new().unwrap();
        let epmd = Epmd::start(&ns).unwrap();
        let beam = Beam::start(otp, &ns, BEAM, COOKIE, &["-pa", ELIXIR]).unwrap();
        let mut peer = Self {
            beam,
            _epmd: epmd,
            ns,
        };
        peer.says("element(1, application:ensure_all_started(elixir))", "ok");
        peer
    }

    fn example(&self, name: &str) -> Example {
        Example::start(&self.ns, name, &[RUST, COOKIE, BEAM]).unwrap()
    }

    /// Waits until Erlang says `wanted` to `expressions`.
    fn says(&mut self, expressions: &str, wanted: &str) {
        self.beam.wait_eval(SOON, expressions, wanted).unwrap();
    }

    /// Waits until Elixir says `wanted`, in Erlang's spelling, to `code`.
    fn elixir_says(&mut self, code: &str, wanted: &str) {
        let hex: String = code.bytes().map(|byte| format!("{byte:02x}")).collect();
        let code = format!("binary:decode_hex(<<\"{hex}\">>)");
        self.says(
            &format!("element(1, 'Elixir.Code':eval_string({code}))"),
            wanted,
        );
    }
}

/// Runs a test beside each release, one after the other.
fn beside_each_release(test: impl Fn(Peer, Otp)) {
    for otp in Otp::ALL {
        eprintln!("beside {otp}");
        test(Peer::start(otp), otp);
    }
}

fn prints(example: &Example, wanted: &str) {
    let found = |line: &str| (line == wanted).then_some(());
    example.stdout().wait_for(SOON, found).unwrap();
}

#[test]
fn embed_tells_of_a_beam_that_comes_and_goes() {
    beside_each_release(|mut peer, _| {
        let mut example = peer.example("embed");
        prints(&example, "web@127.0.0.1 is here");
        peer.elixir_says("Node.list()", "['rust@127.0.0.1']");
        peer.elixir_says("Node.disconnect(:\"rust@127.0.0.1\")", "true");
        prints(&example, "web@127.0.0.1 is gone: connection_closed");
        example.process().interrupt().unwrap();
        assert!(example.process().wait_exit(SOON).unwrap().success());
    });
}

#[test]
fn gen_server_is_called_by_elixir_on_a_beam() {
    beside_each_release(|mut peer, _| {
        let _example = peer.example("gen_server");
        peer.elixir_says("Node.list()", "['rust@127.0.0.1']");
        let call =
            |request: &str| format!("GenServer.call({{:counter, :\"rust@127.0.0.1\"}}, {request})");
        peer.elixir_says(&call(":get"), "{ok,0}");
        let cast = "GenServer.cast({:counter, :\"rust@127.0.0.1\"}, {:add, 3})";
        peer.elixir_says(&format!("{{{cast}, {}}}", call(":get")), "{ok,{ok,3}}");
        let refused = "{error,<<\"expected one of get, add\">>}";
        peer.elixir_says(&call(":reset"), refused);
    });
}

#[test]
fn call_elixir_calls_a_server_and_a_function_of_a_beam() {
    beside_each_release(|mut peer, otp| {
        let shop = "
        defmodule Stock, do: defstruct [:item, :left]
        defmodule Shop do
          use GenServer
          def init(left), do: {:ok, left}
          def handle_call({:take, item, n}, _from, left),
            do: {:reply, {:ok, struct(Stock, item: item, left: left - n)}, left - n}
        end
        elem(GenServer.start(Shop, 5, name: Shop), 0)";
        peer.elixir_says(shop, "ok");
        let mut example = peer.example("call_elixir");
        prints(
            &example,
            &format!("2 x apple left at web@127.0.0.1, which runs {otp}"),
        );
        assert!(example.process().wait_exit(SOON).unwrap().success());
    });
}

#[test]
fn process_group_answers_what_a_beam_sends_to_the_group() {
    beside_each_release(|mut peer, _| {
        peer.says("element(1, pg:start(pg))", "ok");
        let mut example = peer.example("process_group");
        peer.says(
            "[node(Pid) || Pid <- pg:get_members(workers)]",
            "['rust@127.0.0.1']",
        );
        let shout = "[Pid] = pg:get_members(workers), Pid ! {shout, self(), <<\"hello\">>}, \
                 receive Answer -> Answer after 10000 -> none end";
        peer.says(shout, "{shouted,<<\"HELLO\">>}");
        example.process().kill9().unwrap();
        peer.says("pg:get_members(workers)", "[]");
    });
}

#[test]
fn global_name_is_found_by_a_beam_until_its_program_dies() {
    beside_each_release(|mut peer, _| {
        let mut example = peer.example("global_name");
        prints(&example, "we lead");
        peer.says("node(global:whereis_name(leader))", "'rust@127.0.0.1'");
        peer.elixir_says(
            "GenServer.call({:global, :leader}, :who)",
            "<<\"rust@127.0.0.1\">>",
        );
        example.process().kill9().unwrap();
        peer.says("global:whereis_name(leader)", "undefined");
    });
}

/// What Phoenix.PubSub's default adapter does on each node: a scope, a group of the adapter's
/// name, and a worker in it that takes `forward_to_local`. This one keeps what it took.
const ADAPTER: &str = "
    {ok, _} = pg:start('Elixir.Phoenix.PubSub'),
    Worker = spawn(fun() ->
        (fun Loop(Taken) ->
            receive
                {forward_to_local, Topic, Message, Dispatcher} ->
                    Loop([{Topic, Message, Dispatcher} | Taken]);
                {taken, From} -> From ! Taken, Loop(Taken)
            end
        end)([])
    end),
    register('Elixir.Shop.PubSub.Adapter', Worker),
    pg:join('Elixir.Phoenix.PubSub', 'Elixir.Shop.PubSub.Adapter', Worker)";

/// Broadcasts as that adapter does, and says on how many other nodes.
const BROADCAST: &str = "
    Pids = pg:get_members('Elixir.Phoenix.PubSub', 'Elixir.Shop.PubSub.Adapter'),
    Message = {ordered, #{id => 7, total => 12.5}},
    length([Pid ! {forward_to_local, <<\"orders\">>, Message, 'Elixir.Phoenix.PubSub'}
            || Pid <- Pids, node(Pid) =/= node()])";

#[test]
fn pubsub_hears_and_speaks_to_the_adapter_of_a_beam() {
    beside_each_release(|mut peer, _| {
        peer.says(ADAPTER, "ok");
        let _example = peer.example("pubsub");
        peer.says(BROADCAST, "1");
        let invoice =
            "{<<\"invoices\">>,{invoiced,#{due => 15.0,order => 7}},'Elixir.Phoenix.PubSub'}";
        // Releases print the keys of a map in different orders.
        let taken = format!(
            "'Elixir.Shop.PubSub.Adapter' ! {{taken, self()}}, receive Taken -> Taken end =:= [{invoice}]"
        );
        peer.says(&taken, "true");
    });
}

/// docs/joining.md, "What asks every node, and what it gets".
#[test]
fn what_a_beam_asks_of_every_node_is_refused_at_once() {
    beside_each_release(|mut peer, _| {
        let example = peer.example("embed");
        prints(&example, "web@127.0.0.1 is here");
        peer.elixir_says("Node.list()", "['rust@127.0.0.1']");
        let at_once = |code: &str| {
            let code = code.replace("RUST", ":\"rust@127.0.0.1\"");
            format!(
                "{{time, answer}} = :timer.tc(fn -> {code} end); {{div(time, 5_000_000), answer}}"
            )
        };
        let undef = "{'EXIT',{undef,[{'Elixir.Shop',open,[],[]}]}}";
        peer.elixir_says(
            &at_once(":rpc.multicall(Node.list(), Shop, :open, [], 60_000)"),
            &format!("{{0,{{[{{badrpc,{undef}}}],[]}}}}"),
        );
        peer.elixir_says(
            &at_once("GenServer.multi_call(Node.list(), :shop, :open, 60_000)"),
            "{0,{[],['rust@127.0.0.1']}}",
        );
        let task = "Task.Supervisor.async_nolink({Shop.Tasks, RUST}, IO, :puts, [\"x\"])";
        peer.elixir_says(
            &at_once(&format!(
                "try do {task} catch :exit, {{reason, _}} -> reason end"
            )),
            "{0,noproc}",
        );
        peer.elixir_says(
            &at_once(
                "Process.flag(:trap_exit, true); pid = Node.spawn_link(RUST, Shop, :open, []); \
             receive do {:EXIT, ^pid, {reason, _}} -> reason end",
            ),
            "{0,undef}",
        );
    });
}

/// What the example `connector` runs: its links are the lines of a file.
const CONNECT: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
touch links
case "$1" in
    list) cat links ;;
    connect) [ "$2" != refused@h ] && echo "$2" >> links ;;
    disconnect) grep -v "^$2\$" links > rest; mv rest links ;;
esac
"#;

#[test]
fn connector_has_a_command_connect_and_disconnect() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (command, peers, links) = (path("connect.sh"), path("peers"), path("links"));
    std::fs::write(&command, CONNECT).unwrap();
    let executable = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&command, executable).unwrap();
    std::fs::write(&peers, "b@h\nc@h\nrefused@h\n").unwrap();
    let topology = format!("strategy=file polling_interval=100 path={peers}");
    let ns = NetNs::new().unwrap();
    let example = Example::start(&ns, "connector", &["a@h", &command, &topology]).unwrap();
    prints(&example, "b@h is here");
    prints(&example, "c@h is here");
    // Who is gone from the file is disconnected; whose link is lost is connected again.
    std::fs::write(&peers, "b@h\nrefused@h\n").unwrap();
    prints(&example, "c@h is gone: pruned");
    let mark = example.stdout().mark();
    std::fs::write(&links, "").unwrap();
    prints(&example, "b@h is gone: connection_closed");
    let again = |line: &str| (line == "b@h is here").then_some(());
    example.stdout().wait_from(mark, SOON, again).unwrap();
}
