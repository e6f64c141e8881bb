//! How a member leaves a cluster of BEAM nodes.

use std::time::{Duration, Instant};

use enmesh_interop::{Beam, Epmd, NetNs, Otp};

use crate::bench::{Member, beam, list, says, sees};

const US: &str = "r@127.0.0.1";
const OTHER: &str = "m@127.0.0.1";

/// How many BEAM nodes there are: enough that a link that is closed late is seen to be.
const BEAMS: usize = 5;

/// In which time all hear of it, on a machine that runs many of these at once: less than the grace of
/// the shutdown, which whoever closed one link after the other would need for a slow peer.
const TOGETHER: Duration = Duration::from_secs(4);

/// Writes down who comes and goes from now on, and when.
fn watch(beam: &mut Beam) {
    let watcher = "fun() -> \
        net_kernel:monitor_nodes(true, [{node_type, all}]), \
        G = fun F(L) -> receive \
            {get, P} -> P ! {seen, lists:reverse(L)}, F(L); \
            {K, N, _} -> F([{K, N, os:system_time(microsecond)} | L]) \
        end end, G([]) end";
    let register = format!("register(watcher, spawn({watcher}))");
    assert_eq!(beam.eval(&register).unwrap(), "true");
}

/// An expression over `Seen`, what the watcher has written down.
fn seen(expression: &str) -> String {
    format!("begin watcher ! {{get, self()}}, receive {{seen, Seen}} -> {expression} end end")
}

fn start(otp: Otp, ns: &NetNs) -> (Vec<Beam>, Member, Member) {
    let names: Vec<_> = (0..BEAMS).map(|at| format!("b{at}@127.0.0.1")).collect();
    let mut beams: Vec<_> = names.iter().map(|name| beam(otp, ns, name, &[])).collect();
    let all: Vec<_> = names.iter().map(String::as_str).collect();
    let args = ["--visible", "--topology", &list(&all)];
    let leaver = Member::start(ns, US, &args);
    let knows_us: Vec<_> = all.iter().copied().chain([US]).collect();
    let other = Member::start(ns, OTHER, &["--visible", "--topology", &list(&knows_us)]);
    for (beam, own) in beams.iter_mut().zip(&names) {
        let others = all.iter().copied().filter(|name| name != own);
        let mut others: Vec<_> = others.chain([US, OTHER]).collect();
        others.sort_unstable();
        sees(beam, &others);
        watch(beam);
    }
    other.connected(0, US);
    (beams, leaver, other)
}

/// Every BEAM has seen nothing but our end since, and is in one cluster with all others.
fn only_we_are_gone(beams: &mut [Beam]) {
    let gone = seen("[{K, N} || {K, N, _} <- Seen]");
    for beam in &mut *beams {
        says(beam, &gone, &format!("[{{nodedown,'{US}'}}]"));
        says(beam, "length(nodes())", &BEAMS.to_string());
        assert_eq!(beam.eval("global:sync()").unwrap(), "ok");
        says(beam, &gone, &format!("[{{nodedown,'{US}'}}]"));
        // That is how `global` tells of links that it cuts. Where one BEAM hears of our end before
        // another, as when a BEAM ends, that other one says so of us, and of nobody else.
        let output = beam.output().all();
        let cuts = output.iter().filter(|line| line.contains("overlapping"));
        let ours = format!("requested disconnect from node '{US}'");
        assert!(cuts.clone().all(|line| line.contains(&ours)), "{output:#?}");
    }
}

/// SIGTERM: each BEAM hears of one nodedown, all at the same time, `global` cuts nobody off for it,
/// and whoever knows us finds nobody there any more.
pub(crate) fn a_member_leaves_all_together(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let (mut beams, mut leaver, other) = start(otp, &ns);
    let mark = other.mark();
    leaver.enmesh.process().terminate().unwrap();
    let status = leaver.enmesh.process().wait_exit(Duration::from_secs(5));
    assert_eq!(status.unwrap().code(), Some(0));
    let down = other.disconnected(mark, US);
    assert_eq!(down["reason"], "connection_closed");
    only_we_are_gone(&mut beams);
    let at = seen("hd([At || {nodedown, _, At} <- Seen])");
    let times = beams.iter_mut().map(|beam| beam.eval(&at).unwrap());
    let times: Vec<u64> = times.map(|text| text.parse().unwrap()).collect();
    let spread = times.iter().max().unwrap() - times.iter().min().unwrap();
    println!("{BEAMS} BEAM nodes heard of our end within {spread} us");
    assert!(Duration::from_micros(spread) < TOGETHER, "{times:?}");
    assert_eq!(
        beams[0].eval(&format!("net_adm:ping('{US}')")).unwrap(),
        "pang"
    );
    let names = "{ok, L} = erl_epmd:names(\"127.0.0.1\"), lists:keymember(\"r\", 1, L)";
    assert_eq!(beams[0].eval(names).unwrap(), "false");
}

/// A peer that hears nothing holds up neither the others' news nor our end for long.
pub(crate) fn a_frozen_beam_does_not_keep_us(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let (mut beams, mut leaver, _other) = start(otp, &ns);
    beams[0].stop().unwrap();
    let asked = Instant::now();
    leaver.enmesh.process().terminate().unwrap();
    let status = leaver.enmesh.process().wait_exit(Duration::from_secs(10));
    assert_eq!(status.unwrap().code(), Some(0));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    for beam in &mut beams[1..] {
        says(
            beam,
            &seen("[{K, N} || {K, N, _} <- Seen]"),
            &format!("[{{nodedown,'{US}'}}]"),
        );
    }
    beams[0].cont().unwrap();
    only_we_are_gone(&mut beams);
}
