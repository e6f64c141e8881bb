#!/usr/bin/env escript
%%! -noinput
%% Speaks {packet,4} on standard input and output. A request is a tag and a body:
%%   $t Bytes          -> $o and the term written anew, $b if it is no term
%%   $g Seed:64        -> $o and a term made from the seed
%%   $c Seed:64 Bytes  -> $o if Bytes are the term of that seed, $n if another, $b if none
-mode(compile).

main(_) ->
    Port = open_port({fd, 0, 1}, [binary, eof, {packet, 4}]),
    loop(Port).

loop(Port) ->
    receive
        {Port, {data, Request}} ->
            port_command(Port, answer(Request)),
            loop(Port);
        {Port, eof} ->
            halt(0)
    end.

answer(<<$t, Bytes/binary>>) ->
    try binary_to_term(Bytes) of
        Term -> [$o, term_to_binary(Term, [{minor_version, 2}])]
    catch
        error:badarg -> [$b]
    end;
answer(<<$g, Seed:64>>) ->
    Term = make(Seed),
    case Seed rem 8 of
        0 -> [$o, term_to_binary(Term, [compressed, {minor_version, 2}])];
        _ -> [$o, term_to_binary(Term, [{minor_version, 2}])]
    end;
answer(<<$c, Seed:64, Bytes/binary>>) ->
    Expected = make(Seed),
    try binary_to_term(Bytes) of
        Expected -> [$o];
        _ -> [$n]
    catch
        error:badarg -> [$b]
    end.

make(Seed) ->
    _ = rand:seed(exsss, Seed),
    term(4).

term(0) -> leaf(rand:uniform(17));
term(Depth) ->
    case rand:uniform(12) of
        1 -> many(Depth);
        2 -> list_to_tuple(many(Depth));
        3 -> maps:from_list([{term(Depth - 1), term(Depth - 1)} || _ <- many_of()]);
        4 -> [term(Depth - 1) | improper_tail(rand:uniform(3))];
        5 -> maps:from_list([{N, term(Depth - 1)} || N <- lists:seq(1, rand:uniform(40))]);
        6 -> A = term(Depth - 1), B = term(Depth - 1), fun(X) -> {A, B, X} end;
        _ -> leaf(rand:uniform(17))
    end.

many(Depth) -> [term(Depth - 1) || _ <- many_of()].
many_of() -> lists:seq(1, rand:uniform(6) - 1).

improper_tail(1) -> atom;
improper_tail(2) -> <<"tail">>;
improper_tail(3) -> 4711.

leaf(1) -> rand:uniform(256) - 1;
leaf(2) -> rand:uniform(1 bsl 33) - (1 bsl 32);
leaf(3) -> rand:uniform(1 bsl 66) - (1 bsl 65);
leaf(4) -> (rand:uniform(1 bsl 64)) bsl (8 * (200 + rand:uniform(60)));
leaf(5) -> (rand:uniform() - 0.5) * math:pow(10, rand:uniform(300));
leaf(6) -> lists:nth(rand:uniform(5), ['', ok, 'a@b', 'é', list_to_atom(lists:duplicate(255, $x))]);
leaf(7) -> list_to_atom("a" ++ integer_to_list(rand:uniform(1000)));
leaf(8) -> rand:bytes(rand:uniform(100));
leaf(9) -> Bytes = rand:bytes(5), Size = rand:uniform(40), <<Bits:Size/bitstring, _/bitstring>> = Bytes, Bits;
leaf(10) -> binary_to_list(rand:bytes(rand:uniform(20)));
leaf(11) -> [];
leaf(12) -> self();
leaf(13) -> far_port((1 bsl 28) + rand:uniform(1 bsl 34));
leaf(14) -> fun lists:map/2;
leaf(15) -> reference(rand:uniform(1 bsl 18) - 1);
leaf(16) -> far_pid(rand:uniform(1 bsl 15) - 1);
leaf(17) -> lists:seq(1, 300).

%% A reference of another node, so that the same seed makes the same one.
reference(N) ->
    binary_to_term(<<131, 90, 3:16, 119, 3, "r@h", 7:32, N:32, 5:32, 6:32>>).

far_pid(N) ->
    binary_to_term(<<131, 88, 119, 3, "p@h", N:32, 0:32, 9:32>>).

far_port(N) ->
    binary_to_term(<<131, 120, 119, 3, "p@h", N:64, 9:32>>).
