%% The BEAM half of the bench of nodes: it serves every row, and drives every row against any peer.
%%
%% One line `ROW PEER MILLISECONDS` comes in, one line `result RATE P50 P99` goes out: operations a second, microseconds.
-module(enmesh_bench).
-behaviour(gen_server).
-export([start/0, init/1, handle_call/3, handle_cast/2]).

-define(WINDOW, 100).
-define(BULK, 64 * 1024 * 1024).
%% Milliseconds from one transfer to the next: the same load for everybody, whoever could do more.
-define(BULK_EVERY, 250).

start() ->
    register(echo, spawn(fun echo/0)),
    register(sink, spawn(fun() -> sink(0) end)),
    {ok, _} = gen_server:start({local, server}, ?MODULE, [], []),
    spawn(fun() -> io:put_chars("ready\n"), control() end),
    ok.

control() ->
    case io:get_line("") of
        Line when is_list(Line) ->
            [Row, Peer, Millis] = string:lexemes(string:trim(Line), " "),
            try
                {Rate, P50, P99} = row(Row, list_to_atom(Peer), list_to_integer(Millis)),
                io:format("result ~.3f ~.3f ~.3f~n", [float(Rate), float(P50), float(P99)])
            catch Class:Reason:Stack ->
                io:format("error ~0tp~n", [{Class, Reason, Stack}])
            end,
            control();
        _ -> halt(0)
    end.

%% What is served.

echo() ->
    receive
        {From, whoami} -> From ! {echo, self()};
        {From, Message} -> From ! Message
    end,
    echo().

sink(Count) ->
    receive
        {From, count} -> From ! {count, Count}, sink(0);
        _ -> sink(Count + 1)
    end.

init([]) -> {ok, none}.
handle_call(Request, _From, State) -> {reply, Request, State}.
handle_cast(_Request, State) -> {noreply, State}.

%% What is driven.

row("ping_1", Peer, Millis) ->
    summary(Millis, ping(echo_of(Peer), until(Millis), []));
row("ping_100", Peer, Millis) ->
    Begin = now_ns(),
    Count = window(echo_of(Peer), Begin + Millis * 1000000),
    rate(Count, Begin);
row("one_way_small", Peer, Millis) -> one_way({hello, 1, <<"0123456789">>}, 64, Peer, Millis);
row("one_way_1k", Peer, Millis) -> one_way(bytes(1024), 64, Peer, Millis);
row("one_way_64k", Peer, Millis) -> one_way(bytes(65536), 16, Peer, Millis);
row("one_way_1m", Peer, Millis) -> one_way(bytes(1048576), 4, Peer, Millis);
row("ping_beside_64m", Peer, Millis) ->
    Echo = echo_of(Peer),
    {Bulk, Monitor} = spawn_monitor(fun() -> bulk(bytes(?BULK), Peer) end),
    Result = at_any_moment(ping(Echo, until(Millis), [])),
    exit(Bulk, kill),
    receive {'DOWN', Monitor, process, Bulk, killed} -> Result end;
row("call_1", Peer, Millis) ->
    callers(1, Millis, fun() -> x = gen_server:call({server, Peer}, x) end);
row("call_100", Peer, Millis) ->
    callers(100, Millis, fun() -> x = gen_server:call({server, Peer}, x) end);
row("rpc_1", Peer, Millis) ->
    callers(1, Millis, fun() -> Peer = rpc:call(Peer, erlang, node, []) end);
row("rpc_100", Peer, Millis) ->
    callers(100, Millis, fun() -> Peer = rpc:call(Peer, erlang, node, []) end);
row("connect", Peer, Millis) ->
    erlang:disconnect_node(Peer),
    Begin = now_ns(),
    Count = cycles(Peer, Begin + Millis * 1000000, 0),
    Result = rate(Count, Begin),
    true = connected(Peer, 1000),
    Result.

echo_of(Peer) ->
    {echo, Peer} ! {self(), whoami},
    receive {echo, Pid} -> Pid after 5000 -> exit({no_echo, Peer}) end.

ping(Echo, Until, Samples) ->
    Begin = now_ns(),
    Echo ! {self(), 1},
    receive 1 -> ok end,
    case now_ns() of
        End when End < Until -> ping(Echo, Until, [End - Begin | Samples]);
        End -> [End - Begin | Samples]
    end.

