//! Beside BEAMs that gossip as libcluster does, and beside somebody who lies.

use std::io::Write;

use enmesh_interop::{Beam, Epmd, NetNs, Otp};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::bench::{Member, SOON, beam};

/// The gossip of a BEAM.
const PEER: &str = include_str!("gossip.erl");

const GROUP: &str = "{233,252,1,32}";
const SECRET: &str = "some password";

/// Compiles the module in the BEAM and starts it with these options, as in `group => {…}`.
fn gossips(beam: &mut Beam, start: &str, options: &str) {
    let source: String = PEER.bytes().map(|byte| format!("{byte:02x}")).collect();
    let load = format!(
        "{{ok, Tokens, _}} = erl_scan:string(binary_to_list(binary:decode_hex(<<\"{source}\">>))), \
         Parse = fun F([], [], Forms) -> lists:reverse(Forms); \
             F([{{dot, _}} = Dot | Rest], Form, Forms) -> \
                 {{ok, Parsed}} = erl_parse:parse_form(lists:reverse([Dot | Form])), F(Rest, [], [Parsed | Forms]); \
             F([Token | Rest], Form, Forms) -> F(Rest, [Token | Form], Forms) end, \
         {{ok, gossip, Code}} = compile:forms(Parse(Tokens, [], [])), \
         {{module, gossip}} = code:load_binary(gossip, \"gossip.erl\", Code), \
         gossip:{start}(#{{port => 45892, {options}}})"
    );
    assert_eq!(beam.eval(&load).unwrap(), "ok");
}

/// Waits until the BEAM has heard this term.
fn hears(beam: &mut Beam, pattern: &str) {
    let expression = format!("[] =/= [T || {pattern} = T <- gossip:terms()]");
    beam.wait_eval(SOON, &expression, "true").unwrap();
}

fn secret_file() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{SECRET}").unwrap();
    file
}

fn member(ns: &NetNs, name: &str, topology: &str, args: &[&str]) -> Member {
    let common = ["--log-level", "debug", "--topology", topology];
    Member::start(ns, name, &[&common, args].concat())
}

/// How often this was said of the peer.
fn said_of(member: &Member, message: &str, peer: &str) -> usize {
    member.count(|record| {
        let of = |key: &str| {
            record[key]
                .as_str()
                .is_some_and(|text| text.starts_with(peer))
        };
        record["message"] == message && (of("peer") || of("node"))
    })
}

fn waits_for(member: &Member, message: &str, peer: &str) -> Value {
    let is_it = |record: &Value| {
        let of = |key: &str| {
            record[key]
                .as_str()
                .is_some_and(|text| text.starts_with(peer))
        };
        record["message"] == message && (of("peer") || of("node"))
    };
    member.enmesh.wait_for(SOON, is_it).unwrap()
}

/// A namespace whose one interface is loopback, and the group is there.
fn alone() -> (NetNs, Epmd) {
    let ns = NetNs::new().unwrap();
    ns.run("ip", ["route", "add", "233.252.1.32/32", "dev", "lo"])
        .unwrap();
    let epmd = Epmd::start(&ns).unwrap();
    (ns, epmd)
}

/// Two namespaces with a wire between them, which is their way to everywhere.
fn two() -> [(NetNs, Epmd); 2] {
    let (near, far) = (NetNs::new().unwrap(), NetNs::new().unwrap());
    near.wire("10.9.0.1/24", &far, "10.9.0.2/24").unwrap();
    near.run("ip", ["route", "add", "default", "via", "10.9.0.2"])
        .unwrap();
    far.run("ip", ["route", "add", "default", "via", "10.9.0.1"])
        .unwrap();
    [near, far].map(|ns| {
        let epmd = Epmd::start(&ns).unwrap();
        (ns, epmd)
    })
}

