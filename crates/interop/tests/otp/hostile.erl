%% A hostile peer of the member US on port PORT, evaluated by a BEAM whose process HERE receives what the member answers.
%% One connection for each frame; the value is a list of {What, closed | kept}.
Cookie = "COOKIE",
All = 16#D07DF7FBD,
Recv = fun(S) -> gen_tcp:recv(S, 0, 5000) end,
Connect = fun(Name, Flags) ->
    {ok, S} = gen_tcp:connect({127,0,0,1}, PORT, [binary, {active, false}, {packet, 2}, {nodelay, true}]),
    ok = gen_tcp:send(S, <<$N, Flags:64, 77:32, (byte_size(Name)):16, Name/binary>>),
    case Recv(S) of
        {ok, <<"sok">>} -> ok;
        {ok, <<"sok_simultaneous">>} -> ok;
        {ok, <<"salive">>} -> ok = gen_tcp:send(S, <<"strue">>)
    end,
    {ok, <<$N, Theirs:64, Challenge:32, Creation:32, _/binary>>} = Recv(S),
    ok = gen_tcp:send(S, [<<$r, 7:32>>, erlang:md5([Cookie, integer_to_list(Challenge)])]),
    {ok, <<$a, _:16/binary>>} = Recv(S),
    ok = inet:setopts(S, [{packet, 4}]),
    {S, Theirs band Flags, Creation}
end,
%% Bare terms, as packets with a header have them.
Bare = fun(Term) -> <<131, Ext/binary>> = term_to_binary(Term), Ext end,
Pid = fun(Node, Id, Serial, Creation) ->
    binary_to_term(<<131, 88, 119, (byte_size(Node)), Node/binary, Id:32, Serial:32, Creation:32>>)
end,
Ref = fun(Node, Id) -> binary_to_term(<<131, 90, 1:16, 119, (byte_size(Node)), Node/binary, 77:32, Id:32>>) end,
%% What the member said, as this node's own decoder understands it; `unread` if it refers to atoms of the cache or is a fragment.
Said = fun
    (<<112, Rest/binary>>) ->
        case binary_to_term(Rest, [used]) of
            {Said, Used} when Used =:= byte_size(Rest) -> {Said};
            {Said, Used} -> <<_:Used/binary, Payload/binary>> = Rest, {Said, binary_to_term(Payload)}
        end;
    (<<131, 68, 0, Rest/binary>>) ->
        case binary_to_term(<<131, Rest/binary>>, [used]) of
            {Said, Used} when Used =:= byte_size(Rest) + 1 -> {Said};
            {Said, Used} -> <<_:(Used - 1)/binary, Payload/binary>> = Rest, {Said, binary_to_term(<<131, Payload/binary>>)}
        end;
    (<<131, Kind, _/binary>>) when Kind >= 68, Kind =< 70 -> unread
end,
%% Whether the member still answers a monitor of nobody, and rightly. The reference is looked for, since an atom may come from the
%% cache.
Alive = fun(S, Packet, Me, Name) ->
    Reference = Ref(Name, 4711),
    gen_tcp:send(S, Packet([Bare({19, Me, nobody, Reference})])),
    Wait = fun Wait() ->
        case gen_tcp:recv(S, 0, 8000) of
            {ok, <<>>} -> Wait();
            {ok, Data} ->
                Answer = Said(Data),
                case binary:match(Data, <<77:32, 4711:32>>) of
                    nomatch -> Wait();
                    _ when Answer =:= unread; Answer =:= {{28, nobody, Me, Reference}, noproc} -> kept;
                    _ -> {wrong, Answer}
                end;
            {error, closed} -> closed;
            {error, Why} when Why =:= econnreset; Why =:= enotconn -> closed;
            {error, timeout} -> silent
        end
    end,
    Wait()
