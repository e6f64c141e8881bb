%% Runs in the node that the agent steers, as terms for erl_eval:exprs/2: nothing is loaded there.
%% `Agent` is the agent's pid, `Prefixes` how the names of those begin that are no peers.
Say = fun(What) -> Agent ! {enmesh_agent, What}, ok end,
IsPeer = fun(Node) ->
    Name = atom_to_list(Node),
    not lists:any(fun(Prefix) -> lists:prefix(Prefix, Name) end, Prefixes)
end,
group_leader(whereis(init), self()),
try register(enmesh_agent, self()) of
    true ->
        Monitor = monitor(process, Agent),
        Options = [nodedown_reason, {node_type, all}],
        case net_kernel:monitor_nodes(true, [connection_id | Options]) of
            ok -> ok;
            _ -> ok = net_kernel:monitor_nodes(true, Options)
        end,
        Present =
            try
                erlang:nodes(connected, #{connection_id => true, node_type => true})
            catch
                error:_ ->
                    Type = fun(true) -> visible; (false) -> hidden end,
                    [{N, #{node_type => Type(lists:member(N, nodes()))}} || N <- nodes(connected)]
            end,
        Say({everybody, [{N, I} || {N, I} <- Present, IsPeer(N)]}),
        Loop = fun Loop() ->
            receive
                {nodeup, N, I} ->
                    IsPeer(N) andalso Say({up, N, I}),
                    Loop();
                {nodedown, N, I} ->
                    IsPeer(N) andalso Say({down, N, I}),
                    Loop();
                {sync, Number} ->
                    Say({synced, Number}),
                    Loop();
                {who, From} ->
                    From ! {enmesh_agent_of, node(Agent)},
                    Loop();
                leave ->
                    Say(leave),
                    Loop();
                {'DOWN', Monitor, _, _, _} ->
                    ok;
                stop ->
                    ok;
                _ ->
                    Loop()
            end
        end,
        Loop()
catch
    error:badarg ->
        catch enmesh_agent ! {who, self()},
        receive
            {enmesh_agent_of, Other} -> Say({taken, Other})
        after 1000 -> Say({taken, unknown})
        end
end.