/// Without a secret, all on one machine with one port: our packets are to the byte those of libcluster, and theirs are heard in
/// the encoding of each release.
pub(crate) fn plain_gossip_goes_both_ways(otp: Otp) {
    const BEAM: &str = "b@127.0.0.1";
    const US: &str = "r@127.0.0.1";
    let (ns, _epmd) = alone();
    let mut b = beam(otp, &ns, BEAM, &[]);
    gossips(&mut b, "start", &format!("group => {GROUP}"));
    let r = member(&ns, US, "strategy=gossip", &[]);
    r.connected(0, BEAM);
    hears(&mut b, &format!("#{{node := '{US}'}}"));
    let ours =
        format!("[T || #{{node := '{US}'}} = T <- gossip:terms(), T =/= #{{node => '{US}'}}]");
    assert_eq!(b.eval(&ours).unwrap(), "[]");
    let warning =
        "anybody may have sent the heartbeats that count; a secret on all nodes prevents that";
    assert_eq!(r.count(|record| record["message"] == warning), 1);
    // Somebody new is found by both, and the BEAM connects whomever it hears.
    let mut c = beam(otp, &ns, "c@127.0.0.1", &[]);
    gossips(
        &mut c,
        "start",
        &format!("group => {GROUP}, connect => true"),
    );
    r.connected(0, "c@127.0.0.1");
    c.wait_eval(SOON, "lists:sort(nodes())", &format!("['{BEAM}','{US}']"))
        .unwrap();
}

/// With a secret, over a wire: one of us counts everybody, the other one only who signs. Who leaves says so, and no BEAM dials it
/// for that.
pub(crate) fn sealed_gossip_goes_both_ways(otp: Otp) {
    const BEAM: &str = "b@10.9.0.1";
    const US: &str = "r@10.9.0.2";
    const STRICT: &str = "s@10.9.0.2";
    let [(near, _near), (far, _far)] = two();
    let mut b = beam(otp, &near, BEAM, &[]);
    let options =
        format!("group => {GROUP}, multicast_if => {{10,9,0,1}}, secret => <<\"{SECRET}\">>");
    gossips(&mut b, "start", &options);
    let file = secret_file();
    let sealed = format!("strategy=gossip secret_file={}", file.path().display());
    let r = member(&far, US, &sealed, &[]);
    r.connected(0, BEAM);
    let strict = format!("{sealed} multicast_if=10.9.0.2 auth=require");
    // Hidden, so that it knows the BEAM by gossip or not at all.
    let mut s = member(&far, STRICT, &strict, &["--hidden"]);
    waits_for(&s, "peer wanted", US);
    waits_for(&r, "peer wanted", STRICT);
    for name in [US, STRICT] {
        hears(
            &mut b,
            &format!("#{{node := '{name}', <<\"enmesh\">> := <<1, 1, _:352>>}}"),
        );
    }
    waits_for(
        &s,
        "a packet does not count: it is not signed with our secret",
        BEAM,
    );
    assert_eq!(said_of(&s, "peer wanted", BEAM), 0);
    s.enmesh.process().terminate().unwrap();
    assert!(s.enmesh.process().wait_exit(SOON).unwrap().success());
    waits_for(&r, "peer left every topology", STRICT);
    let goodbye = format!(
        "[] =/= [T || #{{<<\"enmesh\">> := <<1, 2, _:352, \"{STRICT}\">>}} = T <- gossip:terms(), map_size(T) =:= 1]"
    );
    b.wait_eval(SOON, &goodbye, "true").unwrap();
    assert_eq!(b.eval("gossip:alive()").unwrap(), "true");
    // Everybody else is still there.
    assert_eq!(said_of(&r, "node disconnected", BEAM), 0);
    assert_eq!(said_of(&r, "peer left every topology", BEAM), 0);
}

/// Where no multicast gets through.
pub(crate) fn broadcast_gossip_goes_both_ways(otp: Otp) {
    const BEAM: &str = "b@10.9.0.1";
    const US: &str = "r@10.9.0.2";
    let [(near, _near), (far, _far)] = two();
    let mut b = beam(otp, &near, BEAM, &[]);
    gossips(
        &mut b,
        "start",
        "group => {10,9,0,255}, broadcast_only => true",
    );
    let topology = "strategy=gossip broadcast_only=true multicast_addr=10.9.0.255";
    let r = member(&far, US, topology, &[]);
    r.connected(0, BEAM);
    hears(&mut b, &format!("#{{node := '{US}'}}"));
    // Two of us on one machine, one port.
    let s = member(&far, "s@10.9.0.2", topology, &[]);
    waits_for(&s, "peer wanted", US);
    waits_for(&r, "peer wanted", "s@10.9.0.2");
    waits_for(&s, "peer wanted", BEAM);
}