end,
Try = fun(What, Flags, Frames) ->
    Name = iolist_to_binary(["h", integer_to_list(erlang:unique_integer([positive])), "@127.0.0.1"]),
    {S, Both, Creation} = Connect(Name, Flags),
    Packet = case Both band 16#802000 of
        0 -> fun([Control]) -> [112, 131, Control]; ([Control, Payload]) -> [112, 131, Control, 131, Payload] end;
        _ -> fun(Parts) -> [<<131, 68, 0>> | Parts] end
    end,
    Me = Pid(Name, 5, 0, 77),
    Us = Pid(<<"US">>, 3, 0, Creation),
    Alive(S, Packet, Me, Name) =:= kept orelse error({no_answer_at_all, What}),
    Send = fun({raw, Bytes}) -> inet:setopts(S, [{packet, raw}]), gen_tcp:send(S, Bytes); (Frame) -> gen_tcp:send(S, Frame) end,
    [Send(Frame) || Frame <- Frames(#{me => Me, us => Us, packet => Packet, name => Name, creation => Creation})],
    Result = {What, Alive(S, Packet, Me, Name)},
    gen_tcp:close(S),
    Result
end,
Plain = All band bnot 16#802001,
Headed = All band bnot 1,
Uncached = Headed band bnot 16#2000,
Modes = [{plain, Plain}, {headed, Headed}, {uncached, Uncached}],
Control = fun(What, Make) ->
    [Try({Mode, What}, Flags, fun(#{packet := Packet} = Env) -> [Packet([Make(Env)])] end)
        || {Mode, Flags} <- Modes]
end,
Both = fun(What, Make) -> [Try({Mode, What}, Flags, Make) || {Mode, Flags} <- Modes] end,
Only = fun(What, Make) -> [Try({headed, What}, Headed, Make)] end,
%% A signal in the name of a process of another node.
Spoofed = fun(What, Make) -> Both(What, fun(#{packet := P} = Env) -> [P(Make(Env, Pid(<<"someone@else">>, 5, 0, 77)))] end) end,
%% Whether one who does not get through the handshake is closed; Talk gets the socket, raw.
Stranger = fun(What, Talk) ->
    {ok, S} = gen_tcp:connect({127,0,0,1}, PORT, [binary, {active, false}, {packet, raw}, {nodelay, true}]),
    _ = Talk(S),
    Wait = fun Wait() ->
        case gen_tcp:recv(S, 0, 12000) of
            {ok, _} -> Wait();
            {error, timeout} -> kept;
            {error, _} -> closed
        end
    end,
    Result = {{stranger, What}, Wait()},
    gen_tcp:close(S),
    [Result]
end,
Hello = fun(Name) -> <<(15 + byte_size(Name)):16, $N, All:64, 77:32, (byte_size(Name)):16, Name/binary>> end,
%% Comes as the node whose link is up, insists on it, and does not hold the cookie.
Impostor = fun(S) ->
    Beam = atom_to_binary(node()),
    ok = gen_tcp:send(S, Hello(Beam)),
    {ok, <<6:16, "salive">>} = gen_tcp:recv(S, 8, 5000),
    ok = gen_tcp:send(S, <<5:16, "strue">>),
    {ok, <<Len:16>>} = gen_tcp:recv(S, 2, 5000),
    {ok, <<$N, _/binary>>} = gen_tcp:recv(S, Len, 5000),
    gen_tcp:send(S, <<21:16, $r, 7:32, 0:128>>)
end,
Deep = fun(N) -> [binary:copy(<<108, 1:32>>, N), 106, binary:copy(<<106>>, N)] end,
First = fun(Seq, Frag, Rest) -> [<<131, 69, Seq:64, Frag:64, 0>>, Rest] end,
Next = fun(Seq, Frag, Rest) -> [<<131, 70, Seq:64, Frag:64>>, Rest] end,
lists:append([
    %% Controls that no node sends.
    Control(unknown_op, fun(#{me := Me, us := Us}) -> Bare({99, Me, Us}) end),
    Control(old_unlink, fun(#{me := Me, us := Us}) -> Bare({4, Me, Us}) end),
    Control(wrong_arity, fun(#{me := Me}) -> Bare({1, Me}) end),
    Control(no_tuple, fun(_) -> Bare(hello) end),
    Control(empty_tuple, fun(_) -> Bare({}) end),
    Control(huge_op, fun(#{me := Me, us := Us}) -> Bare({1 bsl 70, Me, Us}) end),
    Control(not_a_pid, fun(#{us := Us}) -> Bare({1, not_a_pid, Us}) end),
    Control(foreign_sender, fun(#{us := Us}) -> Bare({1, Pid(<<"someone@else">>, 5, 0, 77), Us}) end),
    Control(foreign_exit, fun(#{us := Us}) -> Bare({3, Pid(<<"someone@else">>, 5, 0, 77), Us, bye}) end),
    Control(truncated, fun(#{me := Me, us := Us}) -> B = Bare({1, Me, Us}), binary:part(B, 0, byte_size(B) - 3) end),
    Control(unknown_tag, fun(_) -> <<104, 3, 97, 1, 254, 254>> end),
    Control(huge_tuple, fun(_) -> <<105, 16#FFFFFFFF:32, 97, 1>> end),
    Control(huge_list, fun(_) -> <<104, 2, 97, 2, 108, 16#FFFFFFFF:32>> end),
    Control(huge_binary, fun(_) -> <<104, 2, 97, 2, 109, 16#FFFFFFFF:32>> end),
    Control(deep_list, fun(_) -> [<<104, 2, 97, 2>>, Deep(100000)] end),
    Spoofed(spoofed_monitor, fun(_, Who) -> [Bare({19, Who, nobody, Ref(<<"someone@else">>, 1)})] end),
    Spoofed(spoofed_demonitor, fun(_, Who) -> [Bare({20, Who, nobody, Ref(<<"someone@else">>, 1)})] end),
    Spoofed(spoofed_down, fun(#{us := Us}, Who) -> [Bare({28, Who, Us, Ref(<<"US">>, 1)}), Bare(bye)] end),
    Spoofed(spoofed_exit, fun(#{us := Us}, Who) -> [Bare({24, Who, Us}), Bare(bye)] end),
    Spoofed(spoofed_exit2, fun(#{us := Us}, Who) -> [Bare({26, Who, Us}), Bare(kill)] end),
    Spoofed(spoofed_spawn, fun(#{me := Me}, Who) -> [Bare({29, Ref(<<"someone@else">>, 1), Who, Me, {erlang, node, 0}, []}), Bare([])] end),
    Spoofed(spoofed_unlink, fun(#{us := Us}, Who) -> [Bare({35, 1, Who, Us})] end),
    Spoofed(spoofed_unlink_ack, fun(#{us := Us}, Who) -> [Bare({36, 1, Who, Us})] end),
    %% Signals that answer nothing are nobody's.
    Both(answers_to_nothing, fun(#{me := Me, us := Us, packet := P}) -> [
        P([Bare({31, Ref(<<"US">>, 1), Us, 3, Me})]), P([Bare({31, Ref(<<"US">>, 1), Us, 0, system_limit})]),
        P([Bare({28, Me, Us, Ref(<<"US">>, 1)}), Bare(bye)]), P([Bare({36, 1, Me, Us})]), P([Bare({20, Me, nobody, Ref(<<"US">>, 1)})]),
        P([Bare({33, Me, Ref(<<"US">>, 1)}), Bare(hello)]), P([Bare({7, Me, Us})]), P([Bare({24, Me, Us}), Bare(bye)])]
    end),
    %% Frames that are no messages.
    Both(payload_missing, fun(#{me := Me, packet := P}) -> [P([Bare({6, Me, '', nobody})])] end),
    Both(payload_too_many, fun(#{me := Me, us := Us, packet := P}) -> [P([Bare({1, Me, Us}), Bare(hello)])] end),
    Both(endless_frame, fun(_) -> [{raw, <<16#FFFFFFFF:32, 112, 131>>}] end),
    Both(one_byte, fun(_) -> [<<112>>] end),
    Both(one_zero, fun(_) -> [<<0>>] end),
    Both(no_version, fun(_) -> [<<112, 104, 0>>] end),
    Only(plain_in_headed, fun(#{me := Me}) -> [[112, 131, Bare({19, Me, nobody, Ref(<<"h@h">>, 1)})]] end),
    %% Payloads: a broken one is nobody's death but its own.
    Both(broken_payload_to_nobody, fun(#{me := Me, packet := P}) -> [P([Bare({6, Me, '', nobody}), <<254, 254>>])] end),
    Both(broken_payload_to_somebody, fun(#{me := Me, packet := P}) -> [P([Bare({6, Me, '', net_kernel}), <<104, 5>>])] end),
    Both(deep_payload, fun(#{me := Me, packet := P}) -> [P([Bare({6, Me, '', net_kernel}), Deep(200000)])] end),
    Both(bomb, fun(#{me := Me, packet := P}) ->
        <<131, Zipped/binary>> = term_to_binary(binary:copy(<<0>>, 200000000), [compressed]),
        [P([Bare({6, Me, '', net_kernel}), Zipped])]
    end),
    Both(stale_pid, fun(#{me := Me, packet := P}) ->
        [P([Bare({2, '', Pid(<<"US">>, 3, 0, 1)}), Bare(hello)]), P([Bare({35, 1, Me, Pid(<<"US">>, 3, 0, 1)})])]
    end),
    Both(many_atoms, fun(#{me := Me, packet := P}) ->
        [P([Bare({6, Me, '', net_kernel}),
            [108, <<20000:32>>, [begin T = integer_to_binary(N + 1000000), <<119, 17, "hostile_a_", T/binary>> end || N <- lists:seq(1, 20000)], 106]])]
    end),
    %% Asks for answers of a mebibyte, and reads none of them.
    [Try({Mode, deaf}, Flags, fun(#{me := Me, packet := P}) ->
        lists:duplicate(400, P([Bare({6, Me, '', echo}), Bare({Me, binary:copy(<<0>>, 1 bsl 20)})]))
    end) || {Mode, Flags} <- [{plain, Plain}, {headed, Headed}]],
    %% Who has no cookie, or does not even say a name.
    Stranger(impostor, Impostor),
    Stranger(our_own_name, fun(S) -> gen_tcp:send(S, Hello(<<"US">>)) end),
    Stranger(half_a_name, fun(S) -> gen_tcp:send(S, binary:part(Hello(<<"half@127.0.0.1">>), 0, 20)) end),
    Stranger(not_a_name, fun(S) -> gen_tcp:send(S, Hello(<<"no-name">>)) end),
    Stranger(name_too_long, fun(S) -> gen_tcp:send(S, Hello(<<(binary:copy(<<"n">>, 2000))/binary, "@h">>)) end),
    Stranger(name_cut_short, fun(S) -> gen_tcp:send(S, <<15:16, $N, All:64, 77:32, 500:16>>) end),
    Stranger(no_flags, fun(S) -> gen_tcp:send(S, <<29:16, $N, 0:64, 77:32, 14:16, "none@127.0.0.1">>) end),
    Stranger(old_handshake, fun(S) -> gen_tcp:send(S, <<17:16, $n, 5:16, 16#7499:32, "old@127.0.0.1">>) end),
    Stranger(another_protocol, fun(S) -> gen_tcp:send(S, "GET / HTTP/1.1\r\n\r\n") end),
    %% Fragments and the atom cache.
    Only(fragment_again, fun(#{me := Me}) -> C = Bare({6, Me, '', nobody}), [First(9, 3, [C, <<109, 9:32, "abc">>]), First(9, 3, [C, <<109, 9:32, "abc">>])] end),
    Only(fragment_unknown, fun(_) -> [Next(10, 1, <<"abc">>)] end),
    Only(fragment_out_of_order, fun(#{me := Me}) -> [First(11, 4, [Bare({6, Me, '', nobody}), <<109, 12:32, "abc">>]), Next(11, 2, <<"def">>)] end),
    Only(fragment_zero, fun(#{me := Me}) -> [First(12, 0, [Bare({6, Me, '', nobody}), <<97, 1>>])] end),
    Only(many_fragments, fun(#{me := Me}) -> C = Bare({6, Me, '', nobody}), [First(N, 2, [C, <<109, 9:32, "abc">>]) || N <- lists:seq(20, 320)] end),
    Only(cache_unknown, fun(_) -> [<<131, 68, 1, 0, 7, 104, 1, 82, 0>>] end),
    Only(cache_out_of_range, fun(_) -> [<<131, 68, 0, 104, 1, 82, 200>>] end),
    Only(header_cut_short, fun(_) -> [<<131, 68, 200, 8>>] end),
    Only(header_unknown, fun(_) -> [<<131, 99, 0, 104, 0>>] end),
    Only(good_fragments, fun(#{me := Me}) -> C = Bare({6, Me, '', nobody}), [First(13, 2, [C, <<109, 6:32, "abc">>]), Next(13, 1, <<"def">>)] end)
]).
