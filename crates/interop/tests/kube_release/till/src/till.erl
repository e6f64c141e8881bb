%% Knows nothing of clustering, and prints whom its VM sees come and go.
-module(till).
-behaviour(application).
-export([start/2, stop/1, watch/0]).

start(_Type, _Args) ->
    {ok, spawn_link(fun watch/0)}.

stop(_State) ->
    ok.

watch() ->
    ok = net_kernel:monitor_nodes(true),
    io:format("started ~s~n", [node()]),
    %% The VM may have been connected before any application ran.
    [self() ! {nodeup, Node} || Node <- nodes()],
    tell([]).

tell(Known) ->
    receive
        {nodeup, Node} ->
            lists:member(Node, Known) orelse io:format("up ~s~n", [Node]),
            tell(lists:usort([Node | Known]));
        {nodedown, Node} ->
            io:format("down ~s~n", [Node]),
            tell(lists:delete(Node, Known))
    end.
