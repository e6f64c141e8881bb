%% A node of libcluster's strategy Gossip, written from the format of its packets: heartbeats to a group or a broadcast address,
%% whoever is heard is connected, and nothing else.
-module(gossip).
-export([start/1, terms/0, packets/0, alive/0, liar/1, lie/3]).

start(Options) ->
    Asker = self(),
    Gossip = spawn(fun() ->
        register(gossip, self()),
        {ok, Socket} = open(Options),
        Asker ! {self(), started},
        self() ! heartbeat,
        loop(Options#{socket => Socket, terms => [], packets => []})
    end),
    receive {Gossip, started} -> ok after 5000 -> timeout end.

open(#{port := Port, group := Group} = Options) ->
    Always = [binary, {active, true}, {ip, {0, 0, 0, 0}}, {reuseaddr, true}, {broadcast, true}],
    gen_udp:open(Port, Always ++ case Options of
        #{broadcast_only := true} -> [];
        #{multicast_if := If} -> [{multicast_if, If}, {multicast_ttl, 1}, {multicast_loop, true}, {add_membership, {Group, If}}];
        #{} -> [{multicast_ttl, 1}, {multicast_loop, true}, {add_membership, {Group, {0, 0, 0, 0}}}]
    end).

loop(#{socket := Socket, group := Group, port := Port, packets := Packets} = State) ->
    receive
        heartbeat ->
            Packet = <<"heartbeat::", (term_to_binary(#{node => node()}))/binary>>,
            maps:get(mute, State, false) orelse gen_udp:send(Socket, Group, Port, seal(State, Packet)),
            erlang:send_after(rand:uniform(5000), self(), heartbeat),
            loop(State);
        {udp, Socket, _, _, Packet} ->
            case unseal(State, Packet) of
                <<"heartbeat::", Term/binary>> -> loop(heard(binary_to_term(Term), State#{packets := [Packet | Packets]}));
                _ -> loop(State#{packets := [Packet | Packets]})
            end;
        {From, What} ->
            From ! {gossip, maps:get(What, State)},
            loop(State)
    end.

heard(#{node := Node} = Term, #{terms := Terms} = State) when is_atom(Node) ->
    maps:get(connect, State, false) andalso spawn(fun() -> net_kernel:connect_node(Node) end),
    State#{terms := [Term | Terms]};
heard(Term, #{terms := Terms} = State) ->
    State#{terms := [Term | Terms]}.

%% AES-256-CBC with the SHA-256 of the secret, behind the vector, padded as in PKCS#7.
seal(#{secret := Secret}, Packet) ->
    Iv = crypto:strong_rand_bytes(16),
    Pad = 16 - byte_size(Packet) rem 16,
    Padded = <<Packet/binary, (binary:copy(<<Pad>>, Pad))/binary>>,
    <<Iv/binary, (crypto:crypto_one_time(aes_256_cbc, crypto:hash(sha256, Secret), Iv, Padded, true))/binary>>;
seal(_, Packet) ->
    Packet.

unseal(#{secret := Secret}, <<Iv:16/binary, Sealed/binary>>) when Sealed =/= <<>>, byte_size(Sealed) rem 16 =:= 0 ->
    Padded = crypto:crypto_one_time(aes_256_cbc, crypto:hash(sha256, Secret), Iv, Sealed, false),
    binary:part(Padded, 0, max(0, byte_size(Padded) - binary:last(Padded)));
unseal(#{secret := _}, _) ->
    none;
unseal(_, Packet) ->
    Packet.

terms() -> ask(terms).
packets() -> ask(packets).
alive() -> is_pid(whereis(gossip)).

ask(What) ->
    gossip ! {self(), What},
    receive {gossip, Answer} -> lists:reverse(Answer) after 5000 -> timeout end.

%% Somebody who has no secret: hears all, says nothing of its own.
liar(Options) ->
    start(Options#{mute => true}).

%% Says each of these so often, from a port of its own.
lie(#{group := Group, port := Port}, Packets, Times) ->
    {ok, Socket} = gen_udp:open(0, [binary, {multicast_if, {127, 0, 0, 1}}]),
    [begin
        _ = [gen_udp:send(Socket, Group, Port, Packet) || Packet <- Packets],
        timer:sleep(1)
    end || _ <- lists:seq(1, Times)],
    gen_udp:close(Socket).