/// Both have an address of IPv6 alone, and one is told its interface.
#[test]
fn gossip_over_ipv6() {
    const NEAR: &str = "r@fd09::1";
    const FAR: &str = "s@fd09::2";
    let (near, far) = (NetNs::new().unwrap(), NetNs::new().unwrap());
    near.wire("fd09::1/64", &far, "fd09::2/64").unwrap();
    let links = far
        .run("ip", ["-o", "link", "show", "type", "veth"])
        .unwrap();
    let interface = links.split([':', '@']).nth(1).unwrap().trim();
    let r = member(&near, NEAR, "strategy=gossip if_addr=::", &[]);
    let told =
        format!("strategy=gossip multicast_addr=ff12::656e:6d65:7368 multicast_if={interface}");
    let s = member(&far, FAR, &told, &[]);
    r.connected(0, FAR);
    s.connected(0, NEAR);
    waits_for(&r, "peer wanted", FAR);
    waits_for(&s, "peer wanted", NEAR);
}

/// Recordings, forged and recorded goodbyes and a flood of garbage: with `prune = immediate` whoever believed any of it would cut
/// its link.
#[test]
fn a_liar_changes_nobody() {
    const US: &str = "r@127.0.0.1";
    const THEM: &str = "s@127.0.0.1";
    let (ns, _epmd) = alone();
    let mut liar = Beam::start(Otp::R25, &ns, "liar@127.0.0.1", "another", &[]).unwrap();
    gossips(&mut liar, "liar", &format!("group => {GROUP}"));
    let file = secret_file();
    let topology = format!("strategy=gossip secret_file={}", file.path().display());
    let cautious = ["--prune", "immediate"];
    let r = member(&ns, US, &topology, &cautious);
    let mut s = member(&ns, THEM, &topology, &cautious);
    r.connected(0, THEM);
    waits_for(&r, "peer wanted", THEM);
    waits_for(&s, "peer wanted", US);
    // One life of it ends with a goodbye, which the liar records, and another one begins.
    s.enmesh.process().terminate().unwrap();
    s.enmesh.process().wait_exit(SOON).unwrap();
    waits_for(&r, "peer left every topology", THEM);
    let mark = r.mark();
    let s = member(&ns, THEM, &topology, &cautious);
    r.connected(mark, THEM);
    let wanted = |record: &Value| {
        record["message"] == "peer wanted"
            && record["peer"]
                .as_str()
                .is_some_and(|peer| peer.starts_with(THEM))
    };
    r.enmesh.wait_from(mark, SOON, wanted).unwrap();
    waits_for(&s, "peer wanted", US);
    let (mark_r, mark_s) = (r.mark(), s.mark());
    let recorded = liar.eval("length(gossip:packets())").unwrap();
    assert!(
        recorded.parse::<usize>().unwrap() >= 6,
        "{recorded} packets are recorded"
    );
    // All that was ever said, in both orders; what looks like a packet; what is none.
    let lies = format!(
        "Heard = gossip:packets(), \
         Node = fun(N) -> <<\"heartbeat::\", (term_to_binary(#{{node => N}}))/binary>> end, \
         Proof = <<1, 2, 7:32, 99999999999999:64, 0:256, \"{THEM}\">>, \
         Bye = <<\"heartbeat::\", (term_to_binary(#{{<<\"enmesh\">> => Proof}}))/binary>>, \
         Bomb = <<\"heartbeat::\", 131, 80, -1:32, 1, 2>>, \
         Junk = [<<\"heartbeat::junk\">>, crypto:strong_rand_bytes(64), crypto:strong_rand_bytes(60000), <<>>], \
         Mine = [Node('{THEM}'), Node('made_up@127.0.0.1'), Bye, Bomb | Junk], \
         gossip:lie(#{{group => {GROUP}, port => 45892}}, Heard ++ lists:reverse(Heard) ++ Mine, 300)"
    );
    assert_eq!(liar.eval_within(SOON * 3, &lies).unwrap(), "ok");
    // Somebody new is heard at once, for nobody has been shut out.
    let t = member(&ns, "t@127.0.0.1", &topology, &cautious);
    for member in [&r, &s] {
        waits_for(member, "peer wanted", "t@127.0.0.1");
    }
    waits_for(&t, "peer wanted", THEM);
    for (member, mark) in [(&r, mark_r), (&s, mark_s)] {
        let lines = member.enmesh.output().all();
        let believed: Vec<_> = lines[mark..]
            .iter()
            .filter(|line| {
                [
                    "node disconnected",
                    "peer is pruned",
                    "peer left every topology",
                    "made_up",
                ]
                .iter()
                .any(|words| line.contains(words))
            })
            .collect();
        assert!(believed.is_empty(), "{}: {believed:#?}", member.name());
        let limited = "too many packets come: some are left out";
        assert_eq!(member.count(|record| record["message"] == limited), 1);
    }
}