window(Echo, Until) ->
    [Echo ! {self(), 1} || _ <- lists:seq(1, ?WINDOW)],
    window(Echo, Until, 0).

window(Echo, Until, Count) ->
    [receive 1 -> Echo ! {self(), 1} end || _ <- lists:seq(1, ?WINDOW)],
    case now_ns() of
        Now when Now < Until -> window(Echo, Until, Count + ?WINDOW);
        _ ->
            [receive 1 -> ok end || _ <- lists:seq(1, ?WINDOW)],
            Count + 2 * ?WINDOW
    end.

one_way(Message, Batch, Peer, Millis) ->
    {sink, Peer} ! {self(), count},
    receive {count, _} -> ok after 60000 -> exit(no_sink) end,
    Begin = now_ns(),
    flood({sink, Peer}, Message, Batch, Begin + Millis * 1000000),
    {sink, Peer} ! {self(), count},
    receive {count, Count} -> rate(Count, Begin) after 120000 -> exit(no_count) end.

flood(Sink, Message, Batch, Until) ->
    [Sink ! Message || _ <- lists:seq(1, Batch)],
    case now_ns() of
        Now when Now < Until -> flood(Sink, Message, Batch, Until);
        _ -> ok
    end.

bulk(Binary, Peer) ->
    Begin = now_ns(),
    {sink, Peer} ! Binary,
    {sink, Peer} ! {self(), count},
    receive {count, _} -> ok end,
    timer:sleep(max(0, ?BULK_EVERY - (now_ns() - Begin) div 1000000)),
    bulk(Binary, Peer).

callers(Number, Millis, Call) ->
    Call(),
    Begin = now_ns(),
    Until = Begin + Millis * 1000000,
    Me = self(),
    [spawn_link(fun() -> Me ! {samples, calls(Call, Until, [])} end) || _ <- lists:seq(1, Number)],
    Samples = lists:append([receive {samples, S} -> S end || _ <- lists:seq(1, Number)]),
    summary((now_ns() - Begin) / 1000000, Samples).

calls(Call, Until, Samples) ->
    Begin = now_ns(),
    Call(),
    case now_ns() of
        End when End < Until -> calls(Call, Until, [End - Begin | Samples]);
        End -> [End - Begin | Samples]
    end.

cycles(Peer, Until, Count) ->
    case now_ns() < Until of
        true ->
            Up = case net_kernel:connect_node(Peer) of true -> 1; _ -> 0 end,
            erlang:disconnect_node(Peer),
            cycles(Peer, Until, Count + Up);
        false -> Count
    end.

connected(_Peer, 0) -> false;
connected(Peer, Tries) ->
    case net_kernel:connect_node(Peer) of
        true -> true;
        _ -> timer:sleep(10), connected(Peer, Tries - 1)
    end.

%% Figures.

bytes(Size) -> binary:copy(<<7>>, Size).
now_ns() -> erlang:monotonic_time(nanosecond).
until(Millis) -> now_ns() + Millis * 1000000.
rate(Count, Begin) -> {Count * 1.0e9 / (now_ns() - Begin), 0, 0}.

summary(Millis, Samples) ->
    Sorted = list_to_tuple(lists:sort(Samples)),
    Size = tuple_size(Sorted),
    At = fun(Part) -> element(max(1, ceil(Size * Part)), Sorted) / 1000 end,
    {Size * 1000 / Millis, At(0.5), At(0.99)}.

%% What a message waits that somebody sends at any moment of the time that the samples took, one after the other. Plain
%% percentiles would count the many quick ones between two transfers, and hardly see the few that wait for one.
at_any_moment(Samples) ->
    Total = lists:sum(Samples),
    At = fun(Part) -> longer_than(Samples, Total * Part, 0, lists:max(Samples)) / 1000 end,
    {length(Samples) * 1.0e9 / Total, At(0.5), At(0.01)}.

longer_than(_Samples, _Time, Low, High) when High - Low < 1000 -> High;
longer_than(Samples, Time, Low, High) ->
    Middle = (Low + High) / 2,
    case lists:sum([S - Middle || S <- Samples, S > Middle]) > Time of
        true -> longer_than(Samples, Time, Middle, High);
        false -> longer_than(Samples, Time, Low, Middle)
    end.
